--[[
  Reads a shard's cache epoch, and which Redis it was begun on and is on now.

  Why a script: the node that answers is the one that holds the shard, which in a Cluster only it can say for sure.

  KEYS[1]  epoch   string  {x<shard>}:epoch
  KEYS[2]  replid  string  {x<shard>}:replid

  Returns  { epoch, heldOn, replid, replid2 }  '' where there is none; then master_replid and master_replid2 of this
           Redis: the second is that of the primary whose place it has taken
]]
local info = redis.call('INFO', 'replication')
return {
  redis.call('GET', KEYS[1]) or '',
  redis.call('GET', KEYS[2]) or '',
  string.match(info, 'master_replid:(%w+)') or '',
  string.match(info, 'master_replid2:(%w+)') or '',
}
