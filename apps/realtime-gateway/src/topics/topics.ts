import { Inject, Injectable } from '@nestjs/common';
import { connectSubscriber, type RedisClient } from '@tidemark/redis';
import { CONFIG, Drain, Health, LOG, type Config, type Log } from '@tidemark/runtime';

const topicsPerCommand = 500;
/** For Redis to acknowledge a subscription; later it counts as away, and the next connection makes up for it. */
const acknowledgeMs = 2_000;
const reconnectMs = 100;
/** Who only listens would not learn that the other side hangs. */
const pingEveryMs = 5_000;

export type TopicListener = (message: string) => void;

/**
 * What this gateway hears through Redis. Publications are heard at most once: whoever needs all of them listens
 * to `onRegained` and looks at what it may have missed.
 */
@Injectable()
export class Topics {
  private readonly listeners = new Map<string, TopicListener>();
  /** Of the present connection. */
  private readonly acknowledged = new Set<string>();
  private readonly regained: (() => void)[] = [];
  private readonly urls: string[];
  private client: RedisClient;
  private attempts = 0;
  private closed = false;

  constructor(
    @Inject(CONFIG) config: Config,
    @Inject(LOG) private readonly log: Log,
    @Inject(Health) health: Health,
    @Inject(Drain) drain: Drain,
  ) {
    this.urls = config.redis.urls;
    this.connect();
    const pinging = setInterval(() => this.ping(), pingEveryMs).unref();
    health.addCheck({ name: 'subscriptions', required: false, check: () => this.check() });
    drain.onDrain(
      'subscriptions',
      () => {
        clearInterval(pinging);
        this.close();
      },
      'close',
    );
  }

  get isReady(): boolean {
    return this.client.status === 'ready';
  }

  /** Resolves when Redis has acknowledged; false if it is away, and then `onRegained` follows. */
  async subscribe(topics: readonly { topic: string; listener: TopicListener }[]): Promise<boolean> {
    for (const { topic, listener } of topics) {
      if (!this.listeners.has(topic)) this.listeners.set(topic, listener);
    }
    // One that somebody else is asking for is asked for again: its acknowledgement is ours too.
    return this.ask(topics.map(({ topic }) => topic).filter((topic) => !this.acknowledged.has(topic)));
  }

  unsubscribe(topic: string): void {
    this.acknowledged.delete(topic);
    if (!this.listeners.delete(topic) || !this.isReady) return;
    this.client.unsubscribe(topic).catch((err: unknown) => this.log.debug({ err }, 'unsubscribe'));
  }

  /** Each time all topics are subscribed on a new connection: what was published before went unheard. */
  onRegained(listener: () => void): void {
    this.regained.push(listener);
  }

  private connect(): void {
    // In a Cluster every node hears what is published on any, so one connection to one node does.
    const url = this.urls[this.attempts++ % this.urls.length]!;
    const client = connectSubscriber({ urls: [url], cluster: false }, (err) =>
      this.log.debug({ err }, 'redis (subscriptions)'),
    );
    this.client = client;
    client.on('message', (topic: string, message: string) => this.hear(topic, message));
    client.on('ready', () => void this.regain());
    client.on('close', () => this.acknowledged.clear());
    if (this.urls.length > 1) client.once('close', () => this.connectElsewhere(client));
  }

  private hear(topic: string, message: string): void {
    try {
      this.listeners.get(topic)?.(message);
    } catch (err) {
      // It may be of another version of us, or of nobody. What it should have said, the log says too.
      this.log.warn({ err, topic }, 'something was published that cannot be read');
    }
  }

  /** ioredis goes back to the same node for ever; that one may be gone. */
  private connectElsewhere(lost: RedisClient): void {
    lost.disconnect();
    if (this.closed) return;
    setTimeout(() => this.closed || this.connect(), reconnectMs);
  }

  /** One that is not answered ends the connection. */
  private ping(): void {
    if (this.isReady) this.client.ping().catch(() => undefined);
  }

  private async regain(): Promise<void> {
    if (await this.ask([...this.listeners.keys()])) for (const listener of this.regained) listener();
  }

  private async ask(topics: readonly string[]): Promise<boolean> {
    const { client } = this;
    if (client.status !== 'ready') return false;
    try {
      for (let from = 0; from < topics.length; from += topicsPerCommand) {
        const some = topics.slice(from, from + topicsPerCommand);
        await within(acknowledgeMs, client.subscribe(...some));
        // Not those given up meanwhile: they were unsubscribed after.
        for (const topic of some) if (this.listeners.has(topic)) this.acknowledged.add(topic);
      }
      return client === this.client && client.status === 'ready';
    } catch (err) {
      this.log.debug({ err }, 'subscribe');
      // A connection that does not answer is worth less than a new one.
      if (client.status === 'ready') client.disconnect(true);
      return false;
    }
  }

  private async check(): Promise<void> {
    if (!this.isReady) throw new Error(`The connection for subscriptions is ${this.client.status}`);
  }

  private close(): void {
    this.closed = true;
    this.client.disconnect();
  }
}

function within<Value>(limitMs: number, promise: Promise<Value>): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`No answer in ${limitMs} ms`)), limitMs);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
