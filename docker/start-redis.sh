#!/bin/sh
# Redis with a user for each service: redis-users.acl, with the passwords of the environment.
set -eu
users="${TMPDIR:-/tmp}/users.acl"
eval "cat <<USERS
$(cat "$(dirname "$0")/redis-users.acl")
USERS" > "$users"
# We are root under the umask of the image's entrypoint, which then runs Redis as somebody else.
chmod 644 "$users"
exec docker-entrypoint.sh redis-server --aclfile "$users" "$@"
