import { decodeToken } from '@tidemark/channel-log';
import type { Count, Message, Unread } from '@tidemark/contracts';
import type { Keys } from '@tidemark/redis';
import type { Stack } from '@tidemark/stack';
import { recount, ThreadLedger, type Queryable, type Reply } from '@tidemark/testing';
import * as fc from 'fast-check';
import type { Redis } from 'ioredis';
import { Crowd } from '../outages/crowd.js';
import { ReportLine } from '../conformance/report-line.js';

const people = 4;

/** What somebody does; `to` and `from` are fractions of the head at that moment. */
type Deed =
  | { kind: 'root'; who: number }
  | { kind: 'reply'; who: number; root: number; names: number[]; everyone: boolean; readTo: number | null }
  | { kind: 'edit'; which: number; names: number[]; everyone: boolean }
  | { kind: 'delete'; which: number }
  | { kind: 'leave'; who: number }
  | { kind: 'join'; who: number }
  | { kind: 'read'; who: number; root: number; to: number | null }
  | { kind: 'report'; who: number; root: number; to: number; late: boolean }
  | { kind: 'mark-unread'; who: number; root: number; from: number }
  | { kind: 'read-all'; who: number }
  | { kind: 'look'; who: number };

const who = fc.nat({ max: people - 1 });
const root = fc.nat({ max: 2 });
const which = fc.nat({ max: 30 });
const names = fc.uniqueArray(who, { maxLength: 2 });
const place = fc.integer({ min: 0, max: 20 }).map((n) => n / 20);
const deed = <Kind extends Deed['kind']>(
  kind: Kind,
  weight: number,
  of: Record<string, fc.Arbitrary<unknown>>,
) => ({
  weight,
  arbitrary: fc.record({ kind: fc.constant(kind), ...of }) as unknown as fc.Arbitrary<Deed>,
});

/** One deed after the other, so that the test knows what should come of each. */
export const threadHistory: fc.Arbitrary<Deed[]> = fc.array(
  fc.oneof(
    deed('root', 1, { who }),
    deed('reply', 10, { who, root, names, everyone: fc.boolean(), readTo: fc.option(place) }),
    deed('edit', 3, { which, names, everyone: fc.boolean() }),
    deed('delete', 2, { which }),
    deed('leave', 2, { who }),
    deed('join', 3, { who }),
    deed('read', 4, { who, root, to: fc.option(place) }),
    deed('report', 3, { who, root, to: place, late: fc.boolean() }),
    deed('mark-unread', 3, { who, root, from: place }),
    deed('read-all', 1, { who }),
    deed('look', 4, { who }),
  ),
  { minLength: 1, maxLength: 60, size: 'max' },
);

/** Plays a history over all replicas, and holds the threads of GET /v1/unread to the oracle as it goes. */
export class ThreadPlayer {
  private readonly ledger = new ThreadLedger();
  private readonly present = new Set<number>();
  private readonly roots: { seq: number; author: number }[] = [];
  private readonly replies: (Reply & { author: number; deleted: boolean })[] = [];
  private head = 3;
  private names = 0;

  private constructor(
    private readonly crowd: Crowd,
    private readonly database: Queryable,
    private readonly reports: ReportLine,
  ) {
    // A new channel: created, entered by its owner, and then by the others.
    crowd.userIds.forEach((userId, i) => this.enter(i, userId, i === 0 ? 2 : 3));
  }

  static async play(
    stack: Stack,
    engines: { database: Queryable; redis: Redis; keys: Keys },
    history: readonly Deed[],
  ): Promise<void> {
    const reports = await ReportLine.open(engines.redis, engines.keys);
    try {
      const player = new ThreadPlayer(await Crowd.gather(stack, people), engines.database, reports);
      await player.act({ kind: 'root', who: 0 });
      for (const each of history) await player.act(each);
      for (let i = 0; i < people; i++) await player.look(i);
    } finally {
      reports.close();
    }
  }

