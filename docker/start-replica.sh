#!/bin/sh
# Copies the primary on the first start, and follows it from then on. PGPASSWORD is the primary's.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  mkdir -p "$PGDATA"
  rm -rf "${PGDATA:?}"/* # what an interrupted copy left
  pg_basebackup --host=postgres --username=tidemark --pgdata="$PGDATA" --write-recovery-conf --checkpoint=fast
  chown -R postgres: "$PGDATA"
  chmod 700 "$PGDATA"
fi
exec docker-entrypoint.sh postgres "$@"
