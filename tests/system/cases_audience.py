"""Closed audiences: who is in them, what is written into them, what is refused."""
import json

from cases_review import add_admin, set_four_eyes
from support import (CANTCREAT, DATAERR, NOINPUT, NOPERM, USAGE, check, same, test, wait_for)


def friends(place, codes):
    """Agencies that may have from each other whatever leaves at all."""
    agencies = [place.agency(code) for code in codes]
    for one in agencies:
        for other in agencies:
            if one is not other:
                one.add(other)
                one.run("peer", "approve", other.code, "--yes", "--tlp-max", "amber+strict")
    return agencies


def members(agency, name):
    shown = agency.json("audience", "show", name)["audience"]
    return {one["code"]: (one["level"], one["allowed"]) for one in shown["members"]}


def refused(agency, code, *words):
    """Refused with this exit code, one line on stderr, and nothing was written."""
    before = agency.status()["position"]
    result = agency.run(*words, check_code=False)
    same(result.code, code, "exit of " + " ".join(words))
    check(result.err.startswith("ilea: ") and "Traceback" not in result.err, "a line that says why", result.err)
    same(agency.status()["position"], before, "what the log holds after " + " ".join(words))
    return result


def titles(agency):
    return sorted(record.get("title", "") for record in agency.export().values())


@test
def audience_alone(place):
    """New, show, list, add, remove; lists; bad input changes nothing. Without a daemon and with one."""
    one, two, three, four = friends(place, ["FR-PN", "NL-PO", "BE-FP", "DE-BK"])
    made = one.json("audience", "new", "GANGS", "--members", "NL-PO,BE-FP", "--levels", "NL-PO=admin,BE-FP=read")
    made = made["audience"]
    same((made["name"], made["owner"], made["tlp"], made["history"], made["list"], made["usable"], made["epoch"]),
         ("GANGS", "FR-PN", "amber", "all", False, True, 1), "what was made")
    same(members(one, "GANGS"),
         {"FR-PN": ("admin", True), "NL-PO": ("admin", True), "BE-FP": ("read", True)}, "its members")
    for _ in ("directly", "through the daemon"):
        refused(one, CANTCREAT, "audience", "new", "GANGS", "--members", "NL-PO")
        refused(one, DATAERR, "audience", "new", "NL-PO", "--members", "NL-PO")
        refused(one, DATAERR, "audience", "new", "a/b", "--members", "NL-PO")
        refused(one, DATAERR, "audience", "new", "X", "--members", "NL-PO,NL-PO")
        refused(one, DATAERR, "audience", "new", "X")
        refused(one, DATAERR, "audience", "new", "X", "--members", "FR-PN")
        refused(one, NOINPUT, "audience", "new", "X", "--members", "NL-PO,XX-XX")
        refused(one, DATAERR, "audience", "new", "X", "--members", "NL-PO", "--levels", "NL-PO=king")
        refused(one, DATAERR, "audience", "new", "X", "--members", "NL-PO", "--tlp", "red")
        refused(one, USAGE, "audience", "new", "X", "--members", "NL-PO", "--history", "some")
        refused(one, NOINPUT, "audience", "add", "NOBODY", "NL-PO")
        refused(one, NOINPUT, "audience", "add", "GANGS", "XX-XX")
        refused(one, NOINPUT, "audience", "remove", "GANGS", "DE-BK")
        refused(one, DATAERR, "audience", "add", "GANGS", "BE-FP", "--level", "read")
        refused(one, DATAERR, "audience", "remove", "GANGS", "FR-PN")
        refused(one, DATAERR, "audience", "suspend", "GANGS", "NL-PO", "--reason", "x")
        refused(one, USAGE, "audience", "suspend", "GANGS", "NL-PO")
        refused(one, DATAERR, "audience", "lift", "GANGS", "NL-PO")
        refused(one, NOINPUT, "need", "new", "--title", "x", "--to", "NOBODY")
        refused(one, NOINPUT, "need", "new", "--title", "x", "--to", "NL-PO,XX-XX")
        refused(one, DATAERR, "need", "new", "--title", "x", "--to", "NL-PO,NL-PO")
        refused(one, DATAERR, "need", "new", "--title", "x", "--to", "GANGS", "--tlp", "amber+strict")
        refused(one, DATAERR, "need", "new", "--title", "x", "--to", "GANGS", "--tlp", "red")
        refused(one, DATAERR, "need", "new", "--title", "x", "--to", "all-peers", "--tlp", "amber")
        if one.process is None:
            one.start()
    same(one.json("audience", "add", "GANGS", "DE-BK", "--level", "write")["audience"]["epoch"], 2, "an epoch each")
    one.run("audience", "add", "GANGS", "BE-FP", "--level", "write")
    one.run("audience", "remove", "GANGS", "NL-PO")
    same(members(one, "GANGS"),
         {"FR-PN": ("admin", True), "BE-FP": ("write", True), "DE-BK": ("write", True)}, "members after changes")
    ref, _ = one.new("in the gangs", to="GANGS")
    refused(one, DATAERR, "set", ref, "tlp=amber+strict")
    # A list is one audience however it is written.
    one.new("for two", "--tlp", "amber+strict", to="NL-PO,BE-FP")
    one.new("for two again", to="BE-FP,NL-PO")
    one.new("for one", to="DE-BK")
    lists = [entry for entry in one.json("audience", "list")["audiences"] if entry["list"]]
    same(sorted(len(entry["members"]) for entry in lists), [2, 3], "lists")
    refused(one, DATAERR, "audience", "add", lists[0]["id"], "NL-PO")
    kinds = one.run("audit").out
    check("audience.new" in kinds and "audience.change" in kinds, "the audit feed", kinds)
    one.stop()
    one.verify()


