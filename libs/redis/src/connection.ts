import type { RedisAddress } from '@tidemark/runtime';
import type { Redis } from 'ioredis';
import { connectRedis, RedisUnavailableError, type RedisClient } from './client.js';

const RETRY_MS = 200;

/**
 * A connection that is used only once it has been looked at: a Redis that came back may be an empty one, or
 * one that lost its latest writes. `admit` finds out, before the first command after each connect.
 *
 * A Cluster is one connection to many nodes. A primary that is lost counts as the loss of all until somebody serves its
 * slots again and has been looked at. A slot that is found elsewhere is looked at while commands go on: usually it was
 * moved, or its primary handed over, and then nothing is lost.
 */
export class RedisConnection {
  private admitted = false;
  private closed = false;
  /** Something has happened since the last look began. */
  private unseen = false;
  /** How often a connection was lost: what was seen before says nothing of what comes after. */
  private losses = 0;
  private looking: Promise<void> | null = null;
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
    this.redis.on('ready', () => this.look());
    this.redis.on('close', () => this.lose());
    if (!address.cluster) return;
    this.redis.on('-node', (node: Redis) => {
      // A replica that goes takes nothing along. Nodes also leave out, of those that they list, one they know little of.
      if (!node.options.readOnly) this.lose();
      this.look();
    });
    this.redis.on('refresh', () => this.look());
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

  private lose(): void {
    this.losses++;
    this.admitted = false;
  }

  private look(): void {
    this.unseen = true;
    this.looking ??= this.lookUntilSeen().finally(() => (this.looking = null));
  }

  /** One look at a time; what happens during one makes for another. */
  private async lookUntilSeen(): Promise<void> {
    for (let inARow = 1; !this.closed && this.unseen && this.redis.status === 'ready'; inARow++) {
      this.unseen = false;
      let failed = false;
      const { losses } = this;
      try {
        await this.hooks.admit(this.redis);
        // A slot that was found elsewhere meanwhile is looked at next, while commands go on, as at any other time.
        if (losses === this.losses && !this.admitted && this.redis.status === 'ready') {
          this.admitted = true;
          for (const listener of this.listeners) listener();
        }
      } catch (error) {
        this.unseen = failed = true;
        this.hooks.onError(error as Error);
      }
      // A look can make for another, and so for ever: a node whose map is old redirects, and that is a refresh.
      if (failed || (this.unseen && inARow > 1)) await new Promise((resume) => setTimeout(resume, RETRY_MS));
    }
  }
}
