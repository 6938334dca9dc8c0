--[[
  Keeps the users of a gateway online for a while longer, and takes out those whom no gateway has kept.

  Why a script: of several gateways that find the same user gone, one says so; and it says so in the step that takes
  the user out, or a gateway that dies in between would leave them online for others.

  KEYS[1]  online  zset  {u<shard>}:online   user -> when their time is over, in ms

  ARGV[1]  ttl     in ms, from now
  ARGV[2]  topic   to say on who has gone, as {"off":[user]}
  ARGV[3]  sweep   at most as many are taken out
  ARGV[4..] users  that are connected to the gateway, of this shard

  Returns  those of the users who were not online
]]
local time = redis.call('TIME')
local nowMs = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local ttlMs = tonumber(ARGV[1])

local came = {}
for i = 4, #ARGV do
  if not redis.call('ZSCORE', KEYS[1], ARGV[i]) then came[#came + 1] = ARGV[i] end
  redis.call('ZADD', KEYS[1], nowMs + ttlMs, ARGV[i])
end

local gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', nowMs, 'LIMIT', 0, ARGV[3])
for _, user in ipairs(gone) do redis.call('ZREM', KEYS[1], user) end
if #gone > 0 then redis.call('PUBLISH', ARGV[2], cjson.encode({ off = gone })) end

-- Without any gateway, nobody takes anybody out.
redis.call('PEXPIRE', KEYS[1], 100 * ttlMs)
return came
