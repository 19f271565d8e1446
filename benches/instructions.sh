#!/usr/bin/env bash
# Instructions per call of what the layer does itself, without the signature, counted by callgrind: these do not depend on how busy the
# machine is. `benches/instructions.sh` compares with benches/instructions.txt and fails if a count has grown by more than 3 %;
# `benches/instructions.sh --write` takes the counts over.
set -euo pipefail
cd "$(dirname "$0")/.."

cases=("ES256 cached" "EdDSA cold" "no token" "garbage" "unknown issuer" "expired" "wrong audience" "unknown kid")
calls=2000

command -v valgrind >/dev/null || { apt-get update -q && apt-get install -qy valgrind; } >/dev/null
program=$(cargo bench --locked --quiet --bench layer --no-run --message-format=json |
  sed -n 's/.*"executable":"\([^"]*\/layer-[0-9a-f]*\)".*/\1/p' | tail -1)

count() { # case -> instructions per call, without those below the signature's verification
  valgrind --tool=callgrind --toggle-collect='*layer::calling*closure*' --callgrind-out-file=target/callgrind.out \
    "$program" count "$1" "$calls" >/dev/null 2>&1
  callgrind_annotate --inclusive=yes --threshold=100 target/callgrind.out 2>/dev/null | awk -v calls="$calls" '
    { gsub(/,/, "", $1) }
    /PROGRAM TOTALS/ { total = $1 }
    /crypto::backend::Key::verify/ && !seen { signature = $1; seen = 1 }
    END { printf "%d\n", (total - signature) / calls }'
}

file=benches/instructions.txt
[ "${1-}" = --write ] && : >"$file"
status=0
for case in "${cases[@]}"; do
  now=$(count "$case")
  if [ "${1-}" = --write ]; then
    printf '%s\t%s\n' "$case" "$now" | tee -a "$file"
    continue
  fi
  before=$(awk -F'\t' -v case="$case" '$1 == case { print $2 }' "$file")
  printf '%-16s %6s before, %6s now\n' "$case" "$before" "$now"
  if ((now * 100 > before * 103)); then status=1 && echo "  more than 3 % above"; fi
done
exit "$status"
