#!/usr/bin/env bash
# Writes the table of commands into docs/nats.md, from the programs: make-commands.sh BIN_DIR
# With --print: prints the page as it should be instead.
set -euo pipefail
bin=$1
page=$(dirname "$0")/nats.md

whole() {
    sed '/^<!-- commands -->$/q' "$page"
    "$bin/command_list"
    sed -n '/^<!-- end of commands -->$/,$p' "$page"
}

if [[ ${2:-} == --print ]]; then
    whole
else
    text=$(whole)
    printf '%s\n' "$text" >"$page"
fi
