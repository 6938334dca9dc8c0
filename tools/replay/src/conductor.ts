import { setTimeout as delay } from 'node:timers/promises';
import type { AddedMembers, Message, SendMessageInput } from '@tidemark/contracts';
import type { Queryable } from '@tidemark/testing';
import { RefusedError } from './api.js';
import type { Device } from './device.js';
import type { ScriptChannel, SendStep, Step } from './logs/script.js';
import type { Person } from './people.js';
import type { Random } from './random.js';
import type { RunState } from './run-state.js';

/** Sends of one channel that may be on their way at the same time. */
const PIPELINE_MAX = 32;
/** How often an author who is connected says what was on their screen. */
const READ_TO_CHANCE = 0.4;

export interface ConductorOptions {
  state: RunState;
  random: Random;
  database: Queryable;
  people: readonly Person[];
  /** The clients of those who are connected. */
  deviceOf: ReadonlyMap<Person, Device>;
  /** Messages a second; as fast as possible without it. */
  perSecondMax?: number;
  onSent: () => void;
}

/** Plays a script: each channel's steps in their order, all channels at once. */
export class Conductor {
  private readonly startedAtMs = performance.now();
  private paced = 0;
  private sends = 0;
  /** What each send was answered with: `channelId:seq`, by clientId. */
  readonly sent = new Map<string, string>();
  /** What a send became, for those that answer it. */
  private readonly seqs = new Map<SendStep, Promise<number>>();

  constructor(private readonly options: ConductorOptions) {}

  async play(channel: ScriptChannel, channelId: string): Promise<void> {
    const underWay = new Set<Promise<unknown>>();
    // Who speaks without having joined joins first; only their own sends wait for it.
    const joins = new Map<number, Promise<void>>();
    let failure: unknown;
    const follow = <Result>(work: Promise<Result>): Promise<Result> => {
      underWay.add(work);
      work.then(
        () => underWay.delete(work),
        (error: unknown) => {
          underWay.delete(work);
          failure ??= error;
        },
      );
      return work;
    };
    const settle = async () => {
      await Promise.allSettled(underWay);
      if (failure !== undefined) throw failure as Error;
    };
    let moving = false;
    for (const step of channel.steps) {
      if (failure !== undefined || (moving && (step.do === 'send' || step.implied))) await settle();
      if (step.do === 'send') {
        await this.pace();
        while (underWay.size >= PIPELINE_MAX) await Promise.race(underWay).catch(() => undefined);
        this.seqs.set(step, follow(this.send(channelId, step, joins.get(step.user))));
      } else if (step.implied) {
        joins.set(step.user, follow(this.move(channelId, step)));
      } else {
        // Who comes and goes does so between what was said before and what is said after. Several who follow each
        // other need not wait for each other; each waits for their own turn.
        if (!moving) await settle();
        void follow(this.move(channelId, step));
        joins.delete(step.user);
      }
      moving = step.do !== 'send' && !step.implied;
    }
    await settle();
  }

  private async send(channelId: string, step: SendStep, joined: Promise<void> | undefined): Promise<number> {
    const { state, people, deviceOf, random, onSent } = this.options;
    const person = people[step.user]!;
    const [answered] = await Promise.all([step.answers ? this.seqs.get(step.answers) : undefined, joined]);
    const clientId = `replay-${this.sends++}`;
    const message: SendMessageInput = {
      clientId,
      text: step.text,
      mentions: step.mentions.map((named) => people[named]!.id),
      ...(answered !== undefined && { replyTo: answered }),
    };
    const device = deviceOf.get(person);
    const readsOnScreen = device !== undefined && !person.quiet && random.chance(READ_TO_CHANCE);
    const post = async (readTo?: number) => {
      state.sentAtMs.set(clientId, performance.now());
      const { body } = await state.api.ask<Message>({
        ...{ service: 'message-api', method: 'POST', path: `/v1/channels/${channelId}/messages` },
        token: person.token(step.name),
        body: readTo === undefined ? message : { ...message, readTo },
      });
      if (readTo !== undefined) {
        state.tally.sendsWithReadTo += 1;
        state.ledger.sent({ userId: person.id, channelId }, { seq: body.seq, readTo });
      }
      return body.seq;
    };
    const seq = readsOnScreen
      ? await person.inTurn(channelId, () => post(device.delivery.seen(channelId) || undefined))
      : await post();
    this.sent.set(clientId, `${channelId}:${seq}`);
    state.tally.sent += 1;
    onSent();
    return seq;
  }

  private move(channelId: string, step: Exclude<Step, SendStep>): Promise<void> {
    const person = this.options.people[step.user]!;
    return person.inTurn(channelId, () =>
      step.do === 'join' ? this.join(channelId, person) : this.part(channelId, person),
    );
  }

  private async join(channelId: string, person: Person): Promise<void> {
    const { state } = this.options;
    const member = { userId: person.id, channelId };
    const term = state.ledger.termOfJoin(member);
    const { body, attempts } = await state.api.ask<AddedMembers>({
      ...{ service: 'message-api', method: 'POST', path: `/v1/channels/${channelId}/members` },
      ...{ token: person.token(), body: { userIds: [person.id] } },
    });
    // An earlier attempt that was not answered may have been the join: the log knows its seq.
    const seq = body.added === 0 ? await this.seqOfJoin(member) : body.seq;
    if (body.added === 0 && attempts === 1)
      throw new Error(`${person.name} was in channel ${channelId} already`);
    state.ledger.joined(member, seq, term);
    state.tally.joins += 1;
  }

  private async part(channelId: string, person: Person): Promise<void> {
    const { state } = this.options;
    const member = { userId: person.id, channelId };
    try {
      await state.api.ask({
        ...{
          service: 'message-api',
          method: 'DELETE',
          path: `/v1/channels/${channelId}/members/${person.id}`,
        },
        token: person.token(),
      });
    } catch (error) {
      const isGone = error instanceof RefusedError && [403, 404].includes(error.status);
      if (!isGone || !(await this.hasLeft(member))) throw error;
    }
    state.ledger.left(member);
    state.tally.parts += 1;
  }

  private async seqOfJoin({ userId, channelId }: { userId: string; channelId: string }): Promise<number> {
    const { rows } = await this.options.database.query<{ seq: string }>(
      `SELECT max(seq) AS seq FROM channel_events
        WHERE channel_id = $1 AND type = 'member.joined' AND $2::bigint = ANY (user_ids)`,
      [channelId, userId],
    );
    return Number(rows[0]?.seq);
  }

  private async hasLeft({ userId, channelId }: { userId: string; channelId: string }): Promise<boolean> {
    const { rows } = await this.options.database.query(
      'SELECT FROM channel_members WHERE channel_id = $1 AND user_id = $2 AND left_seq IS NOT NULL',
      [channelId, userId],
    );
    return rows.length > 0;
  }

  private async pace(): Promise<void> {
    const { perSecondMax } = this.options;
    if (perSecondMax === undefined) return;
    const dueAtMs = this.startedAtMs + (this.paced++ / perSecondMax) * 1000;
    const earlyMs = dueAtMs - performance.now();
    if (earlyMs > 1) await delay(earlyMs);
  }
}
