import { Agent, request as ask } from 'node:http';
import autocannon from 'autocannon';
import { nextClientId, TEXT } from './messages.js';
import type { Person } from './population.js';
import { quantile } from './quantiles.js';
import type { World } from './world.js';

/** How often autocannon looks whether it is done. */
const SAMPLE_MS = 20;

export interface Request {
  path: string;
  token: string;
  body: object;
}

export interface Load {
  /** From the first request to the last answer. */
  seconds: number;
  wrong: string[];
}

/** As many requests as fast as they are answered, each connection one at a time. */
export async function load(
  url: string,
  { amount, connections, next }: { amount: number; connections: number; next: () => Request },
): Promise<Load> {
  let firstMs = 0;
  let lastMs = 0;
  const statuses = new Map<number, number>();
  const result = await autocannon({
    url,
    amount,
    connections: Math.min(connections, amount),
    sampleInt: SAMPLE_MS,
    setupClient: (client) => {
      firstMs ||= performance.now();
      client.on('response', (status) => {
        lastMs = performance.now();
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      });
    },
    requests: [
      {
        method: 'POST',
        setupRequest: () => {
          const { path, token, body } = next();
          return {
            ...{ method: 'POST', path, body: JSON.stringify(body) },
            headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
          };
        },
      },
    ],
  });
  const good = (statuses.get(201) ?? 0) + (statuses.get(200) ?? 0);
  const seen = [...statuses].map(([status, times]) => `${times} x ${status}`).join(', ');
  const wrong =
    good === amount && result.errors === 0
      ? []
      : [`${amount} requests, answered ${seen}, ${result.errors} errors, ${result.timeouts} timeouts`];
  return { seconds: (lastMs - firstMs) / 1000, wrong };
}

/** Sends to one channel, of its authors in turn. */
export function sends(channelId: string, authors: readonly Person[]): () => Request {
  let turn = 0;
  return () => ({
    path: `/v1/channels/${channelId}/messages`,
    token: authors[turn++ % authors.length]!.token,
    body: { clientId: nextClientId(), text: TEXT },
  });
}

/** One request at a time, over connections that are kept until the bench ends. */
export class Http {
  private readonly agent = new Agent({ keepAlive: true, maxSockets: 256 });

  constructor(world: World) {
    world.defer(() => this.agent.destroy());
  }

  /** The body of the answer. Rejects where it is a refusal. */
  post<Answer>(url: string, { path, token, body }: Request): Promise<Answer> {
    const payload = Buffer.from(JSON.stringify(body));
    return new Promise((resolve, reject) => {
      const outgoing = ask(
        `${url}${path}`,
        {
          method: 'POST',
          agent: this.agent,
          headers: {
            ...{ authorization: `Bearer ${token}`, 'content-type': 'application/json' },
            'content-length': payload.length,
          },
        },
        (incoming) => {
          const chunks: Buffer[] = [];
          incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
          incoming.on('error', reject);
          incoming.on('end', () => {
            const text = Buffer.concat(chunks).toString();
            const status = incoming.statusCode ?? 0;
            if (status >= 200 && status < 300) resolve(JSON.parse(text) as Answer);
            else reject(new Error(`POST ${path}: ${status} ${text}`));
          });
        },
      );
      outgoing.on('error', reject);
      outgoing.end(payload);
    });
  }
}

/**
 * Starts `work` at a steady rate, whether what came before is done or not: whoever is slow is not given less to do.
 * Resolves when all of it is done; rejects if one of it failed.
 */
export async function paced(
  { perSecond, seconds }: { perSecond: number; seconds: number },
  work: (i: number) => Promise<void>,
): Promise<number> {
  const startedMs = performance.now();
  const total = Math.max(1, Math.round(perSecond * seconds));
  const begun: Promise<void>[] = [];
  while (begun.length < total) {
    const due = Math.min(total, 1 + Math.floor(((performance.now() - startedMs) / 1000) * perSecond));
    while (begun.length < due) begun.push(work(begun.length));
    await new Promise((resume) => setTimeout(resume, 1));
  }
  await Promise.all(begun);
  return total;
}

/** Sends at a steady rate beside something else. Their latencies in ms. */
export async function probeSends(
  world: World,
  http: Http,
  next: () => Request,
  { perSecond, seconds }: { perSecond: number; seconds: number },
): Promise<{ p50: number; p99: number }> {
  const url = world.url('message-api');
  const tookMs: number[] = [];
  await paced({ perSecond, seconds }, async () => {
    const startedMs = performance.now();
    await http.post(url, next());
    tookMs.push(performance.now() - startedMs);
  });
  return { p50: quantile(tookMs, 0.5), p99: quantile(tookMs, 0.99) };
}
