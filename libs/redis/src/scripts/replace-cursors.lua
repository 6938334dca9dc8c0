--[[
  Replaces what is held of members by what PostgreSQL has, where the two have drifted apart; their counters go, to
  be counted anew. The one script that may move a cursor back within its term.

  Why a script: a read, a join or a mark-unread may come between seeing the drift and repairing it, and wins then.

  KEYS[1]    epoch     string  {u<shard>}:epoch
  KEYS[2]    dirty     zset    {u<shard>}:dirty
  KEYS[2i+1] cursors   hash    {u<shard>}:cursors:<user>   of the i-th entry; as merge-cursors.lua keeps it
  KEYS[2i+2] counters  hash    {u<shard>}:counters:<user>

  ARGV, eight an entry: user, channel, term (0: none) and cursor as they were seen, then term (negative: has left),
  cursor, last read in s and delivered as PostgreSQL has them

  Returns  for each entry 1 if it is replaced (of a dirty member the counters alone), 0 if it is no longer as it was
           seen; or 'no-epoch'
]]
local epoch = redis.call('GET', KEYS[1])
if not epoch then return 'no-epoch' end

local replaced = {}
for i = 1, #ARGV / 8 do
  local at = 8 * (i - 1)
  local cursors, counters, channel = KEYS[2 * i + 1], KEYS[2 * i + 2], ARGV[at + 2]
  local loadedUnder, held = unpack(redis.call('HMGET', cursors, '0', channel))
  local term, cursor = 0, 0
  if held then term, cursor = cmsgpack.unpack(held) end
  local newTerm, newCursor, lastRead = tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6]), tonumber(ARGV[at + 7])
  local isDirty = redis.call('ZSCORE', KEYS[2], ARGV[at + 1] .. ':' .. channel)
  replaced[i] = 0
  if loadedUnder == epoch and term == tonumber(ARGV[at + 3]) and cursor == tonumber(ARGV[at + 4]) then
    if not isDirty then
      local delivered, packed = tonumber(ARGV[at + 8]), nil
      if delivered > newCursor then packed = cmsgpack.pack(newTerm, newCursor, lastRead, delivered)
      else packed = cmsgpack.pack(newTerm, newCursor, lastRead) end
      redis.call('HSET', cursors, channel, packed)
    end
    -- Of a dirty member the cursor is the flush's to compare; its counters are nobody's but ours.
    redis.call('HDEL', counters, channel)
    replaced[i] = 1
  end
end
return replaced
