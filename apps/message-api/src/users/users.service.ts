import { Injectable } from '@nestjs/common';
import type { Consistency } from '@tidemark/channel-log';
import type { CreatedUsers, CreateUsers, Me, UpdateMe, User } from '@tidemark/contracts';
import { Database, ReadRouter, UsersStore } from '@tidemark/database';
import { ProblemError } from '@tidemark/runtime';
import { Answer } from '../answer.js';

/** Users are known to all who have a token. Their rows are the store's; the identity provider's tokens make most. */
@Injectable()
export class UsersService {
  constructor(
    private readonly database: Database,
    private readonly users: UsersStore,
    private readonly reads: ReadRouter,
  ) {}

  async get(id: string, consistency: Consistency | null): Promise<Answer<User>> {
    const answer = Answer.of(await this.reads.read(consistency, (query) => this.users.byIds([id], query)));
    const user = answer.body.get(id);
    if (!user) throw new ProblemError('not-found', 'There is no such user.');
    return answer.with(user);
  }

  /** From the primary, whatever the routing: this very request may have created me. */
  async me(id: string): Promise<Answer<Me>> {
    return this.found(await this.users.me(id));
  }

  /** Readers are listed from the primary: as of the answer, on every replica. */
  async updateMe(id: string, change: UpdateMe): Promise<Answer<Me>> {
    return this.found(await this.users.updateMe(id, change));
  }

  /** In the order asked for. One named twice is as the last entry says. */
  async upsert(users: CreateUsers['users']): Promise<Answer<CreatedUsers>> {
    const entries = new Map(users.map((user) => [user.externalId, user]));
    const stored = await this.users.upsert([...entries.values()]);
    const items = users.map(({ externalId }) => stored.get(externalId)!);
    return Answer.at(await this.database.position(), { items });
  }

  private async found(me: Me | null): Promise<Answer<Me>> {
    if (!me) throw new ProblemError('not-found', 'There is no such user.');
    return Answer.at(await this.database.position(), me);
  }
}
