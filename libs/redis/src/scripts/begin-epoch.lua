--[[
  Begins a cache epoch of a shard. Whatever was held under an earlier one counts as not loaded from here on.

  Why a script: several processes notice a loss at once. Each has raised the fence in PostgreSQL first; only the
  highest fence of a history may stand here.

  KEYS[1]  epoch   string  {x<shard>}:epoch
  KEYS[2]  replid  string  {x<shard>}:replid

  ARGV[1]  epoch   <fence>@<log epoch>, as raised in PostgreSQL
  ARGV[2]  replid  master_replid of this Redis
  ARGV[3]  topic   to tell the gateways on
  ARGV[4]  shard   its name

  Returns  1 if it began, 0 if a later one is under way
]]
local function parse(epoch) return string.match(epoch or '', '^(%d+)(.*)$') end
local fence, log = parse(ARGV[1])
local heldFence, heldLog = parse(redis.call('GET', KEYS[1]))
if heldLog == log and tonumber(heldFence) >= tonumber(fence) then return 0 end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('SET', KEYS[2], ARGV[2])
redis.call('PUBLISH', ARGV[3], ARGV[4])
return 1
