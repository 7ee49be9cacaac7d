#!/bin/bash
# with_postgres.sh COMMAND...: runs COMMAND with a private Postgres on a Unix socket, in its own folder.
#
# COMMAND finds HR_POSTGRES_URL, and may control the server through two files:
#   $HR_TEST_POSTGRES/data/postmaster.pid   whom to kill
#   $HR_TEST_POSTGRES/hold                  while it exists, a dead server is not started again
# Any number can run at once. Everything is gone afterwards, also when this script is killed.
set -euo pipefail

bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
[ -x "$bin/postgres" ] || { echo "with_postgres.sh: no Postgres server is installed" >&2; exit 1; }

folder=$(mktemp -d "${TMPDIR:-/tmp}/hr-pg.XXXXXX")
chmod 755 "$folder"
supervisor=
cleanup() {
    touch "$folder/hold"
    [ -z "$supervisor" ] || kill "$supervisor" 2>/dev/null || true
    if [ -f "$folder/data/postmaster.pid" ]; then
        kill -QUIT "$(head -1 "$folder/data/postmaster.pid")" 2>/dev/null || true
    fi
    [ -z "$supervisor" ] || wait "$supervisor" 2>/dev/null || true
    rm -rf "$folder"
}
trap cleanup EXIT
trap 'exit 143' TERM INT

# Postgres refuses to run as root.
as=()
if [ "$(id -u)" = 0 ]; then
    chown postgres "$folder"
    as=(setpriv --reuid=postgres --regid=postgres --init-groups)
fi
"${as[@]}" "$bin/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 \
    --no-sync >"$folder/initdb.log" 2>&1 || { cat "$folder/initdb.log" >&2; exit 1; }

supervise() {
    local server=
    trap 'exit 0' TERM
    while kill -0 $$ 2>/dev/null; do # $$ is the script, also in here
        if [ ! -e "$folder/hold" ]; then
            # Not --pdeathsig before the user changes: the kernel forgets it then.
            "${as[@]}" setpriv --pdeathsig QUIT "$bin/postgres" -D "$folder/data" -k "$folder" \
                -c listen_addresses= -c fsync="${HR_TEST_FSYNC:-off}" -c max_connections=100 \
                ${HR_TEST_POSTGRES_OPTIONS:-} >>"$folder/server.log" 2>&1 &
            server=$!
        fi
        while [ -n "$server" ] && kill -0 "$server" 2>/dev/null && kill -0 $$ 2>/dev/null; do
            sleep 0.05
        done
        sleep 0.05
    done
    [ -z "$server" ] || kill -QUIT "$server" 2>/dev/null || true
    rm -rf "$folder"
}
supervise &
supervisor=$!

export HR_TEST_POSTGRES=$folder
export HR_POSTGRES_URL="host=$folder user=postgres dbname=postgres"
for _ in $(seq 200); do
    "$bin/pg_isready" -q -h "$folder" -U postgres && break
    sleep 0.05
done

# In the background, so that a signal to this script is handled at once.
"$@" &
child=$!
trap 'kill -TERM "$child" 2>/dev/null; wait "$child" 2>/dev/null; exit 143' TERM INT
status=0
wait "$child" || status=$?
[ "$status" = 0 ] || [ -z "${HR_TEST_SHOW_LOG:-}" ] || tail -50 "$folder/server.log" >&2
exit "$status"
