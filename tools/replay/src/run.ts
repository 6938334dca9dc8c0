import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ServiceName } from '@tidemark/contracts';
import { Database } from '@tidemark/database';
import { connectRedis, Keys, type RedisClient } from '@tidemark/redis';
import { startStack } from '@tidemark/stack';
import { CursorLedger, waitForRest, type Strategy } from '@tidemark/testing';
import pg from 'pg';
import { Answers } from './answers.js';
import { Api } from './api.js';
import { Conductor } from './conductor.js';
import { gather, type Crowd } from './crowd.js';
import { breakThings, clusterFaults, type Fault } from './faults.js';
import { Http } from './http.js';
import { readLogFolder } from './logs/log-folder.js';
import { writeScript, type Script } from './logs/script.js';
import { Measures } from './measures.js';
import { Quantiles } from './quantiles.js';
import { Random } from './random.js';
import { isFlawless, type ReplayReport } from './report.js';
import { noTally, type RunState } from './run-state.js';
import type { ReplayedSystem } from './system.js';
import { judge } from './verdict.js';

export interface ReplayOptions {
  folder: string;
  strategy?: Strategy;
  instances?: Partial<Record<ServiceName, number>>;
  /** Messages a second; as fast as possible by default. */
  speed?: number | 'max';
  /** Connected sockets. */
  clients?: number;
  /** What breaks: one halfway, several one after the other and evenly spread. */
  faults?: readonly Fault[];
  /** Three primaries, each with a replica. Some faults need it, and bring it. */
  redisCluster?: boolean;
  /** Messages, of the first files by name. */
  limit?: number;
  seed?: number;
  /** Settings of the services, such as FLUSH_INTERVAL_MS. */
  env?: Record<string, string>;
  /** Empty, of the same strategy, and left as it then is. Without it the replay brings up and stops one of its own. */
  system?: ReplayedSystem;
  onProgress?: (line: string) => void;
}

/** Uneven on purpose: nothing may need what another replica holds. */
export const unevenInstances: Record<ServiceName, number> = {
  'message-api': 3,
  'realtime-gateway': 2,
  'read-status-service': 2,
  'sync-worker': 1,
};

/** SHARDS as the services have it by default. */
const SHARDS = 16;
/** Of those who still read, at each fault: from then on they do not. */
const QUIET_SHARE = 0.4;
const HTTP_SOCKETS_MAX = 64;
const PROGRESS_EVERY_MS = 5_000;
const ARRIVAL_MS = 60_000;
const REST_MS = 120_000;
/** PostgreSQL's statistics are about a second behind. */
const STATISTICS_MS = 1_500;

/** Replays a folder of logs, and holds what came of it to the oracle. */
export async function runReplay(options: ReplayOptions): Promise<ReplayReport> {
  const { system, onProgress = () => {} } = options;
  const script = writeScript(readLogFolder(options.folder), options.limit);
  onProgress(
    `${script.messages} messages of ${script.users.length} users in ${script.channels.length} channels`,
  );
  return system ? replayAgainst(system, script, options) : replayAgainstStack(script, options);
}

async function replayAgainstStack(script: Script, options: ReplayOptions): Promise<ReplayReport> {
  const { strategy = 'watermark', onProgress = () => {} } = options;
  const logs = mkdtempSync(join(tmpdir(), 'tidemark-replay-'));
  const stack = await startStack({
    dataDir: logs,
    instances: options.instances ?? unevenInstances,
    redisCluster: options.redisCluster ?? clusterFaults.some((fault) => options.faults?.includes(fault)),
    env: { READ_STATUS_STRATEGY: strategy, LOG_LEVEL: 'warn', SHARDS: String(SHARDS), ...options.env },
    // A Redis that keeps nothing, so that killing it loses something; PostgreSQL is made durable below.
    durable: false,
    preferredPorts: false,
    stackFile: null,
    onProgress,
  });
  let isFine = false;
  try {
    await flushToDisk(stack.databaseUrl);
    const report = await replayAgainst(stack, script, options);
    isFine = isFlawless(report) && report.troubles.every((trouble) => !trouble.includes(': 500 '));
    return report;
  } finally {
    await stack.stop();
    if (isFine) rmSync(logs, { recursive: true, force: true });
    else onProgress(`What the services said is in ${join(logs, 'logs')}`);
  }
}

