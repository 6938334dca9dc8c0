import { Injectable } from '@nestjs/common';
import { LogStore, type MembershipRow } from '@tidemark/channel-log';
import { Database } from '@tidemark/database';
import { ProblemError } from '@tidemark/runtime';
import type { Stretch } from '../feeds/sent-ranges.js';

/** Who is in which channel, since and until which seq. From the primary: a replica may not know yet. */
@Injectable()
export class MembershipsStore {
  private asked = new Map<string, { userIds: Set<string>; answer: Promise<Map<string, MembershipRow>> }>();

  constructor(
    private readonly log: LogStore,
    private readonly database: Database,
  ) {}

  /** All of a user, those that have ended too, by channel. */
  async ofUser(userId: string): Promise<Map<string, MembershipRow>> {
    const rows = await this.log.memberships({ userId });
    return new Map(rows.map((membership) => [membership.channelId, membership]));
  }

  /** What who is not in a channel is told of it. */
  async refusal(channelId: string): Promise<ProblemError> {
    const { rows } = await this.database.query<{ visibility: 'public' | 'private' }>(
      'SELECT visibility FROM channels WHERE id = $1',
      [channelId],
    );
    return rows[0]?.visibility === 'public'
      ? new ProblemError('forbidden', 'Join the channel first.')
      : new ProblemError('not-found', 'There is no such channel.');
  }

  ofUsers(userIds: readonly string[]): Promise<Map<string, MembershipRow[]>> {
    return this.log.membershipsOf(userIds);
  }

  /** One, as it stands. A thousand members added at once are asked for together. */
  async find(channelId: string, userId: string): Promise<MembershipRow | undefined> {
    const asked = this.asked.get(channelId) ?? this.askSoon(channelId);
    asked.userIds.add(userId);
    return (await asked.answer).get(userId);
  }

  /**
   * Where in (`after`, `before`) of channels the user was a member before their present stay, by the joins and
   * leaves in the log. Of what a channel says without them, nothing is theirs to see.
   */
  async earlierStays(
    userId: string,
    spans: readonly { channelId: string; after: number; before: number }[],
  ): Promise<Map<string, Stretch[]>> {
    const { rows } = await this.database.query<{ channelId: string; seq: string; type: string }>(
      `SELECT e.channel_id AS "channelId", e.seq, e.type
         FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS span(channel_id, after, before)
         JOIN channel_events e ON e.channel_id = span.channel_id AND e.seq > span.after AND e.seq < span.before
        WHERE e.type IN ('member.joined', 'member.left') AND e.user_ids @> ARRAY[$1::bigint]
        ORDER BY e.channel_id, e.seq`,
      [
        userId,
        spans.map(({ channelId }) => channelId),
        spans.map(({ after }) => after),
        spans.map(({ before }) => before),
      ],
    );
    const stays = new Map<string, Stretch[]>();
    for (const { channelId, after } of spans) {
      // Who left without having joined was there all along.
      let from: number | null = after + 1;
      const stretches: Stretch[] = [];
      for (const row of rows) {
        if (row.channelId !== channelId) continue;
        if (row.type === 'member.joined') from = Number(row.seq);
        else if (from !== null) stretches.push({ from, to: Number(row.seq) });
        if (row.type === 'member.left') from = null;
      }
      stays.set(channelId, stretches);
    }
    return stays;
  }

  private askSoon(channelId: string) {
    const userIds = new Set<string>();
    const answer = new Promise<void>((resolve) => setImmediate(resolve)).then(async () => {
      this.asked.delete(channelId);
      const rows = await this.log.memberships({ channelId, userIds: [...userIds] });
      return new Map(rows.map((membership) => [membership.userId, membership]));
    });
    const asked = { userIds, answer };
    this.asked.set(channelId, asked);
    return asked;
  }
}
