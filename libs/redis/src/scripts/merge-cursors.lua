--[[
  Merges what is reported of members' cursors into what is held. (term, cursor) is the only version: a later
  cursor wins within a term, an older term changes nothing.

  Why a script: two devices may report at the same moment, and a join or a mark-unread may come between. Read,
  compare and write from Node would let the older one land last.

  KEYS[1]    epoch     string  {u<shard>}:epoch
  KEYS[2]    dirty     zset    {u<shard>}:dirty             user:channel, scored by its first change in ms
  KEYS[3i]   cursors   hash    {u<shard>}:cursors:<user>    of the i-th user; channel -> packed term, cursor,
                                                            last read in s, and delivered where that is beyond
                                                            the cursor; a negative term has left;
                                                            field 0: the epoch it was loaded under
  KEYS[3i+1] counters  hash    {u<shard>}:counters:<user>   as increment-counters.lua keeps it
  KEYS[3i+2] loading   string  {u<shard>}:loading:<user>    nonce of a load under way

  ARGV, seven an entry: channel, verb, term, cursor, through, unread, mentions; before those of each user: user, how
        many entries; and last of all 1 if what changes is to be marked dirty, 0 where no flush brings it to PostgreSQL
    verb   read   advances within the term the report was made under ('' for the present one)
           deliver  up to this cursor has reached a device: only rises, whatever the term
           set    is committed in PostgreSQL: a join, a mark-unread, an author's readTo
           leave  is committed in PostgreSQL
           touch  changes nothing, but lets the next flush compare with PostgreSQL
    through, unread, mentions: counted at the new cursor, for the strategies that keep counters;
           through '?': such a strategy, but not counted; '': a strategy that keeps none

  Returns  for each entry, in this order, { outcome, term, cursor, last read in s }; or 'no-epoch'
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
-- Written at the end, all at once: a call from a script costs as much as what it does.
local dirty = {}
local function writeDirty()
  if #dirty > 0 then redis.call('ZADD', KEYS[2], 'NX', unpack(dirty)) end
  dirty = {}
end

-- packed: what is held of the user, by channel; written: what of it changed, as HSET takes it
local function merge(user, counters, loading, packed, written, at)
  local channel, verb = ARGV[at], ARGV[at + 1]
  local term, cursor = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])

  if not packed then
    if verb == 'set' or verb == 'leave' then redis.call('DEL', loading) end
    return { 'absent', 0, 0, 0 }
  end
  local held = packed[channel]
  local heldTerm, heldCursor, lastRead, delivered = 0, -1, 0, nil
  if held then heldTerm, heldCursor, lastRead, delivered = cmsgpack.unpack(held) end
  -- What was read was delivered: it is kept apart only where the cursor does not say it.
  delivered = math.max(delivered or 0, heldCursor)
  local left = heldTerm < 0
  local kept = { 'kept', math.abs(heldTerm), heldCursor, lastRead }

  local function store(newTerm, newCursor, newLastRead)
    if delivered > newCursor then packed[channel] = cmsgpack.pack(newTerm, newCursor, newLastRead, delivered)
    else packed[channel] = cmsgpack.pack(newTerm, newCursor, newLastRead) end
    written[#written + 1] = channel
    written[#written + 1] = packed[channel]
    return { 'moved', math.abs(newTerm), newCursor, newLastRead }
  end
  local function mark()
    if not marks then return end
    dirty[#dirty + 1] = nowMs
    dirty[#dirty + 1] = user .. ':' .. channel
  end
  -- Counters belong to a cursor. Read to the last counted event or past it: nothing is left. Else as counted by
  -- the caller, and where it did not count, none: whoever needs them counts again.
  local function recount()
    if ARGV[at + 4] == '' then return true end
    local through = tonumber(ARGV[at + 4])
    local counter = redis.call('HGET', counters, channel)
    local counted = counter and cmsgpack.unpack(counter) or 0
    local function count(...) redis.call('HSET', counters, '0', epoch, channel, cmsgpack.pack(...)) end
    if cursor >= math.max(counted, through or 0) then
      count(cursor, 0, 0, cursor)
    elseif not through then
      redis.call('HDEL', counters, channel)
    elseif through < counted then
      return false
    else
      count(through, tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6]), cursor)
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
    if ARGV[at + 4] ~= '' or heldTerm ~= term and delivered > cursor then mark() end
    -- A later term is a mark-unread, or, where they had left, a membership in which nothing was read yet.
    return store(term, cursor, heldTerm == term and nowS or left and 0 or lastRead)
  end

  if not held or left then return { 'not-member', 0, 0, 0 } end
  if verb == 'touch' then
    if not marks then return kept end
    -- Where it is dirty already, by another mark: a flush that has read the member must not settle this.
    local member = user .. ':' .. channel
    writeDirty()
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

-- What is held of a user in the channels of their entries; nil: they are not loaded.
local function load(cursors, at, count)
  local channels = { '0' }
  for i = 1, count do channels[i + 1] = ARGV[at + 7 * (i - 1)] end
  local values = redis.call('HMGET', cursors, unpack(channels))
  if values[1] ~= epoch then return nil end
  local packed = {}
  for i = 2, #channels do packed[channels[i]] = values[i] end
  return packed
end

local outcomes, changed = {}, {}
local at = 1
for i = 1, (#KEYS - 2) / 3 do
  local user, count = ARGV[at], tonumber(ARGV[at + 1])
  local cursors, counters, loading = KEYS[3 * i], KEYS[3 * i + 1], KEYS[3 * i + 2]
  local packed, written = load(cursors, at + 2, count), {}
  for entry = 0, count - 1 do
    outcomes[#outcomes + 1] = merge(user, counters, loading, packed, written, at + 2 + 7 * entry)
  end
  if #written > 0 then changed[cursors] = written end
  at = at + 2 + 7 * count
end
writeDirty()
for cursors, written in pairs(changed) do redis.call('HSET', cursors, unpack(written)) end
return outcomes
