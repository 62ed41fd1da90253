"""Documents: files that belong to records, over links that break, and who may have them."""
import filecmp
import glob
import os
import random
import re
import subprocess
import threading
import time

import support
from support import (CANTCREAT, DATAERR, IOERR, NOINPUT, NOPERM, TEMPFAIL, USAGE, BIG, Agency, Line, Skip, check,
                     children, federation, folder_contains, same, test, wait_converged, wait_for, waits)

MIB = 1 << 20


def make_file(place, name, size):
    """Bytes that are the same with the same seed, in pieces."""
    rng = random.Random(f"{name}/{size}")
    path = place.path(name)
    with open(path, "wb") as file:
        for start in range(0, size, MIB):
            file.write(rng.randbytes(min(MIB, size - start)))
    return path


def percent(agency, ref, name):
    return {entry["name"]: entry["percent"] for entry in agency.json("show", ref).get("documents", [])}.get(name)


def fetch(agency, ref, path, *words, seconds=120):
    """Fetch into a folder of its own, and compare."""
    folder = agency.place.path(f"{agency.code}-{len(os.listdir(agency.place.folder))}")
    os.mkdir(folder)
    result = agency.run("fetch", ref, "--out", folder, *words, seconds=seconds)
    for entry in os.listdir(folder):
        check(filecmp.cmp(os.path.join(folder, entry), path, shallow=False), f"{entry} at {agency.code} differs")
    same(os.listdir(folder), [os.path.basename(path)], "fetched files")
    return result


def blobs(agency):
    return sorted(os.path.basename(path) for path in glob.glob(os.path.join(agency.home, "blobs", "*")))


def over_line(place, line):
    """FR-PN, who listens behind the line, and NL-PO, who dials."""
    fr = Agency(place, "FR-PN", port=line.port).init()
    nl = place.agency("NL-PO", listen=False)
    for one, other in ((fr, nl), (nl, fr)):
        one.add(other)
        one.approve(other)
    fr.extra = ["--listen", f"tcp://127.0.0.1:{line.target}"]
    fr.start()
    nl.start()
    return fr, nl


def memory(agency):
    """Peak and present resident KiB of an agency's processes, by name."""
    found = {}
    for pid, name in {agency.process.pid: "ilea-node", **children(agency.process.pid)}.items():
        try:
            with open(f"/proc/{pid}/status", encoding="ascii") as file:
                text = file.read()
        except OSError:
            continue
        found[name] = tuple(int(re.search(key + r":\s+(\d+)", text).group(1)) for key in ("VmHWM", "VmRSS"))
    return found


@test
def documents(place):
    """Attached, fetched, the same; taken off, gone everywhere. From who has it when its author is away."""
    a, b, c = federation(place, ["AT-BK", "BE-FP", "CZ-PP"], listen={"BE-FP"})
    secret = b"a phrase that must not lie on any disk in the clear" * 40
    path = place.write("plan.txt", secret + os.urandom(700000))
    ref, _ = a.new("With a plan", to=None)
    said = a.json("attach", ref, path, "--media", "text/plain")["attached"]  # without a daemon, to a draft
    same((said["ref"], said["name"], said["size"]), (ref, "plan.txt", os.path.getsize(path)), "attached")
    for agency in (a, b, c):
        agency.start()
    fetch(a, ref, path)
    a.run("publish", ref, "--to", "all-peers")
    wait_converged([a, b, c])
    same(b.json("show", ref)["documents"],
         [{"name": "plan.txt", "media": "text/plain", "size": os.path.getsize(path), "percent": 0}], "shown")
    text = b.run("show", ref).out
    check("plan.txt" in text and "root" not in text and max(map(len, text.splitlines())) <= 80, "show", text)
    check(not re.search("[0-9a-f]{64}", b.run("export").out.replace(b.json("show", ref)["agency_id"], "")), "a key")
    fetch(b, ref, path)
    same(percent(b, ref, "plan.txt"), 100, "held at B")
    a.stop()
    fetch(c, ref, path)  # of B, who is not its author
    same(len({tuple(blobs(agency)) for agency in (a, b, c)}), 1, "the same files")
    check(not folder_contains(c.home, [secret[:51]]), "the text lies in C's home")
    same(b.json("verify")["documents"], 1, "verified")
    same(b.status()["documents"]["held"], 1, "held by status")
    a.start()
    a.run("detach", ref, "plan.txt")
    for agency in (a, b, c):
        wait_for(f"end of the document at {agency.code}", lambda agency=agency: not blobs(agency), 20)
    check("documents" not in c.json("show", ref), "a document that was taken off")
    check("documents" not in c.status(), "status", c.status())
    a.run("detach", ref, "plan.txt", check_code=NOINPUT)


