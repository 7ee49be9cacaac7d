#!/usr/bin/env bash
# Looks for new inputs that break a parser: tests/fuzz/run.sh [SECONDS per target, 60]
#
# Needs the fuzz preset built. Starts from the committed corpora; what it finds on the way is kept in
# build/fuzz/found, and an input that crashes in build/fuzz/crashes: add that one to the corpus.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit

seconds=${1:-60}
if ! [[ $seconds =~ ^[1-9][0-9]*$ ]]; then
    printf 'Usage: tests/fuzz/run.sh [SECONDS]\n' >&2
    exit 2
fi
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}

status=0
for corpus in tests/fuzz/corpus/*/; do
    name=$(basename "$corpus")
    found=build/fuzz/found/$name
    crashes=build/fuzz/crashes/$name
    log=build/fuzz/$name.log
    mkdir -p "$found" "$crashes"
    if build/fuzz/bin/"fuzz_$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 \
        -print_final_stats=1 -artifact_prefix="$crashes/" "$found" "$corpus" >"$log" 2>&1; then
        result=ok
    else
        result=CRASH
        status=1
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    coverage=$(grep -o ' cov: [0-9]*' "$log" | tail -n 1 | tr -dc 0-9)
    printf '%-10s %10s runs  %5s edges  %s\n' "$name" "${runs:-?}" "${coverage:-?}" "$result"
    [[ $result == ok ]] || tail -n 40 "$log"
done
exit "$status"
