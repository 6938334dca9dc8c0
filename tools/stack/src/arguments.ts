import { parseArgs } from 'node:util';
import { serviceNames, type ServiceName } from '@tidemark/contracts';
import { INSTANCES_MAX, REPLICAS_MAX, StackOptionsError, type StackOptions } from './options.js';

export const USAGE = `npm start -- [options]
  --instances message-api=2,realtime-gateway=3   processes of each service (1)
  --pg-replicas 1                                streaming standbys of PostgreSQL (0)
  --replica-lag 300ms                            how long a commit waits before a replica shows it (0)
  --redis-cluster                                three Redis primaries, each with a replica, instead of one Redis
  --no-web                                       leaves the web app out
DATABASE_URL, REPLICA_URLS and REDIS_URL are used where they are set, and services take all other settings from
the environment.`;

export type StackArguments = Pick<
  StackOptions,
  'instances' | 'pgReplicas' | 'replicaLagMs' | 'redisCluster'
> & {
  /** Whether the web app is served; it is by default. */
  web?: boolean;
};

const LAG_MS_MAX = 600_000;

/**
 * What was typed after `npm start --`; null where help was asked for.
 *
 * @throws StackOptionsError of one line.
 */
export function parseArguments(typed: string[]): StackArguments | null {
  const { help, ...values } = split(typed);
  if (help) return null;
  return {
    ...(values.instances !== undefined && { instances: instancesIn(values.instances) }),
    ...(values['pg-replicas'] !== undefined && {
      pgReplicas: whole('--pg-replicas', values['pg-replicas'], 0, REPLICAS_MAX),
    }),
    ...(values['replica-lag'] !== undefined && { replicaLagMs: millisecondsIn(values['replica-lag']) }),
    ...(values['redis-cluster'] !== undefined && { redisCluster: values['redis-cluster'] }),
    ...(values['no-web'] && { web: false }),
  };
}

function split(typed: string[]) {
  try {
    return parseArgs({
      args: typed,
      options: {
        instances: { type: 'string' },
        'pg-replicas': { type: 'string' },
        'replica-lag': { type: 'string' },
        'redis-cluster': { type: 'boolean' },
        'no-web': { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    // Node adds advice on how to pass positional arguments, of which there are none.
    throw new StackOptionsError((error as Error).message.split('. ')[0]);
  }
}

function instancesIn(text: string): Partial<Record<ServiceName, number>> {
  const instances: Partial<Record<ServiceName, number>> = {};
  for (const part of text.split(',')) {
    const [name = '', count, ...rest] = part.trim().split('=');
    if (!isServiceName(name))
      throw new StackOptionsError(`--instances: there is no "${name}", only ${serviceNames.join(', ')}`);
    if (count === undefined || rest.length > 0)
      throw new StackOptionsError(`--instances: write ${name}=2, not "${part.trim()}"`);
    instances[name] = whole(`--instances ${name}`, count, 1, INSTANCES_MAX);
  }
  return instances;
}

const isServiceName = (name: string): name is ServiceName =>
  (serviceNames as readonly string[]).includes(name);

function whole(what: string, text: string, min: number, max: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  if (!(value >= min && value <= max))
    throw new StackOptionsError(`${what}: "${text}" is not a whole number from ${min} to ${max}`);
  return value;
}

function millisecondsIn(text: string): number {
  const [, amount, unit] = /^(\d{1,7}(?:\.\d{1,3})?)(ms|s)?$/.exec(text) ?? [];
  const value = amount === undefined ? NaN : Math.round(Number(amount) * (unit === 's' ? 1_000 : 1));
  if (!(value <= LAG_MS_MAX))
    throw new StackOptionsError(
      `--replica-lag: "${text}" is not a time up to ${LAG_MS_MAX}ms, such as 300ms or 2s`,
    );
  return value;
}
