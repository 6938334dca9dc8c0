import type { Redis } from 'ioredis';
import type { Membership } from './memberships.js';

/** A way to hold cursors. Its scripts do what ours do and no more, so that the structures are compared. */
export interface Structure {
  name: string;
  /** What it cannot hold or cannot do. */
  lacks: string;
  /** The key that holds a membership. */
  key: (of: Membership) => string;
  /** KEYS: one for each of a user's memberships in ARGV, three values each: channel, user, value to store. */
  store: string;
  /** What `store` is given for a membership. */
  value: (of: Membership) => string | Buffer;
  /** KEYS[1]; ARGV: channel, user, cursor, now in s. Returns 1 if it moved. Never goes back. */
  advance: string;
  /** One for each of KEYS: ARGV has the channel and the user of each, in turn. Returns the cursors. */
  read: string;
  /** KEYS[1]: all of a user's cursors, in no order, where they lie in one key. */
  readAll?: string;
}

const TERM_SHIFT = 2 ** 40;
const RECORD = 16;
const BLOCK = 128;

/** Reads KEYS one by one; `cursor` is Lua for the cursor of `channel` and `user` in `key`. */
const readEach = (cursor: string, before = ''): string => `
${before}
local cursors = {}
for i = 1, #KEYS do
  local key, channel, user = KEYS[i], ARGV[2 * i - 1], ARGV[2 * i]
  cursors[i] = ${cursor}
end
return cursors`;

const storeEach = (command: string): string => `
for i = 1, #KEYS do
  local key, channel, user, value = KEYS[i], ARGV[3 * i - 2], ARGV[3 * i - 1], ARGV[3 * i]
  ${command}
end`;

const SECOND = 'local function second(_, value) return value end';

const packed = (field: 'channel' | 'user'): Pick<Structure, 'store' | 'value' | 'advance' | 'read'> => ({
  value: ({ term, cursor, lastReadS }) => `${term} ${cursor} ${lastReadS}`,
  store: storeEach(`
  local term, cursor, lastRead = string.match(value, '(%d+) (%d+) (%d+)')
  redis.call('HSET', key, ${field}, cmsgpack.pack(tonumber(term), tonumber(cursor), tonumber(lastRead)))`),
  advance: `
local field = ARGV[${field === 'channel' ? 1 : 2}]
local term, held = cmsgpack.unpack(redis.call('HGET', KEYS[1], field))
if tonumber(ARGV[3]) <= held then return 0 end
redis.call('HSET', KEYS[1], field, cmsgpack.pack(term, tonumber(ARGV[3]), tonumber(ARGV[4])))
return 1`,
  read: readEach(`second(cmsgpack.unpack(redis.call('HGET', key, ${field})))`, SECOND),
});

/** Binary search by channel in a string of records, in the order of channels. */
const FIND = `
local function find(key, channel)
  local low, high = 0, redis.call('STRLEN', key) / ${RECORD} - 1
  while low <= high do
    local middle = math.floor((low + high) / 2)
    local found = struct.unpack('>I6', redis.call('GETRANGE', key, middle * ${RECORD}, middle * ${RECORD} + 5))
    if found == channel then return middle * ${RECORD} end
    if found < channel then low = middle + 1 else high = middle - 1 end
  end
end`;

