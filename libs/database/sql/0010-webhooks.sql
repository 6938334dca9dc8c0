-- To whom the log is sent over HTTP, and how far that has come: a position as the relay's.
CREATE TABLE webhooks (
  id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  url              text NOT NULL,
  secret           text NOT NULL,             -- it signs what is sent, and so is kept as it is
  channel_ids      bigint[],                  -- null: of all channels
  types            text[],                    -- null: of all types
  created_at       timestamptz NOT NULL DEFAULT now(),
  xid              xid8 NOT NULL DEFAULT pg_snapshot_xmin(pg_current_snapshot()),
  channel_id       bigint NOT NULL DEFAULT 0,
  seq              bigint NOT NULL DEFAULT 0,
  until_xid        xid8,                      -- the last row of the batch under way: a repeat is of the same events
  until_channel_id bigint,
  until_seq        bigint,
  failures         integer NOT NULL DEFAULT 0,-- in a row
  failing_since    timestamptz,
  last_failure     text,
  missed           bigint NOT NULL DEFAULT 0, -- events that were pruned from the log before they were sent
  disabled_at      timestamptz
);
