#!/usr/bin/env bash
# Two nodes that nobody can call ask each other through a relay; one of them, both, or the relay die by SIGKILL, over and
# over, or the store of one is spoilt and taken away. Both must be answered again within ten seconds, and
# in the end nothing was counted twice, and with stores nothing that was promised to be kept was lost.
#
# Proves SES-2, SES-3, SES-4, SES-6, REL-1, REL-4, REL-6 and B-1 over relays.
# Limit: 600 seconds
set -uo pipefail

cargo build --release --locked -j2 -p egtp-sim --example relay_storm || exit 1
storm="${CARGO_TARGET_DIR:-target}/release/examples/relay_storm"

failed=0
echo "== nothing is remembered"
"$storm" --rounds 20 || failed=1
echo "== both have a store"
"$storm" --rounds 20 --memory durable || failed=1
exit "$failed"
