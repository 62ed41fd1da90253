"""Taking records back: what is erased is gone at everybody, and nothing brings it back."""
import os
import shutil
import threading

from support import (NOINPUT, NOPERM, USAGE, Options, check, federation, same, test, wait_converged, wait_for,
                     waits)

SECRET = "Quetzalcoatl"


def files_with(home, text):
    """Files below a home that hold a text, in any of its databases."""
    found = []
    for folder, _, names in os.walk(home):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    if text.encode() in file.read():
                        found.append(os.path.relpath(path, home))
    return found


def erasures(agency):
    return {entry["id"]: entry for entry in agency.json("erasures")["erasures"]}


def wait_confirmed(agency, record, codes, seconds=40):
    wait_for(f"the erasure confirmed by {codes}, as {agency.code} knows it",
             lambda: set(codes) <= set(erasures(agency)[record]["confirmed"]), seconds, 0.3)


def titles(agency):
    return {record["title"] for record in agency.export().values()}


@test
@waits
def erase_reaches_all(place):
    """A plan first; then gone at everybody, in a chain too; confirmed by receipts; compacted: no file holds it."""
    a, b, c = agencies = federation(place, ["AT-BK", "BE-FP", "CZ-PP"], listen={"BE-FP"})
    for agency in agencies:
        agency.start()
    ref, record = a.new(SECRET)
    kept, _ = a.new("kept")
    a.run("set", ref, f"title={SECRET} changed")
    wait_converged(agencies)
    for agency in agencies:
        check(files_with(agency.home, SECRET), "the text is in the view of", agency.code)

    same(a.run("erase", ref, check_code=False).code, USAGE, "without a reason")
    same(b.run("erase", ref, "--reason", "x", "--confirm", check_code=False).code, NOPERM, "another's record")
    same(a.run("erase", "AT-BK-N99", "--reason", "x", check_code=False).code, NOINPUT, "an unknown record")
    same(a.run("erase", ref, ref, "--reason", "x", check_code=False).code, USAGE, "named twice")
    digest = a.status()["view"]
    plan = a.json("erase", ref, "--reason", "court order")["erase"]
    same((plan["refs"], plan["dots"], plan["confirmed"]), ([ref], 2, False), "the plan")
    same(sorted(holder["code"] for holder in plan["holders"]), ["BE-FP", "CZ-PP"], "its holders")
    same(a.status()["view"], digest, "the view after a plan")

    done = a.json("erase", ref, "--reason", "court order", "--basis", "file 7", "--confirm")["erase"]
    same(done["confirmed"], True, "done")
    same(titles(a), {"kept"}, "at the owner, at once")
    wait_converged(agencies)
    for agency in agencies:
        same(titles(agency), {"kept"}, agency.code)
    wait_confirmed(a, record, ["BE-FP", "CZ-PP"])
    entry = erasures(a)[record]
    same((entry["ref"], entry["reason"], entry["outstanding"]), (ref, "court order", []), "the erasure")
    said = a.json("where", ref)["where"]
    same({one["state"] for one in said["agencies"]}, {"erased"}, "where it is")
    for agency in agencies:
        agency.run("compact")
        same(files_with(agency.home, SECRET), [], f"files of {agency.code} with the text")
        agency.verify()
    refused = a.run("erase", ref, "--reason", "x", "--confirm", check_code=False)
    same(refused.code, NOINPUT, "again")
    check("was erased on" in refused.err, "the message", refused.err)
    changes = [change for change in b.run("changes").lines() if change["op"] == "erase"]
    check(any(change.get("id") == record for change in changes), "the change feed of a peer", changes)
    wait_converged(agencies)


@test
@waits
def erase_late_peer(place):
    """Who is away while it is erased erases it too, over a third agency, and is outstanding by name till then."""
    a, b, c = agencies = federation(place, ["AT-BK", "BE-FP", "CZ-PP"])
    a.start()
    b.start()
    c.start()
    ref, record = a.new(SECRET)
    wait_converged(agencies)
    c.stop()
    a.run("erase", ref, "--reason", "mistake", "--confirm")
    wait_converged([a, b])
    entry = erasures(a)[record]
    wait_confirmed(a, record, ["BE-FP"])
    same([one["code"] for one in erasures(a)[record]["outstanding"]], ["CZ-PP"], "outstanding")
    check(entry["since"] > 0, "since", entry)
    a.stop()  # what it erased reaches the third over the second
    c.start()
    wait_for("the erasure at CZ-PP", lambda: not titles(c), 40, 0.2)
    a.start()
    wait_confirmed(a, record, ["BE-FP", "CZ-PP"])
    wait_converged(agencies)
    for agency in agencies:
        agency.run("compact")
        same(files_with(agency.home, SECRET), [], f"files of {agency.code} with the text")
        agency.verify()


