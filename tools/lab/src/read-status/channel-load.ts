import { Quantiles } from '@tidemark/replay';
import type { CreatedUser } from '@tidemark/testing';
import { Counting } from './counting.js';
import type { Lab } from './lab.js';
import { latencyOf, paced, some, type Latency } from './load.js';
import { atRest, wrongCounts } from './oracle.js';
import { Channel, send, type People } from './people.js';
import { workBetween, workOf, type Work } from './postgres-work.js';
import { Reader } from './readers.js';
import { hashWrites } from './redis-work.js';
import { between, ServiceMetrics } from './service-metrics.js';

/** Who writes, over all channels; each waits until a message is counted before the next. */
const WRITERS = 16;
const AUTHORS_MAX = 5;
/** So many memberships at least, in so many channels at the most. */
const MEMBERSHIPS = 4_000;
const CHANNELS_MAX = 16;
const READERS_MAX = 50;
/** The steady load, the same for every strategy. */
const MESSAGES_PER_SECOND_MAX = 20;
/**
 * What every strategy sustains with each message counted by itself: above it messages queue, and a latency is of
 * waiting. Reached at 1,000 members; 100,000 get a message every 5 s.
 */
const INCREMENTS_PER_SECOND_MAX = 20_000;
/** For a p50; the steady load takes as long as they need. */
const MESSAGES_MIN = 10;
const READS_PER_SECOND = 200;
const PROBES_PER_SECOND = 50;

export interface ChannelFigures {
  members: number;
  channels: number;
  /** As fast as they are counted. */
  logicalPerSecond: number;
  physicalPerSecond: number;
  /** The steady load, over all channels. */
  messagesPerSecond: number;
  countedMs: Latency;
  readMs: Latency;
  per1000Increments: Work;
  per1000Reads: Work;
  sendMs: { alone: Latency; meanwhile: Latency };
  /** null: nothing was flushed. */
  lagS: { mean: number; p99AtMost: number } | null;
  rowsWritten: number;
  wrong: string[];
}

/** The same work in channels of one size, under the strategy that runs. */
export async function loadChannels(
  lab: Lab,
  people: People,
  members: number,
  seconds: number,
): Promise<ChannelFigures> {
  const load = await ChannelLoad.prepare(lab, people, members, seconds);
  return load.measure();
}

class ChannelLoad {
  private readonly counting: Counting;
  private readonly authors: readonly CreatedUser[];
  private readonly readers: readonly CreatedUser[];
  private readonly wrong: string[] = [];

  private constructor(
    private readonly lab: Lab,
    private readonly people: People,
    private readonly channels: readonly Channel[],
    private readonly beside: Channel,
    private readonly seconds: number,
  ) {
    this.counting = new Counting(lab);
    const { members } = channels[0]!;
    this.authors = members.slice(0, Math.min(AUTHORS_MAX, members.length - 2));
    this.readers = some(members.slice(this.authors.length), READERS_MAX);
  }

  static async prepare(lab: Lab, people: People, members: number, seconds: number): Promise<ChannelLoad> {
    const everyone = await people.first(members);
    const count = Math.max(1, Math.min(CHANNELS_MAX, Math.ceil(MEMBERSHIPS / members)));
    const channels: Channel[] = [];
    while (channels.length < count) channels.push(await Channel.open(lab, everyone));
    const beside = await Channel.open(lab, everyone.slice(0, 2));
    await lab.pool.query('ANALYZE');
    const load = new ChannelLoad(lab, people, channels, beside, seconds);
    await load.fill();
    // Everyone is loaded, and has a counter where there is one, before the time runs.
    for (const channel of [...channels, beside]) await load.sendCounted(channel, everyone[0]!);
    await atRest(lab);
    return load;
  }

  async measure(): Promise<ChannelFigures> {
    const { lab, channels, seconds } = this;
    const channel = channels[0]!;
    const lagBefore = await this.lag();
    const { begin } = await workOf(lab.pool);

    const fast = await this.saturate();
    const afterFast = await this.rested();

    const perSecond = Math.min(MESSAGES_PER_SECOND_MAX, INCREMENTS_PER_SECOND_MAX / channel.members.length);
    const messages = Math.max(MESSAGES_MIN, Math.round(perSecond * seconds));
    const countedMs = new Quantiles();
    const meanwhile = new Quantiles();
    await Promise.all([
      this.steadily({ perSecond, total: messages }, countedMs),
      this.probe(messages / perSecond, meanwhile),
    ]);
    const afterSteady = await this.rested();

    const reads = await this.read();
    const afterReads = await this.rested();
    const lagS = between(lagBefore, await this.lag());

    // Last: by now no service is slow because it has just begun.
    const alone = new Quantiles();
    await this.probe(seconds, alone);
    await atRest(lab);

    const fastWork = workBetween(begin, afterFast.end);
    const probes = this.beside.increments(meanwhile.size);
    const increments = channel.increments(messages) + probes;
    return {
      members: channel.members.length,
      channels: channels.length,
      logicalPerSecond: fast.increments / fast.seconds,
      physicalPerSecond: (fast.hashWrites + fastWork.rows) / fast.seconds,
      messagesPerSecond: perSecond,
      countedMs: latencyOf(countedMs),
      readMs: latencyOf(reads.tookMs),
      per1000Increments: perThousand(workBetween(afterFast.begin, afterSteady.end), increments),
      per1000Reads: perThousand(workBetween(afterSteady.begin, afterReads.end), reads.count),
      sendMs: { alone: latencyOf(alone), meanwhile: latencyOf(meanwhile) },
      lagS,
      rowsWritten: workBetween(begin, afterReads.end).rows,
      wrong: this.wrong,
    };
  }

