import type { Acknowledgement } from '@tidemark/contracts';
import { ChatError, errorOfRefusal } from './chat-error.js';
import { pause, pauseMs } from './pause.js';

export interface OpeningOptions {
  passive: boolean;
  /** Null: no answer came, or there is no connection. */
  say: (event: 'open' | 'close') => Promise<Acknowledgement<'open'> | null>;
  /** The gateway sends events from where it stands: what lies below is to be caught up on. */
  catchUp: () => Promise<void>;
  /** The user is not in the channel. */
  refused: () => void;
  closed: AbortSignal;
}

/** Whether a channel's events are sent: always, or to a passive connection where it wants them. */
export class Opening {
  wanted: boolean;
  private told: boolean;
  private running: Promise<void> | null = null;
  private waking = new AbortController();

  constructor(private readonly options: OpeningOptions) {
    this.wanted = this.told = !options.passive;
  }

  /** Resolves when the gateway does it, which without a connection is when there is one. @throws ChatError */
  want(wanted: boolean): Promise<void> {
    if (this.options.passive) this.wanted = wanted;
    return this.run();
  }

  /** Another connection, in which nothing is open, or the end of it all. */
  begin(): void {
    this.told = !this.options.passive;
    this.waking.abort();
    this.waking = new AbortController();
    void this.run();
  }

  private run(): Promise<void> {
    if (!this.running && this.wanted !== this.told) {
      this.running = this.align();
      // Whoever does not wait for it sees what comes of it.
      this.running.catch(() => undefined);
    }
    return this.running ?? Promise.resolve();
  }

  /** One thing at a time, so that what the gateway hears last is what is wanted now. */
  private async align(): Promise<void> {
    const { say, catchUp, refused, closed } = this.options;
    try {
      for (let attempt = 1; this.wanted !== this.told; attempt++) {
        const { wanted } = this;
        const answer = await say(wanted ? 'open' : 'close');
        if (closed.aborted) throw new ChatError('closed', 'The chat was closed.');
        if (answer?.ok) {
          this.told = wanted;
          if (wanted) await catchUp();
          continue;
        }
        const refusal = answer && errorOfRefusal(answer);
        if (refusal && !refusal.temporary) {
          this.wanted = this.told = false;
          refused();
          throw refusal;
        }
        await pause(pauseMs(attempt, refusal?.retryAfterMs), this.waking.signal);
      }
    } finally {
      // In the same breath as the last look, so that what is wanted next begins anew.
      this.running = null;
    }
  }
}
