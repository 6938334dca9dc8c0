-- The highest seq that has reached a device of the member, where that is beyond the cursor: what was read was
-- delivered. It only rises, through marks of unread and through leaving and coming back, since who joins is read up
-- to their join. Like the cursor it moves, so no index holds it and updates stay HOT.
ALTER TABLE channel_members ADD COLUMN delivered_seq bigint NOT NULL DEFAULT 0;
