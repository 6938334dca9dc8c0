import { setTimeout as delay } from 'node:timers/promises';
import type { Count, Unread } from '@tidemark/contracts';
import {
  compareAtRest,
  showDifferences,
  storedMembers,
  type CursorLedger,
  type CreatedUser,
} from '@tidemark/testing';
import { Counting } from './counting.js';
import type { Lab } from './lab.js';
import { atRest, heldIn, shortened } from './oracle.js';
import { Channel, send, type People } from './people.js';

const MEMBERS = 200;
const READERS = 100;
const MESSAGES = 20;
const READ = 10;
const BACK_MS_MAX = 120_000;

export interface Loss {
  reads: { acknowledged: number; lost: number };
  /** Members' counters that Redis held, and those that counted further than PostgreSQL's. */
  counters: { held: number; lost: number };
  /** Members whose count was read again afterwards; one that was not exact would be in `wrong`. */
  countsExact: number;
  wrong: string[];
}

/**
 * Kills a Redis that keeps nothing, before or after what was acknowledged is flushed, and reads everything again.
 *
 * @param ledger of all channels that there are
 */
export async function loseRedis(
  lab: Lab,
  people: People,
  ledger: CursorLedger,
  when: 'before' | 'after',
): Promise<Loss> {
  const members = await people.first(MEMBERS);
  const channel = await Channel.open(lab, members);
  for (const member of members) ledger.joined(of(member, channel), channel.cursorOf(member));
  // They joined by SQL: who was loaded before hears of it from the relay alone, which is about to be paused.
  await atRest(lab);
  const worker = lab.instance('sync-worker');
  const counting = new Counting(lab);

  await lab.keepsItsMemory(false);
  // What is flushed by chance is not what a crash at the worst moment finds.
  if (when === 'before') worker.pause();
  for (let i = 0; i < MESSAGES; i++)
    await counting.reached(channel, await send(lab, people, channel, members[0]!));
  for (const member of members.slice(-READERS)) {
    const count = await readTo(lab, people, channel, member, channel.joined + READ);
    ledger.read(of(member, channel), count);
  }
  if (when === 'after') await atRest(lab);
  const held = await heldIn(lab, channel.id, members);
  const counted = [...held].flatMap(([userId, { counted: c }]) => (c ? [{ userId, ...c }] : []));

  const countedInPostgres = new Map<string, number>();
  await lab.loseRedis(async () => {
    const stored = await storedMembers(lab.pool);
    ledger.afterLoss(stored);
    for (const { userId, channelId, counters } of stored)
      if (channelId === channel.id) countedInPostgres.set(userId, counters.countedSeq);
  });
  if (when === 'before') worker.resume();

  const readers = members.slice(-READERS);
  const cursors = new Map<string, number>();
  for (const member of members) {
    const answer = await unreadOf(lab, people, member);
    const item = answer.items.find(({ channelId }) => channelId === channel.id);
    cursors.set(member.id, item?.cursor ?? 0);
  }
  await atRest(lab);
  const logEpoch = await logEpochOf(lab, channel);
  const byId = new Map(members.map((member) => [member.id, member]));
  const { differences } = await compareAtRest({
    ...{ database: lab.pool, redis: lab.redis, keys: lab.keys, logEpoch, strategy: lab.strategy, ledger },
    askUnread: (userId) => unreadOf(lab, people, byId.get(userId)!),
    askUsers: members.map(({ id }) => id),
  });
  const wrong = differences.filter(({ allowed }) => !allowed);
  const lost = readers.filter((member) => cursors.get(member.id)! < channel.joined + READ);
  return {
    reads: { acknowledged: READERS, lost: lost.length },
    counters: {
      held: counted.length,
      lost: counted.filter(({ userId, through }) => countedInPostgres.get(userId)! < through).length,
    },
    countsExact: members.length,
    wrong: wrong.length > 0 ? shortened(showDifferences(wrong).split('\n')) : [],
  };
}

const of = ({ id: userId }: CreatedUser, { id: channelId }: Channel) => ({ userId, channelId });

/** Over HTTP, by a device that is gone before Redis is: nobody reports it again. */
async function readTo(
  lab: Lab,
  people: People,
  channel: Channel,
  member: CreatedUser,
  seq: number,
): Promise<Count> {
  const { status, body } = await lab.http.request({
    method: 'PUT',
    url: `${lab.url('read-status-service')}/v1/channels/${channel.id}/read`,
    token: people.token(member),
    body: { seq },
  });
  if (status !== 200) throw new Error(`PUT read: ${status} ${JSON.stringify(body)}`);
  return body as Count;
}

/** Once the services have found Redis again: until then they refuse, rather than guess. */
async function unreadOf(lab: Lab, people: People, member: CreatedUser): Promise<Unread> {
  for (const until = performance.now() + BACK_MS_MAX; ; await delay(100)) {
    const { status, body } = await lab.http.request({
      method: 'GET',
      url: `${lab.url('read-status-service')}/v1/unread`,
      token: people.token(member),
    });
    if (status === 200) return body as Unread;
    if (status !== 503 || performance.now() > until)
      throw new Error(`GET /v1/unread: ${status} ${JSON.stringify(body)}`);
  }
}

/** As the services wrote it beside the channel's head. */
async function logEpochOf({ redis, keys }: Lab, { id }: Channel): Promise<string> {
  return (await redis.hget(keys.channel(id), 'log')) ?? '';
}
