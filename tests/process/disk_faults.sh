#!/usr/bin/env bash
# Disks that are full, read-only, slow or broken, and stores of which a part is gone: each is told with its
# reason and the way out, nothing is ever silently a new store, and what waited goes on when the disk does.
#
# What is refused leaves with exit code 1, names the file, and leaves it byte for byte as it was. Permissions
# are tried as somebody who is not root. The full disk is a tmpfs of 4 MB in a mount namespace of its own;
# the disk that fails or is slow is made by strace. What a machine does not allow is said and left out.
#
# Proves PRO-7 and PER-4.
# Limit: 240 seconds
set -uo pipefail

readonly TO_DISK=pwrite64,write,fsync,fdatasync,ftruncate,unlink,link,linkat

# ---- What all parts use ----------------------------------------------------------------------

failed=0
wrong() { echo "  BROKEN $*"; failed=1; }

# start DATA: a node that counts; leaves its process id in `node`, its ticket in `ticket`.
start() {
    : >"$place/node.out"
    COUNTED="$place/counted" egtp --data "$1" serve count/1 --exec "$HANDLER" --allow-any \
        --listen tcp/127.0.0.1:0 --json >"$place/node.out" 2>"$place/node.log" &
    node=$!
    ready
}
ready() {
    local _
    for _ in $(seq 200); do
        ticket=$(sed -n 's/.*"event":"ready".*"ticket":"\([^"]*\)".*/\1/p' "$place/node.out")
        [ -n "$ticket" ] && return
        kill -0 "$node" 2>/dev/null || break
        sleep 0.1
    done
    echo "  the node did not start:"; cat "$place/node.log"
    return 1
}
# ask WORD...: from an identity in memory.
ask() { egtp request "$ticket" "$@" 2>"$place/asked" || { cat "$place/asked" >&2; return 1; }; }
stop() { kill "-${1:-TERM}" "$node" && wait "$node"; node=""; } 2>/dev/null

# eventually SECONDS COMMAND...: waits until it succeeds.
eventually() {
    local tries=$(($1 * 10))
    shift
    while ! "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.1
    done
}

counted() { [ -e "$place/counted" ] && wc -l <"$place/counted" || echo 0; }
counted_are() { [ "$(counted)" = "$1" ]; }
none_twice() { [ -z "$(sort "$place/counted" | uniq -d)" ] || wrong "counted twice: $(sort "$place/counted" | uniq -d | head -3)"; }

# What there is of a store.
sums() { (cd "$1" && for file in store.db*; do [ -f "$file" ] && cksum "$file" || ls -ld "$file"; done); }

# refused DATA CODE WORDS WHAT: does not start, says why, and leaves the store as it is.
refused() {
    local data=$1 code=$2 words=$3 what=$4 before after told status
    before=$(sums "$data" 2>&1)
    told=$(timeout 10 egtp --data "$data" up --listen tcp/127.0.0.1:0 --json 2>"$place/said" </dev/null)
    status=$?
    after=$(sums "$data" 2>&1)
    [ "$status" -eq 1 ] || wrong "$what: exit code $status"
    case $told in *"\"code\":\"$code\""*) ;; *) wrong "$what: not the code $code: $told" ;; esac
    case $told in *"$data/"*"$words"*'"next":"'?*) ;; *) wrong "$what: says $told" ;; esac
    [ "$before" = "$after" ] || wrong "$what: the store has changed: $before; $after"
    echo "  $what: $(sed -n 's/^egtp: //p' "$place/said" | sed "s|$place/||g" | cut -c 1-110)"
    cases=$((cases + 1))
}

# One line for each body; `big` gets a reply of 600 kB.
readonly HANDLER='body=$(cat); printf "%s\n" "$body" >>"$COUNTED"
case $body in big*) head -c 600000 /dev/zero ;; *) printf %s "$body" ;; esac'

clean() {
    [ -z "${node:-}" ] || kill -KILL "$node" 2>/dev/null
    [ -z "${tracer:-}" ] || kill -KILL "$tracer" 2>/dev/null
}

