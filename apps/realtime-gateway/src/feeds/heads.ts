import { Injectable } from '@nestjs/common';
import { ChannelLog } from '@tidemark/channel-log';
import { Database } from '@tidemark/database';
import { NoEpochError, RedisConnection } from '@tidemark/redis';
import { isTemporary } from '@tidemark/runtime';

export interface Head {
  seq: number;
  ordinal: number;
}

/** How far channels' logs go. */
@Injectable()
export class Heads {
  private readonly wanted = new Set<string>();
  private next: Promise<Map<string, Head>> | null = null;

  constructor(
    private readonly channelLog: ChannelLog,
    private readonly redis: RedisConnection,
    private readonly database: Database,
  ) {}

  /** As Redis has it applied, so that what is counted and what is delivered agree; as committed while Redis is away. */
  async of(channelIds: readonly string[]): Promise<Map<string, number>> {
    if (channelIds.length === 0) return new Map();
    if (this.redis.available) {
      try {
        return await this.channelLog.heads(channelIds);
      } catch (error) {
        if (!isTemporary(error) && !(error instanceof NoEpochError) && this.redis.available) throw error;
      }
    }
    return this.committed(channelIds);
  }

  async committed(channelIds: readonly string[]): Promise<Map<string, number>> {
    const { rows } = await this.database.query<{ id: string; head: string }>({
      name: 'heads',
      text: 'SELECT id, head_seq AS head FROM channels WHERE id = ANY($1::bigint[])',
      values: [channelIds],
    });
    return new Map(rows.map(({ id, head }) => [id, Number(head)]));
  }

  /** The same with ordinals. Connections that ask at the same moment, after a cut, share a query. */
  withOrdinals(channelIds: readonly string[]): Promise<Map<string, Head>> {
    for (const channelId of channelIds) this.wanted.add(channelId);
    this.next ??= new Promise((resolve, reject) => {
      setImmediate(() => {
        const wanted = [...this.wanted];
        this.wanted.clear();
        this.next = null;
        this.withOrdinalsNow(wanted).then(resolve, reject);
      });
    });
    return this.next;
  }

  private async withOrdinalsNow(channelIds: readonly string[]): Promise<Map<string, Head>> {
    const { rows } = await this.database.query<{ id: string; head: string; ordinal: string }>({
      name: 'heads-with-ordinals',
      text: 'SELECT id, head_seq AS head, ordinal FROM channels WHERE id = ANY($1::bigint[])',
      values: [channelIds],
    });
    return new Map(
      rows.map(({ id, head, ordinal }) => [id, { seq: Number(head), ordinal: Number(ordinal) }]),
    );
  }
}