export const structures: readonly Structure[] = [
  {
    name: 'hash of each user, packed (ours)',
    lacks: '',
    key: ({ userId }) => `hash:${userId}`,
    ...packed('channel'),
    readAll: `
${SECOND}
local cursors = redis.call('HVALS', KEYS[1])
for i = 1, #cursors do cursors[i] = second(cmsgpack.unpack(cursors[i])) end
return cursors`,
  },
  {
    name: 'hash of each user, in digits',
    lacks: '',
    key: ({ userId }) => `digits:${userId}`,
    value: ({ term, cursor, lastReadS }) => `${term}:${cursor}:${lastReadS}`,
    store: storeEach(`redis.call('HSET', key, channel, value)`),
    advance: `
local term, held = string.match(redis.call('HGET', KEYS[1], ARGV[1]), '(%d+):(%d+)')
if tonumber(ARGV[3]) <= tonumber(held) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], term .. ':' .. ARGV[3] .. ':' .. ARGV[4])
return 1`,
    read: readEach(`tonumber(string.match(redis.call('HGET', key, channel), ':(%d+):'))`),
    readAll: `
local cursors = redis.call('HVALS', KEYS[1])
for i = 1, #cursors do cursors[i] = tonumber(string.match(cursors[i], ':(%d+):')) end
return cursors`,
  },
  {
    name: 'hash of each channel, packed',
    lacks: "a user's channels lie in as many keys and, in a Cluster, nodes",
    key: ({ channelId }) => `channel:${channelId}`,
    ...packed('user'),
  },
  {
    name: 'sorted set of each user',
    lacks: 'a score holds term and cursor, and no time',
    key: ({ userId }) => `zset:${userId}`,
    value: ({ term, cursor }) => String(term * TERM_SHIFT + cursor),
    store: storeEach(`redis.call('ZADD', key, value, channel)`),
    advance: `return redis.call('ZADD', KEYS[1], 'GT', 'CH', ${TERM_SHIFT} + ARGV[3], ARGV[1])`,
    read: readEach(`tonumber(redis.call('ZSCORE', key, channel)) % ${TERM_SHIFT}`),
    readAll: `
local cursors, all = {}, redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for i = 2, #all, 2 do cursors[i / 2] = tonumber(all[i]) % ${TERM_SHIFT} end
return cursors`,
  },
  {
    name: 'bitmap, a bit for each message',
    lacks: 'no term, no time; grows with the messages that are read',
    key: ({ userId, channelId }) => `bits:${userId}:${channelId}`,
    value: ({ cursor }) => String(cursor),
    store: storeEach(`
  local bytes = math.floor(value / 8)
  if bytes > 0 then redis.call('SETRANGE', key, 0, string.rep('\\255', bytes)) end
  for bit = 8 * bytes, value do redis.call('SETBIT', key, bit, 1) end`),
    advance: `
local held = redis.call('BITPOS', KEYS[1], 0) - 1
if tonumber(ARGV[3]) <= held then return 0 end
for bit = held + 1, ARGV[3] do redis.call('SETBIT', KEYS[1], bit, 1) end
return 1`,
    read: readEach(`redis.call('BITPOS', key, 0) - 1`),
  },
  {
    name: `bitfield, 32 bits a channel, ${BLOCK} ids a key`,
    lacks: 'no term, no time, no telling which channels somebody is in',
    key: ({ userId, channelId }) => `field:${userId}:${Math.floor(channelId / BLOCK)}`,
    value: ({ cursor }) => String(cursor),
    store: storeEach(`redis.call('BITFIELD', key, 'SET', 'u32', '#' .. channel % ${BLOCK}, value)`),
    advance: `
local at = '#' .. ARGV[1] % ${BLOCK}
if tonumber(ARGV[3]) <= redis.call('BITFIELD', KEYS[1], 'GET', 'u32', at)[1] then return 0 end
redis.call('BITFIELD', KEYS[1], 'SET', 'u32', at, ARGV[3])
return 1`,
    read: readEach(`redis.call('BITFIELD', key, 'GET', 'u32', '#' .. channel % ${BLOCK})[1]`),
  },
  {
    name: 'packed string of each user',
    lacks: 'a join or a leave moves all that lies behind it',
    key: ({ userId }) => `string:${userId}`,
    value: recordOf,
    store: storeEach(`redis.call('SET', key, (redis.call('GET', key) or '') .. value)`),
    advance: `${FIND}
local at = find(KEYS[1], tonumber(ARGV[1]))
local held = struct.unpack('>I4', redis.call('GETRANGE', KEYS[1], at + 8, at + 11))
if tonumber(ARGV[3]) <= held then return 0 end
redis.call('SETRANGE', KEYS[1], at + 8, struct.pack('>I4I4', ARGV[3], ARGV[4]))
return 1`,
    read: readEach(
      `(struct.unpack('>I4', strings[key], offset(strings[key], tonumber(channel)) + 9))`,
      `
local strings = {}
for _, key in ipairs(KEYS) do strings[key] = strings[key] or redis.call('GET', key) end
local function offset(all, channel)
  local low, high = 0, #all / ${RECORD} - 1
  while low <= high do
    local middle = math.floor((low + high) / 2)
    local found = struct.unpack('>I6', all, middle * ${RECORD} + 1)
    if found == channel then return middle * ${RECORD} end
    if found < channel then low = middle + 1 else high = middle - 1 end
  end
end`,
    ),
    readAll: `
local cursors, all = {}, redis.call('GET', KEYS[1])
for at = 0, #all - 1, ${RECORD} do cursors[#cursors + 1] = struct.unpack('>I4', all, at + 9) end
return cursors`,
  },
];

function recordOf({ channelId, term, cursor, lastReadS }: Membership): Buffer {
  const record = Buffer.alloc(RECORD);
  record.writeUIntBE(channelId, 0, 6);
  record.writeUInt16BE(term, 6);
  record.writeUInt32BE(cursor, 8);
  record.writeUInt32BE(lastReadS, 12);
  return record;
}

const PER_CALL = 500;

/** Stores memberships in their order. */
export async function storeAll(
  redis: Redis,
  { key, store, value }: Structure,
  memberships: readonly Membership[],
): Promise<void> {
  for (let from = 0; from < memberships.length; from += PER_CALL) {
    const some = memberships.slice(from, from + PER_CALL);
    const args = some.flatMap((of) => [of.channelId, of.userId, value(of)]);
    await redis.eval(store, some.length, ...some.map(key), ...args);
  }
}
