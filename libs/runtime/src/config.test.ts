import { execFileSync } from 'node:child_process';
import { isOriginAllowed, loadConfig, loadConfigOrExit } from './config.js';
import { environment, testConfig } from './test-support/config.js';

const STRONG = 'kP3xQ9mZ7vT1wB5nR8yL2sD6fH4jG0cA';

describe('loadConfig', () => {
  it('has a default for all that has a sensible one', () => {
    const { DATABASE_URL, REDIS_URL } = environment;
    expect(loadConfig('realtime-gateway', { DATABASE_URL, REDIS_URL, JWT_SECRET: STRONG })).toEqual({
      service: 'realtime-gateway',
      nodeEnv: 'production',
      logLevel: 'info',
      port: 3002,
      origins: [],
      databaseUrl: DATABASE_URL,
      replicaUrls: [],
      redis: { urls: [REDIS_URL], cluster: false },
      queueRedis: { urls: [REDIS_URL], cluster: false },
      jwtSecret: STRONG,
      jwksUrl: null,
      jwtAudience: null,
      readStatusStrategy: 'watermark',
      readAck: 'cache',
      deliveryPattern: 'full-payload',
      readRouting: 'token',
      recentWindowMs: 1000,
      flushIntervalMs: 5000,
      redisSoftLimitPercent: 80,
      idleEvictionS: 3600,
      flushBatchSizeMax: 5000,
      shards: 16,
      logRetentionDays: 30,
      messageRetentionDays: 0,
      userRequestsPerS: 0,
      userSocketsMax: 50,
      webhookFailuresMax: 84,
      webhookPrivateAddresses: 'refuse',
      drainMs: 10_000,
      tracing: null,
      queueBoard: false,
      socketAdmin: null,
    });
  });

  it('gives each service a port of its own', () => {
    const services = ['message-api', 'realtime-gateway', 'read-status-service', 'sync-worker'] as const;
    const env = { ...environment, PORT: undefined };
    expect(services.map((service) => loadConfig(service, env).port)).toEqual([3001, 3002, 3003, 3004]);
  });

  it('reads lists by their commas, and an empty variable as none', () => {
    const config = testConfig({
      REPLICA_URLS: 'postgres://a/x, postgres://b/x',
      REDIS_URL: '',
      REDIS_CLUSTER_URLS: 'redis://a:7000,redis://b:7001',
      QUEUE_REDIS_URL: 'redis://queue',
      SHARDS: ' ',
    });
    expect(config.replicaUrls).toEqual(['postgres://a/x', 'postgres://b/x']);
    expect(config.redis).toEqual({ urls: ['redis://a:7000', 'redis://b:7001'], cluster: true });
    expect(config.queueRedis).toEqual({ urls: ['redis://queue'], cluster: false });
    expect(config.shards).toBe(16);
  });

  const collector = 'http://collector:4318';
  const hash = '$2b$10$heqvAkYMez.Va6Et2uXInOnkCT6/uQj1brkrbyG3LpopDklcq7ZOS';

  it.each<[Record<string, string>, string | null]>([
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: collector }, `${collector}/v1/traces`],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: `${collector}/otlp/` }, `${collector}/otlp/v1/traces`],
    [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${collector}/mine` }, `${collector}/mine`],
    [{ OTEL_TRACES_EXPORTER: 'otlp' }, 'http://localhost:4318/v1/traces'],
    [{ OTEL_TRACES_EXPORTER: 'none', OTEL_EXPORTER_OTLP_ENDPOINT: collector }, null],
    [{ OTEL_SDK_DISABLED: 'true', OTEL_EXPORTER_OTLP_ENDPOINT: collector }, null],
    // Somebody else's protocol is no reason not to start where there is nothing to send.
    [{ OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }, null],
  ])('of %j, sends spans to %s', (env, url) => {
    expect(testConfig(env).tracing?.url ?? null).toBe(url);
  });

  it('has an admin view only for who has a name and a password', () => {
    const { socketAdmin } = testConfig({ SOCKET_ADMIN_USERNAME: 'ops', SOCKET_ADMIN_PASSWORD_HASH: hash });
    expect(socketAdmin).toEqual({ username: 'ops', passwordHash: hash });
  });

  const wrong: [string, Record<string, string | undefined>, RegExp][] = [
    ['a missing database', { DATABASE_URL: undefined }, /^DATABASE_URL is required$/],
    [
      'a database that is not PostgreSQL',
      { DATABASE_URL: 'mysql://a' },
      /^DATABASE_URL must be a URL that starts with postgres/,
    ],
    ['one bad replica of two', { REPLICA_URLS: 'postgres://a,b' }, /^REPLICA_URLS must be a URL/],
    ['no Redis', { REDIS_URL: undefined }, /^REDIS_URL is required/],
    ['two kinds of Redis', { REDIS_CLUSTER_URLS: 'redis://a' }, /^REDIS_CLUSTER_URLS cannot be set beside/],
    ['a port that is a word', { PORT: 'http' }, /^PORT must be a whole number from 0 to 65535$/],
    ['a port out of range', { PORT: '65536' }, /^PORT must be/],
    ['a number in another notation', { SHARDS: '1e2' }, /^SHARDS must be/],
    ['no shards', { SHARDS: '0' }, /^SHARDS must be a whole number from 1/],
    [
      'an unknown environment',
      { NODE_ENV: 'staging' },
      /^NODE_ENV must be production or development or test$/,
    ],
    ['an unknown log level', { LOG_LEVEL: 'loud' }, /^LOG_LEVEL /],
    ['an origin with a path', { ORIGINS: 'https://chat.example/app' }, /^ORIGINS must be origins/],
    ['an unknown acknowledgement', { READ_ACK: 'disk' }, /^READ_ACK must be cache or database$/],
    [
      'an acknowledgement that the strategy cannot give',
      { READ_ACK: 'database', READ_STATUS_STRATEGY: 'redis-only' },
      /^READ_ACK cannot be database under redis-only/,
    ],
    [
      'an unknown pattern',
      { DELIVERY_PATTERN: 'id' },
      /^DELIVERY_PATTERN must be full-payload or id-only or cache-first$/,
    ],
    [
      'an unknown routing',
      { READ_ROUTING: 'any-replica' },
      /^READ_ROUTING must be token or replica or recent-to-primary$/,
    ],
    [
      'an unknown strategy',
      { READ_STATUS_STRATEGY: 'magic' },
      /^READ_STATUS_STRATEGY must be watermark or write-behind or sync-db or redis-only$/,
    ],
    ['no way to check a token', { JWT_SECRET: undefined }, /^JWT_SECRET is required \(or JWKS_URL\)$/],
    [
      'two ways to check a token',
      { JWKS_URL: 'https://id.example/jwks' },
      /^JWKS_URL cannot be set beside JWT_SECRET$/,
    ],
    ['a JWKS over ftp', { JWT_SECRET: undefined, JWKS_URL: 'ftp://a' }, /^JWKS_URL must be a URL/],
    ['an admin without a password', { SOCKET_ADMIN_USERNAME: 'ops' }, /^SOCKET_ADMIN_PASSWORD_HASH and/],
    [
      'a password in the clear',
      { SOCKET_ADMIN_USERNAME: 'ops', SOCKET_ADMIN_PASSWORD_HASH: 'hunter2' },
      /^SOCKET_ADMIN_PASSWORD_HASH must be a bcrypt hash/,
    ],
    ['an unknown sampler', { OTEL_TRACES_SAMPLER: 'most' }, /^OTEL_TRACES_SAMPLER must be parentbased_/],
    ['more than all', { OTEL_TRACES_SAMPLER_ARG: '1.5' }, /^OTEL_TRACES_SAMPLER_ARG must be a number/],
    [
      'spans by another protocol',
      { OTEL_EXPORTER_OTLP_ENDPOINT: collector, OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' },
      /^OTEL_EXPORTER_OTLP_PROTOCOL must be http\/json$/,
    ],
    ['two wrong values', { PORT: 'x', SHARDS: 'y' }, /^PORT must [^\n]*; SHARDS must [^\n]*$/],
  ];
  it.each(wrong)('refuses %s', (_title, changes, message) => {
    expect(() => testConfig(changes)).toThrow(message);
  });

  it.each([
    'dev',
    'short but not known',
    'dev-secret-of-more-than-thirty-two-bytes',
    'change-me-change-me-change-me-change-me',
    'a'.repeat(64),
  ])('refuses the secret %p in production, without repeating it', (secret) => {
    const attempt = () => testConfig({ NODE_ENV: 'production', JWT_SECRET: secret });
    expect(attempt).toThrow(/^JWT_SECRET [^\n]*production$/);
    expect(attempt).not.toThrow(secret);
  });

  it('never repeats the password of a database it refuses', () => {
    expect(() => testConfig({ DATABASE_URL: 'mysql://me:hunter2@host/db' })).not.toThrow('hunter2');
  });
});

describe('loadConfigOrExit', () => {
  it('says one line on stderr that names the variable, and exits 1', () => {
    const write = jest.spyOn(process.stderr, 'write').mockReturnValue(true);
    const exit = jest.spyOn(process, 'exit').mockImplementation(() => {
      throw new Error('exited');
    });
    expect(() => loadConfigOrExit('sync-worker', { ...environment, FLUSH_INTERVAL_MS: 'soon' })).toThrow(
      'exited',
    );
    expect(exit).toHaveBeenCalledWith(1);
    expect(write.mock.calls).toEqual([
      ['sync-worker: FLUSH_INTERVAL_MS must be a whole number from 50 to 60000\n'],
    ]);
    jest.restoreAllMocks();
  });

  it('is what every process starts with: nothing else of it reads the environment', () => {
    const files = execFileSync('grep', ['-rl', 'process.env', __dirname], { encoding: 'utf8' })
      .trim()
      .split('\n');
    expect(files.filter((file) => !/\.test\.ts$/.test(file))).toEqual([`${__dirname}/config.ts`]);
  });
});

describe('isOriginAllowed', () => {
  const cases: [string[], string | undefined, boolean][] = [
    [['https://chat.example'], 'https://chat.example', true],
    [['https://chat.example'], 'https://chat.example.evil.example', false],
    [['https://chat.example'], 'http://chat.example', false],
    [['http://localhost:*'], 'http://localhost:5173', true],
    [['http://localhost:*'], 'http://localhost', true],
    [['http://localhost:*'], 'http://localhost.evil.example:80', false],
    [['http://localhost:*'], 'http://localhost:80.evil.example', false],
    [['*'], 'https://anyone.example', true],
    [[], 'null', false],
    [[], undefined, true],
  ];
  it.each(cases)('of %j, %s: %s', (origins, requested, allowed) => {
    expect(isOriginAllowed(origins, requested)).toBe(allowed);
  });
});
