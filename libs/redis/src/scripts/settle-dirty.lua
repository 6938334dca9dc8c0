--[[
  Unmarks what was flushed, unless it has changed or was touched since it was read. What has changed, or is left,
  stays dirty, from now on: what came before is flushed, and others come first.

  Why a script: a report between comparing and removing would be left clean, and so never flushed.

  KEYS[1]    epoch     string  {u<shard>}:epoch
  KEYS[2]    dirty     zset    {u<shard>}:dirty
  KEYS[2i+1] cursors   hash    {u<shard>}:cursors:<user>   of the i-th user
  KEYS[2i+2] counters  hash    {u<shard>}:counters:<user>

  ARGV[1]    stamps    of the same members, as read-dirty.lua gave them
  ARGV[2]    places among them, from 1 on, of those that are left dirty, changed or not; joined by commas
  ARGV[2i+1] the i-th user
  ARGV[2i+2] their channels, joined by commas

  Returns  { how many were unmarked, the oldest mark among all of them in ms or 0, now in ms }
]]
local epoch = redis.call('GET', KEYS[1])
local time = redis.call('TIME')
local nowMs = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local marksRead, heldRead, countedRead = cmsgpack.unpack(ARGV[1])

local members, isAsRead = {}, {}
for i = 1, #ARGV / 2 - 1 do
  local fields = { '0' }
  for channel in string.gmatch(ARGV[2 * i + 2], '%d+') do
    fields[#fields + 1] = channel
    members[#members + 1] = ARGV[2 * i + 1] .. ':' .. channel
  end
  local held = redis.call('HMGET', KEYS[2 * i + 1], unpack(fields))
  local counted = redis.call('HMGET', KEYS[2 * i + 2], unpack(fields))
  local isLoaded = held[1] == epoch
  for j = 2, #fields do
    local at = #isAsRead + 1
    isAsRead[at] = (isLoaded and held[j]) == heldRead[at] and counted[j] == countedRead[at]
  end
end

-- The set is asked and changed once for all of them.
local marks = redis.call('ZMSCORE', KEYS[2], unpack(members))
local isLeft = {}
for place in string.gmatch(ARGV[2], '%d+') do isLeft[tonumber(place)] = true end
local unmarked, marked, oldest = {}, {}, 0
for at, member in ipairs(members) do
  local mark = marksRead[at]
  -- Another mark: touched, or settled and dirty anew. Whoever reads it next sees what this flush could not.
  if mark and marks[at] == mark then
    local since = tonumber(mark)
    if oldest == 0 or since < oldest then oldest = since end
    if isAsRead[at] and not isLeft[at] then
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
