import type { Stack } from '../stack.js';

export type Fault = 'flush-redis' | 'kill-gateway';

/** What may be broken from the page. A Redis that was given to us may be somebody's: it is left alone. */
export function faultsOf({ redis, redisCluster }: Stack): Fault[] {
  return redis || redisCluster ? ['flush-redis', 'kill-gateway'] : ['kill-gateway'];
}

export async function cause(stack: Stack, fault: Fault): Promise<void> {
  if (fault === 'kill-gateway') {
    // Each comes back on its port: whoever keeps the services up sees to it.
    await Promise.all(stack.services['realtime-gateway'].map((instance) => instance.kill()));
    return;
  }
  // Replicas follow, and would refuse it.
  const nodes = (await stack.redisCluster?.primaries()) ?? (stack.redis ? [stack.redis] : []);
  await Promise.all(nodes.map((node) => node.withClient((client) => client.flushall())));
}
