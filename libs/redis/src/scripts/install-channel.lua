--[[
  Installs a channel's state as loaded from PostgreSQL, and publishes that its head was raised.

  Why a script: rows may be committed while the load reads. Whoever applied them found nothing loaded and noted
  how far the log is known to go; a load that did not reach it is thrown away and repeated.

  KEYS[1]  epoch    string  {c<shard>}:epoch
  KEYS[2]  channel  hash    {c<shard>}:channel:<id>
  KEYS[3]  marks    zset    {c<shard>}:marks:<id>   as apply-events.lua keeps them
  KEYS[4]  stream   stream  {c<shard>}:stream

  ARGV[1]  epoch    read before the load began
  ARGV[2]  log      the log epoch loaded from
  ARGV[3]  head     the seq as of which the state is exact
  ARGV[4]  ordinal
  ARGV[5]  floor    marks above it are complete
  ARGV[6]  pruned
  ARGV[7]  topic    to publish on
  ARGV[8]  channelId
  ARGV[9]  stream   1 to say in the stream that members must be counted anew, where the load skips anything
  ARGV[10..] the marks

  Returns  { outcome, seq }
    installed  everything up to seq is applied
    present    somebody else was faster; seq is applied
    behind     the log is known to reach seq: load again
    no-epoch   the shard's epoch is another: begin again
]]
local epoch = redis.call('GET', KEYS[1])
if epoch ~= ARGV[1] then return { 'no-epoch', 0 } end

local head = tonumber(ARGV[3])
local state = redis.call('HMGET', KEYS[2], 'epoch', 'log', 'applied', 'known', 'was')
local applied, known, was = tonumber(state[3]), tonumber(state[4]) or 0, tonumber(state[5])
if state[1] and (state[1] ~= epoch or state[2] ~= ARGV[2]) then
  applied, known, was = nil, 0, nil
end
if applied and applied >= math.max(head, known) then return { 'present', applied } end
if known > head then return { 'behind', known } end

redis.call('DEL', KEYS[2], KEYS[3])
redis.call('HSET', KEYS[2], 'epoch', epoch, 'log', ARGV[2], 'applied', head, 'ordinal', ARGV[4],
  'floor', ARGV[5], 'pruned', ARGV[6])
for i = 10, #ARGV do redis.call('ZADD', KEYS[3], 0, ARGV[i]) end
-- Where nothing has happened since the channel was evicted, nobody's counter has missed anything.
if ARGV[9] == '1' and was ~= head then redis.call('XADD', KEYS[4], '*', 'channel', ARGV[8], 'recount', head) end
redis.call('PUBLISH', ARGV[7], '{"head":' .. ARGV[3] .. '}')
return { 'installed', head }
