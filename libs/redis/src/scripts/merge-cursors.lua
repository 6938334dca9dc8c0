--[[
  Merges what is reported of members' cursors into what is held. (term, cursor) is the only version: a later
  cursor wins within a term, an older term changes nothing.

  Why a script: two devices may report at the same moment, and a join or a mark-unread may come between. Read,
  compare and write from Node would let the older one land last.

  KEYS[1]    epoch     string  {u<shard>}:epoch
  KEYS[2]    dirty     zset    {u<shard>}:dirty             user:channel, scored by its first change in ms
  KEYS[3i]   cursors   hash    {u<shard>}:cursors:<user>    of the i-th entry; channel -> packed term, cursor,
                                                            last read in s, and delivered where that is beyond
                                                            the cursor; a negative term has left;
                                                            field 0: the epoch it was loaded under
  KEYS[3i+1] counters  hash    {u<shard>}:counters:<user>   as increment-counters.lua keeps it
  KEYS[3i+2] loading   string  {u<shard>}:loading:<user>    nonce of a load under way

  ARGV, eight an entry: user, channel, verb, term, cursor, through, unread, mentions; and last of all 1 if what
        changes is to be marked dirty, 0 where no flush brings it to PostgreSQL
    verb   read   advances within the term the report was made under ('' for the present one)
           deliver  up to this cursor has reached a device: only rises, whatever the term
           set    is committed in PostgreSQL: a join, a mark-unread, an author's readTo
           leave  is committed in PostgreSQL
           touch  changes nothing, but lets the next flush compare with PostgreSQL
    through, unread, mentions: counted at the new cursor, for the strategies that keep counters;
           through '?': such a strategy, but not counted; '': a strategy that keeps none

  Returns  for each entry { outcome, term, cursor, last read in s }; or 'no-epoch'
    moved       the cursor, the term, the membership or what is delivered changed
    kept        what is held is as new or newer
    absent      the user is not loaded; a load under way begins again if the entry is of something committed
    not-member
    newer-term  the report knows a term that is not held: load the user again
    stale       the counters were taken before what is counted by now: count again
]]
local epoch = redis.call('GET', KEYS[1])
if not epoch then return 'no-epoch' end

local time = redis.call('TIME')
local nowS = tonumber(time[1])
local nowMs = nowS * 1000 + math.floor(tonumber(time[2]) / 1000)

local marks = ARGV[#ARGV] == '1'

local function merge(i)
  local user, channel, verb = ARGV[8 * i - 7], ARGV[8 * i - 6], ARGV[8 * i - 5]
  local term, cursor = tonumber(ARGV[8 * i - 4]), tonumber(ARGV[8 * i - 3])
  local cursors, counters = KEYS[3 * i], KEYS[3 * i + 1]

  if redis.call('HGET', cursors, '0') ~= epoch then
    if verb == 'set' or verb == 'leave' then redis.call('DEL', KEYS[3 * i + 2]) end
    return { 'absent', 0, 0, 0 }
  end
  local held = redis.call('HGET', cursors, channel)
  local heldTerm, heldCursor, lastRead, delivered = 0, -1, 0, nil
  if held then heldTerm, heldCursor, lastRead, delivered = cmsgpack.unpack(held) end
  -- What was read was delivered: it is kept apart only where the cursor does not say it.
  delivered = math.max(delivered or 0, heldCursor)
  local left = heldTerm < 0
  local kept = { 'kept', math.abs(heldTerm), heldCursor, lastRead }

  local function store(newTerm, newCursor, newLastRead)
    local packed
    if delivered > newCursor then packed = cmsgpack.pack(newTerm, newCursor, newLastRead, delivered)
    else packed = cmsgpack.pack(newTerm, newCursor, newLastRead) end
    redis.call('HSET', cursors, channel, packed)
    return { 'moved', math.abs(newTerm), newCursor, newLastRead }
  end
  local function mark()
    if marks then redis.call('ZADD', KEYS[2], 'NX', nowMs, user .. ':' .. channel) end
  end
  -- Counters belong to a cursor. Read to the last counted event or past it: nothing is left. Else as counted by
  -- the caller, and where it did not count, none: whoever needs them counts again.
  local function recount()
    if ARGV[8 * i - 2] == '' then return true end
    local through = tonumber(ARGV[8 * i - 2])
    local packed = redis.call('HGET', counters, channel)
    local counted = packed and cmsgpack.unpack(packed) or 0
    local function count(...) redis.call('HSET', counters, '0', epoch, channel, cmsgpack.pack(...)) end
    if cursor >= math.max(counted, through or 0) then
      count(cursor, 0, 0, cursor)
    elseif not through then
      redis.call('HDEL', counters, channel)
    elseif through < counted then
      return false
    else
      count(through, tonumber(ARGV[8 * i - 1]), tonumber(ARGV[8 * i]), cursor)
    end
    return true
  end

  if verb == 'leave' then
    if math.abs(heldTerm) > term or heldTerm == -term then return kept end
    redis.call('HDEL', counters, channel)
    return store(-term, math.max(heldCursor, 0), lastRead)
  end
  if verb == 'set' then
    if math.abs(heldTerm) > term or heldTerm == -term then return kept end
    if heldTerm == term and heldCursor >= cursor then return kept end
    if not recount() then return { 'stale', heldTerm, heldCursor, lastRead } end
    -- The cursor is committed; the counters at it are not, nor what was delivered before a mark-unread.
    if ARGV[8 * i - 2] ~= '' or heldTerm ~= term and delivered > cursor then mark() end
    return store(term, cursor, heldTerm == term and nowS or lastRead)
  end

  if not held or left then return { 'not-member', 0, 0, 0 } end
  if verb == 'touch' then
    if not marks then return kept end
    -- Where it is dirty already, by another mark: a flush that has read the member must not settle this.
    local member = user .. ':' .. channel
    if redis.call('ZADD', KEYS[2], 'NX', nowMs, member) == 0 then redis.call('ZINCRBY', KEYS[2], 1, member) end
    return kept
  end
  if verb == 'deliver' then
    if cursor <= delivered then return kept end
    delivered = cursor
    mark()
    return store(heldTerm, heldCursor, lastRead)
  end
  if term and term > heldTerm then return { 'newer-term', heldTerm, heldCursor, lastRead } end
  if term and term < heldTerm or cursor <= heldCursor then return kept end
  if not recount() then return { 'stale', heldTerm, heldCursor, lastRead } end
  mark()
  return store(heldTerm, cursor, nowS)
end

local outcomes = {}
for i = 1, (#ARGV - 1) / 8 do outcomes[i] = merge(i) end
return outcomes
