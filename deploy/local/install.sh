#!/usr/bin/env bash
# Installs the Debian packages that are missing, and says nothing when none is.
set -euo pipefail

# What running a rail takes.
run=(nats-server postgresql
     libcurl4 libnats3.4 libpq5 libprotobuf-c1 libre2-9 libssl3 libstdc++6 libuv1 libwslay1
     libyajl2)
# What building it takes.
build=(gcc g++ libc6-dev cmake ninja-build pkg-config protobuf-c-compiler
       libcurl4-openssl-dev node-llhttp libnats-dev libpq-dev libprotobuf-c-dev libprotobuf-dev libssl-dev
       libuv1-dev libwslay-dev libyajl-dev uthash-dev libbsd-dev
       libvalijson-dev libre2-dev nlohmann-json3-dev)
# What deploy/local/up.sh shows its example with.
demo=(curl jq)
# What deploy/local/current-nats.sh takes.
current_nats=(python3 python3-venv ca-certificates)
# What tests/run.sh takes on top.
test=(clang-14 clang-format-14 clang-tidy-14 libclang-rt-14-dev libcriterion-dev protobuf-compiler
      json-schema-test-suite
      python3 python3-venv ca-certificates procps util-linux)

usage() {
    cat <<'HELP'
Usage: deploy/local/install.sh [PURPOSE...]

Installs the Debian packages that are missing for each PURPOSE:
  run     what a rail needs while it runs
  build   what building it from source needs
  demo    what the example in up.sh needs
  current-nats  what fetching a current nats-server needs
  test    what tests/run.sh needs
Without a PURPOSE: all of them. Needs root only when something is missing.
HELP
}

die() {
    printf 'install.sh: %s\n' "$1" >&2
    exit 1
}

wanted=()
for purpose in "${@:-all}"; do
    case $purpose in
    run) wanted+=("${run[@]}") ;;
    build) wanted+=("${build[@]}") ;;
    demo) wanted+=("${demo[@]}") ;;
    current-nats) wanted+=("${current_nats[@]}") ;;
    test) wanted+=("${test[@]}") ;;
    all) wanted+=("${run[@]}" "${build[@]}" "${demo[@]}" "${test[@]}") ;;
    -h | --help)
        usage
        exit 0
        ;;
    *)
        printf "install.sh: there is no purpose '%s'\n" "$purpose" >&2
        usage >&2
        exit 2
        ;;
    esac
done

command -v dpkg-query >/dev/null || die 'this is not Debian; install the packages by hand (they are listed in this file)'

# A removed package is still known, so its state counts, not its name.
have=$(dpkg-query --show --showformat '${binary:Package} ${db:Status-Status}\n' "${wanted[@]}" \
    2>/dev/null | sed -n 's/^\([^ :]*\)[^ ]* installed$/\1/p') || true
missing=()
for package in "${wanted[@]}"; do
    [[ $'\n'$have$'\n' == *$'\n'$package$'\n'* ]] || missing+=("$package")
done
[[ ${#missing[@]} -gt 0 ]] || exit 0

[[ $(id -u) -eq 0 ]] || die "these packages are missing, and installing them takes root: ${missing[*]}"

log=$(mktemp)
trap 'rm -f "$log"' EXIT
printf 'installing %s\n' "${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get -q -y -o DPkg::Lock::Timeout=120 update &&
    apt-get -q -y -o DPkg::Lock::Timeout=120 install --no-install-recommends "${missing[@]}"; } \
    >"$log" 2>&1 </dev/null; then
    tail -n 30 "$log" >&2
    die 'apt-get failed; its last words stand above'
fi
