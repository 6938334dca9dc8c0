import { z } from 'zod';

export type ServiceName = 'message-api' | 'realtime-gateway' | 'read-status-service' | 'sync-worker';

const portOf: Record<ServiceName, number> = {
  'message-api': 3001,
  'realtime-gateway': 3002,
  'read-status-service': 3003,
  'sync-worker': 3004,
};

/** A Redis or Valkey to speak to: one address, or the seeds of a Cluster. */
export interface RedisAddress {
  urls: string[];
  cluster: boolean;
}

const whole = (fallback: number, min: number, max: number) =>
  z
    .string()
    .refine((text) => /^\d{1,15}$/.test(text) && Number(text) >= min && Number(text) <= max, {
      error: `must be a whole number from ${min} to ${max}`,
    })
    .transform(Number)
    .default(fallback);

const isUrl = (text: string, schemes: string[]): boolean => {
  const url = URL.canParse(text) ? new URL(text) : null;
  return url !== null && url.hostname !== '' && schemes.includes(url.protocol.slice(0, -1));
};

const url = (...schemes: string[]) =>
  z.string().refine((text) => isUrl(text, schemes), {
    error: `must be a URL that starts with ${schemes.map((scheme) => `${scheme}://`).join(' or ')}`,
  });

const list = (member: z.ZodType<string, string>) =>
  z
    .string()
    .transform((text) => text.split(',').map((entry) => entry.trim()))
    .pipe(z.array(member).min(1).max(64));

const choice = <Value extends string>(values: readonly [Value, ...Value[]]) =>
  z
    .string()
    .refine((text) => (values as readonly string[]).includes(text), {
      error: `must be ${values.join(' or ')}`,
    })
    .optional()
    .transform((text) => (text ?? values[0]) as Value);

/** `https://chat.example`, `http://localhost:*` (any port) or `*`. */
const origin = z.string().refine(
  (text) => {
    if (text === '*') return true;
    const anchored = text.replace(/:\*$/, '');
    return URL.canParse(anchored) && new URL(anchored).origin === anchored;
  },
  { error: 'must be origins such as https://chat.example, http://localhost:* or *' },
);

/** A share, as 0.25. */
const ratio = z
  .string()
  .refine((text) => /^(0(\.\d{1,9})?|1(\.0{1,9})?)$/.test(text), { error: 'must be a number from 0 to 1' })
  .transform(Number)
  .default(1);

/** As bcrypt writes it: dearer hashes would hold up whoever else waits for this process. */
const bcryptHash = z.string().refine((text) => /^\$2[ab]\$1[0-2]\$[./A-Za-z0-9]{53}$/.test(text), {
  error: 'must be a bcrypt hash ($2a$ or $2b$) of cost 10 to 12',
});

const databaseUrl = url('postgres', 'postgresql');

const readStatusStrategies = ['watermark', 'write-behind', 'sync-db', 'redis-only'] as const;
export type ReadStatusStrategyName = (typeof readStatusStrategies)[number];

/** What a strategy keeps of members. */
export interface Kept {
  /** A counter for every member. */
  counters: boolean;
  /** How what Redis holds of a member reaches PostgreSQL: in a flush, before Redis has it, or not at all. */
  stored: 'by-flush' | 'first' | 'never';
}

/** What each strategy keeps, for those that write beside the service that counts. */
export const keptUnder: Record<ReadStatusStrategyName, Kept> = {
  watermark: { counters: false, stored: 'by-flush' },
  'write-behind': { counters: true, stored: 'by-flush' },
  'sync-db': { counters: true, stored: 'first' },
  'redis-only': { counters: true, stored: 'never' },
};

const samplers = [
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
  'always_on',
  'always_off',
  'traceidratio',
] as const;

/** Where spans go, and of how much there are any. */
export interface TracingConfig {
  /** An OTLP/HTTP collector's, path included. */
  url: string;
  sampler: (typeof samplers)[number];
  /** For the samplers by ratio, 0 to 1. */
  ratio: number;
  exportDelayMs: number;
}

