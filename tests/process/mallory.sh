#!/usr/bin/env bash
# Somebody in the middle who has recorded everything replays, flips, truncates, splices, reflects and
# forges, more than 1,000 packets of each kind, while payments go on; each is counted once.
#
# Proves MSG-6, MSG-9, RTY-3, SES-10, SES-15, B-6, B-8, B-31 and SCENARIO-7.
# Limit: 300 seconds
set -uo pipefail

cargo build --release --locked -j2 -p egtp-sim --example mallory || exit 1
"${CARGO_TARGET_DIR:-target}/release/examples/mallory"
