#!/bin/sh
# try.sh - three agencies on this machine, in one command:  sh config/try.sh [--once]
#
# Builds the programs in the folder build-try, makes three nodes in a temporary folder (FR-PN, NL-PO, PL-KG), lets
# their admins exchange and approve cards, starts the daemons on free ports of 127.0.0.1, loads public records at each,
# and waits until all three hold the same. They run on until Ctrl-C, with commands to try.
#
#   --once   end when they hold the same; the last line on stdout is then one JSON object:
#            {"agencies":3,"records":N,"converged":true,"seconds":S}   records: at each node; seconds: from the
#            start of loading until all hold the same. Exit status 1 if they do not within five minutes.
#
# Nothing is touched but build-try, the temporary folder, and one in /dev/shm for the guards; both are removed at the
# end. Missing Debian packages are installed (config/packages.sh). Messages and progress go to stderr.
set -u

once=false
case ${1:-} in
    '') ;;
    --once) once=true ;;
    *) sed -n '2,13s/^# \{0,1\}//p' "$0" >&2; exit 64 ;;
esac
cd "$(dirname "$0")/.." || exit 1
root=$(pwd)
build=$root/build-try
bin=$build/node
wait_seconds=300
unset ILEA_HOME ILEA_IMPORT_DIR NOTIFY_SOCKET CREDENTIALS_DIRECTORY RUNTIME_DIRECTORY

folder='' guard='' fr='' nl='' pl=''
say() { printf '%s\n' "$*" >&2; }
fail() { say "try.sh: $*"; exit 1; }

# A daemon that has ended and was not waited for is still listed, as Z.
runs() { [ -n "$1" ] && [ -r "/proc/$1/status" ] && ! grep -q '^State:.Z' "/proc/$1/status"; }

