import type { AccessToken } from './access-token.js';
import { ChatError, errorOfAnswer, toChatError } from './chat-error.js';
import type { ConsistencyTokens } from './consistency-tokens.js';
import { pause, pauseMs } from './pause.js';

const answerWithinMs = 15_000;
/** For what is asked on behalf of a caller who waits. */
const patienceMs = 30_000;

export interface HttpRequest {
  service: 'api' | 'readStatus';
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** `/v1/...` */
  path: string;
  query?: Record<string, string | number | undefined>;
  body?: unknown;
  /** Whose token goes with it. */
  channelId?: string;
  /** Whose state the answer's token speaks of, where that is more than `newest`. */
  tells?: Iterable<string>;
  /** May it be said twice? Then it is, until there is an answer or this is over. GET, PUT and DELETE may. */
  patienceMs?: number;
  signal?: AbortSignal;
}

export interface HttpOptions {
  urls: { api: string; readStatus: string };
  accessToken: AccessToken;
  tokens: ConsistencyTokens;
  fetch: typeof fetch;
  /** Aborted when the chat is closed. */
  closed: AbortSignal;
}

/** The HTTP API: each request with the user's JWT and the newest consistency token, repeated where that is harmless. */
export class Http {
  constructor(private readonly options: HttpOptions) {}

  /** @throws ChatError */
  async ask<Body>(request: HttpRequest): Promise<Body> {
    const { method, signal } = request;
    const patience = request.patienceMs ?? (['POST', 'PATCH'].includes(method) ? 0 : patienceMs);
    const deadline = Date.now() + patience;
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.askOnce<Body>(request);
      } catch (error) {
        const failure = toChatError(error);
        if (this.options.closed.aborted) throw new ChatError('closed', 'The chat was closed.');
        const waitMs = pauseMs(attempt, failure.retryAfterMs);
        if (!failure.temporary || signal?.aborted || Date.now() + waitMs > deadline) throw failure;
        await pause(waitMs, signal ?? this.options.closed);
      }
    }
  }

  private async askOnce<Body>(request: HttpRequest): Promise<Body> {
    const { accessToken } = this.options;
    const jwt = await accessToken.get();
    try {
      return await this.askAs<Body>(request, jwt);
    } catch (error) {
      // Once, and only where a new token helps: clocks differ, so one may have expired unnoticed.
      if (!(error instanceof ChatError) || error.code !== 'token-expired') throw error;
      return this.askAs<Body>(request, await accessToken.after(jwt));
    }
  }

  private async askAs<Body>(request: HttpRequest, jwt: string): Promise<Body> {
    const { service, method, path, query = {}, body, channelId, tells, signal } = request;
    const { urls, tokens, closed } = this.options;
    const url = new URL(urls[service] + path);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) url.searchParams.set(name, String(value));
    }
    const abort = new AbortController();
    const end = () => abort.abort();
    const timer = setTimeout(end, answerWithinMs);
    for (const ending of [closed, signal]) ending?.addEventListener('abort', end);
    const consistency = tokens.for(channelId);
    const askedAt = tokens.mark();
    try {
      const answer = await this.options.fetch(url.href, {
        method,
        signal: abort.signal,
        headers: {
          authorization: `Bearer ${jwt}`,
          ...(consistency !== undefined && { 'tidemark-token': consistency }),
          ...(body !== undefined && { 'content-type': 'application/json' }),
        },
        body: JSON.stringify(body),
      });
      const text = await answer.text();
      if (!answer.ok) throw errorOfAnswer(answer.status, parse(text), retryAfterMs(answer));
      const token = answer.headers.get('tidemark-token');
      // Counts are asked for by POST too, which writes nothing.
      const wrote = service === 'api' && method !== 'GET';
      if (token) tokens.noteAnswer(token, tells ?? [], askedAt, wrote);
      return (text === '' ? undefined : JSON.parse(text)) as Body;
    } finally {
      clearTimeout(timer);
      for (const ending of [closed, signal]) ending?.removeEventListener('abort', end);
    }
  }
}

/** What stands between us and the service may answer in its own words. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function retryAfterMs(answer: Response): number | undefined {
  const seconds = Number(answer.headers.get('retry-after') ?? NaN);
  return Number.isFinite(seconds) ? seconds * 1000 : undefined;
}
