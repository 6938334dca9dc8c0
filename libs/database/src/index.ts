export { type Query } from './connection.js';
export { Database, type DatabaseOptions } from './database.js';
export { ChannelEntity, ChannelMemberEntity, MessageEntity, UserEntity } from './entities.js';
export {
  formatLsn,
  historyColumns,
  type HistoryRow,
  logEpochOf,
  parseLsn,
  type Position,
} from './position.js';
export { ReadRouter } from './read-router.js';
export { type Routed } from './replica.js';
export { UsersStore, type UserRow } from './users.store.js';