const environment = z
  .object({
    NODE_ENV: choice(['production', 'development', 'test']),
    LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
    PORT: whole(-1, 0, 65_535),
    ORIGINS: list(origin).optional(),
    DATABASE_URL: databaseUrl,
    REPLICA_URLS: list(url('postgres', 'postgresql')).default([]),
    REDIS_URL: url('redis', 'rediss').optional(),
    REDIS_CLUSTER_URLS: list(url('redis', 'rediss')).optional(),
    QUEUE_REDIS_URL: url('redis', 'rediss').optional(),
    JWT_SECRET: z.string().optional(),
    JWKS_URL: url('https', 'http').optional(),
    JWT_AUDIENCE: z.string().max(255).optional(),
    READ_STATUS_STRATEGY: choice(readStatusStrategies),
    READ_ACK: choice(['cache', 'database']),
    DELIVERY_PATTERN: choice(['full-payload', 'id-only', 'cache-first']),
    READ_ROUTING: choice(['token', 'replica', 'recent-to-primary']),
    RECENT_WINDOW_MS: whole(1_000, 0, 60_000),
    FLUSH_INTERVAL_MS: whole(5_000, 50, 60_000),
    FLUSH_BATCH_SIZE_MAX: whole(5_000, 1, 50_000),
    REDIS_SOFT_LIMIT_PERCENT: whole(80, 0, 99),
    IDLE_EVICTION_S: whole(3_600, 1, 31_536_000),
    SHARDS: whole(16, 1, 1_024),
    LOG_RETENTION_DAYS: whole(30, 1, 3_650),
    MESSAGE_RETENTION_DAYS: whole(0, 0, 36_500),
    USER_REQUESTS_PER_S: whole(0, 0, 100_000),
    USER_SOCKETS_MAX: whole(50, 1, 100_000),
    WEBHOOK_FAILURES_MAX: whole(84, 1, 10_000),
    WEBHOOK_PRIVATE_ADDRESSES: choice(['refuse', 'allow']),
    DRAIN_MS: whole(10_000, 0, 600_000),
    QUEUE_BOARD: choice(['false', 'true']),
    SOCKET_ADMIN_USERNAME: z.string().max(64).optional(),
    SOCKET_ADMIN_PASSWORD_HASH: bcryptHash.optional(),
    // OpenTelemetry's own names. What else it defines (headers, timeouts, the resource) its exporter reads by itself.
    OTEL_SDK_DISABLED: choice(['false', 'true']),
    OTEL_TRACES_EXPORTER: z.enum(['none', 'otlp'], { error: 'must be none or otlp' }).optional(),
    OTEL_EXPORTER_OTLP_ENDPOINT: url('http', 'https').optional(),
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: url('http', 'https').optional(),
    OTEL_EXPORTER_OTLP_PROTOCOL: z.string().optional(),
    OTEL_TRACES_SAMPLER: choice(samplers),
    OTEL_TRACES_SAMPLER_ARG: ratio,
    OTEL_BSP_SCHEDULE_DELAY: whole(5_000, 10, 60_000),
  })
  .superRefine((env, ctx) => {
    const refuse = (name: string, message: string) => ctx.addIssue({ code: 'custom', path: [name], message });
    if (!env.REDIS_URL && !env.REDIS_CLUSTER_URLS) refuse('REDIS_URL', 'is required (or REDIS_CLUSTER_URLS)');
    if (env.REDIS_URL && env.REDIS_CLUSTER_URLS)
      refuse('REDIS_CLUSTER_URLS', 'cannot be set beside REDIS_URL');
    if (env.READ_ACK === 'database' && env.READ_STATUS_STRATEGY === 'redis-only')
      refuse('READ_ACK', 'cannot be database under redis-only, which commits no read');
    if ((env.SOCKET_ADMIN_USERNAME === undefined) !== (env.SOCKET_ADMIN_PASSWORD_HASH === undefined))
      refuse('SOCKET_ADMIN_PASSWORD_HASH', 'and SOCKET_ADMIN_USERNAME are set together or not at all');
    if (tracingOf(env) && ![undefined, 'http/json'].includes(env.OTEL_EXPORTER_OTLP_PROTOCOL))
      refuse('OTEL_EXPORTER_OTLP_PROTOCOL', 'must be http/json');
    if (!env.JWT_SECRET && !env.JWKS_URL) refuse('JWT_SECRET', 'is required (or JWKS_URL)');
    // Accepting both would widen who may sign without anyone having asked for it.
    if (env.JWT_SECRET && env.JWKS_URL) refuse('JWKS_URL', 'cannot be set beside JWT_SECRET');
    if (env.JWT_SECRET && env.NODE_ENV === 'production') {
      if (Buffer.byteLength(env.JWT_SECRET) < 32)
        refuse('JWT_SECRET', 'must be at least 32 bytes in production');
      else if (isGuessable(env.JWT_SECRET))
        refuse('JWT_SECRET', 'is a development value, refused in production');
    }
  });

