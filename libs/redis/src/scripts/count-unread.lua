--[[
  Counts what members have not read, channel by channel, from the channels' marks.

  Why a script: a count is exact as of one seq only if head and marks are read in one step.

  KEYS[1]    epoch    string  {c<shard>}:epoch
  KEYS[2i]   channel  hash    {c<shard>}:channel:<id>   of the i-th question
  KEYS[2i+1] marks    zset    {c<shard>}:marks:<id>

  ARGV[1]    log      the log epoch of the asker
  ARGV[2i]   user
  ARGV[2i+1] cursor

  Returns  for each question { state, asOfSeq, unread, mentions }; or 'no-epoch'
    state 0  exact as of asOfSeq
    state 1  the channel is not loaded: load it, then ask again
    state 2  the cursor lies below the marks: PostgreSQL can tell
    state 3  applied only up to asOfSeq, though the log is known to reach the third number: apply, then ask again
]]
local epoch = redis.call('GET', KEYS[1])
if not epoch then return 'no-epoch' end

local function above(marks, class, cursor)
  return redis.call('ZLEXCOUNT', marks, '(' .. class .. ':' .. cursor, '(' .. class .. ';')
end

local answers = {}
for i = 1, (#KEYS - 1) / 2 do
  local channel, marks = KEYS[2 * i], KEYS[2 * i + 1]
  local user, cursor = ARGV[2 * i], tonumber(ARGV[2 * i + 1])
  local state = redis.call('HMGET', channel, 'epoch', 'log', 'applied', 'floor', 'pruned', 'known')
  local applied = tonumber(state[3])
  local known = tonumber(state[6]) or 0
  if state[1] ~= epoch or state[2] ~= ARGV[1] or not applied then
    answers[i] = { 1, 0, 0, 0 }
  elseif known > applied then
    answers[i] = { 3, applied, known, 0 }
  else
    cursor = math.min(math.max(cursor, tonumber(state[5])), applied)
    if cursor < tonumber(state[4]) then
      answers[i] = { 2, applied, 0, 0 }
    else
      local from = string.format('%012d', cursor)
      local unread = applied - cursor
        - above(marks, 'n', from)
        - above(marks, 'd', from)
        - above(marks, 'o:' .. user, from)
      local mentions = above(marks, 'm:' .. user, from) + above(marks, 'e', from) - above(marks, 'f:' .. user, from)
      answers[i] = { 0, applied, unread, mentions }
    end
  end
end
return answers
