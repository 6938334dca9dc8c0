-- A channel is a log: everything that changes it for all who see it is a row of channel_events with the
-- next seq, written in the transaction of the change. channel_id leads every key of what grows, so that it
-- can become the distribution key of a sharded PostgreSQL as it stands.

CREATE TABLE users (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  external_id text NOT NULL UNIQUE,
  name        text NOT NULL,
  picture     text,
  kind        text NOT NULL DEFAULT 'person' CHECK (kind IN ('person', 'bot')),
  created_at  timestamptz NOT NULL DEFAULT now()
);

-- The row that every append to the channel locks: it moves with each batch, so it carries no index but its key.
CREATE TABLE channels (
  id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name           text NOT NULL,
  visibility     text NOT NULL CHECK (visibility IN ('public', 'private')),
  head_seq       bigint NOT NULL DEFAULT 0,
  ordinal        bigint NOT NULL DEFAULT 0,   -- counting messages up to the head; never falls
  pruned_seq     bigint NOT NULL DEFAULT 0,   -- messages at or below it are gone
  pruned_ordinal bigint NOT NULL DEFAULT 0,   -- the ordinal at pruned_seq
  log_floor_seq  bigint NOT NULL DEFAULT 0,   -- log rows at or below it are gone
  member_count   integer NOT NULL DEFAULT 0,
  archived_at    timestamptz,
  created_at     timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);

-- A membership outlives its member's leaving (left_seq), so that its term never restarts.
-- No index on a column that moves: cursor updates stay HOT.
CREATE TABLE channel_members (
  channel_id    bigint NOT NULL REFERENCES channels (id),
  user_id       bigint NOT NULL REFERENCES users (id),
  role          text NOT NULL DEFAULT 'member' CHECK (role IN ('owner', 'member')),
  joined_seq    bigint NOT NULL,
  left_seq      bigint,
  term          integer NOT NULL DEFAULT 1,   -- counts joins and mark-unreads
  cursor_seq    bigint NOT NULL,              -- the highest seq read within the term
  last_read_at  timestamptz,
  unread_count  integer NOT NULL DEFAULT 0,   -- write-behind only: the counts as of counted_seq
  mention_count integer NOT NULL DEFAULT 0,
  counted_seq   bigint NOT NULL DEFAULT 0,
  muted         boolean NOT NULL DEFAULT false,
  receipts      boolean NOT NULL DEFAULT true,
  PRIMARY KEY (channel_id, user_id)
) WITH (fillfactor = 70);
CREATE INDEX channel_members_of_user ON channel_members (user_id, channel_id);

CREATE TABLE messages (
  channel_id   bigint NOT NULL,
  seq          bigint NOT NULL,
  ordinal      bigint NOT NULL,
  kind         text NOT NULL CHECK (kind IN ('user', 'bot', 'system')),
  author_id    bigint NOT NULL,
  text         text,
  mentions     bigint[] NOT NULL DEFAULT '{}',
  mentions_all boolean NOT NULL DEFAULT false,
  reply_to     bigint,
  thread_seq   bigint,
  client_id    text NOT NULL,
  fingerprint  text NOT NULL,                 -- of the content as first sent: a repeat with another is a conflict
  created_at   timestamptz NOT NULL,
  edited_at    timestamptz,
  deleted_at   timestamptz,
  counts       boolean NOT NULL GENERATED ALWAYS AS (kind <> 'system' AND thread_seq IS NULL) STORED,
  PRIMARY KEY (channel_id, seq),
  UNIQUE (channel_id, author_id, client_id)
);
CREATE INDEX messages_of_thread ON messages (channel_id, thread_seq, seq) WHERE thread_seq IS NOT NULL;
CREATE INDEX messages_of_author ON messages (channel_id, author_id, seq);
CREATE INDEX messages_deleted ON messages (channel_id, seq) WHERE counts AND deleted_at IS NOT NULL;
CREATE INDEX messages_to_everyone ON messages (channel_id, seq) WHERE counts AND mentions_all AND deleted_at IS NULL;

-- Whom a counting, undeleted message names, its author and messages to everyone aside. Never a row per reader.
CREATE TABLE message_mentions (
  channel_id bigint NOT NULL,
  user_id    bigint NOT NULL,
  seq        bigint NOT NULL,
  PRIMARY KEY (channel_id, user_id, seq)
);

-- The log, and so the outbox. Small rows: bodies live in messages alone. What a row says of a message's
-- mentions, before and after, is enough to move counts by; a replay of rows 1..N gives every count as of N.
CREATE TABLE channel_events (
  channel_id   bigint NOT NULL,
  seq          bigint NOT NULL,
  ordinal      bigint NOT NULL,
  type         text NOT NULL,
  actor_id     bigint,                        -- null where the service itself acted, as in pruning
  at           timestamptz NOT NULL,
  message_seq  bigint,                        -- message.*: the message; messages.pruned: the last seq gone
  author_id    bigint,                        -- of that message
  counts       boolean NOT NULL DEFAULT false,-- that message counts
  mentions     bigint[],                      -- whom it names after the event, and before
  was_mentions bigint[],
  everyone     boolean NOT NULL DEFAULT false,
  was_everyone boolean NOT NULL DEFAULT false,
  user_ids     bigint[],                      -- member.*
  read_to      bigint,                        -- message.created: its author's cursor, by readTo
  read_term    integer,
  xid          xid8 NOT NULL DEFAULT pg_current_xact_id(), -- of who wrote it, or of the row before if that is higher
  PRIMARY KEY (channel_id, seq)
);
-- The relay walks the log in commit order, below the oldest transaction still running.
CREATE INDEX channel_events_by_transaction ON channel_events (xid, channel_id, seq);

CREATE TABLE relay_position (
  name       text PRIMARY KEY,
  xid        xid8 NOT NULL,
  channel_id bigint NOT NULL,
  seq        bigint NOT NULL
);
INSERT INTO relay_position VALUES ('channel-log', '0', 0, 0);

-- The cache epoch of each Redis shard. A flush commits holding its row FOR SHARE and only under the epoch it
-- read; a rebuild raises it first. So nothing read from a Redis that is gone can be written after a rebuild.
CREATE TABLE cache_fences (
  shard text PRIMARY KEY,
  epoch bigint NOT NULL
);
