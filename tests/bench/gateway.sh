#!/usr/bin/env bash
# `make bench`: what one proxied request costs, Refgate's gateway beside an empty Pingora
# proxy and nginx, measured in one run on one machine.
#
# Each gateway is alone on the first core; wrk and the upstream (an nginx that answers a
# few bytes) share the second. The figure that counts is the gateway's CPU time per
# request, from /proc/PID/stat before and after: it hardly depends on what else the machine
# does, while requests per second do. The three take turns, every turn is printed, the
# medians come last. Linux only. Everything listens on 127.0.0.1 and is ended by its id.
#
#   REFGATE_BENCH_SECONDS   length of one turn (10)
#   REFGATE_BENCH_ROUNDS    turns of each gateway (3)
#   REFGATE_BENCH_ROUTES    routes the gateway has to choose from (1)
#   REFGATE_BENCH_PROFILE   cargo profile of what is measured (dist)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

seconds=${REFGATE_BENCH_SECONDS:-10}
rounds=${REFGATE_BENCH_ROUNDS:-3}
routes=${REFGATE_BENCH_ROUTES:-1}
profile=${REFGATE_BENCH_PROFILE:-dist}
connections=50
host=bench.example.com
token=rgt_of_the_benchmark

say() { printf '%s\n' "$*"; }
die() { printf 'bench: %s\n' "$*" >&2; exit 1; }

[[ $(uname -s) == Linux ]] || die "needs Linux (taskset, /proc)"
(($(nproc) >= 2)) || die "needs two cores"

# --- what is needed -----------------------------------------------------------------------
missing=()
for tool in nginx wrk; do
  command -v "$tool" >/dev/null || missing+=("$tool")
