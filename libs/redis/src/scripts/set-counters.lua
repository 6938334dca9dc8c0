--[[
  Stores counters that were counted at a member's cursor, unless something newer is there (write-behind,
  redis-only; under sync-db they are the copy of what PostgreSQL counts).

  Why a script: while the caller counted, the cursor may have moved, or increments may have gone further.

  KEYS[1]    epoch     string  {u<shard>}:epoch
  KEYS[2]    dirty     zset    {u<shard>}:dirty
  KEYS[2i+1] cursors   hash    {u<shard>}:cursors:<user>   of the i-th entry
  KEYS[2i+2] counters  hash    {u<shard>}:counters:<user>  as increment-counters.lua keeps it

  ARGV, seven an entry: user, channel, term, cursor, through, unread, mentions; and last of all 1 if what changes
        is to be marked dirty, 0 where no flush brings it to PostgreSQL

  Returns  for each entry 1 if it is stored or as new is there, 0 if the cursor moved; or 'no-epoch'
]]
local epoch = redis.call('GET', KEYS[1])
if not epoch then return 'no-epoch' end

local time = redis.call('TIME')
local nowMs = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local stored = {}
for i = 1, (#ARGV - 1) / 7 do
  local at = 7 * (i - 1)
  local user, channel, through = ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 5])
  local loadedUnder, held = unpack(redis.call('HMGET', KEYS[2 * i + 1], '0', channel))
  local term, cursor = 0, 0
  if held and loadedUnder == epoch then term, cursor = cmsgpack.unpack(held) end
  if term ~= tonumber(ARGV[at + 3]) or cursor ~= tonumber(ARGV[at + 4]) then
    stored[i] = 0
  else
    local counted = redis.call('HGET', KEYS[2 * i + 2], channel)
    local countedThrough, _, countedAt = -1, nil, nil
    if counted then countedThrough, _, _, countedAt = cmsgpack.unpack(counted) end
    if countedThrough < through or countedAt ~= cursor then
      redis.call('HSET', KEYS[2 * i + 2], '0', epoch, channel,
        cmsgpack.pack(through, tonumber(ARGV[at + 6]), tonumber(ARGV[at + 7]), cursor))
      if ARGV[#ARGV] == '1' then redis.call('ZADD', KEYS[2], 'NX', nowMs, user .. ':' .. channel) end
    end
    stored[i] = 1
  end
end
return stored
