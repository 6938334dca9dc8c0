import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import type { Socket as TcpSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { Database } from '@tidemark/database';
import { startStack, type Stack } from '@tidemark/stack';
import { createChannel, createUsers, type CreatedUser } from '@tidemark/testing';
import { Redis } from 'ioredis';
import { Listener } from '../outages/listener.js';

const members = 100_000;
const online = Number(process.env['ONLINE'] ?? 2_000);
const bursts = 10;
const messagesPerBurst = 20;
const usersPerStatement = 10_000;
const connectingMax = 50;
const withinMs = 120_000;
const quietMs = 2_000;
/** Of the longest messages, some 20 MB: more, and a client is told to fetch anew. */
const missedMax = 900;
/** The longest text there may be, of characters that take three bytes each. */
const longText = '海'.repeat(8_000);

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`Never came: ${condition.toString()}`);
    await new Promise((resume) => setTimeout(resume, 50));
  }
}

const preload = `--import=${new URL('turns.mjs', import.meta.url).href}`;
const turnsFolder = mkdtempSync(join(tmpdir(), 'tidemark-turns-'));

/** Of the turns of gateways' event loops since then, what the longest had of the processors. */
function longestTurnMs(since: number): number {
  const turns = readdirSync(turnsFolder).flatMap((file) =>
    readFileSync(join(turnsFolder, file), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { at: number; cpuMs: number }),
  );
  return Math.round(Math.max(0, ...turns.filter(({ at }) => at >= since).map(({ cpuMs }) => cpuMs)));
}

/** As an event loop of this machine is held up that has nothing to do: what is above it is ours. */
const idleLoop = `
  const { parentPort } = require('node:worker_threads');
  const delay = require('node:perf_hooks').monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  parentPort.on('message', () => {
    parentPort.postMessage(delay.max / 1e9);
    delay.reset();
  });
`;

const tcpOf = ({ socket }: Listener) =>
  (socket.io.engine.transport as unknown as { ws: { _socket: TcpSocket } }).ws._socket;

