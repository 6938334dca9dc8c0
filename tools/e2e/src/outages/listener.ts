import type {
  ChannelSeqs,
  ClientToServerEvents,
  HandshakeInput,
  Notice,
  ServerToClientEvents,
} from '@tidemark/contracts';
import { io, type Socket } from 'socket.io-client';

/** A stock Socket.IO client that resumes: it comes back by itself, with a backoff that spreads. */
export class Listener {
  /** Of each channel, as they came, over all its connections. */
  private readonly came = new Map<string, number[]>();
  readonly notices: Notice[] = [];
  /** One for each time it was let in: whether it was told to fetch anything anew. */
  readonly welcomes: { refetch: string[] }[] = [];
  private readonly have: ChannelSeqs = {};
  private logEpoch: string | null = null;
  readonly socket: Socket<ServerToClientEvents, ClientToServerEvents>;

  constructor(url: string, token: string) {
    this.socket = io(url, {
      transports: ['websocket'],
      forceNew: true,
      reconnectionDelay: 100,
      reconnectionDelayMax: 3_000,
      randomizationFactor: 0.5,
      auth: (give) => give(this.handshake(token)),
    });
    this.socket.on('events', (envelopes) => {
      for (const { channelId, seq } of envelopes) {
        const seqs = this.came.get(channelId) ?? [];
        seqs.push(seq);
        this.came.set(channelId, seqs);
        this.have[channelId] = seq;
      }
    });
    this.socket.on('notices', (notices) => this.notices.push(...notices));
    this.socket.on('ready', ({ logEpoch, heads, refetch = [] }) => {
      if (this.logEpoch === null) Object.assign(this.have, heads);
      this.logEpoch = logEpoch;
      this.welcomes.push({ refetch });
    });
    // Socket.IO does not come back by itself from what the server refused.
    this.socket.on('connect_error', () => {
      if (!this.socket.active) setTimeout(() => this.socket.connect(), 100 + 400 * Math.random());
    });
  }

  seqs(channelId: string): readonly number[] {
    return this.came.get(channelId) ?? [];
  }

  /** What it was told of a user, in order. */
  presenceOf(userId: string): boolean[] {
    return this.notices.flatMap((notice) =>
      notice.type === 'presence' && notice.userId === userId ? [notice.online] : [],
    );
  }

  close(): void {
    this.socket.disconnect();
  }

  private handshake(token: string): HandshakeInput {
    const { logEpoch, have } = this;
    return { token, ...(logEpoch !== null && { resume: { logEpoch, channels: have } }) };
  }
}
