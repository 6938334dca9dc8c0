import { setTimeout as delay } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import {
  activeSpan,
  followUp,
  inSpan,
  isTemporary,
  linkOnward,
  Metrics,
  ProblemError,
  traceParentOf,
  type Span,
  type TraceParent,
} from '@tidemark/runtime';
import { SendsStore, type Send, type SendRow } from './sends.store.js';

/** Of one statement: long enough that a hot channel's commits are shared, short enough that none waits for long. */
const BATCH_SENDS_MAX = 100;
const BATCH_BYTES_MAX = 256 * 1024;
/** What may wait, in one channel and in all. Beyond it is better to say so than to answer late. */
const QUEUED_IN_CHANNEL_MAX = 1_000;
const QUEUED_MAX = 10_000;

const DEADLOCK = '40P01';
const DEADLOCK_ATTEMPTS_MAX = 5;
/** The connection broke: the batch may be committed or not, and repeating it is harmless, by its clientIds. */
const CONNECTION_BROKE = /^(57P0[12]|08...|ECONNRESET|EPIPE|ECONNABORTED|ETIMEDOUT)$/;
/** Before each repeat. The pool may hold other connections that died in the same moment. */
const REPEATS_AFTER_MS = [0, 50];

interface Waiting {
  send: Send;
  bytes: number;
  /** Of the request that sends it. */
  span: Span | undefined;
  committed: (row: SendRow, batch: CommittedBatch) => void;
  failed: (error: unknown) => void;
}

/** A batch as it was committed; `idx` of a row is the place of its send. */
export interface CommittedBatch {
  channelId: string;
  sends: readonly Send[];
  rows: readonly SendRow[];
  /** Of the sends, by their place; undefined for one that is not traced. */
  traces: readonly (TraceParent | undefined)[];
}

/**
 * Sends to one channel that arrive while a commit of that channel is under way form the next batch. No timer: an
 * idle channel's send waits for nothing, and a hot one's share their commits.
 */
@Injectable()
export class SendBatches {
  private readonly queues = new Map<string, Waiting[]>();
  private queued = 0;
  private readonly sizes;
  private readonly seconds;

  constructor(
    private readonly store: SendsStore,
    metrics: Metrics,
  ) {
    this.sizes = metrics.histogram(
      'append_batch_size',
      'Sends in one commit.',
      [],
      [1, 2, 5, 10, 20, 50, 100],
    );
    this.seconds = metrics.histogram('append_seconds', 'Of one batch of sends, its commit included.');
  }

  /** Errors: `unavailable` where too many wait, or where PostgreSQL does not answer. */
  commit(channelId: string, send: Send): Promise<{ row: SendRow; batch: CommittedBatch }> {
    const queue = this.queues.get(channelId);
    if (this.queued >= QUEUED_MAX || (queue?.length ?? 0) >= QUEUED_IN_CHANNEL_MAX) {
      throw new ProblemError('unavailable', 'Too many sends wait already.', { retryAfterS: 1 });
    }
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        send,
        bytes: Buffer.byteLength(send.message.text) + 512,
        span: activeSpan(),
        committed: (row, batch) => resolve({ row, batch }),
        failed: reject,
      };
      this.queued++;
      if (queue) {
        queue.push(waiting);
        return;
      }
      const begun = [waiting];
      this.queues.set(channelId, begun);
      void this.work(channelId, begun);
    });
  }

  private async work(channelId: string, queue: Waiting[]): Promise<void> {
    while (queue.length > 0) {
      const batch = takeBatch(queue);
      this.queued -= batch.length;
      await this.commitBatch(channelId, batch);
    }
    this.queues.delete(channelId);
  }

  /** Settles each of the batch; never rejects. */
  private async commitBatch(channelId: string, batch: readonly Waiting[]): Promise<void> {
    const sends = batch.map(({ send }) => send);
    const stop = this.seconds.startTimer();
    this.sizes.observe(batch.length);
    try {
      const traces = batch.map(({ span }) => traceParentOf(span));
      const span = followUp('append batch', traces, {
        attributes: { 'tidemark.channel_id': channelId, 'tidemark.batch_size': batch.length },
      });
      linkOnward(
        batch.map((waiting) => waiting.span),
        span,
      );
      const rows = await inSpan(span, () => this.append(channelId, sends));
      const committed = { channelId, sends, rows, traces };
      batch.forEach((waiting, idx) => {
        const row = rows.find((candidate) => candidate.idx === idx);
        if (row) waiting.committed(row, committed);
        else waiting.failed(goneAuthor());
      });
    } catch (error) {
      if (batch.length > 1 && !isTemporary(error)) {
        // One that PostgreSQL will not take must not fail the others.
        for (const waiting of batch) await this.commitBatch(channelId, [waiting]);
      } else {
        for (const waiting of batch) waiting.failed(error);
      }
    } finally {
      stop();
    }
  }

  private async append(channelId: string, sends: readonly Send[]): Promise<SendRow[]> {
    let broke = 0;
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.store.append(channelId, sends);
      } catch (error) {
        if (codeOf(error) === DEADLOCK && attempt < DEADLOCK_ATTEMPTS_MAX) continue;
        const repeatAfterMs = hasConnectionBroken(error) ? REPEATS_AFTER_MS[broke++] : undefined;
        if (repeatAfterMs === undefined) throw error;
        await delay(repeatAfterMs);
      }
    }
  }
}

/** From the front of the queue; never two with the same author and clientId: the second sees what became of the first. */
function takeBatch(queue: Waiting[]): Waiting[] {
  const taken: Waiting[] = [];
  const names = new Set<string>();
  let bytes = 0;
  for (let at = 0; at < queue.length && taken.length < BATCH_SENDS_MAX;) {
    const waiting = queue[at]!;
    const name = `${waiting.send.authorId}:${waiting.send.message.clientId}`;
    if (names.has(name)) {
      at++;
      continue;
    }
    if (taken.length > 0 && bytes + waiting.bytes > BATCH_BYTES_MAX) break;
    names.add(name);
    bytes += waiting.bytes;
    taken.push(waiting);
    queue.splice(at, 1);
  }
  return taken;
}

/** Who was let in as a user of before a restore is ensured again within a minute. */
function goneAuthor(): ProblemError {
  return new ProblemError('unavailable', 'Your user is being made anew.', { retryAfterS: 60 });
}

const codeOf = (error: unknown): string => (error as { code?: string }).code ?? '';

function hasConnectionBroken(error: unknown): boolean {
  return CONNECTION_BROKE.test(codeOf(error)) || /Connection terminated/.test((error as Error).message);
}