describe('a channel of 100,000 members, of whom thousands are online', () => {
  let stack: Stack;
  let database: Database;
  let redis: Redis;
  let idle: Worker;
  const listeners: Listener[] = [];

  beforeAll(async () => {
    stack = await startStack({
      instances: { 'realtime-gateway': 3 },
      env: { LOG_LEVEL: 'warn', NODE_OPTIONS: preload, TURNS_FOLDER: turnsFolder },
      ...{ preferredPorts: false, durable: false, stackFile: null },
    });
    database = await Database.connect({ url: stack.databaseUrl, applicationName: 'tidemark-fan-out' });
    redis = new Redis(stack.redisUrl);
    idle = new Worker(idleLoop, { eval: true });
  }, 180_000);
  afterAll(async () => {
    for (const listener of listeners) listener.close();
    redis.disconnect();
    await idle.terminate();
    await database.close();
    await stack.stop();
    rmSync(turnsFolder, { recursive: true });
  }, 120_000);

  const gateways = () => stack.services['realtime-gateway'];
  const published = async () => {
    const stats = await redis.info('commandstats');
    return Number(/cmdstat_publish:calls=(\d+)/.exec(stats)?.[1] ?? 0);
  };
  /** Nothing else is published: not who has come online, nor to each member that they were added. */
  const quiet = () =>
    until(async () => {
      const before = await published();
      await new Promise((resume) => setTimeout(resume, quietMs));
      return (await published()) === before;
    });
  /** Of each gateway; prom-client begins anew with every scrape. */
  const metrics = () =>
    Promise.all(
      gateways().map(async ({ url }) => {
        const text = await (await fetch(`${url}/metrics`)).text();
        const of = (name: string) =>
          Number(new RegExp(`^nodejs_eventloop_lag_${name}_seconds\\{[^}]*\\} (\\S+)`, 'm').exec(text)?.[1]);
        return { max: of('max'), p99: of('p99') };
      }),
    );
  /** For how long event loops were held up since this was asked last, and that of a thread that does nothing. */
  async function lags(): Promise<string> {
    const ms = (seconds: number) => `${Math.round(seconds * 1_000)} ms`;
    const each = (await metrics()).map(({ max, p99 }) => `${ms(max)} (p99 ${ms(p99)})`);
    idle.postMessage('max?');
    const [max] = (await once(idle, 'message')) as [number];
    return `${each.join(', ')}; ${ms(max)}`;
  }
  const token = ({ externalId, name }: CreatedUser) => stack.token(externalId, { name });

  /** Who is never online, past the log: nobody is told. */
  async function addMembers(channelId: string, count: number): Promise<void> {
    for (let left = count; left > 0; left -= usersPerStatement) {
      const users = await createUsers(database, Math.min(left, usersPerStatement));
      await database.query(
        `INSERT INTO channel_members (channel_id, user_id, joined_seq, cursor_seq, counted_seq)
         SELECT $1, id, 3, 3, 3 FROM unnest($2::bigint[]) AS id`,
        [channelId, users.map(({ id }) => id)],
      );
    }
    await database.query('UPDATE channels SET member_count = member_count + $2 WHERE id = $1', [
      channelId,
      count,
    ]);
  }

  async function send(
    channelId: string,
    author: CreatedUser,
    clientId: string,
    text = 'x'.repeat(200),
  ): Promise<number> {
    const { url } = stack.services['message-api'][0]!;
    const response = await fetch(`${url}/v1/channels/${channelId}/messages`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token(author)}`, 'content-type': 'application/json' },
      body: JSON.stringify({ clientId, text }),
    });
    if (response.status !== 201) throw new Error(await response.text());
    return ((await response.json()) as { seq: number }).seq;
  }

  async function connect(people: readonly CreatedUser[]): Promise<void> {
    for (let from = 0; from < people.length; from += connectingMax) {
      const some = people.slice(from, from + connectingMax).map((person, i) => {
        const { url } = gateways()[(from + i) % gateways().length]!;
        return new Listener(url, token(person));
      });
      listeners.push(...some);
      await until(() => some.every(({ welcomes }) => welcomes.length > 0));
    }
  }

  it('has every message reach all of them, in order and once, by one publication', async () => {
    const people = await createUsers(database, online + 1);
    const [author] = people as [CreatedUser];
    const memberIds = people.map(({ id }) => id);
    const { id: channelId, headSeq } = await createChannel(database, { ownerId: author.id, memberIds });
    await addMembers(channelId, members - people.length);
    await lags();
    await connect(people);
    const sleeper = listeners.at(-1)!;
    const readers = listeners.slice(0, -1);
    const tcp = tcpOf(sleeper);
    tcp.pause();

    const connecting = await lags();
    // Introduces the author, whom everybody has yet to meet.
    const seqs = [await send(channelId, author, 'first')];
    await until(() => readers.every((reader) => reader.seqs(channelId).length === 1));
    const introducing = await lags();
    await quiet();

    const publishedBefore = await published();
    const beganAt = performance.now();
    const since = Date.now();
    for (let burst = 0; burst < bursts; burst++) {
      const sending = Array.from({ length: messagesPerBurst }, (_, i) =>
        send(channelId, author, `${burst}.${i}`),
      );
      seqs.push(...(await Promise.all(sending)));
    }
    const publications = (await published()) - publishedBefore;
    await until(() => readers.every((reader) => reader.seqs(channelId).length >= seqs.length));
    const tookS = (performance.now() - beganAt) / 1_000;
    const delivering = await lags();
    const turnMs = longestTurnMs(since);

    const sent = seqs.sort((one, other) => one - other);
    expect(sent).toEqual(sent.map((_, i) => headSeq + 1 + i));
    for (const reader of readers) expect(reader.seqs(channelId)).toEqual(sent);
    // Sends that share a commit share a publication.
    expect(publications).toBeGreaterThan(0);
    expect(publications).toBeLessThanOrEqual(bursts * messagesPerBurst);
    process.stdout.write(
      `${readers.length} sockets, ${sent.length} messages in ${tookS.toFixed(1)} s, ${publications} publications. ` +
        `Event loops were held up, as said by ${gateways().length} gateways and a thread that does nothing:\n` +
        `  while connecting ${connecting}\n  by the first message ${introducing}\n  by the bursts ${delivering}; no turn had more than ${turnMs} ms of the processors\n`,
    );
    tcp.resume();
    await until(() => sleeper.seqs(channelId).length >= sent.length);
    expect(sleeper.seqs(channelId)).toEqual(sent);
  }, 600_000);

  it('has a client that never reads cut off, and misses nothing when it is back', async () => {
    const people = await createUsers(database, 7);
    const [author] = people as [CreatedUser];
    const { id: channelId, headSeq } = await createChannel(database, {
      ...{ ownerId: author.id, memberIds: people.map(({ id }) => id) },
    });
    const before = listeners.length;
    await connect(people);
    const [sleeper, ...readers] = listeners.slice(before) as [Listener, ...Listener[]];
    /** Of each gateway. */
    const cut = () =>
      Promise.all(
        gateways().map(async ({ url }) => {
          const text = await (await fetch(`${url}/metrics`)).text();
          return Number(/^tidemark_slow_sockets_total\{[^}]*\} (\d+)/m.exec(text)?.[1]);
        }),
      );
    let sent = 0;
    const burst = async () => {
      const sending = Array.from({ length: messagesPerBurst }, () =>
        send(channelId, author, `long ${sent++}`, longText),
      );
      await Promise.all(sending);
      await until(() => readers.every((reader) => reader.seqs(channelId).length === sent));
    };

    const cutBefore = await cut();
    const tcp = tcpOf(sleeper);
    tcp.pause();
    while ((await cut())[0] === cutBefore[0]) {
      await burst();
      // All that it misses is yet to be caught up on.
      if (sent > missedMax) throw new Error(`Not cut off after ${sent} messages`);
    }
    const sentWhenCut = sent;
    await burst();
    tcp.resume();
    await until(() => sleeper.welcomes.length === 2 && sleeper.seqs(channelId).length >= sent);
    await burst();
    await until(() => sleeper.seqs(channelId).length >= sent);

    const seqs = Array.from({ length: sent }, (_, i) => headSeq + 1 + i);
    for (const listener of [sleeper, ...readers]) expect(listener.seqs(channelId)).toEqual(seqs);
    expect(sleeper.welcomes).toEqual([{ refetch: [] }, { refetch: [] }]);
    for (const { welcomes } of readers) expect(welcomes.length).toBe(1);
    expect((await cut()).slice(1)).toEqual(cutBefore.slice(1));
    process.stdout.write(`Cut off after ${sentWhenCut} messages.\n`);
  }, 600_000);
});
