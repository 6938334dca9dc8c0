import { setImmediate as nextTurn } from 'node:timers/promises';
import { Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import type { User } from '@tidemark/contracts';
import { Keys } from '@tidemark/redis';
import { LOG, type Log } from '@tidemark/runtime';
import { Connections } from '../connections/connections.js';
import { Lane } from '../connections/lane.js';
import { Topics } from '../topics/topics.js';
import { UserProfiles } from './user-profiles.js';

const usersPerReadMax = 1_000;
/** Connections times users: an import that renames a thousand must not hold up events. */
const looksPerTurn = 1_000;

/**
 * Whose profile changes is shown anew: connections that were told of the user are told again. What is heard is only that
 * somebody changed, and they are read then, so that no order of publications can leave an old name behind.
 */
@Injectable()
export class ProfileChanges implements OnApplicationBootstrap {
  /** One after the other, or a longer one would end with what a shorter one had overtaken. */
  private readonly lane = new Lane();

  constructor(
    private readonly topics: Topics,
    private readonly connections: Connections,
    private readonly profiles: UserProfiles,
    private readonly keys: Keys,
    @Inject(LOG) private readonly log: Log,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    this.profiles.whenChanged((users) => this.tell(users));
    const listener = (message: string) => void this.look(JSON.parse(message) as string[]);
    await this.topics.subscribe([{ topic: this.keys.profilesTopic, listener }]);
  }

  /** After a cut: changes may have gone untold. Whom we do not hold any more is introduced again when spoken of. */
  async resync(): Promise<void> {
    const userIds = this.profiles.heldIds();
    for (let from = 0; from < userIds.length; from += usersPerReadMax) {
      this.tell(await this.profiles.reread(userIds.slice(from, from + usersPerReadMax)));
    }
    // In its turn: until then it is known who is to be told.
    await this.lane.run(async () => {
      for (const { outbox } of this.connections.everyone()) outbox.forgetIntroduced();
    });
  }

  private async look(userIds: readonly string[]): Promise<void> {
    try {
      for (let from = 0; from < userIds.length; from += usersPerReadMax) {
        this.tell(await this.profiles.reread(userIds.slice(from, from + usersPerReadMax)));
      }
    } catch (err) {
      this.log.debug({ err }, 'profiles that changed cannot be read');
      this.profiles.expire(userIds);
    }
  }

  private tell(users: readonly User[]): void {
    if (users.length === 0) return;
    void this.lane.run(async () => {
      let looks = 0;
      for (const { outbox } of this.connections.everyone()) {
        outbox.introduceAnew(users);
        looks += users.length;
        if (looks < looksPerTurn) continue;
        looks = 0;
        await nextTurn();
      }
    });
  }
}
