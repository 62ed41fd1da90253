"""What must survive: killed processes, restored and cloned homes, damaged files, full disks."""
import os
import shutil
import signal
import subprocess
import time

from support import (Agency, Background, DATAERR, Failure, IOERR, Options, SOFTWARE, Skip, check, check_heads,
                     federation, is_sanitized, make_rows, real_or_made, same, test, wait_converged, wait_for)


class Writer:
    """Writes records with `ilea need new` for as long as the test wants, and remembers each acknowledged line."""

    def __init__(self, agency, rng):
        self.agency, self.rng = agency, rng
        self.shared, self.own, self.refused = {}, {}, 0
        self.background = Background(self._write)

    def _write(self, stopping):
        number = 0
        while not stopping.is_set():
            own = self.rng.random() < 0.2
            title = f"{self.agency.code} {'own' if own else 'shared'} {number}"
            number += 1
            result = self.agency.run("need", "new", "--title", title, "--to", "agency" if own else "all-peers",
                                     check_code=False)
            if result.out.endswith("\n"):
                ref, record = result.out.split()
                (self.own if own else self.shared)[record] = (ref, title)
            else:
                check(result.code != 0, "nothing was printed, and still exit code 0:", result)
                self.refused += 1
            time.sleep(self.rng.random() * 0.05)

    def finish(self):
        self.background.finish()


class Importer:
    """Imports generated rows, file after file; remembers how many of each were acknowledged."""

    def __init__(self, place, agency, rows=400):
        self.place, self.agency, self.rows = place, agency, rows
        self.files, self.acknowledged = [], {}
        self.background = Background(self._write)

    def _write(self, stopping):
        while not stopping.is_set():
            prefix = f"{self.agency.code}-batch-{len(self.files)}"
            path = make_rows(self.place, prefix + ".jsonl", "misp-galaxy", self.rows, prefix)
            self.files.append(path)
            result = self.agency.run("import", path, "--profile", "misp-galaxy", "--to", "all-peers", "--json",
                                     check_code=False)
            if result.out:
                counts = result.json()
                self.acknowledged[prefix] = counts["created"] + counts["updated"] + counts["unchanged"]
            time.sleep(0.05)

    def finish(self):
        self.background.finish()

    def check(self, records):
        """All that was counted is there."""
        titles = {}
        for record in records.values():
            if "-batch-" in record["title"]:
                prefix = record["title"].split()[0]
                titles[prefix] = titles.get(prefix, 0) + 1
        for prefix, count in self.acknowledged.items():
            check(titles.get(prefix, 0) >= count, f"{prefix}: {count} acknowledged, {titles.get(prefix, 0)} there")


@test
def kill_daemons(place):
    """SIGKILL a daemon again and again while all write, import and sync: nothing acknowledged is lost."""
    agencies = federation(place, ["FR-PN", "NL-PO", "PL-KG"])
    for agency in agencies:
        agency.start()
    writers = [Writer(agency, place.random) for agency in agencies]
    importer = Importer(place, agencies[0])
    for _ in range(Options.rounds):
        time.sleep(place.random.random() * 0.4)
        victim = place.random.choice(agencies)
        victim.kill()
        time.sleep(place.random.choice([0, 0, 0.02, 0.1]))
        victim.start()
    for writer in writers + [importer]:
        writer.finish()
    for status in wait_converged(agencies, 90):
        same((status["waiting_for_keys"], status["unreadable"]), (0, 0), f"not readable at {status['agency']}")
    for agency in agencies:
        agency.verify()
        records = agency.export()
        for writer in writers:
            for record, (ref, title) in writer.shared.items():
                check(record in records, f"{ref} was acknowledged and is not at {agency.code}")
                same((records[record]["title"], records[record]["ref"], records[record]["agency"]),
                     (title, ref, writer.agency.code), f"{ref} at {agency.code}")
            for record, (ref, title) in writer.own.items():
                same(record in records, writer.agency is agency,
                     f"{ref}, for {writer.agency.code} alone, at {agency.code}")
        importer.check(records)
        refs = [record["ref"] for record in records.values()]
        same(len(set(refs)), len(refs), f"different refs at {agency.code}")
        # A crash of the process alone keeps permission to go on with the feed.
        for scope in ("all-peers", "agency"):
            same(len(agency.feeds(agency.code, scope)), 1, f"feeds of {agency.code} for {scope}")
    check_heads(agencies)
    check(all(len(writer.shared) > 5 for writer in writers), "hardly anything was written")


