import { ChannelLog } from '@tidemark/channel-log';
import type { Problem } from '@tidemark/contracts';
import { createHttpApp, createRuntime, loadConfig, signDevToken, type Runtime } from '@tidemark/runtime';
import type { CreatedUser, TestDatabase, TestRedis } from '@tidemark/testing';
import { AppModule } from '../app.module.js';

const secret = 'a secret that only the tests know, 32+';

type App = Awaited<ReturnType<typeof createHttpApp>>;

/** Two replicas of the service over a test file's engines; each request goes to the next one. */
export class Replicas {
  private running: { app: App; runtime: Runtime }[] = [];
  private turn = 0;

  constructor(
    private readonly engines: { database: TestDatabase; redis: TestRedis },
    private readonly strategy: 'watermark' | 'write-behind',
  ) {
    beforeEach(async () => {
      this.running = [await this.start(), await this.start()];
    });
    afterEach(async () => {
      await Promise.all(this.running.map(({ runtime }) => runtime.drain.drain()));
    });
  }

  get<Part>(part: abstract new (...args: never[]) => Part): Part {
    return this.running[0]!.app.get(part);
  }

  /** Returns once Redis has the channel's log up to a seq. */
  async applied(channelId: string, seq: number): Promise<void> {
    await this.get(ChannelLog).reach(channelId, seq);
  }

  async call<Body = Problem>(
    user: CreatedUser,
    method: 'GET' | 'PUT' | 'POST',
    url: string,
    { payload, role }: { payload?: object; role?: 'admin' } = {},
  ): Promise<{ status: number; body: Body; headers: Record<string, unknown> }> {
    const { token } = signDevToken(secret, { sub: user.externalId, name: user.name, role });
    const { app } = this.running[this.turn++ % this.running.length]!;
    const reply = await app.inject({
      ...{ method, url },
      headers: {
        authorization: `Bearer ${token}`,
        ...(payload && { 'content-type': 'application/json' }),
      },
      ...(payload && { payload }),
    });
    const body = (reply.body === '' ? null : reply.json()) as Body;
    return { status: reply.statusCode, body, headers: reply.headers };
  }

  private async start(): Promise<{ app: App; runtime: Runtime }> {
    const { database, redis } = this.engines;
    const runtime = createRuntime(
      loadConfig('read-status-service', {
        ...{ NODE_ENV: 'test', LOG_LEVEL: 'silent', PORT: '0', JWT_SECRET: secret, SHARDS: '4' },
        ...{ DATABASE_URL: database.url, REDIS_URL: redis.url, READ_STATUS_STRATEGY: this.strategy },
      }),
    );
    const app = await createHttpApp(AppModule, runtime);
    runtime.drain.onDrain('http', () => app.close(), 'finish');
    await app.init();
    await app.getHttpAdapter().getInstance().ready();
    // A load balancer sends nothing before that either.
    while ((await runtime.health.readiness()).status !== 'up') await new Promise(setImmediate);
    return { app, runtime };
  }
}
