import { Agent, request as send } from 'node:http';

export interface HttpRequest {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  url: string;
  /** Who asks. */
  token: string;
  /** A consistency token that the answer must include. */
  consistency?: string;
  body?: unknown;
}

export interface HttpAnswer {
  status: number;
  body: unknown;
  retryAfterMs: number | null;
}

/** No answer came. The request may have taken effect or not. */
export class NoAnswerError extends Error {
  constructor(cause: Error) {
    super(`No answer: ${cause.message}`, { cause });
  }
}

/** Longer than any service of ours takes to refuse; a request is not given up while it may still take effect. */
const TIMEOUT_MS = 30_000;

/** Plain node:http with kept connections: what measures should itself cost little. */
export class Http {
  private readonly agent: Agent;

  constructor(socketsMax: number) {
    this.agent = new Agent({ keepAlive: true, maxSockets: socketsMax, scheduling: 'fifo' });
  }

  request({ method, url, token, consistency, body }: HttpRequest): Promise<HttpAnswer> {
    const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    return new Promise((resolve, reject) => {
      const fail = (error: Error) => reject(new NoAnswerError(error));
      const outgoing = send(
        url,
        {
          method,
          agent: this.agent,
          timeout: TIMEOUT_MS,
          headers: {
            authorization: `Bearer ${token}`,
            ...(consistency && { 'tidemark-token': consistency }),
            ...(payload && { 'content-type': 'application/json', 'content-length': payload.length }),
          },
        },
        (incoming) => {
          const chunks: Buffer[] = [];
          incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
          incoming.on('error', fail);
          incoming.on('aborted', () => fail(new Error('cut off')));
          incoming.on('end', () => {
            const text = Buffer.concat(chunks).toString();
            const retryAfter = incoming.headers['retry-after'];
            try {
              resolve({
                status: incoming.statusCode ?? 0,
                body: text === '' ? undefined : JSON.parse(text),
                retryAfterMs: retryAfter === undefined ? null : Number(retryAfter) * 1000,
              });
            } catch {
              fail(new Error(`not JSON: ${text.slice(0, 200)}`));
            }
          });
        },
      );
      outgoing.on('timeout', () => outgoing.destroy(new Error(`nothing within ${TIMEOUT_MS} ms`)));
      outgoing.on('error', fail);
      outgoing.end(payload);
    });
  }

  close(): void {
    this.agent.destroy();
  }
}
