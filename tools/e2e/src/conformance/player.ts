import { setTimeout as delay } from 'node:timers/promises';
import { decodeToken, encodeToken, MessagePruningStore } from '@tidemark/channel-log';
import type { Channel, Count, Message, Unread } from '@tidemark/contracts';
import type { Database } from '@tidemark/database';
import type { Keys, RedisClient } from '@tidemark/redis';
import type { Stack } from '@tidemark/stack';
import {
  checkAnswer,
  CursorLedger,
  isBelow,
  LogReplay,
  recount,
  showDifferences,
  type Difference,
  type StoredMember,
  type Version,
} from '@tidemark/testing';
import { appendNotice } from './by-hand.js';
import { FollowedThreads } from './followed-threads.js';
import { outsider, people, type Deed, type History } from './history.js';
import { Replicas, type Answer } from './replicas.js';
import { ReportLine } from './report-line.js';

interface Person {
  id: string;
  jwt: string;
}

interface Said {
  seq: number;
  author: number;
  /** null: not a reply. */
  threadSeq: number | null;
}

/** What the services run on. */
export interface Engines {
  database: Database;
  redis: RedisClient;
  keys: Keys;
}

/** What a history showed to be wrong. */
class OracleMismatch extends Error {}

let nextName = 0;

/**
 * Plays a history against the running system, over all its replicas, as clients would; notes what was
 * acknowledged, and holds every answer to the oracle.
 */
export class Player {
  private readonly ledger = new CursorLedger();
  private readonly threads = new FollowedThreads();
  private readonly answers: { userId: string; count: Count }[] = [];
  private readonly said: Said[] = [];
  private readonly persons: Person[] = [];
  private readonly replicas: Replicas;
  private readonly pruning: MessagePruningStore;
  private readonly admin: string;
  private channelId = '';
  /** The highest seq that Redis has been seen to have: reads are clamped to it. */
  private head = 0;
  private token = '';
  private turn = 0;
  private reports!: ReportLine;

  constructor(
    private readonly stack: Stack,
    private readonly engines: Engines,
    /** What is a part of what is played, and so no failure. */
    private readonly amid = { refusals: false, losses: false },
  ) {
    this.replicas = new Replicas(stack, amid.refusals);
    this.pruning = new MessagePruningStore(engines.database);
    this.admin = stack.token('conformance', { role: 'admin' });
  }

  /** @throws OracleMismatch */
  async play(history: History): Promise<void> {
    this.reports = await ReportLine.open(this.engines.redis, this.engines.keys);
    try {
      await this.begin();
      for (const round of history) await Promise.all(round.map((deed) => this.act(deed)));
      await this.check();
    } finally {
      this.reports.close();
    }
  }

  private async begin(): Promise<void> {
    const prefix = `p${process.pid}-${nextName++}`;
    const bot = { externalId: `${prefix}-${people - 1}`, name: 'bot', kind: 'bot' };
    await this.call('message-api', this.admin, 'POST', '/v1/users', { users: [bot] });
    for (let i = 0; i < people; i++) {
      const jwt = this.stack.token(`${prefix}-${i}`);
      const { body } = await this.call<{ id: string }>('message-api', jwt, 'GET', '/v1/me');
      this.persons.push({ id: body.id, jwt });
    }
    const owner = this.persons[0]!;
    const { body } = await this.call<Channel>('message-api', owner.jwt, 'POST', '/v1/channels', {
      name: prefix,
      visibility: 'public',
    });
    this.channelId = body.id;
    this.head = body.headSeq;
    this.ledger.joined({ userId: owner.id, channelId: this.channelId }, body.headSeq);
    // But for one, who has yet to join: a channel that nobody is in has nothing to count.
    const userIds = this.persons.filter((_, i) => i !== 0 && i !== outsider).map(({ id }) => id);
    const added = await this.call<{ seq: number }>(
      ...(['message-api', owner.jwt, 'POST', `/v1/channels/${this.channelId}/members`, { userIds }] as const),
    );
    for (const userId of userIds) this.ledger.joined({ userId, channelId: this.channelId }, added.body.seq);
  }