# ---- Stores that cannot be used, as somebody who is not root ----------------------------------

refusals() {
    local cases=0 data sound length mode
    start "$place/sound" || return 1
    ask count/1 one --durable >/dev/null || wrong "a sound disk"
    stop TERM
    disk_order rest "$place/sound/store.db" >/dev/null || wrong "a store that is closed"
    [ ! -e "$place/sound/store.db-wal" ] || wrong "a store that is closed leaves a log"
    cp -a "$place/sound" "$place/killed"
    start "$place/killed" || return 1
    ask count/1 two --durable >/dev/null || wrong "a sound disk"
    stop KILL
    rm -f "$place/killed/control.sock"

    # copy KIND: a directory to spoil.
    copy() { data=$place/data; rm -rf "$data"; cp -a "$place/$1" "$data"; }
    sound=$(wc -c <"$place/sound/store.db")
    for length in 0 1 99 100 4096 $((sound / 2)) $((sound - 4096)); do
        copy sound; truncate -s "$length" "$data/store.db"
        refused "$data" damaged "cannot be used as a store" "store.db cut to $length of $sound bytes"
    done
    copy sound; head -c 9000 /dev/urandom >"$data/store.db"
    refused "$data" damaged "no database" "noise in place of store.db"
    copy sound; rm "$data/store.db"; mkdir "$data/store.db"
    refused "$data" io "store.db" "a directory in place of it"
    copy sound; rm "$data/store.db"; ln -s nowhere/store.db "$data/store.db"
    refused "$data" io "store.db" "a link to a disk that is not there"
    copy sound; printf '\0\0\0\11' | dd of="$data/store.db" bs=1 seek=60 conv=notrunc status=none
    refused "$data" damaged "newer version" "a store of a newer version"
    copy sound; printf 'XXXX' | dd of="$data/store.db" bs=1 seek=68 conv=notrunc status=none
    refused "$data" damaged "not a store of this program" "another program's database"

    copy killed; rm "$data/store.db-wal"
    refused "$data" damaged "log" "a killed node's log is missing"
    for length in 0 31 32 8272 1000000; do
        copy killed; truncate -s "$length" "$data/store.db-wal"
        refused "$data" damaged "log" "its log cut to $length bytes"
    done
    copy killed; printf 'noise' | dd of="$data/store.db-wal" bs=1 seek=5000 conv=notrunc status=none
    refused "$data" damaged "not as it was written" "noise in its log"
    copy killed; rm "$data/store.db"
    refused "$data" damaged "missing" "its file is missing, the log is there"
    copy killed; : >"$data/store.db"
    refused "$data" damaged "is empty" "its file is empty, the log is there"

    for mode in 400 000; do
        copy sound; chmod "$mode" "$data/store.db"
        refused "$data" io "Permission denied" "store.db with mode $mode"
    done
    copy killed; chmod 000 "$data/store.db-wal"
    refused "$data" io "Permission denied" "its log with mode 000"
    copy sound; chmod 500 "$data"
    refused "$data" io "" "a directory that may not be written"
    chmod 700 "$data"

    # An asker is told the same, and only if it wants the disk at all.
    start "$place/other" || return 1
    copy killed; rm "$data/store.db-wal"
    egtp --data "$data" request "$ticket" count/1 three --durable >"$place/said" 2>&1
    [ $? -eq 1 ] && grep -q "log .* is missing" "$place/said" || wrong "an asker: $(cat "$place/said")"
    [ "$(egtp --data "$data" request "$ticket" count/1 four)" = four ] || wrong "an ordinary request"
    stop TERM
    # What was sound all the time still is, the killed one with all that it was told.
    for data in "$place/sound" "$place/killed"; do start "$data" && stop TERM || wrong "$data"; done
    [ "$(sort "$place/counted" | xargs)" = "four one two" ] || wrong "counted: $(cat "$place/counted")"
    echo "$cases spoilt stores refused as they should be"
    return "$failed"
}

