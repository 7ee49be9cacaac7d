#!/usr/bin/env bash
# Builds the programs of an older commit, and a folder of programs that mixes them with ours:
#   tests/rolling/build-old.sh COMMIT NEW_BIN
# Prints the folder of the old programs and the mixed one. In the mixed folder the first copy of
# every worker is the old program and every other copy is ours; the gateway is ours, or the old one
# if HR_MIX_GATEWAY is "old".
set -euo pipefail
cd "$(dirname "$0")/../.."
commit=$1
new=$(realpath "$2")
source=$PWD/build/old/source
old=$source/build/release/bin
mix=$PWD/build/old/mix

if [[ ! -e $source/.built || $(cat "$source/.built") != "$commit" ]]; then
    rm -rf "$source"
    mkdir -p "$source"
    git archive "$commit" | tar -x -C "$source"
    (cd "$source" && cmake --preset release && cmake --build --preset release) >&2
    echo "$commit" >"$source/.built"
fi
rm -rf "$mix"
mkdir -p "$mix"
for file in "$new"/hr-*; do
    name=${file##*/}
    cat >"$mix/$name" <<WRAPPER
#!/bin/sh
case \$HR_HEALTH_LISTEN:$name:\${HR_MIX_GATEWAY:-new} in
    *:hr-gateway:new) exec $new/$name ;;
    *-1.sock:*) exec $old/$name ;;
    *) exec $new/$name ;;
esac
WRAPPER
    chmod 755 "$mix/$name"
done
printf '%s\n%s\n' "$old" "$mix"
