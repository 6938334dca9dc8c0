import { createHash } from 'node:crypto';
import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { LogStore, type LogRow } from '@tidemark/channel-log';
import type { Message, SendMessage } from '@tidemark/contracts';
import { Database, type Position } from '@tidemark/database';
import { Metrics, ProblemError, type Identity } from '@tidemark/runtime';
import { Answer } from '../answer.js';
import { ChannelAccess } from '../channels/channel-access.js';
import { Applies } from '../events/applies.js';
import { MessagesStore } from './messages.store.js';
import { badReference, unknownMentions } from './references.js';
import { SendBatches, type CommittedBatch } from './send-batches.js';
import type { Send, SendRow } from './sends.store.js';

/**
 * A send: committed with those that came with it, then applied, then answered.
 *
 * Rights are judged by the commit itself, under the channel's lock. A refusal is explained afterwards.
 */
@Injectable()
export class SendsService implements OnApplicationShutdown {
  /** What all sends of a batch wait for after its commit. */
  private readonly settling = new WeakMap<CommittedBatch, Promise<Position>>();
  private readonly underWay = new Set<Promise<unknown>>();
  private readonly outcomes;

  constructor(
    private readonly database: Database,
    private readonly access: ChannelAccess,
    private readonly batches: SendBatches,
    private readonly applies: Applies,
    private readonly log: LogStore,
    private readonly messages: MessagesStore,
    metrics: Metrics,
  ) {
    this.outcomes = metrics.counter('sends_total', 'Sends, by what became of them.', ['outcome']);
  }

  send(me: Identity, channelId: string, message: SendMessage): Promise<Answer<Message>> {
    const sending = this.sendNow(me, channelId, message).finally(() => this.underWay.delete(sending));
    this.underWay.add(sending);
    return sending;
  }

  /** Nest calls this when the last request is answered; who hung up before has left a send behind. */
  async onApplicationShutdown(): Promise<void> {
    while (this.underWay.size > 0) await Promise.allSettled(this.underWay);
    await this.applies.idle();
  }

  private async sendNow(me: Identity, channelId: string, message: SendMessage): Promise<Answer<Message>> {
    const send: Send = { authorId: me.userId, fingerprint: fingerprintOf(message), message };
    const { row, batch } = await this.batches.commit(channelId, send).catch((error: unknown) => {
      this.outcomes.inc({ outcome: 'failed' });
      throw error;
    });
    this.outcomes.inc({ outcome: row.outcome });
    if (row.outcome !== 'appended') return this.answerOther(me, channelId, send, row);
    const position = await this.settle(batch);
    return Answer.at(position, messageOf(channelId, send, row), { channelId, seq: row.seq });
  }

  /** Where PostgreSQL stood after the batch's commit, once its events are in Redis or need not be waited for. */
  private settle(batch: CommittedBatch): Promise<Position> {
    const settling = this.settling.get(batch);
    if (settling) return settling;
    const begun = this.settleNow(batch);
    this.settling.set(batch, begun);
    return begun;
  }

  private async settleNow({ channelId, sends, rows, traces }: CommittedBatch): Promise<Position> {
    const position = await this.database.position();
    const entries = rows
      .filter(({ outcome }) => outcome === 'appended')
      .map((row) => {
        const send = sends[row.idx]!;
        const [logRow, message] = [logRowOf(channelId, send, row), messageOf(channelId, send, row)];
        return { ...this.log.entryOf(logRow, message, position), trace: traces[row.idx] };
      });
    await this.applies.settle(channelId, entries);
    return position;
  }

  private async answerOther(
    me: Identity,
    channelId: string,
    send: Send,
    row: SendRow,
  ): Promise<Answer<Message>> {
    // Who is no longer in the channel learns nothing of it, not even of what they sent.
    const { channel, membership } = await this.access.enter(channelId, me);
    switch (row.outcome) {
      case 'duplicate': {
        const stored = await this.messages.get(this.query, channelId, row.seq);
        // Pruned since: it was sent, and is gone.
        if (!stored) throw new ProblemError('not-found', 'The message is gone.');
        const place = { channelId, seq: stored.headSeq };
        return Answer.at(await this.database.position(), stored.message, place, 200);
      }
      case 'conflict':
        throw new ProblemError(
          'idempotency-conflict',
          `You sent other content as ${send.message.clientId} before.`,
        );
      case 'archived':
        throw new ProblemError('channel-archived', 'The channel is archived.');
      case 'bad-reference':
        throw await this.explainReference(channelId, send.message);
      default:
        throw new ProblemError(
          'forbidden',
          membership || channel.visibility === 'public'
            ? 'You were not a member of the channel when this was sent.'
            : 'An administrator who is not a member cannot send here.',
        );
    }
  }

  private async explainReference(
    channelId: string,
    { mentions, replyTo, threadSeq }: SendMessage,
  ): Promise<ProblemError> {
    const unknown = await this.messages.unknownMentions(this.query, mentions);
    if (unknown.length > 0) return unknownMentions(unknown);
    const errors: { pointer: string; detail: string }[] = [];
    if (replyTo !== undefined && !(await this.messages.get(this.query, channelId, replyTo))) {
      errors.push({ pointer: '/replyTo', detail: 'must be the seq of a message' });
    }
    if (threadSeq !== undefined) {
      const root = await this.messages.get(this.query, channelId, threadSeq);
      if (!root) errors.push({ pointer: '/threadSeq', detail: 'must be the seq of a message' });
      else if (root.message.threadSeq !== null) {
        errors.push({ pointer: '/threadSeq', detail: 'must not be in a thread itself' });
      }
    }
    return badReference(errors);
  }

  private readonly query: Database['query'] = (statement, parameters) =>
    this.database.query(statement, parameters);
}

/** Of the content as sent. What was on the screen (readTo) is not content. */
function fingerprintOf({ text, mentions, mentionsAll, replyTo, threadSeq }: SendMessage): string {
  const content = [text, [...mentions].sort(), mentionsAll, replyTo ?? null, threadSeq ?? null];
  return createHash('sha256').update(JSON.stringify(content)).digest('hex').slice(0, 32);
}

function messageOf(channelId: string, { authorId, message }: Send, row: SendRow): Message {
  return {
    channelId,
    seq: row.seq,
    ordinal: row.ordinal,
    kind: row.kind,
    author: { id: authorId, name: row.authorName, picture: row.authorPicture },
    text: message.text,
    mentions: message.mentions,
    mentionsAll: message.mentionsAll,
    replyTo: message.replyTo ?? null,
    threadSeq: message.threadSeq ?? null,
    clientId: message.clientId,
    createdAt: row.at.toISOString(),
    editedAt: null,
    deletedAt: null,
  };
}

function logRowOf(channelId: string, send: Send, row: SendRow): LogRow {
  return {
    channelId,
    seq: row.seq,
    ordinal: row.ordinal,
    type: 'message.created',
    actorId: send.authorId,
    at: row.at,
    messageSeq: row.seq,
    authorId: send.authorId,
    counts: send.message.threadSeq === undefined,
    mentions: send.message.mentions,
    wasMentions: [],
    everyone: send.message.mentionsAll,
    wasEveryone: false,
    userIds: [],
    readTo: row.readTo,
    readTerm: row.readTerm,
  };
}
