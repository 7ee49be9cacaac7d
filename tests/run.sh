#!/usr/bin/env bash
# Everything that has to hold, from a fresh clone. The last line is "N passed, N failed".
set -uo pipefail
cd "$(dirname "$0")/.." || exit

usage() {
    cat <<'HELP'
Usage: tests/run.sh [PART...]

Without a PART: all of them, in this order. Missing packages are installed first (as root).
  format    every C and C++ file is as clang-format has it
  headers   every header of ours compiles alone; includes go one way
  tidy      clang-tidy over every C file, on a build with the thread sanitizer
  dev       build with gcc; unit and integration tests
  asan      the same with address and undefined-behaviour sanitizers
  fuzz      build the fuzz targets; replay their corpora
  e2e       whole rails, driven from Python; the programs are those of HR_PRESET, asan if not set
  nats      what depends on NATS most, on a current nats-server, which deploy/local/current-nats.sh fetches: one winner,
            followers, permissions, nothing lost

Only when it is named:
  tsan      what has threads, driven from Python on a build with the thread sanitizer: live streams, webhooks,
            and many claimers at once. tests/tsan.supp says what is not reported, and why
  rolling   the programs of an older commit (HR_OLD_COMMIT, if not 1be364e) and ours side by side: one winner, leases,
            nothing lost; and a data folder that the old ones made

Logs and reports go to build/logs. A tool that is missing is a failure. The last line counts the
tests of all parts; a check counts as one test, and so does a build that fails.
HELP
}

all=(format headers tidy dev asan fuzz e2e nats)
logs=build/logs
passed=0
failed=0

export ASAN_OPTIONS=${ASAN_OPTIONS:-abort_on_error=0:detect_leaks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}

pass() {
    passed=$((passed + 1))
}

# fail WHAT [LOG]
fail() {
    failed=$((failed + 1))
    printf '  FAILED: %s\n' "$1"
    [[ -z ${2:-} ]] || sed 's/^/    /' <(tail -n 40 "$2")
}

# Runs a command with its output in a log. check WHAT LOG COMMAND...
check() {
    local what=$1 log=$logs/$2
    shift 2
    if "$@" >"$log" 2>&1; then
        pass
    else
        fail "$what" "$log"
        return 1
    fi
}

# As check, and counts only when it fails: a step on the way to tests.
must() {
    check "$@" && passed=$((passed - 1))
}

# Adds the tests of a JUnit file. A test that ctest did not run has failed; one that pytest skipped
# does not count. Says which failed.
count() {
    local file=$1 runner=$2 result
    result=$(python3 - "$file" "$runner" <<'PYTHON'
import sys
import xml.etree.ElementTree as tree

good, bad = 0, []
for case in tree.parse(sys.argv[1]).iter("testcase"):
    if case.find("failure") is not None or case.find("error") is not None:
        bad.append(case.get("name"))
    elif case.find("skipped") is not None:
        if sys.argv[2] == "ctest":
            bad.append(case.get("name"))
    else:
        good += 1
print(good, len(bad))
print("\n".join(bad))
PYTHON
    ) || {
        fail "$runner left no report"
        return
    }
    local good bad
    read -r good bad <<<"$result"
    passed=$((passed + good))
    failed=$((failed + bad))
    printf '  %d passed, %d failed\n' "$good" "$bad"
    tail -n +2 <<<"$result" | sed '/^$/d; s/^/  FAILED: /'
    found_failures=$bad
}

build() {
    must "cmake --preset $1" "$1-configure.log" cmake --preset "$1" &&
        must "building $1" "$1-build.log" cmake --build --preset "$1"
}

run_ctest() {
    local preset=$1 report=$PWD/$logs/$1-ctest.xml found_failures=0 status
    rm -f "$report"
    ctest --test-dir "build/$preset" --no-tests=error --output-on-failure --timeout 120 -j 2 \
        --output-junit "$report" >"$logs/$preset-ctest.log" 2>&1
    status=$?
    if [[ ! -s $report ]]; then
        fail "ctest in build/$preset" "$logs/$preset-ctest.log"
        return
    fi
    count "$report" ctest
    if [[ $status -ne 0 ]]; then
        tail -n 60 "$logs/$preset-ctest.log" | sed 's/^/    /'
        [[ $found_failures -gt 0 ]] || fail "ctest ended with status $status"
    fi
}

sources() {
    find broker workers gateway clients tests -name '*.[ch]' "$@" | sort
}

part_format() {
    # shellcheck disable=SC2046 # no blanks in our file names
    check 'clang-format-14' format.log clang-format-14 --dry-run -Werror $(sources) \
        $(find workers tests -name '*.[ch]pp' | sort)
}

compile_headers() {
    local flags header status=0
    flags=$(pkg-config --cflags libuv libnats libpq yajl libprotobuf-c) || return
    while read -r header; do
        # shellcheck disable=SC2086 # flags are words
        gcc -std=c11 -fsyntax-only -Wall -Wextra -D_POSIX_C_SOURCE=200809L -I. \
            -isystem build/dev/proto -isystem /usr/share/include/llhttp $flags -include "$header" -x c /dev/null || status=1
    done < <(sources -name '*.h')
    return "$status"
}

