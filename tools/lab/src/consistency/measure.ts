import { setTimeout as delay } from 'node:timers/promises';
import type { Stack } from '@tidemark/stack';
import { Board } from './board.js';
import { EarlyPublisher } from './early-publisher.js';
import { figuresOf, type Figures } from './figures.js';
import { Http } from './http.js';
import { judge, type Judgement } from './judge.js';
import { deedOf, runLane, type Course } from './lane.js';
import type { Pair } from './pair.js';
import type { Pattern } from './patterns.js';
import { Reader } from './reader.js';
import { gather, type Room } from './scene.js';
import { readTruth } from './truth.js';
import type { World } from './world.js';

/** One pattern under one lag. */
export interface Measurement extends Judgement, Figures {
  pattern: Pattern;
  lagMs: number;
}

export interface MeasureOptions {
  pattern: Pattern;
  lagMs: number;
  /** At the least: what is under way then is brought to an end. */
  pairs: number;
  onProgress: (line: string) => void;
}

/** Much longer than anything takes on a busy machine. */
const PATIENCE_MS = 20_000;
/** What was published before its commit may never be told, and is not waited for as long. */
const EARLY_PATIENCE_MS = 300;
const LATE_MAX = 20;
const PROGRESS_EVERY_MS = 10_000;

/** @throws where a service refuses what it must not, or alerts do not arrive: then there is nothing to judge. */
export async function measure(world: World, stack: Stack, options: MeasureOptions): Promise<Measurement> {
  const { pattern, lagMs, onProgress } = options;
  const rooms = await gather(world.database, stack);
  await world.lag(lagMs);
  const isEarly = pattern.publishes === 'before-commit';
  const patienceMs = isEarly ? EARLY_PATIENCE_MS : PATIENCE_MS;
  const http = new Http(stack.services['message-api'].map(({ url }) => url));
  const addresses = { databaseUrl: world.primary.url, redisUrl: world.redis.url };
  const early = isEarly ? new EarlyPublisher(world.database, addresses) : null;
  const pairs: Pair[] = [];
  const readers: Reader[] = [];
  let failure: Error | null = null;
  const onFailure = (error: Error) => void (failure ??= error);
  const course: Course = {
    ...{ http, early, patienceMs, board: new Board(), sentAtMs: new Map() },
    isReading: () => readers.some((reader) => reader.isReading),
    isOver: () => pairs.length >= options.pairs || failure !== null,
    tally: { committed: 0, rolledBack: 0, edited: 0, late: 0 },
  };
  const onPair = (pair: Pair) => {
    pairs.push(pair);
    course.board.note(deedOf(pair.alert));
    if (!isEarly && course.tally.late > LATE_MAX) onFailure(new Error('Alerts do not arrive'));
  };
  const startedMs = performance.now();
  const timer = setInterval(() => {
    const rate = Math.round((1000 * pairs.length) / (performance.now() - startedMs));
    onProgress(`${pattern.name}, lag ${lagMs} ms: ${pairs.length} of ${options.pairs} pairs, ${rate}/s`);
  }, PROGRESS_EVERY_MS);
  try {
    for (const { gatewayUrl, jwt } of seatsOf(rooms, stack)) {
      const { sendsTokens } = pattern;
      const traits = { number: readers.length, sendsTokens, patienceMs: lagMs + PATIENCE_MS };
      readers.push(await Reader.connect({ ...traits, gatewayUrl, jwt, http, onPair, onFailure }));
    }
    // One that fails ends the others too.
    await Promise.all(lanesOf(rooms).map(([room, author]) => runLane(course, room, author).catch(onFailure)));
    await settle(course);
    if (failure) throw failure as Error;
    const channelIds = rooms.map(({ channelId }) => channelId);
    const truth = await readTruth(world.database, channelIds);
    const readersOf = new Map(rooms.map(({ channelId, readerJwts }) => [channelId, readerJwts.length]));
    const seconds = (performance.now() - startedMs) / 1000;
    return {
      ...judge(pairs, truth, readersOf),
      ...figuresOf(pairs, readers, course),
      pattern,
      lagMs,
      seconds,
    };
  } finally {
    clearInterval(timer);
    for (const reader of readers) reader.close();
    http.close();
    await early?.close();
  }
}

/** Clients of a room are spread over the gateways. */
function seatsOf(rooms: readonly Room[], stack: Stack): { gatewayUrl: string; jwt: string }[] {
  const gateways = stack.services['realtime-gateway'];
  return rooms.flatMap(({ readerJwts }) =>
    readerJwts.map((jwt, i) => ({ gatewayUrl: gateways[i % gateways.length]!.url, jwt })),
  );
}

const lanesOf = (rooms: readonly Room[]): [Room, Room['authors'][number]][] =>
  rooms.flatMap((room) => room.authors.map((author): [Room, Room['authors'][number]] => [room, author]));

/** Authors have stopped. What was published before its commit may still be on its way, and clients may be reading. */
async function settle({ isReading }: Course): Promise<void> {
  const until = performance.now() + 2 * PATIENCE_MS;
  await delay(EARLY_PATIENCE_MS);
  while (isReading() && performance.now() < until) await delay(50);
}
