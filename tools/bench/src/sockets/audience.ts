import { shortened } from '../checks.js';
import type { Person } from '../population.js';
import type { World } from '../world.js';
import { envelopesIn, SocketClient, type OnEvents } from './socket-client.js';

/** Frames that are remembered by what is in them: everyone in the audience gets the same. */
const KNOWN_FRAMES_MAX = 200;
const CONNECTING_MAX = 50;
const REACH_MS = 30_000;

/** Everyone online in one channel: who has received what, each seq once and in order. */
export class Audience {
  private readonly known = new Map<string, number[]>();
  private readonly lefts: number[] = [];
  private readonly reachedMs: number[] = [];
  private readonly waiting = new Map<number, () => void>();
  private readonly mistakes: string[] = [];
  private clients: SocketClient[] = [];

  private constructor(
    readonly size: number,
    /** The first that is to come. */
    private readonly firstSeq: number,
    private readonly channelId: string,
  ) {}

  /** The people as sockets of the gateway. */
  static online(
    world: World,
    people: readonly Person[],
    channelId: string,
    firstSeq: number,
  ): Promise<Audience> {
    const url = world.url('realtime-gateway');
    return Audience.of(world, people.length, channelId, firstSeq, (i, onEvents) =>
      SocketClient.connect({ url, auth: { token: people[i]!.token }, onEvents }),
    );
  }

  /** Gone with the bench. */
  static async of(
    world: World,
    size: number,
    channelId: string,
    firstSeq: number,
    connect: (i: number, onEvents: OnEvents) => Promise<SocketClient>,
  ): Promise<Audience> {
    const audience = new Audience(size, firstSeq, channelId);
    world.defer(() => audience.close());
    for (let from = 0; from < size; from += CONNECTING_MAX) {
      const some = Array.from({ length: Math.min(CONNECTING_MAX, size - from) }, (_, i) => from + i);
      const connected = await Promise.all(some.map((i) => connect(i, audience.receiver())));
      audience.clients.push(...connected);
    }
    return audience;
  }

  /** Resolves when everyone has received it. */
  async reached(seq: number): Promise<void> {
    if (this.left(seq) === 0) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve, reject) => {
      const late = () => reject(new Error(`${this.left(seq)} of ${this.size} have not received seq ${seq}`));
      timer = setTimeout(late, REACH_MS);
      this.waiting.set(seq, resolve);
    }).finally(() => clearTimeout(timer));
  }

  /** When the last of them received it, on the clock of performance.now(). */
  reachedAtMs(seq: number): number {
    return this.reachedMs[seq - this.firstSeq] ?? NaN;
  }

  /** Missed, repeated or out of order, up to `lastSeq`. */
  wrong(lastSeq: number): string[] {
    const missing = this.left(lastSeq) > 0 ? [`${this.left(lastSeq)} did not receive seq ${lastSeq}`] : [];
    const closed = this.clients.filter((client) => client.closed).map((client) => client.closed!.message);
    return shortened([...missing, ...closed, ...this.mistakes]);
  }

  private close(): void {
    for (const client of this.clients.splice(0)) client.close();
  }

  private left(seq: number): number {
    return this.lefts[seq - this.firstSeq] ?? this.size;
  }

  private receiver(): OnEvents {
    let next = this.firstSeq;
    return (frame) => {
      for (const seq of this.seqsIn(frame)) {
        if (seq !== next) this.mistakes.push(`channel ${this.channelId}: seq ${seq} came instead of ${next}`);
        next = seq + 1;
        const place = seq - this.firstSeq;
        const left = (this.lefts[place] ?? this.size) - 1;
        this.lefts[place] = left;
        if (left > 0) continue;
        this.reachedMs[place] = performance.now();
        this.waiting.get(seq)?.();
        this.waiting.delete(seq);
      }
    };
  }

  private seqsIn(frame: string): number[] {
    let seqs = this.known.get(frame);
    if (!seqs) {
      seqs = envelopesIn(frame)
        .filter(({ channelId }) => channelId === this.channelId)
        .map(({ seq }) => seq);
      if (this.known.size >= KNOWN_FRAMES_MAX) this.known.clear();
      this.known.set(frame, seqs);
    }
    return seqs;
  }
}
