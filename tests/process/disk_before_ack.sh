#!/usr/bin/env bash
# The order on the disk as the kernel sees it: of every durable request the log of the store is written
# and synced before anything of it goes out, at the server and at the asker, and before a handler acts.
#
# Traces the system calls of both nodes while one durable request after another goes over a session that
# is there already. Packets are sealed, so they are told by their time alone. The same of a relay with which letters are
# left: none is said to be stored before it is on the disk. Two nodes and a relay with stores that break the promise are
# the control: the same check must find them.
#
# Proves X-31, X-33, X-34, LNG-1 and P-14.
# Limit: 120 seconds
set -uo pipefail

readonly REQUESTS=15

if ! command -v strace >/dev/null; then
    echo "could not run: no strace here (Debian: apt-get install strace)"
    exit 77
fi
if ! strace -f -o /dev/null true 2>/dev/null; then
    echo "could not run: this machine lets nobody trace, not even a process of their own"
    exit 77
fi
cargo build --release --locked -j2 -p egtp-sim --example disk_order || exit 1
order="${CARGO_TARGET_DIR:-target}/release/examples/disk_order"

place=$(mktemp -d)
traced=()
# What strace runs is its child, and is ended by itself: strace would only let go of it.
end() {
    local tracer
    for tracer in "${traced[@]}"; do
        kill "-${1:-TERM}" $(cat "/proc/$tracer/task/$tracer/children" 2>/dev/null) 2>/dev/null
    done
    for tracer in "${traced[@]}"; do wait "$tracer" 2>/dev/null; done
    traced=()
}
trap 'end KILL; rm -rf "$place"' EXIT
export HOME=$place
unset XDG_DATA_HOME EGTP_DATA EGTP_CONFIG

# trace NAME COMMAND...: runs it in the background; its output and trace bear the name.
trace() {
    local name=$1
    shift
    strace -f -ttt -yy -s 0 -e signal=none -o "$place/$name.trace" \
        -e trace=read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg,pwrite64,fsync,fdatasync \
        "$@" >"$place/$name.out" 2>"$place/$name.log" &
    traced+=($!)
}

# ticket NAME: waits until a node is ready.
ticket() {
    local ticket=""
    for _ in $(seq 200); do
        ticket=$(grep -om 1 'egtp:egtp1[^" ]*' "$place/$1.out") && break
        sleep 0.1
    done
    [ -n "$ticket" ] || { echo "$1 was not ready within 20 s" >&2; cat "$place/$1.log" >&2; return 1; }
    echo "$ticket"
}

# run NAME: asks the node of this name through alice's, first to have a session, then for the trace.
run() {
    local name=$1 to from number
    to=$(ticket "$name") || return 1
    trace "$name-asker" egtp --data "$place/$name-alice" up --listen tcp/127.0.0.1:0 --json
    ticket "$name-asker" >/dev/null || return 1
    egtp --data "$place/$name-alice" request "$to" count/1 first. --durable >/dev/null || return 1
    sleep 1
    from=$(date +%s.%N)
    for number in $(seq "$REQUESTS"); do
        egtp --data "$place/$name-alice" request "$to" count/1 "$number." --durable >/dev/null || return 1
        sleep 0.4
    done
    echo "$from" >"$place/$name.from"
    end KILL
}

# check NAME TRACE EFFECTS
check() {
    "$order" check "$place/$2.trace" --from "$(cat "$place/$1.from")" --requests "$REQUESTS" --effects "$3"
}

failed=0
mkdir -m 700 "$place/real" "$place/hasty" "$place/unsynced"
for name in real hasty unsynced; do egtp --data "$place/$name-alice" init >/dev/null 2>&1 || exit 1; done

echo "- egtp serve, and egtp request through egtp up"
egtp --data "$place/real/data" init >/dev/null 2>&1 || exit 1
trace real env COUNTED="$place/counted" egtp --data "$place/real/data" serve count/1 \
    --exec 'body=$(cat); printf "%s\n" "$body" >>"$COUNTED"; printf %s "$body"' \
    --allow-any --listen tcp/127.0.0.1:0 --json
run real || exit 1
echo "the server:"
check real real "$REQUESTS" || failed=1
echo "the asker:"
check real real-asker 0 || failed=1

# relay WORD: leaves letters with a relay that is honest, or with one that has a mistake.
relay() {
    local name=relay-$1 to
    mkdir -m 700 "$place/$name"
    trace "$name" "$order" relay "$place/$name" "$1"
    to=$(ticket "$name") || return 1
    "$order" letters "$to" "$REQUESTS" >"$place/letters" || { cat "$place/letters"; return 1; }
    sed -n 's/^from //p' "$place/letters" >"$place/$name.from"
    end KILL
}

# found: what the check has told must be that something went out too early.
found() {
    if grep -q "BROKEN everything goes out when" "$place/told"; then
        echo "was found out: $(grep -m 1 "BROKEN everything" "$place/told")"
    else
        echo "was NOT found out"
        failed=1
    fi
}

echo "- a relay that keeps letters"
relay honest || exit 1
check relay-honest relay-honest 0 || failed=1
echo "- control: a relay that says too early that letters are stored"
relay early || exit 1
check relay-early relay-early 0 >"$place/told"
found

for control in hasty unsynced; do
    echo "- control: a node whose store is $control"
    trace "$control" "$order" node "$place/$control" "$control"
    run "$control" || exit 1
    check "$control" "$control" "$REQUESTS" >"$place/told"
    found
done
exit "$failed"
