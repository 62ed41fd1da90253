"""Keys that change, keys that are stolen, feeds that fork: as real processes.

The thief is a copy of the whole home, its guard included: the strongest one that there is, for it can go on
with the owner's own feed.
"""
import os
import shutil
import subprocess
import time

from support import Agency, check, federation, same, test, wait_converged, wait_for, waits


def copy_home(place, agency, name):
    """A stopped agency's home and guard once more: who runs it can write as the agency."""
    home = place.path(name)
    subprocess.run(["cp", "-a", agency.home, home], check=True)
    copy = Agency(place, agency.code, home=home, port=agency.port)
    copy.log_path = place.path(name + ".log")
    copy.guard = os.path.join(place.memory, name)
    copy.set_guard(copy.guard)
    for entry in os.listdir(agency.guard):
        shutil.copy2(os.path.join(agency.guard, entry), copy.guard)
    place.agencies.remove(copy)
    return copy


def titles(agency):
    return {record["title"] for record in agency.export().values()}


def wait_for_title(agency, title, seconds=30):
    wait_for(f"{title!r} at {agency.code}", lambda: title in titles(agency), seconds, 0.2)


def write_at(writer, reader, title):
    """Start both, write, wait until it has come over, and stop the writer."""
    writer.start()
    writer.new(title)
    wait_for_title(reader, title)
    writer.stop()


def three(place):
    """FR-PN, NL-PO and DE-BK, converged on a few records."""
    agencies = federation(place, ["FR-PN", "NL-PO", "DE-BK"])
    for agency in agencies:
        agency.start()
    for agency in agencies:
        for i in range(3):
            agency.new(f"{agency.code} {i}")
    wait_converged(agencies)
    return agencies


@test
def fork_resolved(place):
    """Two commits with one number: proven, spread, stopped, and settled by the agency's roots."""
    place.may_fork = True
    fr, nl, de = three(place)
    fr.stop()
    thief = copy_home(place, fr, "thief")
    de.stop()
    write_at(fr, nl, "Original")
    nl.stop()
    de.start()
    write_at(thief, de, "Forged")
    nl.start()
    feed = None
    for agency in (nl, de):
        forks = wait_for(f"the proof at {agency.code}", lambda a=agency: a.json("fork", "list"), 30)
        same(len(forks), 1, f"forks at {agency.code}")
        same(forks[0]["agency"], "FR-PN", "whose feed")
        feed = forks[0]["feed"]
    check("fork" in nl.run("status").out, "status does not tell of the fork")
    # What was held before stays, on both sides.
    for agency in (nl, de):
        check("FR-PN 0" in titles(agency), f"{agency.code} lost an old record")

    fr.start()
    wait_for("the proof at its owner", lambda: fr.json("fork", "list"), 30)
    fr.new("Written after the fork")
    for agency in (nl, de):
        wait_for_title(agency, "Written after the fork")
    check(all(entry["feed"] != feed or entry["seq"] < 100 for entry in fr.feeds("FR-PN")), "the fork grows")

    fr.run("fork", "resolve", feed[:16], "--keep", "ours")
    wait_converged([fr, nl, de])
    for agency in (fr, nl, de):
        shown = titles(agency)
        check("Original" in shown, f"Original is missing at {agency.code}")
        check("Forged" not in shown, f"Forged is shown at {agency.code}")
        check("Written after the fork" in shown, f"a later record is missing at {agency.code}")
        agency.verify()
        same([fork for fork in agency.json("fork", "list") if not fork["resolved"]], [], f"open forks at {agency.code}")


@test
def stolen_signing_key(place):
    """What a thief wrote beyond the last good position is void everywhere, whatever came first."""
    place.may_fork = True
    fr, nl, de = three(place)
    fr.stop()
    good = next(feed for feed in nl.feeds("FR-PN"))
    de.stop()
    thief = copy_home(place, fr, "thief")
    write_at(thief, nl, "Thief in the old feed")
    shutil.rmtree(os.path.join(place.memory, "thief"))
    os.makedirs(os.path.join(place.memory, "thief"), mode=0o700)
    write_at(thief, nl, "Thief in a feed of its own")

    # The owner notices. It does not even know what the thief wrote, nor whom it reached.
    fr.run("key", "revoke", "--last-good", f"{good['feed'][:16]}:{good['seq']}", "--yes")
    fr.start()
    fr.new("Written after the revocation")
    wait_for_title(nl, "Written after the revocation")
    wait_converged([fr, nl])
    de.start()
    wait_converged([fr, nl, de])
    for agency in (fr, nl, de):
        shown = titles(agency)
        check(not any("Thief" in title for title in shown), f"{agency.code} shows {shown}")
        check({"FR-PN 0", "FR-PN 1", "FR-PN 2"} <= shown, f"{agency.code} lost good records: {shown}")
        agency.verify()
    # The thief comes back with the old key: nobody listens.
    fr.stop()
    thief.start()
    thief.new("Thief again")
    time.sleep(3)
    for agency in (nl, de):
        check("Thief again" not in titles(agency), f"{agency.code} takes from a revoked key")
    thief.stop()
    fr.start()
    wait_converged([fr, nl, de])


