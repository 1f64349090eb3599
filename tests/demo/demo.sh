#!/usr/bin/env bash
# `make demo`: starts Refgate with a new data directory and a small HTTP origin, walks one
# service from test to production and back, and stays so that you can go on by yourself.
# Every command is shown as it is run, with what came back, and is checked.
#
#   REFGATE_DEMO_PORTS   control plane, test, uat, production ("7080 9080 9081 9082"; 0 = a free one)
#   REFGATE_DEMO_DIR     data directory to use and keep (a temporary one, removed at the end)
#   REFGATE_BIN_DIR      where refgate and refgate-origin are (they are built)
#   DEMO_EXIT=1, CI=true end after the story
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if [[ -t 1 ]]; then bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' off=$'\e[0m'; else bold='' dim='' red='' off=''; fi
say() { printf '%s\n' "$*"; }
die() {
  printf '%sdemo: %s%s\n' "$red" "$*" "$off" >&2
  exit 1
}

ports_default="7080 9080 9081 9082"
read -r -a ports <<<"${REFGATE_DEMO_PORTS:-$ports_default}"
((${#ports[@]} == 4)) || die "REFGATE_DEMO_PORTS takes four ports, such as \"$ports_default\""
for port in "${ports[@]}"; do
  [[ $port =~ ^[0-9]+$ ]] && ((port <= 65535)) || die "REFGATE_DEMO_PORTS: $port is not a port"
  if ((port > 0)) && (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
    die "port $port is taken by another program. Choose others:
      REFGATE_DEMO_PORTS=\"7180 9180 9181 9182\" make demo"
  fi
done

# --- programs -----------------------------------------------------------------------------
if [[ -n ${REFGATE_BIN_DIR:-} ]]; then
  bin=$REFGATE_BIN_DIR
else
  # The dev profile: it compiles in a fraction of the time, and nothing here is about speed.
  cargo build --workspace --bins
  target=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
  bin=$target/debug
fi
for program in refgate refgate-origin; do
  [[ -x $bin/$program ]] || die "there is no $bin/$program"
done
PATH=$bin:$PATH
# Nothing here is meant for a proxy.
export NO_PROXY=localhost,127.0.0.1 no_proxy=localhost,127.0.0.1

# --- processes ----------------------------------------------------------------------------
work=$(mktemp -d "${TMPDIR:-/tmp}/refgate-demo.XXXXXX")
data=${REFGATE_DEMO_DIR:-$work/refgate-data}
started=()
# shellcheck disable=SC2329 # called by the trap
end() {
  local pid
  for pid in ${started[@]+"${started[@]}"}; do
    kill "$pid" 2>/dev/null || true
  done
  for pid in ${started[@]+"${started[@]}"}; do
    wait "$pid" 2>/dev/null || true
  done
  rm -rf "$work"
}
trap end EXIT
trap 'say; exit 0' INT TERM

if [[ -e $data ]] && [[ -n $(ls -A "$data") ]]; then
  die "$data is not empty; the story needs a new directory"
fi

# start NAME COMMAND…: its output goes to a file, its process id to $pid.
start() {
  local name=$1
  shift
  "$@" >"$work/$name.out" 2>"$work/$name.err" </dev/null &
  pid=$!
  started+=("$pid")
}

# line NAME PID PREFIX: waits until the program prints such a line; the rest of it.
line() {
  local try rest
  for ((try = 0; try < 600; try++)); do
    rest=$(sed -n "s|^$3||p" "$work/$1.out" | head -n 1)
    if [[ -n $rest ]]; then
      printf '%s' "$rest"
      return
    fi
    kill -0 "$2" 2>/dev/null || break
    sleep 0.1
  done
  die "$1 did not start: $(cat "$work/$1.out" "$work/$1.err")"
}

# --- showing and checking -----------------------------------------------------------------
step() { printf '\n%s%s%s\n' "$bold" "$*" "$off"; }

quoted() {
  local word line=''
  for word in "$@"; do
    [[ $word =~ ^[A-Za-z0-9_./:=,@%+-]+$ ]] || word="'$word'"
    line+="${line:+ }$word"
  done
  printf '%s' "$line"
}

# run COMMAND…: shows it, runs it, shows what came back; expects success.
run() { run_expecting 0 "$@"; }

# run_expecting CODE COMMAND…
run_expecting() {
  local expected=$1 code=0
  shift
  printf '\n%s$ %s%s\n' "$bold" "$(quoted "$@")" "$off"
  output=$("$@" 2>&1 </dev/null) || code=$?
  output=${output//$'\r'/}
  printf '%s\n' "$output" | sed 's/^/  /'
  ((code == expected)) || die "that ended with exit code $code instead of $expected"
}

# expect TEXT…: what came back contains it.
expect() {
  local text
  for text in "$@"; do
    [[ $output == *"$text"* ]] || die "'$text' was expected in what came back"
  done
}

expect_not() {
  [[ $output != *"$1"* ]] || die "'$1' was not expected in what came back"
}

note() { printf '  %s# %s%s\n' "$dim" "$*" "$off"; }

# --- start --------------------------------------------------------------------------------
start refgate-origin refgate-origin --listen 127.0.0.1:0
origin=$(line refgate-origin "$pid" 'refgate-origin: http://')

step "Refgate with a new data directory, three groups, a gateway for each"
up=(refgate up --data-dir "$data" --listen "127.0.0.1:${ports[0]}"
  --gateway "test=127.0.0.1:${ports[1]}"
  --gateway "uat=127.0.0.1:${ports[2]}"
  --gateway "production=127.0.0.1:${ports[3]}")
printf '\n%s$ %s &%s\n' "$bold" "$(quoted "${up[@]}")" "$off"
start refgate "${up[@]}"
refgate=$pid
server=$(line refgate "$refgate" 'refgate: control plane ')
test=$(line refgate "$refgate" 'refgate: gateway test ')
uat=$(line refgate "$refgate" 'refgate: gateway uat ')
production=$(line refgate "$refgate" 'refgate: gateway production ')
sed 's/^/  /' "$work/refgate.out"
token=$(<"$data/admin-token")
export REFGATE_SERVER=$server REFGATE_TOKEN=$token
test=${test/127.0.0.1/localhost} uat=${uat/127.0.0.1/localhost} production=${production/127.0.0.1/localhost}

# --- the story ----------------------------------------------------------------------------
step "1. A service in test"
run refgate service create -g test httpbin --route get-headers --path /headers --method GET \
  --host test.acme.com --node "$origin" --pass-host node --wait 30
run curl -si "$test/headers" -H 'Host: test.acme.com'
expect 'HTTP/1.1 200' '"Host"'
run refgate service list
expect httpbin 'No Version'

step "2. Promote it to uat: from now on this content is version 1.0.0"
run refgate sync httpbin --from test --to uat --version 1.0.0
expect 1.0.0
run refgate service list -g uat
expect httpbin 1.0.0 no
note "not live: hosts and nodes belong to a group, and nobody gave uat any yet"
run refgate runtime set -g uat httpbin --host uat.acme.com --node "$origin" --pass-host node --wait 30
run curl -si "$uat/headers" -H 'Host: uat.acme.com'
expect 'HTTP/1.1 200'

step "3. Promote it to production"
run refgate sync httpbin --from uat --to production
expect 1.0.0
run refgate runtime set -g production httpbin --host acme.com --node "$origin" --pass-host node --wait 30
run curl -si "$production/headers" -H 'Host: acme.com'
expect 'HTTP/1.1 200'

step "4. A second route, in test"
run refgate route put -g test httpbin get --path /get --method GET --wait 30
run curl -si "$test/get" -H 'Host: test.acme.com'
expect 'HTTP/1.1 200'
note "production accepts only what has run in uat:"
run_expecting 3 refgate sync httpbin --from test --to production --version 1.1.0
expect uat

step "5. 1.1.0 goes up"
run refgate sync httpbin --from test --to uat --version 1.1.0 --wait 30
run refgate sync httpbin --from uat --to production --wait 30
run curl -si "$production/get" -H 'Host: acme.com'
expect 'HTTP/1.1 200'
run refgate status
expect httpbin 1.1.0

step "6. Roll production back"
run refgate rollback httpbin -g production --to 1.0.0 --reason 'orders fail since 1.1.0' --wait 30
run curl -si "$production/get" -H 'Host: acme.com'
expect 'HTTP/1.1 404' route_not_found
run curl -si "$production/headers" -H 'Host: acme.com'
expect 'HTTP/1.1 200'
note "the hosts and nodes of production were never touched"
run refgate history -g production
expect httpbin

step "7. All of it is git"
repository=$data/config.git
run git --git-dir "$repository" log --format=medium production
expect 'Refgate-Event: version.rolled-back' 'Refgate-Reason: orders fail since 1.1.0' '(cherry picked from commit '
run git --git-dir "$repository" tag -l
expect httpbin/1.0.0 httpbin/1.1.0
run git --git-dir "$repository" fsck --strict --no-dangling --no-progress
expect_not error
note "clean"

kill -0 "$refgate" 2>/dev/null || die "refgate has ended: $(cat "$work/refgate.err")"
step "The story is over: every command did what it should."
[[ ${CI:-} == true || ${DEMO_EXIT:-} == 1 ]] && exit 0

cat <<EOF

Refgate keeps running until Ctrl-C. In another terminal:

  export REFGATE_SERVER=$server
  export REFGATE_TOKEN=$token
  $bin/refgate status

  control plane   $server
  test            $test   curl $test/headers -H 'Host: test.acme.com'
  uat             $uat   curl $uat/headers -H 'Host: uat.acme.com'
  production      $production   curl $production/headers -H 'Host: acme.com'
  origin          http://$origin
  repository      $repository
EOF
[[ -n ${REFGATE_DEMO_DIR:-} ]] || say "
The data directory is temporary and goes away with the demo; REFGATE_DEMO_DIR=… keeps one."
code=0
wait "$refgate" || code=$?
die "refgate ended by itself (exit code $code): $(cat "$work/refgate.err")"