@test
def kill_command(place):
    """SIGKILL the command line in the middle of an import, with and without a daemon: what is in is whole."""
    fr = place.agency("FR-PN")
    path = real_or_made(place, "misp-galaxy.jsonl.gz", "misp-galaxy", 8000)
    seen = 0
    for attempt in range(8):
        if attempt == 4:
            fr.start()
        process = place.popen(fr.words("import", path, "--profile", "misp-galaxy", "--to", "all-peers"),
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.02 + place.random.random() * 0.3)
        process.kill()
        process.wait()
        fr.verify()
        records = fr.status()["records"]
        check(records >= seen, f"{seen} records were there, now {records}")
        seen = records
    counts = fr.load(path, "misp-galaxy")
    total = counts["created"] + counts["unchanged"]
    same((counts["updated"], counts["bad"]), (0, 0), "counts of the last import")
    check(counts["unchanged"] >= seen, f"{counts['unchanged']} unchanged, {seen} were there")
    fr.verify()
    same(fr.status()["records"], total, "records")
    same(len(fr.feeds()), 1, "feeds")
    fr.stop()
    same(fr.load(path, "misp-galaxy"), {"bad": 0, "created": 0, "unchanged": total, "updated": 0}, "again, locally")


@test
def kill_link(place):
    """SIGKILL ilea-link at both ends of a transfer: it is replaced within seconds and nothing is lost."""
    fr, nl = agencies = federation(place, ["FR-PN", "NL-PO"])
    for agency in agencies:
        agency.start()
    importer = Importer(place, fr, 2000)
    writer = Writer(nl, place.random)
    killed = {fr: 0, nl: 0}
    for agency in (fr, nl, fr, nl):
        time.sleep(0.2 + place.random.random() * 0.3)
        before = wait_for("ilea-link", agency.link_pid, 5)
        os.kill(before, signal.SIGKILL)
        killed[agency] += 1
        wait_for("another ilea-link", lambda: agency.link_pid() not in (0, before), 5, 0.01)
    importer.finish()
    writer.finish()
    wait_converged(agencies)
    for agency in agencies:
        same(agency.status()["link_restarts"], killed[agency], f"restarts at {agency.code}")
        agency.verify()
        records = agency.export()
        importer.check(records)
        check(set(writer.shared) <= set(records), f"an acknowledged record is not at {agency.code}")


@test
def kill_view_worker(place):
    """SIGKILL the view worker: it is replaced and the view goes on where it was."""
    fr = place.agency("FR-PN").start()
    path = make_rows(place, "rows.jsonl", "misp-galaxy", 3000)
    loading = Background(lambda _: fr.load(path, "misp-galaxy"))
    for _ in range(3):
        time.sleep(place.random.random() * 0.1)
        before = wait_for("view worker", fr.worker_pid, 5, 0.01)
        os.kill(before, signal.SIGKILL)
        wait_for("another view worker", lambda: fr.worker_pid() not in (0, before), 5, 0.01)
    loading.finish()
    wait_for("all records", lambda: fr.status()["records"] == 3000)
    fr.verify()
    ref, _ = fr.new("After the worker")
    fr.run("set", ref, "title=And changed")
    same(fr.json("show", ref)["title"], "And changed", "title")


def damage_pages(path, rng, count, spare=2):
    """Overwrite some pages of an LMDB file, leaving the first ones alone."""
    pages = os.path.getsize(path) // 4096
    with open(path, "r+b") as file:
        for _ in range(count):
            file.seek(4096 * rng.randrange(spare, pages))
            file.write(rng.randbytes(4096))


def view_file(agency):
    with open(os.path.join(agency.home, "view", "current"), encoding="ascii") as file:
        return os.path.join(agency.home, "view", file.read().strip(), "data.mdb")


