#!/bin/sh
# check_purity.sh LIBILEA_CORE.a LIBILEA_MERGE.a LIBILEA_AUDIENCE.a - the core decides, merge and audience add up, from
# what they are given and nothing else: no clock, file, socket, randomness or hidden state, so that one seed is one
# run. The core allocates nothing; merge holds records of any size, audience statements up to a limit. What a library
# calls is held against a list; so is what it keeps.
set -u
[ $# -eq 3 ] || { echo 'usage: check_purity.sh LIBILEA_CORE.a LIBILEA_MERGE.a LIBILEA_AUDIENCE.a' >&2; exit 64; }

# The compiler's own, and functions of our lower layers but for those that make keys or randomness or read files.
compiler='memcpy|memmove|memset|memcmp|__(memcpy|memmove|memset)_chk|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_|__gcov_.*'
impure='ilea_(random|crypto_init|self_test|key_file|secret)|ilea_.*_generate$'
bad=0

check() { # LIBRARY ALLOWED
    [ -r "$1" ] || { echo "$1 cannot be read"; exit 1; }
    defined=$(nm "$1" | awk 'NF == 3 && $2 ~ /[TRVW]/ { print $3 }')
    wanted=$(nm -u "$1" | awk '$1 == "U" { print $2 }' | sort -u)
    if [ -z "$defined" ] || [ -z "$wanted" ]; then echo "$1: no symbols; is it a library?"; exit 1; fi
    for symbol in $wanted; do
        if printf '%s\n' "$symbol" | grep -Eqx "$compiler|$2" ||
            printf '%s\n' "$defined" | grep -Fqx "$symbol"; then
            continue
        fi
        if printf '%s\n' "$symbol" | grep -Eq '^ilea_' && ! printf '%s\n' "$symbol" | grep -Eq "^($impure)"; then
            continue
        fi
        echo "$(basename "$1") calls $symbol"
        bad=1
    done
    kept=$(nm "$1" | awk 'NF == 3 && $2 ~ /[bBdDC]/ && $3 !~ /^__gcov|\.0$/ { print $3 }')
    for symbol in $kept; do
        echo "$(basename "$1") keeps state in $symbol"
        bad=1
    done
}

check "$1" 'nothing_more'
check "$2" 'realloc|free|qsort|strlen'
check "$3" 'malloc|calloc|realloc|free'
[ "$bad" -eq 0 ] && echo 'core, merge and audience are pure'
exit "$bad"
