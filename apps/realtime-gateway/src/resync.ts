import { Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { LOG, type Log } from '@tidemark/runtime';
import { Connections } from './connections/connections.js';
import { Feeds } from './feeds/feeds.js';
import { LogHistory } from './history/log-history.js';
import { MembershipChanges } from './memberships/membership-changes.js';
import { Topics } from './topics/topics.js';
import { ProfileChanges } from './users/profile-changes.js';

const retryMs = 500;

/** Makes up for what this gateway may not have heard: the connections are caught up without asking for it. */
@Injectable()
export class Resync implements OnApplicationBootstrap {
  private round = 0;

  constructor(
    private readonly topics: Topics,
    private readonly feeds: Feeds,
    private readonly connections: Connections,
    private readonly memberships: MembershipChanges,
    private readonly profiles: ProfileChanges,
    private readonly history: LogHistory,
    @Inject(LOG) private readonly log: Log,
  ) {}

  onApplicationBootstrap(): void {
    this.topics.onRegained(() => void this.run());
    this.history.onChanged(() => {
      this.connections.closeAll('out-of-step');
      this.feeds.forget();
    });
  }

  /** Also for who finds out otherwise that something was not heard. */
  async run(): Promise<void> {
    const round = ++this.round;
    // A later round looks at everything anew, so an earlier one need not finish.
    while (round === this.round) {
      try {
        await this.history.current();
        await this.feeds.resync();
        await this.memberships.resync();
        await this.profiles.resync();
        return;
      } catch (err) {
        this.log.warn({ err }, 'cannot look at what was missed; trying again');
        await new Promise((resume) => setTimeout(resume, retryMs));
      }
    }
  }
}
