import { Quantiles } from '@tidemark/replay';
import { recount, sendMessages } from '@tidemark/testing';
import { Counting } from './counting.js';
import { FLUSH_INTERVAL_MS, type Lab } from './lab.js';
import { chunks, latencyOf, paced, some, type Latency } from './load.js';
import { atRest, countOf, heldIn, shortened, wrongCounts } from './oracle.js';
import { Channel, send, type People } from './people.js';
import { workBetween, workOf } from './postgres-work.js';
import { Reader } from './readers.js';
import { hashWrites } from './redis-work.js';

const PROBES_PER_SECOND = 50;
const ALONE_S_MAX = 10;

/** A rate that was offered, and what became of it. */
export interface HeldRate {
  offeredPerSecond: number;
  donePerSecond: number;
  /** HSET calls in Redis, of which one has all cursors that an event reports. */
  hsetsPerSecond: number;
  seconds: number;
  latencyMs: Latency;
  /** From the last of it to when nothing was left to flush. */
  flushedAfterS: number;
  flushIntervalS: number;
  database: { statementsPerSecond: number; rowsPerSecond: number };
  sendMs: { alone: Latency; meanwhile: Latency };
  wrong: string[];
}

const MEMBERS_MAX = 1_000;
const CHANNELS = 16;

/** Unread counters counted up one by one, each a write of its own, under `write-behind`. */
export async function holdIncrements(
  lab: Lab,
  people: People,
  rate: number,
  seconds: number,
): Promise<HeldRate> {
  // Of a small rate too there are ten messages a second.
  const members = await people.first(Math.min(MEMBERS_MAX, Math.max(3, Math.round(rate / 10) + 1)));
  const channels: Channel[] = [];
  while (channels.length < CHANNELS) channels.push(await Channel.open(lab, members));
  const counting = new Counting(lab);
  for (const channel of channels)
    await counting.reached(channel, await send(lab, people, channel, members[0]!));
  const perSecond = rate / (members.length - 1);
  const total = Math.ceil(perSecond * seconds);
  return hold(lab, people, {
    ...{ rate, seconds, operations: total * (members.length - 1) },
    load: async (tookMs) => {
      await paced({ perSecond, total }, async (i, dueMs) => {
        const channel = channels[i % channels.length]!;
        await counting.reached(channel, await send(lab, people, channel, members[i % 5]!));
        tookMs.add(performance.now() - dueMs);
      });
      return [];
    },
    check: async () => {
      const wrong: string[] = [];
      for (const channel of channels) wrong.push(...(await wrongCounts(lab, people, channel)));
      return wrong;
    },
  });
}

const READ_CHANNELS = 250;
const PER_EVENT = 50;
/** A second; so no report is of a cursor that still waits for its flush. */
const REPORTS_PER_READER = 25;
const READERS_MAX = 1_000;
const SENDS_PER_STATEMENT = 100;
/** Readers who are loaded at a time. */
const FIRST_AT_ONCE = 20;

/** Read reports over sockets of members who are loaded, each of another cursor than those that wait for their flush. */
export async function holdReports(
  lab: Lab,
  people: People,
  rate: number,
  seconds: number,
): Promise<HeldRate> {
  const count = Math.min(READERS_MAX, Math.max(2, Math.ceil(rate / REPORTS_PER_READER)));
  const [author, ...users] = await people.first(count + 1);
  const events = Math.ceil((rate * seconds) / PER_EVENT);
  // In the first round everyone reads everything once, and is loaded with it.
  const rounds = 1 + Math.ceil(Math.ceil(events / count) * (PER_EVENT / READ_CHANNELS));
  const channels: Channel[] = [];
  while (channels.length < READ_CHANNELS) {
    const channel = await Channel.open(lab, [author!, ...users]);
    for (const some of chunks(Array.from({ length: rounds }), SENDS_PER_STATEMENT)) {
      const seqs = await sendMessages(
        lab.pool,
        channel.id,
        some.map(() => ({ authorId: author!.id })),
      );
      channel.head = seqs.at(-1)!;
    }
    channels.push(channel);
  }
  await lab.pool.query('ANALYZE');
  const readers = await Reader.connectAll(lab, people, users, { channels, rounds });
  try {
    for (const some of chunks(readers, FIRST_AT_ONCE)) await Promise.all(some.map(readOneRound));
    return await hold(lab, people, {
      ...{ rate, seconds, operations: events * PER_EVENT },
      load: async (tookMs) => {
        await paced({ perSecond: rate / PER_EVENT, total: events }, async (i, dueMs) => {
          await readers[i % readers.length]!.read(PER_EVENT);
          tookMs.add(performance.now() - dueMs);
        });
        return readers.flatMap(({ wrong }) => wrong);
      },
      check: async () => [
        ...(await wrongCursors(lab, channels)),
        ...(await wrongSamples(lab, people, channels)),
      ],
    });
  } finally {
    for (const reader of readers) reader.close();
  }
}

