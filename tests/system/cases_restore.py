"""Copies of homes, backups, disks and machines that are put back: no feed ever has two commits with one number,
and what any peer held comes back.
"""
import json
import os
import shutil
import stat
import subprocess

from support import (CANTCREAT, DATAERR, TEMPFAIL, Agency, check, check_heads, federation, same, test,
                     wait_converged, wait_for)


def copy_tree(source, target):
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["cp", "-a", source, target], check=True)


def second_copy(place, agency, name, guard):
    """A stopped agency's home once more. `guard`: the folder of its guard; another one is another machine."""
    home = place.path(name)
    copy_tree(agency.home, home)
    copy = Agency(place, agency.code, listen=False, home=home)
    copy.log_path = place.path(name + ".log")
    copy.set_guard(guard)
    return copy


def wait_at(agency, records):
    """Until an agency shows these records."""
    wait_for(f"what was written, at {agency.code}", lambda: set(records) <= set(agency.export()), 45, 0.2)


def check_same_feeds(one, other, code):
    def of(agency):
        return sorted((feed["feed"], feed["seq"], feed["head"]) for feed in agency.feeds(code))
    same(of(one), of(other), f"feeds of {code} at both")


def own_feeds(agency):
    """An agency's own shared feeds and how far each goes."""
    return {feed["feed"]: feed["seq"] for feed in agency.feeds(agency.code)}


@test
def copies(place):
    """A copied home and the original write and sync in every order, with the peer there and without."""
    nl = place.agency("NL-PO")
    fr = place.agency("FR-PN", listen=False)
    for one, other in ((fr, nl), (nl, fr)):
        one.add(other)
        one.approve(other)
    nl.start()
    fr.start()
    shared = fr.new("Before the copy")
    wait_converged([fr, nl])
    fr.stop()
    here, elsewhere = fr.guard, os.path.join(place.memory, "elsewhere")
    written, number = [], 0
    for guard in here, elsewhere:
        for order in "fc", "cf", "ffcc", "fcfc", "cfcf":
            copy = second_copy(place, fr, "copy", guard)
            for with_peer in False, True:
                if with_peer != (nl.process is not None):
                    (nl.start if with_peer else nl.stop)()
                for who in order:  # each write is a process of its own, with a daemon or without
                    writer = fr if who == "f" else copy
                    number += 1
                    if with_peer:
                        writer.start()
                    written.append(writer.new(f"{who} {number}")[1])
                    writer.run("set", shared[1], f"title=Changed by {who} in {number}")
                    if with_peer:
                        wait_at(nl, written[-1:])
                        writer.stop()
                    check_heads([fr, copy, nl])
            for agency in copy, fr:  # what was written without the peer comes later
                if nl.process is None:
                    nl.start()
                agency.start()
                wait_for("the same at the peer", lambda a=agency: a.status()["frontier"] == nl.status()["frontier"], 45)
                agency.stop()
            check_heads([fr, copy, nl])
            check_same_feeds(fr, nl, "FR-PN")
            place.agencies.remove(copy)
    wait_at(nl, written)
    wait_at(fr, written)
    for agency in fr, nl:
        agency.verify()


