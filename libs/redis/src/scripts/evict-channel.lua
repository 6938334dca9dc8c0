--[[
  Evicts a channel that was not touched lately, but for how far its log is known to go.

  Why a script: an event between looking and evicting would be forgotten. A load that began before the channel was last
  applied, and comes only now, is thrown away as long as what is known outlives it.

  KEYS[1]  epoch    string  {c<shard>}:epoch
  KEYS[2]  channel  hash    {c<shard>}:channel:<id>   as apply-events.lua keeps it
  KEYS[3]  marks    zset    {c<shard>}:marks:<id>

  ARGV[1]  idle     whole seconds without a touch, at the least
  ARGV[2]  seconds  that what is known stays

  Returns  1 if it is evicted, or 0
]]
-- Asked without touching, and so before anything else is. What is not there was never touched.
local function isIdle(key) return (redis.call('OBJECT', 'IDLETIME', key) or math.huge) >= tonumber(ARGV[1]) end
if not (isIdle(KEYS[2]) and isIdle(KEYS[3])) then return 0 end

local epoch, log, applied, known = unpack(redis.call('HMGET', KEYS[2], 'epoch', 'log', 'applied', 'known'))
-- Not loaded, or about to be caught up.
if not applied or known then return 0 end
redis.call('UNLINK', KEYS[2], KEYS[3])
-- Of a history that is over nothing is known.
if epoch == redis.call('GET', KEYS[1]) then
  redis.call('HSET', KEYS[2], 'epoch', epoch, 'log', log, 'known', applied, 'was', applied)
  redis.call('EXPIRE', KEYS[2], ARGV[2])
end
return 1
