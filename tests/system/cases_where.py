"""Where records are: what receipts say, over links and relays, and what nobody may claim."""
import os
import shutil
import time

import support
from support import DATAERR, NOINPUT, check, federation, same, test, wait_converged, wait_for, waits


def where(agency, ref):
    """What `where` says, by agency."""
    said = agency.json("where", ref)["where"]
    return {entry["agency"]: entry for entry in said["agencies"]}


def state(agency, ref, other):
    return where(agency, ref)[other.code]["state"]


def wait_state(agency, ref, other, wanted, seconds=40):
    wait_for(f"{wanted} at {other.code}, as {agency.code} knows it",
             lambda: state(agency, ref, other) == wanted, seconds, 0.3)


@test
@waits
def where_chain(place):
    """A - B - C: A learns through B what C has, and what it lacks while it is away. At rest nothing is said."""
    a, b, c = agencies = federation(place, ["AT-BK", "BE-FP", "CZ-PP"], listen={"BE-FP"})
    for agency in agencies:
        agency.start()
    ref, _ = a.new("Read plates at night")
    wait_state(a, ref, b, "readable")
    wait_state(a, ref, c, "readable")
    entry = where(a, ref)[c.code]
    check(entry["held"] and abs(entry["since_ms"] / 1000 - time.time()) < 120, "when", entry)
    said = a.json("where", ref)["where"]
    same((said["ref"], said["tlp"], said["to"], said["changes"]), (ref, "green", "all-peers", 1), "the record")
    text = a.run("where", ref).out
    check(max(len(line) for line in text.splitlines()) <= 80, "wider than 80 columns", text)
    check("2 of 2 can read it." in text, "the text", text)

    c.stop()
    a.run("set", ref, "title=Read plates by day")
    later, _ = a.new("While C is away")
    wait_state(a, later, b, "readable")
    same(state(a, later, c), "queued", "what C lacks")
    same(where(a, ref)[c.code]["why"], "an earlier state is there", "what C has of the changed one")
    a.stop()
    same((state(a, later, b), state(a, later, c)), ("readable", "queued"), "without a daemon")
    b.kill()
    a.start()
    b.start()
    same((state(a, later, b), state(a, later, c)), ("readable", "queued"), "after both were started anew")
    c.start()
    for one in (ref, later):
        wait_state(a, one, c, "readable")
    wait_converged(agencies)

    # At rest no node writes anything: nothing is claimed again, and nothing passed on.
    files = [os.path.join(agency.home, "log", "data.mdb") for agency in agencies]
    wait_for("the last receipts everywhere", lambda: time.time() - max(map(os.path.getmtime, files)) > 4, 40, 0.5)
    before = [os.path.getmtime(file) for file in files]
    time.sleep(12 * support.Options.slow)
    same([os.path.getmtime(file) for file in files], before, "when the logs were written last")

    result = c.run("where", ref, check_code=DATAERR)
    check("AT-BK" in result.err and len(result.err.splitlines()) == 1, "others' records", result)
    a.run("where", "AT-BK-N77", check_code=NOINPUT)
    for agency in agencies:
        check("session_ended" not in agency.log(), f"a session of {agency.code} ended:", agency.log_tail())
        agency.verify()


@test
@waits
def where_no_relay(place):
    """A link that is for its own two agencies alone carries no receipt of a third; nor is one made up."""
    a, b, c = (place.agency(code, listen=code == "BE-FP") for code in ("AT-BK", "BE-FP", "CZ-PP"))
    for one in (a, b, c):
        for other in (a, b, c):
            if one is not other:
                one.add(other)
                if (one, other) != (a, b):
                    one.approve(other)
    a.run("peer", "approve", "BE-FP", "--yes", "--scope", "connect,follow")
    for agency in (a, b, c):
        agency.start()
    ref, record = a.new("Read plates at night")
    wait_state(a, ref, b, "readable")
    wait_for("the record at C", lambda: record in c.export("--agency", "AT-BK"), 40, 0.3)
    time.sleep(6 * support.Options.slow)
    entry = where(a, ref)[c.code]
    same((entry["state"], entry["held"], entry["since_ms"]), ("queued", False, None), "what A knows of C")


