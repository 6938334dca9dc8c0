import { parseArgs } from 'node:util';
import { serviceNames, type ServiceName } from '@tidemark/contracts';
import { strategies, type Strategy } from '@tidemark/testing';
import { faults, type Fault } from './faults.js';
import { unevenInstances, type ReplayOptions } from './run.js';

export const USAGE = `npm run replay -- <folder> [options]
  --strategy watermark|write-behind|sync-db|redis-only   how counts come about (watermark)
  --instances message-api=3,...       processes of each service (3 message-api, 2 gateways, 2 read-status, 1 worker)
  --speed 50|max                      messages a second (max)
  --clients 100                       connected sockets
  --fault redis|sync-worker|gateway|message-api|rolling-restart|slot-migration|failover   what happens halfway (nothing);
                                      several with commas, one after the other
  --redis-cluster                     three primaries with a replica each (slot-migration and failover bring it)
  --limit 1000                        messages, of the first files by name (all)
  --seed 42                           of everything that is random (another each time)
The folder holds logs in the formats of fixtures/README.md. PostgreSQL, Redis and the services are its own.`;

/** What was typed cannot be meant. */
export class ArgumentsError extends Error {}

/** null where help was asked for. */
export function parseArguments(typed: string[]): ReplayOptions | null {
  const { values, positionals } = split(typed);
  if (values.help) return null;
  const [folder, ...rest] = positionals;
  if (folder === undefined || rest.length > 0) throw new ArgumentsError('name one folder of logs');
  const { strategy, speed, clients, fault, limit, seed, instances } = values;
  return {
    folder,
    ...(strategy !== undefined && {
      strategy: oneOf<Strategy>('--strategy', strategy, strategies),
    }),
    ...(fault !== undefined && {
      faults: fault.split(',').map((each) => oneOf<Fault>('--fault', each, faults)),
    }),
    ...(values['redis-cluster'] !== undefined && { redisCluster: values['redis-cluster'] }),
    ...(speed !== undefined && { speed: speed === 'max' ? speed : whole('--speed', speed, 1) }),
    ...(clients !== undefined && { clients: whole('--clients', clients, 1) }),
    ...(limit !== undefined && { limit: whole('--limit', limit, 1) }),
    ...(seed !== undefined && { seed: whole('--seed', seed, 0) }),
    ...(instances !== undefined && { instances: { ...unevenInstances, ...instancesIn(instances) } }),
  };
}

function split(typed: string[]) {
  const text = { type: 'string' } as const;
  try {
    return parseArgs({
      args: typed,
      allowPositionals: true,
      options: {
        ...{
          strategy: text,
          instances: text,
          speed: text,
          clients: text,
          fault: text,
          limit: text,
          seed: text,
        },
        'redis-cluster': { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new ArgumentsError((error as Error).message.split('. ')[0]);
  }
}

function instancesIn(text: string): Partial<Record<ServiceName, number>> {
  return Object.fromEntries(
    text.split(',').map((part) => {
      const [name = '', count = ''] = part.trim().split('=');
      return [oneOf('--instances', name, serviceNames), whole(`--instances ${name}`, count, 1)];
    }),
  );
}

function oneOf<Value extends string>(what: string, text: string, values: readonly Value[]): Value {
  const value = values.find((known) => known === text);
  if (value === undefined) throw new ArgumentsError(`${what}: "${text}" is none of ${values.join(', ')}`);
  return value;
}

function whole(what: string, text: string, min: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  if (!(value >= min)) throw new ArgumentsError(`${what}: "${text}" is not a whole number from ${min} up`);
  return value;
}
