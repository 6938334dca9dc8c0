-- Appends a batch of sends to a channel, in their order, and says what became of each. Replies begin the follows of
-- their threads (0004).
--
-- Two statements, and it matters: READ COMMITTED takes a statement's snapshot before it waits for a row lock.
-- The first waits for the channel's row. The second sees all that was committed while it waited: stored
-- duplicates, members gone, the head as it is. One statement for both was seen to leave holes in the seqs.
--
-- What a send is judged by is looked up send by send (LATERAL ... LIMIT): PostgreSQL plans for the average channel, and
-- a hash join reads all of a hot one for each batch. A duplicate is looked for in the order of its unique index, since
-- messages_of_author looks as good, and reads all that a bot ever said.
--
-- p_sends  [{idx, author_id, client_id, fingerprint, text, mentions, mentions_all, reply_to, thread_seq, read_to}]
--          with no two of the same author and client_id
-- outcome  appended | duplicate | conflict | not-found | not-member | archived | bad-reference
-- seq      of the message appended or stored before
-- read_to  where the author's cursor stands by this send, under read_term; null if the send says nothing of it
CREATE FUNCTION append_messages(p_channel_id bigint, p_sends jsonb)
RETURNS TABLE (idx integer, outcome text, seq bigint, ordinal bigint, at timestamptz, kind text,
               author_name text, author_picture text, read_to bigint, read_term integer)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  channel channels%ROWTYPE;
  moment  timestamptz;
