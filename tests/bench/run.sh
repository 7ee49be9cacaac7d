#!/usr/bin/env bash
# Measures the rail on this machine, in one run with its reference: raw appends to the same nats-server.
set -euo pipefail
cd "$(dirname "$0")/../.."

usage() {
    cat <<'HELP'
Usage: tests/bench/run.sh [--quick] [--profile]

Builds the release preset, starts `handoffrail serve` in a temporary folder and prints, one JSON object a line:
  idle       resident memory of the fleet in MB (without nats-server and Postgres), and CPU time used in 5 idle seconds
  codec      reading and writing a packet's JSON, against the bare parser
  raw        appends of a record's bytes to a stream of the same nats-server, 256 in flight: the reference
  rest       whole lifecycles (create, claim, in_progress, completed) over REST, 64 connections
  nats       the same as protobuf commands on NATS, 256 in flight
  audit_lag  seconds from the end of the load until the audit log has all of it
  summary    the figures as ratios to the reference
--quick runs a tenth of the load. --profile adds the CPU time of every process during the REST run.
HELP
}

scale=10
profile=
for argument in "$@"; do
    case $argument in
    --quick) scale=1 ;;
    --profile) profile=1 ;;
    --help) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
    esac
done

deploy/local/install.sh >/dev/null
cmake --preset release >/dev/null
cmake --build --preset release >/dev/null
bin=build/release/bin

work=$(mktemp -d)
chmod 755 "$work"
serve=
finish() {
    [[ -z $serve ]] || kill "$serve" 2>/dev/null || true
    [[ -z $serve ]] || wait "$serve" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

"$bin/handoffrail" serve --port 0 --data-dir "$work/data" >"$work/out" 2>"$work/err" &
serve=$!
for _ in $(seq 300); do
    grep -q '^ready ' "$work/out" && break
    kill -0 "$serve" 2>/dev/null || { cat "$work/err" >&2; exit 1; }
    sleep 0.1
done
url=$(sed -n 's/^ready //p' "$work/out")
port=${url##*:}
key=$(cat "$work/data/admin.key")
nats_of() { # user field
    sed "s|nats://\([^:]*\):\([^@]*\)@\(.*\)|\\$2|" "$work/data/$1.nats"
}
nats_url=nats://$(nats_of admin 3)

# The pids of our own programs: children of serve, and serve itself.
ours() {
    local pid
    echo "$serve"
    for pid in $(pgrep -P "$serve"); do
        case $(ps -o comm= -p "$pid") in
        hr-*) echo "$pid" ;;
        esac
    done
}
ticks() { # of all processes named by pid
    local sum=0 pid
    for pid in "$@"; do
        # shellcheck disable=SC2046
        set -- $(sed 's/.*) //' "/proc/$pid/stat")
        sum=$((sum + ${12} + ${13}))
    done
    echo "$sum"
}
profile_line() {
    local pid
    for pid in $(pgrep -P "$serve"); do
        printf '%s=%s ' "$(ps -o comm= -p "$pid")-$pid" "$(ticks "$pid")"
    done
}

mapfile -t pids < <(ours)
sleep 2
before=$(ticks "${pids[@]}")
sleep 5
after=$(ticks "${pids[@]}")
rss=$(for pid in "${pids[@]}"; do sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$pid/status"; done |
    awk '{s += $1} END {printf "%.1f", s / 1024}')
printf '{"name":"idle","processes":%d,"rss_mb":%s,"cpu_ms_in_5_s":%d}\n' "${#pids[@]}" "$rss" \
    $(((after - before) * 10))

"$bin/bench_codec" | tee "$work/codec"
"$bin/bench_nats" append "$nats_url" admin "$(nats_of admin 2)" 1500 $((scale * 10000)) 256 2>/dev/null |
    tee "$work/raw"
"$bin/bench_rest" 127.0.0.1 "$port" "$key" $((scale * 100)) 64 >/dev/null # warm
[[ -z $profile ]] || profile_line >"$work/before"
"$bin/bench_rest" 127.0.0.1 "$port" "$key" $((scale * 2000)) 64 | tee "$work/rest"
start=$(date +%s.%N)
curl -sf -m 5 -o /dev/null -H "X-API-Key: $key" "$url/api/v1/packets?limit=1"
printf '{"name":"audit_lag","seconds":%.3f}\n' "$(echo "$(date +%s.%N) - $start" | bc)"
[[ -z $profile ]] || { profile_line >"$work/after" && python3 - "$work/before" "$work/after" <<'PY'
import json, sys
before, after = ({k: int(v) for k, v in (p.split("=") for p in open(f).read().split())} for f in sys.argv[1:])
print(json.dumps({"name": "cpu_seconds_of_the_rest_run", **{k.rsplit("-", 1)[0]: (v - before.get(k, 0)) / 100 for k, v in after.items()}}))
PY
}
"$bin/bench_nats" lifecycle "$nats_url" agent "$(nats_of agent 2)" default agent $((scale * 2000)) 256 2>/dev/null |
    tee "$work/nats"
python3 - "$work" <<'PY'
import json, sys
read = lambda name: json.load(open(f"{sys.argv[1]}/{name}"))
raw, rest, nats = read("raw"), read("rest"), read("nats")
print(json.dumps({
    "name": "summary",
    "rest_lifecycles_per_second": rest["per_second"],
    "rest_p99_ms": rest["p99_ms"],
    "nats_lifecycles_per_second": nats["per_second"],
    "raw_appends_per_second": raw["per_second"],
    "rest_appends_to_raw": round(rest["operations_per_second"] / raw["per_second"], 3),
    "nats_appends_to_raw": round(nats["operations_per_second"] / raw["per_second"], 3),
}))
PY
