#!/usr/bin/env bash
# Exactly once over a bad link: 0.3 Mbit/s, a fifth of all packets lost, a tenth doubled, connections cut,
# the receiver killed by SIGKILL and restarted twice. Durable requests with numbers, many at a time, are
# booked in the transaction that takes them; at the end each number is booked once and each request has
# ended by its reply, some of them over another connection than their query.
#
#   tests/process/bad_link.sh                    500 requests, and both controls. Connections are cut every
#                                                5 s, because it lasts a minute: the story says every 20 s
#   tests/process/bad_link.sh --requests 10000   the long one, cut every 20 s, without controls; any
#                                                arguments go to the program as they are
#   BAD_LINK=wire tests/process/bad_link.sh      as where the kernel does not help: see below
#
# The kernel makes the link bad, on the loopback of a network namespace of its own: packet filters drop and
# double by chance, a token bucket holds to the rate, `ss -K` cuts. Where that is not allowed, or a tool is
# missing, a program in between is as slow, stalls and cuts; it says which of the two it was. The controls
# must be caught at booking twice: a server that books beside its store, and one without its check for
# duplicates (`EGTP_PLANTED="duplicate check off"` with a build by `--cfg planted`).
#
# Proves RTY-1, RTY-2, MSG-16, TCP-6, THR-1 and SCENARIO-9.
# Limit: 600 seconds
set -uo pipefail

target="${CARGO_TARGET_DIR:-target}"
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# build FOLDER FLAGS: the program without or with mistakes to plant, and with every assertion.
build() {
    CARGO_TARGET_DIR="$1" RUSTFLAGS="$2" \
        cargo build --profile proof --locked -j2 -p egtp-sim --example bad_link
}

# over_bad_link FOLDER ARGUMENT...: runs the program of that build.
over_bad_link() {
    local program="$1/proof/examples/bad_link"
    shift
    if [ "$link" = kernel ]; then
        unshare --net --map-root-user "$program" kernel "$@"
    else
        "$program" wire "$@"
    fi
}

build "$target" "${RUSTFLAGS:-}" || exit 1
link=${BAD_LINK:-kernel}
if [ "$link" = kernel ] &&
    ! unshare --net --map-root-user "$target/proof/examples/bad_link" probe >"$work/probe" 2>&1; then
    echo "the kernel does not help here: $(grep -m1 . "$work/probe")"
    link=wire
fi
echo "the link is made bad by: $link"

if [ "$#" -gt 0 ]; then
    over_bad_link "$target" "$@"
    exit
fi

build "$target/planted" '--cfg planted' || exit 1
echo "== as it is"
over_bad_link "$target" --requests 500 --cut-seconds 5 | tee "$work/sound"
sound=${PIPESTATUS[0]}
echo "== booked beside the store"
over_bad_link "$target" --requests 150 --cut-seconds 5 --kill-every 25 --counts beside |
    tee "$work/beside"
beside=${PIPESTATUS[0]}
echo "== with the duplicate check taken out"
EGTP_PLANTED="duplicate check off" over_bad_link "$target/planted" --requests 200 --cut-seconds 5 |
    tee "$work/planted"
planted=${PIPESTATUS[0]}

echo
printf '%-44s exit %s  %s\n' "as it is" "$sound" "$(grep 'booked twice' "$work/sound")"
printf '%-44s exit %s  %s\n' "booked beside the store, must be exit 1" "$beside" \
    "$(grep 'booked twice' "$work/beside")"
printf '%-44s exit %s  %s\n' "duplicate check taken out, must be exit 1" "$planted" \
    "$(grep 'booked twice' "$work/planted")"
grep 'the kernel dropped' "$work/sound"
grep 'over another connection' "$work/sound"
[ "$sound" -eq 0 ] && [ "$beside" -eq 1 ] && [ "$planted" -eq 1 ] &&
    grep -q 'BROKEN no number is booked twice' "$work/beside" &&
    grep -q 'BROKEN no number is booked twice' "$work/planted"
