import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import type { Count } from '@tidemark/contracts';
import { connectBlocking, Keys, RedisConnection, type RedisClient } from '@tidemark/redis';
import {
  CONFIG,
  Drain,
  failSpan,
  followUp,
  LOG,
  Metrics,
  toProblemError,
  traceParentOf,
  type Config,
  type Log,
} from '@tidemark/runtime';
import { ReadStatusService, type Report } from '../read-status/read-status.service.js';
import { reportRequest, type ReportRequest, type SaidRequest } from './report-request.js';

const group = 'read-status';
const requestsMax = 256;
/** Reports that are taken as one batch, if they come as before: the first answer waits for the last report. */
const reportsMax = 2_000;
const blockMs = 1_000;
/** A request that a dead replica took is taken over after this; the gateway gives up later. */
const abandonedMs = 2_000;
/** As often it is looked for: what is taken over has to be answered before it is late. */
const takeOverEveryMs = 1_000;
/** A gateway waits for five seconds, and clients say again what it gave up: work for who has gone would hold up the others. */
const lateMs = 4_000;
const retryMs = 100;

type Entry = [id: string, fields: string[]];

/**
 * Takes read and delivery reports from the gateways, as many at a time as have come meanwhile, and answers each gateway.
 * An entry is removed once it is answered; what a replica took and did not answer, another takes over. What has waited
 * too long is let go, so that a service that was held up does not fall ever further behind.
 */
@Injectable()
export class ReportsConsumer implements OnApplicationBootstrap {
  private readonly name = randomUUID();
  private readonly blocking: RedisClient;
  private running: Promise<void> = Promise.resolve();
  private stopped = false;
  /** So many held a batch of reports, by what the last ones held. */
  private requestsAtOnce = 16;
  /** Redis' clock, which names the entries, less ours. */
  private redisAheadMs = 0;
  private readonly reports;

  constructor(
    @Inject(CONFIG) config: Config,
    @Inject(LOG) private readonly appLog: Log,
    @Inject(Metrics) metrics: Metrics,
    @Inject(Drain) drain: Drain,
    @Inject(RedisConnection) private readonly redis: RedisConnection,
    @Inject(Keys) private readonly keys: Keys,
    @Inject(ReadStatusService) private readonly readStatus: ReadStatusService,
  ) {
    const onError = (err: Error) => appLog.debug({ err }, 'redis (reports)');
    this.blocking = connectBlocking(config.redis, onError, blockMs);
    this.reports = metrics.counter('read_reports_total', 'Reports from sockets, by kind and outcome.', [
      'outcome',
      'kind',
    ]);
    drain.onDrain('reports', () => this.stop(), 'finish');
  }

  onApplicationBootstrap(): void {
    this.running = this.run();
  }

  private async stop(): Promise<void> {
    this.stopped = true;
    // Ends the blocking read. What it may just have been given stays pending, and another replica takes it over.
    this.blocking.disconnect();
    await this.running;
  }

  private async run(): Promise<void> {
    let takeOverAt = -Infinity;
    while (!this.stopped) {
      try {
        if (performance.now() >= takeOverAt) {
          await this.lookAtClock();
          takeOverAt = performance.now() + takeOverEveryMs;
          await this.answerAll(await this.abandoned());
        }
        await this.answerAll(await this.next());
      } catch (error) {
        if ((error as Error).message.startsWith('NOGROUP')) {
          await this.createGroup().catch(() => undefined);
        } else {
          this.appLog.debug({ err: error }, 'reports');
          await delay(retryMs);
        }
      }
    }
  }

  private async createGroup(): Promise<void> {
    await this.redis.client.xgroup('CREATE', this.keys.reports, group, '0', 'MKSTREAM');
  }

  private async next(): Promise<Entry[]> {
    // On its own connection: it blocks. Asked for only while the other one has been admitted.
    void this.redis.client;
    const reply = await this.blocking.xreadgroup(
      ...([
        'GROUP',
        group,
        this.name,
        'COUNT',
        this.requestsAtOnce,
        'BLOCK',
        blockMs,
        'STREAMS',
        this.keys.reports,
        '>',
      ] as const),
    );
    return entriesOf(reply);
  }

  private async abandoned(): Promise<Entry[]> {
    const reply = await this.redis.client.xautoclaim(
      ...([this.keys.reports, group, this.name, abandonedMs, '0', 'COUNT', this.requestsAtOnce] as const),
    );
    return ((reply[1] ?? []) as (Entry | null)[]).filter((entry): entry is Entry => entry !== null);
  }

