import { Agent, request as send } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { consistencyTokenHeader, servedByHeader, type ServedBy } from '@tidemark/contracts';

export interface Request {
  method: 'GET' | 'POST' | 'PATCH';
  /** `/v1/...` */
  path: string;
  /** Who asks. */
  jwt: string;
  /** A consistency token that the answer must include. */
  token?: string;
  body?: object;
  /** Which replica, counted on and on; left out: the next. */
  replica?: number;
}

export interface Answer {
  status: number;
  body: unknown;
  servedBy: ServedBy | null;
  /** On the wire, headers and all, there and back. */
  bytes: number;
}

/** Connections to each replica: more than the lab has requests under way. */
const SOCKETS_MAX = 128;
const TIMEOUT_MS = 30_000;
const REFUSALS_MAX = 60;
const RETRY_MS = 250;
const TRIES_MAX = 3;

/** The public HTTP API of message-api, over its replicas in turn. */
export class Http {
  private readonly agent = new Agent({ keepAlive: true, maxSockets: SOCKETS_MAX });
  private turn = 0;
  /** Answers of 503, each asked again: a refusal shows nothing wrong. */
  refused = 0;

  constructor(private readonly urls: readonly string[]) {}

  /** @throws where it is refused 60 times in a row, or no answer comes. */
  async ask(request: Request): Promise<Answer> {
    for (let refusals = 0; ; refusals++) {
      const answer = await this.askOnce(request);
      if (answer.status !== 503) return answer;
      this.refused += 1;
      if (refusals === REFUSALS_MAX)
        throw new Error(`${request.method} ${request.path} is refused: ${JSON.stringify(answer.body)}`);
      await delay(RETRY_MS);
    }
  }

  close(): void {
    this.agent.destroy();
  }

  private askOnce(request: Request, tries = 1): Promise<Answer> {
    const { method, path, jwt, token, body, replica = this.turn++ } = request;
    const url = `${this.urls[replica % this.urls.length]!}${path}`;
    const payload = body && Buffer.from(JSON.stringify(body));
    return new Promise((resolve, reject) => {
      const fail = (error: Error) => reject(new Error(`${method} ${path}: ${error.message}`));
      const options = {
        ...{ method, agent: this.agent, timeout: TIMEOUT_MS },
        headers: {
          authorization: `Bearer ${jwt}`,
          ...(token && { [consistencyTokenHeader]: token }),
          ...(payload && { 'content-type': 'application/json', 'content-length': payload.length }),
        },
      };
      let before = 0;
      const outgoing = send(url, options, (incoming) => {
        const { socket, headers, statusCode = 0 } = incoming;
        const chunks: Buffer[] = [];
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
        incoming.on('error', fail);
        incoming.on('end', () => {
          const bytes = socket.bytesRead + socket.bytesWritten - before;
          const servedBy = (headers[servedByHeader.toLowerCase()] ?? null) as ServedBy | null;
          try {
            const text = Buffer.concat(chunks).toString();
            resolve({ status: statusCode, body: text === '' ? null : JSON.parse(text), servedBy, bytes });
          } catch (error) {
            fail(error as Error);
          }
        });
      });
      // A connection is kept for many requests, one at a time: what it has carried before is not of this one.
      outgoing.on('socket', (socket) => (before = socket.bytesRead + socket.bytesWritten));
      outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
      outgoing.on('error', (error) => {
        // A server closes idle connections; one that it closes just now was not at fault. Sends bear repeating.
        if (outgoing.reusedSocket && tries < TRIES_MAX)
          this.askOnce(request, tries + 1).then(resolve, reject);
        else fail(error);
      });
      outgoing.end(payload);
    });
  }
}
