export {
  addMember,
  createChannel,
  createChannels,
  createUser,
  createUsers,
  sendMessages,
  type CreatedChannel,
  type CreatedUser,
  type MadeUpMessage,
} from './factories.js';
export { useDatabase, type TestDatabase } from './use-database.js';
export { useReplicatedDatabase, type ReplicatedDatabase } from './use-replicated-database.js';
export { useRedis, type TestRedis } from './use-redis.js';
export { useRedisCluster } from './use-redis-cluster.js';
export {
  checkAnswer,
  compareAtRest,
  strategies,
  type CompareOptions,
  type Comparison,
  type Strategy,
} from './oracle/compare.js';
export {
  CursorLedger,
  isBelow,
  type ExpectedCursor,
  type Membership,
  type Version,
} from './oracle/cursor-ledger.js';
export { membersIn, showDifferences, type Difference, type DifferenceKind } from './oracle/difference.js';
export { storedMembers, type StoredMember } from './oracle/held.js';
export { LogReplay, type LogFact } from './oracle/log-replay.js';
export { recount, type CountQuestion, type Queryable, type Recount } from './oracle/recount.js';
export { ThreadLedger, type ExpectedFollow, type Reply } from './oracle/thread-ledger.js';
export { unrest, waitForRest } from './oracle/rest.js';