@test
def document_holders(place):
    """Two who have it, each behind a slow line: it comes from both, and sooner than from one."""
    lines = [Line(), Line()]
    a, b = (Agency(place, code, port=line.port).init() for code, line in zip(("AT-BK", "BE-FP"), lines))
    c = place.agency("CZ-PP", listen=False)
    for one in (a, b, c):
        for other in (a, b, c):
            if one is not other:
                one.add(other)
                one.approve(other)
    for agency, line in zip((a, b), lines):
        agency.extra = ["--listen", f"tcp://127.0.0.1:{line.target}"]
        agency.start()
    path = make_file(place, "film", 12 * MIB)
    ref, _ = a.new("With a film")
    a.run("attach", ref, path)
    wait_converged([a, b])
    fetch(b, ref, path)
    c.start()
    wait_converged([a, b, c])
    for line in lines:
        line.rate, line.bytes = 3 * MIB, 0
    fetch(c, ref, path)
    check(all(line.bytes > 3 * MIB for line in lines), "one did all the work", [line.bytes for line in lines])
    check(sum(line.bytes for line in lines) < 15 * MIB, "both did all of it", [line.bytes for line in lines])
    for line in lines:
        line.close()


@test
def documents_all(place):
    """`documents = all` fetches by itself, several at a time and of several; documents_max is kept to."""
    a, b = federation(place, ["AT-BK", "BE-FP"])
    with open(os.path.join(b.home, "ilea.conf"), "a", encoding="utf-8") as file:
        file.write("documents = all\ndocuments_max = 3M\n")
    a.start()
    b.start()
    ref, _ = a.new("With plans")
    wait_converged([a, b])
    sizes = [MIB, MIB // 2, 1, 5 * MIB]
    for i, size in enumerate(sizes):
        a.run("attach", ref, make_file(place, f"plan{i}", size))
    wait_for("the small ones", lambda: [percent(b, ref, f"plan{i}") for i in range(3)] == [100] * 3, 30)
    same(percent(b, ref, "plan3"), 0, "the one that is too large")
    status = wait_for("a word about it", lambda: (lambda s: s if s["documents"]["full"] else None)(b.status()), 20)
    check(any(item["what"] == "documents" for item in status["attention"]), "attention", status["attention"])
    os.mkdir(place.path("out"))
    result = b.run("fetch", ref, "--name", "plan3", "--out", place.path("out"), check_code=TEMPFAIL)
    check("documents_max" in result.err, "what to do", result)
    fetch(b, ref, place.path("plan0"), "--name", "plan0")


@test
def documents_entitled(place):
    """Who may no longer read the record is given no chunk of it, whatever it knows."""
    a, b = agencies = federation(place, ["AT-BK", "BE-FP"])
    for agency in agencies:
        agency.start()
    path = make_file(place, "plan", 300000)
    ref, _ = a.new("Green", "--tlp", "green")
    a.run("attach", ref, path)
    clear, _ = a.new("Clear", "--tlp", "clear")
    a.run("attach", clear, path)
    wait_converged(agencies)
    a.run("peer", "approve", "BE-FP", "--yes", "--tlp-max", "clear")
    result = b.run("fetch", ref, "--out", place.folder, "--name", "plan", "--wait", "2", check_code=CANTCREAT)
    os.mkdir(place.path("out"))
    result = b.run("fetch", ref, "--out", place.path("out"), "--wait", "2", check_code=TEMPFAIL)
    check("nobody who has it" in result.err, "why", result)
    same(os.listdir(place.path("out")), [], "files")
    fetch(b, clear, path)
    a.run("peer", "approve", "BE-FP", "--yes", "--tlp-max", "green")
    fetch(b, ref, path)


@test
@waits
def document_cut_line(place):
    """A line that is cut every three seconds: it arrives whole, what came before is kept, and memory stays flat."""
    size = 1024 * MIB if BIG else 64 * MIB
    line = Line(rate=None if BIG else 12 * MIB)
    fr, nl = over_line(place, line)
    path = make_file(place, "film", size)
    ref, _ = fr.new("With a film")
    fr.run("attach", ref, path, seconds=600)
    wait_converged([fr, nl])
    before = {agency.code: memory(agency) for agency in (fr, nl)}
    bytes_before, start = line.bytes, time.monotonic()
    ending = threading.Event()

    def cut():
        while not ending.wait(3):
            line.cut()

    cutter = threading.Thread(target=cut, daemon=True)
    cutter.start()
    fetch(nl, ref, path, "--wait", "60", seconds=3600 if BIG else 300)
    took = time.monotonic() - start
    ending.set()
    cutter.join()
    after = {agency.code: memory(agency) for agency in (fr, nl)}
    share = (line.bytes - bytes_before) / size
    place.note(f"{size // MIB} MiB in {took:.1f} s, {line.cuts} cuts, {share:.2f} of it on the line; resident KiB, peak"
               f" and present: before {before}, after {after}")
    check(line.cuts >= 1, "it was never cut")
    check(line.bytes - bytes_before < 1.5 * size, "fetched again and again", line.bytes - bytes_before)
    if not support.is_sanitized():
        for code, processes in after.items():
            for name, (peak, _) in processes.items():
                check(peak < 120 * 1024, f"{name} of {code} took {peak} KiB")
    nl.verify()
    line.close()


@test
@waits
def document_killed(place):
    """Both nodes killed in the middle: what was durable is not fetched again, and nobody has to ask again."""
    line = Line(rate=4 * MIB)
    fr, nl = over_line(place, line)
    path = make_file(place, "film", 24 * MIB)
    ref, _ = fr.new("With a film")
    fr.run("attach", ref, path)
    wait_converged([fr, nl])
    os.mkdir(place.path("out"))
    fetching = place.popen([support.program("ilea"), "--home", nl.home, "fetch", ref, "--out", place.path("out")])
    wait_for("a part of it", lambda: (percent(nl, ref, "film") or 0) >= 30, 60)
    held = percent(nl, ref, "film")
    nl.kill()
    fr.kill()
    fetching.kill()
    fetching.wait()
    check(held < 100 and not os.listdir(place.path("out")), "too fast to be killed", held)
    check(percent(nl, ref, "film") >= held, "what was durable")
    fr.start()
    bytes_before = line.bytes
    nl.start()
    wait_for("the rest, without being asked", lambda: percent(nl, ref, "film") == 100, 60)
    check(line.bytes - bytes_before < 24 * MIB * (100 - held + 15) / 100, "fetched again", line.bytes - bytes_before)
    fetch(nl, ref, path)
    nl.verify()
    line.close()


@test
def document_beside_commits(place):
    """While a document goes over a slow line, records go, too."""
    line = Line(rate=2 * MIB)
    fr, nl = over_line(place, line)
    ref, _ = fr.new("With a film")
    fr.run("attach", ref, make_file(place, "film", 32 * MIB))
    wait_converged([fr, nl])
    os.mkdir(place.path("out"))
    place.popen([support.program("ilea"), "--home", nl.home, "fetch", ref, "--out", place.path("out")])
    wait_for("a part of it", lambda: (percent(nl, ref, "film") or 0) >= 10, 60)
    slowest = 0.0
    for i in range(4):
        start = time.monotonic()
        _, record = fr.new(f"Meanwhile {i}")
        wait_for("the record", lambda record=record: record in nl.export(), 20)
        slowest = max(slowest, time.monotonic() - start)
    check((percent(nl, ref, "film") or 0) < 100, "it was too fast to be beside anything")
    check(slowest < 6 * support.Options.slow, f"a record took {slowest:.1f} s beside a document")
    line.close()


@test
def document_damaged(place):
    """A flipped bit is named by verify, not handed out and not passed on; fetch mends it from somebody else."""
    a, b = federation(place, ["AT-BK", "BE-FP"])
    path = make_file(place, "plan", 3 * MIB)
    ref, _ = a.new("With a plan")
    a.run("attach", ref, path)
    a.start()
    b.start()
    wait_converged([a, b])
    fetch(b, ref, path)
    data = os.path.join(a.home, "blobs", blobs(a)[0], "data")
    with open(data, "r+b") as file:
        file.seek(400000)
        byte = file.read(1)
        file.seek(400000)
        file.write(bytes([byte[0] ^ 8]))
    result = a.run("verify", check_code=DATAERR)
    check("plan of " + ref in result.out and "chunk 2 of 12" in result.out, "what is damaged", result.out)
    fetch(a, ref, path)  # B has it
    a.verify()
    with open(os.path.join(a.home, "blobs", blobs(a)[0], "list"), "r+b") as file:
        file.truncate(100)
    a.run("verify", check_code=DATAERR)
    fetch(a, ref, path)
    a.verify()


@test
def document_full_disk(place):
    """No room for it: fetch says so, what came stays, nothing else is held up, and with room it goes on by itself."""
    folder = place.path("small")
    os.mkdir(folder)
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m,mode=0700", "tmpfs", folder], check=False,
                           capture_output=True)
    if mount.returncode != 0:
        raise Skip("mounting a small disk is not permitted here")
    place.mounts.append(folder)
    a = place.agency("AT-BK")
    b = place.agency("BE-FP", home=os.path.join(folder, "be"))
    for one, other in ((a, b), (b, a)):
        one.add(other)
        one.approve(other)
        one.start()
    path = make_file(place, "film", 20 * MIB)
    ref, _ = a.new("With a film")
    a.run("attach", ref, path)
    wait_converged([a, b])
    os.mkdir(place.path("out"))
    result = b.run("fetch", ref, "--out", place.path("out"), check_code=IOERR)
    check("disk is full" in result.err and len(result.err.splitlines()) == 1, "what is wrong", result)
    same(os.listdir(place.path("out")), [], "files")
    check(0 < percent(b, ref, "film") < 100, "what came stays", percent(b, ref, "film"))
    check(b.process.poll() is None, "the daemon ended", b.log_tail())
    subprocess.run(["mount", "-o", "remount,size=400m", folder], check=True)
    wait_for("the rest", lambda: percent(b, ref, "film") == 100, 90)
    fetch(b, ref, path)
    b.verify()
    # A full disk when attaching: nothing is left of it.
    subprocess.run(["mount", "-o", "remount,size=34m", folder], check=True)
    own, _ = b.new("Ours")
    before = blobs(b)
    result = b.run("attach", own, make_file(place, "film2", 30 * MIB), check_code=IOERR)
    check("nothing was written" in result.err and "space" in result.err, "what is wrong", result)
    same(blobs(b), before, "what is left")


