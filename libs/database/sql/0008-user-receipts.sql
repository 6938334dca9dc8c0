-- Whether others see what a user has read, in any channel. Few turn it off: the index holds those alone, and is all
-- that a list of readers asks about users.
ALTER TABLE users ADD COLUMN receipts boolean NOT NULL DEFAULT true;
CREATE INDEX users_without_receipts ON users (id) WHERE NOT receipts;