interface TracingEnvironment {
  OTEL_SDK_DISABLED: 'false' | 'true';
  OTEL_TRACES_EXPORTER?: 'none' | 'otlp';
  OTEL_EXPORTER_OTLP_ENDPOINT?: string;
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT?: string;
  OTEL_TRACES_SAMPLER: TracingConfig['sampler'];
  OTEL_TRACES_SAMPLER_ARG: number;
  OTEL_BSP_SCHEDULE_DELAY: number;
}

/** null: off, as where nobody has said where spans go or that there are any. */
function tracingOf(env: TracingEnvironment): TracingConfig | null {
  const { OTEL_EXPORTER_OTLP_ENDPOINT: base, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: ofTraces } = env;
  const exporter = env.OTEL_TRACES_EXPORTER ?? ((base ?? ofTraces) ? 'otlp' : 'none');
  if (exporter === 'none' || env.OTEL_SDK_DISABLED === 'true') return null;
  return {
    url: ofTraces ?? `${(base ?? 'http://localhost:4318').replace(/\/+$/, '')}/v1/traces`,
    sampler: env.OTEL_TRACES_SAMPLER,
    ratio: env.OTEL_TRACES_SAMPLER_ARG,
    exportDelayMs: env.OTEL_BSP_SCHEDULE_DELAY,
  };
}

/** What READMEs, examples and impatient people write: right in length, known to everyone. */
const isGuessable = (secret: string): boolean =>
  /^(dev|test|local|change|example|insecure|secret|password|tidemark|your)/i.test(secret) ||
  new Set(secret).size < 8;

/**
 * Everything a process is told from outside. This file alone reads the environment.
 * NODE_ENV is `production` unless it says otherwise, so that what is for development only has to be asked for.
 */
export interface Config {
  service: ServiceName;
  nodeEnv: 'production' | 'development' | 'test';
  logLevel: z.infer<typeof environment>['LOG_LEVEL'];
  /** 0 takes any free port. */
  port: number;
  /** Who may call from a browser: origins, `scheme://host:*` for any port, or `*`. */
  origins: string[];
  databaseUrl: string;
  replicaUrls: string[];
  redis: RedisAddress;
  /** BullMQ's Redis: `redis` itself where none is named. */
  queueRedis: RedisAddress;
  /** Exactly one of `jwtSecret` and `jwksUrl` is given. */
  jwtSecret: string | null;
  jwksUrl: string | null;
  jwtAudience: string | null;
  readStatusStrategy: ReadStatusStrategyName;
  readAck: 'cache' | 'database';
  deliveryPattern: 'full-payload' | 'id-only' | 'cache-first';
  readRouting: 'token' | 'replica' | 'recent-to-primary';
  recentWindowMs: number;
  flushIntervalMs: number;
  flushBatchSizeMax: number;
  /** Of maxmemory; from there on no reads of members are taken. 0 is no limit of ours. */
  redisSoftLimitPercent: number;
  /** What nobody touched for so long leaves Redis, once it is in PostgreSQL. */
  idleEvictionS: number;
  shards: number;
  logRetentionDays: number;
  /** 0: messages are kept. */
  messageRetentionDays: number;
  /** HTTP requests of one user to this instance; 0 is no limit. */
  userRequestsPerS: number;
  /** Sockets of one user on one gateway. */
  userSocketsMax: number;
  /** Failures in a row after which a webhook is disabled; 84 take three days. */
  webhookFailuresMax: number;
  /** Whether webhooks may lead to addresses that are not public. */
  webhookPrivateAddresses: 'refuse' | 'allow';
  drainMs: number;
  /** null is off. */
  tracing: TracingConfig | null;
  /** Bull Board, in sync-worker. */
  queueBoard: boolean;
  /** Who may see Socket.IO's admin view of a gateway; null: there is none. */
  socketAdmin: { username: string; passwordHash: string } | null;
}

/** One line that names each wrong variable, and never its value. */
export class ConfigError extends Error {
  override name = 'ConfigError';
}

type Environment = Record<string, string | undefined>;

