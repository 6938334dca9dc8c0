import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { freePortWithBus } from './ports.js';
import { findRedis } from './redis-binaries.js';
import { type RedisInstance, startRedis } from './redis.js';
import { type OnProgress, waitFor, withProgress } from './wait.js';

const SLOTS = 16_384;
const KEYS_PER_MIGRATE = 50;
const MIGRATE_TIMEOUT_MS = 5_000;
const HAND_OVER_AGAIN_MS = 2_000;

export interface RedisClusterOptions {
  /** Holds one folder a node. Without it they are temporary. */
  dataDir?: string;
  /** Three by default, which is also the least that Redis calls a cluster. */
  primaries?: number;
  /** Of each primary; none by default. */
  replicas?: number;
  maxmemory?: string;
  appendonly?: boolean;
  settings?: Record<string, string>;
  temporary?: boolean;
  onProgress?: OnProgress;
}

/**
 * A Redis Cluster on the loopback address. A node that was killed rejoins with its own `restart()`, as a replica where
 * another has taken its place.
 */
export class RedisCluster {
  constructor(readonly nodes: readonly RedisInstance[]) {}

  get urls(): string[] {
    return this.nodes.map((node) => node.url);
  }

  /**
   * Resolves when every node sees all the others, all agree on who serves which slot, and every replica follows its
   * primary.
   */
  async ready(): Promise<void> {
    await waitFor('the Redis Cluster to be ok', async () => {
      const states = await statesOf(this.nodes);
      if (!isWhole(states)) return false;
      // One that comes back believes for a moment that it still is what it was.
      const primaries = states.filter((state) => state.get('role') === 'master');
      if (!primaries.every((state) => Number(state.get('cluster_size')) === primaries.length)) return false;
      return new Set(await Promise.all(this.nodes.map((node) => node.withClient(ownersOf)))).size === 1;
    });
  }

  /** Of the nodes that run. */
  async primaries(): Promise<RedisInstance[]> {
    const running = this.nodes.filter((node) => node.running);
    const states = await Promise.all(running.map((node) => node.withClient(stateOf)));
    return running.filter((_, i) => states[i]!.get('role') === 'master');
  }

  /** Who serves the slot of a key: of a slot that was moved just now others may still believe the old home. */
  async primaryOf(key: string): Promise<RedisInstance> {
    return waitFor('one primary to serve a slot', async () => {
      const primaries = await this.primaries();
      const serving = await Promise.all(
        primaries.map((node) => node.withClient((client) => serves(client, node.port, key))),
      );
      const [primary, ...others] = primaries.filter((_, i) => serving[i]);
      return others.length === 0 && primary;
    });
  }

  /**
   * Moves the slot of a key, with all that is in it, to another primary, as `redis-cli --cluster reshard` does.
   * Clients go on meanwhile.
   */
  async migrate(key: string): Promise<void> {
    const source = await this.primaryOf(key);
    const primaries = await this.primaries();
    const target = primaries[(primaries.indexOf(source) + 1) % primaries.length]!;
    const [sourceId, targetId] = await Promise.all([idOf(source), idOf(target)]);
    const slot = await source.withClient((client) => client.cluster('KEYSLOT', key));
    await target.withClient((client) => client.cluster('SETSLOT', slot, 'IMPORTING', sourceId));
    await source.withClient(async (client) => {
      await client.cluster('SETSLOT', slot, 'MIGRATING', targetId);
      for (;;) {
        const keys = await client.cluster('GETKEYSINSLOT', slot, KEYS_PER_MIGRATE);
        if (keys.length === 0) break;
        await client.migrate('127.0.0.1', target.port, '', 0, MIGRATE_TIMEOUT_MS, 'KEYS', ...keys);
      }
    });
    // The new owner first: for a moment both would send clients to each other otherwise.
    for (const node of [target, source, ...primaries.filter((other) => other !== source && other !== target)])
      await node.withClient((client) => client.cluster('SETSLOT', slot, 'NODE', targetId));
  }

  /**
   * A replica takes over from a primary that is well. Nothing is lost. The others vote for a takeover in the same pair
   * once in 10 s (twice the node timeout); asked sooner, the primary holds up its writers in vain.
   */
  async handOver(primary: RedisInstance): Promise<void> {
    // A replica that has not heard of a slot's new home would claim it back, without what is in it.
    await this.ready();
    const replica = await this.replicaOf(primary);
    let askedMs = -Infinity;
    const handedOver = async () => {
      if ((await replica.withClient(stateOf)).get('role') === 'master') return true;
      // Asked again: a primary that has not heard yet whose replica this is lets it pass in silence.
      if (performance.now() > askedMs + HAND_OVER_AGAIN_MS) {
        askedMs = performance.now();
        await replica.withClient((client) => client.cluster('FAILOVER'));
      }
      return false;
    };
    await waitFor('a primary to hand over', handedOver);
    await this.takenOver(replica);
    await this.ready();
  }

  /**
   * From here on a primary's replica hears nothing from it: what is written is acknowledged, and lost if the primary
   * is killed. Returns the replica, for `takenOver`.
   */
  async cutOff(primary: RedisInstance): Promise<RedisInstance> {
    const replica = await this.replicaOf(primary);
    await logInAs(replica, 'nobody');
    await primary.withClient((client) => client.call('CLIENT', 'KILL', 'TYPE', 'replica'));
    return replica;
  }

