"""All ways by which things of a closed audience travel: relays, bundles, documents; and what is told of them."""
import os
import time

from support import DATAERR, USAGE, check, folder_contains, same, test, wait_for, waits
from cases_documents import blobs, fetch, make_file


def friends(place, codes, pairs=None):
    """Agencies that may have from each other whatever leaves at all; `pairs`: who knows whom, default all."""
    agencies = [place.agency(code) for code in codes]
    for one in agencies:
        for other in agencies:
            if one is not other and (pairs is None or {one.code, other.code} in pairs):
                one.add(other)
                one.run("peer", "approve", other.code, "--yes", "--tlp-max", "amber+strict")
    return agencies


def titles(agency):
    return {record["title"] for record in agency.export().values()}


def states(agency, ref):
    return {entry["agency"]: entry["state"] for entry in agency.json("where", ref)["where"]["agencies"]}


def lengths(agency):
    """Feeds of closed audiences that an agency has: of whom, and how many commits."""
    return sorted((feed["agency"], feed["seq"]) for feed in agency.feeds(scope="audience"))


def members(agency, name):
    shown = agency.json("audience", "show", name)["audience"]
    return {one["code"]: (one["level"], one["allowed"]) for one in shown["members"]}


def new_folder(place, name):
    os.mkdir(place.path(name))
    return place.path(name)


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
    same(a.json("where", ref)["where"]["to"], "AT-BK/Chain", "whom it is for")
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
    check("unknown_document" not in d.log(), "who is outside was asked for it", d.log()[-300:])
    wait_for("it at the other", lambda: "With a plan" in titles(c) and "documents" in c.json("show", ref), 30, 0.2)
    fetch(c, ref, path)  # of who has it
    same(blobs(d), [], "chunks at who is outside")
    check("unknown_document" not in d.log(), "who is outside was asked for it", d.log()[-300:])
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


@test
@waits
def audience_where(place):
    """Where a closed record is: at members, readable; nobody else has anything, neither the feed nor its key."""
    one, two, three, four = agencies = friends(place, ["FR-PN", "NL-PO", "BE-FP", "DE-BK"])
    for agency in agencies:
        agency.start()
    one.run("audience", "new", "GANGS", "--members", "NL-PO,BE-FP", "--levels", "BE-FP=read")
    ref, _ = one.new("plates of the gang", to="GANGS")
    expected = {"NL-PO": "readable", "BE-FP": "readable", "DE-BK": "not-in-audience"}
    wait_for("all members to have read it", lambda: states(one, ref) == expected, 60)
    told = one.json("where", ref)["where"]
    same((told["to"], told["tlp"]), ("FR-PN/GANGS", "amber"), "for whom it is")
    same(lengths(four), [], "feeds at a stranger")
    for agency in (one, two, three):
        shown = agency.json("show", ref)
        same((shown["audience"], shown["label"]), ("FR-PN/GANGS", "amber"), "the record at " + agency.code)
        check("for FR-PN/GANGS" in agency.run("show", ref).out, "whom it is for, in words")
    # Who is removed with the line open keeps what it has, and nothing comes any more.
    before = lengths(two)
    one.run("audience", "remove", "GANGS", "NL-PO")
    later, _ = one.new("what came later", to="GANGS")
    wait_for("the later record at a member", lambda: states(one, later).get("BE-FP") == "readable", 60)
    same((states(one, later)["NL-PO"], states(one, ref)["NL-PO"]), ("not-in-audience",) * 2, "who is out")
    same(lengths(two), before, "what who is out has")
    # To all peers: everybody.
    one.run("publish", ref, "--to", "all-peers", "--tlp", "green")
    wait_for("the record at all", lambda: set(states(one, ref).values()) == {"readable"}, 60)
    same([agency.json("show", ref)["audience"] for agency in agencies], ["all-peers"] * 4, "for whom it is now")
    for agency in agencies:
        agency.stop()
        agency.verify()


@test
def audience_by_members(place):
    """A - B - C: what is closed goes by way of a member, and never by way of who is none."""
    one, two, three = agencies = [place.agency(code) for code in ("FR-PN", "NL-PO", "BE-FP")]
    for agency in agencies:
        for other in agencies:
            if agency is other:
                continue
            agency.add(other)
            words = ["--scope", "follow"] if {agency, other} == {one, three} else []
            agency.run("peer", "approve", other.code, "--yes", "--tlp-max", "amber+strict", *words)
        agency.start()
    one.run("audience", "new", "PAIR", "--members", "BE-FP")
    one.new("past the middle", to="PAIR")
    one.new("for all")
    wait_for("what is for all, at the end", lambda: titles(three) == {"for all"})
    same((lengths(two), lengths(three)), ([], []), "closed feeds behind who is no member")
    one.run("audience", "add", "PAIR", "NL-PO")
    wait_for("both, at the end", lambda: titles(three) == {"for all", "past the middle"})
    three.new("and back", to="FR-PN/PAIR")
    wait_for("the answer", lambda: "and back" in titles(one))
    # Over a start of each: what is known of members is read from the log.
    for agency in agencies:
        agency.stop()
        agency.start()
    one.new("after a start", to="PAIR")
    wait_for("what came after the start", lambda: "after a start" in titles(three))
    for agency in agencies:
        agency.stop()
        agency.verify()


