import type { Queue } from 'bullmq';

/** One hash tag for everything of BullMQ, so that its scripts find all their keys in one slot of a Cluster. */
export const QUEUE_PREFIX = '{tidemark}';

/** One job per user shard, again and again. */
export const FLUSH_QUEUE = 'flush';
/** Rare, long, and not to stand in the way of a flush. */
export const PRUNING_QUEUE = 'pruning';
export const MESSAGE_PRUNING = 'prune-messages';
/** Audits of a few members. */
export const SAMPLING_QUEUE = 'sampling';

/** What is in Redis: `evict` and `restore`. */
export const RESIDENCY_QUEUE = 'residency';
export type ResidencyJob = 'evict' | 'restore';
/** Between two looks for a loss; and how long one run takes at the most. */
export const RESTORE_INTERVAL_MS = 5_000;

/** One job per webhook that has something to be sent. */
export const WEBHOOKS_QUEUE = 'webhooks';

/** Nest's name of what all workers have in common. */
export const WORKERS = 'workers';

export interface FlushJob {
  shardName: string;
}

export interface WebhookJob {
  webhookId: string;
}

/** The producers' side: schedulers are written with these, and numbers are asked for. */
export abstract class Queues {
  abstract readonly flush: Queue<FlushJob>;
  abstract readonly pruning: Queue;
  abstract readonly sampling: Queue;
  abstract readonly residency: Queue<unknown, unknown, ResidencyJob>;
  abstract readonly webhooks: Queue<WebhookJob>;
}

/** Finished jobs are kept for ever unless told otherwise. Those that failed are few, and worth a look. */
export const KEEP_JOBS = { removeOnComplete: true, removeOnFail: { count: 100, age: 24 * 3600 } };
