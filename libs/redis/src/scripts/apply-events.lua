--[[
  Applies a contiguous run of a channel's log and publishes it, in one step: the one way in.

  Why a script: whoever sees the head raised must see the counts that go with it, and whoever hears of an event
  must find it applied. Two replicas may apply the same run; the second changes and publishes nothing.

  KEYS[1]  epoch    string  {c<shard>}:epoch             the shard's cache epoch
  KEYS[2]  channel  hash    {c<shard>}:channel:<id>      epoch, log, applied, ordinal, floor, pruned | known;
                                                         without `applied`, what is known of one that is not loaded
  KEYS[3]  marks    zset    {c<shard>}:marks:<id>        see below
  KEYS[4]  stream   stream  {c<shard>}:stream            runs for the strategies that count by member
  KEYS[5]  recent   zset    {c<shard>}:recent:<id>       the newest messages, see below

  ARGV[1]  channelId
  ARGV[2]  log      the log epoch that the rows are of; state of another is dropped
  ARGV[3]  topic    to publish on
  ARGV[4]  window   events whose marks are kept at the least; at twice as many the older half goes
  ARGV[5]  stream   1 to append the run to the stream as well
  ARGV[6]  keep     messages to keep in `recent` at the most; 0 to leave it alone
  ARGV[7]  bytes    the same in bytes of JSON
  ARGV[8]  idle     after so many ms without an event `recent` goes
  ARGV[9]  facts    JSON, one object a row in seq order:
                    {s: seq, o: ordinal, t: type, m: message seq, a: author, c: 1 if that message counts,
                     p, q: whom it names after and before, e, f: 1 if it names everyone after and before}
  ARGV[10..] the rows' envelopes as JSON, in the same order; then, if messages are kept, their messages, '' for none

  Marks are members whose last twelve characters are a seq, so that one ZLEXCOUNT counts those above a cursor:
    n:<seq>            an event that is no counting message
    d:<seq>            a counting message that was deleted
    o:<author>:<seq>   a counting, undeleted message by author
    m:<user>:<seq>     such a message that names user (and not everyone)
    e:<seq>            such a message that names everyone;  f:<author>:<seq> the same, by author

  `recent` holds each message as JSON, scored by its seq. The one member scored 0 says what it is good for:
  '<floor> <through> <bytes> <cache epoch> <log epoch>', complete for messages above floor, as of event through. Who
  applies without keeping messages leaves it behind, and the next who keeps them begins anew.

  Returns  { outcome, seq }
    applied   everything up to seq is
    absent    nothing of the channel is loaded; seq is noted as known
    hole      applied only reaches seq, rows between are missing; the run's end is noted as known
    no-epoch  the shard has lost everything and waits for a new epoch
]]
local epoch = redis.call('GET', KEYS[1])
if not epoch then return { 'no-epoch', 0 } end