  /** Writers who each wait for their message to be counted: as fast as it goes. */
  private async saturate(): Promise<{ increments: number; hashWrites: number; seconds: number }> {
    const writes = await hashWrites(this.lab);
    const startedMs = performance.now();
    const until = startedMs + this.seconds * 1000;
    let increments = 0;
    const write = async (writer: number) => {
      const channel = this.channels[writer % this.channels.length]!;
      do {
        await this.sendCounted(channel, this.authorOf(writer));
        increments += channel.increments(1);
      } while (performance.now() < until);
    };
    await Promise.all(Array.from({ length: WRITERS }, (_, writer) => write(writer)));
    return {
      increments,
      seconds: (performance.now() - startedMs) / 1000,
      hashWrites: (await hashWrites(this.lab)) - writes,
    };
  }

  private steadily(rate: { perSecond: number; total: number }, tookMs: Quantiles): Promise<void> {
    return paced(rate, async (i, dueMs) => {
      await this.sendCounted(this.channels[i % this.channels.length]!, this.authorOf(i));
      tookMs.add(performance.now() - dueMs);
    });
  }

  /** Sends to a small channel, until each is answered: what others notice of the load. */
  private probe(seconds: number, tookMs: Quantiles): Promise<void> {
    const total = Math.max(1, Math.round(PROBES_PER_SECOND * seconds));
    return paced({ perSecond: PROBES_PER_SECOND, total }, async (_, dueMs) => {
      await send(this.lab, this.people, this.beside, this.beside.members[0]!);
      tookMs.add(performance.now() - dueMs);
    });
  }

  /** How many reads there are, and how far below the head they begin: the same under every strategy. */
  private get reads(): { count: number; rounds: number } {
    const count = READS_PER_SECOND * this.seconds;
    return { count, rounds: Math.ceil(count / (this.readers.length * this.channels.length)) };
  }

  /** So that there is enough to read, however few messages a strategy counts. */
  private async fill(): Promise<void> {
    for (const channel of this.channels)
      for (let sent = 0; sent < this.reads.rounds; sent++)
        await send(this.lab, this.people, channel, this.authorOf(sent));
  }

  private async read(): Promise<{ count: number; tookMs: Quantiles }> {
    const { lab, people, channels } = this;
    const { count, rounds } = this.reads;
    const readers = await Reader.connectAll(lab, people, this.readers, { channels, rounds });
    const tookMs = new Quantiles();
    try {
      await paced({ perSecond: READS_PER_SECOND, total: count }, async (i, dueMs) => {
        await readers[i % readers.length]!.read(1);
        tookMs.add(performance.now() - dueMs);
      });
    } finally {
      for (const reader of readers) reader.close();
    }
    this.wrong.push(...readers.flatMap((reader) => reader.wrong));
    return { count, tookMs };
  }

  /** Everything counted, flushed, and held to the oracle. */
  private async rested(): Promise<{ end: Work; begin: Work }> {
    await atRest(this.lab);
    return workOf(this.lab.pool, () => this.check());
  }

  private async check(): Promise<void> {
    for (const channel of [...this.channels, this.beside])
      this.wrong.push(...(await wrongCounts(this.lab, this.people, channel)));
  }

  private async sendCounted(channel: Channel, author: CreatedUser): Promise<void> {
    await this.counting.reached(channel, await send(this.lab, this.people, channel, author));
  }

  private authorOf(turn: number): CreatedUser {
    return this.authors[turn % this.authors.length]!;
  }

  private async lag() {
    const metrics = await ServiceMetrics.of(this.lab.url('sync-worker'));
    return metrics.histogram('tidemark_flush_lag_seconds');
  }
}

function perThousand({ statements, rows }: Work, operations: number): Work {
  return { statements: (statements * 1_000) / operations, rows: (rows * 1_000) / operations };
}
