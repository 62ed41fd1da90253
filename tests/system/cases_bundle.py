"""Bundles: files in place of links, between agencies that are never connected."""
import json
import os
import re
import shutil
import struct
import subprocess
import time

from cases_fork import copy_home, titles
from support import (Agency, BIG, CANTCREAT, DATAERR, Failure, IOERR, NOINPUT, NOPERM, Skip, TEMPFAIL, USAGE,
                     check, federation, is_sanitized, make_rows, run_measured, same, test, wait_converged, wait_for)


def carry(maker, reader, path, *options):
    """Export and import; the counts of both."""
    made = maker.json("bundle", "export", "--for", reader.code, path, *options)["export"]
    taken = reader.json("bundle", "import", *made["files"])["import"]
    same(taken["from"], maker.code, "from")
    same(taken["taken"] + taken["known"] + taken["refused"] + taken["waiting"], made["commits"], "commits in all")
    same((taken["parts"], taken["bytes"]), (made["parts"], made["bytes"]), "parts and bytes")
    return made, taken


def check_equal(one, other):
    mine, theirs = one.status(), other.status()
    for key in ("frontier", "view"):
        same(mine[key], theirs[key], f"{key} of {one.code} and {other.code}")


def chunks_of(path):
    """Where the header and each chunk of a file begin, and where it ends."""
    with open(path, "rb") as file:
        data = file.read()
    at = 12 + struct.unpack(">I", data[8:12])[0]
    places = [at]
    while at < len(data):
        at += 4 + struct.unpack(">I", data[at:at + 4])[0]
        places.append(at)
    same(at, len(data), "end of the last chunk")
    return data, places


@test
def bundle_carries(place):
    """Without any link: the same feeds and view as by a live one; both ways, with a daemon and without."""
    fr, nl = federation(place, ["FR-PN", "NL-PO"])
    live = copy_home(place, nl, "live")
    fr.load(make_rows(place, "rows.jsonl", "misp-galaxy", 500, "row"), "misp-galaxy")
    fr.new("For us alone", to="agency")
    made, taken = carry(fr, nl, place.path("one.bundle"))
    same(taken["known"], 0, "known")
    check(taken["taken"] > 1, "nothing was taken")
    check_equal(fr, nl)
    same(len(nl.export("--agency", "FR-PN")), 500, "records")
    check("For us alone" not in titles(nl), "a record for the agency alone was carried")
    check(os.stat(made["files"][0]).st_mode & 0o077 == 0, "others may read the bundle")
    # The same by a link.
    fr.start()
    live.start()
    wait_converged([fr, live])
    same(live.status()["frontier"], nl.status()["frontier"], "frontier by link and by bundle")
    same(live.status()["view"], nl.status()["view"], "view by link and by bundle")
    live.stop()
    # And back: the daemon takes it in, and shows it.
    nl.new("An answer")
    carry(nl, fr, place.path("two.bundle"))
    wait_converged([fr, nl])
    again = fr.run("bundle", "import", place.path("two.bundle"))
    check("nothing new" in again.out, f"a bundle again: {again.out}")
    same(fr.json("bundle", "import", place.path("two.bundle"))["import"]["taken"], 0, "taken again")
    # A link afterwards has nothing to do.
    nl.start()
    wait_for("the link", lambda: fr.status()["peers"][0]["link"] == "up")
    wait_converged([fr, nl])
    for agency in (fr, nl):
        agency.verify()


@test
def bundle_inspect(place):
    """Everybody reads the header, the receiver the contents."""
    fr, nl, pl = federation(place, ["FR-PN", "NL-PO", "PL-KG"])
    fr.new("One")
    path = place.path("x.bundle")
    made = fr.json("bundle", "export", "--for", "NL-PO", path)["export"]
    inside = nl.json("bundle", "inspect", path)["bundle"]
    same((inside["kind"], inside["from"], inside["to"], inside["part"], inside["signature"], inside["whole"]),
         ("bundle", "FR-PN", "NL-PO", 1, "good", True), "what NL-PO sees")
    same((inside["commits"], inside["all_commits"]), (made["commits"], made["commits"]), "commits")
    for agency in (pl, fr):
        outside = agency.json("bundle", "inspect", path)["bundle"]
        same((outside["kind"], outside["from"], outside["to"], outside["signature"]),
             ("sealed", "FR-PN", "NL-PO", "good"), f"what {agency.code} sees")
        check("commits" not in outside, "a stranger sees contents")
    nobody = place.path("nobody")
    words = nl.words("bundle", "inspect", path)
    words[2] = nobody
    result = run_measured(words)
    same(result.code, 0, "inspect without a home")
    check("signature unknown" in result.out, result.out)
    same(fr.json("bundle", "inspect", made["next"])["bundle"]["kind"], "frontier", "kind of FILE.next")
    with open(path, "rb") as file:
        check(b"NL-PO" not in file.read(), "a code in clear")


