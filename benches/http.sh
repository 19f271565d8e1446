#!/usr/bin/env bash
# What the layer costs over HTTP: requests per second of one axum server, bare and behind the layer, under the load of wrk.
#
# The server has one core and wrk the other. Both take turns within each round, and a ratio is taken within its round, so that whatever
# else the machine does falls on each alike. A ratio says something only if the server is the bottleneck, so it fails if a server was
# idle for more than a tenth of its time. *CPU per request* leaves out the time in which another program had the core.
#
# On a machine of two cores the load takes one, so this cannot show how the layer scales; `scaling()` in benches/layer.rs does.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=${ROUNDS:-5} seconds=${SECONDS_EACH:-3} connections=${CONNECTIONS:-64} port=${PORT:-18080}
many=10000

command -v wrk >/dev/null || { apt-get update -q && apt-get install -qy wrk; } >/dev/null
program=$(cargo bench --locked --quiet -p benches --bench http --no-run --message-format=json |
  sed -n 's/.*"executable":"\([^"]*\/http-[0-9a-f]*\)".*/\1/p' | tail -1)

# before other programs, where that is allowed: the servers and wrk inherit it
renice -n -20 -p $$ >/dev/null 2>&1 || true

dir=$(mktemp -d)
declare -A pid=() url=() token=()
stop() {
  [ ${#pid[@]} -eq 0 ] || kill "${pid[@]}" 2>/dev/null || true
  rm -rf "$dir"
}
trap stop EXIT

fail() { echo "$*" >&2 && exit 1; }

status() { curl -s -o /dev/null -w '%{http_code}' "$@" || true; }

serve() { # server, tokens, mode, algorithm, perhaps the cache's bytes
  local server=$1 count=$2
  shift 2
  url[$server]=http://127.0.0.1:$((port + ${#pid[@]}))/
  status "${url[$server]}" | grep -q 000 || fail "${url[$server]} is taken"
  taskset -c 0 "$program" "127.0.0.1:$((port + ${#pid[@]}))" 1 "$count" "$dir/$server" "$@" &
  pid[$server]=$!
  until [ "$(status "${url[$server]}")" != 000 ]; do
    kill -0 "${pid[$server]}" 2>/dev/null || fail "the server $server has ended"
    sleep 0.1
  done
  token[$server]=$(head -1 "$dir/$server")
  local expected=401
  [ "$1" = guarded ] || expected=200
  [ "$(status "${url[$server]}")" = "$expected" ] || fail "$server: not $expected without a token"
  [ "$(status -H "Authorization: Bearer ${token[$server]}" "${url[$server]}")" = 200 ] || fail "$server: not 200 with a token"
}

# each request is made once, before the clock runs; sending one costs wrk alike for every server
cat >"$dir/many.lua" <<'LUA'
local requests, count, next = {}, 0, 0
function init()
  for token in io.lines(os.getenv("TOKENS")) do
    count = count + 1
    requests[count] = wrk.format("GET", nil, { Authorization = "Bearer " .. token })
  end
end
function request()
  next = next % count + 1
  return requests[next]
end
LUA

spent() { # server -> nanoseconds that its threads have run, and those that they have waited for the core
  cat /proc/"${pid[$1]}"/task/*/schedstat | awk '{ ran += $1; waited += $2 } END { printf "%.0f %.0f\n", ran, waited }'
}

load() { # server, hot or many, seconds -> requests per second, µs of CPU per request, % of the time that the server ran or wanted to
  local server=$1 load=(-H "Authorization: Bearer ${token[$1]}") before after out
  [ "$2" = hot ] || load=(-s "$dir/many.lua")
  before="$(date +%s%N) $(spent "$server")"
  out=$(TOKENS=$dir/$server taskset -c 1 wrk -t1 -c"$connections" -d"$3s" "${load[@]}" "${url[$server]}")
  after="$(date +%s%N) $(spent "$server")"
  if grep -E 'Non-2xx|Socket errors' <<<"$out" >&2; then fail "$server: not all is well"; fi
  awk -v before="$before" -v after="$after" '
    / requests in / { requests = $1 }
    /^Requests\/sec/ { rate = $2 }
    END {
      split(before, b); split(after, a); ran = a[2] - b[2]; waited = a[3] - b[3]
      printf "%.0f %.3f %.1f\n", rate, ran / 1000 / requests, 100 * (ran + waited) / (a[1] - b[1])
    }' <<<"$out"
}

serve bare "$many" bare ES256
serve bare-rs 1 bare RS256
serve insert 1 insert ES256
serve guarded "$many" guarded ES256
serve roomy "$many" guarded ES256 $((128 * 1024 * 1024))
serve cold "$many" guarded ES256 0
serve cold-rs 1 guarded RS256 0

cases=( # server, load, the case that it is compared with, name
  "bare hot 0 one token, bare"
  "insert hot 0 one token, only an extension inserted"
  "guarded hot 0 one token, guarded"
  "cold hot 0 one token, no cache, ES256"
  "bare-rs hot 4 one token, bare, RS256"
  "cold-rs hot 4 one token, no cache, RS256"
  "bare many 6 $many tokens, bare"
  "roomy many 6 $many tokens, guarded, cache of 128 MiB"
  "guarded many 6 $many tokens, guarded, default cache (16 MiB)"
  "cold many 6 $many tokens, no cache"
)

for case in "${cases[@]}"; do # the caches fill: verifying every token takes about a second
  read -r server load _ <<<"$case"
  load "$server" "$load" 4 >/dev/null
done
for ((round = 0; round < rounds; round++)); do
  for n in "${!cases[@]}"; do
    read -r server load base name <<<"${cases[n]}"
    figures=$(load "$server" "$load" "$seconds")
    echo "$round $n $base $figures $name" >>"$dir/figures"
  done
done

awk '
  function median(what, n,   sorted, i, j, t) {
    for (i = 0; i < rounds; i++) {
      t = value[what, n, i]
      for (j = i; j > 0 && sorted[j - 1] > t; j--) sorted[j] = sorted[j - 1]
      sorted[j] = t
    }
    low = sorted[0]; high = sorted[rounds - 1]
    return (sorted[int((rounds - 1) / 2)] + sorted[int(rounds / 2)]) / 2
  }
  {
    round = $1; n = $2; base = $3; rounds = round + 1; if (n >= cases) cases = n + 1
    value["rate", n, round] = $4; value["cpu", n, round] = $5; value["busy", n, round] = $6
    value["ratio", n, round] = $4 / value["rate", base, round]
    value["cpuratio", n, round] = value["cpu", base, round] / $5
    $1 = $2 = $3 = $4 = $5 = $6 = ""; sub(/^ */, ""); name[n] = $0
  }
  END {
    print "| case | requests/s | min–max | ratio to bare | min–max | CPU per request | ratio to bare by CPU | server busy |"
    print "|---|---|---|---|---|---|---|---|"
    for (n = 0; n < cases; n++) {
      rate = median("rate", n); range = sprintf("%.0f–%.0f", low, high)
      ratio = median("ratio", n); ratios = sprintf("%.3f–%.3f", low, high)
      busy = median("busy", n); if (busy < 90) idle = 1
      printf "| %s | %.0f | %s | **%.3f** | %s | %.1f µs | %.3f | %.0f %% |\n",
        name[n], rate, range, ratio, ratios, median("cpu", n), median("cpuratio", n), busy
    }
    if (idle) { print "a server was idle: more CONNECTIONS, or a quieter machine" > "/dev/stderr"; exit 1 }
  }' "$dir/figures"
