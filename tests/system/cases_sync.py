"""What agencies that trust each other come to, and what those see that nobody trusts."""
import os
import shutil
import socket
import struct
import time

from support import (check, check_heads, federation, folder_contains, make_rows, real_or_made, same,
                     test, wait_converged, wait_for)


@test
def converge(place):
    """Three agencies import what they have: all hold and show the same."""
    fr, nl, pl = agencies = federation(place, ["FR-PN", "NL-PO", "PL-KG"])
    for agency in agencies:
        agency.start()
    counts = {
        fr: fr.load(real_or_made(place, "misp-galaxy.jsonl.gz", "misp-galaxy", 3000), "misp-galaxy"),
        nl: nl.load(real_or_made(place, "topics.jsonl", "h2020-topic", 300), "h2020-topic"),
        pl: pl.load(real_or_made(place, "cordis-security.jsonl.gz", "cordis-project", 600), "cordis-project"),
    }
    secrets = {}
    for agency in agencies:
        title = f"homebody-{agency.code}"
        ref, record = agency.new(title, to="agency")
        secrets[agency] = (title, record)
        check(ref.startswith(agency.code + "-N"), f"ref {ref}")
        same(agency.json("show", ref)["title"], title, "title by ref")
    total = sum(count["created"] for count in counts.values())
    for count in counts.values():
        same((count["updated"], count["unchanged"], count["bad"]), (0, 0, 0), "counts of the import")
    for status in wait_converged(agencies):
        same(status["records"], total + 1, f"records of {status['agency']}")
        same((status["waiting_for_keys"], status["unreadable"]), (0, 0), f"not readable at {status['agency']}")
    for agency in agencies:
        wait_for(f"links of {agency.code} up with nothing to go", lambda: all(
            (peer["link"], peer["lag_commits"], peer["missing_commits"]) == ("up", 0, 0)
            for peer in agency.status()["peers"]))

    exports = {agency: agency.export() for agency in agencies}
    shared = {agency: {key: value for key, value in records.items() if value["audience"] == "all-peers"}
              for agency, records in exports.items()}
    for agency in agencies:
        check(shared[agency] == shared[fr], f"{agency.code} exports other records than {fr.code}")
        same(len(shared[agency]), total, "shared records")
        for owner, count in counts.items():
            same(sum(1 for value in exports[agency].values() if value["agency"] == owner.code),
                 count["created"] + (1 if owner is agency else 0), f"records of {owner.code} at {agency.code}")
        same(len(agency.export("--agency", "NL-PO", "--type", "need")),
             counts[nl]["created"] + (1 if agency is nl else 0), "needs of NL-PO")
        for owner, (_, record) in secrets.items():
            same(record in exports[agency], owner is agency, f"a record for {owner.code} alone at {agency.code}")
    for record in place.random.sample(sorted(shared[fr]), 20):
        shown = [agency.json("show", record) for agency in agencies]
        check(shown[0] == shown[1] == shown[2] == shared[fr][record], f"record {record} differs")
    for agency in agencies:
        agency.verify()
        others = [title.encode() for owner, (title, _) in secrets.items() if owner is not agency]
        same(folder_contains(agency.home, others), set(), f"others' own records in the home of {agency.code}")
        ids = [bytes.fromhex(record.replace("-", "")) for owner, (_, record) in secrets.items() if owner is not agency]
        same(folder_contains(agency.home, ids), set(), f"ids of others' own records in the home of {agency.code}")
        same([feed["scope"] for feed in agency.status()["feeds"] if feed["agency"] != agency.code],
             ["all-peers", "all-peers"], "feeds of others")
    check_heads(agencies)
    for agency in agencies:
        agency.stop()
    # And the same without a daemon, from what is on the disk.
    check(fr.export() == exports[fr], "other records once stopped")


@test
def interactive(place):
    """What one agency writes, changes and publishes is soon visible at its peer."""
    fr, nl = federation(place, ["FR-PN", "NL-PO"])
    fr.start()
    nl.start()
    ref, record = fr.new("Read plates at night")

    def title_at(agency):
        result = agency.run("show", ref, "--json", check_code=False)
        return result.json().get("title") if result.code == 0 else None

    wait_for("record at the peer", lambda: title_at(nl) == "Read plates at night", 10, 0.02)
    fr.run("set", ref, "title=Read plates by day")
    same(title_at(fr), "Read plates by day", "what was written is seen at once")
    wait_for("change at the peer", lambda: title_at(nl) == "Read plates by day", 10, 0.02)
    ref, record = fr.new("Kept back", to="agency")
    wait_converged([fr, nl])
    same(title_at(nl), None, "a record for the agency alone at the peer")
    same(fr.run("publish", ref, "--to", "all-peers").out.split(), [ref, record], "published")
    wait_for("published record at the peer", lambda: title_at(nl) == "Kept back", 10, 0.02)
    wait_converged([fr, nl])
    same(fr.json("show", ref)["audience"], "all-peers", "audience")
    fr.verify()
    nl.verify()