@test
def bundle_one_way(place):
    """Where nothing comes back each bundle goes on behind the last; where a frontier does, behind that."""
    fr, nl = federation(place, ["FR-PN", "NL-PO"])
    since = []
    for i in range(4):
        fr.new(f"Number {i}")
        path = place.path(f"{i}.bundle")
        made = fr.json("bundle", "export", "--for", "NL-PO", path, *since)["export"]
        if i > 0:
            check(made["commits"] <= 2, f"bundle {i} holds {made['commits']} commits")
        since = ["--since", made["next"]]
    last = nl.json("bundle", "import", place.path("2.bundle"))["import"]
    same((last["taken"], last["refused"]), (0, 0), "out of order")
    check(last["waiting"] > 0, "a gap is not told")
    for i in range(4):
        same(nl.json("bundle", "import", place.path(f"{i}.bundle"))["import"]["waiting"], 0, f"waiting in bundle {i}")
    check_equal(fr, nl)
    fr.new("Another")
    frontier = place.path("nl.frontier")
    nl.run("frontier", "--out", frontier, "--for", "FR-PN")
    made, taken = carry(fr, nl, place.path("by-frontier.bundle"), "--since", frontier)
    same((made["commits"], taken["taken"]), (1, 1), "behind a frontier")
    check_equal(fr, nl)
    made, _ = carry(fr, nl, place.path("nothing.bundle"), "--since", made["next"])
    same(made["commits"], 0, "nothing to carry")
    # A frontier is no bundle and a bundle no frontier, and each is for one pair.
    pl = place.agency("PL-KG")
    for one, other in ((fr, pl), (pl, fr)):
        one.add(other)
        one.approve(other)
    for agency, words in ((fr, ["bundle", "import", frontier]),
                          (fr, ["bundle", "export", "--for", "PL-KG", place.path("p"), "--since", frontier]),
                          (fr, ["bundle", "export", "--for", "NL-PO", place.path("p"), "--since", "nowhere"]),
                          (pl, ["bundle", "export", "--for", "FR-PN", place.path("p"), "--since", frontier]),
                          (fr, ["bundle", "export", "--for", "NL-PO", place.path("p"), "--since",
                                place.path("0.bundle")])):
        agency.run(*words, check_code=NOINPUT if "nowhere" in words else DATAERR)
        check(not os.path.exists(place.path("p")), "something was written")
    data, _ = chunks_of(frontier)
    altered = place.write("altered.frontier", data[:-20] + bytes([data[-20] ^ 1]) + data[-19:])
    fr.run("bundle", "export", "--for", "NL-PO", place.path("p"), "--since", altered, check_code=DATAERR)


@test
def bundle_split(place):
    """Parts: each a file, in order; one after the other or in one go, with a daemon and without."""
    fr, nl, pl = federation(place, ["FR-PN", "NL-PO", "PL-KG"])
    fr.load(big_rows(place, "big.jsonl", 200, 20000), "records")
    made = fr.json("bundle", "export", "--for", "NL-PO", place.path("nl"), "--split", "1M")["export"]
    check(made["parts"] >= 4, f"{made['parts']} parts")
    for path in made["files"]:
        check(os.path.getsize(path) <= 1 << 20, f"{path} is {os.path.getsize(path)} bytes")
    same(made["files"][:2], [place.path("nl"), place.path("nl.2")], "names")
    before = nl.status()
    for first in (1, 2, made["parts"] - 1):
        result = nl.run("bundle", "import", made["files"][first], check_code=TEMPFAIL)
        check("parts before it" in result.err, result.err)
    same(nl.status()["frontier"], before["frontier"], "frontier after a part that came too early")
    for path in made["files"]:
        nl.run("bundle", "import", path)
    check_equal(fr, nl)
    nl.verify()
    made = fr.json("bundle", "export", "--for", "PL-KG", place.path("pl"), "--split", "2M")["export"]
    pl.start()
    pl.run("bundle", "import", *made["files"][::-1], check_code=TEMPFAIL)
    taken = pl.json("bundle", "import", *made["files"])["import"]
    same((taken["parts"], taken["taken"], taken["waiting"]), (made["parts"], made["commits"], 0), "taken")
    wait_converged([fr, pl])
    pl.verify()


