import { setTimeout as delay } from 'node:timers/promises';
import { decodeToken } from '@tidemark/channel-log';
import type { Channel, Count, Message, Unread } from '@tidemark/contracts';
import type { Database } from '@tidemark/database';
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
} from '@tidemark/testing';
import { people, type Deed, type History } from './history.js';

interface Answer<Body> {
  status: number;
  body: Body;
  token: string;
}

interface Person {
  id: string;
  jwt: string;
  /** The term they last saw: a report made under an older one must change nothing. */
  terms: number[];
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
  private readonly answers: { userId: string; count: Count }[] = [];
  private readonly messages: { seq: number; author: number }[] = [];
  private readonly persons: Person[] = [];
  private channelId = '';
  private head = 0;
  private token = '';
  private turn = 0;

  constructor(
    private readonly stack: Stack,
    private readonly database: Database,
  ) {}

  /** @throws OracleMismatch */
  async play(history: History): Promise<void> {
    await this.begin();
    for (const round of history) await Promise.all(round.map((deed) => this.act(deed)));
    await this.check();
  }

  private async begin(): Promise<void> {
    const prefix = `p${process.pid}-${nextName++}`;
    for (let i = 0; i < people; i++) {
      const jwt = this.stack.token(`${prefix}-${i}`);
      const { body } = await this.call<{ id: string }>('message-api', jwt, 'GET', '/v1/me');
      this.persons.push({ id: body.id, jwt, terms: [] });
    }
    const owner = this.persons[0]!;
    const { body } = await this.call<Channel>('message-api', owner.jwt, 'POST', '/v1/channels', {
      name: prefix,
      visibility: 'public',
    });
    this.channelId = body.id;
    this.head = body.headSeq;
    this.ledger.joined({ userId: owner.id, channelId: this.channelId }, body.headSeq);
  }