@test
def chain(place):
    """A and C have no link of their own: each gets the other's records through B."""
    a, b, c = federation(place, ["AT-BK", "BE-FP", "CZ-PP"], listen={"BE-FP"})
    for agency in (a, b, c):
        agency.start()
    mine = a.load(make_rows(place, "a.jsonl", "misp-galaxy", 800, "from-a"), "misp-galaxy")
    theirs = c.load(make_rows(place, "c.jsonl", "h2020-topic", 400, "from-c"), "h2020-topic")
    same((mine["created"], theirs["created"]), (800, 400), "created")
    wait_converged([a, b, c])
    for agency, other in ((a, c), (c, a)):
        links = {peer["agency"]: peer["link"] for peer in agency.status()["peers"]}
        same(links, {"BE-FP": "up", other.code: "down"}, f"links of {agency.code}")
    same(len(c.export("--agency", "AT-BK")), 800, "records of A at C")
    same(len(a.export("--agency", "CZ-PP")), 400, "records of C at A")
    for agency in (a, b, c):
        agency.verify()
        exported = agency.export()
        same({line["agency"] for line in exported.values() if "from-a" in line["title"]}, {"AT-BK"}, "owner")
        same({line["agency"] for line in exported.values() if "from-c" in line["title"]}, {"CZ-PP"}, "owner")
    # B away: what A writes meanwhile comes to C once B is back.
    b.stop()
    ref, _ = a.new("While B was away")
    b.start()
    wait_converged([a, b, c])
    same(c.json("show", ref)["agency"], "AT-BK", "owner of what came through B")


@test
def approved_late(place):
    """Who is approved after years of imports reads all of it; before, nothing."""
    fr, nl, pl = (place.agency(code) for code in ("FR-PN", "NL-PO", "PL-KG"))
    for one, other in ((fr, nl), (nl, fr)):
        one.add(other)
    nl.approve(fr)
    for agency in (fr, nl, pl):
        agency.start()
    fr.load(make_rows(place, "one.jsonl", "misp-galaxy", 500, "canary-one"), "misp-galaxy")
    time.sleep(1.0)
    same(nl.feeds("FR-PN"), [], "feeds of an agency that has not approved us")
    same(nl.status()["records"], 0, "records")
    same(folder_contains(nl.home, [b"canary-one"]), set(), "plain text at the peer")
    fr.approve(nl)
    wait_converged([fr, nl])
    same(len(nl.export("--agency", "FR-PN")), 500, "records after the approval")
    # A third one later still, when there is an epoch with readers already.
    fr.load(make_rows(place, "two.jsonl", "misp-galaxy", 300, "canary-two"), "misp-galaxy")
    for one, other in ((fr, pl), (pl, fr)):
        one.add(other)
        one.approve(other)
    fr.new("After the second approval")
    wait_for("all records at the third", lambda: pl.status()["records"] == 801)
    wait_converged([fr, nl])
    same(pl.status()["waiting_for_keys"], 0, "items without key")
    for agency in (fr, nl, pl):
        agency.verify()
    # A rebuild reads the same as what came step by step.
    before = pl.export()
    pl.stop()
    shutil.rmtree(os.path.join(pl.home, "view"))
    check(pl.export() == before, "a rebuilt view shows other records")


@test
def stranger(place):
    """A node nobody approved gets nothing, and noise at the port disturbs nobody."""
    fr, nl = federation(place, ["FR-PN", "NL-PO"])
    xx = place.agency("XX-ZZ")
    for agency in (fr, nl):
        xx.add(agency)
        xx.approve(agency)
    fr.add(xx)  # known there and pending; at NL not even that
    for agency in (fr, nl, xx):
        agency.start()
    fr.load(make_rows(place, "rows.jsonl", "misp-galaxy", 400, "canary"), "misp-galaxy")
    xx.new("knock knock")
    for port in (fr.port, nl.port):
        make_noise(place, port)
    nl.new("Still here")
    wait_converged([fr, nl])
    time.sleep(1.0)
    status = xx.status()
    same([feed["agency"] for feed in status["feeds"]], ["XX-ZZ"], "feeds at the stranger")
    same(status["records"], 1, "records at the stranger")
    same({peer["link"] for peer in status["peers"]}, {"down"}, "links of the stranger")
    same(folder_contains(os.path.join(xx.home, "log"), [b"canary"]), set(), "plain text at the stranger")
    for agency in (fr, nl):
        status = agency.status()
        same(status["link_restarts"], 0, f"restarts of ilea-link at {agency.code}")
        same([feed for feed in status["feeds"] if feed["agency"] == "XX-ZZ"], [], "feeds of the stranger")
        same({peer["agency"]: peer["link"] for peer in status["peers"] if peer["state"] == "approved"},
             {"NL-PO" if agency is fr else "FR-PN": "up"}, "links")
        check("session_ended" not in agency.log(), f"a session of {agency.code} ended")
        check(len(agency.log()) < 64 * 1024, f"the log of {agency.code} grew without bound")
        agency.verify()


def make_noise(place, port):
    """What people send to ports: nothing, garbage, half a greeting, huge lengths, HTTP; many at once."""
    greeting = b"\xff" + b"\0" * 8 + b"\x7f\x03\x00CURVE".ljust(23, b"\0") + b"\0" * 32
    pieces = [b"", os.urandom(4096), greeting[:20], greeting, greeting + b"\x04\xff\xff\xff\xff\xff\xff\xff\xff",
              greeting + b"\x06\x7f" + os.urandom(4096), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
              b"\xff\0\0\0\0\0\0\0\x01\x7f\x01", struct.pack(">BQ", 2, 1 << 63), b"\0" * 65536,
              greeting.replace(b"CURVE", b"NULL\0") + b"\x04\x19\x05READY"]
    sockets = []
    for i in range(4 * len(pieces)):
        client = socket.socket()
        client.settimeout(1)
        try:
            client.connect(("127.0.0.1", port))
            client.sendall(pieces[i % len(pieces)])
            sockets.append(client)
        except OSError:
            client.close()
    time.sleep(0.5)
    for client in sockets:
        client.close()