# Ask the daemons we started to end, by their ids; whoever has not after ten seconds is ended.
stop_daemons() {
    for daemon in $fr $nl $pl; do if runs "$daemon"; then kill -TERM "$daemon"; fi; done
    for daemon in $fr $nl $pl; do
        tries=0
        while runs "$daemon" && [ "$tries" -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
        if runs "$daemon"; then kill -KILL "$daemon"; fi
        wait "$daemon" 2>/dev/null
    done
    fr='' nl='' pl=''
}

# shellcheck disable=SC2317 # called by the trap
clean_up() {
    trap '' INT TERM HUP
    stop_daemons
    if [ -n "$folder" ]; then rm -rf "$folder"; fi
    if [ -n "$guard" ]; then rm -rf "$guard"; fi
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

uptime_now() { read -r up _ </proc/uptime && echo "$up"; }
elapsed() { echo "$1 $(uptime_now)" | awk '{ printf "%.1f", $2 - $1 }'; }

# Build.

sh config/packages.sh || exit 1
folder=$(mktemp -d) || exit 1
say "Building in $build"
if ! { cmake --preset release -B "$build" -DILEA_TESTS=OFF && cmake --build "$build"; } \
    >"$folder/build.log" 2>&1 </dev/null; then
    tail -n 40 "$folder/build.log" >&2
    fail 'the build failed'
fi

# Three homes.

# A guard must be memory-backed; without one each start of a daemon begins new feeds, which works as well.
guard=$(mktemp -d /dev/shm/ilea-try.XXXXXX 2>/dev/null) || { guard=''; say 'No /dev/shm: going on without guards'; }

next_port=7101
free_port() { # in $port
    while [ "$next_port" -lt 7999 ]; do
        port=$next_port next_port=$((next_port + 1))
        hex=$(printf '%04X' "$port")
        if ! cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v end=":$hex" '
            substr($2, length($2) - 4) == end { found = 1 } END { exit !found }'; then
            return 0
        fi
    done
    fail 'no free port between 7101 and 7998'
}

new_home() { # NAME CODE COUNTRY TEXT
    free_port
    "$bin/ilea" --home "$folder/$1" init --agency "$2" --country "$3" --name "$4" --listen "tcp://127.0.0.1:$port" \
        >"$folder/$1.id" 2>"$folder/$1.err" || { cat "$folder/$1.err" >&2; fail "cannot make the home of $2"; }
    if [ -n "$guard" ]; then printf 'guard = %s\n' "$guard" >>"$folder/$1/ilea.conf"; fi
    "$bin/ilea" --home "$folder/$1" card --out "$folder/$1.card" || fail "no card of $2"
    say "$2 on 127.0.0.1:$port, fingerprint $(sed -n 's/^fingerprint *//p' "$folder/$1.id")"
}

befriend() { # NAME, then NAME CODE of each other
    own=$1
    shift
    while [ $# -gt 0 ]; do
        { "$bin/ilea" --home "$folder/$own" peer add "$folder/$1.card" &&
            "$bin/ilea" --home "$folder/$own" peer approve "$2" --yes; } >/dev/null || fail "$own cannot approve $2"
        shift 2
    done
}

new_home fr FR-PN FR 'Police nationale'
new_home nl NL-PO NL 'Politie'
new_home pl PL-KG PL 'Komenda Glowna Policji'
say 'Each admin adds the cards of the other two, compares fingerprints, and approves'
befriend fr nl NL-PO pl PL-KG
befriend nl fr FR-PN pl PL-KG
befriend pl fr FR-PN nl NL-PO

# Three daemons.

start_daemon() { # NAME; its id in $daemon
    "$bin/ilea-node" --home "$folder/$1" >/dev/null 2>"$folder/$1.log" </dev/null &
    daemon=$!
}
start_daemon fr && fr=$daemon
start_daemon nl && nl=$daemon
start_daemon pl && pl=$daemon
for name in fr nl pl; do
    tries=0
    until "$bin/ilea" --home "$folder/$name" --json status 2>/dev/null | grep -q '"running":true'; do
        tries=$((tries + 1))
        if [ "$tries" -ge 100 ]; then cat "$folder/$name.log" >&2; fail "the daemon of $name does not start"; fi
        sleep 0.1
    done
done

# Records.

data=$root/../shared/data
sample=$root/config/sample
total=0
load() { # NAME CODE FILE PROFILE
    say "$2 loads $(basename "$3")"
    "$bin/ilea" --home "$folder/$1" import "$3" --profile "$4" --to all-peers >"$folder/$1.import" ||
        fail "$2 cannot import $3"
    count=$(sed -n 's/^\([0-9]*\) created.*/\1/p' "$folder/$1.import")
    total=$((total + count))
    eval "own_$1=\$((\${own_$1:-0} + count))"
}

begun=$(uptime_now)
if [ -r "$data/misp-galaxy.jsonl.gz" ] && [ -r "$data/topics.jsonl" ] && [ -r "$data/cordis-security.jsonl.gz" ]; then
    load nl NL-PO "$data/topics.jsonl" h2020-topic
    load pl PL-KG "$data/cordis-security.jsonl.gz" cordis-project
    load fr FR-PN "$data/misp-galaxy.jsonl.gz" misp-galaxy
else
    load nl NL-PO "$sample/needs.jsonl" records
    load pl PL-KG "$sample/projects.jsonl" cordis-project
    load fr FR-PN "$sample/items.jsonl" records
    load fr FR-PN "$sample/orgs.jsonl" org
fi

# Until all hold the same.

text_of() { sed -n "s/.*\"$2\":\"\\([^\"]*\\)\".*/\\1/p" "$folder/$1.status"; } # NAME KEY
number_of() { sed -n "s/.*\"$2\":\\([0-9]*\\)[,}].*/\\1/p" "$folder/$1.status"; }

ask_all() {
    for name in fr nl pl; do
        # shellcheck disable=SC2016 # the feeds and peers go: they have keys of the same names
        "$bin/ilea" --home "$folder/$name" --json status 2>/dev/null |
            sed 's/"feeds":\[[^]]*\],//; s/"peers":\[[^]]*\],//' >"$folder/$name.status"
    done
}

all_same() {
    for name in fr nl pl; do
        [ "$(number_of "$name" records)" = "$total" ] && [ "$(number_of "$name" waiting_for_keys)" = 0 ] || return 1
        [ "$(text_of "$name" frontier)" = "$(text_of fr frontier)" ] || return 1
        [ "$(text_of "$name" view)" = "$(text_of fr view)" ] || return 1
    done
}

converged=false shown='' line_end='\n'
if [ -t 2 ]; then line_end='\r'; fi
while :; do
    ask_all
    seconds=$(elapsed "$begun")
    line=$(printf 'FR-PN %s, NL-PO %s, PL-KG %s of %s records' "$(number_of fr records)" "$(number_of nl records)" \
        "$(number_of pl records)" "$total")
    if [ "$line" != "$shown" ]; then
        # shellcheck disable=SC2059 # the line's end is part of the format
        printf "%6s s  %s    $line_end" "$seconds" "$line" >&2
        shown=$line
    fi
    if all_same; then converged=true; break; fi
    if [ "${seconds%.*}" -ge "$wait_seconds" ]; then break; fi
    for daemon in $fr $nl $pl; do
        runs "$daemon" || { tail -n 5 "$folder"/*.log >&2; fail 'a daemon has ended'; }
    done
    sleep 0.2
done
if [ -t 2 ]; then echo >&2; fi

# What there is now.

ilea() { # NAME ARGUMENT...
    name=$1
    shift
    "$bin/ilea" --home "$folder/$name" "$@" 2>&1
}
say "What NL-PO now reads of PL-KG: ilea project list --agency PL-KG --limit 3"
ilea nl project list --agency PL-KG --limit 3
say "What FR-PN now reads of NL-PO: ilea need list --agency NL-PO --limit 3"
ilea fr need list --agency NL-PO --limit 3
say "One of them: ilea show NL-PO-N1"
ilea fr show NL-PO-N1 | head -n 24
echo
printf '%-8s %10s %10s %10s   %-17s %-17s\n' AGENCY OWN OTHERS ALL FRONTIER VIEW
for name in fr nl pl; do
    eval "own=\$own_$name"
    all=$(number_of "$name" records)
    printf '%-8s %10d %10d %10d   %-17.16s %-17.16s\n' "$(text_of "$name" agency)" "$own" $((all - own)) "$all" \
        "$(text_of "$name" frontier)" "$(text_of "$name" view)"
done
if $converged; then
    echo "All three hold the same, $seconds s after loading began."
else
    echo "They do not hold the same after $seconds s; see the logs above."
    tail -n 5 "$folder"/*.log >&2
fi

if $once; then
    records=$(number_of fr records)
    stop_daemons
    printf '{"agencies":3,"records":%d,"converged":%s,"seconds":%s}\n' "${records:-0}" "$converged" "$seconds"
    $converged
    exit
fi
cat <<END

They run until you press Ctrl-C here. In another terminal:

  export PATH=$bin:\$PATH
  export ILEA_HOME=$folder/fr          # be FR-PN; nl and pl are the others

  ilea status
  ilea peer list
  ilea need list --agency NL-PO --limit 5
  ilea need new --title 'Read number plates at night' \\
      --set problem='Plates without lighting are not read.' --to all-peers
  ILEA_HOME=$folder/nl ilea need list --agency FR-PN
  ilea comment new --set about=NL-PO-N1 --set body='We have this too.' --to all-peers
  ILEA_HOME=$folder/pl ilea --json changes --since $total
  ilea verify
END
while runs "$fr" && runs "$nl" && runs "$pl"; do sleep 1; done
fail "a daemon has ended; its log was: $(tail -n 3 "$folder"/*.log)"
