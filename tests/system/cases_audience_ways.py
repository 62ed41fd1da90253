"""All ways by which things of a closed audience travel: relays, bundles, documents; and what is told of them."""
import time

from support import check, folder_contains, same, test, wait_for, waits
from cases_documents import blobs, fetch, make_file


def friends(place, codes, pairs=None):
    """Agencies that may have from each other whatever leaves at all; `pairs`: who knows whom, default all."""
    agencies = [place.agency(code) for code in codes]
    for one in agencies:
        for other in agencies:
            if one is not other and (pairs is None or {one.code, other.code} in pairs):
                one.add(other)
                one.run("peer", "approve", other.code, "--yes", "--tlp-max", "amber")
    return agencies


def titles(agency):
    return {record["title"] for record in agency.export().values()}


def states(agency, ref):
    return {entry["agency"]: entry["state"] for entry in agency.json("where", ref)["where"]["agencies"]}


def closed_feeds(agency):
    return {bytes.fromhex(feed["feed"]) for feed in agency.status()["feeds"] if feed["scope"] == "audience"}


@test
@waits
def audience_chain(place):
    """A - B - C, where A never meets C: what A writes for both gets to C, and A learns that C reads it."""
    a, b, c, d = friends(place, ["AT-BK", "BE-FP", "CZ-PP", "DE-BK"])
    b.start()
    d.start()
    a.run("audience", "new", "Chain", "--members", "BE-FP,CZ-PP")
    ref, _ = a.new("For both", to="Chain")
    a.start()
    wait_for("it at the relay", lambda: "For both" in titles(b), 30, 0.2)
    a.stop()
    c.start()
    wait_for("it at the end", lambda: "For both" in titles(c), 30, 0.2)
    c.new("Answer", to="AT-BK/Chain")
    wait_for("the answer at the relay", lambda: "Answer" in titles(b), 30, 0.2)
    time.sleep(12)  # a receipt of C's for A, which B keeps for it
    c.stop()
    a.start()
    wait_for("the answer at the author", lambda: "Answer" in titles(a), 30, 0.2)
    wait_for("both read it, as the author knows",
             lambda: {"BE-FP": "readable", "CZ-PP": "readable", "DE-BK": "not-in-audience"} == states(a, ref), 60, 0.5)
    same(a.json("where", ref)["where"]["to"], "Chain", "whom it is for")
    same(titles(d), set(), "what the fourth reads")
    same(closed_feeds(d), set(), "closed feeds at the fourth")


@test
@waits
def audience_documents(place):
    """A document in a closed audience: of its author, of a member that has it; nothing of it at who is outside."""
    a, b, c, d = agencies = friends(place, ["AT-BK", "BE-FP", "CZ-PP", "DE-BK"])
    for agency in agencies:
        agency.start()
    a.run("audience", "new", "Plans", "--members", "BE-FP,CZ-PP")
    ref, _ = a.new("With a plan", to="Plans")
    path = make_file(place, "plan", 700000)
    a.run("attach", ref, path)
    wait_for("it at one", lambda: "With a plan" in titles(b) and "documents" in b.json("show", ref), 30, 0.2)
    fetch(b, ref, path)
    a.stop()
    wait_for("it at the other", lambda: "With a plan" in titles(c) and "documents" in c.json("show", ref), 30, 0.2)
    fetch(c, ref, path)  # of who has it
    same(blobs(d), [], "chunks at who is outside")
    a.start()
    a.run("erase", ref, "--reason", "an error", "--confirm")
    for agency in (b, c):
        wait_for("it gone at " + agency.code, lambda agency=agency: not titles(agency) and not blobs(agency), 40, 0.3)
    for agency in agencies:
        agency.verify()


@test
def audience_bundles(place):
    """In a bundle: for a member what it may have, for others nothing; removal counts there as on a link."""
    a, b, c = agencies = friends(place, ["AT-BK", "BE-FP", "CZ-PP"])
    a.run("audience", "new", "Far", "--members", "BE-FP")
    a.new("Open to all")
    a.new("Chamaeleon", to="Far")

    def carry(name):
        for agency in (b, c):
            path = place.path(f"{name}-{agency.code}")
            a.json("bundle", "export", "--for", agency.code, path)
            taken = agency.json("bundle", "import", path)["import"]
            same((taken["refused"], taken["waiting"]), (0, 0), f"refused and waiting at {agency.code}")

    carry("first")
    same(titles(b), {"Open to all", "Chamaeleon"}, "what the member reads")
    same(titles(c), {"Open to all"}, "what the other reads")
    same(folder_contains(c.home, closed_feeds(a)), set(), "closed feeds at the other")
    b.new("An answer", to="AT-BK/Far")
    back = place.path("back")
    b.json("bundle", "export", "--for", "AT-BK", back)
    same(a.json("bundle", "import", back)["import"]["waiting"], 0, "waiting at the owner")
    same(titles(a), {"Open to all", "Chamaeleon", "An answer"}, "what the owner reads")
    a.run("audience", "remove", "Far", "BE-FP")
    a.run("audience", "add", "Far", "CZ-PP")
    a.new("Axolotl", to="Far")
    carry("second")
    same(titles(b), {"Open to all", "Chamaeleon", "An answer"}, "what who was removed reads")
    check("Axolotl" in titles(c) and "Chamaeleon" in titles(c), "what who was added reads", titles(c))
    same(folder_contains(b.home, {b"Axolotl"}), set(), "texts at who was removed")
    for agency in agencies:
        agency.verify()