@test
@waits
def erase_new_peer(place):
    """Who comes after it was erased gets all but that, from its author and from who has it of its author."""
    a, b = agencies = federation(place, ["AT-BK", "BE-FP"])
    for agency in agencies:
        agency.start()
    a.new("before")
    ref, record = a.new(SECRET)
    a.new("after")
    wait_converged(agencies)
    a.run("erase", ref, "--reason", "mistake", "--confirm")
    wait_converged(agencies)
    wait_confirmed(a, record, ["BE-FP"])
    for code, source in (("CZ-PP", a), ("DE-BK", b)):
        late = place.agency(code)
        for one in agencies:
            for this, other in ((one, late), (late, one)):
                this.add(other)
                this.approve(other)
        if source is b:
            a.stop()
        late.start()
        wait_converged([source, late])
        same(titles(late), {"before", "after"}, f"what {code} has")
        same(files_with(late.home, SECRET), [], f"files of {code} with the text")
        late.verify()


@test
@waits
def erase_backup_and_bundle(place):
    """A backup and a bundle of the time before: restored and imported, they bring nothing back."""
    a, b = agencies = federation(place, ["AT-BK", "BE-FP"])
    for agency in agencies:
        agency.start()
    ref, record = a.new(SECRET)
    own, _ = a.new(SECRET + " draft", to="agency")
    a.new("kept")
    wait_converged(agencies)
    backups = [place.path("backup-" + agency.code) for agency in agencies]
    bundle = place.path("old.bundle")
    for agency, backup in zip(agencies, backups):
        agency.run("backup", backup)
    a.run("bundle", "export", "--for", "BE-FP", bundle)
    a.run("erase", ref, own, "--reason", "mistake", "--confirm")
    wait_converged(agencies)
    same((titles(a), titles(b)), ({"kept"}, {"kept"}), "erased")
    b.run("bundle", "import", bundle)
    same(titles(b), {"kept"}, "after the bundle of before")

    for agency, backup in zip(agencies, backups):
        agency.stop()
        agency.run("restore", backup, "--yes")
    b.start()
    wait_for("the view of BE-FP", lambda: titles(b) == {"kept"}, 30, 0.2)
    b.run("bundle", "import", bundle)
    same(titles(b), {"kept"}, "after a restore and the bundle of before")
    a.start()
    wait_converged(agencies)
    same((titles(a), titles(b)), ({"kept"}, {"kept"}), "both restored")
    wait_confirmed(a, record, ["BE-FP"])
    for agency in agencies:
        shutil.rmtree(os.path.join(agency.home, "before-restore-1"))  # what the restore moved away
        agency.run("compact")
        same(files_with(agency.home, SECRET), [], f"files of {agency.code} with the text")
        agency.verify()


@test
@waits
def erase_limit(place):
    """More than a day's records: two admins sign, and all obey; one admin's word waits."""
    a, b = agencies = federation(place, ["AT-BK", "BE-FP"])
    with open(os.path.join(a.home, "ilea.conf"), "a", encoding="ascii") as file:
        file.write("erase_day = 1\n")
    second = place.path("second.key")
    a.run("admin", "add", "second", "--out", second)
    for agency in agencies:
        agency.start()
    records = [a.new(f"{SECRET} {number}") for number in range(4)]
    wait_converged(agencies)
    refs = [ref for ref, _ in records]
    a.run("erase", refs[0], "--reason", "one", "--confirm")
    refused = a.run("erase", refs[1], "--reason", "two", "--confirm", check_code=False)
    same(refused.code, NOPERM, "the second of a day")
    check("--admin" in refused.err, "what to do", refused.err)
    same(len(a.export()), 3, "records after the refusal")
    waiting = a.run("erase", *refs[1:], "--reason", "all", "--confirm", "--admin", "admin").out
    check("1 of 2 signatures" in waiting, "the proposal", waiting)
    same(len(a.export()), 3, "records with one signature")
    pending = a.json("admin", "pending")
    same((pending[0]["reason"], len(pending[0]["records"])), ("all", 3), "what the second admin is shown")
    a.run("admin", "sign", "1", "--admin", second)
    same(len(a.export()), 0, "records with two")
    wait_converged(agencies)
    same(len(b.export()), 0, "records at BE-FP")
    for _, record in records:
        wait_confirmed(a, record, ["BE-FP"])
    audit = a.run("audit").out
    check(audit.count("record.erased") == 4 and "record.erase " in audit, "the audit feed", audit)
    a.run("audit", "verify")


@test
def erase_kills(place):
    """Owner and peer are killed again and again while records are erased: what was acknowledged stays erased."""
    a, b = agencies = federation(place, ["AT-BK", "BE-FP"])
    with open(os.path.join(a.home, "ilea.conf"), "a", encoding="ascii") as file:
        file.write("erase_day = 100000\n")
    for agency in agencies:
        agency.start()
    records = [a.new(f"record {number}") for number in range(Options.rounds)]
    wait_converged(agencies)
    erased = set()
    for ref, record in records:
        victim = place.random.choice(agencies)
        timer = threading.Timer(place.random.random() * 0.15, victim.kill)
        timer.start()
        result = a.run("erase", ref, "--reason", "kill", "--confirm", check_code=False)
        timer.join()
        if result.code == 0:
            erased.add(record)
        victim.start()
    wait_converged(agencies, 90)
    for agency in agencies:
        left = set(agency.export())
        check(not left & erased, f"{agency.code} shows what was erased:", left & erased)
        agency.verify()
    check(len(erased) > Options.rounds / 3, "erasures that were acknowledged", len(erased))
    same(set(a.export()), set(b.export()), "what both show")
