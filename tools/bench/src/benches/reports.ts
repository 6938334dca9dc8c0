/**
 * Distinct read reports a second, said over sockets, acknowledged, and flushed to PostgreSQL: in arrays of 50, and
 * one to an event. Beside them: as many cursors and dirty marks written to Redis without anything around them; and how
 * long a send takes meanwhile, and how long without them.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { atLeast, type Bench, type Figure, type RowSpec, type Sample } from '../bench.js';
import { dirtyMembers, flushed, shortened, wrongCounts } from '../checks.js';
import { Http, probeSends, sends, type Request } from '../http-load.js';
import { fill } from '../messages.js';
import { figure } from '../meter.js';
import { channelOf, people, some, type Person } from '../population.js';
import { command, RedisPipe } from '../redis-pipe.js';
import { SocketClient } from '../sockets/socket-client.js';
import type { World } from '../world.js';

const PROBES_PER_SECOND = 50;
const WARM_UP_S = 3;
/** In each channel: so often can everyone read all channels. */
const MESSAGES = 100;
const REPEATS_MAX = 20;
const RETRY_MS = 500;
/** As many flush intervals after the last report may pass until everything is flushed. */
const FLUSHES_MAX = 3;

export const reports = readReports('reports', { perEvent: 50, underWay: 2 });
export const singleReports = readReports('single-reports', { perEvent: 1, underWay: 4 });

interface Shape {
  /** Reports in one event. */
  perEvent: number;
  /** Events of one socket that wait for their acknowledgement. */
  underWay: number;
}

function readReports(name: string, shape: Shape): Bench {
  const how = shape.perEvent === 1 ? 'one an event' : `${shape.perEvent} an event`;
  const row = (rest: Omit<RowSpec, 'row'> & { row: string }): RowSpec => ({
    ...rest,
    row: `${rest.row}, ${how}`,
  });
  return {
    name,
    needs: 'watermark',
    rows: [
      row({
        ...{ row: 'read reports, acknowledged and flushed', figure: 'reports', unit: '/s' },
        goal: atLeast(10_000),
        note: 'each moves another cursor; counts of each answer checked; the driver shares the processors; bare: HSET of a cursor and ZADD of its mark, piped, nothing checked or flushed',
      }),
      row({
        ...{ row: 'PostgreSQL statements meanwhile', figure: 'statements', unit: '/s' },
        note: 'bare: without reports; both with 50 sends/s; by pg_stat_statements',
      }),
      row({ row: 'send p99 meanwhile', figure: 'send p99', unit: 'ms', note: 'bare: without reports' }),
      row({
        ...{ row: 'events refused meanwhile', figure: 'refused', unit: '/s' },
        note: 'unavailable or rate-limited: said again after the time it names, and not counted before',
      }),
      row({ row: 'last report to flushed', figure: 'tail', unit: 's' }),
    ],
    roundsMax: 1,
    prepare: (world) => prepare(world, shape),
  };
}

async function prepare(world: World, shape: Shape) {
  const readers = await people(world, world.pick(10, 200, 400));
  const [author, other] = (await people(world, 2)) as [Person, Person];
  const probed = await channelOf(world, [author, other]);
  const channels: { id: string; head: number }[] = [];
  for (let i = 0; i < world.pick(20, 250); i++) {
    const { id } = await channelOf(world, [author, ...readers]);
    channels.push({ id, head: await fill(world, id, author, MESSAGES) });
  }
  await world.pool.query('ANALYZE');
  const url = world.url('realtime-gateway');
  const crowd: Reader[] = [];
  for (const person of readers) {
    const auth = { token: person.token };
    const socket = await SocketClient.connect({ url, auth, onEvents: () => undefined });
    world.defer(() => socket.close());
    crowd.push(new Reader(person, socket, channels));
  }
  const http = new Http(world);
  const pipe = await RedisPipe.connect(world);
  const next = sends(probed.id, [author]);
  return {
    ours: () => ours(world, shape, crowd, http, next, world.pick(1, 10, 60)),
    bare: () => bare(world, pipe, crowd, http, next),
    warmUp: () => ours(world, shape, crowd, http, next, WARM_UP_S),
  };
}

/** Everyone entered by the third event: the first that they have not read is the fourth. */
const JOINED_SEQ = 3;

/** Reads all channels by one message, then all by the next: no report is of a cursor that waits for its flush. */
class Reader {
  /** The highest acknowledged, by channel. */
  readonly acknowledged = new Map<string, number>();
  readonly wrong: string[] = [];
  accepted = 0;
  refused = 0;
  private turn = 0;

  constructor(
    readonly person: Person,
    readonly socket: SocketClient,
    readonly channels: readonly { id: string; head: number }[],
  ) {}

  async read(count: number): Promise<void> {
    const said = Array.from({ length: count }, () => this.next());
    const reports = said.map(({ channelId, seq }) => ({ channelId, seq }));
    let answer = await this.socket.ask('read', reports);
    // Whether a refused one was taken or not, saying it again is harmless, and what a client has to do.
    for (let times = 1; !answer.ok; times++) {
      this.refused++;
      if (times > REPEATS_MAX) throw new Error(`User ${this.person.id} was refused: ${answer.code}`);
      await delay(answer.retryAfterMs ?? RETRY_MS);
      answer = await this.socket.ask('read', reports);
    }
    const { counts } = answer;
    said.forEach(({ channelId, seq, head }, i) => {
      const { cursor, unread, asOfSeq, channelId: of } = counts[i]!;
      this.acknowledged.set(channelId, Math.max(seq, this.acknowledged.get(channelId) ?? 0));
      // All that is there is another's, counts and stands: what is above the cursor is unread. An answer may have
      // been counted after a later report of the same reader.
      if (of !== channelId || cursor < seq || asOfSeq !== head || unread !== head - cursor)
        this.wrong.push(
          `user ${this.person.id}, channel ${channelId}: ${unread} unread above ${cursor} of ${asOfSeq}`,
        );
    });
    this.accepted += count;
  }

