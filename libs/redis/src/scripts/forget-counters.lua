--[[
  Invalidates the cached counters of members of a channel that count less far than PostgreSQL does by now (sync-db).

  Why a script: a reader may have refreshed one meanwhile, and it is only those behind that must go.

  KEYS[1]   epoch     string  {u<shard>}:epoch
  KEYS[i+1] counters  hash    {u<shard>}:counters:<user>  of the i-th member; as increment-counters.lua keeps it

  ARGV[1]   channelId
  ARGV[2]   through   the seq through which PostgreSQL counts

  Returns  how many were invalidated; or 'no-epoch'
]]
if not redis.call('GET', KEYS[1]) then return 'no-epoch' end

local forgotten = 0
for i = 2, #KEYS do
  local counted = redis.call('HGET', KEYS[i], ARGV[1])
  if counted and cmsgpack.unpack(counted) < tonumber(ARGV[2]) then
    forgotten = forgotten + redis.call('HDEL', KEYS[i], ARGV[1])
  end
end
return forgotten
