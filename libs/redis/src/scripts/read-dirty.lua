--[[
  Reads what is dirty, without removing it: only a committed flush may.

  Why a script: the values are packed, and the epoch that they are of must be read with them.

  KEYS[1]    epoch     string  {u<shard>}:epoch
  KEYS[2]    dirty     zset    {u<shard>}:dirty
  KEYS[2i+1] cursors   hash    {u<shard>}:cursors:<user>   of the i-th user
  KEYS[2i+2] counters  hash    {u<shard>}:counters:<user>

  ARGV[2i-1] the i-th user
  ARGV[2i]   those of their channels that are asked for, joined by commas

  Returns  { epoch, stamps, columns.. }; or 'no-epoch'
    columns  of all members in their order, each joined by commas: term (0: none is held under this epoch), cursor,
             last read in s, delivered (0: not beyond the cursor), through (-1: not counted), unread, mentions,
             mark (the score it is dirty with, '' if it is not, or no longer)
    stamps   the marks, and the values as they are stored, for settle-dirty.lua to compare
]]
local epoch = redis.call('GET', KEYS[1])
if not epoch then return 'no-epoch' end

local members, held, counted = {}, {}, {}
local terms, cursors, lastReads, delivereds, throughs, unreads, mentions = {}, {}, {}, {}, {}, {}, {}
for i = 1, #ARGV / 2 do
  local fields = { '0' }
  for channel in string.gmatch(ARGV[2 * i], '%d+') do
    fields[#fields + 1] = channel
    members[#members + 1] = ARGV[2 * i - 1] .. ':' .. channel
  end
  -- A user's hashes are asked once for all of their channels: a call costs more than what it does.
  local heldHere = redis.call('HMGET', KEYS[2 * i + 1], unpack(fields))
  local countedHere = redis.call('HMGET', KEYS[2 * i + 2], unpack(fields))
  local isLoaded = heldHere[1] == epoch
  for j = 2, #fields do
    local at = #held + 1
    held[at], counted[at] = isLoaded and heldHere[j], countedHere[j]
    -- Digits where there is a choice: a number is converted for every member.
    local term, cursor, lastRead, delivered, through, unread, mentioned = '0', '0', '0', nil, '-1', '0', '0'
    if held[at] then term, cursor, lastRead, delivered = cmsgpack.unpack(held[at]) end
    if counted[at] then
      local countedAt
      through, unread, mentioned, countedAt = cmsgpack.unpack(counted[at])
      if countedAt ~= cursor then through, unread, mentioned = '-1', '0', '0' end
    end
    terms[at], cursors[at], lastReads[at], delivereds[at] = term, cursor, lastRead, delivered or '0'
    throughs[at], unreads[at], mentions[at] = through, unread, mentioned
  end
end
local marks, scores = #members > 0 and redis.call('ZMSCORE', KEYS[2], unpack(members)) or {}, {}
for at, mark in ipairs(marks) do scores[at] = mark or '' end

local function column(values) return table.concat(values, ',') end
return {
  epoch, cmsgpack.pack(marks, held, counted),
  column(terms), column(cursors), column(lastReads), column(delivereds),
  column(throughs), column(unreads), column(mentions), column(scores),
}