@test
def audience_preview(place):
    """What --dry-run says is what sealing does; nothing is written, not even a list."""
    one, two, three = friends(place, ["FR-PN", "NL-PO", "BE-FP"])
    one.run("audience", "new", "GANGS", "--members", "NL-PO", "--tlp", "green")
    ref, _ = one.new("a need", to=None)
    before = one.status()["position"]
    preview = one.json("publish", ref, "--to", "GANGS", "--tlp", "green", "--dry-run")["publish"]
    same(([entry["code"] for entry in preview["gets"]], [(e["code"], e["why"]) for e in preview["not"]],
          preview["to"], preview["refused"]), (["NL-PO"], [("BE-FP", "not-member")], "GANGS", None), "the preview")
    result = one.run("publish", ref, "--to", "GANGS", "--dry-run", "--json", check_code=False)
    same(result.code, DATAERR, "amber above green")
    check("above" in result.json()["publish"]["refused"], "why", result.out)
    refused(one, DATAERR, "publish", ref, "--to", "BE-FP", "--tlp", "red")
    preview = one.json("publish", ref, "--to", "BE-FP", "--dry-run")["publish"]
    same([entry["code"] for entry in preview["gets"]], ["BE-FP"], "a list that is not there yet")
    same(one.status()["position"], before, "nothing was written")
    refused(one, DATAERR, "publish", ref, "--to", "GANGS")
    one.run("publish", ref, "--to", "GANGS", "--tlp", "green")
    one.run("peer", "suspend", "NL-PO")
    refused(one, DATAERR, "set", ref, "title=changed")