def big_rows(place, name, count, size):
    return place.write(name, "".join(json.dumps({"type": "need", "title": f"big {i}", "problem": f"{i} " + "x" * size})
                                     + "\n" for i in range(count)))


def private_kib(pid):
    """Memory of a process but for mapped files."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"RssAnon:\s+(\d+)", file.read()).group(1))


def kill_import(place, agency, path, total, with_daemon):
    """A copy of an agency whose import was killed after some of it was durable, and before all of it was: the command,
    or the daemon under it."""
    wait = 0.3
    for attempt in range(40):
        copy = copy_home(place, agency, f"{agency.code}-killed-{attempt}")
        if with_daemon:
            copy.start()
        process = place.popen(copy.words("bundle", "import", path), stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
        time.sleep(wait)
        if with_daemon:
            copy.kill()
            process.wait(60)
            check(process.returncode in (0, IOERR), f"the command ended with {process.returncode}")
        else:
            process.kill()
            process.wait()
        copy.verify()
        held = sum(feed["seq"] for feed in copy.feeds("FR-PN"))
        if 0 < held < total:
            place.note(f"the {'daemon' if with_daemon else 'command'} was killed after {held} of {total} commits")
            return copy
        wait *= 1.2 if held == 0 else 0.87
    raise Failure("no import was killed in the middle")


@test
def bundle_large(place):
    """More than 20 MB in flat memory; a command or daemon that is killed in the middle; the same bundle again."""
    fr, nl, pl = federation(place, ["FR-PN", "NL-PO", "PL-KG"])
    fr.load(big_rows(place, "big.jsonl", 2100 if BIG else 480, 50000), "records")
    path, small = place.path("large"), place.path("small")
    result = run_measured(fr.words("bundle", "export", "--for", "NL-PO", path, "--json"))
    same(result.code, 0, f"export: {result.err}")
    check(os.path.getsize(path) > (100 if BIG else 20) * 1000 * 1000, f"{os.path.getsize(path)} bytes")
    pl_path = fr.json("bundle", "export", "--for", "PL-KG", place.path("large-pl"))["export"]["files"][0]
    # Memory: beside what a bundle of a few kilobytes takes, little.
    fr.json("bundle", "export", "--for", "NL-PO", small, "--since", path + ".next")
    least = run_measured(fr.words("bundle", "export", "--for", "NL-PO", small + "2", "--since", path + ".next"))
    check(result.max_rss_kib - least.max_rss_kib < 60 * 1024,
          f"export takes {result.max_rss_kib} KiB, of nothing {least.max_rss_kib}")
    # The command, killed in the middle: what it had taken stays, and the rest comes with the next.
    total = fr.feeds("FR-PN")[0]["seq"]
    half = kill_import(place, nl, path, total, False)
    result = run_measured(half.words("bundle", "import", path, "--json"))
    same(result.code, 0, f"import: {result.err}")
    taken = result.json()["import"]
    same((taken["refused"], taken["waiting"]), (0, 0), "refused, waiting")
    check_equal(fr, half)
    again = run_measured(half.words("bundle", "import", path, "--json"))
    same(again.json()["import"]["taken"], 0, "taken again")
    check(result.max_rss_kib - again.max_rss_kib < 150 * 1024, f"{result.max_rss_kib} and {again.max_rss_kib} KiB")
    half.verify()
    # The daemon, killed under it.
    pl = kill_import(place, pl, pl_path, total, True)
    pl.start()
    before = private_kib(pl.process.pid)
    first = pl.json("bundle", "import", pl_path)["import"]
    same((first["refused"], first["waiting"]), (0, 0), "refused, waiting")
    check_equal_soon(fr, pl)
    grown = private_kib(pl.process.pid) - before
    check(is_sanitized() or grown < 32 * 1024, f"the daemon grew by {grown} KiB")
    # And stopped while somebody imports: it ends at once.
    process = place.popen(pl.words("bundle", "import", pl_path), stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL)
    time.sleep(0.1)
    pl.stop()
    process.wait(60)
    pl.verify()


def check_equal_soon(one, other):
    wait_converged([one, other])
    check_equal(one, other)


@test
def bundle_relay(place):
    """What a third agency wrote comes along where the grants allow it, and not else."""
    a, b, c = federation(place, ["AT-BK", "BE-FP", "CZ-PP"])
    a.load(make_rows(place, "a.jsonl", "misp-galaxy", 100, "from-a"), "misp-galaxy")
    carry(a, b, place.path("ab"))
    b.new("From B")
    made, taken = carry(b, c, place.path("bc"))
    same((taken["refused"], taken["waiting"]), (0, 0), "refused, waiting")
    check_equal(b, c)
    same(len(c.export("--agency", "AT-BK")), 100, "records of A at C")
    # Back to the author: known.
    _, taken = carry(c, a, place.path("ca"))
    check(taken["known"] > 0, "its own feed is not known to A")
    check_equal(a, c)
    for agency in (a, b, c):
        agency.verify()
    # Without relay: only what B itself wrote; and who must not bring them is not believed.
    d = place.agency("DK-RP")
    for one, other in ((b, d), (d, b), (a, d), (d, a)):
        one.add(other)
    d.approve(b)
    d.approve(a)
    b.run("peer", "approve", "DK-RP", "--yes", "--scope", "connect,follow")
    _, taken = carry(b, d, place.path("bd"))
    same({feed["agency"] for feed in d.feeds()} - {"DK-RP"}, {"BE-FP"}, "feeds without relay")
    b.run("peer", "approve", "DK-RP", "--yes", "--scope", "connect,follow,relay")
    d.run("peer", "approve", "BE-FP", "--yes", "--scope", "connect,follow")
    _, taken = carry(b, d, place.path("bd2"))
    check(taken["refused"] > 0 and taken["waiting"] == 0, f"relayed without being allowed to: {taken}")
    same({feed["agency"] for feed in d.feeds()} - {"DK-RP"}, {"BE-FP"}, "feeds of who may not relay")
    d.verify()


@test
def bundle_fork(place):
    """A feed that forked: the second bundle proves it, and the proof travels in the next."""
    place.may_fork = True
    fr, nl, de = federation(place, ["FR-PN", "NL-PO", "DE-BK"])
    fr.new("Before")
    carry(fr, nl, place.path("before"))
    thief = copy_home(place, fr, "thief")
    fr.new("Original")
    fr.new("Original 2")
    thief.new("Forged")
    thief.new("Forged 2")
    carry(fr, nl, place.path("original"))
    same(nl.json("fork", "list"), [], "forks yet")
    taken = None
    path = place.path("forged")
    thief.run("bundle", "export", "--for", "NL-PO", path)
    taken = nl.json("bundle", "import", path)["import"]
    check(taken["refused"] > 0, f"forged commits: {taken}")
    forks = nl.json("fork", "list")
    same([fork["agency"] for fork in forks], ["FR-PN"], "whose fork")
    check("Original" in titles(nl) and "Forged" not in titles(nl), "what is shown")
    carry(nl, de, place.path("proof"))
    same([fork["feed"] for fork in de.json("fork", "list")], [forks[0]["feed"]], "the proof at a third")
    carry(nl, fr, place.path("back"))
    same(len(fr.json("fork", "list")), 1, "the proof at its owner")
    fr.run("fork", "resolve", forks[0]["feed"][:16], "--keep", "ours")
    fr.new("After")
    for agency in (nl, de):
        carry(fr, agency, place.path(f"settled-{agency.code}"))
        shown = titles(agency)
        check({"Original", "Original 2", "After"} <= shown and "Forged" not in shown, f"{agency.code} shows {shown}")
        check_equal(fr, agency)
        agency.verify()


@test
def bundle_keys(place):
    """A maker whose keys are new to the reader brings its manifests along; and the reader's own, if it lost them."""
    fr, nl, de = federation(place, ["FR-PN", "NL-PO", "DE-BK"])
    fr.new("With the old keys")
    fr.run("key", "rotate")
    fr.new("With the new keys")
    de.start()
    for reader in (nl, de):
        carry(fr, reader, place.path("rotated-" + reader.code))
        wait_for("records of both keys", lambda r=reader: {"With the old keys", "With the new keys"} <= titles(r))
    nl.new("Back")
    carry(nl, fr, place.path("back"))
    check_equal(fr, nl)
    # Sealed to a reading key that was replaced since: it still opens.
    nl.new("Once more")
    path = place.path("old-reading")
    nl.run("bundle", "export", "--for", "FR-PN", path)
    fr.run("key", "rotate")
    fr.run("bundle", "import", path)
    check("Once more" in titles(fr), "sealed to the key before")
    # A revoked key signs nothing any more.
    before = place.path("before-revocation")
    fr.run("bundle", "export", "--for", "NL-PO", before)
    fr.run("key", "revoke", "--yes")
    carry(fr, nl, place.path("revoking"))
    result = nl.run("bundle", "import", before, check_code=NOPERM)
    check("revoked" in result.err, result.err)
    same(nl.json("bundle", "inspect", before)["bundle"]["signature"], "by a revoked key", "signature")
    # Our own newer manifests, in a bundle for a node that was put back to before them.
    for i, with_daemon in enumerate((False, True)):
        old = copy_home(place, fr, f"old-{i}")
        fr.run("key", "rotate")
        carry(fr, nl, place.path(f"own-{i}"))
        path = place.path(f"return-{i}")
        nl.run("bundle", "export", "--for", "FR-PN", path)
        for name in os.listdir(os.path.join(fr.home, "keys")):
            shutil.copy2(os.path.join(fr.home, "keys", name), os.path.join(old.home, "keys", name))
        if with_daemon:
            old.start()
        result = old.run("bundle", "import", path, check_code=TEMPFAIL)
        check("import it again" in result.err, result.err)
        same(old.json("bundle", "import", path)["import"]["waiting"], 0, "waiting")
        if with_daemon:
            old.stop()
        old.verify()
        same(old.json("id")["agency"], "FR-PN", "whose it is")


