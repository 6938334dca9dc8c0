import { Inject, Injectable } from '@nestjs/common';
import { forgetReadTraces, Keys, noteReadTraces, RedisConnection } from '@tidemark/redis';
import { CONFIG, keptUnder, LOG, type Config, type Log, type TraceParent } from '@tidemark/runtime';

interface TracedRead {
  userId: string;
  channelId: string;
  trace?: TraceParent;
}

/** Leaves word for the flush of the traced reads that it will store. A word that is lost is a link that is missing. */
@Injectable()
export class ReadTraces {
  private readonly flushed;

  constructor(
    @Inject(CONFIG) config: Config,
    @Inject(LOG) private readonly log: Log,
    @Inject(RedisConnection) private readonly redis: RedisConnection,
    @Inject(Keys) private readonly keys: Keys,
  ) {
    this.flushed = keptUnder[config.readStatusStrategy].stored === 'by-flush';
  }

  /** `advance` moves cursors, answering in the order of `reads`. */
  async follow<Standing extends { moved: boolean } | null>(
    reads: readonly TracedRead[],
    advance: () => Promise<Standing[]>,
  ): Promise<Standing[]> {
    const traced = reads.filter((read): read is Required<TracedRead> => read.trace !== undefined);
    if (traced.length === 0 || !this.flushed) return advance();
    // Before: once a cursor is dirty, a flush may come at any moment.
    await this.try(() => noteReadTraces(this.redis.client, this.keys, traced));
    const standings = await advance();
    const unmoved = reads.filter(({ trace }, i) => trace !== undefined && !standings[i]?.moved);
    await this.try(() => forgetReadTraces(this.redis.client, this.keys, unmoved));
    return standings;
  }

  private async try(work: () => Promise<void>): Promise<void> {
    await Promise.resolve()
      .then(work)
      .catch((err: unknown) => this.log.debug({ err }, 'traces of reads'));
  }
}