async function readOneRound(reader: Reader): Promise<void> {
  for (let read = 0; read < READ_CHANNELS; read += PER_EVENT) await reader.read(PER_EVENT);
}

interface Offered {
  rate: number;
  seconds: number;
  operations: number;
  load: (tookMs: Quantiles) => Promise<string[]>;
  check: () => Promise<string[]>;
}

async function hold(
  lab: Lab,
  people: People,
  { rate, seconds, operations, load, check }: Offered,
): Promise<HeldRate> {
  const beside = await Channel.open(lab, await people.first(2));
  const probe = async (forSeconds: number): Promise<Latency> => {
    const tookMs = new Quantiles();
    const total = Math.max(1, Math.round(PROBES_PER_SECOND * forSeconds));
    await paced({ perSecond: PROBES_PER_SECOND, total }, async (_, dueMs) => {
      await send(lab, people, beside, beside.members[0]!);
      tookMs.add(performance.now() - dueMs);
    });
    return latencyOf(tookMs);
  };
  await atRest(lab);
  const { begin } = await workOf(lab.pool);
  const writesBefore = await hashWrites(lab);

  const tookMs = new Quantiles();
  const startedMs = performance.now();
  const probing = probe(seconds);
  const wrong = await load(tookMs);
  const endedMs = performance.now();
  const took = (endedMs - startedMs) / 1000;
  const writes = (await hashWrites(lab)) - writesBefore;
  const meanwhile = await probing;
  await atRest(lab);
  const flushedAfterS = (performance.now() - endedMs) / 1000;
  const { end } = await workOf(lab.pool, async () => {
    wrong.push(...(await check()), ...(await wrongCounts(lab, people, beside)));
  });
  // Last: by now no service is slow because it has just begun.
  const alone = await probe(Math.min(seconds, ALONE_S_MAX));
  await atRest(lab);
  const work = workBetween(begin, end);
  return {
    ...{ offeredPerSecond: rate, donePerSecond: operations / took, seconds: took, flushedAfterS },
    flushIntervalS: FLUSH_INTERVAL_MS / 1000,
    ...{ hsetsPerSecond: writes / took, latencyMs: latencyOf(tookMs) },
    database: { statementsPerSecond: work.statements / took, rowsPerSecond: work.rows / took },
    sendMs: { alone, meanwhile },
    wrong: shortened(wrong),
  };
}

/** Every cursor in PostgreSQL, and in Redis of all who are loaded, is the highest acknowledged. */
async function wrongCursors(lab: Lab, channels: readonly Channel[]): Promise<string[]> {
  const wrong: string[] = [];
  for (const channel of channels) {
    const { rows } = await lab.pool.query<{ user: string; cursor: string }>(
      'SELECT user_id AS "user", cursor_seq AS cursor FROM channel_members WHERE channel_id = $1',
      [channel.id],
    );
    const byUser = new Map(rows.map(({ user, cursor }) => [user, Number(cursor)]));
    const held = await heldIn(lab, channel.id, channel.members);
    for (const member of channel.members) {
      const said = channel.cursorOf(member);
      const found = { PostgreSQL: byUser.get(member.id), Redis: held.get(member.id)?.cursor ?? said };
      for (const [where, cursor] of Object.entries(found))
        if (cursor !== said)
          wrong.push(`user ${member.id}, channel ${channel.id}: ${cursor} in ${where}, not ${said}`);
    }
  }
  return wrong;
}

/** Of the counts a sample is told over HTTP and held to the oracle. */
async function wrongSamples(lab: Lab, people: People, channels: readonly Channel[]): Promise<string[]> {
  const wrong: string[] = [];
  for (const channel of some(channels, 10)) {
    const asked = some(channel.members, 20);
    const questions = asked.map((member) => ({
      channelId: channel.id,
      userId: member.id,
      cursor: channel.cursorOf(member),
    }));
    for (const [i, { asOfSeq, unread }] of (await recount(lab.pool, questions)).entries()) {
      const { userId, cursor } = questions[i]!;
      const count = await countOf(lab, people, asked[i]!, channel.id);
      const found = count && `${count.unread} above ${count.cursor} as of ${count.asOfSeq}`;
      const expected = `${unread} above ${cursor} as of ${asOfSeq}`;
      if (found !== expected)
        wrong.push(`user ${userId}, channel ${channel.id}: ${found ?? 'none'}, not ${expected}`);
    }
  }
  return wrong;
}
