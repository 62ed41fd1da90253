"""What tools and administrators rely on: import, export, changes, logs, modes of files, clean stops."""
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time

from support import (DATAERR, ROOT, TEMPFAIL, USAGE, Failure, Skip, check, federation, is_sanitized, make_rows, program,
                     real_or_made, same, test, wait_converged, wait_for)


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
        loading = threading.Thread(target=fr.run,
                                   args=("import", path, "--profile", "misp-galaxy", "--to", "all-peers"),
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


@test
def crowd(place):
    """Many commands at once, with and without a daemon: each is done or says so, and no ref is given twice."""
    fr, nl = agencies = federation(place, ["FR-PN", "NL-PO"])
    nl.start()
    acknowledged, other = [], []

    def write(number):
        for i in range(5):
            result = fr.run("need", "new", "--title", f"{number} {i}", "--to", "all-peers", check_code=False)
            if result.code == 0:
                acknowledged.append(tuple(result.out.split()))
            else:
                other.append(result)

    for count in (8, 60):  # more than are served at a time
        threads = [threading.Thread(target=write, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if count == 8:
            fr.start()
    for result in other:
        check(result.code == TEMPFAIL and result.err.startswith("ilea: ") and result.err.count("\n") == 1, str(result))
    check(len(acknowledged) >= 200, f"{len(acknowledged)} of 340 written")
    wait_converged(agencies)
    for agency in agencies:
        records = agency.export()
        same({(record["ref"], key) for key, record in records.items()}, set(acknowledged), f"records at {agency.code}")
        agency.verify()
    same(len({ref for ref, _ in acknowledged}), len(acknowledged), "different refs")


@test
def control_noise(place):
    """Garbage on the control socket, clients that stop in the middle: the daemon serves the others."""
    fr = place.agency("FR-PN").start()

    def connect():
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(5)
        client.connect(os.path.join(fr.home, "control.sock"))
        return client

    clients = []
    for content in (b"", b"\0", b"\0\0\0\1", b"\xff\xff\xff\xff\1", b"\0\0\0\0", b"\0\0\0\1\0", b"\0\0\0\1\1",
                    b"\0\0\0\2\1\x90", b"\0\0\0\2\1\x91", b"\0\0\0\4\1\x91\xc4\x00", b"\0\0\0\6\1\x93\xc4\x01\x00\xc4",
                    b"\0\0\0\2\2\x91", b"\0\0\0\2\3\x90", b"\0\0\0\3\4\x91\xc0", b"\0\0\0\2\5\x90",
                    b"\0\7\xff\xff\1\x9f",
                    os.urandom(1 << 16), b"\0\0\0\2\2\x90" * 20000):
        client = connect()
        try:
            client.sendall(content)
        except OSError:
            pass
        clients.append(client)
        ref, _ = fr.new("Beside noise", to="agency")
        if len(content) > 1:
            client.close()
    same(fr.process.poll(), None, "exit code of the daemon")
    for client in clients:
        client.close()
    same(fr.status()["records"], 18, "records")
    fr.verify()
    fr.stop()


@test
def big_records(place):
    """The largest records that are taken in reach the peer; what is larger is refused where it is written."""
    fr, nl = agencies = federation(place, ["FR-PN", "NL-PO"])
    for agency in agencies:
        agency.start()
    written, refused = {}, 0
    for size in (1000, 50000, 60000, 65000, 70000, 100000, 131072, 140000, 200000, 220000, 230000, 300000, 900000):
        row = {"type": "need", "title": f"{size} bytes", "x": {f"k{i}": "y" * 900 for i in range(size // 910)}}
        result = fr.run("import", place.write("big.jsonl", json.dumps(row) + "\n"), "--profile", "records", "--to",
                        "all-peers", "--json", check_code=False)
        if result.code == 0:
            same(refused, 0, f"refused before a record of {size} bytes was taken in")
            written[row["title"]] = row["x"]
        else:
            same((result.code, result.err.count("\n")), (DATAERR, 1), str(result))
            refused += 1
    check(len(written) >= 9 and refused >= 1, f"{len(written)} written, {refused} refused")
    tags = [f"tag {i}" for i in range(3000)]
    row = {"type": "need", "title": "tags", "tags": tags}
    fr.load(place.write("tags.jsonl", json.dumps(row) + "\n"), "records")
    wait_converged(agencies)
    for agency in agencies:
        records = {record["title"]: record for record in agency.export().values()}
        for title, extra in written.items():
            check(records[title]["x"] == extra, f"record of {title} at {agency.code}")
        same(sorted(records["tags"]["tags"]), sorted(tags), f"tags at {agency.code}")
        agency.verify()


@test
def paused(place):
    """A peer that stands still while the other one imports catches up when it goes on."""
    fr, nl = agencies = federation(place, ["FR-PN", "NL-PO"])
    for agency in agencies:
        agency.start()
    fr.new("Before")
    wait_converged(agencies)
    stopped = [nl.process.pid, nl.link_pid(), nl.worker_pid()]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    path = real_or_made(place, "misp-galaxy.jsonl.gz", "misp-galaxy", 5000)
    count = fr.load(path, "misp-galaxy")["created"]
    fr.new("Nobody waits for it")
    time.sleep(1)
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    wait_converged(agencies)
    same(nl.status()["records"], count + 2, "records")
    nl.verify()


@test
def compact(place):
    """Log and view without free pages, with and without a daemon: smaller, the same records, and nothing of what was
    deleted is left in the files; an attempt that was cut short does no harm."""
    fr, nl = federation(place, ["FR-PN", "NL-PO"])
    log, view = os.path.join(fr.home, "log"), os.path.join(fr.home, "view")
    ref, _ = fr.new("Kept")
    for i in range(150):
        fr.run("set", ref, "body=" + f"overwritten text {i} " * 200)
    fr.run("set", ref, "body=")
    os.mkdir(os.path.join(log, "compact"), 0o700)  # of an attempt that was killed
    with open(os.path.join(log, "compact", "data.mdb"), "wb") as file:
        file.write(b"half a copy")
    before = fr.status()
    sizes = fr.json("compact")["compact"]
    check(sizes["view_after"] < sizes["view_before"], "the view did not get smaller:", sizes)
    check(sizes["log_after"] <= sizes["log_before"], "the log got larger:", sizes)
    check("compact" not in os.listdir(log), "something is left:", os.listdir(log))
    same(len([name for name in os.listdir(view) if name.isdigit()]), 1, f"generations of the view: {os.listdir(view)}")
    for folder, _, files in os.walk(view):
        for name in files:
            with open(os.path.join(folder, name), "rb") as file:
                check(b"overwritten text" not in file.read(), "the text is still in", folder, name)
    after = fr.status()
    same((after["frontier"], after["view"], after["records"]), (before["frontier"], before["view"], before["records"]),
         "what is there")
    fr.verify()
    # A daemon does it, serves afterwards, and goes on with its feed; a follower of changes stays.
    fr.start()
    nl.start()
    wait_converged([fr, nl])
    fr.new("Before it is compacted")
    feeds = len(fr.status()["feeds"])
    text = fr.run("compact").out
    check("KiB" in text and "Backups" in text, "what was done is not said:", text)
    fr.new("After it is compacted")
    same(len(fr.status()["feeds"]), feeds, "feeds: no new one is begun")
    wait_converged([fr, nl])
    check("After it is compacted" in {record["title"] for record in nl.export().values()}, "not at the peer")
    fr.run("compact", "now", check_code=USAGE)
    fr.stop()
    fr.verify()
    fr.run("audit", "verify")


@test
def benchmarks(place):
    """bench/run.py goes through, small: what it sends is what the daemon takes."""
    build = os.path.dirname(os.path.dirname(os.path.abspath(program("ilea"))))
    if is_sanitized() or not os.path.exists(os.path.join(build, "bench", "floor")):
        raise Skip("the benchmarks load a release of libilea")
    words = ["--records", "300", "--rounds", "1", "--members", "3", "--document", "2"]
    done = subprocess.run([sys.executable, os.path.join(ROOT, "bench", "run.py"), *words], capture_output=True,
                          text=True, check=False, timeout=240,
                          env={**os.environ, "BENCH_BUILD": build, "BENCH_TMP": place.folder,
                               "ILEA_IMPORT_DIR": os.path.join(ROOT, "config", "import")})
    same(done.returncode, 0, "exit status of run.py: " + done.stderr[-300:])
    told = {json.loads(line)["figure"] for line in done.stdout.splitlines()}
    missing = {"import", "first_sync_until_readable", "write_visible_at_peer_p99", "revoke_one_of_many",
               "audience_epoch_sealed", "audience_member_removed", "fetch"} - told
    same(missing, set(), "figures that were not told")
