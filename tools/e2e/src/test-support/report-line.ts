import { randomUUID } from 'node:crypto';
import type { Count } from '@tidemark/contracts';
import type { Keys } from '@tidemark/redis';
import type { Redis } from 'ioredis';

interface Report {
  channelId: string;
  seq: number;
  term?: number;
  threadSeq?: number;
}

/** Passes reports on as a gateway does that a socket says them to. */
export class ReportLine {
  private readonly gatewayId = randomUUID();
  private readonly waiting = new Map<string, (counts: Count[] | null) => void>();
  private ids = 0;

  private constructor(
    private readonly redis: Redis,
    private readonly subscriber: Redis,
    private readonly keys: Keys,
  ) {}

  static async open(redis: Redis, keys: Keys): Promise<ReportLine> {
    const line = new ReportLine(redis, redis.duplicate(), keys);
    line.subscriber.on('message', (_topic, message: string) => {
      const { id, counts = null } = JSON.parse(message) as { id: string; counts?: Count[] };
      line.waiting.get(id)?.(counts);
      line.waiting.delete(id);
    });
    await line.subscriber.subscribe(keys.replyTopic(line.gatewayId));
    return line;
  }

  close(): void {
    this.subscriber.disconnect();
  }

  /** Where the reader stands in each channel that is theirs; null where the service asks to be asked again. */
  async say(userId: string, reports: readonly Report[]): Promise<Count[] | null> {
    const { gatewayId } = this;
    const id = String(this.ids++);
    const answered = new Promise<Count[] | null>((resolve) => this.waiting.set(id, resolve));
    const request = { kind: 'read', gatewayId, id, userId, reports };
    await this.redis.xadd(this.keys.reports, '*', 'request', JSON.stringify(request));
    return answered;
  }
}
