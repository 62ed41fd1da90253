#!/bin/sh
# Measure the node beside its floors: sh bench/run.sh [--records N] [--rounds N]. One JSON line a figure.
# Builds a release first. As root it measures in a network namespace of its own, to count bytes on the wire.
set -eu
cd "$(dirname "$0")/.."
cmake --preset release >/dev/null
cmake --build --preset release >/dev/null
if [ "$(id -u)" = 0 ] && unshare -n true 2>/dev/null; then
    exec unshare -n sh -c 'ip link set lo up 2>/dev/null || ifconfig lo up; exec "$@"' sh python3 bench/run.py "$@"
fi
exec python3 bench/run.py "$@"
