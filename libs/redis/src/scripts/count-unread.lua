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

-- Of a channel, and of a cursor in it, once for all who ask: many read the same at the same time.
local states, shared = {}, {}
local function stateOf(channel)
  if not states[channel] then
    local of = redis.call('HMGET', channel, 'epoch', 'log', 'applied', 'floor', 'pruned', 'known')
    states[channel] = {
      loaded = of[1] == epoch and of[2] == ARGV[1] and of[3],
      applied = tonumber(of[3] or 0), floor = tonumber(of[4] or 0), pruned = tonumber(of[5] or 0),
      known = tonumber(of[6] or 0),
    }
  end
  return states[channel]
end
local function sharedAbove(marks, from)
  local name = marks .. from
  if not shared[name] then
    shared[name] = { uncounted = above(marks, 'n', from) + above(marks, 'd', from), everyone = above(marks, 'e', from) }
  end
  return shared[name]
end

local answers = {}
for i = 1, (#KEYS - 1) / 2 do
  local channel, marks = KEYS[2 * i], KEYS[2 * i + 1]
  local user, cursor = ARGV[2 * i], tonumber(ARGV[2 * i + 1])
  local state = stateOf(channel)
  local applied = state.applied
  cursor = math.min(math.max(cursor, state.pruned), applied)
  if not state.loaded then
    answers[i] = { 1, 0, 0, 0 }
  elseif state.known > applied then
    answers[i] = { 3, applied, state.known, 0 }
  elseif cursor < state.floor then
    answers[i] = { 2, applied, 0, 0 }
  elseif cursor == applied then
    answers[i] = { 0, applied, 0, 0 }
  else
    local from = string.format('%012d', cursor)
    local of = sharedAbove(marks, from)
    local unread = applied - cursor - of.uncounted - above(marks, 'o:' .. user, from)
    local mentions = of.everyone + above(marks, 'm:' .. user, from) - above(marks, 'f:' .. user, from)
    answers[i] = { 0, applied, unread, mentions }
  end
end
return answers
