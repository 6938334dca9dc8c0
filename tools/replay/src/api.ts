import { setTimeout as delay } from 'node:timers/promises';
import type { Problem, ServiceName } from '@tidemark/contracts';
import { type Http, NoAnswerError, type HttpAnswer, type HttpRequest } from './http.js';
import { type ReplayedSystem, urlsOf } from './system.js';

export interface ApiRequest extends Omit<HttpRequest, 'url'> {
  service: ServiceName;
  /** `/v1/...` */
  path: string;
}

export interface ApiAnswer<Body> {
  body: Body;
  /** More than one: an earlier attempt may have taken effect unheard. */
  attempts: number;
}

/** A plain no, which asking again does not change. */
export class RefusedError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    what: string,
    detail: string,
  ) {
    super(`${what} was answered with ${status} ${code}: ${detail}`);
  }
}

/** A client that gives up after this would call the system down. */
const PATIENCE_MS = 90_000;
const PAUSE_MS = { first: 20, max: 500 };

/** The public HTTP API, over all replicas in turn. */
export class Api {
  private turn = 0;
  private closed = false;
  private held: Promise<void> = Promise.resolve();
  /** What was refused or failed, and how often: retries must not hide it. */
  readonly troubles = new Map<string, number>();

  constructor(
    private readonly system: ReplayedSystem,
    private readonly http: Http,
  ) {}

  /** Nobody is asked any more, also by who would go on trying. */
  close(): void {
    this.closed = true;
  }

  /** Lets no change through until the function that it returns is called; those under way are not called back. */
  hold(): () => void {
    let release = () => {};
    this.held = new Promise((resolve) => (release = resolve));
    return release;
  }

  /**
   * Asks until there is an answer: for what may be repeated, such as a send with its clientId.
   *
   * @throws RefusedError
   */
  async ask<Body>(request: ApiRequest): Promise<ApiAnswer<Body>> {
    const deadline = performance.now() + PATIENCE_MS;
    for (let attempts = 1; ; attempts++) {
      const pauseMs = Math.min(PAUSE_MS.first * 2 ** Math.min(attempts, 10), PAUSE_MS.max);
      try {
        return { body: await this.askOnce<Body>(request), attempts };
      } catch (error) {
        if (!isTemporary(error) || this.closed || performance.now() > deadline) throw error;
        await delay(pauseMs);
      }
    }
  }

  /** @throws RefusedError, NoAnswerError */
  async askOnce<Body>({ service, path, ...request }: ApiRequest): Promise<Body> {
    if (request.method !== 'GET' && service === 'message-api') await this.held;
    if (this.closed) throw new NoAnswerError(new Error('the replay is over'));
    const urls = urlsOf(this.system, service);
    const url = urls[this.turn++ % urls.length]!;
    const what = `${request.method} ${path.replace(/\d+/g, '*')}`;
    let answer: HttpAnswer;
    try {
      answer = await this.http.request({ ...request, url: `${url}${path}` });
    } catch (error) {
      this.count(`${what}: ${(error as Error).message}`);
      throw error;
    }
    if (answer.status < 300) return answer.body as Body;
    const { code = '-', detail = '' } = (answer.body ?? {}) as Partial<Problem>;
    this.count(`${what}: ${answer.status} ${code}`);
    throw new RefusedError(answer.status, code, what, detail);
  }

  private count(trouble: string): void {
    this.troubles.set(trouble, (this.troubles.get(trouble) ?? 0) + 1);
  }
}

export function isTemporary(error: unknown): boolean {
  return (
    error instanceof NoAnswerError || (error instanceof RefusedError && [429, 503].includes(error.status))
  );
}