# ---- A full disk, in a mount namespace of its own ----------------------------------------------

full() {
    local small=$place/small number others before
    mkdir -p "$small"
    mount -t tmpfs -o size=4m,mode=700 egtp-small "$small" || return 77
    : >"$place/counted"
    local cases=0 code
    is_told_twice() { [ "$(grep -c 'cannot write' "$place/node.log")" -ge 2 ]; }
    fill() { dd if=/dev/zero of="$small/filler" bs=4096 status=none 2>/dev/null; }

    egtp --data "$small/bob" init >/dev/null 2>&1
    fill
    refused "$small/bob" io "full" "a first start on a full disk"
    [ ! -e "$small/bob/store.db" ] || wrong "it leaves a store behind"
    rm "$small/filler"

    start "$small/bob" || return 1
    for number in 1 2 3; do
        ask count/1 "before-$number" --durable >/dev/null || wrong "before"
    done
    fill
    # The log has had room for these: it is brought into the file, and begins again at its start.
    for number in $(seq 10); do
        ask count/1 "small-$number" --durable --hard 5s >/dev/null || wrong "small ones on a full disk"
    done
    grep -q "cannot write" "$place/node.log" && wrong "small ones do not fit"
    echo "  ten small durable requests still fit into the log that is there"
    ask count/1 big --durable >/dev/null || wrong "the reply that fills the disk"
    eventually 10 grep -q "cannot write; what is to be durable is refused" "$place/node.log" ||
        wrong "the server's log does not say that the disk is full"
    before=$(counted)
    for number in $(seq 5); do
        egtp request "$ticket" count/1 "told-$number" --durable --hard 50s >/dev/null 2>"$place/asked"
        code=$?
        [ "$code" -eq 6 ] || wrong "refused at once while the disk is full: exit code $code"
    done
    grep -q "busy" "$place/asked" || wrong "the refusal says: $(cat "$place/asked")"
    echo "  asked while the disk is full: $(grep -m 1 busy "$place/asked")"
    timeout 10 egtp --data "$small/bob" backup "$place/on-another-disk" >"$place/said" 2>&1
    code=$?
    [ "$code" -eq 1 ] && grep -q "refuses to write" "$place/said" || wrong "a backup meanwhile: exit code $code, $(cat "$place/said")"
    # An asker that keeps its request on a disk of its own waits for the peer's.
    egtp --data "$place/patient" init >/dev/null 2>&1
    egtp --data "$place/patient" request "$ticket" count/1 patient --durable --hard 80s >"$place/reply" 2>"$place/patient.log" &
    others=$!
    egtp request "$ticket" echo/1 hello --count 300 --hard 5s >/dev/null 2>"$place/ordinary" ||
        wrong "ordinary requests: $(cat "$place/ordinary")"
    echo "  ordinary requests while the disk is full: $(tail -n 1 "$place/ordinary")"
    counted_are "$before" || wrong "a durable request was handed over before it was on the disk"
    grep -o 'cannot write.*' "$place/node.log" | sed "s|$place/||g; s/^/  the log: /" | head -n 1
    rm "$small/filler"
    wait "$others" || wrong "the one that waited: $(cat "$place/patient.log")"
    counted_are $((before + 1)) && [ "$(cat "$place/reply")" = patient ] || wrong "only $(counted) of $((before + 1)) are counted"
    grep -q "writing goes again" "$place/node.log" || wrong "the log does not say that it goes again"
    none_twice
    echo "  room again: the one that waited is counted once, and answered"

    # Killed while the disk is full, and started on the full disk: refused, or as it was.
    fill
    for number in 2 3; do
        egtp request "$ticket" count/1 "big-$number" --durable --hard 3s >/dev/null 2>&1 &
    done
    eventually 10 is_told_twice || wrong "the log does not say it again"
    stop KILL
    refused "$small/bob" io "No space left" "a start on the full disk"
    rm "$small/filler"
    start "$small/bob" || return 1
    ask count/1 after --durable >/dev/null || wrong "after"
    stop TERM
    none_twice

    rm -r "$small/bob"

    echo "- the asker's own disk is full"
    egtp --data "$place/carol" init >/dev/null 2>&1
    start "$place/carol" || return 1
    egtp --data "$small/alice" init >/dev/null 2>&1
    egtp --data "$small/alice" request "$ticket" count/1 hello --durable >/dev/null || wrong "alice"
    fill
    before=$(counted)
    head -c 300000 /dev/zero | tr '\0' a >"$place/large"
    egtp --data "$small/alice" request "$ticket" count/1 @"$place/large" --durable --hard 50s >"$place/reply" 2>"$place/alice.log" &
    others=$!
    if eventually 10 grep -q "cannot write\|No space left" "$place/alice.log"; then
        echo "  it says: $(grep -o 'cannot [a-z]*.*' "$place/alice.log" | head -n 1 | sed "s|$place/||g")"
    else
        wrong "the asker says nothing: $(cat "$place/alice.log")"
    fi
    counted_are "$before" || wrong "it was sent before it was on the asker's disk"
    rm "$small/filler"
    wait "$others" || wrong "the asker: $(cat "$place/alice.log")"
    counted_are $((before + 1)) && cmp -s "$place/reply" "$place/large" || wrong "the asker's reply"
    echo "  room again: it was counted once, and answered"
    stop TERM

    echo "- a disk that is mounted for reading only"
    mount -o remount,ro "$small" || return 77
    refused "$small/alice" io "Read-only" "a disk for reading only"
    mount -o remount,rw "$small"
    start "$small/alice" && stop TERM || wrong "writable again"
    return "$failed"
}