@test
def planned_rotation(place):
    """All three keys change; peers follow without anybody doing anything, those that were away too."""
    fr, nl, de = three(place)
    de.stop()
    before = fr.json("id")["fingerprints"]
    fr.run("key", "rotate")
    fr.new("Under the new key")
    wait_for_title(nl, "Under the new key")
    wait_converged([fr, nl])
    check(fr.json("id")["fingerprints"]["node"] != before["node"], "the node key is the old one")
    same(fr.json("id")["fingerprints"]["agency"], before["agency"], "the agency's fingerprint")
    de.start()
    wait_converged([fr, nl, de])
    ref, _ = nl.new("Sealed to the new reading key")
    wait_for_title(fr, "Sealed to the new reading key")
    check(ref.startswith("NL-PO"), ref)
    for agency in (fr, nl, de):
        agency.stop()
        agency.start()
    fr.new("After a restart")
    wait_converged([fr, nl, de])
    for agency in (fr, nl, de):
        check("After a restart" in titles(agency), agency.code)
        agency.verify()


@test
def stolen_roots(place):
    """Who stole the roots takes the agency over; the roots that were kept apart take it back."""
    place.may_fork = True
    fr, nl, de = three(place)
    fr.stop()
    good = next(feed for feed in nl.feeds("FR-PN"))
    thief = copy_home(place, fr, "thief")
    os.unlink(os.path.join(thief.home, "keys", "next-root.key"))  # those lay in a safe
    thief.run("key", "rotate", "--only", "node")
    write_at(thief, nl, "Thief with a key of its own")
    fr.run("key", "recover", "--last-good", f"{good['feed'][:16]}:{good['seq']}", "--yes")
    fr.start()
    fr.new("Taken back")
    for agency in (nl, de):
        wait_for_title(agency, "Taken back")
    wait_converged([fr, nl, de])
    for agency in (fr, nl, de):
        shown = titles(agency)
        check(not any("Thief" in title for title in shown), f"{agency.code} shows {shown}")
        check("FR-PN 0" in shown, f"{agency.code} lost a good record")
        agency.verify()


@test
@waits
def both_rotate(place):
    """Two peers change their keys again and again at the same time: they find each other, soon."""
    fr, nl = agencies = federation(place, ["FR-PN", "NL-PO"])
    for agency in agencies:
        agency.start()
    fr.new("Before")
    wait_converged(agencies)
    longest = 0
    for i in range(4):
        for agency in agencies if i % 2 == 0 else reversed(agencies):
            agency.run("key", "rotate", *([] if i < 3 else ["--only", "transport"]))
        begun = time.monotonic()
        fr.new(f"From FR-PN after {i}")
        nl.new(f"From NL-PO after {i}")
        wait_converged(agencies, 60)
        longest = max(longest, time.monotonic() - begun)
    place.note(f"both_rotate: converged again after {longest:.1f} s at most")
    wait_for("one manifest chain each", lambda: all(
        peer["manifest_index"] == 4 for agency in agencies for peer in agency.json("peer", "list")), 30)


@test
@waits
def rotated_twice(place):
    """Keys changed twice while a peer was away: it follows all the same, and the keys that let it are gone then."""
    fr, nl = agencies = federation(place, ["FR-PN", "NL-PO"])
    for agency in agencies:
        agency.start()
    fr.new("Before")
    wait_converged(agencies)
    nl.stop()
    for _ in range(3):
        fr.run("key", "rotate")
    fr.new("Under the fourth key")
    nl.start()
    wait_converged(agencies, 60)
    same(nl.json("peer", "list")[0]["manifest_index"], 3, "the newest manifest at the peer")
    keys = os.path.join(fr.home, "keys")
    wait_for("the old transport keys to be gone", lambda: len(
        [name for name in os.listdir(keys) if name.startswith("transport")]) == 1, 60)
    for agency in agencies:
        agency.stop()
        agency.start()
    fr.new("After all")
    wait_converged(agencies)
