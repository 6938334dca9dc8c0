#!/bin/sh
# Run once, by the image of the primary, when it makes its database: replicas may then copy and follow it.
echo 'host replication all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