@test
def backed_up(place):
    """A backup taken while the daemon writes, restored a week later onto the same home: nothing that a peer held is
    lost, and who was revoked since stays revoked."""
    fr, nl, de = agencies = federation(place, ["FR-PN", "NL-PO", "DE-BK"])
    for agency in agencies:
        agency.start()
    old = [fr.new(f"Before {i}")[1] for i in range(5)]
    draft = fr.new("An old draft", to="agency")[1]
    wait_converged(agencies)
    folder = place.path("backup")
    made = fr.json("backup", folder)
    same(made["agency"], "FR-PN", "agency of the backup")
    with open(os.path.join(folder, "backup.json"), encoding="utf-8") as file:
        json.load(file)
    for base, folders, files in os.walk(folder):
        for name in folders + files:
            mode = stat.S_IMODE(os.lstat(os.path.join(base, name)).st_mode)
            same(mode & 0o077, 0, f"access of others to {name} of the backup")
        check("state" not in folders and "view" not in folders, f"too much is in the backup: {folders}")
    check(os.path.exists(os.path.join(folder, "keys", "next-roots.pub")), "recovery is not possible from the backup")
    result = fr.run("backup", folder, check_code=CANTCREAT)
    same(result.err.count("\n"), 1, f"lines of a refused backup: {result.err!r}")

    lost = [fr.new(f"After {i}")[1] for i in range(5)]
    fr.run("set", old[0], "title=Changed after the backup")
    lost_draft = fr.new("A new draft", to="agency")[1]
    wait_converged(agencies)
    fr.run("peer", "revoke", "DE-BK", "--reason", "left the network")
    wait_converged([fr, nl])  # what no peer has yet is lost with the log
    for words in (["restore", folder], ["restore", folder, "--yes"]):
        result = fr.run(*words, check_code=CANTCREAT if len(words) == 2 else TEMPFAIL)
        same(result.err.count("\n"), 1, f"lines of a refused restore: {result.err!r}")
    feeds = own_feeds(fr)
    fr.stop()
    fr.run("restore", folder, "--yes")
    check(os.path.exists(os.path.join(fr.home, "before-restore-1", "log", "data.mdb")), "the log before is kept")
    peers = {peer["agency"]: peer for peer in fr.json("peer", "list")}
    same(peers["DE-BK"]["state"], "revoked", "state of who was revoked after the backup")
    same(peers["NL-PO"]["state"], "approved", "state of the other peer")
    fr.start()
    new = [fr.new(f"After the restore {i}")[1] for i in range(3)]
    wait_at(fr, old + lost + new)
    wait_converged([fr, nl])
    records = fr.export()
    check(draft in records and lost_draft not in records, "drafts after the restore")
    same(records[old[0]]["title"], "Changed after the backup", "a change after the backup")
    check_same_feeds(fr, nl, "FR-PN")
    for feed, seq in feeds.items():
        same(own_feeds(fr).get(feed), seq, "length of a feed of before")
    same(len(own_feeds(fr)), len(feeds) + 1, "feeds after the restore")
    check_heads(agencies)
    for agency in fr, nl:
        agency.verify()


