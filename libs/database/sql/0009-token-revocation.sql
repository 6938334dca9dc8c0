-- Tokens of the user that were issued before this are refused; null where none was ever revoked.
ALTER TABLE users ADD COLUMN tokens_valid_from timestamptz;
-- Every process asks every few seconds who was revoked lately.
CREATE INDEX users_revoked ON users (tokens_valid_from, id) WHERE tokens_valid_from IS NOT NULL;
