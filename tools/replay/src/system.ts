import type { ServiceName } from '@tidemark/contracts';
import type { ServiceInstance, Stack } from '@tidemark/stack';

/** One process of a service, which can be restarted while the others go on. */
export type ReplayedInstance = Pick<ServiceInstance, 'name' | 'index' | 'url' | 'kill' | 'started'>;

type Addresses = Pick<Stack, 'databaseUrl' | 'redisUrls' | 'redisAddress'>;
type OwnEngines = Pick<Stack, 'redis' | 'redisCluster'>;

/** What is replayed against, and what the oracle looks at: a stack, or anything that runs Tidemark elsewhere. */
export interface ReplayedSystem extends Readonly<Addresses>, Readonly<OwnEngines> {
  readonly services: Readonly<Record<ServiceName, readonly ReplayedInstance[]>>;
  /** The one address of all services. Without it clients go to the instances, whose own addresses show their metrics. */
  readonly ingressUrl?: string;
  token(user: string, claims: { name: string; role?: 'admin' }): string;
}

/** Where clients find a service. */
export function urlsOf({ ingressUrl, services }: ReplayedSystem, name: ServiceName): string[] {
  return ingressUrl === undefined ? services[name].map(({ url }) => url) : [ingressUrl];
}
