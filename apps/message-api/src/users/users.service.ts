import { Inject, Injectable } from '@nestjs/common';
import type { Consistency } from '@tidemark/channel-log';
import type { CreatedUsers, CreateUsers, Me, RevokedTokens, UpdateMe, User } from '@tidemark/contracts';
import { Database, ReadRouter, UsersStore } from '@tidemark/database';
import { Keys, RedisConnection } from '@tidemark/redis';
import { LOG, ProblemError, Revocations, type Log, type Revocation } from '@tidemark/runtime';
import { Answer } from '../answer.js';

/** Users are known to all who have a token. Their rows are the store's; the identity provider's tokens make most. */
@Injectable()
export class UsersService {
  constructor(
    private readonly database: Database,
    private readonly users: UsersStore,
    private readonly reads: ReadRouter,
    private readonly revocations: Revocations,
    private readonly redis: RedisConnection,
    private readonly keys: Keys,
    @Inject(LOG) private readonly log: Log,
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

  /** Here at once; elsewhere at the next look of each process, and gateways close sockets when Redis tells them. */
  async revokeTokens(userId: string): Promise<Answer<RevokedTokens>> {
    const revocation = await this.users.revokeTokens(userId);
    if (!revocation) throw new ProblemError('not-found', 'There is no such user.');
    this.revocations.note(revocation);
    await this.tellGateways(revocation).catch((err: unknown) =>
      this.log.debug({ err }, 'a revocation is left for the gateways to find'),
    );
    const body = { userId, validFrom: new Date(revocation.validFrom).toISOString() };
    return Answer.at(await this.database.position(), body);
  }

  private async tellGateways({ userId, validFrom }: Revocation): Promise<void> {
    const told = JSON.stringify({ type: 'tokens-revoked', validFrom });
    await this.redis.client.publish(this.keys.userTopic(userId), told);
  }

  private async found(me: Me | null): Promise<Answer<Me>> {
    if (!me) throw new ProblemError('not-found', 'There is no such user.');
    return Answer.at(await this.database.position(), me);
  }
}
