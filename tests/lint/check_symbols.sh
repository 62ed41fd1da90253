#!/bin/sh
# check_symbols.sh LIBILEA.so LIBILEA.map ILEA-NODE ILEA ILEA-LINK - the library exports what its map says and nothing
# else, every exported function is in a public header, and ZeroMQ is linked by ilea-link alone.
set -u
[ $# -eq 5 ] || { echo 'usage: check_symbols.sh LIBILEA.so LIBILEA.map ILEA-NODE ILEA ILEA-LINK' >&2; exit 64; }
library=$1 map=$2 node=$3 cli=$4 link=$5
headers=$(dirname "$map")/../../include/ilea
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
bad=0
fault() { echo "$*"; bad=1; }

sed -n '/global:/,/local:/s/^ *\([a-z_0-9]*\);.*/\1/p' "$map" | sort >"$work/map"
nm -D --defined-only "$library" | awk '$2 ~ /[TDBRVW]/ { sub(/@.*/, "", $3); print $3 }' | sort >"$work/exported"
grep -hoE '\bilea_[a-z_0-9]+\(' "$headers"/*.h | tr -d '(' | sort -u >"$work/declared"
[ -s "$work/map" ] || fault "$map: no symbols found"
{
    comm -23 "$work/map" "$work/exported" | sed 's/^/in the map, not exported: /'
    comm -13 "$work/map" "$work/exported" | sed 's/^/exported, not in the map: /'
    comm -23 "$work/map" "$work/declared" | sed 's/^/exported, in no public header: /'
    comm -13 "$work/map" "$work/declared" | sed 's/^/in a public header, not exported: /'
} >"$work/faults"
if [ -s "$work/faults" ]; then cat "$work/faults"; bad=1; fi

needs() { readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\].*/\1/p'; }
for file in "$library" "$node" "$cli"; do
    needs "$file" | grep -q '^libc\.' || fault "$file: what it links cannot be read"
    if needs "$file" | grep -q zmq; then fault "$(basename "$file") links ZeroMQ"; fi
done
needs "$link" | grep -q zmq || fault "ilea-link does not link ZeroMQ"
if needs "$link" | grep -Eq 'lmdb|jansson'; then fault 'ilea-link links more than it may'; fi
readelf -d "$library" | grep -q 'SONAME.*libilea\.so\.[0-9]' || fault "$(basename "$library") has no SONAME"
[ "$bad" -eq 0 ] && echo "$(wc -l <"$work/map") exported symbols, as mapped and declared"
exit "$bad"