  private async act(deed: Deed): Promise<void> {
    const { channelId } = this.crowd;
    const at = (fraction: number) => Math.round(fraction * this.head);
    const thread = 'root' in deed ? this.roots[deed.root % this.roots.length] : undefined;
    const threadSeq = thread?.seq ?? 0;
    const member = { userId: this.crowd.userIds['who' in deed ? deed.who : 0]!, channelId };
    const isMember = 'who' in deed && this.present.has(deed.who);
    const mentions = 'names' in deed ? deed.names.map((i) => this.crowd.userIds[i]!) : [];
    switch (deed.kind) {
      case 'root':
      case 'reply': {
        const { readTo, everyone } = deed.kind === 'reply' ? deed : { readTo: null, everyone: false };
        const { status, body } = await this.change<Message>(deed.who, 'POST', '/messages', {
          ...{ clientId: `c${this.names++}`, text: 'x', mentions, mentionsAll: everyone },
          ...(deed.kind === 'reply' && { threadSeq }),
          ...(readTo !== null && { readTo: at(readTo) }),
        });
        expect(status).toBe(isMember ? 201 : 403);
        if (!isMember) return;
        if (deed.kind === 'root') {
          this.roots.push({ seq: body.seq, author: deed.who });
          return;
        }
        const rootAuthorId = this.crowd.userIds[thread!.author]!;
        const reply = {
          channelId,
          threadSeq,
          seq: body.seq,
          authorId: member.userId,
          rootAuthorId,
          mentions,
        };
        this.ledger.replied(reply);
        this.replies.push({ ...reply, author: deed.who, deleted: false });
        return;
      }
      case 'edit':
      case 'delete': {
        const reply = this.replies[deed.which % Math.max(1, this.replies.length)];
        if (!reply || reply.deleted || !this.present.has(reply.author)) return;
        const path = `/messages/${reply.seq}`;
        if (deed.kind === 'delete') {
          reply.deleted = true;
          expect(await this.change(reply.author, 'DELETE', path)).toMatchObject({ status: 204 });
          return;
        }
        const body = { text: `y${this.names++}`, mentions, mentionsAll: deed.everyone };
        expect(await this.change(reply.author, 'PATCH', path, body)).toMatchObject({ status: 200 });
        for (const userId of mentions) {
          if (!reply.mentions.includes(userId)) this.ledger.named(reply, userId);
        }
        reply.mentions = mentions;
        return;
      }
      case 'leave': {
        if (!isMember) return;
        expect(await this.change(deed.who, 'DELETE', `/members/${member.userId}`)).toMatchObject({
          status: 204,
        });
        this.present.delete(deed.who);
        this.ledger.left(member);
        return this.look(deed.who);
      }
      case 'join': {
        if (isMember) return;
        const body = { userIds: [member.userId] };
        const answer = await this.change<{ seq: number }>(deed.who, 'POST', '/members', body);
        this.enter(deed.who, member.userId, answer.body.seq);
        return this.look(deed.who);
      }
      case 'read': {
        const seq = deed.to === null ? undefined : at(deed.to);
        const { status, body } = await this.ask<Count>(deed.who, 'PUT', `/v1/channels/${channelId}/read`, {
          ...{ threadSeq, ...(seq !== undefined && { seq }) },
        });
        expect(status).toBe(isMember ? 200 : 403);
        if (!isMember) return;
        this.ledger.read(member, threadSeq, seq ?? this.head);
        await this.hold(deed.who, body, threadSeq, seq ?? this.head);
        return;
      }
      case 'report': {
        const held = this.expected(deed.who).find((follow) => follow.threadSeq === threadSeq);
        const term = Math.max(0, (held?.term ?? 0) - (deed.late ? 1 : 0));
        const report = { channelId, threadSeq, seq: at(deed.to), term };
        const counts = (await this.reports.say(member.userId, [report]))!;
        expect(counts).toHaveLength(isMember ? 1 : 0);
        if (!isMember) return;
        this.ledger.read(member, threadSeq, at(deed.to), term);
        await this.hold(deed.who, counts[0]!, threadSeq, at(deed.to));
        return;
      }
      case 'mark-unread': {
        const fromSeq = Math.max(1, at(deed.from));
        const url = `/v1/channels/${channelId}/unread`;
        const { status, body } = await this.ask<Count>(deed.who, 'POST', url, { fromSeq, threadSeq });
        expect(status).toBe(isMember ? 200 : 403);
        if (!isMember) return;
        this.ledger.markedUnread(member, threadSeq, fromSeq);
        await this.hold(deed.who, body, threadSeq, fromSeq - 1);
        return;
      }
      case 'read-all': {
        const follows = this.expected(deed.who);
        const counts = await recount(this.database, follows);
        expect(await this.ask(deed.who, 'POST', '/v1/read-all', {})).toMatchObject({ status: 200 });
        follows.forEach((follow, i) => {
          if (counts[i]!.unread > 0) this.ledger.read(follow, follow.threadSeq, this.head);
        });
        return;
      }
      case 'look':
        return this.look(deed.who);
    }
  }

