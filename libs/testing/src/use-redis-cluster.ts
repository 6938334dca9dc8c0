import { type RedisCluster, type RedisClusterOptions, startRedisCluster } from '@tidemark/engines';

const START_MS = 120_000;

/** A Redis Cluster of this file alone: three primaries, each with a replica. There from the first `beforeAll` on. */
export function useRedisCluster(settings?: RedisClusterOptions['settings']): {
  readonly cluster: RedisCluster;
} {
  let cluster: RedisCluster | undefined;
  beforeAll(async () => {
    cluster = await startRedisCluster({ replicas: 1, temporary: true, settings });
  }, START_MS);
  afterAll(() => cluster?.remove());
  return {
    get cluster() {
      if (!cluster) throw new Error('The Redis Cluster is there only while tests run');
      return cluster;
    },
  };
}
