import { Inject, Injectable } from '@nestjs/common';
import type { ClosingCode, Notice } from '@tidemark/contracts';
import { Keys } from '@tidemark/redis';
import { Metrics, Revocations, type Revocation } from '@tidemark/runtime';
import { Topics } from '../topics/topics.js';
import type { Connection } from './connection.js';

type Membership = { type: 'membership'; channelId: string };
type TokensRevoked = { type: 'tokens-revoked'; validFrom: number };
/** `except`: the connection that knows it already. */
type Notices = { type: 'notices'; notices: Notice[]; except?: string };
type Said = Membership | TokensRevoked | Notices;

/** The connections of this gateway, by user, and what is said to users alone. */
@Injectable()
export class Connections {
  private readonly byUser = new Map<string, Set<Connection>>();
  private readonly all = new Set<Connection>();
  private onMembership: (userId: string, channelId: string) => void = () => undefined;

  constructor(
    private readonly topics: Topics,
    private readonly keys: Keys,
    private readonly revocations: Revocations,
    @Inject(Metrics) metrics: Metrics,
  ) {
    revocations.onNoted((revocation) => this.closeRevoked(revocation));
    metrics.gauge('connections', 'Sockets that are connected.', [], (gauge) => gauge.set(this.all.size));
  }

  get size(): number {
    return this.all.size;
  }

  userIds(): string[] {
    return [...this.byUser.keys()];
  }

  of(userId: string): readonly Connection[] {
    return [...(this.byUser.get(userId) ?? [])];
  }

  everyone(): readonly Connection[] {
    return [...this.all];
  }

  /** Somebody is told when memberships of connected users change. */
  whenMembershipChanges(listener: (userId: string, channelId: string) => void): void {
    this.onMembership = listener;
  }

  /** Resolves when the user's topic is heard: what changes from then on is noticed. */
  async add(connection: Connection): Promise<void> {
    const { userId } = connection;
    this.all.add(connection);
    const ofUser = this.byUser.get(userId) ?? new Set();
    this.byUser.set(userId, ofUser.add(connection));
    const listener = (message: string) => this.hear(userId, message);
    await this.topics.subscribe([{ topic: this.keys.userTopic(userId), listener }]);
  }

  remove(connection: Connection): void {
    const { userId } = connection;
    const ofUser = this.byUser.get(userId);
    this.all.delete(connection);
    if (!ofUser?.delete(connection) || ofUser.size > 0) return;
    this.byUser.delete(userId);
    this.topics.unsubscribe(this.keys.userTopic(userId));
  }

  closeAll(code: ClosingCode): void {
    for (const connection of this.everyone()) connection.close(code);
  }

  private closeRevoked({ userId, validFrom }: Revocation): void {
    for (const connection of this.of(userId)) {
      if (connection.issuedAt.getTime() < validFrom) connection.close('unauthenticated');
    }
  }

  private hear(userId: string, message: string): void {
    const said = JSON.parse(message) as Said;
    if (said.type === 'membership') return this.onMembership(userId, said.channelId);
    if (said.type === 'tokens-revoked') {
      return this.revocations.note({ userId, validFrom: said.validFrom });
    }
    for (const connection of this.byUser.get(userId) ?? []) {
      if (connection.id === said.except) continue;
      for (const notice of said.notices) connection.outbox.notify(notice);
    }
  }
}
