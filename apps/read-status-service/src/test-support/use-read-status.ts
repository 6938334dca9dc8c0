import type { Abstract } from '@nestjs/common';
import { ChannelLog } from '@tidemark/channel-log';
import type { Problem, Unread } from '@tidemark/contracts';
import { Keys } from '@tidemark/redis';
import { createHttpApp, createRuntime, loadConfig, signDevToken, type Runtime } from '@tidemark/runtime';
import { useDatabase, useRedis, type CreatedUser } from '@tidemark/testing';
import { AppModule } from '../app.module.js';

const SECRET = 'a secret that only the tests know, 32+';
const SHARDS = 4;

/** Replicas of read-status-service in one process. */
export class ReadStatus {
  readonly replicas: { app: Awaited<ReturnType<typeof createHttpApp>>; runtime: Runtime }[] = [];
  private turn = 0;

  constructor(private readonly env: Record<string, string>) {}

  async start(): Promise<void> {
    const runtime = createRuntime(
      loadConfig('read-status-service', {
        ...{ NODE_ENV: 'test', LOG_LEVEL: 'silent', PORT: '0', JWT_SECRET: SECRET, SHARDS: String(SHARDS) },
        ...this.env,
      }),
    );
    const app = await createHttpApp(AppModule, runtime);
    runtime.drain.onDrain('http', () => app.close(), 'finish');
    await app.init();
    await app.getHttpAdapter().getInstance().ready();
    // A load balancer sends nothing before that either.
    while ((await runtime.health.readiness()).status !== 'up') await new Promise(setImmediate);
    this.replicas.push({ app, runtime });
  }

  async stop(): Promise<void> {
    await Promise.all(this.replicas.splice(0).map(({ runtime }) => runtime.drain.drain()));
  }

  /** As one user, on the next replica. */
  async call<Body = Problem>(
    user: CreatedUser,
    method: 'GET' | 'PUT' | 'POST',
    url: string,
    payload?: object,
    { role, headers }: { role?: 'admin'; headers?: Record<string, string> } = {},
  ): Promise<{ status: number; body: Body; headers: Record<string, unknown> }> {
    const { token } = signDevToken(SECRET, { sub: user.externalId, name: user.name, role });
    const { app } = this.replicas[this.turn++ % this.replicas.length]!;
    const reply = await app.inject({
      ...{ method, url },
      headers: {
        authorization: `Bearer ${token}`,
        ...(payload && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(payload && { payload }),
    });
    const body = (reply.body === '' ? null : reply.json()) as Body;
    return { status: reply.statusCode, body, headers: reply.headers };
  }

  /** A part of the first replica. */
  get<Part>(part: Abstract<Part>): Part {
    return this.replicas[0]!.app.get(part);
  }

  /** Returns once Redis has the channel's log up to a seq. */
  async applied(channelId: string, seq: number): Promise<void> {
    await this.get(ChannelLog).reach(channelId, seq);
  }

  async unread(user: CreatedUser): Promise<Unread> {
    return (await this.call<Unread>(user, 'GET', '/v1/unread')).body;
  }
}

/** Two replicas from before the first test of a file to after its last, over engines that are this file's alone. */
export function useReadStatus(env: Record<string, string> = {}) {
  const database = useDatabase();
  const redis = useRedis();
  const service = new ReadStatus({ DATABASE_URL: database.url, REDIS_URL: redis.url, ...env });
  beforeAll(() => Promise.all([service.start(), service.start()]));
  afterAll(() => service.stop());
  return { database, redis, service, keys: new Keys(SHARDS) };
}
