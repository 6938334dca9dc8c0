--[[
  Reads what is dirty, without removing it: only a committed flush may.

  Why a script: the values are packed, and the epoch that they are of must be read with them.

  KEYS[1]    epoch     string  {u<shard>}:epoch
  KEYS[2]    dirty     zset    {u<shard>}:dirty
  KEYS[2i+1] cursors   hash    {u<shard>}:cursors:<user>   of the i-th dirty member
  KEYS[2i+2] counters  hash    {u<shard>}:counters:<user>

  ARGV[i]    the i-th dirty member, as user:channel

  Returns  { epoch, then for each { term, cursor, last read in s, delivered, through, unread, mentions, mark } }
           (term 0: none is held under this epoch; delivered 0: not beyond the cursor; through -1: not counted;
           mark: the score it is dirty with, '' if another flush settled it meanwhile); or 'no-epoch'
]]
local epoch = redis.call('GET', KEYS[1])
if not epoch then return 'no-epoch' end

local answers = { epoch }
local marks = #ARGV > 0 and redis.call('ZMSCORE', KEYS[2], unpack(ARGV))
for i = 1, #ARGV do
  local channel = string.match(ARGV[i], ':(%d+)$')
  local loadedUnder, held = unpack(redis.call('HMGET', KEYS[2 * i + 1], '0', channel))
  local counted = redis.call('HGET', KEYS[2 * i + 2], channel)
  local term, cursor, lastRead, delivered, through, unread, mentions = 0, 0, 0, nil, -1, 0, 0
  if held and loadedUnder == epoch then term, cursor, lastRead, delivered = cmsgpack.unpack(held) end
  if counted then through, unread, mentions = cmsgpack.unpack(counted) end
  answers[i + 1] = { term, cursor, lastRead, delivered or 0, through, unread, mentions, marks[i] or '' }
end
return answers