  private async act(deed: Deed): Promise<void> {
    const at = (fraction: number) => Math.max(1, Math.round(fraction * this.head));
    const route = `/v1/channels/${this.channelId}`;
    const person = 'who' in deed ? this.persons[deed.who]! : this.persons[0]!;
    const member = { userId: person.id, channelId: this.channelId };
    const named = 'names' in deed ? deed.names.map((i) => this.persons[i]!.id) : [];
    const roots = this.said.filter(({ threadSeq }) => threadSeq === null);
    const isOfThread = 'thread' in deed && deed.thread !== null && roots.length > 0;
    const threadSeq = isOfThread ? roots[deed.thread! % roots.length]!.seq : null;
    const inThread = threadSeq !== null && { threadSeq };
    switch (deed.kind) {
      case 'send': {
        const readTo = deed.readTo === null ? undefined : at(deed.readTo);
        const { status, body } = await this.call<Message>(
          'message-api',
          person.jwt,
          'POST',
          `${route}/messages`,
          {
            clientId: `c${this.turn++}`,
            text: 'x',
            mentions: named,
            mentionsAll: deed.everyone,
            ...inThread,
            ...(readTo !== undefined && { readTo }),
          },
        );
        if (status !== 201) return;
        this.head = Math.max(this.head, body.seq);
        this.said.push({ seq: body.seq, author: deed.who, threadSeq });
        if (readTo !== undefined) this.ledger.sent(member, { seq: body.seq, readTo });
        return;
      }
      case 'edit':
      case 'delete': {
        const message = this.said[deed.which % Math.max(1, this.said.length)];
        if (!message) return;
        const path = `${route}/messages/${message.seq}`;
        const author = this.persons[message.author]!;
        await (deed.kind === 'delete'
          ? this.call('message-api', author.jwt, 'DELETE', path)
          : this.call('message-api', author.jwt, 'PATCH', path, {
              text: `y${this.turn++}`,
              mentions: named,
              mentionsAll: deed.everyone,
            }));
        return;
      }
      case 'notice':
        return this.lookAt(person, await appendNotice(this.engines.database, this.channelId, person.id));
      case 'prune': {
        const seq = await this.pruning.prune(this.channelId, at(deed.to));
        if (seq !== null) await this.lookAt(person, seq);
        return;
      }
      case 'archive': {
        await this.call('message-api', this.admin, 'PATCH', route, { archived: deed.archived });
        return;
      }
      case 'read': {
        const seq = at(deed.to);
        const before = this.versionOf(person, threadSeq);
        const { status, body } = await this.call<Count>(
          ...(['read-status-service', person.jwt, 'PUT', `${route}/read`, { seq, ...inThread }] as const),
        );
        if (status !== 200) return;
        if (threadSeq === null) this.ledger.read(member, body);
        this.noteCount(person, body);
        // A mark of unread that came between the two has raised the term.
        if (body.cursor < seq && body.term === before?.term) {
          throw new OracleMismatch(`A read of ${seq} was answered with the cursor at ${body.cursor}`);
        }
        return;
      }
      case 'report': {
        // A late one is of a device that has not heard of a mark of unread: it changes nothing, and is told of no reading.
        const term = (this.ledger.versionOf(member)?.term ?? 0) - (deed.late ? 1 : 0);
        if (term < 1) return;
        const [count] = await this.report(person, { channelId: this.channelId, seq: at(deed.to), term });
        if (!count) return;
        if (!deed.late) this.ledger.read(member, count);
        this.noteCount(person, count);
        return;
      }
      case 'mark-unread': {
        const fromSeq = at(deed.from);
        const { status, body } = await this.call<Count>(
          ...([
            'read-status-service',
            person.jwt,
            'POST',
            `${route}/unread`,
            { fromSeq, ...inThread },
          ] as const),
        );
        if (status !== 200) return;
        if (threadSeq === null) this.ledger.markedUnread(member, body);
        this.noteCount(person, body);
        return;
      }
      case 'read-all': {
        await this.look(person);
        const answer = await this.call('read-status-service', person.jwt, 'POST', '/v1/read-all', {});
        // The answer says of how many channels, not up to where; a look right after it does.
        if (answer.status === 200) {
          const { items } = await this.look(person);
          for (const count of items) if (count.threadSeq === undefined) this.ledger.read(member, count);
        }
        return;
      }
      case 'leave': {
        const path = `${route}/members/${person.id}`;
        if ((await this.call('message-api', person.jwt, 'DELETE', path)).status !== 204) return;
        this.ledger.left(member);
        this.threads.left(person.id);
        return;
      }
      case 'join': {
        const { status, body } = await this.call<{ added: number; seq: number }>(
          ...(['message-api', person.jwt, 'POST', `${route}/members`, { userIds: [person.id] }] as const),
        );
        if (status !== 200 || body.added === 0) return;
        this.head = Math.max(this.head, body.seq);
        this.ledger.joined(member, body.seq);
        return;
      }
      case 'mute': {
        await this.call('message-api', person.jwt, 'PATCH', `${route}/members/me`, {
          muted: deed.muted,
        });
        return;
      }
      case 'look': {
        await this.look(person);
        return;
      }
    }
  }

  private async look(person: Person, token?: string): Promise<Unread> {
    const { body } = await this.call<Unread>(
      ...(['read-status-service', person.jwt, 'GET', '/v1/unread', undefined, token] as const),
    );
    for (const count of body.items) this.noteCount(person, count);
    return body;
  }

  /** With the token of what was done by hand, so that Redis has it afterwards where the one who looks is a member. */
  private async lookAt(person: Person, seq: number): Promise<void> {
    const token = encodeToken(await this.engines.database.position(), { channelId: this.channelId, seq });
    this.keep(token);
    const { items } = await this.look(person, token);
    if (items.some(({ threadSeq, asOfSeq }) => threadSeq === undefined && asOfSeq >= seq)) {
      this.head = Math.max(this.head, seq);
    }
  }

  private async report(person: Person, report: { channelId: string; seq: number; term: number }) {
    for (;;) {
      const counts = await this.reports.say(person.id, [report], this.amid.refusals);
      if (counts) return counts;
      await delay(200);
    }
  }