@test
def audience_shared(place):
    """Members get it and read it, others hold nothing of it; add, remove, suspend, confirm, lift."""
    one, two, three = agencies = friends(place, ["FR-PN", "NL-PO", "BE-FP"])
    for agency in agencies:
        agency.start()
    one.run("audience", "new", "GANGS", "--members", "NL-PO", "--levels", "NL-PO=admin")
    ref, _ = one.new("plates of the gang", to="GANGS")
    wait_for("the record at a member", lambda: "plates of the gang" in titles(two))
    two.new("an answer of NL", to="FR-PN/GANGS")
    wait_for("the member's record at the owner", lambda: "an answer of NL" in titles(one))
    same(titles(three), [], "what a stranger has")
    check(three.json("audience", "list")["audiences"] == [], "audiences at a stranger")
    # Who joins reads what was there; who is out reads nothing new.
    one.run("audience", "add", "GANGS", "BE-FP")
    wait_for("history at who joined", lambda: titles(three) == ["an answer of NL", "plates of the gang"])
    refused(two, NOPERM, "audience", "remove", "FR-PN/GANGS", "BE-FP")
    refused(three, NOPERM, "audience", "suspend", "FR-PN/GANGS", "NL-PO", "--reason", "why not")
    refused(two, DATAERR, "audience", "suspend", "FR-PN/GANGS", "FR-PN", "--reason", "why not")
    two.run("audience", "suspend", "FR-PN/GANGS", "BE-FP", "--reason", "its node was stolen")
    two.new("behind its back", to="FR-PN/GANGS")
    wait_for("what was written meanwhile, at the owner", lambda: "behind its back" in titles(one))
    same(members(one, "GANGS")["BE-FP"], ("write", False), "the suspension at the owner")
    shown = one.json("audience", "show", "GANGS")["audience"]["members"]
    same([(member["suspended_by"], member["reason"]) for member in shown if member["code"] == "BE-FP"],
         [("NL-PO", "its node was stolen")], "who suspended it, and why")
    check("reason: its node was stolen" in one.run("audience", "show", "GANGS").out, "the reason on the screen")
    one.run("audience", "lift", "GANGS", "BE-FP")
    wait_for("what was kept back, after the lift", lambda: "behind its back" in titles(three))
    two.run("audience", "suspend", "FR-PN/GANGS", "BE-FP", "--reason", "again")
    wait_for("the suspension", lambda: not members(one, "GANGS")["BE-FP"][1])
    one.run("audience", "confirm", "GANGS", "BE-FP")
    one.new("without it", to="GANGS")
    wait_for("a new record at a member", lambda: "without it" in titles(two))
    check("without it" not in titles(three), "who was removed reads nothing new")
    one.run("audience", "add", "GANGS", "BE-FP")
    wait_for("all of it, after another addition", lambda: "without it" in titles(three))
    for agency in agencies:
        agency.stop()
        agency.verify()


@test
def audience_narrow(place):
    """From many to few: refused, then confirmed; who falls out deletes it, who is left reads it."""
    one, two, three = agencies = friends(place, ["FR-PN", "NL-PO", "BE-FP"])
    for agency in agencies:
        agency.start()
    ref, record = one.new("for all")
    for agency in (two, three):
        wait_for("the record at a peer", lambda agency=agency: "for all" in titles(agency))
    for words, refused in ((("--dry-run",), True), (("--dry-run", "--confirm"), False)):
        result = one.run("publish", ref, "--to", "NL-PO", "--json", *words, check_code=False)
        preview = json.loads(result.out)["publish"]
        same([(entry["code"], entry["why"], entry["loses"]) for entry in preview["not"]],
             [("BE-FP", "not-member", True)], "who loses it")
        same((result.code, preview["refused"] is not None), (DATAERR if refused else 0, refused), "the preview")
    same(one.json("audience", "list")["audiences"], [], "lists that a preview made")
    result = one.run("publish", ref, "--to", "NL-PO", check_code=False)
    same(result.code, DATAERR, "who falls out, unconfirmed")
    check("BE-FP" in result.err and "--confirm" in result.err, "who falls out", result.err)
    path = place.write("again.jsonl", json.dumps({"type": "need", "id": record, "title": "for few"}).encode())
    result = one.run("import", path, "--profile", "records", "--to", "NL-PO", check_code=False)
    check("BE-FP" in result.err and "ilea publish" in result.err, "who falls out by an import", result.err)
    same(titles(one), ["for all"], "what it changed")
    one.run("publish", ref, "--to", "NL-PO", "--confirm")
    wait_for("the record to go where it is not for", lambda: "for all" not in titles(three))
    wait_for("the record where it is for", lambda: "for all" in titles(two))
    same(titles(one), ["for all"], "at its owner")
    narrowed = [entry for entry in one.json("erasures")["erasures"] if entry["narrowed"]]
    same(len(narrowed), 1, "narrowings")
    # Wider again, without a trace: nobody loses it.
    preview = one.json("publish", ref, "--to", "all-peers", "--dry-run")["publish"]
    same((preview["not"], preview["refused"]), ([], None), "who does not get it then")
    one.run("publish", ref, "--to", "all-peers")
    wait_for("the record at all again", lambda: "for all" in titles(three))
    # And out of an audience, with what is there.
    one.run("audience", "new", "GANGS", "--members", "NL-PO,BE-FP")
    one.new("in the gangs", to="GANGS")
    for agency in (two, three):
        wait_for("the record at a member", lambda agency=agency: "in the gangs" in titles(agency))
    plan = one.json("audience", "remove", "GANGS", "BE-FP", "--erase")["remove"]
    same((plan["records"], plan["confirmed"], len(members(one, "GANGS"))), (1, False, 3), "the plan")
    one.run("audience", "remove", "GANGS", "BE-FP", "--erase", "--confirm")
    wait_for("the record to go at who is out", lambda: "in the gangs" not in titles(three))
    wait_for("the record at who is left", lambda: "in the gangs" in titles(two))
    for agency in agencies:
        agency.stop()
        agency.verify()