/** Figures of commits that are not flushed to disk would flatter. */
async function flushToDisk(databaseUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await client.query('ALTER SYSTEM SET fsync = on');
    await client.query('SELECT pg_reload_conf()');
  } finally {
    await client.end();
  }
}

async function replayAgainst(
  system: ReplayedSystem,
  script: Script,
  options: ReplayOptions,
): Promise<ReplayReport> {
  const { strategy = 'watermark', onProgress = () => {} } = options;
  const http = new Http(HTTP_SOCKETS_MAX);
  const database = new pg.Pool({ connectionString: system.databaseUrl, max: 4 });
  // Waits while Redis is away: it is killed on purpose.
  const redis = connectRedis(system.redisAddress, () => {}, {
    enableOfflineQueue: true,
    maxRetriesPerRequest: null,
  });
  try {
    return await play({ ...options, strategy, onProgress, script, system, http, database, redis });
  } finally {
    redis.disconnect();
    http.close();
    await database.end();
  }
}

interface Run extends ReplayOptions {
  strategy: Strategy;
  onProgress: (line: string) => void;
  script: Script;
  system: ReplayedSystem;
  http: Http;
  database: pg.Pool;
  redis: RedisClient;
}

async function play(run: Run): Promise<ReplayReport> {
  const { script, system, database, onProgress, clients = 100 } = run;
  const random = new Random(run.seed ?? Math.floor(Math.random() * 1_000_000_000));
  const state: RunState = {
    api: new Api(system, run.http),
    ledger: new CursorLedger(),
    answers: new Answers(),
    sentAtMs: new Map(),
    sendToReceivedMs: new Quantiles(),
    tally: noTally(),
    ghosts: [],
  };
  const measures = new Measures(system, database);
  await measures.begin();
  onProgress(`Making everybody and connecting ${clients} clients (seed ${random.seed})`);
  const crowd = await gather({ system, script, clients, random, state });
  try {
    return await perform({ ...run, random, state, measures, crowd });
  } finally {
    // Also after a failure: who goes on asking keeps this process up.
    state.api.close();
    await Promise.all([
      ...crowd.behaviours.map((each) => each.stop()),
      ...crowd.devices.map((each) => each.disconnect()),
    ]);
  }
}

interface Performance extends Run {
  random: Random;
  state: RunState;
  measures: Measures;
  crowd: Crowd;
}

