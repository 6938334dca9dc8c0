-- Who follows a thread, and how far they have read in it. A thread is named by its root's seq; a reply makes its
-- author, the root's author and whom it names follow, and so does a mark-unread. Never a row per reader.
--
-- joined_seq is the membership's at that time: leaving ends every follow of a member without touching a row, and
-- rejoining begins with none. The row stays, so that its term never restarts. A cursor update stays HOT.
CREATE TABLE thread_members (
  channel_id   bigint NOT NULL,
  thread_seq   bigint NOT NULL,
  user_id      bigint NOT NULL,
  joined_seq   bigint NOT NULL,
  term         integer NOT NULL DEFAULT 1,    -- counts follows after a rejoin, and mark-unreads
  cursor_seq   bigint NOT NULL,               -- the highest seq read in the thread within the term
  last_read_at timestamptz,
  PRIMARY KEY (channel_id, thread_seq, user_id)
) WITH (fillfactor = 70);
CREATE INDEX thread_members_of_user ON thread_members (user_id, channel_id, joined_seq, thread_seq);

-- What a member who has read a thread up to p_cursor has not read of it, in one snapshot and so exact as of
-- as_of_seq. Along messages_of_thread: it costs what lies above the cursor.
CREATE FUNCTION thread_unread_of(p_channel_id bigint, p_thread_seq bigint, p_user_id bigint, p_cursor bigint)
RETURNS TABLE (as_of_seq bigint, unread bigint, mentions bigint)
LANGUAGE sql STABLE AS $$
  SELECT c.head_seq, n.unread, n.mentions
    FROM channels c
   CROSS JOIN LATERAL (
     SELECT count(*) AS unread, count(*) FILTER (WHERE m.mentions_all OR p_user_id = ANY (m.mentions)) AS mentions
       FROM messages m
      WHERE m.channel_id = c.id AND m.thread_seq = p_thread_seq AND m.seq > greatest(p_cursor, c.pruned_seq)
        AND m.author_id <> p_user_id AND m.deleted_at IS NULL AND m.kind <> 'system') n
   WHERE c.id = p_channel_id
$$;

-- Every count of a followed thread, to whoever queries the database.
CREATE VIEW thread_unread_counts AS
  SELECT t.channel_id, t.thread_seq, t.user_id, t.term, t.cursor_seq, u.as_of_seq, u.unread, u.mentions, t.last_read_at
    FROM thread_members t
    JOIN channel_members m ON m.channel_id = t.channel_id AND m.user_id = t.user_id
         AND m.left_seq IS NULL AND m.joined_seq = t.joined_seq
   CROSS JOIN LATERAL thread_unread_of(t.channel_id, t.thread_seq, t.user_id, t.cursor_seq) u;

-- Makes members of the channel follow threads, the i-th user the i-th thread from the i-th cursor on, though read
-- up to their joining. Who follows already stays as they are. For who holds the channel's row.
CREATE FUNCTION follow_threads(p_channel_id bigint, p_thread_seqs bigint[], p_user_ids bigint[], p_cursors bigint[])
RETURNS void
LANGUAGE sql AS $$
  INSERT INTO thread_members AS t (channel_id, thread_seq, user_id, joined_seq, cursor_seq)
  SELECT p_channel_id, f.thread_seq, f.user_id, m.joined_seq, greatest(f.cursor_seq, m.joined_seq)
    FROM unnest(p_thread_seqs, p_user_ids, p_cursors) AS f(thread_seq, user_id, cursor_seq)
    JOIN channel_members m ON m.channel_id = p_channel_id AND m.user_id = f.user_id AND m.left_seq IS NULL
   WHERE NOT EXISTS (SELECT FROM thread_members held
                      WHERE held.channel_id = p_channel_id AND held.thread_seq = f.thread_seq
                        AND held.user_id = f.user_id AND held.joined_seq = m.joined_seq)
   ORDER BY f.thread_seq, f.user_id
  ON CONFLICT (channel_id, thread_seq, user_id) DO UPDATE
     SET joined_seq = excluded.joined_seq, term = t.term + 1, cursor_seq = excluded.cursor_seq, last_read_at = NULL
   WHERE t.joined_seq < excluded.joined_seq
$$;