@test
@waits
def where_ceiling(place):
    """Who is kept out, and why: the record's label, its areas, a decision, or that it was not shared."""
    fr, nl, de, pl, it = (place.agency(code) for code in ("FR-PN", "NL-PO", "DE-BK", "PL-KG", "IT-PS"))
    for other in (nl, de, pl):
        fr.add(other)
        other.add(fr)
        other.approve(fr)
    fr.add(it)
    fr.run("peer", "approve", "NL-PO", "--yes", "--tlp-max", "clear")
    fr.run("peer", "approve", "DE-BK", "--yes", "--areas", "cybercrime")
    fr.approve(pl)
    for agency in (fr, nl, de, pl):
        agency.start()
    ref, _ = fr.new("For some")
    wait_state(fr, ref, pl, "readable")
    said = where(fr, ref)
    same((said["NL-PO"]["state"], said["NL-PO"]["why"]), ("blocked", "ceiling: at most clear"), "the ceiling")
    same((said["DE-BK"]["state"], said["DE-BK"]["why"]), ("blocked", "areas: cybercrime"), "the areas")
    same(said["IT-PS"]["state"], "not-approved", "who was not approved")
    wait_for("what is blocked is there all the same", lambda: where(fr, ref)["NL-PO"]["held"], 40, 0.3)
    same(state(fr, ref, nl), "blocked", "once it is there")
    narrow, _ = fr.new("Within the areas", "--set", "areas=cybercrime")
    wait_state(fr, narrow, de, "readable")
    same(state(fr, narrow, nl), "blocked", "another record at the one with a ceiling")
    clear, _ = fr.new("For the public", "--set", "tlp=clear")
    wait_state(fr, clear, nl, "readable")
    same(state(fr, clear, de), "blocked", "without areas")
    own, _ = fr.new("Ours", to="agency")
    same({entry["state"] for entry in where(fr, own).values()}, {"not-in-audience"}, "for the agency alone")
    fr.run("publish", own, "--to", "all-peers")
    wait_state(fr, own, pl, "readable")


@test
@waits
def where_revoked(place):
    """Of who was revoked one sees what it has; what is written later never comes there as readable."""
    fr, nl, de = agencies = federation(place, ["FR-PN", "NL-PO", "DE-BK"])
    for agency in agencies:
        agency.start()
    before, _ = fr.new("Before")
    for other in (nl, de):
        wait_state(fr, before, other, "readable")
    fr.run("peer", "revoke", "NL-PO", "--reason", "left")
    entry = where(fr, before)["NL-PO"]
    same((entry["state"], entry["held"]), ("not-approved", True), "what it has")
    check("revoked" in entry["why"], "why", entry)
    after, _ = fr.new("After")
    wait_state(fr, after, de, "readable")
    entry = where(fr, after)["NL-PO"]
    same((entry["state"], entry["held"]), ("not-approved", False), "what was written later")


@test
@waits
def where_suspended(place):
    """Who was suspended when a record was written is told apart, and catches up once it is not."""
    fr, nl = federation(place, ["FR-PN", "NL-PO"])
    for agency in (fr, nl):
        agency.start()
    ref, _ = fr.new("First")
    wait_state(fr, ref, nl, "readable")
    fr.run("peer", "suspend", "NL-PO", "--reason", "looked into")
    later, _ = fr.new("While suspended")
    same((state(fr, later, nl), where(fr, later)["NL-PO"]["held"]), ("not-approved", False), "while suspended")
    fr.run("peer", "resume", "NL-PO")
    wait_state(fr, later, nl, "readable")


@test
@waits
def where_incarnations(place):
    """What lies in feeds that are closed and archived is known to be there as well, and while another is on its way."""
    fr, nl = federation(place, ["FR-PN", "NL-PO"])
    nl.start()
    refs = []
    for i in range(4):
        os.makedirs(fr.guard, mode=0o700, exist_ok=True)
        fr.start()
        refs.append(fr.new(f"Of start {i}")[0])
        for ref in refs:
            wait_state(fr, ref, nl, "readable")
        fr.stop()
        shutil.rmtree(fr.guard)
    nl.stop()
    os.makedirs(fr.guard, mode=0o700, exist_ok=True)
    fr.start()
    check(len(fr.feeds("FR-PN")) == 4, "feeds", fr.feeds("FR-PN"))
    fr.run("set", refs[0], "title=Once more")
    same([state(fr, ref, nl) for ref in refs], ["queued"] + ["readable"] * 3, "while the peer is away")
    same(where(fr, refs[0])["NL-PO"]["why"], "an earlier state is there", "of the one that changed")
    nl.start()
    for ref in refs:
        wait_state(fr, ref, nl, "readable")


@test
@waits
def where_restored(place):
    """A node that was put back says anew what it has: its older and larger claim is replaced, not kept."""
    fr, nl = federation(place, ["FR-PN", "NL-PO"])
    for agency in (fr, nl):
        agency.start()
    first, _ = fr.new("First")
    wait_state(fr, first, nl, "readable")
    nl.stop()
    copy = place.path("copy")
    shutil.copytree(nl.home, copy)
    nl.start()
    second, _ = fr.new("Second")
    wait_state(fr, second, nl, "readable")
    claimed = where(fr, second)["NL-PO"]["since_ms"]
    # Put back, and its view is too; the other one away, so that nothing can come again.
    nl.stop()
    fr.stop()
    shutil.rmtree(nl.home)
    shutil.copytree(copy, nl.home)
    nl.start()
    wait_for("a receipt in its log", lambda: os.path.exists(os.path.join(nl.home, "log", "data.mdb")), 5)
    time.sleep(4 * support.Options.slow)
    same(nl.status()["records"], 1, "records of the one that was put back")
    fr.start()
    wait_for("another receipt", lambda: where(fr, second)["NL-PO"]["since_ms"] != claimed, 40, 0.1)
    wait_state(fr, second, nl, "readable")
