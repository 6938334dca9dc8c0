import type { Count } from '@tidemark/contracts';
import { until } from '../client/gathering.js';
import { breathe, Crowd, type Answer } from '../outages/crowd.js';
import type { FaultyStack } from './faulty-stack.js';

interface Unanswered {
  who: number;
  seq: number;
  /** For the ledger: it is answered. */
  answered: () => void;
}

/** Seqs of a new channel: its owner enters it, then all others at once. */
const ownerJoins = 2;
const othersJoin = 3;
let names = 0;

/**
 * People in a channel, whose every acknowledged send and read is noted. Once they are let go everybody sends and reads
 * as fast as they are answered, but for the last one: nothing covers what is counted wrongly for them.
 */
export class BusyCrowd {
  /** By clientId: the seqs of the sends that were answered. */
  readonly accepted = new Map<string, number>();
  private readonly unanswered: Unanswered[] = [];
  private readonly rounds: number[];
  private head = othersJoin;
  private ending = false;
  private clients: Promise<void>[] = [];

  private constructor(
    private readonly world: FaultyStack,
    private readonly crowd: Crowd,
  ) {
    this.rounds = crowd.userIds.slice(0, -1).map(() => 0);
  }

  static async gather(world: FaultyStack, size = 4): Promise<BusyCrowd> {
    const crowd = await Crowd.gather(world.stack, size);
    crowd.userIds.forEach((userId, i) => {
      world.people.set(userId, crowd.jwts[i]!);
      const seq = i === 0 ? ownerJoins : othersJoin;
      world.ledger.joined({ userId, channelId: crowd.channelId }, seq);
    });
    return new BusyCrowd(world, crowd);
  }

  get channelId(): string {
    return this.crowd.channelId;
  }

  userId(who: number): string {
    return this.crowd.userIds[who]!;
  }

  begin(): void {
    this.clients = this.rounds.map((_, who) => this.sendAndRead(who));
  }

  /** Resolves when everybody has been answered a few times more. */
  async goOn(): Promise<void> {
    const before = [...this.rounds];
    await until(() => this.rounds.every((rounds, who) => rounds >= before[who]! + 3), { withinMs: 60_000 });
  }

  /**
   * Everybody rests. Reads that were never answered are said again, though later ones have been acknowledged: so does a
   * device that comes back.
   */
  async end(): Promise<void> {
    this.ending = true;
    await Promise.all(this.clients);
    for (const { who, seq, answered } of this.unanswered.splice(0)) {
      const { body } = await this.untilAnswered(() => this.report(who, seq));
      answered();
      this.world.ledger.read(this.member(who), body);
    }
  }

  /** Somebody who was not here before, and whom Redis knows nothing of. */
  async admit(): Promise<void> {
    const jwt = this.world.stack.token(`newcomer${names++}`);
    const me = await this.crowd.call<{ id: string }>('message-api', jwt, 'GET', '/v1/me');
    const { body } = await this.crowd.call<{ seq: number }>(
      ...(['message-api', this.crowd.jwts[0]!, 'POST', `/v1/channels/${this.channelId}/members`] as const),
      { userIds: [me.body.id] },
    );
    this.world.people.set(me.body.id, jwt);
    this.world.ledger.joined({ userId: me.body.id, channelId: this.channelId }, body.seq);
  }

  /** Sends until it is answered, as every client does. */
  async send(who: number): Promise<number> {
    const clientId = `m${names++}`;
    const { body } = await this.untilAnswered(() => this.crowd.send(who, clientId));
    this.accepted.set(clientId, body.seq);
    this.head = Math.max(this.head, body.seq);
    return body.seq;
  }

  /** Reads up to the newest, said once. */
  async read(who: number): Promise<void> {
    const seq = this.head;
    const answered = this.world.ledger.attempt(this.member(who), { cursor: seq });
    const { status, body } = await this.report(who, seq);
    if (status !== 200) {
      this.unanswered.push({ who, seq, answered });
      return;
    }
    answered();
    this.world.ledger.read(this.member(who), body);
  }

  private async sendAndRead(who: number): Promise<void> {
    while (!this.ending) {
      await this.send(who);
      await this.read(who);
      this.rounds[who]! += 1;
      await breathe();
    }
  }

  private report(who: number, seq: number): Promise<Answer<Count>> {
    const path = `/v1/channels/${this.channelId}/read`;
    return this.crowd.call<Count>('read-status-service', this.crowd.jwts[who]!, 'PUT', path, { seq });
  }

  private async untilAnswered<Body>(ask: () => Promise<Answer<Body>>): Promise<Answer<Body>> {
    for (;;) {
      const answer = await ask();
      if (answer.status === 200 || answer.status === 201) return answer;
      if (answer.status !== 0 && answer.status !== 503) throw new Error(`Answered with ${answer.status}`);
      await breathe();
    }
  }

  private member(who: number) {
    return { userId: this.userId(who), channelId: this.channelId };
  }
}
