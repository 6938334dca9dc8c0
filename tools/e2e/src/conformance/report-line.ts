import { randomUUID } from 'node:crypto';
import type { Count } from '@tidemark/contracts';
import type { Keys, RedisClient } from '@tidemark/redis';
import { Cluster } from 'ioredis';

interface Report {
  channelId: string;
  seq: number;
  term?: number;
  threadSeq?: number;
}

/** A gateway gives up: the service lets go what is older. */
const GIVEN_UP_MS = 5_500;
/** As long as no busy machine needs. */
const UNANSWERED_MS = 60_000;

/** Passes reports on as a gateway does that a socket says them to. */
export class ReportLine {
  private readonly gatewayId = randomUUID();
  private readonly waiting = new Map<string, (counts: Count[] | null) => void>();
  private ids = 0;

  private constructor(
    private readonly redis: RedisClient,
    private readonly subscriber: RedisClient,
    private readonly keys: Keys,
  ) {}

  static async open(redis: RedisClient, keys: Keys): Promise<ReportLine> {
    // Two overloads, which the compiler does not call as one.
    const subscriber = redis instanceof Cluster ? redis.duplicate() : redis.duplicate();
    const line = new ReportLine(redis, subscriber, keys);
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

  /**
   * Where the reader stands in each channel that is theirs; null where the service asks to be asked again, and for who
   * is `patient` where it does not answer.
   */
  say(userId: string, reports: readonly Report[], patient = false): Promise<Count[] | null> {
    const { gatewayId } = this;
    const id = String(this.ids++);
    const request = { kind: 'read', gatewayId, id, userId, reports };
    return new Promise((resolve, reject) => {
      this.waiting.set(id, resolve);
      const giveUp = () => {
        this.waiting.delete(id);
        if (patient) resolve(null);
        else reject(new Error('A report was never answered'));
      };
      setTimeout(giveUp, patient ? GIVEN_UP_MS : UNANSWERED_MS).unref();
      this.redis.xadd(this.keys.reports, '*', 'request', JSON.stringify(request)).catch(reject);
    });
  }
}