export function loadConfig(service: ServiceName, env: Environment = process.env): Config {
  // `NAME=` in a compose file means "not set".
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value?.trim()));
  const parsed = environment.safeParse(given);
  if (!parsed.success) throw new ConfigError(explain(parsed.error, given));

  const vars = parsed.data;
  const redis: RedisAddress = vars.REDIS_CLUSTER_URLS
    ? { urls: vars.REDIS_CLUSTER_URLS, cluster: true }
    : { urls: [vars.REDIS_URL!], cluster: false };
  return {
    service,
    nodeEnv: vars.NODE_ENV,
    logLevel: vars.LOG_LEVEL,
    port: vars.PORT === -1 ? portOf[service] : vars.PORT,
    origins:
      vars.ORIGINS ?? (vars.NODE_ENV === 'production' ? [] : ['http://localhost:*', 'http://127.0.0.1:*']),
    databaseUrl: vars.DATABASE_URL,
    replicaUrls: vars.REPLICA_URLS,
    redis,
    queueRedis: vars.QUEUE_REDIS_URL ? { urls: [vars.QUEUE_REDIS_URL], cluster: false } : redis,
    jwtSecret: vars.JWT_SECRET ?? null,
    jwksUrl: vars.JWKS_URL ?? null,
    jwtAudience: vars.JWT_AUDIENCE ?? null,
    readStatusStrategy: vars.READ_STATUS_STRATEGY,
    readAck: vars.READ_ACK,
    deliveryPattern: vars.DELIVERY_PATTERN,
    readRouting: vars.READ_ROUTING,
    recentWindowMs: vars.RECENT_WINDOW_MS,
    flushIntervalMs: vars.FLUSH_INTERVAL_MS,
    flushBatchSizeMax: vars.FLUSH_BATCH_SIZE_MAX,
    redisSoftLimitPercent: vars.REDIS_SOFT_LIMIT_PERCENT,
    idleEvictionS: vars.IDLE_EVICTION_S,
    shards: vars.SHARDS,
    logRetentionDays: vars.LOG_RETENTION_DAYS,
    messageRetentionDays: vars.MESSAGE_RETENTION_DAYS,
    userRequestsPerS: vars.USER_REQUESTS_PER_S,
    userSocketsMax: vars.USER_SOCKETS_MAX,
    webhookFailuresMax: vars.WEBHOOK_FAILURES_MAX,
    webhookPrivateAddresses: vars.WEBHOOK_PRIVATE_ADDRESSES,
    drainMs: vars.DRAIN_MS,
    tracing: tracingOf(vars),
    queueBoard: vars.QUEUE_BOARD === 'true',
    socketAdmin:
      vars.SOCKET_ADMIN_USERNAME !== undefined && vars.SOCKET_ADMIN_PASSWORD_HASH !== undefined
        ? { username: vars.SOCKET_ADMIN_USERNAME, passwordHash: vars.SOCKET_ADMIN_PASSWORD_HASH }
        : null,
  };
}

function explain(error: z.ZodError, given: Environment): string {
  const byName = new Map<string, string>();
  for (const issue of error.issues) {
    const name = String(issue.path[0]);
    // zod speaks of types where a variable is simply missing.
    const message =
      given[name] === undefined && issue.code === 'invalid_type' ? 'is required' : issue.message;
    if (!byName.has(name)) byName.set(name, message);
  }
  return [...byName].map(([name, message]) => `${name} ${message}`).join('; ');
}

/** What migrating needs: a database, and none of what a service does. Exits like loadConfigOrExit. */
export function loadDatabaseUrlOrExit(env: Environment = process.env): string {
  const parsed = z.object({ DATABASE_URL: databaseUrl }).safeParse(env);
  if (parsed.success) return parsed.data.DATABASE_URL;
  process.stderr.write(`migrate: ${explain(parsed.error, env)}\n`);
  process.exit(1);
}

/** For a process at its start: a wrong value is one line on stderr and exit code 1, not a stack trace. */
export function loadConfigOrExit(service: ServiceName, env: Environment = process.env): Config {
  try {
    return loadConfig(service, env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${service}: ${error.message}\n`);
    process.exit(1);
  }
}

/** Whether a browser's `Origin` is one of the configured ones; a request without one does not come from a page. */
export function isOriginAllowed(origins: readonly string[], requested: string | undefined): boolean {
  if (requested === undefined) return true;
  return origins.some(
    (allowed) =>
      allowed === '*' ||
      allowed === requested ||
      (allowed.endsWith(':*') && requested.replace(/:\d{1,5}$/, '') === allowed.slice(0, -2)),
  );
}
