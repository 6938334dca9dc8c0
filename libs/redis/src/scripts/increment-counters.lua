--[[
  Counts a run of a channel's log into the unread counters of a batch of its members (write-behind,
  redis-only).

  Why a script: a member's cursor may advance meanwhile, and a message is unread only above it. Every counter says
  through which seq it counts, so a run that comes twice counts once, and a missing run is noticed.

  KEYS[1]    epoch     string  {u<shard>}:epoch
  KEYS[2]    dirty     zset    {u<shard>}:dirty
  KEYS[i+2]  counters  hash    {u<shard>}:counters:<user>  of the i-th member; channel -> packed through, unread,
                                                           mentions, and the cursor at which it counts: whoever
                                                           moves the one sets or removes the other; field 0: the
                                                           epoch of all of them

  ARGV[1]    channelId
  ARGV[2]    after     the seq before the run
  ARGV[3]    facts     JSON, as in apply-events.lua
  ARGV[4]    flushed   1 if what changes is to be marked dirty, 0 where no flush brings it to PostgreSQL
  ARGV[5..]  the members' user ids; at most some hundreds, so that Redis is not held for long

  Returns  { increments, users to count anew }; or 'no-epoch'
]]
local epoch = redis.call('GET', KEYS[1])
if not epoch then return 'no-epoch' end

local channel, after, facts = ARGV[1], tonumber(ARGV[2]), cjson.decode(ARGV[3])
local last = facts[#facts].s
local pruned = false
for _, fact in ipairs(facts) do
  fact.named, fact.wasNamed = {}, {}
  for _, user in ipairs(fact.p) do fact.named[user] = true end
  for _, user in ipairs(fact.q) do fact.wasNamed[user] = true end
  if fact.t == 'messages.pruned' then pruned = true end
end
local time = redis.call('TIME')
-- Digits: as a number it would be converted for every member.
local nowMs = string.format('%d%03d', time[1], math.floor(time[2] / 1000))

local increments, uncounted, marks = 0, {}, {}
for i = 1, #ARGV - 4 do
  local user, counters = ARGV[4 + i], KEYS[i + 2]
  -- One key and two calls a member: they are what an increment costs.
  local countedUnder, counted = unpack(redis.call('HMGET', counters, '0', channel))
  local through, unread, mentions, cursor = -1, 0, 0, nil
  if counted and countedUnder == epoch then through, unread, mentions, cursor = cmsgpack.unpack(counted) end
  if not cursor or through < after or pruned and through < last then
    uncounted[#uncounted + 1] = user
  elseif through < last then
    for _, fact in ipairs(facts) do
      if fact.s > through and fact.c == 1 and fact.a ~= user and fact.m > cursor then
        if fact.t == 'message.created' then
          unread = unread + 1
          increments = increments + 1
        elseif fact.t == 'message.deleted' then
          unread = unread - 1
        end
        if fact.e == 1 or fact.named[user] then mentions = mentions + 1 end
        if fact.f == 1 or fact.wasNamed[user] then mentions = mentions - 1 end
      end
    end
    redis.call('HSET', counters, channel, cmsgpack.pack(last, unread, mentions, cursor))
    marks[#marks + 1] = nowMs
    marks[#marks + 1] = user .. ':' .. channel
  end
end
-- One call for all of them: a call costs more than what it does.
if ARGV[4] == '1' and #marks > 0 then redis.call('ZADD', KEYS[2], 'NX', unpack(marks)) end
return { increments, uncounted }