BEGIN
  SELECT * INTO channel FROM channels WHERE id = p_channel_id FOR NO KEY UPDATE;
  -- After the lock, so that time goes up with seq whoever waited longest.
  moment := clock_timestamp();

  RETURN QUERY
  WITH sends AS MATERIALIZED (
    SELECT s.* FROM jsonb_to_recordset(p_sends) AS s(
      idx integer, author_id bigint, client_id text, fingerprint text, text text,
      mentions bigint[], mentions_all boolean, reply_to bigint, thread_seq bigint, read_to bigint)
  ), judged AS MATERIALIZED (
    SELECT s.*, u.name, u.picture, m.term, stored.seq AS stored_seq,
           CASE u.kind WHEN 'bot' THEN 'bot' ELSE 'user' END AS kind,
           CASE
             WHEN channel.id IS NULL THEN 'not-found'
             WHEN stored.fingerprint = s.fingerprint THEN 'duplicate'
             WHEN stored.seq IS NOT NULL THEN 'conflict'
             WHEN m.user_id IS NULL OR m.left_seq IS NOT NULL THEN 'not-member'
             WHEN channel.archived_at IS NOT NULL THEN 'archived'
             WHEN s.reply_to IS NOT NULL AND answered.seq IS NULL
               OR s.thread_seq IS NOT NULL AND (root.seq IS NULL OR root.thread_seq IS NOT NULL)
               OR EXISTS (SELECT FROM unnest(s.mentions) AS named(id)
                    WHERE NOT EXISTS (SELECT FROM users WHERE users.id = named.id OFFSET 0))
               THEN 'bad-reference'
             ELSE 'appended'
           END AS outcome
      FROM sends s
      JOIN LATERAL (SELECT u.* FROM users u WHERE u.id = s.author_id LIMIT 1) u ON true
      LEFT JOIN LATERAL (
             SELECT m.* FROM channel_members m
              WHERE m.channel_id = p_channel_id AND m.user_id = s.author_id LIMIT 1) m ON true
      LEFT JOIN LATERAL (
             SELECT r.* FROM messages r
              WHERE r.channel_id = p_channel_id AND r.author_id = s.author_id AND r.client_id >= s.client_id
              ORDER BY r.client_id LIMIT 1) stored ON stored.client_id = s.client_id
      LEFT JOIN LATERAL (
             SELECT r.seq FROM messages r
              WHERE r.channel_id = p_channel_id AND r.seq = s.reply_to LIMIT 1) answered ON true
      LEFT JOIN LATERAL (
             SELECT r.seq, r.thread_seq FROM messages r
              WHERE r.channel_id = p_channel_id AND r.seq = s.thread_seq LIMIT 1) root ON true
  ), numbered AS MATERIALIZED (
    SELECT j.*,
           channel.head_seq + row_number() OVER (ORDER BY j.idx) AS seq,
           channel.ordinal + count(*) FILTER (WHERE j.thread_seq IS NULL) OVER (ORDER BY j.idx) AS ordinal
      FROM judged j WHERE j.outcome = 'appended'
  ), placed AS MATERIALIZED (
    -- To the new seq only if nobody else's counting message lies between; else to what was on the screen.
    SELECT n.*,
           CASE
             WHEN n.read_to IS NULL THEN NULL
             WHEN EXISTS (SELECT FROM messages o
                           WHERE o.channel_id = p_channel_id AND o.seq > n.read_to
                             AND o.author_id <> n.author_id AND o.counts AND o.deleted_at IS NULL)
               OR EXISTS (SELECT FROM numbered o
                           WHERE o.seq < n.seq AND o.seq > n.read_to
                             AND o.author_id <> n.author_id AND o.thread_seq IS NULL)
               THEN least(n.read_to, n.seq - 1)
             ELSE n.seq
           END AS cursor_to
      FROM numbered n
  ), stored_messages AS (
    INSERT INTO messages (channel_id, seq, ordinal, kind, author_id, text, mentions, mentions_all, reply_to,
                          thread_seq, client_id, fingerprint, created_at)
    SELECT p_channel_id, p.seq, p.ordinal, p.kind, p.author_id, p.text, p.mentions, p.mentions_all, p.reply_to,
           p.thread_seq, p.client_id, p.fingerprint, moment
      FROM placed p
  ), stored_mentions AS (
    INSERT INTO message_mentions (channel_id, user_id, seq)
    SELECT p_channel_id, named.id, p.seq
      FROM placed p CROSS JOIN LATERAL unnest(p.mentions) AS named(id)
     WHERE p.thread_seq IS NULL AND NOT p.mentions_all AND named.id <> p.author_id
  ), advanced AS (
    UPDATE channel_members m SET cursor_seq = a.cursor_to, last_read_at = moment
      FROM (SELECT author_id, term, max(cursor_to) AS cursor_to FROM placed
             WHERE cursor_to IS NOT NULL GROUP BY author_id, term ORDER BY author_id) a
     WHERE m.channel_id = p_channel_id AND m.user_id = a.author_id
       AND m.term = a.term AND m.cursor_seq < a.cursor_to
  ), logged AS (
    INSERT INTO channel_events (channel_id, seq, ordinal, type, actor_id, at, message_seq, author_id, counts,
                                mentions, everyone, read_to, read_term, xid)
    SELECT p_channel_id, p.seq, p.ordinal, 'message.created', p.author_id, moment, p.seq, p.author_id,
           p.thread_seq IS NULL, p.mentions, p.mentions_all, p.cursor_to,
           CASE WHEN p.cursor_to IS NOT NULL THEN p.term END,
           -- Never falls along a channel, even if this transaction is older than the one that wrote the head: whoever
           -- walks the log by xid walks each channel by seq. It holds xmin back until it commits, and so is not passed.
           greatest(pg_current_xact_id(), (SELECT e.xid FROM channel_events e
                                            WHERE e.channel_id = p_channel_id AND e.seq = channel.head_seq))
      FROM placed p
  ), raised AS (
    UPDATE channels SET head_seq = r.head_seq, ordinal = r.ordinal
      FROM (SELECT max(seq) AS head_seq, max(ordinal) AS ordinal FROM placed HAVING count(*) > 0) r
     WHERE id = p_channel_id
  )
  SELECT j.idx, j.outcome, coalesce(p.seq, j.stored_seq), p.ordinal, moment, j.kind,
         j.name, j.picture, p.cursor_to, CASE WHEN p.cursor_to IS NOT NULL THEN j.term END
    FROM judged j LEFT JOIN placed p ON p.idx = j.idx
   ORDER BY j.idx;

  IF jsonb_path_exists(p_sends, '$[*].thread_seq ? (@ != null)') THEN
    -- A first reply has read what is above it; whom it concerns has all of it before them. Of a batch the first counts.
    PERFORM follow_threads(p_channel_id, array_agg(f.thread_seq), array_agg(f.user_id), array_agg(f.cursor_seq))
       FROM (SELECT DISTINCT ON (r.thread_seq, whom.user_id) r.thread_seq, whom.user_id, whom.cursor_seq
               FROM messages r
               JOIN messages root ON root.channel_id = r.channel_id AND root.seq = r.thread_seq
              CROSS JOIN LATERAL (
                SELECT r.author_id, r.seq
                 UNION ALL SELECT root.author_id, r.seq - 1
                 UNION ALL SELECT unnest(r.mentions), r.seq - 1) AS whom(user_id, cursor_seq)
              WHERE r.channel_id = p_channel_id AND r.seq > channel.head_seq AND r.thread_seq IS NOT NULL
              ORDER BY r.thread_seq, whom.user_id, r.seq, whom.cursor_seq DESC) f;
  END IF;
END $$;
