import { z } from 'zod';

import { envelope, eventTypes } from './envelope.js';
import { webhookChannelsMax, webhookUrlCharsMax } from './limits.js';
import { amount, id, idSet, storablePattern, time } from './scalars.js';

const eventType = z.enum(eventTypes);

/** Where it leads is judged when it is called: a name may resolve to another address by then. */
const webhookUrl = z
  .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
  .max(webhookUrlCharsMax)
  .regex(storablePattern)
  .regex(/^https?:\/\/[^/\\?#@]+(?:[/\\?#]|$)/i, 'must have no user and no password');

/** Left out, `channelIds` and `types` mean all. Neither changes afterwards. */
export const createWebhook = z.strictObject({
  url: webhookUrl,
  channelIds: idSet({ min: 1, max: webhookChannelsMax }).optional(),
  types: z
    .array(eventType)
    .min(1)
    .max(eventTypes.length)
    .transform((types) => [...new Set(types)])
    .optional(),
});
export type CreateWebhook = z.infer<typeof createWebhook>;

/**
 * `failures` in a row, since `failingSince`; `lastFailure` says why. Disabled, nothing is sent, and its place in the
 * log is kept. `missed` events were pruned from the log before they were sent.
 */
export const webhook = z
  .object({
    id,
    url: z.string(),
    channelIds: z.array(id).nullable(),
    types: z.array(eventType).nullable(),
    createdAt: time,
    failures: amount,
    failingSince: time.nullable(),
    lastFailure: z.string().nullable(),
    missed: amount,
    disabledAt: time.nullable(),
  })
  .meta({ id: 'Webhook' });
export type Webhook = z.infer<typeof webhook>;

/** `secret` is said this once. */
export const createdWebhook = webhook
  .extend({ secret: z.string().meta({ description: '`whsec_` and a key in base64.' }) })
  .meta({ id: 'CreatedWebhook' });
export type CreatedWebhook = z.infer<typeof createdWebhook>;

export const webhooks = z.object({ items: z.array(webhook) }).meta({ id: 'Webhooks' });
export type Webhooks = z.infer<typeof webhooks>;

/**
 * What a webhook is sent, signed as Standard Webhooks say. Answer 2xx within ten seconds.
 *
 * Said by   sync-worker, from the log
 * Heard by  whoever a webhook names
 * Delivery  at least once. `webhook-id` is that of the batch, the same at each repeat; of a channel, batches and the
 *           events in them are in seq order. Messages are as they stand when it is sent.
 */
export const webhookBody = z
  .object({ type: z.literal('events'), timestamp: time, data: z.array(envelope) })
  .meta({ id: 'WebhookBody' });
export type WebhookBody = z.infer<typeof webhookBody>;