@test
def backed_up_elsewhere(place):
    """A backup restored where there is nothing: peers wait for an admin's word, unless nothing changed. One that was
    altered is refused."""
    fr, nl = federation(place, ["FR-PN", "NL-PO"])
    fr.start()
    nl.start()
    records = [fr.new(f"Before {i}")[1] for i in range(3)]
    wait_converged([fr, nl])
    folder = place.path("backup")
    fr.run("backup", folder)
    records += [fr.new(f"After {i}")[1] for i in range(3)]
    wait_converged([fr, nl])
    fr.stop()
    shutil.rmtree(fr.home)  # the disk is gone, and so is /run of the machine
    shutil.rmtree(fr.guard)

    altered = place.path("altered")
    for name in "log/data.mdb", "ilea.conf", "backup.json":
        copy_tree(folder, altered)
        with open(os.path.join(altered, name), "r+b") as file:
            content = bytearray(file.read())
            content[len(content) // 2] ^= 1
            file.seek(0)
            file.write(content)
        result = fr.run("restore", altered, check_code=False)
        check(result.code in (DATAERR, 66), f"a backup with an altered {name}: {result}")
        same(result.err.count("\n"), 1, f"lines for an altered {name}: {result.err!r}")
        check(not os.path.exists(os.path.join(fr.home, "log")), f"something was restored of an altered {name}")

    for unchanged in False, True:
        shutil.rmtree(fr.home, ignore_errors=True)
        words = ["restore", folder] + (["--peers-unchanged"] if unchanged else [])
        result = fr.json(*words)
        same(result["waiting"], [] if unchanged else ["NL-PO"], "peers that wait")
        os.makedirs(fr.guard, mode=0o700, exist_ok=True)
        fr.start()
        new = fr.new(f"After the restore {unchanged}")[1]
        records.append(new)
        if not unchanged:
            same(fr.json("peer", "list")[0]["state"], "suspended", "state of a peer after a restore without state/")
            check(records[-2] not in fr.export(), "a suspended peer gave something back")
            fr.run("peer", "resume", "NL-PO")
        wait_at(nl, records)
        wait_at(fr, records)
        wait_converged([fr, nl])
        check_heads([fr, nl])
        check_same_feeds(fr, nl, "FR-PN")
        fr.verify()
        fr.stop()
    nl.verify()


@test
def disk_put_back(place):
    """The whole disk is put back to an earlier day, state/ too, and the machine boots: a new feed, all is back."""
    fr, nl = federation(place, ["FR-PN", "NL-PO"])
    fr.start()
    nl.start()
    records = [fr.new("Before")[1]]
    wait_converged([fr, nl])
    fr.stop()
    disk = place.path("disk")
    copy_tree(fr.home, disk)
    for with_peer in True, False:
        for with_daemon in True, False:
            if with_daemon:
                fr.start()
            else:
                records.append(fr.new("Lost, written without a daemon")[1])
                fr.start()
            records.append(fr.new("Lost")[1])
            wait_converged([fr, nl])
            fr.stop()
            copy_tree(disk, fr.home)
            shutil.rmtree(fr.guard)
            os.makedirs(fr.guard, mode=0o700)
            if not with_peer:
                nl.stop()
                records.append(fr.new("Written before the peer is met")[1])
            fr.start()
            records.append(fr.new("After it was put back")[1])
            if not with_peer:
                nl.start()
            wait_at(nl, records)
            wait_at(fr, records)
            wait_converged([fr, nl])
            check_heads([fr, nl])
            check_same_feeds(fr, nl, "FR-PN")
            fr.stop()
    for agency in fr, nl:
        agency.verify()


@test
def machine_put_back(place):
    """The machine is put back with its memory, guard and all, and the hypervisor says so: never on in the old feed."""
    fr, nl = federation(place, ["FR-PN", "NL-PO"])
    generation = place.write("generation", bytes(16))
    with open(os.path.join(fr.home, "ilea.conf"), "a", encoding="utf-8") as file:
        file.write(f"generation = {generation}\n")
    nl.start()
    fr.start()
    records = [fr.new("Before")[1]]
    wait_converged([fr, nl])
    fr.stop()
    disk, memory = place.path("disk"), place.path("memory")
    for number in range(1, 5):
        copy_tree(fr.home, disk)
        copy_tree(fr.guard, memory)
        feeds = own_feeds(fr)
        records.append(fr.new(f"Lost {number}")[1])  # the guard stands: on in the same feed
        same(set(own_feeds(fr)), set(feeds), "feeds before the machine was put back")
        fr.start()
        wait_at(nl, records)
        fr.stop()
        copy_tree(disk, fr.home)
        copy_tree(memory, fr.guard)
        place.write("generation", bytes([number]) * 16)
        if number % 2 == 0:
            fr.start()
        records.append(fr.new(f"After {number}")[1])
        if number % 2 == 1:
            fr.start()
        wait_at(nl, records)
        wait_at(fr, records)
        wait_converged([fr, nl])
        check_heads([fr, nl])
        check_same_feeds(fr, nl, "FR-PN")
        same(len(own_feeds(fr)), len(feeds) + 1, "feeds after the machine was put back")
        fr.stop()

    fr.start()  # and while it runs
    feeds = own_feeds(fr)
    place.write("generation", bytes([99]) * 16)
    result = fr.run("need", "new", "--title", "In the moment", "--to", "all-peers", check_code=False)
    if result.code == 0:
        records.append(result.out.split()[1])
    records.append(fr.new("After the moment")[1])
    wait_at(nl, records)
    wait_converged([fr, nl])
    same(len(own_feeds(fr)), len(feeds) + 1, "feeds after the generation changed in a running daemon")
    check_heads([fr, nl])
    for agency in fr, nl:
        agency.verify()
