--[[
  Reads cursors of users, and the counters beside them.

  Why a script: they are packed to stay within 16 bytes a membership, and cursor and counters belong together.

  KEYS[1]    epoch     string  {u<shard>}:epoch
  KEYS[2i]   cursors   hash    {u<shard>}:cursors:<user>   of the i-th user
  KEYS[2i+1] counters  hash    {u<shard>}:counters:<user>

  ARGV[i]    channels of the i-th user, joined by commas; '' for all that are not left

  Returns  for each user a flat list of channelId, term, cursor, last read in s, through, unread, mentions
           (through -1: not counted), or 'absent' where the user is not loaded; or 'no-epoch'
]]
local epoch = redis.call('GET', KEYS[1])
if not epoch then return 'no-epoch' end

local answers = {}
for i = 1, #ARGV do
  local cursors, counters = KEYS[2 * i], KEYS[2 * i + 1]
  if redis.call('HGET', cursors, '0') ~= epoch then
    answers[i] = 'absent'
  else
    local found = {}
    local function add(channel, packed)
      local term, cursor, lastRead = cmsgpack.unpack(packed)
      if term > 0 then
        local through, unread, mentions = -1, 0, 0
        local counted = redis.call('HGET', counters, channel)
        if counted then
          local countedAt
          through, unread, mentions, countedAt = cmsgpack.unpack(counted)
          -- Left by a strategy that keeps counters, before one that does not moved the cursor.
          if countedAt ~= cursor then through, unread, mentions = -1, 0, 0 end
        end
        for _, value in ipairs({ channel, term, cursor, lastRead, through, unread, mentions }) do
          found[#found + 1] = value
        end
      end
    end
    if ARGV[i] == '' then
      local all = redis.call('HGETALL', cursors)
      for j = 1, #all, 2 do
        if all[j] ~= '0' then add(all[j], all[j + 1]) end
      end
    else
      for channel in string.gmatch(ARGV[i], '%d+') do
        local packed = channel ~= '0' and redis.call('HGET', cursors, channel)
        if packed then add(channel, packed) end
      end
    end
    answers[i] = found
  end
end
return answers
