import { join } from 'node:path';
import { freePortWithBus } from './ports.js';
import { findRedis } from './redis-binaries.js';
import { type RedisInstance, startRedis } from './redis.js';
import { type OnProgress, waitFor, withProgress } from './wait.js';

const SLOTS = 16_384;

export interface RedisClusterOptions {
  /** Holds one folder a node. Without it they are temporary. */
  dataDir?: string;
  /** Three by default, which is also the least that Redis calls a cluster. */
  primaries?: number;
  maxmemory?: string;
  appendonly?: boolean;
  settings?: Record<string, string>;
  temporary?: boolean;
  onProgress?: OnProgress;
}

/** A Redis Cluster of primaries on the loopback address. A node that was killed rejoins with its own `restart()`. */
export class RedisCluster {
  constructor(readonly nodes: readonly RedisInstance[]) {}

  get urls(): string[] {
    return this.nodes.map((node) => node.url);
  }

  /** Resolves when every node sees all the others, and every slot is served. */
  async ready(): Promise<void> {
    await waitFor('the Redis Cluster to be ok', async () => {
      const infos = await Promise.all(
        this.nodes.map((node) => node.withClient((client) => client.cluster('INFO'))),
      ).catch(() => [undefined]);
      return infos.every((info) => {
        const fields = new Map(
          String(info)
            .trim()
            .split('\r\n')
            .map((line) => line.split(':') as [string, string]),
        );
        return (
          fields.get('cluster_state') === 'ok' &&
          Number(fields.get('cluster_slots_ok')) === SLOTS &&
          Number(fields.get('cluster_known_nodes')) === this.nodes.length
        );
      });
    });
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
  }

  async remove(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.remove()));
  }
}

/** Always a new cluster, whatever the folder holds: the ports may be others now, and the slots are dealt again. */
export async function startRedisCluster(options: RedisClusterOptions = {}): Promise<RedisCluster> {
  const { dataDir, primaries = 3, settings, onProgress, ...rest } = options;
  const binaries = await findRedis({ onProgress });
  const started = await Promise.allSettled(
    Array.from({ length: primaries }, async (_, index) => {
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
          'cluster-node-timeout': '2000',
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
    await withProgress('Forming the Redis Cluster', onProgress, () => form(cluster));
    return cluster;
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

async function form(cluster: RedisCluster): Promise<void> {
  const { nodes } = cluster;
  const share = SLOTS / nodes.length;
  for (const [index, node] of nodes.entries()) {
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
  await cluster.ready();
}
