#!/usr/bin/env bash
# Instructions of a call, axum's and the counting allocator's among them, but not those of the signature, counted by callgrind: unlike times, these do not
# depend on how busy the machine is. Compares with benches/instructions.txt and fails if a count is more than 3 % off, above or below, so that the file stays
# true; `benches/instructions.sh --write` takes the counts over.
#
# They do depend on the compiler, the C library and the processor, whose vector instructions libraries choose by. Where these are not those of the file, it
# only reports.
set -euo pipefail
cd "$(dirname "$0")/.."

cases=("ES256 cached" "EdDSA cold" "no token" "garbage" "unknown issuer" "expired" "wrong audience" "unknown kid")
calls=2000
file=benches/instructions.txt

command -v valgrind >/dev/null || { apt-get update -q && apt-get install -qy valgrind; } >/dev/null
program=$(cargo bench --locked --quiet -p benches --bench layer --no-run --message-format=json |
  sed -n 's/.*"executable":"\([^"]*\/layer-[0-9a-f]*\)".*/\1/p' | tail -1)

count() { # case -> instructions per call, without those below the signature's verification
  valgrind --tool=callgrind --toggle-collect='*harness::calling*closure*' --callgrind-out-file=target/callgrind.out \
    "$program" count "$1" "$calls" >/dev/null 2>&1
  callgrind_annotate --inclusive=yes --threshold=100 target/callgrind.out 2>/dev/null | awk -v calls="$calls" '
    { gsub(/,/, "", $1) }
    /PROGRAM TOTALS/ { total = $1 }
    /crypto::backend::Key::verify|parsed_verify_sig/ && !seen { signature = $1; seen = 1 }
    END { printf "%d\n", (total - signature) / calls }'
}

processor=$(awk -F': ' '/^(vendor_id|cpu family|model)[ \t]*:/ { printf "%s ", $2; if (++n == 3) exit }' /proc/cpuinfo)
conditions="$(rustc --version), $(ldd --version | sed -n 1p), $processor"
if [ "${1-}" = --write ]; then
  printf '%s\n' "$conditions" >"$file"
elif [ "$conditions" != "$(head -1 "$file")" ]; then
  echo "counted with $(head -1 "$file"); this is $conditions: only for information"
  only_report=1
fi
status=0
for case in "${cases[@]}"; do
  now=$(count "$case")
  ((now > 0)) || { echo "nothing was counted for $case" && exit 1; }
  if [ "${1-}" = --write ]; then
    printf '%s\t%s\n' "$case" "$now" | tee -a "$file"
    continue
  fi
  before=$(awk -F'\t' -v case="$case" '$1 == case { print $2 }' "$file")
  printf '%-16s %6s before, %6s now\n' "$case" "$before" "$now"
  if ((now * 100 > before * 103 || now * 100 < before * 97)) && [ -z "${only_report-}" ]; then
    status=1 && echo "  more than 3 % off"
  fi
done
exit "$status"
