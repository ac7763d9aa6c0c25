#!/usr/bin/env bash
# A node that nobody talks to says nothing: no packet leaves it, not even within the machine.
#
# Runs `egtp up` in a network namespace of its own, with a default route into a virtual wire whose
# counters show whatever would have gone out, and compares the counters before and after.
#
# Proves PRO-9.
# Limit: 60 seconds
set -eu

if ! unshare --net --map-root-user true 2>/dev/null || ! command -v ip >/dev/null; then
    echo "could not run: this machine lets nobody make a network namespace, or has no ip command"
    exit 77
fi

program=$(command -v egtp)
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT

HOME=$home unshare --net --map-root-user bash -eu -c '
    ip link set lo up
    if ip link add wire type veth peer name far 2>/dev/null; then
        sysctl -qw net.ipv6.conf.all.disable_ipv6=1 2>/dev/null || true
        ip addr add 10.9.9.1/24 dev wire
        ip link set wire up
        ip link set far up
        ip route add default via 10.9.9.2 dev wire
        echo "a default route leads into a wire whose other end nobody reads"
    else
        echo "no virtual wire here: only loopback is watched"
    fi
    before=$(awk "NR > 2 { sum += \$11 } END { print sum + 0 }" /proc/net/dev)
    coproc node { "$0" up --ephemeral --json; }
    pid=$node_PID
    read -r -t 20 ready <&"${node[0]}"
    # Longer than every timer of a start: the first handshake, lookups, the idle schedule once.
    read -r -t 10 _ <&"${node[0]}" || true
    after=$(awk "NR > 2 { sum += \$11 } END { print sum + 0 }" /proc/net/dev)
    kill -TERM "$pid" || echo "the node had ended by itself"
    wait "$pid" || true
    echo "ready: ${ready:0:60}..."
    echo "packets sent on all interfaces: $before before, $after after ten seconds of running"
    [ "$before" = "$after" ]
    # The control: a ping of ourselves is seen by the same counter.
    (echo > /dev/tcp/127.0.0.1/9) 2>/dev/null || true
    control=$(awk "NR > 2 { sum += \$11 } END { print sum + 0 }" /proc/net/dev)
    echo "control: one connection attempt makes it $control"
    [ "$control" -gt "$after" ]
' "$program"
