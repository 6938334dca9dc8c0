--[[
  Unmarks what was flushed, unless it has changed or was touched since it was read. What has changed stays dirty,
  from now on: what came before is flushed.

  Why a script: a report between comparing and removing would be left clean, and so never flushed.

  KEYS[1]    epoch     string  {u<shard>}:epoch
  KEYS[2]    dirty     zset    {u<shard>}:dirty
  KEYS[2i+1] cursors   hash    {u<shard>}:cursors:<user>   of the i-th flushed member
  KEYS[2i+2] counters  hash    {u<shard>}:counters:<user>

  ARGV, seven an entry: user, channel, term, cursor, delivered, through as they were flushed, mark as it was read

  Returns  { how many were unmarked, the oldest mark among all of them in ms or 0, now in ms }
]]
local epoch = redis.call('GET', KEYS[1])
local time = redis.call('TIME')
local nowMs = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local members = {}
for i = 1, #ARGV / 7 do members[i] = ARGV[7 * i - 6] .. ':' .. ARGV[7 * i - 5] end
-- The set is asked and changed once for all of them: a call costs more than what it does.
local marks = #members > 0 and redis.call('ZMSCORE', KEYS[2], unpack(members))
local unmarked, marked, oldest = {}, {}, 0
for i, member in ipairs(members) do
  local at = 7 * (i - 1)
  local channel, mark = ARGV[at + 2], ARGV[at + 7]
  -- Another mark: touched, or settled and dirty anew. Whoever reads it next sees what this flush could not.
  if marks[i] == mark then
    local loadedUnder, held = unpack(redis.call('HMGET', KEYS[2 * i + 1], '0', channel))
    local counted = redis.call('HGET', KEYS[2 * i + 2], channel)
    local term, cursor, lastRead, delivered, through = 0, 0, 0, nil, -1
    if held and loadedUnder == epoch then term, cursor, lastRead, delivered = cmsgpack.unpack(held) end
    if counted then through = cmsgpack.unpack(counted) end
    local since = tonumber(mark)
    if oldest == 0 or since < oldest then oldest = since end
    if term == tonumber(ARGV[at + 3]) and cursor == tonumber(ARGV[at + 4])
      and (delivered or 0) == tonumber(ARGV[at + 5]) and through == tonumber(ARGV[at + 6]) then
      unmarked[#unmarked + 1] = member
    else
      marked[#marked + 1] = nowMs
      marked[#marked + 1] = member
    end
  end
end
if #unmarked > 0 then redis.call('ZREM', KEYS[2], unpack(unmarked)) end
if #marked > 0 then redis.call('ZADD', KEYS[2], unpack(marked)) end
return { #unmarked, oldest, nowMs }
