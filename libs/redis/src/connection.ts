import type { RedisAddress } from '@tidemark/runtime';
import { connectRedis, RedisUnavailableError, type RedisClient } from './client.js';

const RETRY_MS = 200;

/**
 * A connection that is used only once it has been looked at: a Redis that came back may be an empty one, or
 * one that lost its latest writes. `admit` finds out, before the first command after each connect.
 */
export class RedisConnection {
  private admitted = false;
  private closed = false;
  private readonly redis: RedisClient;
  private readonly listeners: (() => void)[] = [];

  constructor(
    address: RedisAddress,
    private readonly hooks: {
      admit: (redis: RedisClient) => Promise<void>;
      onError: (error: Error) => void;
    },
  ) {
    this.redis = connectRedis(address, hooks.onError);
    this.redis.on('ready', () => void this.look());
    this.redis.on('close', () => (this.admitted = false));
  }

  get available(): boolean {
    return this.admitted && this.redis.status === 'ready';
  }

  /** Runs at each admission; at once if there was one already. */
  onAdmitted(listener: () => void): void {
    this.listeners.push(listener);
    if (this.available) listener();
  }

  /** The client, or a RedisUnavailableError. */
  get client(): RedisClient {
    if (!this.available) throw new RedisUnavailableError();
    return this.redis;
  }

  /** For health checks: asks, and fails if there is no answer. */
  async ping(): Promise<void> {
    await this.client.ping();
  }

  close(): void {
    this.closed = true;
    this.admitted = false;
    this.redis.disconnect();
  }

  private async look(): Promise<void> {
    while (!this.closed && this.redis.status === 'ready' && !this.admitted) {
      try {
        await this.hooks.admit(this.redis);
        this.admitted = this.redis.status === 'ready';
        if (this.admitted) for (const listener of this.listeners) listener();
      } catch (error) {
        this.hooks.onError(error as Error);
        await new Promise((resume) => setTimeout(resume, RETRY_MS));
      }
    }
  }
}
