#!/bin/sh
# check_headers.sh BUILD [CC [CXX]] - each public header compiles alone, as C17 and as C++17; and the program in
# replica.h's comment compiles and runs against what `cmake --install` puts into an empty folder.
set -u
[ $# -ge 1 ] || { echo 'usage: check_headers.sh BUILD [CC [CXX]]' >&2; exit 64; }
build=$1 cc=${2:-cc} cxx=${3:-c++}
root=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
unset ILEA_HOME
fail() { echo "$*"; exit 1; }

DESTDIR=$work/installed cmake --install "$build" >"$work/log" 2>&1 ||
    { cat "$work/log"; fail 'cmake --install failed'; }
include=$(dirname "$(find "$work/installed" -path '*/ilea/replica.h')")
library=$(dirname "$(find "$work/installed" -name libilea.so)")
ilea=$(find "$work/installed" -path '*/bin/ilea')
if [ -z "$ilea" ] || [ ! -e "$library/libilea.so" ]; then fail 'the library or the programs are not installed'; fi
ls "$root/include/ilea" >"$work/ours"
ls "$include" >"$work/theirs"
cmp -s "$work/ours" "$work/theirs" || fail 'other headers are installed than those in include/ilea'

for header in "$include"/*.h; do
    name=ilea/$(basename "$header")
    # Twice: it must stand alone, and be guarded.
    printf '#include <%s>\n#include <%s>\nint unused;\n' "$name" "$name" >"$work/one.c"
    cp "$work/one.c" "$work/one.cc"
    "$cc" -std=c17 -Wall -Wextra -Wpedantic -Wstrict-prototypes -Werror -I"$include/.." -c "$work/one.c" \
        -o "$work/one.o" || fail "$name is no C17"
    "$cxx" -std=c++17 -Wall -Wextra -Werror -I"$include/.." -c "$work/one.cc" -o "$work/one.o" ||
        fail "$name is no C++17"
done

# The example: the indented lines of the comment from its first declaration on.
{
    printf '#include <stdio.h>\n#include <ilea/replica.h>\nint\nmain(void)\n{\n'
    sed -n '/^ \*     struct ilea_replica \*replica;/,/^ \*\//s/^ \*\( \{4\}\|$\)//p' "$include/replica.h" |
        sed "s|/var/lib/ilea|$work/home|"
    printf 'return 0;\n}\n'
} >"$work/example.c"
grep -q ilea_replica_open "$work/example.c" || fail 'no example in replica.h'
"$cc" -std=c17 -Wall -Wextra -Wpedantic -Werror -I"$include/.." "$work/example.c" -L"$library" -lilea \
    -o "$work/example" || { cat "$work/example.c"; fail 'the example does not compile'; }

title='Read plates at night'
{
    "$ilea" --home "$work/home" init --agency FR-PN --country FR &&
        echo "guard = $work/guard" >>"$work/home/ilea.conf" &&
        "$ilea" --home "$work/home" need new --title "$title" --set problem='Too dark.' &&
        "$ilea" --home "$work/home" need list # where no daemon runs, a reading command brings the view up to date
} >"$work/log" 2>&1 || { cat "$work/log"; fail 'the installed ilea does not work'; }
printed=$(LD_LIBRARY_PATH=$library "$work/example") || fail 'the example fails'
[ "$printed" = "FR-PN-N1 $title" ] || fail "the example prints: $printed"
echo "$(wc -l <"$work/ours") headers and the example are good"