  /** Resolves when a replica serves in place of its primary: some seconds after that was killed. */
  async takenOver(replica: RedisInstance): Promise<void> {
    await waitFor('a replica to take over', async () => {
      const state = await replica.withClient(stateOf);
      return state.get('role') === 'master' && state.get('cluster_state') === 'ok';
    });
    await logInAs(replica, '');
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
  }

  async remove(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.remove()));
  }

  private async replicaOf({ port }: RedisInstance): Promise<RedisInstance> {
    const states = await Promise.all(this.nodes.map((node) => node.withClient(stateOf)));
    const replica = this.nodes.find((_, i) => Number(states[i]!.get('master_port')) === port);
    if (!replica) throw new Error(`The node at ${port} has no replica`);
    return replica;
  }
}

/** Always a new cluster, whatever the folder holds: the ports may be others now, and the slots are dealt again. */
export async function startRedisCluster(options: RedisClusterOptions = {}): Promise<RedisCluster> {
  const { dataDir, primaries = 3, replicas = 0, settings, onProgress, ...rest } = options;
  const binaries = await findRedis({ onProgress });
  const started = await Promise.allSettled(
    Array.from({ length: primaries * (1 + replicas) }, async (_, index) => {
      const folder = dataDir === undefined ? undefined : join(dataDir, `node-${index + 1}`);
      const port = await freePortWithBus();
      return startRedis({
        ...rest,
        dataDir: folder,
        port,
        binaries,
        fresh: true, // it would know of another cluster's nodes and slots
        onProgress,
        settings: {
          'cluster-enabled': 'yes',
          'cluster-config-file': 'nodes.conf',
          // Long enough for nodes on a busy machine not to be taken for dead.
          'cluster-node-timeout': '5000',
          'repl-diskless-sync-delay': '0',
          ...settings,
        },
      });
    }),
  );
  const cluster = new RedisCluster(
    started.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : [])),
  );
  try {
    for (const each of started) if (each.status === 'rejected') throw each.reason;
    await withProgress('Forming the Redis Cluster', onProgress, () => form(cluster, primaries));
    return cluster;
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

/** The first nodes are the primaries; those after them follow these in turn. */
async function form(cluster: RedisCluster, primaries: number): Promise<void> {
  const { nodes } = cluster;
  const share = SLOTS / primaries;
  for (const [index, node] of nodes.slice(0, primaries).entries()) {
    const [first, after] = [Math.round(index * share), Math.round((index + 1) * share)];
    const slots = Array.from({ length: after - first }, (_, offset) => first + offset);
    await node.withClient(async (client) => {
      await client.cluster('ADDSLOTS', ...slots);
      await client.cluster('SET-CONFIG-EPOCH', index + 1);
    });
  }
  await nodes[0]?.withClient(async (client) => {
    for (const node of nodes.slice(1)) await client.cluster('MEET', '127.0.0.1', node.port);
  });
  await waitFor('the nodes to meet', async () => isWhole(await statesOf(nodes)));
  for (const [index, node] of nodes.slice(primaries).entries()) {
    const followed = await idOf(nodes[index % primaries]!);
    await node.withClient((client) => client.cluster('REPLICATE', followed));
  }
  await cluster.ready();
}

function idOf(node: RedisInstance): Promise<string> {
  return node.withClient(async (client) => String(await client.cluster('MYID')));
}

/** A name that its primary does not know keeps a replica out. */
async function logInAs(replica: RedisInstance, user: string): Promise<void> {
  await replica.withClient(async (client) => {
    await client.config('SET', 'masteruser', user);
    await client.config('SET', 'masterauth', user);
  });
}

/** None where one of them cannot be asked. */
function statesOf(nodes: readonly RedisInstance[]): Promise<Map<string, string>[]> {
  return Promise.all(nodes.map((node) => node.withClient(stateOf))).catch(() => []);
}

function isWhole(states: readonly Map<string, string>[]): boolean {
  return (
    states.length > 0 &&
    states.every(
      (state) =>
        state.get('cluster_state') === 'ok' &&
        Number(state.get('cluster_slots_ok')) === SLOTS &&
        Number(state.get('cluster_known_nodes')) === states.length &&
        state.get('master_link_status') !== 'down',
    )
  );
}

/** Whether a node itself says that it serves the slot of a key. */
async function serves(client: Redis, port: number, key: string): Promise<boolean> {
  const slot = await client.cluster('KEYSLOT', key);
  const ranges = await client.cluster('SLOTS');
  return ranges.some(([first, last, primary]) => first <= slot && slot <= last && primary?.[1] === port);
}

/** Who serves which slots, as a node believes. */
async function ownersOf(client: Redis): Promise<string> {
  const ranges = await client.cluster('SLOTS');
  return ranges
    .map(([first, last, primary]) => `${first}-${last} ${primary?.[2]}`)
    .sort()
    .join();
}

/** What a node says of itself and of the cluster, by name. */
async function stateOf(client: Redis): Promise<Map<string, string>> {
  const said = [await client.cluster('INFO'), await client.info('replication')].join('\r\n');
  const fields = said.split('\r\n').map((line) => line.split(':'));
  return new Map(fields.flatMap(([name, value]) => (name && value ? [[name, value] as const] : [])));
}