  private async answerAll(entries: readonly Entry[]): Promise<void> {
    if (entries.length === 0) return;
    const requests = entries.flatMap(([id, fields]) => {
      const request = parse(fields);
      return request ? { ...request, late: this.isLate(id) } : [];
    });
    const everyoneSaid = requests.filter((request) => request.kind !== 'notice');
    this.expectAsManyOf(everyoneSaid);
    const said = everyoneSaid.filter(({ late }) => !late);
    for (const { kind, reports, late } of everyoneSaid)
      if (late) this.reports.inc({ outcome: 'late', kind }, reports.length);
    const reads = said.filter(({ kind }) => kind === 'read');
    const ofThreads = reads.filter(({ reports }) => reports.some(({ threadSeq }) => threadSeq !== undefined));
    const advance = (reports: readonly Report[]) => this.readStatus.advance(reports);
    // Reads of threads wait for PostgreSQL; those of channels alone must not wait with them.
    await Promise.all([
      this.answerReports(
        reads.filter((request) => !ofThreads.includes(request)),
        'read',
        advance,
      ),
      this.answerReports(ofThreads, 'read', advance),
      this.answerReports(
        said.filter(({ kind }) => kind === 'delivered'),
        'delivered',
        (reports) => this.readStatus.deliver(reports),
      ),
      this.announce(requests),
    ]);
    const ids = entries.map(([id]) => id);
    await Promise.all([
      this.redis.client.xack(this.keys.reports, group, ...ids),
      this.redis.client.xdel(this.keys.reports, ...ids),
    ]);
  }

  /** By the reports of these requests, how many of the next are enough for a batch. */
  private expectAsManyOf(said: readonly SaidRequest[]): void {
    const reports = said.reduce((sum, request) => sum + request.reports.length, 0);
    if (reports === 0) return;
    const enough = Math.ceil((reportsMax * said.length) / reports);
    this.requestsAtOnce = Math.min(enough, requestsMax);
  }

  private async lookAtClock(): Promise<void> {
    // By a script, which a Cluster runs where the stream is: no two nodes need agree on the time.
    const asked = await this.redis.client.eval("return redis.call('TIME')", 1, this.keys.reports);
    const [seconds, micros] = asked as [string, string];
    this.redisAheadMs = Number(seconds) * 1_000 + Number(micros) / 1_000 - performance.now();
  }

  private isLate(id: string): boolean {
    return performance.now() + this.redisAheadMs - parseInt(id, 10) > lateMs;
  }

  /** Takes the reports of one kind, as one batch. What they are answered with: a count for each. */
  private async answerReports(
    said: readonly SaidRequest[],
    kind: SaidRequest['kind'],
    take: (reports: readonly Report[]) => Promise<(Count | null)[]>,
  ): Promise<void> {
    if (said.length === 0) return;
    const reports: Report[] = [];
    const ranges = said.map(({ userId, socketId, reports: ofRequest, trace: of }) => {
      const from = reports.length;
      const attributes = { 'tidemark.reports': ofRequest.length, 'tidemark.batch_size': said.length };
      const span = followUp(`advance ${kind} cursors`, [of], { kind: 'consumer', attributes });
      const trace = traceParentOf(span);
      reports.push(...ofRequest.map((report) => ({ ...report, userId, socketId, trace })));
      return { from, to: reports.length, span };
    });
    let counts: (Count | null)[];
    try {
      counts = await take(reports);
    } catch (error) {
      const { code, retryAfterS } = toProblemError(error);
      this.reports.inc({ outcome: 'refused', kind }, reports.length);
      if (code === 'internal') this.appLog.error({ err: error }, 'reports were not taken');
      const refusal = { ok: false, code, ...(retryAfterS !== null && { retryAfterMs: retryAfterS * 1000 }) };
      await Promise.all(said.map(({ gatewayId, id }) => this.reply(gatewayId, { id, ...refusal })));
      for (const { span } of ranges) failSpan(span, code);
      return;
    } finally {
      for (const { span } of ranges) span?.end();
    }
    this.reports.inc({ outcome: 'taken', kind }, reports.length);
    await Promise.all(
      said.map(({ gatewayId, id }, i) => {
        const { from, to } = ranges[i]!;
        // Channels that are not theirs, and threads that do not exist, are left out, as ids in a query.
        return this.reply(gatewayId, {
          id,
          ok: true,
          counts: counts.slice(from, to).filter((count) => count),
        });
      }),
    );
  }

  private async announce(requests: readonly ReportRequest[]): Promise<void> {
    const notices = requests.filter((request) => request.kind === 'notice');
    if (notices.length === 0) return;
    // A notice may be lost; the reads beside it must not suffer from it.
    await this.readStatus.announce(notices).catch((err: unknown) => this.appLog.debug({ err }, 'announce'));
  }

  private reply(gatewayId: string, answer: object): Promise<number> {
    return this.redis.client.publish(this.keys.replyTopic(gatewayId), JSON.stringify(answer));
  }
}

function parse(fields: readonly string[]): ReportRequest | null {
  try {
    return reportRequest.parse(JSON.parse(fields[fields.indexOf('request') + 1] ?? ''));
  } catch {
    return null;
  }
}

/** RESP3 answers a map of streams, RESP2 a list of pairs. */
function entriesOf(reply: unknown): Entry[] {
  if (!reply) return [];
  if (Array.isArray(reply)) return (reply as [string, Entry[]][]).flatMap(([, entries]) => entries);
  return Object.values(reply as Record<string, Entry[]>).flat();
}
