"""What tools and administrators rely on: import, export, changes, logs, modes of files, clean stops."""
import json
import os
import re
import stat
import subprocess
import threading
import time

from support import (Failure, check, federation, make_rows, real_or_made, same, test, wait_converged, wait_for)


@test
def import_twice(place):
    """The same import again changes nothing, neither here nor at the peer."""
    fr, nl = agencies = federation(place, ["FR-PN", "NL-PO"])
    for agency in agencies:
        agency.start()
    for name, profile, count in (("misp-galaxy.jsonl.gz", "misp-galaxy", 2000), ("topics.jsonl", "h2020-topic", 300),
                                 ("cordis-security.jsonl.gz", "cordis-project", 500)):
        path = real_or_made(place, name, profile, count)
        first = fr.load(path, profile)
        same((first["updated"], first["unchanged"], first["bad"]), (0, 0, 0), f"first import of {profile}")
        before = fr.status()
        again = fr.load(path, profile)
        same(again, {"bad": 0, "created": 0, "unchanged": first["created"], "updated": 0}, f"{profile} again")
        after = fr.status()
        for key in ("frontier", "view", "position", "lsn", "records"):
            same(after[key], before[key], f"{key} after the second import of {profile}")
    wait_converged(agencies)
    # One row that differs is one update.
    path = make_rows(place, "rows.jsonl", "h2020-topic", 50)
    fr.load(path, "h2020-topic")
    with open(path, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    rows[7]["challenge"] = "changed"
    place.write("rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    same(fr.load(path, "h2020-topic"), {"bad": 0, "created": 0, "unchanged": 49, "updated": 1}, "one row changed")
    # Rows twice in one file, and each changed: the last one counts.
    rows = [{"code": "twice", "title": "one", "challenge": f"text {i}"} for i in range(5)]
    path = place.write("twice.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    same(fr.load(path, "h2020-topic"), {"bad": 0, "created": 1, "unchanged": 0, "updated": 4}, "a row five times")
    wait_converged(agencies)
    found = [line for line in nl.export("--type", "need").values() if line["title"] == "one"]
    same([line["problem"] for line in found], ["text 4"], "what it became")


def without_owner(records):
    return {key: {name: value for name, value in record.items() if name not in ("agency", "agency_id", "ref")}
            for key, record in records.items()}


@test
def round_trip(place):
    """What one node exports another imports: the same records, but for whose they are and their refs."""
    fr, nl = place.agency("FR-PN"), place.agency("NL-PO")
    fr.load(real_or_made(place, "misp-galaxy.jsonl.gz", "misp-galaxy", 2000), "misp-galaxy")
    fr.load(real_or_made(place, "topics.jsonl", "h2020-topic", 300), "h2020-topic")
    fr.load(real_or_made(place, "cordis-security.jsonl.gz", "cordis-project", 600), "cordis-project")
    fr.load(real_or_made(place, "organisations.jsonl", "org", 0), "org")
    fr.new("Äußerst \u4e2d\u6587 \U0001f511 \"quoted\"", "--set", "tags=a\\,b,c", "--set", "x.case=4711")
    exported = fr.run("export").out
    path = place.write("export.jsonl", exported)
    counts = nl.load(path, "records")
    records = fr.export()
    same(counts, {"bad": 0, "created": len(records), "unchanged": 0, "updated": 0}, "counts")
    theirs = nl.export()
    differing = [key for key in records if without_owner(records)[key] != without_owner(theirs).get(key)] \
        if without_owner(records) != without_owner(theirs) else []
    check(not differing, f"{len(differing)} records differ, first: "
          + json.dumps([records[key] for key in differing[:1]] + [theirs.get(key) for key in differing[:1]])[:500])
    same(set(records), set(theirs), "ids")
    same(nl.load(path, "records"), {"bad": 0, "created": 0, "unchanged": len(records), "updated": 0}, "again")
    for agency in (fr, nl):
        agency.verify()


@test
def changes(place):
    """The change feed neither skips nor repeats: while importing, over restarts and crashes of the daemon."""
    fr, nl = agencies = federation(place, ["FR-PN", "NL-PO"])
    for agency in agencies:
        agency.start()
    followers = {}
    for agency in agencies:
        path = place.path(f"changes-{agency.code}")
        with open(path, "wb") as out:
            followers[agency] = (place.popen(agency.words("changes", "--follow"), stdout=out), path)
    for i in range(3):
        path = make_rows(place, f"rows-{i}.jsonl", "misp-galaxy", 700, f"rows-{i}")
        loading = threading.Thread(target=fr.run, args=("import", path, "--profile", "misp-galaxy", "--to", "all-peers"),
                                   kwargs={"check_code": False})
        loading.start()
        nl.new(f"Beside the import {i}")
        time.sleep(place.random.random() * 0.2)
        victim = agencies[i % 2]
        victim.kill() if i != 1 else victim.stop()
        loading.join()
        victim.start()
        fr.load(path, "misp-galaxy")
    ref, _ = fr.new("Last")
    fr.run("set", ref, "title=Very last")
    wait_converged(agencies)
    for agency in agencies:
        process, path = followers[agency]
        last = agency.status()["lsn"]

        def lines():
            with open(path, encoding="utf-8") as file:
                return [json.loads(line) for line in file if line.endswith("\n")]

        wait_for(f"all {last} changes at {agency.code}", lambda: len(lines()) >= last or process.poll() is not None, 15)
        same(process.poll(), None, "exit code of changes --follow")
        process.terminate()
        process.wait()
        followed = lines()
        same([line["lsn"] for line in followed], list(range(1, last + 1)), f"lsns at {agency.code}")
        same(len({line["dot"] for line in followed}), last, f"dots at {agency.code}")
        asked = agency.run("changes").lines()
        same([(line["lsn"], line["dot"], line["op"]) for line in asked],
             [(line["lsn"], line["dot"], line["op"]) for line in followed], f"changes asked for at {agency.code}")
        same([line["record"] for line in agency.run("changes", "--since", last - 2).lines()],
             [line["record"] for line in asked[-2:]], "the last two")
        same(agency.run("changes", "--since", last).out, "", "after the last")
        same(sum(1 for line in followed if line["op"] == "create"), agency.status()["records"], "creations")


@test
def clean_stop(place):
    """SIGTERM ends the daemon within 5 seconds with code 0, whatever it does: idle, importing, syncing."""
    fr, nl = agencies = federation(place, ["FR-PN", "NL-PO"])
    counted = 0
    for i in range(6):
        for agency in agencies:
            agency.start()
        path = make_rows(place, f"rows-{i}.jsonl", "misp-galaxy", 3000, f"rows-{i}")
        results = []
        loading = threading.Thread(target=lambda p=path: results.append(fr.run(
            "import", p, "--profile", "misp-galaxy", "--to", "all-peers", "--json", check_code=False)))
        if i > 0:
            loading.start()
            time.sleep(place.random.random() * 0.25)
        nl.stop()
        fr.stop()
        if i > 0:
            loading.join()
            if results[0].out:
                counted += results[0].json()["created"]
            else:
                check(results[0].code != 0, str(results[0]))
    for agency in agencies:
        agency.start()
    wait_converged(agencies)
    check(fr.status()["records"] >= counted, f"{counted} acknowledged, {fr.status()['records']} there")
    for agency in agencies:
        agency.verify()
        agency.stop()
        lines = agency.log().splitlines()
        check("event=stopped" in lines[-1], f"last line of the log: {lines[-1]}")


LOG_LINE = re.compile(r'time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z level=(error|warning|info) event=[a-z_]+'
                      r'( [a-z_]+=("([^"\\]|\\.)*"|[^\s"=\\]+))*')


@test
def logs(place):
    """Log lines are key=value and hold neither what records say nor secrets."""
    fr, nl = agencies = federation(place, ["FR-PN", "NL-PO"])
    canary = "canary-4711"
    stranger = place.agency("XX-ZZ")
    stranger.add(fr)
    stranger.approve(fr)
    for agency in [*agencies, stranger]:
        agency.start()
    ref, _ = fr.new(f"{canary} title", "--set", f"problem={canary}", "--set", f"tags={canary}")
    fr.run("set", ref, f"title={canary} again")
    fr.run("need", "new", "--title", f"{canary}", "--set", f"{canary}=1", check_code=False)
    fr.run("import", place.write("bad.jsonl", f'{{"{canary}": 1}}\n'), "--profile", "records", check_code=False)
    fr.load(make_rows(place, "rows.jsonl", "misp-galaxy", 100, canary), "misp-galaxy")
    wait_converged(agencies)
    os.kill(fr.link_pid(), 9)
    os.kill(nl.worker_pid(), 9)
    fr.run("peer", "add", place.write("bad.card", canary), check_code=False)
    nl.kill()
    nl.start()
    wait_converged(agencies)
    for agency in [*agencies, stranger]:
        if agency.process is not None:
            agency.stop()
        text = agency.log()
        for line in text.splitlines():
            check(LOG_LINE.fullmatch(line) is not None, f"not key=value: {line}")
        check(canary not in text, f"the log of {agency.code} says what a record says")
        keys = os.path.join(agency.home, "keys")
        for name in os.listdir(keys):
            with open(os.path.join(keys, name), "rb") as file:
                key = file.read()
            for at in range(0, len(key) - 8):
                check(key[at:at + 8].hex() not in text, f"the log of {agency.code} holds a piece of {name}")


@test
def modes(place):
    """Under umask 0 still nothing in a home is open to others."""
    fr = place.agency("FR-PN", umask=0)
    nl = place.agency("NL-PO", umask=0)
    for one, other in ((fr, nl), (nl, fr)):
        one.add(other)
        one.approve(other)
    fr.new("Local", to="agency")
    for agency in (fr, nl):
        agency.start()
    fr.new("Remote")
    wait_converged([fr, nl])
    os.kill(fr.worker_pid(), 9)
    fr.verify()

    def check_home(agency):
        for base, folders, names in os.walk(agency.home):
            for path in [base] + [os.path.join(base, name) for name in folders + names]:
                info = os.lstat(path)
                check(stat.S_IMODE(info.st_mode) & 0o077 == 0 or path.endswith("ilea.conf"),
                      f"{path} has mode {stat.S_IMODE(info.st_mode):o}")

    for agency in (fr, nl):
        os.chmod(os.path.join(agency.home, "ilea.conf"), 0o600)  # support.py wrote it
        check_home(agency)
        if place.memory:
            for base, _, names in os.walk(agency.guard):
                check(names or base != agency.guard, "no guard file")
                for name in names:
                    mode = stat.S_IMODE(os.lstat(os.path.join(base, name)).st_mode)
                    same(mode, 0o600, f"mode of {name}")
        agency.stop()
        check_home(agency)
    import shutil
    shutil.rmtree(os.path.join(fr.home, "view"))
    fr.status()
    check_home(fr)


@test
def second_start(place):
    """Starts and stops one after the other keep the feed: no new one but after a boot or a restore."""
    if not place.memory:
        raise Failure("no memory-backed folder")
    fr = place.agency("FR-PN")
    for i in range(4):
        fr.new(f"Local {i}")
        fr.new(f"Local draft {i}", to="agency")
        fr.start()
        fr.new(f"Remote {i}")
        fr.new(f"Remote draft {i}", to="agency")
        fr.kill() if i % 2 else fr.stop()
    same((len(fr.feeds(scope="all-peers")), len(fr.feeds(scope="agency"))), (1, 1), "feeds")
    same(fr.status()["records"], 16, "records")
    fr.verify()