part_headers() {
    must 'building the generated headers' headers-build.log \
        bash -c 'cmake --preset dev && cmake --build --preset dev --target proto' &&
        check 'a header does not compile alone' headers.log compile_headers
    check 'includes' includes.log tests/includes.py
}

part_dev() {
    build dev && run_ctest dev
}

part_asan() {
    build asan && run_ctest asan
}

part_fuzz() {
    build fuzz && run_ctest fuzz
}

make_venv() {
    local stamp=build/venv/requirements.txt
    cmp -s tests/requirements.txt "$stamp" && return
    rm -rf build/venv &&
        python3 -m venv build/venv &&
        build/venv/bin/pip install --quiet --disable-pip-version-check -r tests/requirements.txt &&
        cp tests/requirements.txt "$stamp"
}

# run_pytest NAME ARGUMENT...: counts its report.
run_pytest() {
    local name=$1 report=$PWD/$logs/$1.xml found_failures=0 status
    shift
    rm -f "$report"
    build/venv/bin/pytest -q --junitxml "$report" "$@" >"$logs/$name.log" 2>&1
    status=$?
    if [[ ! -s $report ]]; then
        fail 'pytest' "$logs/$name.log"
        return
    fi
    count "$report" pytest
    if [[ $status -ne 0 ]]; then
        tail -n 80 "$logs/$name.log" | sed 's/^/    /'
        [[ $found_failures -gt 0 ]] || fail "pytest ended with status $status"
    fi
}

# What measures has the machine for itself.
part_e2e() {
    local folders=(tests/e2e)
    export HR_PRESET=${HR_PRESET:-asan}
    build "$HR_PRESET" || return
    must 'making the Python environment' venv.log make_venv || return
    ! compgen -G 'tests/chaos/test_*.py' >/dev/null || folders+=(tests/chaos)
    run_pytest e2e -m 'not measures' -n 2 --dist loadfile "${folders[@]}"
    run_pytest e2e-measures -m measures "${folders[@]}"
}

part_nats() {
    export HR_PRESET=${HR_PRESET:-asan}
    build "$HR_PRESET" || return
    must 'making the Python environment' venv.log make_venv || return
    must 'fetching a current nats-server' nats-server.log deploy/local/current-nats.sh || return
    HR_TEST_NATS_SERVER=$(deploy/local/current-nats.sh) run_pytest nats -n 2 --dist loadfile \
        tests/e2e/test_one_winner.py tests/e2e/test_agents_hear.py \
        tests/e2e/test_nats_permissions.py tests/chaos/test_nothing_lost.py
}

part_tsan() {
    build tsan || return
    must 'making the Python environment' venv.log make_venv || return
    HR_PRESET=tsan run_pytest tsan tests/e2e/test_live.py tests/e2e/test_webhooks.py \
        tests/e2e/test_one_winner.py
}

part_rolling() {
    local scale=packet=2,claim=2,chain=2,hitl=2,expiry=2,webhook=2,audit=2,query=2,schema=2
    # Old workers do not know the rules that these two are about.
    local tests=(tests/e2e/test_one_winner.py tests/e2e/test_leases.py tests/chaos/test_nothing_lost.py
        -k 'not changed_only_under_its_claim and not delete_ends_a_lease')
    local folders gateway
    build release || return
    must 'making the Python environment' venv.log make_venv || return
    must 'building the old programs' old-build.log \
        tests/rolling/build-old.sh "${HR_OLD_COMMIT:-1be364e}" build/release/bin || return
    mapfile -t folders < <(tail -n 2 "$logs/old-build.log")
    export HR_PRESET=release
    HR_OLD_BIN=${folders[0]} run_pytest rolling-data tests/rolling/test_old_data.py
    export HR_BIN_DIR=${folders[1]} HR_TEST_SCALE=$scale
    HR_MIX_GATEWAY=new run_pytest rolling-members tests/rolling/test_mixed.py
    for gateway in new old; do
        HR_MIX_GATEWAY=$gateway run_pytest "rolling-$gateway" "${tests[@]}"
    done
    unset HR_BIN_DIR HR_TEST_SCALE
}

# A few files at a time, on every core. clang's own compile commands.
tidy_all() {
    sources -name '*.c' -not -path 'tests/*' |
        xargs -n 8 -P "$(nproc)" clang-tidy-14 --quiet -p build/tsan
}

part_tidy() {
    build tsan && check 'clang-tidy-14' tidy.log tidy_all
}

parts=()
for part in "$@"; do
    case $part in
    -h | --help)
        usage
        exit 0
        ;;
    format | headers | dev | asan | fuzz | e2e | nats | tidy | tsan | rolling) parts+=("$part") ;;
    *)
        printf "tests/run.sh: there is no part '%s'\n" "$part" >&2
        usage >&2
        exit 2
        ;;
    esac
done
[[ ${#parts[@]} -gt 0 ]] || parts=("${all[@]}")

mkdir -p "$logs"
if deploy/local/install.sh; then
    for part in "${parts[@]}"; do
        started=$SECONDS
        printf '%s\n' "$part"
        "part_$part"
        printf '  %d s\n' $((SECONDS - started))
    done
else
    fail 'installing packages'
fi

printf '%d passed, %d failed\n' "$passed" "$failed"
[[ $failed -eq 0 && $passed -gt 0 ]]
