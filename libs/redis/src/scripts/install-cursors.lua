--[[
  Installs all cursors of a user as loaded from PostgreSQL.

  Why a script: a join or a mark-unread may commit while the load reads. Whoever brought it found nothing loaded
  and removed the nonce; a load without its nonce is thrown away and repeated.

  KEYS[1]  epoch    string  {u<shard>}:epoch
  KEYS[2]  cursors  hash    {u<shard>}:cursors:<user>   as merge-cursors.lua keeps it; field 0: its epoch
  KEYS[3]  counters hash    {u<shard>}:counters:<user>
  KEYS[4]  loading  string  {u<shard>}:loading:<user>

  ARGV[1]  epoch    read before the load began
  ARGV[2]  nonce    set before the load began
  ARGV[3]  seconds  after which they are loaded anew; '' for never
  ARGV[4..] five a channel: channelId, term (negative: has left), cursor, last read in s, delivered

  Returns  installed | present | raced | no-epoch
]]
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'no-epoch' end
if redis.call('HGET', KEYS[2], '0') == ARGV[1] then return 'present' end
if redis.call('GET', KEYS[4]) ~= ARGV[2] then return 'raced' end

redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])
redis.call('HSET', KEYS[2], '0', ARGV[1])
for i = 4, #ARGV, 5 do
  local term, cursor, lastRead = tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
  local delivered, packed = tonumber(ARGV[i + 4]), nil
  if delivered > cursor then packed = cmsgpack.pack(term, cursor, lastRead, delivered)
  else packed = cmsgpack.pack(term, cursor, lastRead) end
  redis.call('HSET', KEYS[2], ARGV[i], packed)
end
if ARGV[3] ~= '' then redis.call('EXPIRE', KEYS[2], ARGV[3]) end
return 'installed'
