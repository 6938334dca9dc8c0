import type { Message, SendMessageInput } from '@tidemark/contracts';
import { ChatError, toChatError } from './chat-error.js';
import type { Http } from './http.js';
import { asSent, type SentMessage } from './timeline.js';

/** Of one channel, waiting or failed. */
const pendingMax = 100;
/** A send whose answer is unknown is said again for this long; then it has failed, until it is retried. */
const patienceMs = 120_000;

/** What a message says, and where. */
export type MessageDraft = Omit<SendMessageInput, 'clientId'>;

/** A message that is not in the channel yet, as far as is known. `failed`: retry it or drop it. */
export interface PendingMessage extends MessageDraft {
  readonly status: 'sending' | 'failed';
  readonly channelId: string;
  readonly clientId: string;
  readonly seq: null;
  /** By the clock here. */
  readonly createdAt: string;
  readonly error: ChatError | null;
}

interface Entry {
  draft: MessageDraft;
  shown: PendingMessage | SentMessage;
  /** Ends the wait for an answer: an event has brought the message, or nobody wants it any more. */
  abort: AbortController;
  settled: Promise<Message>;
  resolve: (message: Message) => void;
  reject: (error: ChatError) => void;
}

/**
 * What this client sends to one channel: one after the other, so that the order stays, each under a clientId of its
 * own, so that saying it again is harmless. A message stays here until it is in the channel's log for us too.
 */
export class Outbox {
  private readonly entries = new Map<string, Entry>();
  private sending = false;

  constructor(
    private readonly channelId: string,
    private readonly http: Http,
    private readonly onChange: () => void,
    private readonly onSent: (message: Message, draft: MessageDraft) => void,
  ) {}

  get shown(): (PendingMessage | SentMessage)[] {
    return [...this.entries.values()].map(({ shown }) => shown);
  }

  /** @throws ChatError by rejecting; the message then stays, failed. */
  send(draft: MessageDraft): Promise<Message> {
    if (this.entries.size >= pendingMax) {
      return Promise.reject(new ChatError('too-many', `${pendingMax} messages wait to be sent already.`));
    }
    const clientId = newClientId();
    const { channelId } = this;
    const entry = this.entryOf(draft, {
      ...draft,
      ...{ status: 'sending', channelId, clientId, seq: null, error: null },
      createdAt: new Date().toISOString(),
    });
    this.entries.set(clientId, entry);
    this.onChange();
    void this.run();
    return entry.settled;
  }

  /** Tries a failed message again, under its clientId: it may have arrived after all. */
  retry(clientId: string): Promise<Message> {
    const entry = this.entries.get(clientId);
    if (!entry) return Promise.reject(new ChatError('dropped', 'There is no such message.'));
    if (entry.shown.status !== 'failed') return entry.settled;
    const again = this.entryOf(entry.draft, { ...entry.shown, status: 'sending', error: null });
    // At the end: what was sent since stands before it.
    this.entries.delete(clientId);
    this.entries.set(clientId, again);
    this.onChange();
    void this.run();
    return again.settled;
  }

  /** Gives a message up. One that is on its way may arrive all the same. */
  drop(clientId: string): void {
    const entry = this.entries.get(clientId);
    if (!entry || entry.shown.status === 'sent') return;
    this.entries.delete(clientId);
    entry.reject(new ChatError('dropped', 'The message was dropped.'));
    entry.abort.abort();
    this.onChange();
  }

  /** A message of mine is in the log. */
  arrived(message: Message): void {
    const entry = message.clientId === null ? undefined : this.entries.get(message.clientId);
    if (!entry) return;
    this.entries.delete(message.clientId!);
    entry.resolve(message);
    entry.abort.abort();
    this.onChange();
  }

  /** The log was jumped over up to `seq`: what was answered below is in the history. */
  jumped(seq: number): void {
    for (const [clientId, { shown }] of this.entries) {
      if (shown.status === 'sent' && shown.seq <= seq) this.entries.delete(clientId);
    }
    this.onChange();
  }

  /** Nothing of it will be sent any more. */
  fail(error: ChatError): void {
    for (const entry of this.entries.values()) {
      if (entry.shown.status === 'sending') this.failed(entry, error);
    }
  }

  private async run(): Promise<void> {
    if (this.sending) return;
    for (;;) {
      const entry = [...this.entries.values()].find(({ shown }) => shown.status === 'sending');
      // In the same breath as the look, so that what is sent next begins anew.
      this.sending = entry !== undefined;
      if (!entry) return;
      await this.sendOne(entry);
    }
  }

  private async sendOne(entry: Entry): Promise<void> {
    const { channelId } = this;
    const { clientId } = entry.shown;
    try {
      const message = await this.http.ask<Message>({
        ...{ service: 'api', method: 'POST', path: `/v1/channels/${channelId}/messages`, channelId },
        ...{ tells: [channelId], patienceMs, signal: entry.abort.signal },
        body: { ...entry.draft, clientId },
      });
      entry.resolve(message);
      this.onSent(message, entry.draft);
      if (this.entries.get(clientId!) !== entry) return;
      // It takes its place when its event comes, so that nothing moves above it meanwhile.
      entry.shown = asSent(message);
      this.onChange();
    } catch (error) {
      if (this.entries.get(clientId!) === entry) this.failed(entry, toChatError(error));
    }
  }

  private failed(entry: Entry, error: ChatError): void {
    if (entry.shown.status !== 'sent') entry.shown = { ...entry.shown, status: 'failed', error };
    entry.reject(error);
    entry.abort.abort();
    this.onChange();
  }

  private entryOf(draft: MessageDraft, shown: PendingMessage): Entry {
    // Promise.withResolvers is younger than the browsers we run in.
    let resolve!: Entry['resolve'];
    let reject!: Entry['reject'];
    const settled = new Promise<Message>((resolves, rejects) => {
      resolve = resolves;
      reject = rejects;
    });
    // Whoever does not wait sees that it failed in the list.
    settled.catch(() => undefined);
    return { draft, shown, abort: new AbortController(), settled, resolve, reject };
  }
}

/** crypto.randomUUID is there on secure pages alone; this is everywhere. */
function newClientId(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('');
}
