import { randomUUID } from 'node:crypto';
import { Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import type { Acknowledgement, ReadReport } from '@tidemark/contracts';
import { Keys, RedisConnection } from '@tidemark/redis';
import {
  failSpan,
  inSpan,
  isTracing,
  LOG,
  Metrics,
  startTrace,
  traceParentOf,
  type Log,
  type Span,
  type TraceParent,
} from '@tidemark/runtime';
import type { Connection } from '../connections/connection.js';
import { Feeds } from '../feeds/feeds.js';
import { Topics } from '../topics/topics.js';

const underWayMax = 5_000;
const underWayPerConnectionMax = 20;
const answerMs = 5_000;
const retryAfterMs = 1_000;
/** Requests that nobody takes. Older ones are given up here by then, and clients repeat them. */
const streamLengthMax = 100_000;

/** What a client may report: how far it has read, or how far its device was reached. */
type Kind = 'read' | 'delivered';
type Answer = Acknowledgement<Kind>;

/** Takes clients' read and delivery reports to read-status-service and its answers back, both through Redis. */
@Injectable()
export class ReadReports implements OnApplicationBootstrap {
  private readonly gatewayId = randomUUID();
  private readonly underWay = new Map<string, (answer: Answer) => void>();
  private readonly outcomes;
  private nextId = 0;

  constructor(
    private readonly redis: RedisConnection,
    private readonly topics: Topics,
    private readonly keys: Keys,
    private readonly feeds: Feeds,
    @Inject(LOG) private readonly log: Log,
    @Inject(Metrics) metrics: Metrics,
  ) {
    this.outcomes = metrics.counter('read_reports_total', 'Requests with reports, by kind and outcome.', [
      'outcome',
      'kind',
    ]);
  }

  async onApplicationBootstrap(): Promise<void> {
    const listener = (message: string) => this.hear(message);
    await this.topics.subscribe([{ topic: this.keys.replyTopic(this.gatewayId), listener }]);
  }

  /** Requests that wait for their answer. */
  get size(): number {
    return this.underWay.size;
  }

  async report(kind: Kind, connection: Connection, reports: readonly ReadReport[]): Promise<Answer> {
    const answer = await this.answerTo(kind, connection, reports);
    this.outcomes.inc({ outcome: answer.ok ? 'taken' : answer.code, kind });
    return answer;
  }

  private async answerTo(
    kind: Kind,
    connection: Connection,
    reports: readonly ReadReport[],
  ): Promise<Answer> {
    if (reports.length === 0) return { ok: true, counts: [] };
    if (connection.readsUnderWay >= underWayPerConnectionMax) {
      return { ok: false, code: 'rate-limited', retryAfterMs };
    }
    if (this.underWay.size >= underWayMax) return { ok: false, code: 'unavailable', retryAfterMs };
    connection.readsUnderWay++;
    try {
      const span = kind === 'read' ? this.spanOf(reports) : undefined;
      return await inSpan(span, async () => {
        const answer = await this.ask(kind, connection, reports, traceParentOf(span));
        if (!answer.ok) failSpan(span, answer.code);
        return answer;
      });
    } finally {
      connection.readsUnderWay--;
    }
  }

  /** A trace of its own, linked to the deliveries of what was read: a message that is traced may have many readers. */
  private spanOf(reports: readonly ReadReport[]): Span | undefined {
    if (!isTracing()) return undefined;
    const links = reports.map(({ channelId, seq }) => this.feeds.find(channelId)?.deliveryOf(seq));
    return startTrace('report read', {
      ...{ kind: 'producer', links },
      attributes: { 'tidemark.reports': reports.length },
    });
  }

  private ask(
    kind: Kind,
    connection: Connection,
    reports: readonly ReadReport[],
    trace: TraceParent | undefined,
  ): Promise<Answer> {
    const id = String(this.nextId++);
    const { gatewayId } = this;
    const request = JSON.stringify({
      ...{ kind, gatewayId, id, socketId: connection.id, userId: connection.userId, reports, trace },
    });
    return new Promise((resolve) => {
      const settle = (answer: Answer) => {
        clearTimeout(timer);
        this.underWay.delete(id);
        resolve(answer);
      };
      const unavailable = () => settle({ ok: false, code: 'unavailable', retryAfterMs });
      const timer = setTimeout(unavailable, answerMs);
      this.underWay.set(id, settle);
      // Whether it was stored or not when this fails: cursors only advance, so saying it again is harmless.
      this.send(request).catch((err: unknown) => {
        this.log.debug({ err }, 'read reports could not be passed on');
        unavailable();
      });
    });
  }

  private async send(request: string): Promise<void> {
    const { client } = this.redis;
    await client.xadd(this.keys.reports, 'MAXLEN', '~', streamLengthMax, '*', 'request', request);
  }

  private hear(message: string): void {
    const { id, ...answer } = JSON.parse(message) as Answer & { id: string };
    this.underWay.get(id)?.(answer);
  }
}
