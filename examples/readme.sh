#!/usr/bin/env bash
# The commands of README.md, run as they are written there: two bare nodes, no application's code, no
# configuration, no file outside of a directory that is removed at the end.
#
# Proves STA-4.
#
# Uses the program `egtp` from PATH.

set -euo pipefail

place=$(mktemp -d)
up="" other="" attached=""
trap 'kill $up $other $attached 2>/dev/null || true; rm -rf "$place"' EXIT
export HOME=$place                  # where data is kept unless a directory is named
unset XDG_DATA_HOME EGTP_DATA EGTP_CONFIG
cd "$place"

# started FILE: waits until the node that writes to FILE is ready; prints its ticket. FILE is gone then: where a node is
# started again, it would show that the one before was ready, until the new one has begun to write.
started() {
    local ticket=""
    for _ in $(seq 100); do
        # The file may not be there yet.
        ticket=$(sed -n 's/.*"event":"ready".*"ticket":"\([^"]*\)".*/\1/p' "$1" 2>/dev/null || true)
        [ -n "$ticket" ] && break
        sleep 0.1
    done
    [ -n "$ticket" ] || { echo "the node was not ready within 10 s" >&2; return 1; }
    rm "$1"
    echo "$ticket"
}

echo "- one terminal: egtp up"
egtp up --json >up.json &
up=$!
TICKET=$(started up.json)

echo "- the other terminal: egtp ping, egtp request"
egtp ping "$TICKET"
[ "$(egtp request "$TICKET" echo/1 hello)" = hello ]

echo "- a name for it"
egtp --data ./alice init
egtp --data ./alice peers add bob "$TICKET"
[ "$(egtp --data ./alice request @bob echo/1 'hello again')" = 'hello again' ]

echo "- the first terminal: Ctrl-C"
kill -INT "$up"
wait "$up"
up=""
code=0
egtp request "$TICKET" echo/1 hello || code=$?
[ "$code" -eq 5 ]

echo "- a service from a shell command"
egtp serve upper/1 --exec 'tr a-z A-Z' --allow-any --ephemeral --json >serve.json &
up=$!
TICKET=$(started serve.json)
[ "$(egtp request "$TICKET" upper/1 'hello world')" = 'HELLO WORLD' ]
printf 'a letter\n' >letter.txt
[ "$(egtp request "$TICKET" upper/1 @letter.txt)" = 'A LETTER' ]
[ "$(egtp request "$TICKET" upper/1 - <letter.txt)" = 'A LETTER' ]
kill -TERM "$up"
wait "$up"
up=""

echo "- one owner, and everybody else goes through it"
egtp --ephemeral serve whose/1 --exec 'echo $EGTP_PEER' --allow-any --json >whose.json &
other=$!
TICKET=$(started whose.json)
egtp --data ./alice up --json >alice.json &
up=$!
ALICE=$(started alice.json)
key=$(egtp --data ./alice id --json | sed 's/.*"public_key":"\([^"]*\)".*/\1/')
[ "$(egtp --data ./alice request "$TICKET" whose/1)" = "$key" ]
egtp --data ./alice serve upper/1 --exec 'tr a-z A-Z' --allow-any --json >attached.json &
attached=$!
[ "$(started attached.json)" = "$ALICE" ]
[ "$(egtp request "$ALICE" upper/1 'hello world')" = 'HELLO WORLD' ]
egtp --data ./alice status
egtp --data ./alice events ls
kill -TERM "$attached"
wait "$attached"
attached=""
kill -TERM "$up" "$other"
wait "$up" "$other"
up="" other=""

echo "- what must not be lost: --durable, and both sides killed"
egtp --data ./carol serve slow/1 --exec 'sleep 2; cat' --allow-any --listen tcp/127.0.0.1:0 --json >carol.json &
other=$!
CAROL=$(started carol.json)
egtp --data ./dave up --listen tcp/127.0.0.1:0 --json >dave.json &
up=$!
started dave.json >dave.ticket
egtp --data ./dave request "$CAROL" slow/1 hello --durable --hard 1h 2>kept.txt &
asker=$!
for _ in $(seq 100); do grep -q '^Kept as' kept.txt && break; sleep 0.1; done
kill -KILL "$up"
code=0
wait "$asker" || code=$?
[ "$code" -eq 10 ]                  # its node has ended; the request has not
ID=$(sed -n 's/^Kept as \([0-9a-f]*\),.*/\1/p' kept.txt)
grep -q "egtp events take $ID" kept.txt
egtp --data ./dave up --listen tcp/127.0.0.1:0 --json >dave.json &
up=$!
started dave.json >dave.ticket
egtp --data ./dave events kept | grep -q "$ID"
[ "$(egtp --data ./dave events take "$ID")" = hello ]
egtp --data ./dave backup dave.bak
egtp --data ./dave2 restore dave.bak
kill -TERM "$up" "$other"
wait "$up" "$other"
up="" other=""

echo "- a node that cannot be called, through a relay"
egtp --data ./relay relay --listen tcp/127.0.0.1:0 --json >relay.json &
other=$!
RELAY=$(started relay.json)
egtp --data ./erin up --listen none --relay "$RELAY" --json >erin.json &
up=$!
ERIN=$(started erin.json)
[ "$(egtp request "$ERIN" echo/1 hello)" = hello ]

echo "- a letter to somebody who is away"
egtp --data ./erin contact export >erin.txt
kill -INT "$up"
wait "$up"
up=""
egtp --data ./alice contact import @erin.txt
egtp --data ./alice peers add erin "$ERIN"
egtp --data ./alice send @erin note/1 'see you'
egtp --data ./erin up --listen none --relay "$RELAY" --json >erin.json &
up=$!
started erin.json >/dev/null
seen=""
for _ in $(seq 100); do
    seen=$(egtp --data ./erin inbox)
    [ -n "$seen" ] && break
    sleep 0.1
done
[ "$seen" = 'see you' ]
kill -TERM "$up" "$other"
wait "$up" "$other"
up="" other=""

echo "- a relay whose options are in a file"
egtp config example >relay.toml
egtp config check relay.toml
sed -i -e 's|^# data = .*|data = "./relay2"|' \
    -e '/^\[relay\]/,/^\[request\]/ s|^# listen = .*|listen = ["tcp/127.0.0.1:0"]|' relay.toml
egtp config check relay.toml
egtp --config relay.toml relay --json >relay.json &
up=$!
RELAY=$(started relay.json)
egtp ping "$RELAY"
kill -TERM "$up"
wait "$up"
up=""
[ -e relay2/key ]
sed -i 's|^listen = |lisen = |' relay.toml
code=0
EGTP_CONFIG=relay.toml egtp relay 2>fault.txt || code=$?
[ "$code" -eq 2 ]
grep -q 'relay.lisen: .* did you mean listen?' fault.txt

echo "- the demonstration"
egtp demo
echo "All commands of README.md do what it says."
