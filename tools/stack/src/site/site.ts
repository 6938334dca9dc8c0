import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Stack } from '../stack.js';
import { type BuiltFile, readBuiltFiles } from './built-files.js';
import { cause, faultsOf } from './faults.js';
import { FiguresReader } from './figures.js';
import { bodyOf, Refusal, refuseStrangers } from './guard.js';
import { recount } from './recount.js';

export interface SiteOptions {
  /** What Vite has built. */
  folder: string;
  port: number;
}

/** Somebody whom the page may speak for. */
interface Person {
  user: string;
  name: string;
}

const peopleMax = 50;
const userCharsMax = 200;
const farewellMs = 1_000;

/** ORIGINS of the services, where somebody has set them, with the page's own. */
export function originsWith(env: Record<string, string> = {}, port: number): Record<string, string> {
  const { ORIGINS } = env;
  if (ORIGINS === undefined) return env; // in development any page of this machine
  return { ...env, ORIGINS: `${ORIGINS},http://127.0.0.1:${port},http://localhost:${port}` };
}

/**
 * Serves apps/web to this machine alone, and what only the machine's owner may do: tokens for the people in the
 * database, figures, faults. No service has any of it, and nothing but `npm start` and tests starts this.
 */
export class Site {
  private readonly server: Server;
  private readonly files: Map<string, BuiltFile>;
  private readonly figures: FiguresReader;

  private constructor(
    private readonly stack: Stack,
    private readonly options: SiteOptions,
  ) {
    this.files = readBuiltFiles(options.folder);
    this.figures = new FiguresReader(stack);
    this.server = createServer((request, response) => {
      this.answer(request, response).catch((error: Error) => {
        const status = error instanceof Refusal ? error.status : 500;
        if (!response.headersSent) this.send(response, status, { error: error.message });
        request.resume();
      });
    });
  }

  static async start(stack: Stack, options: SiteOptions): Promise<Site> {
    const site = new Site(stack, options);
    await new Promise<void>((resolve, reject) => {
      site.server.once('error', reject).listen({ port: options.port, host: '127.0.0.1' }, resolve);
    });
    return site;
  }

  get url(): string {
    return `http://127.0.0.1:${this.options.port}`;
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    this.server.closeIdleConnections();
    setTimeout(() => this.server.closeAllConnections(), farewellMs).unref();
    await closed;
    await this.figures.close();
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    refuseStrangers(request, this.options.port);
    const [path = '/'] = (request.url ?? '/').split('?');
    switch (`${request.method} ${path}`) {
      case 'GET /stack':
        return this.send(response, 200, {
          people: await this.people(),
          urls: this.urls(),
          faults: faultsOf(this.stack),
        });
      case 'GET /stack/figures':
        return this.send(response, 200, await this.figures.read());
      case 'POST /stack/token':
        return this.send(response, 200, { token: await this.tokenFor(await bodyOf(request)) });
      case 'POST /stack/recount':
        return this.send(
          response,
          200,
          await recount((text, values) => this.figures.query(text, values), await bodyOf(request)),
        );
      case 'POST /stack/fault': {
        const { fault } = await bodyOf(request);
        const known = faultsOf(this.stack).find((name) => name === fault);
        if (!known) throw new Refusal(404, 'There is no such fault here.');
        await cause(this.stack, known);
        return this.send(response, 200, {});
      }
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') throw new Refusal(405, 'GET is served.');
    const file = this.files.get(path);
    if (!file) throw new Refusal(404, 'There is no such page.');
    response.writeHead(200, {
      ...this.headers(),
      'content-type': file.type,
      'cache-control': file.forEver ? 'public, max-age=31536000, immutable' : 'no-cache',
    });
    response.end(request.method === 'HEAD' ? undefined : file.content);
  }

  private send(response: ServerResponse, status: number, body: unknown): void {
    response.writeHead(status, {
      ...this.headers(),
      ...{ 'content-type': 'application/json', 'cache-control': 'no-store' },
    });
    response.end(JSON.stringify(body));
  }

  private headers(): Record<string, string> {
    const services = Object.values(this.urls()).flat();
    const reachable = services.flatMap((url) => [url, url.replace('http', 'ws')]);
    return {
      'content-security-policy': `default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' ${reachable.join(' ')}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
      'cross-origin-resource-policy': 'same-origin',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
    };
  }

  private urls() {
    const { services } = this.stack;
    const of = (name: keyof typeof services) => services[name].map(({ url }) => url);
    return {
      api: of('message-api'),
      realtime: of('realtime-gateway'),
      readStatus: of('read-status-service'),
    };
  }

  private people(): Promise<Person[]> {
    return this.figures.query<Person>(
      `SELECT external_id AS user, name FROM users
        WHERE kind = 'person' AND EXISTS (SELECT FROM channel_members m WHERE m.user_id = users.id)
        ORDER BY id LIMIT $1`,
      [peopleMax],
    );
  }

  private async tokenFor({ user }: Record<string, unknown>): Promise<string> {
    if (typeof user !== 'string' || user === '' || user.length > userCharsMax || user.includes('\0'))
      throw new Refusal(400, 'Say which user.');
    const [person] = await this.figures.query<Person>(
      `SELECT external_id AS user, name FROM users WHERE kind = 'person' AND external_id = $1`,
      [user],
    );
    if (!person) throw new Refusal(404, `There is no ${user}.`);
    return this.stack.token(person.user, { name: person.name });
  }
}
