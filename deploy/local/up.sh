#!/usr/bin/env bash
# From a fresh clone to a running rail with one packet handed over, in one command.
set -euo pipefail
cd "$(dirname "$0")/../.."

usage() {
    cat <<'HELP'
Usage: deploy/local/up.sh [--port PORT] [--data-dir FOLDER] [--current-nats]

Installs missing packages (as root), builds the release, starts `handoffrail serve`, hands one
packet from an agent to another with cURL, shows its history, and keeps serving until Ctrl-C.

  --port PORT         where the API listens on this machine (default 8080; 0 for any)
  --data-dir FOLDER   holds everything (default .handoffrail)
  --current-nats      fetch a current nats-server (pinned, hash-checked: nats-server.txt) instead of
                      Debian's 2.9; a folder that it has written needs it from then on
HELP
}

die() {
    printf 'up.sh: %s\n' "$1" >&2
    exit "${2:-1}"
}

port=8080
data_dir=
options=()
current_nats=no
while [[ $# -gt 0 ]]; do
    case $1 in
    --port | --data-dir)
        [[ $# -ge 2 ]] || die "$1 needs a value" 2
        [[ $1 == --port ]] && port=$2 || data_dir=$2
        shift 2
        ;;
    --port=*) port=${1#*=} && shift ;;
    --data-dir=*) data_dir=${1#*=} && shift ;;
    --current-nats) current_nats=yes && shift ;;
    -h | --help)
        usage
        exit 0
        ;;
    *) die "there is no option '$1'; --help lists them" 2 ;;
    esac
done

if [[ -t 1 ]]; then
    bold=$'\033[1m' dim=$'\033[2m' plain=$'\033[0m'
else
    bold='' dim='' plain=''
fi

heading() {
    printf '\n%s%s%s\n' "$bold" "$1" "$plain"
}

# ---- install and build

deploy/local/install.sh run build demo
heading 'Building'
[[ -f build/release/build.ninja ]] || cmake --preset release >/dev/null
NINJA_STATUS='  [%f/%t] ' cmake --build --preset release

if [[ $current_nats == yes ]]; then
    heading 'Fetching nats-server'
    deploy/local/install.sh current-nats
    server=$(deploy/local/current-nats.sh)
    options+=(--nats-server "$server")
fi

# ---- serve

# Root's Postgres runs as another user, who may not enter folders like /root.
if [[ -z $data_dir ]]; then
    data_dir=.handoffrail
    if [[ $(id -u) -eq 0 ]] && ! runuser -u postgres -- test -x "$PWD"; then
        data_dir=/var/lib/handoffrail
        printf 'The user postgres may not enter %s, so the data goes to %s.\n' "$PWD" "$data_dir"
    fi
fi

heading 'Starting'
exec {output}< <(exec build/release/bin/handoffrail serve --port "$port" --data-dir "$data_dir" \
    "${options[@]}")
serve=$!

stop() {
    trap - EXIT INT TERM HUP
    kill -TERM "$serve" 2>/dev/null || true
    wait "$serve" 2>/dev/null || true
    exit "$1"
}
trap 'stop $?' EXIT
trap 'stop 0' INT TERM HUP

ready=
read -r ready <&"$output" || die 'the rail did not start; why stands above'
URL=http://localhost:${ready##*:}
# shellcheck disable=SC2034 # the commands below have it
KEY=${HR_BOOTSTRAP_KEY:-$(cat "$data_dir/admin.key")}

# ---- the example

# shellcheck disable=SC2016 # variables of a command are expanded when it runs
# Shows a command as a person would type it, runs it, and shows the answer. The key in it stays a
# variable, so it does not end up on the screen.
answer=
step() {
    local title=$1 command=$2 status body

    heading "$title"
    printf '%s%s%s\n' "$dim" "$command" "$plain"
    body=$(eval "${command/#curl/curl -sS -w '\\n%{http_code\}'}")
    status=${body##*$'\n'}
    answer=${body%$'\n'*}
    printf '%s\n' "$answer" | jq . || printf '%s\n' "$answer"
    [[ $status == 2* ]] || die "that was answered with status $status"
}

step '1. Agent A creates a packet' 'curl -X POST '"$URL"'/api/v1/packets \
  -H "X-API-Key: $KEY" \
  -H "Content-Type: application/json" \
  -d '"'"'{
    "metadata": {
      "source_agent": {"id": "sales-01", "name": "SalesBot", "framework": "langchain"},
      "target_agent": {"id": "billing-01", "name": "BillingBot"},
      "priority": "high"
    },
    "context": {
      "summary": "Customer wants to upgrade",
      "conversation_state": [
        {"role": "user", "content": "I want to upgrade"},
        {"role": "agent", "content": "Let me hand you to billing."}
      ]
    },
    "decisions": [],
    "actions": {
      "pending": [{"id": "a1", "description": "Process upgrade", "assignee": "billing-01"}],
      "completed": [],
      "failed": []
    }
  }'"'"
id=$(jq -r .id <<<"$answer")

step '2. Agent B claims it' 'curl -X POST '"$URL/api/v1/packets/$id"'/claim \
  -H "X-API-Key: $KEY" \
  -d '"'"'{"agent_id": "billing-01", "agent_name": "BillingBot"}'"'"

for status in in_progress completed; do
    step "$([[ $status == completed ]] && echo '4. ... and completes it' || echo '3. Agent B works on it ...')" \
        'curl -X PATCH '"$URL/api/v1/packets/$id"' \
  -H "X-API-Key: $KEY" \
  -H "Content-Type: application/json" \
  -d '"'"'{"status": "'"$status"'"}'"'"
done

step '5. What happened, from the audit log' 'curl '"$URL/api/v1/packets/$id"'/history \
  -H "X-API-Key: $KEY"'

heading 'The rail is running'
cat <<END
  API        $URL/api/v1   (X-API-Key: the line in $data_dir/admin.key)
  NATS       the URL in $data_dir/agent.nats
  processes  $data_dir/run/children.json
  stop       Ctrl-C
END
wait "$serve"
