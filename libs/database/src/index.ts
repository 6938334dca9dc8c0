export { Database, type DatabaseOptions } from './database.js';
export { ChannelEntity, ChannelMemberEntity, MessageEntity, UserEntity } from './entities.js';
export { formatLsn, parseLsn, type Position } from './position.js';
export { ReadRouter, type Query, type Routed } from './read-router.js';
export { UsersStore, type UserRow } from './users.store.js';