@test
def audience_review(place):
    """With four eyes what goes to an audience waits, too, and says for whom; updates of several places make several."""
    one, two, three = friends(place, ["FR-PN", "NL-PO", "BE-FP"])
    one.run("audience", "new", "GANGS", "--members", "NL-PO,BE-FP")
    shared, _ = one.new("there already", to="GANGS")
    key = add_admin(one)
    set_four_eyes(one)
    draft, _ = one.new("a draft", to=None)
    preview = one.json("publish", draft, "--to", "GANGS", "--dry-run")["publish"]
    same((len(preview["reviewers"]), len(preview["gets"])), (2, 2), "who approves and who gets it")
    answer = one.json("publish", draft, "--to", "GANGS")
    same(len(answer["releases"]), 1, "what was asked for")
    listed = one.json("review", "list")
    same([entry["to"] for entry in listed], ["GANGS"], "what waits")
    check(sorted(got["code"] for got in listed[0]["gets"]) == ["BE-FP", "NL-PO"], "who would get it", listed)
    one.run("review", "approve", listed[0]["release"], "--admin", key)
    # A change of what is shared in it, asked for by a plain set.
    one.run("set", shared, "title=changed")
    listed = one.json("review", "list")
    same([entry["to"] for entry in listed], ["GANGS"], "where the change would go")
    one.run("review", "approve", listed[0]["release"], "--admin", key)
    same(one.json("show", shared)["title"], "changed", "what was approved")
    # To fewer: approving says so.
    one.run("publish", draft, "--to", "NL-PO", "--confirm")
    listed = one.json("review", "list")
    one.run("review", "approve", listed[0]["release"], "--admin", key)
    same(len([entry for entry in one.json("erasures")["erasures"] if entry["narrowed"]]), 1, "narrowings")
    one.verify()


@test
def audience_stale(place):
    """Who had not heard of a removal wrote under the old key: it is shown, and all are told how much of it there is."""
    one, two, three = agencies = friends(place, ["FR-PN", "NL-PO", "BE-FP"])
    for agency in agencies:
        agency.start()
    one.run("audience", "new", "GANGS", "--members", "NL-PO,BE-FP")
    one.new("first", to="GANGS")
    for agency in (two, three):
        wait_for("the record at a member", lambda agency=agency: titles(agency) == ["first"])
    three.stop()
    one.run("audience", "remove", "GANGS", "BE-FP")
    one.new("without it", to="GANGS")
    wait_for("the removal at a member", lambda: titles(two) == ["first", "without it"])
    late, _ = three.new("too late", to="FR-PN/GANGS")
    three.start()
    for agency in (one, two):
        wait_for("what was written too late", lambda agency=agency: "too late" in titles(agency))
        same(agency.status()["stale"], 1, "stale changes")
        check("stale     1 " in agency.run("status").out, "status", agency.run("status").out)
    check("without it" not in titles(three), "what the removed one reads")
    shown = two.run("show", late).out
    check("for FR-PN/GANGS" in shown, "for whom it is", shown)
    check("FR-PN/GANGS" in two.run("need", "list").out, "in a list", two.run("need", "list").out)
    same({record["audience"] for record in two.export().values()}, {"FR-PN/GANGS"}, "in an export")
    for agency in agencies:
        agency.stop()
        agency.verify()
