--[[
  Keeps a lock for a while longer, or gives it back.

  Why a script: between looking whose it is and keeping it, it may run out and be taken by another.

  KEYS[1]  lock  string  {x<shard>}:epoch-lock   a value of its holder's own

  ARGV[1]  value
  ARGV[2]  ms     from now; 0 gives it back

  Returns  1 if it was the caller's, or 0
]]
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
