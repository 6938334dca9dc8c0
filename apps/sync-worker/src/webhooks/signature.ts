import { createHmac } from 'node:crypto';

/**
 * The headers by which a receiver knows who sent a body, when, and whether it has had it before.
 *
 * Source: Standard Webhooks, https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 *
 * @param secret `whsec_` and the key in base64
 */
export function signedHeaders(
  secret: string,
  { id, body, now = new Date().getTime() }: { id: string; body: string; now?: number },
): Record<string, string> {
  const timestamp = String(Math.floor(now / 1000));
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64');
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` };
}