def try_bad(place, reader, good):
    """Each damaged file is refused with one line, and nothing changes."""
    data, places = chunks_of(good)
    bad = {"nothing": b"", "text": b"Dear colleagues,\n" * 40, "zeros": bytes(4096), "magic": b"X" + data[1:],
           "header alone": data[:places[0]], "cut in the header": data[:places[0] - 1],
           "cut in a size": data[:places[0] + 2], "a byte more": data + b"\0",
           "a chunk twice": data + data[places[-2]:],
           "first chunk twice": data[:places[1]] + data[places[0]:],
           "without the first chunk": data[:places[0]] + data[places[1]:],
           "huge size": data[:places[0]] + b"\xff\xff\xff\xff" + data[places[0] + 4:]}
    for i, at in enumerate(places[1:-1]):
        bad[f"cut behind chunk {i}"] = data[:at]
        bad[f"cut in chunk {i + 1}"] = data[:at + 20]
    for at in [8, 11, 12, 13, *range(14, places[0], 9), places[0], places[0] + 3, places[0] + 8,
               places[1] + 40, len(data) - 1]:
        bad[f"a bit at {at}"] = data[:at] + bytes([data[at] ^ 4]) + data[at + 1:]
    before = reader.status()
    for name, content in bad.items():
        result = reader.run("bundle", "import", place.write("bad.bundle", content), check_code=False)
        check(result.code in ((DATAERR, NOPERM) if name.startswith("a bit") else (DATAERR,)), f"{name}: {result}")
        same(result.err.count("\n"), 1, f"lines about {name}: {result.err}")
        after = reader.status()
        same({key: after[key] for key in ("frontier", "view", "position", "records")},
             {key: before[key] for key in ("frontier", "view", "position", "records")}, f"after {name}")
    return len(bad)