  /** All that one of them follows, with every count, against the oracle's. */
  private async look(who: number): Promise<void> {
    const follows = this.expected(who);
    const counts = await recount(this.database, follows);
    const { body } = await this.ask<Unread>(who, 'GET', '/v1/unread');
    const threads = body.items.filter(({ threadSeq }) => threadSeq !== undefined);
    expect(threads).toEqual(
      follows.map(({ channelId, threadSeq, term, cursor }, i) => ({
        ...{ channelId, threadSeq, term, cursor, ...counts[i]! },
        lastReadAt: threads[i]?.lastReadAt,
      })),
    );
    const [channel] = body.items.filter(({ threadSeq }) => threadSeq === undefined);
    const ofThreads = counts.reduce((sum, { unread }) => sum + unread, 0);
    const ofChannel = channel?.unread ?? 0;
    expect(body).toMatchObject({
      ...{ channels: ofChannel, threads: ofThreads, total: ofChannel + ofThreads },
      mentions: counts.reduce((sum, { mentions }) => sum + mentions, channel?.mentions ?? 0),
    });
    expect(channel !== undefined).toBe(this.present.has(who));
  }

  /** One answer: where they stand if they follow, else where they asked for. */
  private async hold(who: number, count: Count, threadSeq: number, asked: number): Promise<void> {
    const userId = this.crowd.userIds[who]!;
    const { channelId } = this.crowd;
    const { term, cursor } = this.expected(who).find((follow) => follow.threadSeq === threadSeq) ?? {
      ...{ term: 0, cursor: asked },
    };
    const [truth] = await recount(this.database, [{ channelId, userId, cursor, threadSeq }]);
    expect(count).toEqual({ channelId, threadSeq, term, cursor, ...truth!, lastReadAt: count.lastReadAt });
  }

  private expected(who: number) {
    return this.ledger.expected(this.crowd.userIds[who]!);
  }

  private enter(who: number, userId: string, seq: number): void {
    this.present.add(who);
    this.ledger.joined({ userId, channelId: this.crowd.channelId }, seq);
  }

  private async change<Body>(who: number, method: string, path: string, body?: object) {
    const url = `/v1/channels/${this.crowd.channelId}${path}`;
    const answer = await this.crowd.call<Body>('message-api', this.crowd.jwts[who]!, method, url, body);
    const token = answer.headers.get('tidemark-token');
    this.head = Math.max(this.head, (token && decodeToken(token)?.seq) || 0);
    return answer;
  }

  private ask<Body>(who: number, method: string, path: string, body?: object) {
    return this.crowd.call<Body>('read-status-service', this.crowd.jwts[who]!, method, path, body);
  }
}
