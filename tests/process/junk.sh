#!/usr/bin/env bash
# Six kinds of junk reach a node over real connections: what it answers, and that it keeps nothing.
#
# Proves PRO-1.
# Limit: 300 seconds
set -uo pipefail

cargo build --release --locked -j2 -p egtp-sim --example junk || exit 1
"${CARGO_TARGET_DIR:-target}/release/examples/junk"