@test
def damaged_view(place):
    """A view that is damaged, cut off or gone is rebuilt from the log, by daemon and command line alike."""
    fr = place.agency("FR-PN")
    fr.load(make_rows(place, "rows.jsonl", "misp-galaxy", 1500), "misp-galaxy")
    good = fr.export()

    def pages():
        damage_pages(view_file(fr), place.random, 40)

    def all_pages():
        damage_pages(view_file(fr), place.random, 4000)

    def heads():
        with open(view_file(fr), "r+b") as file:
            file.write(os.urandom(8192))

    def cut():
        os.truncate(view_file(fr), os.path.getsize(view_file(fr)) // 8192 * 4096)

    def empty():
        os.truncate(view_file(fr), 0)

    def gone():
        shutil.rmtree(os.path.join(fr.home, "view"))

    def no_current():
        os.unlink(os.path.join(fr.home, "view", "current"))

    def nonsense_current():
        with open(os.path.join(fr.home, "view", "current"), "w", encoding="ascii") as file:
            file.write("../../keys\n")

    outcomes = {}
    kinds = [pages, all_pages, heads, cut, empty, gone, no_current, nonsense_current]
    if is_sanitized():  # LMDB reads beyond damaged pages; without a sanitizer that is caught and told
        kinds.remove(pages)
        kinds.remove(all_pages)
    for damage in kinds:
        for with_daemon in (True, False):
            name = f"{damage.__name__}, {'daemon' if with_daemon else 'local'}"
            damage()
            try:
                how = mend(fr, good, name, with_daemon)
                outcomes[how] = outcomes.get(how, 0) + 1
                fr.verify()
                ref, _ = fr.new(f"Written after {name}")
                fr.run("set", ref, "problem=changed")
                same(fr.json("show", ref)["problem"], "changed", "field")
                good = fr.export()
                if with_daemon:
                    fr.stop()
            except Failure as failure:
                raise Failure(f"{name}: {failure}") from None
    place.note(", ".join(f"{count} {name}" for name, count in outcomes.items()))
    # A record that is wrong in the view alone: verify tells, and the view is rebuilt.
    with open(view_file(fr), "r+b") as file:
        content = file.read()
        at = content.index(b"row 77 ")
        while at >= 0:
            file.seek(at)
            file.write(b"wrong!!")
            at = content.find(b"row 77 ", at + 1)
    result = fr.run("verify", check_code=DATAERR)
    check("will be rebuilt" in result.err, str(result))
    check(fr.export() == good, "records after the rebuild")
    fr.verify()


def mend(agency, good, name, with_daemon):
    """Whatever happens to a damaged view: it is rebuilt, or an error says what to do, and that helps."""
    if with_daemon:
        agency.start(again_on=(SOFTWARE,))
    result = agency.run("need", "new", "--title", f"Written beside {name}", check_code=False)
    crashes = 0
    end = time.monotonic() + 15 * Options.slow
    while True:
        if with_daemon and agency.process.poll() is not None:  # as systemd does
            same(agency.process.poll(), SOFTWARE, f"exit code of the daemon: {agency.log_tail()}")
            agency.process = None
            crashes += 1
            check(crashes <= 2, "the daemon ends again and again")
            agency.start(again_on=(SOFTWARE,))
        if result.code not in (0, IOERR):
            check(result.code in (DATAERR, SOFTWARE) and result.err.startswith("ilea: "), str(result))
            check("rebuilt" in result.err or "ilea verify" in result.err, str(result))
        result = agency.run("export", check_code=False)
        if result.code == 0:
            records = {line["id"]: line for line in result.lines()}
            if all(records.get(key) == value for key, value in good.items()):
                return "rebuilt" + (" after a crash" if crashes > 0 else "")
            check(with_daemon, "records are missing, and no error")
        check(time.monotonic() < end, f"not rebuilt: {result}")
        time.sleep(0.1)


@test
def flipped_bits(place):
    """One flipped bit in the log: found by verify, refused, or of no effect; never a wrong record in silence."""
    fr = place.agency("FR-PN")
    fr.load(make_rows(place, "rows.jsonl", "misp-galaxy", 300), "misp-galaxy")
    good = fr.export()
    whole = place.path("whole")
    shutil.copytree(fr.home, whole)
    outcomes = {"found": 0, "refused": 0, "no effect": 0, "crashed": 0}
    for attempt in range(Options.rounds * 2):
        shutil.rmtree(fr.home)
        shutil.copytree(whole, fr.home)
        shutil.rmtree(os.path.join(fr.home, "view"))
        path = os.path.join(fr.home, "log", "data.mdb")
        bit = place.random.randrange(8 * os.path.getsize(path))
        with open(path, "r+b") as file:
            file.seek(bit // 8)
            byte = file.read(1)[0]
            file.seek(bit // 8)
            file.write(bytes([byte ^ 1 << bit % 8]))
        shown = fr.run("export", check_code=False, lmdb_may_stumble=True)
        verified = fr.run("verify", check_code=False, lmdb_may_stumble=True)
        if verified.code == DATAERR:
            outcomes["found"] += 1
        elif "Sanitizer" in verified.err:
            check("liblmdb" in verified.err, f"bit {bit}: {verified}")
            outcomes["crashed"] += 1
        elif verified.code == SOFTWARE:  # LMDB itself stumbled over it
            outcomes["crashed"] += 1
            check("may be damaged" in verified.err, f"bit {bit}: {verified}")
        elif verified.code != 0 or shown.code != 0:
            check(verified.err.startswith("ilea: ") or shown.err.startswith("ilea: ") or "liblmdb" in shown.err,
                  f"bit {bit}: {verified}")
            outcomes["refused"] += 1
        else:
            same({line["id"]: line for line in shown.lines()} == good, True, f"bit {bit}: records as before")
            outcomes["no effect"] += 1
    place.note(", ".join(f"{count} {name}" for name, count in outcomes.items()))


@test
def restored(place):
    """An older copy of a home: it goes on in a new feed, and what it lost comes back from its peer."""
    fr, nl = agencies = federation(place, ["FR-PN", "NL-PO"])
    for agency in agencies:
        agency.start()
    old = [fr.new(f"Before the backup {i}") for i in range(5)]
    wait_converged(agencies)
    fr.stop()
    backup = place.path("backup")
    subprocess.run(["cp", "-a", fr.home, backup], check=True)
    fr.start()
    lost = [fr.new(f"After the backup {i}") for i in range(5)]
    fr.run("set", old[0][0], "title=Changed after the backup")
    lost_draft = fr.new("A draft after the backup", to="agency")
    wait_converged(agencies)
    feed = fr.feeds("FR-PN")[0]["feed"]
    fr.stop()
    shutil.rmtree(fr.home)
    subprocess.run(["cp", "-a", backup, fr.home], check=True)

    fr.start()
    new = [fr.new(f"After the restore {i}") for i in range(3)]
    wait_converged(agencies)
    records = fr.export()
    for ref, record in old + lost + new:
        check(record in records, f"{ref} is missing after the restore")
    check(lost_draft[1] not in records, "what was for the agency alone came back from others")
    same(records[old[0][1]]["title"], "Changed after the backup", "a change that was lost")
    feeds = {entry["feed"]: entry for entry in fr.feeds("FR-PN")}
    same(len(feeds), 2, "feeds of FR-PN: the old one and that of the restored home")
    check(feed in feeds, "the old feed is there")
    same(sorted((entry["feed"], entry["seq"], entry["head"]) for entry in feeds.values()),
         sorted((entry["feed"], entry["seq"], entry["head"]) for entry in nl.feeds("FR-PN")), "feeds at both")
    at_peer = nl.export()
    same({key: value["ref"] for key, value in records.items()}, {key: value["ref"] for key, value in at_peer.items()},
         "refs at both")
    refs = [value["ref"] for value in records.values()]
    same(len(set(refs)), len(refs), f"different refs among {sorted(refs)}")
    for ref, record in (old[1], lost[1], new[1]):  # all of them can be changed still
        shown = records[record]["ref"]
        fr.run("set", shown, "problem=edited after the restore")
    wait_converged(agencies)
    for _, record in (old[1], lost[1], new[1]):
        same(nl.json("show", record)["problem"], "edited after the restore", "edit at the peer")
    check_heads(agencies)
    for agency in agencies:
        agency.verify()
    fr.stop()
    fr.start()
    fr.new("Once more")
    same(len(fr.feeds("FR-PN")), 2, "feeds of FR-PN after another start")
    wait_converged(agencies)


@test
def restored_alone(place):
    """As restored, but it writes before it meets its peer, and the same numbers were taken."""
    fr, nl = agencies = federation(place, ["FR-PN", "NL-PO"])
    for agency in agencies:
        agency.start()
    fr.new("Before")
    wait_converged(agencies)
    fr.stop()
    backup = place.path("backup")
    subprocess.run(["cp", "-a", fr.home, backup], check=True)
    fr.start()
    lost = [fr.new(f"Lost {i}") for i in range(4)]
    wait_converged(agencies)
    fr.stop()
    nl.stop()
    shutil.rmtree(fr.home)
    subprocess.run(["cp", "-a", backup, fr.home], check=True)
    new = [fr.new(f"New {i}") for i in range(6)]  # without a daemon
    fr.start()
    new += [fr.new(f"New {i}") for i in range(6, 8)]
    nl.start()
    wait_converged(agencies)
    for agency in agencies:
        records = agency.export()
        for _, record in lost + new:
            check(record in records, f"a record is missing at {agency.code}")
        refs = {value["ref"]: key for key, value in records.items()}
        same(len(refs), 13, f"refs at {agency.code}")
        for ref, record in refs.items():
            same(agency.json("show", ref)["id"], record, f"record by {ref}")
        agency.verify()
    same({key: value["ref"] for key, value in fr.export().items()},
         {key: value["ref"] for key, value in nl.export().items()}, "refs at both")
    check_heads(agencies)
    same(len(fr.feeds("FR-PN")), 2, "feeds of FR-PN")


@test
def cloned(place):
    """Two copies of one home run at once: two feeds, never two commits with one number."""
    nl = place.agency("NL-PO")
    fr = place.agency("FR-PN", listen=False)
    for one, other in ((fr, nl), (nl, fr)):
        one.add(other)
        one.approve(other)
    for agency in (fr, nl):
        agency.start()
    shared = fr.new("Before the clone")
    wait_converged([fr, nl])
    fr.stop()
    home = place.path("clone")
    subprocess.run(["cp", "-a", fr.home, home], check=True)
    for same_machine in (True, False):
        clone = Agency(place, "FR-PN", listen=False, home=home)
        clone.log_path = place.path(f"clone-{same_machine}.log")
        if not same_machine:  # another machine has another /run
            clone.set_guard(os.path.join(place.memory, "elsewhere"))
        fr.start()
        clone.start()
        written = []
        for i in range(6):
            written.append(fr.new(f"Original {same_machine} {i}"))
            written.append(clone.new(f"Clone {same_machine} {i}"))
            time.sleep(0.1)
        clone.run("set", shared[1], f"title=Changed at the clone {same_machine}")
        fr.run("set", shared[1], f"title=Changed at the original {same_machine}")
        check_heads([fr, clone, nl])
        fr.stop()
        wait_for("the clone's records at the peer", lambda: clone.status()["frontier"] == nl.status()["frontier"], 45)
        clone.stop()
        fr.start()
        wait_converged([fr, nl], 45)
        records = nl.export()
        for ref, record in written:
            check(record in records, f"{ref} is missing at the peer")
        check_heads([fr, clone, nl])
        fr.stop()
        place.agencies.remove(clone)
        for agency in (fr, clone, nl):
            check("feed_diverged" not in agency.log(), "a fork")
    clone.start()
    fr.start()
    wait_converged([fr, nl], 45)
    for agency in (fr, nl):
        agency.verify()


@test
def full_disk_alone(place):
    """No space left and no daemon: one line that says so, and what could not be made can be made later."""
    folder = place.path("small")
    os.mkdir(folder)
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs", folder], check=False,
                           capture_output=True)
    if mount.returncode != 0:
        raise Skip("mounting a small disk is not permitted here")
    place.mounts.append(folder)
    fr = Agency(place, "FR-PN", listen=False, home=os.path.join(folder, "fr"))
    words = ["init", "--agency", "FR-PN", "--country", "FR"]
    result = fr.run(*words, check_code=IOERR)
    same(result.err.count("\n"), 1, "lines of a failed init")
    subprocess.run(["mount", "-o", "remount,size=8m", folder], check=True)
    fr.init()
    path = make_rows(place, "rows.jsonl", "misp-galaxy", 20000)
    result = fr.run("import", path, "--profile", "misp-galaxy", "--json", check_code=IOERR)
    same(result.err.count("\n"), 1, f"lines of an import onto a full disk: {result.err[:300]!r}")
    same(result.json()["bad"], 0, "bad lines")
    counted = result.json()["created"]
    if not is_sanitized():  # LMDB's mapped pages have no place there: the sanitizer takes that for a fault of ours
        result = fr.run("verify", check_code=False)
        check(result.code in (0, IOERR), f"verify on a full disk: {result}")
    subprocess.run(["mount", "-o", "remount,size=400m", folder], check=True)
    check(len(fr.export()) >= counted, "records that were counted")
    fr.verify()


@test
def full_disk(place):
    """No space left: the daemon says so, keeps what it has, and goes on once there is space."""
    folder = place.path("small")
    os.mkdir(folder)
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m,mode=0700", "tmpfs", folder], check=False,
                           capture_output=True)
    if mount.returncode != 0:
        raise Skip("mounting a small disk is not permitted here")
    place.mounts.append(folder)
    nl = place.agency("NL-PO")
    fr = place.agency("FR-PN", home=os.path.join(folder, "fr"))
    for one, other in ((fr, nl), (nl, fr)):
        one.add(other)
        one.approve(other)
    for agency in (fr, nl):
        agency.start()
    acknowledged = dict([fr.new("Before it was full")][::-1] and [fr.new("Also before")[::-1]])
    with open(os.path.join(folder, "ballast"), "wb") as file:
        file.write(bytes(5 << 20))
    path = make_rows(place, "rows.jsonl", "misp-galaxy", 20000)
    result = fr.run("import", path, "--profile", "misp-galaxy", "--to", "all-peers", "--json", check_code=False)
    same(result.code, IOERR, f"exit code of an import onto a full disk ({result.err.strip()[-200:]})")
    check(result.err.startswith("ilea: ") and result.err.count("\n") <= 2, f"message: {result.err!r}")
    counted = result.json()["created"]
    # Again: lines that the view does not show yet would wait for it, and it has no room.
    again = fr.run("import", path, "--profile", "misp-galaxy", "--to", "all-peers", "--json", check_code=False,
                   seconds=60)
    same(again.code, IOERR, f"exit code of the same import again ({again.err.strip()[-200:]})")
    check(again.err.count("\n") <= 2, f"message: {again.err[:300]!r}")
    for i in range(5):
        result = fr.run("need", "new", "--title", f"While it is full {i}", "--to", "all-peers", check_code=False)
        if result.code == 0:
            acknowledged[result.out.split()[1]] = result.out.split()[0]
        else:
            same(result.code, IOERR, str(result))
            check(result.err.startswith("ilea: ") and result.err.count("\n") == 1, f"message: {result.err!r}")
    # The peer's writes cannot be taken in either: they wait.
    nl.load(make_rows(place, "more.jsonl", "misp-galaxy", 500, "of-the-peer"), "misp-galaxy")
    time.sleep(1)
    check(fr.process.poll() is None, f"the daemon ended with {fr.process.poll()}: {fr.log_tail()}")
    check("space" in fr.log(), f"the log does not tell: {fr.log_tail()}")
    os.unlink(os.path.join(folder, "ballast"))
    subprocess.run(["mount", "-o", "remount,size=400m", folder], check=True)

    def writes():
        result = fr.run("need", "new", "--title", "After", "--to", "all-peers", check_code=False)
        if result.code == 0:
            acknowledged[result.out.split()[1]] = result.out.split()[0]
        return result.code == 0

    wait_for("write once there is space", writes, 15)
    wait_converged([fr, nl])
    for agency in (fr, nl):
        records = agency.export()
        for record, ref in acknowledged.items():
            check(record in records, f"{ref} was acknowledged and is not at {agency.code}")
        check(sum(1 for value in records.values() if value["agency"] == "FR-PN") >= counted, "acknowledged lines")
        same(sum(1 for value in records.values() if value["agency"] == "NL-PO"), 500, "records of the peer")
        agency.verify()
    fr.stop()
