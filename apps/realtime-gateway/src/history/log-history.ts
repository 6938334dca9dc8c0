import { Inject, Injectable, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { ChannelLog } from '@tidemark/channel-log';
import { LOG, type Log } from '@tidemark/runtime';

const lookEveryMs = 2_000;

/**
 * The history that all seqs are of. It changes when PostgreSQL's did (a failover, a restore): seqs may then have
 * been given anew, and nothing that was sent under the old one says anything of the new.
 */
@Injectable()
export class LogHistory implements OnApplicationBootstrap, OnApplicationShutdown {
  private known: string | null = null;
  private readonly listeners: (() => void)[] = [];
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly channelLog: ChannelLog,
    @Inject(LOG) private readonly log: Log,
  ) {}

  onChanged(listener: () => void): void {
    this.listeners.push(listener);
  }

  /** The log epoch. Whoever asks first after a change is who makes it known. */
  async current(asOf: 'now' | 'lately' = 'lately'): Promise<string> {
    const { logEpoch } = await this.channelLog.epochOfLog(asOf);
    if (this.known !== null && this.known !== logEpoch) {
      this.log.warn({ before: this.known, logEpoch }, 'the log has another history');
      this.known = logEpoch;
      for (const listener of this.listeners) listener();
    }
    this.known = logEpoch;
    return logEpoch;
  }

  onApplicationBootstrap(): void {
    const look = () => this.current().catch((err: unknown) => this.log.debug({ err }, 'log epoch'));
    this.timer = setInterval(() => void look(), lookEveryMs).unref();
  }

  onApplicationShutdown(): void {
    clearInterval(this.timer);
  }
}
