#!/bin/sh
# check_unit.sh - the service unit parses and leaves the daemon little: systemd's own score of exposure, from 0 to 10.
set -u
unit=$(dirname "$0")/../../config/ilea-node.service
limit=1.5
grep -q '^RuntimeDirectoryPreserve=yes' "$unit" || { echo 'the guard would go with each restart'; exit 1; }
grep -q '^SystemCallFilter=sched_setscheduler' "$unit" || { echo 'libzmq would abort'; exit 1; }
if ! command -v systemd-analyze >/dev/null; then
    echo 'systemd-analyze is not here: looked at two lines only'
    exit 0
fi
report=$(systemd-analyze security --offline=true --no-pager "$unit" 2>&1)
score=$(printf '%s\n' "$report" | sed -n 's/.*exposure level for [^:]*: \([0-9.]*\).*/\1/p')
if [ -z "$score" ] || printf '%s\n' "$report" | grep -Eiq 'unknown|failed to parse|invalid'; then
    printf '%s\n' "$report"
    exit 1
fi
echo "exposure $score, at most $limit"
awk -v score="$score" -v limit="$limit" 'BEGIN { exit !(score <= limit) }'
