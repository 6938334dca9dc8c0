import { randomUUID } from 'node:crypto';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { Channel, Message, Problem, SendMessageInput, Visibility } from '@tidemark/contracts';
import {
  createHttpApp,
  createRuntime,
  loadConfig,
  signDevToken,
  type DevTokenClaims,
  type Runtime,
} from '@tidemark/runtime';
import { AppModule } from '../app.module.js';
import { Applies } from '../events/applies.js';

const SECRET = 'a secret that only the tests know, 32+';

export interface Reply<Body> {
  status: number;
  body: Body;
  headers: Record<string, unknown>;
  /** The consistency token. */
  token: string;
}

export interface Instance {
  app: NestFastifyApplication;
  runtime: Runtime;
}

/** Several replicas of message-api in one process, over the engines of the test file. */
export class Api {
  readonly instances: Instance[] = [];

  constructor(private readonly env: () => Record<string, string>) {}

  async start(): Promise<Instance> {
    const runtime = createRuntime(
      loadConfig('message-api', {
        ...{ NODE_ENV: 'test', LOG_LEVEL: 'silent', PORT: '0', JWT_SECRET: SECRET, SHARDS: '4' },
        ...this.env(),
      }),
    );
    const app = await createHttpApp(AppModule.for(runtime.config), runtime);
    runtime.drain.onDrain('http', () => app.close(), 'finish');
    await app.init();
    await app.getHttpAdapter().getInstance().ready();
    const instance = { app, runtime };
    this.instances.push(instance);
    return instance;
  }

  async stop(): Promise<void> {
    await Promise.all(this.instances.splice(0).map(({ runtime }) => runtime.drain.drain()));
  }

  /** Resolves when Redis has all that was answered for: an answer waits only so long for that. */
  async applied(): Promise<void> {
    await Promise.all(this.instances.map(({ app }) => app.get(Applies, { strict: false }).idle()));
  }

  /** Someone new, with a token of their own. */
  async person(name: string, role?: 'admin'): Promise<Person> {
    return this.withToken({ sub: `${name}:${randomUUID()}`, name, ...(role && { role }) });
  }

  /** The same person with a token that was issued at `now`. */
  async personAt(person: Person, now: Date): Promise<Person> {
    return this.withToken({ sub: person.externalId, name: person.name }, now);
  }

  private async withToken(claims: DevTokenClaims & { name: string }, now = new Date()): Promise<Person> {
    const { token } = signDevToken(SECRET, claims, { now: now.getTime() });
    const { sub, name } = claims;
    const person = new Person(this, token, name, sub);
    const { status, body } = await person.get<{ id: string }>('/v1/me');
    if (status !== 200) throw new Error(`${name} is not let in: ${status}`);
    return Object.assign(person, { id: body.id });
  }
}

/** Asks as one user; each request goes to the next instance, as behind a load balancer. */
export class Person {
  readonly id: string;
  private asked = 0;

  constructor(
    private readonly api: Api,
    private readonly token: string,
    readonly name: string,
    readonly externalId: string,
  ) {}

  async call<Body = Problem>(
    method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    url: string,
    payload?: object | string,
    more: Record<string, string> = {},
  ): Promise<Reply<Body>> {
    const { instances } = this.api;
    const { app } = instances[this.asked++ % instances.length]!;
    const headers = {
      authorization: `Bearer ${this.token}`,
      ...(payload !== undefined && { 'content-type': 'application/json' }),
      ...more,
    };
    const reply = await app.inject({ method, url, headers, ...(payload !== undefined && { payload }) });
    return {
      status: reply.statusCode,
      body: (reply.body === '' ? undefined : reply.json()) as Body,
      headers: reply.headers,
      token: String(reply.headers['tidemark-token']),
    };
  }

  /** Over a real connection. The status, or that there was no answer. */
  async fetches(method: string, url: string, payload: object): Promise<number | 'refused'> {
    const headers = { authorization: `Bearer ${this.token}`, 'content-type': 'application/json' };
    const asked = fetch(url, { method, headers, body: JSON.stringify(payload) });
    return asked.then(({ status }) => status).catch(() => 'refused' as const);
  }

  get = <Body = Problem>(url: string, headers?: Record<string, string>) =>
    this.call<Body>('GET', url, undefined, headers);
  post = <Body = Problem>(url: string, payload: object) => this.call<Body>('POST', url, payload);
  patch = <Body = Problem>(url: string, payload: object) => this.call<Body>('PATCH', url, payload);
  delete = <Body = Problem>(url: string) => this.call<Body>('DELETE', url);

  /** A channel of mine, and who else is in it. */
  async creates(visibility: Visibility, ...others: Person[]): Promise<Channel> {
    const { body } = await this.post<Channel>('/v1/channels', { name: 'general', visibility });
    if (others.length > 0) await this.adds(body, ...others);
    return (await this.get<Channel>(`/v1/channels/${body.id}`)).body;
  }

  adds = ({ id }: Pick<Channel, 'id'>, ...others: Person[]) =>
    this.post<{ added: number; seq: number }>(`/v1/channels/${id}/members`, {
      userIds: others.map((other) => other.id),
    });

  removes = ({ id }: Pick<Channel, 'id'>, other: Person) =>
    this.delete(`/v1/channels/${id}/members/${other.id}`);

  /** `clientId` is new unless given. */
  sends = (
    { id }: Pick<Channel, 'id'>,
    { clientId = randomUUID(), text = 'hello', ...more }: Partial<SendMessageInput> = {},
  ) => this.post<Message>(`/v1/channels/${id}/messages`, { clientId, text, ...more });
}

/** Brings up `instances` replicas before the first test of a file, and drains them after the last. */
export function useApi(
  engines: { databaseUrl: string; redisUrl: string; env?: Record<string, string> },
  instances = 1,
): Api {
  const api = new Api(() => ({
    DATABASE_URL: engines.databaseUrl,
    REDIS_URL: engines.redisUrl,
    ...engines.env,
  }));
  beforeAll(async () => {
    for (let i = 0; i < instances; i++) await api.start();
  });
  afterAll(() => api.stop());
  return api;
}
