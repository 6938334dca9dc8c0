import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { RedisClient } from '../client.js';

export type ScriptArgument = string | number | Buffer;

/**
 * A Lua script beside its typed sibling. The body travels once per Redis; after that its hash does.
 * Each may run twice for one call (a reply can be lost), so each is absolute or ordered, never a bare increment.
 */
export class Script {
  private readonly body: string;
  private readonly sha: string;

  /** @param file the `.lua` beside this file */
  constructor(readonly file: string) {
    this.body = readFileSync(new URL(`../../src/scripts/${file}`, import.meta.url), 'utf8');
    this.sha = createHash('sha1').update(this.body).digest('hex');
  }

  async run<Reply>(
    redis: RedisClient,
    keys: readonly string[],
    args: readonly ScriptArgument[],
  ): Promise<Reply> {
    try {
      return (await redis.evalsha(this.sha, keys.length, ...keys, ...args)) as Reply;
    } catch (error) {
      if (!isUnknownScript(error)) throw error;
      return (await redis.eval(this.body, keys.length, ...keys, ...args)) as Reply;
    }
  }

  /** As `run`, where not every string of the reply is text: each comes as bytes. */
  async runForBytes<Reply>(
    redis: RedisClient,
    keys: readonly string[],
    args: readonly ScriptArgument[],
  ): Promise<Reply> {
    const all = [keys.length, ...keys, ...args];
    try {
      return (await redis.callBuffer('evalsha', this.sha, ...all)) as Reply;
    } catch (error) {
      if (!isUnknownScript(error)) throw error;
      return (await redis.callBuffer('eval', this.body, ...all)) as Reply;
    }
  }
}

const isUnknownScript = (error: unknown): boolean => (error as Error).message.startsWith('NOSCRIPT');
