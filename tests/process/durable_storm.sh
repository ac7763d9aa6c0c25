#!/usr/bin/env bash
# An asker and a server with disks die by SIGKILL again and again, one, the other or both, at random
# moments, also while they start; afterwards what the asker was promised and told is held against what
# was counted. Where the server counts inside its store, no request may end as unknown. A server that
# counts beside its store and wants to be given requests again must be caught at counting them twice.
#
# Proves RTY-2, LNG-1, LNG-2 and LNG-3.
# Limit: 600 seconds
set -uo pipefail

target="${CARGO_TARGET_DIR:-target}"
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cargo build --release --locked -j2 -p egtp-sim --example durable_storm || exit 1
storm="$target/release/examples/durable_storm"

failed=0
echo "== counted by an ordinary handler"
"$storm" --rounds 75 || failed=1
echo "== counted inside the store's transaction"
"$storm" --rounds 75 --counts ledger || failed=1
echo "== counted beside the store, must be exit 1"
"$storm" --rounds 15 --counts beside | tee "$work/beside"
[ "${PIPESTATUS[0]}" -eq 1 ] && grep -q 'BROKEN no request is counted twice' "$work/beside" || failed=1
exit "$failed"