@test
def bundle_full_disk(place):
    """No space: one line that says so; an export leaves nothing behind, an import what it took in."""
    small = place.path("small")
    os.mkdir(small)
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m,mode=0700", "tmpfs", small], check=False,
                           capture_output=True)
    if mount.returncode != 0:
        raise Skip("mounting a small disk is not permitted here")
    place.mounts.append(small)
    fr = place.agency("FR-PN")
    nl = place.agency("NL-PO", home=os.path.join(small, "nl"))
    for one, other in ((fr, nl), (nl, fr)):
        one.add(other)
        one.approve(other)
    fr.load(big_rows(place, "big.jsonl", 400, 50000), "records")
    before = sorted(os.listdir(small))
    result = fr.run("bundle", "export", "--for", "NL-PO", os.path.join(small, "bundle"), check_code=IOERR)
    same(result.err.count("\n"), 1, f"lines: {result.err}")
    same(sorted(os.listdir(small)), before, "left over")
    path = place.path("bundle")
    fr.run("bundle", "export", "--for", "NL-PO", path)
    result = nl.run("bundle", "import", path, check_code=IOERR)
    same(result.err.count("\n"), 1, f"lines: {result.err}")
    nl.start()
    result = nl.run("bundle", "import", path, check_code=IOERR)
    same(result.err.count("\n"), 1, f"lines: {result.err}")
    check(nl.process.poll() is None, f"the daemon ended: {nl.log_tail()}")
    subprocess.run(["mount", "-o", "remount,size=400m", small], check=True)
    wait_for("an import once there is space", lambda: nl.run("bundle", "import", path, check_code=False).code == 0)
    wait_converged([fr, nl])
    nl.verify()
    nl.stop()  # the disk can be taken away only when nobody uses it


