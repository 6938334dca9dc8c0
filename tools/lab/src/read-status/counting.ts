import { setTimeout as delay } from 'node:timers/promises';
import type { Lab } from './lab.js';
import type { Channel } from './people.js';

const LOOK_EVERY_MS = 1;
const COUNTED_MS_MAX = 600_000;

/** More wait in a shard only where several of its channels are written to at once. */
const ENTRIES = 20;

interface Waiting {
  seq: number;
  resolve: () => void;
  reject: (error: unknown) => void;
}

/**
 * Tells when a message is counted for all members of its channel: its run has left the stream that the counters are
 * counted up from. Under `watermark` there is no such stream: it is counted when it is applied.
 */
export class Counting {
  private readonly waiting = new Map<string, Waiting[]>();
  private isLooking = false;

  constructor(private readonly lab: Lab) {}

  reached({ id }: Channel, seq: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.waiting.set(id, [...(this.waiting.get(id) ?? []), { seq, resolve, reject }]);
      if (!this.isLooking) void this.look();
    });
  }

  private async look(): Promise<void> {
    this.isLooking = true;
    try {
      for (let lastMs = performance.now(); this.waiting.size > 0; await delay(LOOK_EVERY_MS)) {
        if (this.tell(await this.counted([...this.waiting.keys()]))) lastMs = performance.now();
        if (performance.now() - lastMs > COUNTED_MS_MAX)
          throw new Error(`Nothing was counted for ${COUNTED_MS_MAX / 1000} s`);
      }
    } catch (error) {
      for (const { reject } of [...this.waiting.values()].flat()) reject(error);
      this.waiting.clear();
    } finally {
      this.isLooking = false;
    }
  }

  private tell(counted: readonly (readonly [channelId: string, seq: number])[]): boolean {
    let told = false;
    for (const [channelId, through] of counted) {
      const waiting = this.waiting.get(channelId) ?? [];
      const open = waiting.filter(({ seq }) => seq > through);
      for (const { seq, resolve } of waiting) if (seq <= through) resolve();
      told ||= open.length < waiting.length;
      if (open.length === 0) this.waiting.delete(channelId);
      else this.waiting.set(channelId, open);
    }
    return told;
  }

  /** How far each channel is counted, where that can be told. */
  private async counted(channelIds: readonly string[]): Promise<[string, number][]> {
    const { redis, keys } = this.lab;
    const pipeline = redis.pipeline();
    for (const id of channelIds) {
      // In this order: what is applied by now is in the stream, or has left it.
      pipeline.hget(keys.channel(id), 'applied');
      pipeline.xrange(keys.stream(keys.channelShardName(id)), '-', '+', 'COUNT', ENTRIES);
    }
    const replies = (await pipeline.exec()) ?? [];
    return channelIds.flatMap((id, i): [string, number][] => {
      const [, applied] = replies[2 * i] as [unknown, string | null];
      const [, entries] = replies[2 * i + 1] as [unknown, [string, string[]][]];
      const own = entries.map(([, fields]) => fieldsOf(fields)).filter(({ channel }) => channel === id);
      if (own.length > 0) return own[0]!.after === undefined ? [] : [[id, Number(own[0]!.after)]];
      return entries.length === ENTRIES || applied === null ? [] : [[id, Number(applied)]];
    });
  }
}

function fieldsOf(flat: readonly string[]): { channel?: string; after?: string } {
  const valueOf = (name: string) => {
    const at = flat.findIndex((each, i) => i % 2 === 0 && each === name);
    return at < 0 ? undefined : flat[at + 1];
  };
  const [channel, after] = [valueOf('channel'), valueOf('after')];
  return { ...(channel !== undefined && { channel }), ...(after !== undefined && { after }) };
}