@test
def document_backup(place):
    """A restored node has its own documents, and fetches again what others have."""
    a, b = federation(place, ["AT-BK", "BE-FP"])
    a.start()
    b.start()
    own, other = make_file(place, "own", MIB), make_file(place, "other", MIB)
    mine, _ = a.new("Ours")
    a.run("attach", mine, own)
    theirs, _ = b.new("Theirs")
    b.run("attach", theirs, other)
    wait_converged([a, b])
    fetch(a, theirs, other)
    same(a.json("backup", place.path("backup"))["documents"], 1, "documents in the backup")
    a.stop()
    os.rename(a.home, place.path("lost"))
    a.run("restore", place.path("backup"), "--peers-unchanged")
    fetch(a, mine, own)
    a.start()
    wait_for("theirs", lambda: percent(a, theirs, "other") == 100, 40)
    fetch(a, theirs, other)
    check(a.json("verify")["documents"] == 2, "both")


@test
def document_input(place):
    """Bad input: a clear word, the right code, nothing changed."""
    a, b = federation(place, ["AT-BK", "BE-FP"])
    ref, _ = a.new("A record")
    path = make_file(place, "plan", 1000)
    a.start()
    b.start()
    wait_converged([a, b])
    place.write("empty", b"")
    for words, code, text in (
            ((ref,), USAGE, "takes a ref and a file"),
            ((ref, place.path("none")), NOINPUT, "cannot read"),
            ((ref, place.path("empty")), DATAERR, "empty"),
            ((ref, place.folder), DATAERR, "no plain file"),
            ((ref + "9", path), NOINPUT, "no record"),
            ((ref, path, "--name", "x" * 256), DATAERR, "1 to 255 bytes"),
            ((ref, path, "--media", "y" * 101), DATAERR, "at most 100")):
        result = a.run("attach", *words, check_code=code)
        check(text in result.err and len(result.err.splitlines()) == 1, "attach", words, result)
    with open(place.path("huge"), "wb") as file:
        file.truncate((2 << 30) + 1)
    check("the most there can be" in a.run("attach", ref, place.path("huge"), check_code=DATAERR).err, "too large")
    check("belongs to AT-BK" in b.run("attach", ref, path, check_code=NOPERM).err, "another's record")
    same(blobs(a) + blobs(b), [], "files")
    for i in range(32):
        a.run("attach", ref, path, "--name", f"plan {i}")
    check("32 documents" in a.run("attach", ref, path, check_code=DATAERR).err, "the 33rd")
    a.run("detach", ref, "plan 31")
    check("detach it" in a.run("attach", ref, path, "--name", "plan 3", check_code=CANTCREAT).err, "the same name")
    check("no document" in a.run("fetch", ref, "--name", "nothing", check_code=NOINPUT).err, "no such document")
    check("no folder" in a.run("fetch", ref, "--out", place.path("none"), check_code=CANTCREAT).err, "no folder")
    check("attach" in a.run("set", ref, "documents=", check_code=DATAERR).err, "by hand")
    other, _ = a.new("Without")
    check("no documents" in a.run("fetch", other, check_code=NOINPUT).err, "none")
    # Names of others lead nowhere.
    a.run("attach", other, path, "--name", "../../x")
    a.run("attach", other, path, "--name", ".hidden")
    os.mkdir(place.path("out"))
    wait_for("the record at B", lambda: len(b.json("show", other).get("documents", [])) == 2
             if b.run("show", other, check_code=False).code == 0 else False)
    b.run("fetch", other, "--out", place.path("out"))
    check(all("/" not in name and not name.startswith(".") for name in os.listdir(place.path("out"))), "names")
    same(len(os.listdir(place.path("out"))), 2, "files")
    # Without a daemon what is not here cannot be fetched.
    b.stop()
    result = b.run("fetch", ref, "--out", place.path("out"), check_code=TEMPFAIL)
    check("ilea-node" in result.err, "what to do", result)


@test
def documents_verified(place):
    """`verify` after an erasure: a rebuild numbers the records behind it otherwise, and that is no fault."""
    a, b = federation(place, ["AT-BK", "BE-FP"])
    for agency in (a, b):
        agency.start()
    first, _ = a.new("To be erased")
    second, _ = a.new("With a plan")
    path = make_file(place, "plan", 300000)
    a.run("attach", second, path)
    wait_for("both at the other", lambda: len(b.export()) == 2, 30, 0.2)
    wait_for("the plan at the other", lambda: percent(b, second, "plan") is not None, 30, 0.2)
    fetch(b, second, path)
    a.run("erase", first, "--reason", "an error", "--confirm")
    wait_for("it gone at the other", lambda: len(b.export()) == 1, 30, 0.2)
    for agency in (a, b):
        said = agency.json("verify")
        same((said["ok"], said["documents"], said["faults"]), (True, 1, []), "verify at " + agency.code)
