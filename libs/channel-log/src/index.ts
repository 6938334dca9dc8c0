export { aFewAtATime } from './a-few-at-a-time.js';
export { CacheEpochs } from './cache-epochs.js';
export { ChannelLog, NoSuchChannelError, type ChannelLogOptions } from './channel-log.js';
export { decodeToken, encodeToken, type Consistency } from './consistency-token.js';
export { logEntry, type LogEntry, type LogRow, type Payload } from './log-entry.js';
export {
  cacheEpochOf,
  channelColumns,
  type Fence,
  logColumns,
  LogStore,
  type MembershipRow,
  messageColumns,
  rowToChannel,
  rowToLog,
  rowToMessage,
} from './log.store.js';
export { MemberLoads, usersPerLoadMax } from './member-loads.js';
export { MessagePruningStore } from './message-pruning.store.js';
export { ChannelLogModule } from './channel-log.module.js';
export { showDrift, type Drift } from './reconcile/drift.js';
export { Reconciler, type Reconciliation } from './reconcile/reconciler.js';
