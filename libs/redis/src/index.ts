export {
  connectBlocking,
  connectRedis,
  connectSubscriber,
  primariesOf,
  RedisUnavailableError,
  type RedisClient,
} from './client.js';
export { RedisConnection } from './connection.js';
export { NoEpochError } from './epoch.js';
export { groupByShard, Keys } from './keys.js';
export { RedisFullError, RedisMemory, type MemoryUse } from './memory.js';
export { forgetReadTraces, noteReadTraces, takeReadTraces } from './read-traces.js';
export { applyEvents, type ApplyOutcome, type EventFact } from './scripts/apply-events.js';
export { beginEpoch } from './scripts/begin-epoch.js';
export { beatOnline, beatUsersMax, readOnline } from './scripts/beat-online.js';
export { countUnread, type CountAnswer, type CountQuestion } from './scripts/count-unread.js';
export { evictChannel, evictMembers } from './scripts/evict.js';
export { forgetCounters, forgetMembersMax } from './scripts/forget-counters.js';
export { incrementCounters, incrementMembersMax } from './scripts/increment-counters.js';
export { installChannel, type ChannelState } from './scripts/install-channel.js';
export { installCursors, type StoredCursor } from './scripts/install-cursors.js';
export { keepLock } from './scripts/keep-lock.js';
export { lookAtEpoch, primaryIdsOf, type SeenEpoch } from './scripts/look-at-epoch.js';
export {
  mergeCursors,
  type CounterChange,
  type CursorEntry,
  type MergedCursor,
} from './scripts/merge-cursors.js';
export { readCursors, type HeldCursor } from './scripts/read-cursors.js';
export {
  readDirty,
  readDirtyOfChannel,
  readMembers,
  type DirtyBatch,
  type DirtyCursor,
} from './scripts/read-dirty.js';
export { readRecent } from './scripts/read-recent.js';
export { replaceCursors, type DriftedCursor } from './scripts/replace-cursors.js';
export { setCounters, type CountedCursor } from './scripts/set-counters.js';
export { settleDirty } from './scripts/settle-dirty.js';
