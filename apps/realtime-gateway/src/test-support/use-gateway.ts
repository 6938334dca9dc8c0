import type { AddressInfo } from 'node:net';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createRuntime, loadConfig, type RedisAddress, type Runtime } from '@tidemark/runtime';
import { useDatabase, useRedis, type TestDatabase, type TestRedis } from '@tidemark/testing';
import { createGatewayApp } from '../app.js';
import { Topics } from '../topics/topics.js';
import { Client, type ClientOptions, SECRET } from './client.js';
import { eventually } from './eventually.js';
import { Relay } from './relay.js';
import { Writer } from './writer.js';

const SHARDS = 4;

export interface Instance {
  app: NestFastifyApplication;
  runtime: Runtime;
  url: string;
}

/** Gateways that listen, clients that connect to them, and someone who writes as message-api does. */
export class GatewayWorld {
  writer: Writer;
  private readonly instances: Instance[] = [];
  private readonly clients: Client[] = [];
  private readonly relays: Relay[] = [];

  constructor(
    readonly database: TestDatabase,
    readonly redis: TestRedis,
    readonly addressOfRedis: () => RedisAddress,
  ) {}

  async start(env: Record<string, string> = {}): Promise<Instance> {
    const { urls, cluster } = this.addressOfRedis();
    const runtime = createRuntime(
      loadConfig('realtime-gateway', {
        ...{ NODE_ENV: 'test', LOG_LEVEL: process.env['TEST_LOG_LEVEL'] ?? 'silent', PORT: '0' },
        ...{
          DATABASE_URL: this.database.url,
          [cluster ? 'REDIS_CLUSTER_URLS' : 'REDIS_URL']: urls.join(','),
        },
        ...{ JWT_SECRET: SECRET, SHARDS: String(SHARDS), ...env },
      }),
    );
    const app = await createGatewayApp(runtime);
    runtime.drain.onDrain('http', () => app.close(), 'finish');
    await app.listen(0, '127.0.0.1');
    const { port } = app.getHttpServer().address() as AddressInfo;
    const url = `http://127.0.0.1:${port}`;
    const instance = { app, runtime, url };
    this.instances.push(instance);
    // It hears, and it can ask: two connections to Redis.
    const isReady = async () =>
      app.get(Topics).isReady && (await fetch(`${url}/health/ready`)).status === 200;
    await eventually(async () => ((await isReady()) ? true : undefined));
    return instance;
  }

  get app(): NestFastifyApplication {
    return this.instances[0]!.app;
  }

  get url(): string {
    return this.instances[0]!.url;
  }

  /** A client that has had its `ready`. */
  async connect(user: { externalId: string; name: string }, options: ClientOptions = {}): Promise<Client> {
    const client = this.client(user, options);
    await client.once('ready');
    return client;
  }

  client(user: { externalId: string; name: string }, options: ClientOptions = {}): Client {
    const client = new Client(options.url ?? this.url, user, options);
    this.clients.push(client);
    return client;
  }

  async relayTo(url: string): Promise<Relay> {
    const relay = await Relay.to(url);
    this.relays.push(relay);
    return relay;
  }

  disconnectAll(): void {
    for (const client of this.clients.splice(0)) client.socket.disconnect();
  }

  async stop(): Promise<void> {
    this.disconnectAll();
    await Promise.all(this.instances.splice(0).map(({ runtime }) => runtime.drain.drain()));
    await Promise.all(this.relays.splice(0).map((relay) => relay.close()));
  }
}

/** @param addressOfRedis of another one than the test's own; asked when all hooks before have run */
export function useGateway(addressOfRedis?: () => RedisAddress): GatewayWorld {
  // Real engines, and often everything else on the same few cores.
  jest.setTimeout(120_000);
  const redis = useRedis();
  const single = () => ({ urls: [redis.url], cluster: false });
  const world = new GatewayWorld(useDatabase(), redis, addressOfRedis ?? single);
  beforeAll(async () => {
    world.writer = await Writer.open(world.database, world.addressOfRedis(), SHARDS);
    await world.start();
  });
  afterEach(() => world.disconnectAll());
  afterAll(async () => {
    await world.stop();
    world.writer.close();
  });
  return world;
}