# ---- A disk that fails or is slow, by strace ----------------------------------------------------

failing() {
    local before asker number killed=0 whole=0 calls status
    : >"$place/counted"
    start "$place/dora" || return 1
    ask count/1 first --durable >/dev/null || wrong "first"
    # hurt WHAT: until `heal`.
    hurt() {
        strace -f -q -o /dev/null -e trace=fsync,fdatasync -e "inject=fsync,fdatasync:$1" -p "$node" 2>"$place/strace" &
        tracer=$!
        eventually 5 grep -q '^TracerPid:[[:space:]]*[1-9]' "/proc/$node/status"
    }
    # The braces keep to themselves what the shell says of a process that was killed.
    killed_at() {
        strace -f -qq -o /dev/null -e "trace=$TO_DISK" -e "inject=$1:signal=KILL:when=$2" \
            egtp --data "$place/erin" request "$ticket" count/1 "$1-$2" --durable \
            >"$place/reply" 2>"$place/erin.log"
    } 2>/dev/null
    heal() { kill -INT "$tracer"; wait "$tracer"; tracer=""; } 2>/dev/null

    # What the first one leaves to be written would fail first, and the next be refused instead of waiting.
    local seen=none tries=0
    until [ "$(stat -c %y "$place/dora/store.db-wal")" = "$seen" ] || [ "$((tries += 1))" -gt 10 ]; do
        seen=$(stat -c %y "$place/dora/store.db-wal")
        sleep 1
    done
    hurt error=EIO || { echo "could not run: strace may not attach to a process"; stop KILL; return 77; }
    before=$(counted)
    egtp request "$ticket" count/1 failing --durable --hard 30s >"$place/reply" 2>&1 &
    asker=$!
    eventually 10 grep -q "cannot write" "$place/node.log" || wrong "the log says nothing of a failed sync"
    egtp request "$ticket" echo/1 hello --count 100 --hard 5s >/dev/null 2>"$place/ordinary" || wrong "ordinary requests"
    counted_are "$before" || wrong "handed over after a failed sync"
    grep -o 'cannot write.*' "$place/node.log" | sed "s|$place/||g; s/^/  the log: /" | head -n 1
    heal
    wait "$asker" || wrong "the request that waited: $(cat "$place/reply")"
    counted_are $((before + 1)) || wrong "counted $(counted)"
    echo "  no sync, no handler and no acknowledgement; it went on when syncs did"

    hurt delay_enter=400000 || wrong "strace attaches no second time"
    egtp request "$ticket" count/1 slow --durable --hard 30s >"$place/reply" 2>&1 &
    asker=$!
    egtp request "$ticket" echo/1 hello --count 200 --hard 5s >/dev/null 2>"$place/ordinary" || wrong "ordinary requests"
    echo "  ordinary requests beside syncs of 400 ms: $(tail -n 1 "$place/ordinary")"
    wait "$asker" || wrong "a slow disk: $(cat "$place/reply")"
    heal

    echo "- an asker is killed at each call that reaches its disk, and started again"
    egtp --data "$place/erin" init >/dev/null 2>&1
    for calls in fsync,fdatasync,ftruncate,unlink,link,linkat pwrite64,write; do
        number=1
        while :; do
            killed_at "$calls" "$number"
            status=$?
            case $status in
                137) killed=$((killed + 1)) ;;
                0) whole=$((whole + 1)) ;;
                *) wrong "$calls $number: exit code $status: $(cat "$place/erin.log")" ;;
            esac
            [ "$status" -eq 0 ] && [ "$number" -gt 4 ] && break
            [ "$number" -lt 60 ] || break
            # Every call that syncs, and each third one that writes.
            case $calls in pwrite64*) number=$((number + 3)) ;; *) number=$((number + 1)) ;; esac
        done
    done
    egtp --data "$place/erin" request "$ticket" count/1 last --durable >/dev/null || wrong "the last one"
    [ "$killed" -ge 15 ] || wrong "killed only $killed times"
    stop TERM
    none_twice
    echo "  killed $killed times: it started each time, and nothing was counted twice"
    return "$failed"
}