local facts = cjson.decode(ARGV[9])
local first, last = facts[1].s, facts[#facts].s
local state = redis.call('HMGET', KEYS[2], 'epoch', 'log', 'applied', 'floor', 'known')
local applied, floor, known = tonumber(state[3]), tonumber(state[4]), tonumber(state[5]) or 0

if state[1] and (state[1] ~= epoch or state[2] ~= ARGV[2]) then
  redis.call('DEL', KEYS[2], KEYS[3])
  applied, known = nil, 0
end
if not applied then
  if first == 1 and known <= last then
    -- A channel that begins: nothing is below it that would have to be loaded.
    redis.call('DEL', KEYS[2], KEYS[3])
    redis.call('HSET', KEYS[2], 'epoch', epoch, 'log', ARGV[2], 'applied', 0, 'ordinal', 0, 'floor', 0, 'pruned', 0)
    applied, floor = 0, 0
  else
    -- With the history that it is of: in another, the log may never go so far.
    if last > known then redis.call('HSET', KEYS[2], 'epoch', epoch, 'log', ARGV[2], 'known', last) end
    return { 'absent', math.max(last, known) }
  end
end
if last <= applied then return { 'applied', applied } end
if first > applied + 1 then
  if last > known then redis.call('HSET', KEYS[2], 'known', last) end
  return { 'hole', applied }
end

local function at(seq) return string.format('%012d', seq) end
local function set(member) redis.call('ZADD', KEYS[3], 0, member) end
local function unset(member) redis.call('ZREM', KEYS[3], member) end

local envelopes, pruned = {}, nil
for i, fact in ipairs(facts) do
  if fact.s > applied then
    envelopes[#envelopes + 1] = ARGV[9 + i]
    if not (fact.t == 'message.created' and fact.c == 1) then set('n:' .. at(fact.s)) end
    if fact.t == 'messages.pruned' then pruned = fact.m end
    if fact.c == 1 and fact.m > floor then
      local seq, author = at(fact.m), fact.a
      if fact.f == 1 then
        unset('e:' .. seq)
        unset('f:' .. author .. ':' .. seq)
      else
        for _, user in ipairs(fact.q) do unset('m:' .. user .. ':' .. seq) end
      end
      if fact.t == 'message.deleted' then
        unset('o:' .. author .. ':' .. seq)
        set('d:' .. seq)
      else
        if fact.t == 'message.created' then set('o:' .. author .. ':' .. seq) end
        if fact.e == 1 then
          set('e:' .. seq)
          set('f:' .. author .. ':' .. seq)
        else
          for _, user in ipairs(fact.p) do
            if user ~= author then set('m:' .. user .. ':' .. seq) end
          end
        end
      end
    end
  end
end

redis.call('HSET', KEYS[2], 'applied', last, 'ordinal', facts[#facts].o)
if pruned then redis.call('HSET', KEYS[2], 'pruned', pruned) end
if known > 0 and known <= last then redis.call('HDEL', KEYS[2], 'known') end

local window = tonumber(ARGV[4])
if last - floor > 2 * window then
  -- Once in `window` events, so a constant few a message. Cursors below are counted by PostgreSQL.
  floor = last - window
  local lowest = at(floor)
  for _, member in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do
    if string.sub(member, -12) <= lowest then unset(member) end
  end
  redis.call('HSET', KEYS[2], 'floor', floor)
end

local keep = tonumber(ARGV[6])
if keep > 0 then
  local history = epoch .. ' ' .. ARGV[2]
  local said = redis.call('ZRANGE', KEYS[5], 0, 0)[1] or ''
  local since, through, bytes, of = string.match(said, '^(%d+) (%d+) (%d+) (.*)$')
  if of == history and tonumber(through) == applied then
    since, bytes = tonumber(since), tonumber(bytes)
    redis.call('ZREM', KEYS[5], said)
  else
    redis.call('DEL', KEYS[5])
    since, bytes = applied, 0
  end
  local function drop(member)
    redis.call('ZREM', KEYS[5], member)
    bytes = bytes - #member
  end
  for i, fact in ipairs(facts) do
    local message = ARGV[9 + #facts + i]
    if fact.s > applied and fact.t == 'messages.pruned' then
      for _, member in ipairs(redis.call('ZRANGE', KEYS[5], 1, fact.m, 'BYSCORE')) do drop(member) end
    elseif fact.s > applied and message ~= '' and fact.m > since then
      local was = redis.call('ZRANGE', KEYS[5], fact.m, fact.m, 'BYSCORE')[1]
      if was then drop(was) end
      -- A change of a message that is not here is one of a message that was pruned.
      if was or fact.t == 'message.created' then
        redis.call('ZADD', KEYS[5], fact.m, message)
        bytes = bytes + #message
      end
    end
  end
  while bytes > tonumber(ARGV[7]) or redis.call('ZCARD', KEYS[5]) > keep do
    local lowest = redis.call('ZRANGE', KEYS[5], 0, 0, 'WITHSCORES')
    drop(lowest[1])
    since = tonumber(lowest[2])
  end
  redis.call('ZADD', KEYS[5], 0, string.format('%d %d %d %s', since, last, bytes, history))
  redis.call('PEXPIRE', KEYS[5], ARGV[8])
end

if ARGV[5] == '1' then
  redis.call('XADD', KEYS[4], '*', 'channel', ARGV[1], 'after', applied, 'facts', ARGV[9])
end
redis.call('PUBLISH', ARGV[3], '[' .. table.concat(envelopes, ',') .. ']')
return { 'applied', last }
