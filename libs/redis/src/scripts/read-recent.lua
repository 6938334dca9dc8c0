--[[
  Reads a page of a channel's recent messages, if all of it is here.

  Why a script: whether the page is complete and what is on it must be of one moment.

  KEYS[1]  epoch   string  {c<shard>}:epoch
  KEYS[2]  recent  zset    {c<shard>}:recent:<id>   as apply-events.lua keeps it

  ARGV[1]  log    the log epoch that the reader knows
  ARGV[2]  head   the event that the page must include at the least
  ARGV[3]  pivot  a seq
  ARGV[4]  below  messages wanted below the pivot, at the most
  ARGV[5]  from   messages wanted from the pivot on, at the most

  Returns  { isComplete, JSON.. }  isComplete is 1 or 0; then the messages in seq order, none if it is 0
]]
local epoch = redis.call('GET', KEYS[1])
local said = redis.call('ZRANGE', KEYS[2], 0, 0)[1] or ''
local floor, through, history = string.match(said, '^(%d+) (%d+) %d+ (.*)$')
if not epoch or history ~= epoch .. ' ' .. ARGV[1] then return { 0 } end
if tonumber(through) < tonumber(ARGV[2]) then return { 0 } end

local isWhole = tonumber(floor) == 0
local belowMax, fromMax = tonumber(ARGV[4]), tonumber(ARGV[5])
local page = { 1 }
if belowMax > 0 then
  local below = redis.call('ZRANGE', KEYS[2], '(' .. ARGV[3], 1, 'BYSCORE', 'REV', 'LIMIT', 0, belowMax)
  if #below < belowMax and not isWhole then return { 0 } end
  for i = #below, 1, -1 do page[#page + 1] = below[i] end
end
if fromMax > 0 then
  if tonumber(ARGV[3]) <= tonumber(floor) then return { 0 } end
  local from = redis.call('ZRANGE', KEYS[2], ARGV[3], '+inf', 'BYSCORE', 'LIMIT', 0, fromMax)
  for _, json in ipairs(from) do page[#page + 1] = json end
end
return page