  private async act(deed: Deed): Promise<void> {
    const at = (fraction: number) => Math.max(1, Math.round(fraction * this.head));
    const route = `/v1/channels/${this.channelId}`;
    const person = 'who' in deed ? this.persons[deed.who]! : this.persons[0]!;
    const member = { userId: person.id, channelId: this.channelId };
    const named = 'names' in deed ? deed.names.map((i) => this.persons[i]!.id) : [];
    switch (deed.kind) {
      case 'send': {
        const readTo = deed.readTo === null ? undefined : at(deed.readTo);
        const root = deed.thread ? this.messages[0]?.seq : undefined;
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
            ...(root !== undefined && { threadSeq: root }),
            ...(readTo !== undefined && { readTo }),
          },
        );
        if (status !== 201) return;
        this.head = Math.max(this.head, body.seq);
        if (root === undefined) this.messages.push({ seq: body.seq, author: deed.who });
        if (readTo !== undefined) this.ledger.sent(member, { seq: body.seq, readTo });
        return;
      }
      case 'edit':
      case 'delete': {
        const message = this.messages[deed.which % Math.max(1, this.messages.length)];
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
      case 'read': {
        const seq = at(deed.to);
        const answer = await this.call<Count>('read-status-service', person.jwt, 'PUT', `${route}/read`, {
          seq,
        });
        if (answer.status !== 200) return;
        this.ledger.read(member, answer.body);
        this.noteCount(person, answer.body);
        if (answer.body.cursor < Math.min(seq, this.head) && answer.body.term === person.terms.at(-1)) {
          throw new OracleMismatch(`A read of ${seq} was answered with the cursor at ${answer.body.cursor}`);
        }
        return;
      }
      case 'mark-unread': {
        const fromSeq = at(deed.from);
        const answer = await this.call<Count>('read-status-service', person.jwt, 'POST', `${route}/unread`, {
          fromSeq,
        });
        if (answer.status !== 200) return;
        this.ledger.markedUnread(member, answer.body);
        this.noteCount(person, answer.body);
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
        if ((await this.call('message-api', person.jwt, 'DELETE', path)).status === 204)
          this.ledger.left(member);
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
        await this.call('message-api', person.jwt, 'PATCH', `${route}/members/me`, { muted: true });
        return;
      }
      case 'look': {
        await this.look(person);
        return;
      }
    }
  }

  private async look(person: Person): Promise<Unread> {
    const { body } = await this.call<Unread>(
      ...(['read-status-service', person.jwt, 'GET', '/v1/unread'] as const),
    );
    for (const count of body.items) this.noteCount(person, count);
    return body;
  }

  private noteCount(person: Person, count: Count): void {
    if (count.threadSeq === undefined) person.terms.push(count.term);
    this.answers.push({ userId: person.id, count });
  }

  /** Both halves of the oracle: every answer as of its seq, and where everyone stands now. */
  private async check(): Promise<void> {
    const replay = await LogReplay.ofChannel(this.database, this.channelId);
    const differences: Difference[] = this.answers.flatMap(({ userId, count }) =>
      checkAnswer(replay, userId, count),
    );
    if (differences.length > 0) throw new OracleMismatch(showDifferences(differences));

    await this.checkStanding(replay);
  }

  /** Everybody reads up to the head, so that something was acknowledged a moment ago. */
  async readAll(): Promise<void> {
    const round = this.persons.map((_, who): Deed => ({ kind: 'read', who, to: 1, stale: false }));
    await Promise.all(round.map((deed) => this.act(deed)));
  }

  /** Redis has died. What it may take along of what was acknowledged: down to what PostgreSQL has. */
  redisDied(stored: readonly StoredMember[]): void {
    this.ledger.afterLoss(stored);
  }

  /** Where everyone stands after it, and that the counts are those from there. How many stand lower than acknowledged. */
  async checkAfterLoss(): Promise<number> {
    return this.checkStanding(await LogReplay.ofChannel(this.database, this.channelId));
  }

  private async checkStanding(replay: LogReplay): Promise<number> {
    let lower = 0;
    const expected = this.ledger.expected(new Map([[this.channelId, replay]]));
    for (const person of this.persons) {
      // Asked with the last token of the channel: from a state that includes all that happened.
      const { body } = await this.call<Unread>(
        ...(['read-status-service', person.jwt, 'GET', '/v1/unread', undefined, this.token] as const),
      );
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
      const { term, cursor } = wanted.acknowledged;
      if (isBelow(found, wanted.acknowledged)) lower += 1;
      // Without a loss the floor is what was acknowledged.
      const isBetween = !isBelow(found, wanted.floor) && !isBelow(wanted.acknowledged, found);
      const isOneOf = wanted.unanswered.some((other) => !isBelow(found, other) && !isBelow(other, found));
      if (!isBetween && !isOneOf) {
        throw new OracleMismatch(
          `User ${person.id} was acknowledged term ${term} cursor ${cursor}, and stands at ${found.term} ${found.cursor}`,
        );
      }
      const [truth] = await recount(this.database, [
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

  private async call<Body>(
    service: 'message-api' | 'read-status-service',
    jwt: string,
    method: string,
    path: string,
    body?: object,
    token?: string,
  ): Promise<Answer<Body>> {
    const replicas = this.stack.services[service];
    const { url } = replicas[this.turn++ % replicas.length]!;
    const ask = () =>
      fetch(`${url}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${jwt}`,
          ...(body && { 'content-type': 'application/json' }),
          ...(token && { 'tidemark-token': token }),
        },
        ...(body && { body: JSON.stringify(body) }),
      });
    let response = await ask();
    let text = await response.text();
    // Rather than guess, a service that is kept waiting on a busy machine says that it is to be asked again.
    for (let left = 10; left > 0 && response.status === 503 && method === 'GET'; left--) {
      await delay(200);
      response = await ask();
      text = await response.text();
    }
    if (response.status >= 500) throw new Error(`${method} ${path} answered ${response.status}: ${text}`);
    const said = response.headers.get('tidemark-token');
    if (said && service === 'message-api' && method !== 'GET') this.keep(said);
    return { status: response.status, body: (text ? JSON.parse(text) : null) as Body, token: said ?? '' };
  }

  /** The token of the highest seq: what it speaks of includes all before. */
  private keep(token: string): void {
    const seq = decodeToken(token)?.seq ?? 0;
    if (seq >= this.head || this.token === '') this.token = token;
    this.head = Math.max(this.head, seq);
  }
}
