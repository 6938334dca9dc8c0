-- sync-db counts in place, while others move cursors: a join, a send's readTo. unread_count and mention_count then
-- still stand for the cursor that they were counted at, and this says which. They hold where it is cursor_seq.
ALTER TABLE channel_members ADD COLUMN counted_cursor bigint NOT NULL DEFAULT -1;
