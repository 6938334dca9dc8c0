--[[
  Reads what is dirty, without removing it: only a committed flush may.

  Why a script: the values are packed, and the epoch that they are of must be read with them.

  KEYS[1]    epoch     string  {u<shard>}:epoch
  KEYS[2i]   cursors   hash    {u<shard>}:cursors:<user>   of the i-th dirty member
  KEYS[2i+1] counters  hash    {u<shard>}:counters:<user>

  ARGV[i]    channelId of the i-th dirty member

  Returns  { epoch, then for each { term, cursor, last read in s, through, unread, mentions } }
           (term 0: none is held under this epoch; through -1: not counted); or 'no-epoch'
]]
local epoch = redis.call('GET', KEYS[1])
if not epoch then return 'no-epoch' end

local answers = { epoch }
for i = 1, #ARGV do
  local loadedUnder, held = unpack(redis.call('HMGET', KEYS[2 * i], '0', ARGV[i]))
  local counted = redis.call('HGET', KEYS[2 * i + 1], ARGV[i])
  local term, cursor, lastRead, through, unread, mentions = 0, 0, 0, -1, 0, 0
  if held and loadedUnder == epoch then term, cursor, lastRead = cmsgpack.unpack(held) end
  if counted then through, unread, mentions = cmsgpack.unpack(counted) end
  answers[i + 1] = { term, cursor, lastRead, through, unread, mentions }
end
return answers
