#!/usr/bin/env bash
# A relay that keeps letters dies by SIGKILL 150 times while 50,000 letters are left with it and fetched: none that it has
# said to keep may be missing, none may come again of which it has said that it is deleted, and in the end the mailboxes are
# empty. Relays that say so too early, that delete nothing, or that delete one letter too many must be caught.
#
# Proves P-14, P-15 and P-16.
# Limit: 900 seconds
set -uo pipefail

cargo build --release --locked -j2 -p egtp-sim --example mailbox_storm || exit 1
storm="${CARGO_TARGET_DIR:-target}/release/examples/mailbox_storm"
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

failed=0
echo "== a relay as it is"
"$storm" --rounds 150 --messages 50000 || failed=1

# caught MISTAKE CLAIM: a relay with it must break that promise.
caught() {
    echo "== a relay with a mistake, must be exit 1: $1"
    "$storm" --rounds 5 --messages 1500 --relay "$1" >"$work/told"
    if [ $? -eq 1 ] && grep -q "BROKEN $2" "$work/told"; then
        grep BROKEN "$work/told"
    else
        echo "was NOT caught"
        cat "$work/told"
        failed=1
    fi
}
caught early "each letter that was said to be stored has come"
caught deletes-none "no letter comes again whose acknowledgement was answered"
caught deletes-next "each letter that was said to be stored has come"
exit "$failed"
