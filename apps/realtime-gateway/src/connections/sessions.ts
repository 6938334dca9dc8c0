import { Inject, Injectable } from '@nestjs/common';
import { Drain, LOG, Metrics, type Identity, type Log } from '@tidemark/runtime';
import { Feeds } from '../feeds/feeds.js';
import { Heads } from '../feeds/heads.js';
import { Arrivals } from '../memberships/arrivals.js';
import { MembershipChanges } from '../memberships/membership-changes.js';
import { Presence } from '../presence/presence.js';
import { ReadReports } from '../read-reports/read-reports.js';
import type { Admission } from '../requests/handshakes.js';
import { UserProfiles } from '../users/user-profiles.js';
import { Connection } from './connection.js';
import { Connections } from './connections.js';
import { ExpiryWheel } from './expiry-wheel.js';
import { Ticks } from './ticks.js';
import { UserSockets } from './user-sockets.js';
import type { GatewaySocket } from './wire.js';

/** While draining, for reads under way to be answered. */
const lastAnswersMs = 1_000;

interface Held {
  admission?: Admission;
  connection?: Connection;
}

/** The life of a connection: from an admitted handshake to its end, by whichever side. */
@Injectable()
export class Sessions {
  private readonly cancelExpiry = new WeakMap<Connection, () => void>();
  private readonly deliveries;
  private readonly slowSockets;
  private delivered = 0;

  constructor(
    private readonly connections: Connections,
    private readonly arrivals: Arrivals,
    private readonly memberships: MembershipChanges,
    private readonly feeds: Feeds,
    private readonly heads: Heads,
    private readonly reads: ReadReports,
    private readonly profiles: UserProfiles,
    private readonly presence: Presence,
    private readonly ticks: Ticks,
    private readonly userSockets: UserSockets,
    private readonly wheel: ExpiryWheel,
    @Inject(LOG) private readonly log: Log,
    @Inject(Metrics) metrics: Metrics,
    @Inject(Drain) drain: Drain,
  ) {
    this.deliveries = metrics.counter('deliveries_total', 'Events sent to sockets: one for each of either.');
    this.slowSockets = metrics.counter(
      'slow_sockets_total',
      'Sockets cut off because they did not take what was sent.',
    );
    drain.onDrain('sockets', () => this.drain());
  }

  /** In the handshake, so that a connection is ours before its client can say a word. Errors: `rate-limited`. */
  admit(socket: GatewaySocket, admission: Admission): void {
    this.userSockets.take(admission.identity.userId, socket.conn);
    (socket.data as Held).admission = admission;
  }

  begin(socket: GatewaySocket): void {
    const held = socket.data as Held;
    const { identity, passive, resume } = held.admission!;
    const connection = new Connection(socket, identity.userId, passive, {
      ticks: this.ticks,
      profiles: this.profiles,
      onDelivered: (events) => this.countDelivered(events),
      onClosing: (code) => code === 'too-slow' && this.slowSockets.inc(),
      onDoubt: (doubtful, channelId) => this.memberships.look(doubtful, channelId),
      onUnsubscribed: (feed) => this.feeds.closeIfUnused(feed),
      lookUp: (channelIds) => this.heads.withOrdinals(channelIds),
    });
    held.connection = connection;
    held.admission = undefined;
    this.renew(connection, identity);
    connection.lane
      .run(() => this.arrivals.arrive(connection, resume))
      .catch((err: unknown) => {
        this.log.warn({ err, userId: connection.userId }, 'a connection could not be set up');
        connection.close('out-of-step');
      });
  }

  end(socket: GatewaySocket): void {
    const { connection } = socket.data as Held;
    if (!connection) return;
    this.cancelExpiry.get(connection)?.();
    connection.forget();
    this.connections.remove(connection);
    this.presence.leave(connection);
    // Who leaves the namespace has nothing left to do on the connection below it.
    socket.conn.close();
  }

  renew(connection: Connection, { issuedAt, expiresAt }: Pick<Identity, 'issuedAt' | 'expiresAt'>): void {
    connection.issuedAt = issuedAt;
    this.cancelExpiry.get(connection)?.();
    const expire = () => connection.close('token-expired');
    this.cancelExpiry.set(connection, this.wheel.add(expiresAt.getTime(), expire));
  }

  /** A thousand sockets of a tick make one sum: the counter costs as much as a write does otherwise. */
  private countDelivered(events: number): void {
    if (this.delivered === 0) {
      setImmediate(() => {
        this.deliveries.inc(this.delivered);
        this.delivered = 0;
      });
    }
    this.delivered += events;
  }

  private async drain(): Promise<void> {
    for (let waitedMs = 0; this.reads.size > 0 && waitedMs < lastAnswersMs; waitedMs += 20) {
      await new Promise((resume) => setTimeout(resume, 20));
    }
    const closing = this.connections.everyone();
    this.connections.closeAll('draining');
    await Promise.race([
      Promise.all(closing.map((connection) => connection.ended())),
      new Promise((resume) => setTimeout(resume, lastAnswersMs)),
    ]);
  }
}