# ---- All of it --------------------------------------------------------------------------------

if [ "${1:-}" = part ]; then
    place=$3
    export HOME=$place
    unset XDG_DATA_HOME EGTP_DATA EGTP_CONFIG
    trap clean EXIT
    cd "$place" || exit 1
    "$2"
    exit
fi

program=$(command -v egtp) || { echo "egtp is not in PATH"; exit 1; }
cargo build --release --locked -j2 -p egtp-sim --example disk_order || exit 1
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
chmod 755 "$top"
cp "$program" "${CARGO_TARGET_DIR:-target}/release/examples/disk_order" "$top/" || exit 1
cp "$0" "$top/script" && chmod 755 "$top"/* || exit 1
export PATH="$top:$PATH"

somebody=()
if [ "$(id -u)" = 0 ]; then
    command -v setpriv >/dev/null && somebody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
fi

# part NAME COMMAND...: in a place of its own, as the command makes it.
result=0
part() {
    local name=$1
    shift
    mkdir -m 700 "$top/$name"
    [ "$name" = refusals ] && [ ${#somebody[@]} -gt 0 ] && chown 65534:65534 "$top/$name"
    "$@" bash "$top/script" part "$name" "$top/$name" </dev/null
    case $? in
        0) ;;
        77) echo "could not run: this part, see above" ;;
        *) result=1 ;;
    esac
}

echo "- stores that cannot be used"
if [ "$(id -u)" = 0 ] && [ ${#somebody[@]} -eq 0 ]; then
    echo "could not run: permissions mean nothing to root, and there is no setpriv here"
else
    part refusals "${somebody[@]}"
fi
echo "- a disk of 4 MB that fills up"
if unshare --mount --map-root-user true 2>/dev/null; then
    part full unshare --mount --map-root-user
else
    echo "could not run: this machine lets nobody make a mount namespace"
fi
echo "- a disk that fails, and one that is slow"
if command -v strace >/dev/null && strace -f -o /dev/null true 2>/dev/null; then
    part failing
else
    echo "could not run: no strace here, or nobody may trace (Debian: apt-get install strace)"
fi
[ "$result" -eq 0 ] && echo "Every fault was told, and nothing was lost or taken twice."
exit "$result"
