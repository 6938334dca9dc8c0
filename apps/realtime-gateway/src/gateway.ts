import { Inject, UseFilters } from '@nestjs/common';
import {
  ConnectedSocket,
  SubscribeMessage,
  WebSocketGateway,
  type OnGatewayConnection,
  type OnGatewayDisconnect,
  type OnGatewayInit,
} from '@nestjs/websockets';
import type { Acknowledgement, ClientPayload } from '@tidemark/contracts';
import { Authenticator, LOG, ProblemError, type Log } from '@tidemark/runtime';
import { CatchUp } from './catch-up/catch-up.js';
import type { Connection, Place } from './connections/connection.js';
import { Sessions } from './connections/sessions.js';
import type { GatewayServer, GatewaySocket } from './connections/wire.js';
import { Arrivals } from './memberships/arrivals.js';
import { MembershipsStore } from './memberships/memberships.store.js';
import { ReadReports } from './read-reports/read-reports.js';
import { Handshakes } from './requests/handshakes.js';
import { Payload } from './requests/payload.js';
import { refusalOf, SocketRefusals } from './requests/refusals.js';
import { Typing } from './typing/typing.js';
import { UserProfiles } from './users/user-profiles.js';

/** Catch-ups of one connection that run or wait. */
const catchUpsMax = 4;
/** Openings and closings likewise. */
const opensMax = 100;

/** What clients say, and what they are answered. */
@UseFilters(SocketRefusals)
@WebSocketGateway()
export class Gateway implements OnGatewayInit, OnGatewayConnection, OnGatewayDisconnect {
  constructor(
    private readonly handshakes: Handshakes,
    private readonly sessions: Sessions,
    private readonly authenticator: Authenticator,
    private readonly arrivals: Arrivals,
    private readonly catchUps: CatchUp,
    private readonly memberships: MembershipsStore,
    private readonly reads: ReadReports,
    private readonly profiles: UserProfiles,
    private readonly typing: Typing,
    @Inject(LOG) private readonly log: Log,
  ) {}

  afterInit(server: GatewayServer): void {
    server.use((socket, next) => {
      const admitting = this.handshakes
        .admit(socket.handshake.auth)
        .then((admission) => this.sessions.admit(socket, admission));
      admitting.then(
        () => next(),
        (error: unknown) => {
          const refusal = refusalOf(error);
          if (refusal.code === 'internal') this.log.error({ err: error }, 'a handshake failed');
          next(Object.assign(new Error(refusal.code), { data: refusal }));
        },
      );
    });
  }

  handleConnection(socket: GatewaySocket): void {
    this.sessions.begin(socket);
  }

  handleDisconnect(socket: GatewaySocket): void {
    this.sessions.end(socket);
  }

  @SubscribeMessage('read')
  read(
    @ConnectedSocket() socket: GatewaySocket,
    @Payload('read') reports: ClientPayload<'read'>,
  ): Promise<Acknowledgement<'read'>> {
    return this.reads.report('read', connectionOf(socket), reports);
  }

  @SubscribeMessage('delivered')
  delivered(
    @ConnectedSocket() socket: GatewaySocket,
    @Payload('delivered') reports: ClientPayload<'delivered'>,
  ): Promise<Acknowledgement<'delivered'>> {
    return this.reads.report('delivered', connectionOf(socket), reports);
  }

  @SubscribeMessage('catch-up')
  async catchUp(
    @ConnectedSocket() socket: GatewaySocket,
    @Payload('catch-up') request: ClientPayload<'catch-up'>,
  ): Promise<Acknowledgement<'catch-up'>> {
    const connection = connectionOf(socket);
    if (connection.catchUpsUnderWay >= catchUpsMax) {
      throw new ProblemError('rate-limited', 'Catch-ups are under way.');
    }
    connection.catchUpsUnderWay++;
    const answering = connection.lane.run(async () => {
      const memberships = await this.memberships.ofUser(connection.userId);
      for (const channelId of Object.keys(request.channels)) {
        // A channel that the user has just gained is entered first: it is told of, and waits its turn behind this.
        const membership = memberships.get(channelId);
        if (membership && !connection.place(channelId)) await this.arrivals.settle(connection, membership);
      }
      const caughtUp = await this.catchUps.answer(connection, request, memberships);
      await connection.outbox.settled();
      return { ok: true as const, ...caughtUp };
    });
    return answering.finally(() => connection.catchUpsUnderWay--);
  }

  @SubscribeMessage('typing')
  async type(
    @ConnectedSocket() socket: GatewaySocket,
    @Payload('typing') { channelId }: ClientPayload<'typing'>,
  ): Promise<{ ok: true }> {
    await this.typing.say(connectionOf(socket), channelId);
    return { ok: true };
  }

  @SubscribeMessage('open')
  open(
    @ConnectedSocket() socket: GatewaySocket,
    @Payload('open') { channelId }: ClientPayload<'open'>,
  ): Promise<{ ok: true }> {
    const connection = connectionOf(socket);
    return this.atPlace(connection, channelId, (place, joinedSeq) =>
      connection.openChannel(place, joinedSeq),
    );
  }

  @SubscribeMessage('close')
  close(
    @ConnectedSocket() socket: GatewaySocket,
    @Payload('close') { channelId }: ClientPayload<'close'>,
  ): Promise<{ ok: true }> {
    const connection = connectionOf(socket);
    return this.atPlace(connection, channelId, (place) => connection.closeChannel(place));
  }

  @SubscribeMessage('users.query')
  async queryUsers(
    @ConnectedSocket() socket: GatewaySocket,
    @Payload('users.query') { ids }: ClientPayload<'users.query'>,
  ): Promise<Acknowledgement<'users.query'>> {
    // What changes of them from now on is told.
    connectionOf(socket).outbox.noteIntroduced(ids);
    return { ok: true, users: await this.profiles.byIds(ids) };
  }

  @SubscribeMessage('token')
  async renew(
    @ConnectedSocket() socket: GatewaySocket,
    @Payload('token') { token }: ClientPayload<'token'>,
  ): Promise<{ ok: true }> {
    const connection = connectionOf(socket);
    const identity = await this.authenticator.authenticate(token);
    if (identity.userId !== connection.userId) {
      setImmediate(() => connection.close('unauthenticated'));
      throw new ProblemError('unauthenticated', 'The token is of another user.');
    }
    this.sessions.renew(connection, identity);
    return { ok: true };
  }

  /** In its turn, and answered once what came before is on its way. */
  private async atPlace(
    connection: Connection,
    channelId: string,
    run: (place: Place, joinedSeq: number) => void,
  ): Promise<{ ok: true }> {
    if (connection.opensUnderWay >= opensMax) {
      throw new ProblemError('rate-limited', 'Channels are being opened and closed.');
    }
    connection.opensUnderWay++;
    const answering = connection.lane.run(async () => {
      const placed = await this.arrivals.placeIn(connection, channelId);
      if (!placed) throw await this.memberships.refusal(channelId);
      run(placed.place, placed.joinedSeq);
      await connection.outbox.settled();
      return { ok: true as const };
    });
    return answering.finally(() => connection.opensUnderWay--);
  }
}

function connectionOf(socket: GatewaySocket): Connection {
  return (socket.data as { connection: Connection }).connection;
}
