import { Inject, Injectable } from '@nestjs/common';
import { CONFIG, Drain, LOG, Metrics, type Config, type Log } from '@tidemark/runtime';
import { throughDueChannels } from './due-channels.js';
import { LogPruningStore } from './log-pruning.store.js';

/** Rows a transaction: some milliseconds for which the channel takes no sends. */
const ROWS_MAX = 1_000;

/** Keeps the log to LOG_RETENTION_DAYS. Whoever asks for older events is told to refetch. */
@Injectable()
export class LogPruning {
  private readonly pruned;

  constructor(
    @Inject(CONFIG) private readonly config: Pick<Config, 'logRetentionDays'>,
    @Inject(LOG) private readonly appLog: Log,
    @Inject(Metrics) metrics: Metrics,
    @Inject(Drain) private readonly drain: Drain,
    @Inject(LogPruningStore) private readonly store: LogPruningStore,
  ) {
    this.pruned = metrics.counter(
      'log_pruned_total',
      'Log rows removed because they were older than the retention.',
    );
  }

  /** How many rows went. */
  async run(): Promise<number> {
    const { logRetentionDays } = this.config;
    let pruned = 0;
    await throughDueChannels(
      this.drain,
      (afterId, limit) => this.store.candidates(afterId, logRetentionDays, limit),
      async (channelId) => {
        const removed = await this.store.prune(channelId, logRetentionDays, ROWS_MAX);
        pruned += removed;
        this.pruned.inc(removed);
        return removed === ROWS_MAX;
      },
    );
    if (pruned > 0) this.appLog.info({ pruned }, 'log pruned');
    return pruned;
  }
}