done
command -v taskset >/dev/null || missing+=(util-linux)
if ((${#missing[@]})); then
  command -v apt-get >/dev/null || die "install ${missing[*]} and run this again"
  as_root() { "$@"; }
  [[ $(id -u) == 0 ]] || as_root() { sudo "$@"; }
  say "installing ${missing[*]}"
  # The package would start nginx as a service on port 80: not wanted here.
  as_root apt-get update -q >/dev/null || say "apt-get update failed; trying with the package lists as they are"
  as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
    apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null \
    || die "could not install ${missing[*]}"
fi

cargo build --profile "$profile" -p refgate -p refgate-tests --bin refgate --example empty-proxy
target=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
[[ $profile == dev ]] && built=$target/debug || built=$target/$profile

# --- processes ----------------------------------------------------------------------------
work=$(mktemp -d)
started=()
cleanup() {
  local pid
  for pid in ${started[@]+"${started[@]}"}; do
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# start NAME CORE COMMAND…: the process id is in $pid, its output in $work/NAME.log.
start() {
  local name=$1 core=$2
  shift 2
  taskset -c "$core" "$@" >"$work/$name.log" 2>&1 </dev/null &
  pid=$!
  started+=("$pid")
}

# answers URL NAME: waits until it does.
answers() {
  local try
  for ((try = 0; try < 300; try++)); do
    curl -fsS -o /dev/null -H "Host: $host" "$1" 2>/dev/null && return
    sleep 0.1
  done
  die "$2 does not answer $1: $(tail -n 20 "$work/$2.log")"
}

# line NAME PREFIX: waits for a line of output, prints the rest of it.
line() {
  local try rest
  for ((try = 0; try < 300; try++)); do
    rest=$(sed -n "s|^$2||p" "$work/$1.log" | head -n 1)
    if [[ -n $rest ]]; then
      say "$rest"
      return
    fi
    sleep 0.1
  done
  die "$1 did not say '$2': $(tail -n 20 "$work/$1.log")"
}

free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 20000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
  done
  say "$port"
}

# nginx_conf NAME PORT SERVER…: an nginx of one worker with this server block.
nginx_conf() {
  local name=$1 port=$2 body=$3
  mkdir -p "$work/$name"
  cat >"$work/$name/nginx.conf" <<CONF
daemon off;
worker_processes 1;
pid $work/$name/nginx.pid;
error_log $work/$name/error.log;
events { worker_connections 1024; }
http {
  access_log off;
  keepalive_requests 1000000;
  client_body_temp_path $work/$name;
  proxy_temp_path $work/$name;
  fastcgi_temp_path $work/$name;
  uwsgi_temp_path $work/$name;
  scgi_temp_path $work/$name;
  upstream origin { server 127.0.0.1:$upstream; keepalive 128; keepalive_requests 1000000; }
  server { listen 127.0.0.1:$port; $body }
}
CONF
}

upstream=$(free_port)
nginx_conf upstream "$upstream" 'location / { return 200 "ok\n"; }'
start upstream 1 nginx -c "$work/upstream/nginx.conf" -p "$work/upstream"
answers "http://127.0.0.1:$upstream/" upstream

# --- the three gateways -------------------------------------------------------------------
names=(empty-pingora nginx refgate)
declare -A url process

port=$(free_port)
start empty-pingora 0 "$built/examples/empty-proxy" "127.0.0.1:$port" "127.0.0.1:$upstream"
url[empty-pingora]=http://127.0.0.1:$port process[empty-pingora]=$pid

port=$(free_port)
nginx_conf nginx "$port" 'location / {
  proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
  proxy_set_header Host $proxy_host; proxy_set_header X-Forwarded-For $remote_addr;
  proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $host; }'
start nginx 0 nginx -c "$work/nginx/nginx.conf" -p "$work/nginx"
url[nginx]=http://127.0.0.1:$port process[nginx]=$pid

# Refgate: the control plane writes the configuration, then only a gateway reads it.
REFGATE_ADMIN_TOKEN=$token start control 0 "$built/refgate" up --data-dir "$work/data" \
  --listen 127.0.0.1:0 --gateway test=127.0.0.1:0
control=$(line control 'refgate: control plane ')
awk -v routes="$routes" -v host="$host" -v port="$upstream" 'BEGIN {
  printf "{\"routes\": {\"root\": {\"paths\": [\"/\"]}"
  for (n = 1; n < routes; n++) printf ", \"r%d\": {\"paths\": [\"/r%d/{id}\"]}", n, n
  printf "}, \"runtime\": {\"hosts\": [\"%s\"], \"upstreams\": {\"default\": ", host
  printf "{\"nodes\": [{\"host\": \"127.0.0.1\", \"port\": %d}], \"pass_host\": \"node\"}}}}\n", port
}' >"$work/service.json"
curl -fsS -o /dev/null -X PUT -H "Authorization: Bearer $token" -H 'Content-Type: application/json' \
  --data-binary "@$work/service.json" "$control/v1/groups/test/services/bench" \
  || die "the control plane refused the configuration"
kill "$pid" && wait "$pid" || true
start refgate 0 "$built/refgate" gateway --group test --source "$work/data/config.git" \
  --listen 127.0.0.1:0 --status-listen 127.0.0.1:0
process[refgate]=$pid
url[refgate]=$(line refgate 'refgate: gateway test ')

for name in "${names[@]}"; do
  answers "${url[$name]}/" "$name"
done

# --- the turns ----------------------------------------------------------------------------
ticks=$(getconf CLK_TCK)
# CPU ticks of a process and its children (nginx works in one).
cpu() {
  local pids=("$1") each sum=0
  read -r -a children <"/proc/$1/task/$1/children" || true
  pids+=(${children[@]+"${children[@]}"})
  for each in "${pids[@]}"; do
    sum=$((sum + $(sed 's/.*) //' "/proc/$each/stat" | awk '{ print $12 + $13 }')))
  done
  echo "$sum"
}

# turn NAME SECONDS: sets requests, rps, micros (CPU per request) and p99.
turn() {
  local name=$1 before after out
  before=$(cpu "${process[$name]}")
  out=$(taskset -c 1 wrk -t1 -c"$connections" -d"${2}s" --latency -H "Host: $host" "${url[$name]}/")
  after=$(cpu "${process[$name]}")
  ! grep -qE 'Non-2xx|Socket errors' <<<"$out" || die "$name: requests failed: $out"
  requests=$(awk '/requests in/ { print $1 }' <<<"$out")
  rps=$(awk '/Requests\/sec/ { printf "%.0f", $2 }' <<<"$out")
  p99=$(awk '$1 == "99%" { print $2 }' <<<"$out")
  ((requests > 0)) || die "$name answered nothing"
  micros=$(awk -v t=$((after - before)) -v hz="$ticks" -v n="$requests" \
    'BEGIN { printf "%.1f", t * 1e6 / hz / n }')
}

say "machine: $(nproc) cores, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)"
say "$(nginx -v 2>&1), $rounds turns of $seconds s, $connections connections, $routes route(s), profile $profile"
for name in "${names[@]}"; do
  turn "$name" 2 # warm: connections, allocator, caches
done
for ((round = 1; round <= rounds; round++)); do
  for name in "${names[@]}"; do
    turn "$name" "$seconds"
    printf 'turn %d  %-14s %8d requests/s  %6.1f µs CPU/request  p99 %s\n' \
      "$round" "$name" "$rps" "$micros" "$p99"
    echo "$micros $rps" >>"$work/$name.figures"
  done
done

median() { sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
declare -A cost
for name in "${names[@]}"; do
  cost[$name]=$(cut -d' ' -f1 "$work/$name.figures" | median)
  printf 'median  %-14s %8.0f requests/s  %6.1f µs CPU/request\n' \
    "$name" "$(cut -d' ' -f2 "$work/$name.figures" | median)" "${cost[$name]}"
done
for peer in empty-pingora nginx; do
  awk -v a="${cost[refgate]}" -v b="${cost[$peer]}" -v peer="$peer" \
    'BEGIN { printf "ratio   refgate / %-13s %.2f\n", peer, a / b }'
done