  private noteCount(person: Person, count: Count): void {
    if (count.threadSeq !== undefined) this.threads.told(person.id, count.threadSeq, count);
    this.answers.push({ userId: person.id, count });
  }

  /** Both halves of the oracle: every answer as of its seq, and where everyone stands now. */
  private async check(): Promise<void> {
    const replay = await this.replay();
    const differences: Difference[] = this.answers.flatMap(({ userId, count }) =>
      checkAnswer(replay, userId, count),
    );
    if (differences.length > 0) throw new OracleMismatch(showDifferences(differences));

    // Down to what committed before it was answered: at the time of each loss more may have been flushed.
    if (this.amid.losses)
      this.ledger.afterLoss(this.persons.map(({ id }) => nothingFlushed(id, this.channelId)));
    await this.checkStanding(replay);
  }

  /** Everybody reads up to the head, so that something was acknowledged a moment ago. */
  async readAll(): Promise<void> {
    const round = this.persons.map((_, who): Deed => ({ kind: 'read', who, to: 1, thread: null }));
    await Promise.all(round.map((deed) => this.act(deed)));
  }

  /** Redis has died. What it may take along of what was acknowledged: down to what PostgreSQL has. */
  redisDied(stored: readonly StoredMember[]): void {
    this.ledger.afterLoss(stored);
  }

  /** Where everyone stands after it, and that the counts are those from there. How many stand lower than acknowledged. */
  async checkAfterLoss(): Promise<number> {
    return this.checkStanding(await this.replay());
  }

  private async checkStanding(replay: LogReplay): Promise<number> {
    let lower = 0;
    const expected = this.ledger.expected(new Map([[this.channelId, replay]]));
    for (const person of this.persons) {
      // Asked with the last token of the channel: from a state that includes all that happened.
      const { body } = await this.call<Unread>(
        ...(['read-status-service', person.jwt, 'GET', '/v1/unread', undefined, this.token] as const),
      );
      const wrong = await this.threads.wrongIn(this.engines.database, person.id, body);
      if (wrong) throw new OracleMismatch(`User ${person.id}: ${wrong}`);
      const wanted = expected.find(({ userId }) => userId === person.id);
      const found = body.items.find(
        ({ channelId, threadSeq }) => channelId === this.channelId && threadSeq === undefined,
      );
      if (!wanted?.member) {
        if (found)
          throw new OracleMismatch(`User ${person.id} is no member and has ${JSON.stringify(found)}`);
        continue;
      }
      if (!found) throw new OracleMismatch(`User ${person.id} is a member and has no count`);
      if (isBelow(found, wanted.acknowledged)) lower += 1;
      // Without a loss the floor is what was acknowledged.
      const isBetween = !isBelow(found, wanted.floor) && !isBelow(wanted.acknowledged, found);
      const isOneOf = wanted.unanswered.some((other) => !isBelow(found, other) && !isBelow(other, found));
      if (!isBetween && !isOneOf) {
        throw new OracleMismatch(
          `User ${person.id} was acknowledged ${show(wanted.acknowledged)}, may stand at ${show(wanted.floor)}, and stands at ${show(found)}`,
        );
      }
      const [truth] = await recount(this.engines.database, [
        { channelId: this.channelId, userId: person.id, cursor: found.cursor },
      ]);
      if (
        found.asOfSeq !== replay.headSeq ||
        found.unread !== truth!.unread ||
        found.mentions !== truth!.mentions
      ) {
        throw new OracleMismatch(
          `User ${person.id}: answered ${JSON.stringify(found)}, is ${JSON.stringify(truth)}`,
        );
      }
    }
    return lower;
  }

  private replay(): Promise<LogReplay> {
    const replies = this.said.flatMap(({ seq, threadSeq }) =>
      threadSeq === null ? [] : [[seq, threadSeq] as const],
    );
    return LogReplay.ofChannel(this.engines.database, this.channelId, new Map(replies));
  }

  private versionOf({ id: userId }: Person, threadSeq: number | null): Version | null {
    return threadSeq === null
      ? this.ledger.versionOf({ userId, channelId: this.channelId })
      : this.threads.versionOf(userId, threadSeq);
  }

  private async call<Body>(...request: Parameters<Replicas['call']>): Promise<Answer<Body>> {
    const answer = await this.replicas.call<Body>(...request);
    const [service, , method] = request;
    if (answer.token && service === 'message-api' && method !== 'GET') {
      this.keep(answer.token);
      this.head = Math.max(this.head, decodeToken(answer.token)?.seq ?? 0);
    }
    return answer;
  }

  /** The token of the highest seq: what it speaks of includes all before. */
  private keep(token: string): void {
    const seqOf = (held: string) => decodeToken(held)?.seq ?? 0;
    if (this.token === '' || seqOf(token) >= seqOf(this.token)) this.token = token;
  }
}

const show = ({ term, cursor }: Version) => `term ${term} cursor ${cursor}`;

const nothingFlushed = (userId: string, channelId: string) => ({ userId, channelId, term: 0, cursor: 0 });
