-- What an import has brought in so far, so that one that was stopped goes on, and one that is done is not repeated.
-- Written in the transaction of what it speaks of.
CREATE TABLE imports (
  source      text NOT NULL,                  -- 'slack'
  external_id text NOT NULL,                  -- of the channel, where it came from
  channel_id  bigint NOT NULL,
  appended    bigint NOT NULL DEFAULT 0,      -- messages so far
  finished_at timestamptz,                    -- then its members have joined
  PRIMARY KEY (source, external_id)
);
