#!/usr/bin/env bash
# One of two nodes dies by SIGKILL and starts again with nothing remembered, over and over; the table
# shows how long the other was without an answer, also where nobody told it that its session is gone.
#
# Proves SES-2, SES-3, SES-4, SES-10, PER-3, B-4, B-5 and SCENARIO-5.
# Limit: 600 seconds
set -uo pipefail

cargo build --release --locked -j2 -p egtp-sim --example restart_storm || exit 1
"${CARGO_TARGET_DIR:-target}/release/examples/restart_storm"