  private next(): { channelId: string; seq: number; head: number } {
    const { id: channelId, head } = this.channels[this.turn % this.channels.length]!;
    const seq = JOINED_SEQ + 1 + Math.floor(this.turn++ / this.channels.length);
    if (seq > head) throw new Error('Everything is read: this bench needs more messages');
    return { channelId, seq, head };
  }
}

async function ours(
  world: World,
  { perEvent, underWay }: Shape,
  crowd: readonly Reader[],
  http: Http,
  next: () => Request,
  seconds: number,
): Promise<Sample> {
  const before = sumOf(crowd, 'accepted');
  const refusedBefore = sumOf(crowd, 'refused');
  const statementsBefore = await statements(world);
  const meter = world.meter('services', 'engines');
  const until = performance.now() + seconds * 1000;
  const readers = crowd.flatMap((reader) =>
    Array.from({ length: underWay }, async () => {
      while (performance.now() < until) await reader.read(perEvent);
    }),
  );
  const probe = probeSends(world, http, next, { perSecond: PROBES_PER_SECOND, seconds });
  await delay(seconds * 1000);
  const spent = meter.stop();
  const during = sumOf(crowd, 'accepted') - before;
  const refused = sumOf(crowd, 'refused') - refusedBefore;
  const said = (await statements(world)) - statementsBefore;
  await Promise.all(readers);
  const { p99 } = await probe;
  const dirty = await dirtyMembers(world);
  const tail = await flushed(world);

  const wrong = crowd.flatMap((reader) => reader.wrong);
  if (tail > (FLUSHES_MAX * world.flushIntervalMs) / 1000)
    wrong.push(`flushes do not keep up: ${dirty} dirty at the end, flushed after ${tail.toFixed(1)} s`);
  return {
    figures: {
      reports: spent.rate(during),
      statements: figure(said / spent.seconds),
      'send p99': figure(p99),
      refused: figure(refused / spent.seconds),
      tail: figure(tail),
    },
    wrong: shortened([...wrong, ...(await wrongReads(world, crowd))]),
  };
}

async function bare(
  world: World,
  pipe: RedisPipe,
  crowd: readonly Reader[],
  http: Http,
  next: () => Request,
): Promise<Sample> {
  const seconds = world.pick(1, 4, 20);
  const statementsBefore = await statements(world);
  const meter = world.meter('services', 'engines');
  const { p99 } = await probeSends(world, http, next, { perSecond: PROBES_PER_SECOND, seconds });
  const spent = meter.stop();
  const said = (await statements(world)) - statementsBefore;
  return {
    figures: {
      reports: await bareReports(world, pipe, crowd),
      statements: figure(said / spent.seconds),
      'send p99': figure(p99),
    },
    wrong: [],
  };
}

/** What Redis has to take of a report at the least. */
async function bareReports(world: World, pipe: RedisPipe, crowd: readonly Reader[]): Promise<Figure> {
  const rounds = world.pick(1, 4);
  const meter = world.meter('engines', 'bench');
  let written = 0;
  for (let round = 1; round <= rounds; round++) {
    for (const { person, channels } of crowd) {
      for (const { id } of channels) {
        const cursor = command('HSET', `bare:${person.id}`, id, String(round));
        pipe.write(cursor + command('ZADD', 'bare:dirty', 'NX', String(round), `${person.id}:${id}`), 2);
        written++;
      }
      await pipe.room();
    }
  }
  await pipe.drained();
  return meter.stop().rate(written);
}

const sumOf = (crowd: readonly Reader[], what: 'accepted' | 'refused'): number =>
  crowd.reduce((sum, reader) => sum + reader[what], 0);

async function statements({ pool }: World): Promise<number> {
  const { rows } = await pool.query<{ statements: number }>(
    'SELECT coalesce(sum(calls), 0)::float8 AS statements FROM pg_stat_statements WHERE toplevel',
  );
  return rows[0]!.statements;
}

/** Every cursor in PostgreSQL is the highest acknowledged; of counts a sample is held to the oracle. */
async function wrongReads(world: World, crowd: readonly Reader[]): Promise<string[]> {
  const { rows } = await world.pool.query<{ user: string; channel: string; cursor: string }>(
    `SELECT user_id AS "user", channel_id AS channel, cursor_seq AS cursor
       FROM channel_members WHERE user_id = ANY($1::bigint[])`,
    [crowd.map(({ person }) => person.id)],
  );
  const byUser = new Map(crowd.map((reader) => [reader.person.id, reader.acknowledged]));
  const wrong = rows.flatMap(({ user, channel, cursor }) => {
    const said = byUser.get(user)!.get(channel) ?? JOINED_SEQ;
    return Number(cursor) === said
      ? []
      : [`user ${user}, channel ${channel}: ${cursor} in PostgreSQL, not ${said}`];
  });
  for (const { person, acknowledged } of some(crowd, 20)) {
    for (const [channelId, seq] of some([...acknowledged], 2)) {
      wrong.push(...(await wrongCounts(world, channelId, [person], () => seq)));
    }
  }
  return wrong;
}
