--[[
  Evicts members who were not touched lately and of whom nothing is dirty: PostgreSQL has all of it, and they are
  loaded again when they are asked for.

  Why a script: a read between looking and evicting would be lost.

  KEYS[1]    epoch     string  {u<shard>}:epoch
  KEYS[2]    dirty     zset    {u<shard>}:dirty
  KEYS[2i+1] cursors   hash    {u<shard>}:cursors:<user>   of the i-th user; as merge-cursors.lua keeps it
  KEYS[2i+2] counters  hash    {u<shard>}:counters:<user>

  ARGV[1]    idle      whole seconds without a touch, at the least
  ARGV[2]    most      memberships to look at; one user more may be begun, so that there always is a next
  ARGV[3..]  the users

  Returns  { looked at, evicted }, both in users: the caller comes again with those not looked at; or 'no-epoch'
]]
local epoch = redis.call('GET', KEYS[1])
if not epoch then return 'no-epoch' end

local idle, most = tonumber(ARGV[1]), tonumber(ARGV[2])
-- Asked without touching, and so before anything else is. What is not there was never touched.
local function isIdle(key) return (redis.call('OBJECT', 'IDLETIME', key) or idle) >= idle end

local looked, evicted, memberships = 0, 0, 0
for i = 1, #ARGV - 2 do
  if memberships >= most then break end
  local user, cursors, counters = ARGV[2 + i], KEYS[2 * i + 1], KEYS[2 * i + 2]
  looked = i
  if isIdle(cursors) and isIdle(counters) then
    local isDirty = false
    -- What is left of an earlier epoch counts as not loaded, dirty or not.
    if redis.call('HGET', cursors, '0') == epoch then
      local channels = redis.call('HKEYS', cursors)
      memberships = memberships + #channels
      for _, channel in ipairs(channels) do
        isDirty = isDirty or redis.call('ZSCORE', KEYS[2], user .. ':' .. channel)
        if isDirty then break end
      end
    end
    if not isDirty and redis.call('UNLINK', cursors, counters) > 0 then evicted = evicted + 1 end
  end
end
return { looked, evicted }