@test
def audience_back(place):
    """Bundles carry closed feeds to members alone, and bring a restored owner its own back."""
    one, two, three = friends(place, ["FR-PN", "NL-PO", "BE-FP"])
    one.run("backup", place.path("early"))
    one.run("audience", "new", "GANGS", "--members", "NL-PO", "--levels", "NL-PO=admin")
    one.new("by hand", to="GANGS")
    one.new("for all")
    for agency in (two, three):
        made = one.json("bundle", "export", "--for", agency.code, place.path(agency.code))["export"]
        taken = agency.json("bundle", "import", *made["files"])["import"]
        same((taken["taken"], taken["waiting"], taken["refused"]), (made["commits"], 0, 0), "taken at " + agency.code)
    same((titles(two), titles(three)), ({"by hand", "for all"}, {"for all"}), "what each reads")
    same(lengths(three), [], "closed feeds at a stranger")
    two.new("an answer", to="FR-PN/GANGS")
    two.run("audience", "suspend", "FR-PN/GANGS", "FR-PN", "--reason", "x", check_code=DATAERR)
    # The owner is put back to before its audience: what it had stated comes back to it, in whatever order.
    one.run("restore", place.path("early"), "--yes")
    same(one.json("audience", "list")["audiences"], [], "audiences after the restore")
    made = two.json("bundle", "export", "--for", "FR-PN", place.path("back"))["export"]
    taken = one.json("bundle", "import", *made["files"])["import"]
    same((taken["waiting"], taken["refused"]), (0, 0), "what the owner did not take back")
    same(titles(one), {"an answer", "by hand", "for all"}, "what it reads again")
    same(members(one, "GANGS"), {"FR-PN": ("admin", True), "NL-PO": ("admin", True)}, "its members again")
    one.run("audience", "add", "GANGS", "BE-FP")
    made = one.json("bundle", "export", "--for", "BE-FP", place.path("joined"))["export"]
    taken = three.json("bundle", "import", *made["files"])["import"]
    same(taken["waiting"], 0, "waiting at who joined")
    same(titles(three), {"an answer", "by hand", "for all"}, "what who joined reads")
    for agency in (one, two, three):
        agency.verify()


@test
@waits
def audience_document_left(place):
    """A document of a closed record is for those who may have the record."""
    one, two, three = agencies = friends(place, ["FR-PN", "NL-PO", "BE-FP"])
    for agency in agencies:
        agency.start()
    one.run("audience", "new", "GANGS", "--members", "NL-PO,BE-FP")
    path = place.path("plan.txt")
    with open(path, "w", encoding="utf-8") as file:
        file.write("a plan\n" * 1000)
    ref, _ = one.new("with a plan", to="GANGS")
    one.run("attach", ref, path)
    for agency in (two, three):
        wait_for("its name", lambda agency=agency: titles(agency) and agency.json("show", ref).get("documents"))
    two.run("fetch", ref, "--out", new_folder(place, "two"))
    one.run("audience", "remove", "GANGS", "BE-FP")
    one.run("attach", ref, __file__)
    wait_for("the other document's name", lambda: len(two.json("show", ref)["documents"]) == 2)
    result = three.run("fetch", ref, "--out", new_folder(place, "three"), check_code=False, seconds=90)
    check(result.code != 0, "who is out is given a document", result.out)
    two.run("fetch", ref, "--out", new_folder(place, "again"))
    for agency in agencies:
        agency.stop()
        agency.verify()



@test
def audience_left_behind(place):
    """Removed with --erase: for those who are left it is the record it was, in the audience, and can be changed."""
    a, b, c, d = agencies = friends(place, ["AT-BK", "BE-FP", "CZ-PP", "DE-BK"])
    for agency in agencies:
        agency.start()
    a.run("audience", "new", "Left", "--members", "BE-FP,CZ-PP", "--history", "none")
    ref, record = a.new("Kept for one", to="Left")
    wait_for("it at both", lambda: titles(b) == titles(c) == {"Kept for one"}, 30, 0.2)
    a.run("audience", "remove", "Left", "CZ-PP", "--erase", "--confirm")
    wait_for("it gone where it is not for", lambda: not titles(c), 40, 0.3)
    a.run("set", ref, "problem=written later")
    wait_for("the change", lambda: b.json("show", ref).get("problem") == "written later", 30, 0.2)
    for agency in (a, b):
        shown = agency.json("show", ref)
        same((shown["audience"], shown["label"], shown["title"]), ("AT-BK/Left", "amber", "Kept for one"), "the record")
    same(a.json("where", ref)["where"]["to"], "AT-BK/Left", "where it is")
    same(a.run("publish", ref, "--to", "Left").code, 0, "published where it is")
    same(a.run("audience", "add", "Left", "BE-FP", check_code=False).code, DATAERR, "a member, without a level")
    for words in (("need", "new", "--title", "x", "--to", "all-peers", "--dry-run"),
                  ("erase", ref, "--reason", "x", "--confirm", "--dry-run"),
                  ("retract", ref, "--reason", "x", "--dry-run"),
                  ("audience", "add", "Left", "DE-BK", "--history", "none"), ("set", ref, "problem=x", "--confirm")):
        same(a.run(*words, check_code=False).code, USAGE, "an option that the command does not look at")
    same(titles(a), {"Kept for one"}, "what is there after all that")
    # Who joins without history reads later changes alone, and for whom they are.
    a.run("audience", "add", "Left", "DE-BK")
    a.run("set", ref, "problem=written last")
    wait_for("the last change", lambda: record in d.export(), 30, 0.2)
    part = d.export()[record]
    same((part["audience"], part["label"], part["problem"], part.get("title")),
         ("AT-BK/Left", "amber", "written last", None), "what who came later reads")
    for agency in agencies:
        agency.verify()
