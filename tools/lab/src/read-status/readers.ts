import { setTimeout as delay } from 'node:timers/promises';
import type { Acknowledgement, ClientToServerEvents, ServerToClientEvents } from '@tidemark/contracts';
import type { CreatedUser } from '@tidemark/testing';
import { io, type Socket } from 'socket.io-client';
import type { Lab } from './lab.js';
import type { Channel, People } from './people.js';

const CONNECTS_AT_ONCE = 20;
const READY_MS = 30_000;
const ANSWER_MS = 30_000;
const REPEATS_MAX = 50;
const RETRY_MS = 500;

/** The newest so many messages of each of these channels, in which nobody writes meanwhile. */
export interface ToRead {
  channels: readonly Channel[];
  rounds: number;
}

/** A member with a socket who reads channel after channel, a message further each time round, up to the head. */
export class Reader {
  readonly wrong: string[] = [];
  accepted = 0;
  /** Events that were answered with a refusal, and said again. */
  refused = 0;
  private turn = 0;

  private constructor(
    readonly user: CreatedUser,
    private readonly toRead: ToRead,
    private readonly socket: Socket<ServerToClientEvents, ClientToServerEvents>,
  ) {}

  /** A refusal is tried again, as a client would. */
  static async connect(lab: Lab, people: People, user: CreatedUser, toRead: ToRead): Promise<Reader> {
    for (let times = 1; ; times++) {
      const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io(lab.url('realtime-gateway'), {
        auth: { token: people.token(user), passive: true },
        transports: ['websocket'],
        forceNew: true,
        reconnection: false,
        timeout: READY_MS,
      });
      try {
        await ready(socket);
        return new Reader(user, toRead, socket);
      } catch (error) {
        socket.disconnect();
        if (times > REPEATS_MAX) throw error;
        await delay(RETRY_MS);
      }
    }
  }

  /** All of them, some at a time. */
  static async connectAll(
    lab: Lab,
    people: People,
    users: readonly CreatedUser[],
    toRead: ToRead,
  ): Promise<Reader[]> {
    const left = [...users];
    const readers: Reader[] = [];
    const work = async () => {
      for (let user = left.shift(); user; user = left.shift())
        readers.push(await Reader.connect(lab, people, user, toRead));
    };
    await Promise.all(Array.from({ length: CONNECTS_AT_ONCE }, work));
    return readers;
  }

  /** Reports so many reads in one event. Resolves when they are acknowledged. */
  async read(count: number): Promise<void> {
    const said = Array.from({ length: count }, () => this.next());
    const reports = said.map(({ channel, seq }) => ({ channelId: channel.id, seq }));
    const { counts } = await this.report(reports);
    said.forEach(({ channel, seq }, i) => {
      channel.read(this.user, seq);
      const { channelId, cursor, unread, asOfSeq } = counts[i]!;
      // All that is there is another's, counts and stands: what is above the cursor is unread.
      if (channelId !== channel.id || cursor < seq || unread !== asOfSeq - cursor)
        this.wrong.push(
          `user ${this.user.id}, channel ${channel.id}: ${unread} unread above ${cursor} of ${asOfSeq}, read to ${seq}`,
        );
    });
    this.accepted += count;
  }

  close(): void {
    this.socket.disconnect();
  }

  private async report(
    reports: { channelId: string; seq: number }[],
  ): Promise<Extract<Acknowledgement<'read'>, { ok: true }>> {
    for (let times = 0; ; times++) {
      const answer = (await this.socket
        .timeout(ANSWER_MS)
        .emitWithAck('read', reports)) as Acknowledgement<'read'>;
      if (answer.ok) return answer;
      // Whether it was taken or not, saying it again is harmless, and what a client has to do.
      this.refused += 1;
      if (times > REPEATS_MAX) throw new Error(`User ${this.user.id} was refused: ${answer.code}`);
      await delay(answer.retryAfterMs ?? RETRY_MS);
    }
  }

  private next(): { channel: Channel; seq: number } {
    const { channels, rounds } = this.toRead;
    const channel = channels[this.turn % channels.length]!;
    const round = Math.floor(this.turn++ / channels.length);
    if (round >= rounds) throw new Error('Everything is read: this load needs more rounds');
    return { channel, seq: channel.head - rounds + 1 + round };
  }
}

function ready(socket: Socket<ServerToClientEvents, ClientToServerEvents>): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`Not ready in ${READY_MS} ms`)), READY_MS);
    const settle = (then: () => void) => {
      clearTimeout(timer);
      then();
    };
    socket.on('ready', () => settle(resolve));
    socket.on('connect_error', (error) => settle(() => reject(error)));
    socket.on('disconnect', (reason) => settle(() => reject(new Error(reason))));
  });
}
