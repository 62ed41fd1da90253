#!/bin/sh
# run.sh - build everything and run every check:  sh tests/run.sh
#
# Installs missing Debian packages, builds three times without a warning (gcc with sanitizers, clang, gcc release),
# runs what tests/README.md lists, and ends with one line "N passed, N failed". Exit status 1 if anything failed.
# Nothing is asked and nothing outside the build-* folders changes; each part's output is in build-tests/*.log and
# is shown if the part failed.
set -u
cd "$(dirname "$0")/.." || exit 1
exec </dev/null
export LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 UBSAN_OPTIONS=print_stacktrace=1
unset ILEA_HOME ILEA_IMPORT_DIR NOTIFY_SOCKET CREDENTIALS_DIRECTORY RUNTIME_DIRECTORY

logs='build-tests'
jobs=$(nproc 2>/dev/null || echo 2)
passed=0
failed=0
mkdir -p "$logs" && rm -f "$logs"/*.log || exit 1
started=$(date +%s)

# part NAME COUNT COMMAND... - run a command with its output in a log. COUNT, a function, sets p and f from the log and
# the exit status.
part() {
    name=$1 count=$2 log=$logs/$1.log
    shift 2
    begun=$(date +%s)
    "$@" >"$log" 2>&1
    status=$?
    p=0 f=0
    "$count"
    if [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; then f=1; fi
    passed=$((passed + p)) failed=$((failed + f))
    printf '%-15s %5d passed %3d failed %5d s\n' "$name" "$p" "$f" $(($(date +%s) - begun))
    if [ "$f" -gt 0 ]; then
        echo "---- $log"
        tail -n 300 "$log"
        echo "---- end of $log"
    fi
    [ "$f" -eq 0 ]
}

count_one() { [ "$status" -eq 0 ] && p=1; }

# Of ctest: the cases of every cmocka program, and one for each other test.
count_ctest() {
    counts=$(awk '
        / Testing: / { cases = bad = 0 }
        /^\[  PASSED  \] [0-9]+ test/ { cases += $4 }
        /^\[  FAILED  \] [0-9]+ test/ { bad += $4 }
        /^Test Passed\.$/ { passed += cases > 0 ? cases : 1 }
        /^Test (Failed|Timeout)\.$/ { passed += cases; failed += bad > 0 ? bad : 1 }
        END { print passed + 0, failed + 0 }' "$folder/Testing/Temporary/LastTest.log" 2>/dev/null)
    p=${counts% *} f=${counts#* }
    : "${p:=0}" "${f:=0}"
}

# Of a program whose last such line says "N passed, N failed".
count_line() {
    line=$(grep -Eo '[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1)
    if [ -z "$line" ]; then f=1; return; fi
    p=${line%% *} f=${line#*, } f=${f%% *}
}

build() { cmake --preset "$1" -DILEA_TESTS=ON && cmake --build --preset "$1"; }

run_ctest() { # NAME FOLDER [OPTION]...
    part_name=$1 folder=$2
    shift 2
    rm -f "$folder/Testing/Temporary/LastTest.log"
    part "$part_name" count_ctest ctest --test-dir "$folder" -j "$jobs" --output-on-failure --no-tests=error "$@"
}

is_repository() { git rev-parse --is-inside-work-tree >/dev/null 2>&1; }

same_tree() {
    git status --porcelain >"$logs/status.after"
    ! grep -Fxv -f "$logs/status.before" "$logs/status.after"
}

sh config/packages.sh --tests || { echo '0 passed, 1 failed'; exit 1; }
if is_repository; then { git status --porcelain; echo '#'; } >"$logs/status.before"; fi

part build-gcc count_one build sanitize && sanitize=1
part build-clang count_one build clang
part build-release count_one build release && release=1

if [ -n "${sanitize:-}" ]; then
    run_ctest sanitized build-sanitize
    awk '/ Testing: / { name = $NF } /^(seeds from|replay)/ { print "  " name ": " $0 }' \
        build-sanitize/Testing/Temporary/LastTest.log
fi
if [ -n "${release:-}" ]; then
    run_ctest released build-release --label-regex '^(lint|unit|system)$'
fi
if [ -f tests/vectors/check_vectors.py ]; then part vectors count_line python3 tests/vectors/check_vectors.py; fi
if [ -f tests/system/run.py ]; then
    half=
    for kind in ${release:+release} ${sanitize:+sanitize}; do
        part "system-$kind" count_line python3 tests/system/run.py --bin "build-$kind/node" $half
        half=--half # the sanitizers see half of the cases a run, drawn anew each time
        sed -n 's/^seed /  system: seed /p' "$logs/system-$kind.log"
    done
fi
if is_repository; then part tree count_one same_tree; fi

echo "$(($(date +%s) - started)) s in all; logs in $logs/"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
