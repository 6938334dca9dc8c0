-- What a member who has read up to p_cursor has not read, in one snapshot and so exact as of as_of_seq.
-- Four index probes at any depth: ordinals instead of a recount (DESIGN section 5).
CREATE FUNCTION unread_of(p_channel_id bigint, p_user_id bigint, p_cursor bigint)
RETURNS TABLE (as_of_seq bigint, unread bigint, mentions bigint)
LANGUAGE sql STABLE AS $$
  SELECT c.head_seq,
         c.ordinal
         - coalesce((SELECT m.ordinal FROM messages m
                      WHERE m.channel_id = c.id AND m.seq <= f.floor ORDER BY m.seq DESC LIMIT 1), c.pruned_ordinal)
         - (SELECT count(*) FROM messages m
             WHERE m.channel_id = c.id AND m.seq > f.floor AND m.counts AND m.deleted_at IS NOT NULL)
         - (SELECT count(*) FROM messages m
             WHERE m.channel_id = c.id AND m.author_id = p_user_id AND m.seq > f.floor
               AND m.counts AND m.deleted_at IS NULL),
         (SELECT count(*) FROM message_mentions n
           WHERE n.channel_id = c.id AND n.user_id = p_user_id AND n.seq > f.floor)
         + (SELECT count(*) FROM messages m
             WHERE m.channel_id = c.id AND m.seq > f.floor AND m.counts AND m.mentions_all
               AND m.deleted_at IS NULL AND m.author_id <> p_user_id)
    FROM channels c
   CROSS JOIN LATERAL (SELECT greatest(p_cursor, c.pruned_seq) AS floor) f
   WHERE c.id = p_channel_id
$$;

-- Every count, exact for the cursors flushed so far, to whoever queries the database.
CREATE VIEW unread_counts AS
  SELECT m.channel_id, m.user_id, m.term, m.cursor_seq, u.as_of_seq, u.unread, u.mentions, m.last_read_at
    FROM channel_members m
   CROSS JOIN LATERAL unread_of(m.channel_id, m.user_id, m.cursor_seq) u
   WHERE m.left_seq IS NULL;
