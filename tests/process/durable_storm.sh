#!/usr/bin/env bash
# An asker and a server with disks die by SIGKILL again and again, one, the other or both, at random
# moments, also while they start; afterwards what the asker was promised and told is held against what
# was counted.
#
# Proves RTY-2, LNG-1, LNG-2 and LNG-3.
# Limit: 600 seconds
set -uo pipefail

target="${CARGO_TARGET_DIR:-target}"
cargo build --release --locked -j2 -p egtp-sim --example durable_storm || exit 1
"$target/release/examples/durable_storm" --rounds 150
