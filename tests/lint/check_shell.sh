#!/bin/sh
# check_shell.sh - every shell script parses, and shellcheck, where it is installed, finds nothing.
set -u
cd "$(dirname "$0")/../.." || exit 1
bad=0
scripts=$(find config tests bench .ci -name '*.sh' -o -path .ci/run | sort)
[ -n "$scripts" ] || exit 1
for script in $scripts; do
    shell='sh'
    if head -n 1 "$script" | grep -q bash; then shell='bash'; fi
    "$shell" -n "$script" || bad=1
    if command -v shellcheck >/dev/null; then shellcheck -x -s "$shell" "$script" || bad=1; fi
done
command -v shellcheck >/dev/null || echo 'shellcheck is not here: parsed only'
exit "$bad"