async function perform(run: Performance): Promise<ReplayReport> {
  const { script, system, database, redis, strategy, random, state, measures, crowd } = run;
  const { onProgress, faults = [], speed = 'max' } = run;
  const keys = new Keys(SHARDS);
  for (const behaviour of crowd.behaviours) behaviour.start();

  let broken = Promise.resolve();
  let begun = 0;
  let sentWithFaults: ReplayReport['sentWithFaults'] = null;
  const reading = new Set(crowd.behaviours.map(({ device }) => device.person));
  const lastReads = async () => {
    const persons = new Set([...reading].filter(() => random.chance(QUIET_SHARE)));
    for (const person of persons) reading.delete(person);
    const few = crowd.behaviours.filter(({ device }) => persons.has(device.person));
    await Promise.all(few.map((behaviour) => behaviour.fallQuiet()));
  };
  const conductor = new Conductor({
    ...{ state, random: random.fork(), database, people: crowd.people, deviceOf: crowd.deviceOf },
    ...(speed !== 'max' && { perSecondMax: speed }),
    onSent: () => {
      const fault = faults[begun];
      if (!fault || state.tally.sent < ((begun + 1) * script.messages) / (faults.length + 1)) return;
      begun += 1;
      const from = sentWithFaults?.from ?? state.tally.sent;
      broken = broken.then(async () => {
        await breakThings[fault]({
          ...{ strategy, system, database, redis, keys, api: state.api, ledger: state.ledger },
          ...{ measures, lastReads, onProgress },
        });
        sentWithFaults = { from, to: state.tally.sent };
      });
      broken.catch(() => undefined); // awaited below
    },
  });
  const startedAtMs = performance.now();
  const progress = setInterval(() => {
    const perS = (1000 * state.tally.sent) / (performance.now() - startedAtMs);
    onProgress(`${state.tally.sent} of ${script.messages} sent, ${perS.toFixed(0)}/s`);
  }, PROGRESS_EVERY_MS);
  try {
    await Promise.all(script.channels.map((channel, i) => conductor.play(channel, crowd.channelIds[i]!)));
  } finally {
    clearInterval(progress);
  }
  const seconds = (performance.now() - startedAtMs) / 1000;
  await broken;
  await Promise.all(crowd.behaviours.map((behaviour) => behaviour.stop()));

  onProgress('All is sent: waiting for rest');
  const findings = await arrival(crowd, database);
  await waitForRest({ database, redis, keys }, { timeoutMs: REST_MS });
  await delay(STATISTICS_MS);
  const measured = await measures.end();

  onProgress('Asking the oracle');
  const { sent } = conductor;
  const logEpoch = await readLogEpoch(system);
  const verdict = await judge({ state, crowd, sent, database, redis, keys, logEpoch, strategy });

  const { tally, sendToReceivedMs } = state;
  const increments = await logicalIncrements(database);
  const byOthers = tally.joins + tally.parts + tally.markUnreads + tally.sendsWithReadTo;
  const rowsByFlush = Math.max(0, measured.memberRowsWritten - byOthers);
  const physical = strategy === 'watermark' ? tally.sent : measured.counterIncrements;
  return {
    ...{
      folder: run.folder,
      strategy,
      faults,
      seed: random.seed,
      instances: countInstances(system),
    },
    clients: crowd.devices.length,
    channels: script.channels.length,
    answers: state.answers.size,
    messages: tally.sent,
    sentWithFaults,
    ...{ seconds, messagesPerS: tally.sent / seconds },
    sendToReceivedMs: {
      p50: sendToReceivedMs.at(0.5),
      p99: sendToReceivedMs.at(0.99),
      samples: sendToReceivedMs.size,
    },
    logicalUpdates: increments + tally.reads,
    physicalUpdates: physical + tally.reads,
    redisCallsPerMessage: measured.redisCalls.all / tally.sent,
    scriptCallsPerMessage: measured.redisCalls.scripts / tally.sent,
    rowsPer1000Increments: (1000 * rowsByFlush) / Math.max(1, increments),
    changeToFlushS: measured.flushLagS,
    ...{ ...verdict, findings: [...findings, ...verdict.findings] },
    troubles: [...state.api.troubles].map(([what, times]) => `${times} x ${what}`),
  };
}

function countInstances({ services }: ReplayedSystem): Record<ServiceName, number> {
  const counts = Object.entries(services).map(([name, instances]) => [name, instances.length]);
  return Object.fromEntries(counts) as Record<ServiceName, number>;
}

/** Waits until every client has everything up to the heads; what does not come is missing. */
async function arrival({ devices }: Crowd, database: pg.Pool): Promise<string[]> {
  const { rows } = await database.query<{ id: string; head: string }>(
    'SELECT id, head_seq AS head FROM channels',
  );
  const heads = new Map(rows.map(({ id, head }) => [id, Number(head)]));
  const isThere = ({ delivery, connected }: Crowd['devices'][number]) =>
    connected &&
    delivery.memberOf().every((channelId) => delivery.seen(channelId) >= (heads.get(channelId) ?? 0));
  const deadline = performance.now() + ARRIVAL_MS;
  for (;;) {
    const late = devices.filter((device) => !isThere(device));
    if (late.length === 0) return [];
    if (performance.now() > deadline) {
      return late
        .slice(0, 10)
        .map(({ name, connected }) => `${name} has not got everything (connected: ${connected})`);
    }
    await delay(50);
  }
}

/** One for each member who could read a message and did not write it, as the log says who was in. */
async function logicalIncrements(database: pg.Pool): Promise<number> {
  const { rows } = await database.query<{ increments: string }>(
    `SELECT coalesce(sum(members - 1), 0) AS increments FROM (
       SELECT type, counts,
              sum(CASE type WHEN 'member.joined' THEN cardinality(user_ids)
                            WHEN 'member.left' THEN -cardinality(user_ids) ELSE 0 END)
                OVER (PARTITION BY channel_id ORDER BY seq) AS members
         FROM channel_events) e
      WHERE type = 'message.created' AND counts`,
  );
  return Number(rows[0]?.increments);
}

async function readLogEpoch({ databaseUrl }: ReplayedSystem): Promise<string> {
  const database = await Database.connect({
    url: databaseUrl,
    applicationName: 'tidemark-replay',
    poolSizeMax: 1,
  });
  try {
    return (await database.position()).logEpoch;
  } finally {
    await database.close();
  }
}
