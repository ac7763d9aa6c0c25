#!/usr/bin/env bash
# One gibibyte moves as a group of 2 MiB messages while requests of 100 bytes go one after another on the same
# session. Three times; of the three ratios between the 99th percentile of their latency then and on the idle
# session, the one in the middle is at most 3.
#
# Proves GRP-1 and SIZ-1.
# Limit: 240 seconds
set -uo pipefail
readonly RUNS=3 MIB=1024 RATIO_MAX=3

cargo build --release -p egtp --example transfer --locked -j2 || exit 1
program="${CARGO_TARGET_DIR:-target}/release/examples/transfer"
ratios=()
for run in $(seq "$RUNS"); do
    told=$("$program" --mib "$MIB" 2>/dev/null) || { echo "$told"; exit 1; }
    printf '%s\n' "run $run" "$told"
    ratios+=("$(sed -n 's/.*ratio .* p99 \([0-9.]*\).*/\1/p' <<<"$told")")
done
middle=$(printf '%s\n' "${ratios[@]}" | sort -n | sed -n "$(((RUNS + 1) / 2))p")
echo "p99 beside the transfer: ${ratios[*]} times that of the idle session, $middle in the middle (at most $RATIO_MAX)"
awk -v middle="$middle" -v max="$RATIO_MAX" 'BEGIN { exit !(middle > 0 && middle <= max) }'