def elsewhere(place, code):
    """An agency of the same code in another network."""
    agency = Agency(place, code, network="another", home=place.path("other-" + code))
    agency.card_path, agency.guard = place.path(f"other-{code}.card"), os.path.join(place.memory, "other-" + code)
    return agency.init()


@test
def bundle_bad(place):
    """Bad input: the right exit code, one clear line, and nothing changed."""
    fr, nl, pl = federation(place, ["FR-PN", "NL-PO", "PL-KG"])
    xx = place.agency("XX-ZZ")
    xx.add(nl)
    fr.load(make_rows(place, "rows.jsonl", "misp-galaxy", 400, "row"), "misp-galaxy")
    good, for_pl = place.path("good"), place.path("for-pl")
    fr.run("bundle", "export", "--for", "NL-PO", good)
    fr.run("bundle", "export", "--for", "PL-KG", for_pl)
    tried = try_bad(place, nl, good)
    nl.start()
    tried += try_bad(place, nl, good)
    place.note(f"{tried} damaged files refused")
    nl.stop()
    nl.verify()
    xx.run("peer", "approve", "NL-PO", "--yes")
    xx.new("From a stranger")
    strange = place.path("strange")
    xx.run("bundle", "export", "--for", "NL-PO", strange)
    before = nl.status()
    for _ in range(2):
        for words, code in ((["bundle", "import", for_pl], DATAERR), (["bundle", "import", strange], NOPERM),
                            (["bundle", "import", place.path("missing")], NOINPUT),
                            (["bundle", "import", place.folder], DATAERR),
                            (["bundle", "import", good, place.path("missing")], NOINPUT),
                            (["bundle", "import"], USAGE), (["bundle"], USAGE), (["bundle", "inspect"], USAGE),
                            (["bundle", "export", good], USAGE)):
            result = nl.run(*words, check_code=code)
            same(result.err.count("\n"), 1, f"lines: {result.err}")
        nl.add(xx)  # known and pending: still a stranger
    after = nl.status()
    for key in ("frontier", "view", "position"):
        same(after[key], before[key], f"{key} after bad files")
    for words, code in ((["--for", "NL-PO", good], CANTCREAT), (["--for", "ZZ-ZZ", place.path("n")], NOINPUT),
                        (["--for", "FR-PN", place.path("n")], NOPERM),
                        (["--for", "NL-PO", place.path("n"), "--split", "10"], USAGE),
                        (["--for", "NL-PO", place.path("no/folder")], NOINPUT)):
        result = fr.run("bundle", "export", *words, check_code=code)
        same(result.err.count("\n"), 1, f"lines: {result.err}")
    for name in os.listdir(place.folder):
        check(not name.endswith(".partial") and name not in ("n", "n.next"), f"{name} was left over")
    # Another network: the same agency's codes, and keys of its own.
    other_fr, other_nl = (elsewhere(place, code) for code in ("FR-PN", "NL-PO"))
    other_fr.add(other_nl)
    other_fr.approve(other_nl)
    foreign = place.path("foreign")
    other_fr.run("bundle", "export", "--for", "NL-PO", foreign)
    result = nl.run("bundle", "import", foreign, check_code=DATAERR)
    check("another network" in result.err, result.err)
    # Withdrawn meanwhile: not taken any more.
    nl.run("peer", "suspend", "FR-PN")
    nl.run("bundle", "import", good, check_code=NOPERM)
    nl.run("peer", "resume", "FR-PN")
    same(nl.json("bundle", "import", good)["import"]["refused"], 0, "refused once resumed")
    check_equal(fr, nl)
    nl.verify()
