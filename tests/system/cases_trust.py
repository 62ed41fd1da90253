"""Decisions: who may come in, who is out, who signed, and what is kept of it."""
import json
import os
import shutil
import time

import support
from cases_fork import copy_home
from support import (CANTCREAT, DATAERR, NOINPUT, NOPERM, USAGE, check, federation, run, same, test, wait_converged,
                     wait_for)


def peer(agency, other):
    found = [one for one in agency.json("peer", "list") if one["agency_id"] == other.json("id")["agency_id"]]
    same(len(found), 1, f"entries of {other.code} at {agency.code}")
    return found[0]


def state(agency, other):
    return peer(agency, other)["state"]


def titles(agency):
    return {record["title"] for record in agency.export().values() if "title" in record}


def code_of(agency, other):
    """What an admin reads out of `ilea peer verify`: the offline code here, as no lobby is open, so with its words."""
    answer = agency.json("peer", "verify", other.code, "--wait", "0")
    same(answer["how"], "offline", "how")
    return answer["code"] + " " + answer["words"]


def is_up(agency, other):
    return peer(agency, other)["link"] == "up"


@test
def revoked(place):
    """Revoked on an open connection: within a second nothing goes either way; what is written later it cannot read,
    even from others; and no card, request or vouch brings it back, only an admin's act with a code."""
    fr, nl, de = agencies = federation(place, ["FR-PN", "NL-PO", "DE-BK"])
    for agency in agencies:
        agency.start()
    fr.new("Before")
    nl.new("Of the later revoked")
    wait_converged(agencies)
    check(is_up(fr, nl) and is_up(nl, fr), "the link is not up")
    answer = fr.json("peer", "revoke", "NL-PO", "--reason", "left the network")
    decided = time.monotonic()
    same((answer["outcome"], answer["state"]), ("done", "revoked"), "the answer")
    wait_for("the link to be gone", lambda: not is_up(fr, nl), 1, 0.02)
    place.note(f"revoked: the link was gone {(time.monotonic() - decided) * 1000:.0f} ms after the answer")
    position = nl.status()["position"]
    fr.new("After the revocation")
    nl.new("Written by the revoked")
    wait_for("what is written later, at the third", lambda: "After the revocation" in titles(de), 30)
    wait_for("the revoked one's, at the third", lambda: "Written by the revoked" in titles(de), 30)
    # DE-BK goes on with both, so it carries NL-PO's feed and FR-PN's: neither helps.
    wait_for("the ciphertext at the revoked one", lambda: nl.status()["position"] > position + 1, 30)
    time.sleep(1.5 * support.Options.slow)
    check("After the revocation" not in titles(nl), "the revoked one reads what was written later")
    check(nl.status()["waiting_for_keys"] > 0, "nothing waits for a key at the revoked one")
    check("Before" in titles(nl), "what it had before is gone there")
    check("Written by the revoked" not in titles(fr), "the revoked one's new record came in")
    check("Of the later revoked" in titles(fr), "what it wrote before is gone")

    # Nothing but an admin brings it back.
    nl.run("card", "--out", nl.card_path)
    fr.run("peer", "add", nl.card_path, check_code=False)
    same(state(fr, nl), "revoked", "the state after another card")
    de.run("peer", "vouch", "NL-PO", "--how", "phone")
    wait_for("the vouch", lambda: fr.json("peer", "show", "NL-PO")["vouches"] != [], 30)
    same(state(fr, nl), "revoked", "the state after a vouch")
    result = fr.run("peer", "approve", "NL-PO", "--yes", check_code=NOPERM)
    check("code" in result.err, "no way is shown:", result)
    fr.run("peer", "resume", "NL-PO", check_code=False)
    same(state(fr, nl), "revoked", "the state after resume")
    fr.run("peer", "approve", "NL-PO", "--code", code_of(fr, nl))
    wait_for("the new link", lambda: is_up(fr, nl), 30)
    wait_converged(agencies)
    fr.run("audit", "verify")


@test
def suspended(place):
    """Suspended, nothing flows; resumed, everything comes, with the grant as it was. Declined stays declined."""
    fr, nl = agencies = federation(place, ["FR-PN", "NL-PO"])
    for agency in agencies:
        agency.start()
    fr.new("First")
    wait_converged(agencies)
    fr.run("peer", "suspend", "NL-PO", "--reason", "a key is looked for")
    wait_for("the link to be gone", lambda: not is_up(fr, nl), 1, 0.02)
    same((peer(fr, nl)["state_text"], peer(fr, nl)["reason"]), ("suspended", "a key is looked for"), "the state")
    check(any(item["what"] == "suspended" for item in fr.status()["attention"]), "status does not tell of it",
          fr.status()["attention"])
    fr.new("While suspended")
    nl.new("Written meanwhile")
    time.sleep(1.5 * support.Options.slow)
    check("While suspended" not in titles(nl) and "Written meanwhile" not in titles(fr), "something flowed")
    fr.run("peer", "resume", "NL-PO")
    wait_converged(agencies)
    check("While suspended" in titles(nl) and "Written meanwhile" in titles(fr), "something is missing")
    de = place.agency("DE-BK")
    fr.add(de)
    fr.run("peer", "decline", "DE-BK", "--reason", "not known to us")
    fr.add(de)
    same(state(fr, de), "declined", "the state after the same card again")
    fr.run("peer", "approve", "DE-BK", "--yes", check_code=NOPERM)
    fr.run("peer", "approve", "DE-BK", "--code", "00000000", check_code=DATAERR)
    result = fr.run("peer", "approve", "DE-BK", "--code", code_of(fr, de).split()[0], check_code=DATAERR)
    check("words" in result.err, "offline digits without their words:", result)
    for reason in ("two\nlines", "x" * 501):
        fr.run("peer", "approve", "DE-BK", "--code", code_of(fr, de), "--reason", reason, check_code=DATAERR)
    same(state(fr, de), "declined", "the state after a wrong code")
    fr.run("audit", "verify")


@test
def two_admins(place):
    """With approvals = 2 a decision waits for a second admin; nobody signs twice; the last admin stays."""
    fr, nl, de = place.agency("FR-PN"), place.agency("NL-PO"), place.agency("DE-BK")
    fr.add(nl)
    fr.add(de)
    result = fr.run("admin", "remove", "admin", check_code=False)
    check(result.code != 0 and "last" in result.err, "the last admin could be removed:", result)
    key = place.path("second.key")
    fr.run("admin", "add", "second", "--out", key)
    same(os.stat(key).st_mode & 0o777, 0o600, "mode of the key")
    fr.run("admin", "add", "second", "--out", place.path("third.key"), check_code=CANTCREAT)
    fr.run("admin", "policy", "--approvals", "3", check_code=DATAERR)
    fr.run("admin", "policy", "--approvals", "2")
    fr.start()
    answer = fr.json("peer", "approve", "NL-PO", "--yes", "--admin", "admin")
    same((answer["outcome"], answer["signatures"], answer["needed"], answer["state"]), ("waiting", 1, 2, "pending"),
         "an approval by one")
    number = answer["proposal"]
    same(state(fr, nl), "pending", "the state")
    check(any(item["what"] == "proposals" for item in fr.status()["attention"]), "status does not tell of it",
          fr.status()["attention"])
    fr.run("admin", "sign", number, "--admin", "admin", check_code=CANTCREAT)
    fr.run("admin", "sign", number, "--admin", "nobody", check_code=NOINPUT)
    fr.run("admin", "sign", 99, "--admin", key, check_code=NOINPUT)
    same(state(fr, nl), "pending", "the state")
    answer = fr.json("admin", "sign", number, "--admin", key)
    same((answer["outcome"], answer["state"]), ("done", "approved"), "the answer to the second")
    entry = fr.run("audit", "--json").lines()[-1]
    same([entry["kind"], sorted(by["name"] for by in entry["signed_by"])], ["peer.approve", ["admin", "second"]],
         "the audit feed")
    # Lowering it takes two as well, in ilea.conf too; a revocation; an admin's key.
    with open(os.path.join(fr.home, "ilea.conf"), "a", encoding="utf-8") as file:
        file.write("approvals = 1\n")
    for words in (["peer", "revoke", "NL-PO"], ["admin", "policy", "--approvals", "1"], ["key", "rotate"]):
        answer = fr.json(*words, "--admin", "admin")
        same((answer["outcome"], answer["signatures"], answer["needed"]), ("waiting", 1, 2), " ".join(words))
    same(state(fr, nl), "approved", "the state")
    # Refusing and suspending take one.
    fr.run("admin", "reject", fr.json("admin", "pending")[0]["proposal"], "--admin", key)
    fr.run("peer", "suspend", "NL-PO", "--admin", "admin")
    same(state(fr, nl), "suspended", "the state")
    fr.run("peer", "decline", "DE-BK", "--admin", key)
    # A first signature of before the suspension does not undo it when the second comes.
    answer = fr.json("peer", "resume", "NL-PO", "--admin", "admin")
    stale = fr.json("peer", "resume", "NL-PO", "--admin", "admin")["proposal"]
    same(fr.json("admin", "sign", answer["proposal"], "--admin", key)["state"], "approved", "resumed")
    fr.run("peer", "suspend", "NL-PO", "--admin", "admin")
    result = fr.run("admin", "sign", stale, "--admin", key, check_code=DATAERR)
    check("meanwhile" in result.err, "not said why:", result)
    same(state(fr, nl), "suspended", "the state after a stale proposal")
    fr.run("admin", "reject", stale, "--admin", key)
    # A key of no admin's any more signs nothing: two are left when a third is removed.
    third = place.path("third.key")
    answer = fr.json("admin", "add", "third", "--out", third, "--admin", "admin")
    fr.run("admin", "sign", answer["proposal"], "--admin", key)
    wait_for("three admins", lambda: len(fr.json("admin", "list")["admins"]) == 3, 10)
    answer = fr.json("admin", "remove", "third", "--admin", "admin")
    fr.run("admin", "sign", answer["proposal"], "--admin", key)
    wait_for("two admins", lambda: len(fr.json("admin", "list")["admins"]) == 2, 10)
    result = fr.run("peer", "resume", "NL-PO", "--admin", third, check_code=False)
    check(result.code != 0 and result.err.count("\n") == 1, "a removed admin decided:", result)
    same(state(fr, nl), "suspended", "the state")
    fr.run("audit", "verify")
    fr.verify()


@test
def audit_altered(place):
    """The audit feed as text and JSON, from a number or a day on; a changed byte in it is found."""
    fr, nl = place.agency("FR-PN"), place.agency("NL-PO")
    fr.add(nl)
    fr.run("peer", "decline", "NL-PO", "--reason", "unmistakable reason")
    entries = fr.run("audit", "--json").lines()
    same([entry["seq"] for entry in entries], list(range(1, len(entries) + 1)), "numbers")
    same(entries[-1]["pairs"]["reason"], "unmistakable reason", "the reason")
    same(len(fr.run("audit", "--since", 2, "--json").lines()), len(entries) - 1, "entries from 2 on")
    same(len(fr.run("audit", "--since", "2026-01-01", "--json").lines()), len(entries), "entries of this year")
    for bad in ("2026-13-01", "yesterday", "-1"):
        fr.run("audit", "--since", bad, check_code=USAGE)
    check("every hash and signature" in fr.run("audit", "verify").out, "no word of what was checked")
    log = os.path.join(fr.home, "log", "data.mdb")
    with open(log, "rb") as file:
        content = file.read()
    check(b"unmistakable" in content, "the entry is not in the log")
    with open(log, "wb") as file:
        file.write(content.replace(b"unmistakable", b"unmistakible"))
    result = fr.run("audit", "verify", check_code=False, lmdb_may_stumble=True)
    same(result.code, DATAERR, f"exit code of audit verify ({result.err.strip()})")
    # A shorter feed: that of before the decision, put back.
    shutil.copy(log, place.path("altered"))
    with open(log, "wb") as file:
        file.write(content)
    fr.run("audit", "verify")
    before = place.path("before")
    shutil.copytree(os.path.join(fr.home, "log"), before)
    fr.run("peer", "approve", "NL-PO", "--code", code_of(fr, nl))
    shutil.copy(os.path.join(before, "data.mdb"), log)
    result = fr.run("audit", "verify", check_code=DATAERR)
    check("ends at" in result.err + result.out, "what is wrong is not said:", result.out, result)


@test
def vouched(place):
    """A vouch of an approved peer stands beside a pending request, is no more than that, and can be taken back."""
    fr, de = federation(place, ["FR-PN", "DE-BK"])
    nl = place.agency("NL-PO")
    for agency in (fr, de):
        agency.add(nl)
        agency.start()
    de.run("peer", "vouch", "NL-PO", "--how", "a friend said so", check_code=USAGE)
    de.run("peer", "vouch", "NL-PO", "--how", "phone")
    wait_for("the vouch", lambda: fr.json("peer", "pending")[0]["vouches"] != [], 30)
    vouch = fr.json("peer", "pending")[0]["vouches"][0]
    same((vouch["agency"], vouch["how"], vouch["current_keys"]), ("DE-BK", "phone", True), "the vouch")
    same(state(fr, nl), "pending", "the state")
    check("DE-BK" in fr.run("peer", "pending").out, "it is not in the text")
    de.run("peer", "vouch", "NL-PO", "--how", "phone", "--withdraw")
    wait_for("the vouch to be gone", lambda: fr.json("peer", "pending")[0]["vouches"] == [], 30)


@test
def conflicting_keys(place):
    """The same roots sign two manifests of one index: whoever sees both stops the flow, and asks an admin."""
    fr, nl = agencies = federation(place, ["FR-PN", "NL-PO"])
    for agency in agencies:
        agency.start()
    fr.new("Before")
    wait_converged(agencies)
    fr.stop()
    thief = copy_home(place, fr, "thief")
    fr.start()
    fr.run("key", "rotate")
    wait_for("the new manifest at the peer", lambda: peer(nl, fr)["manifest_index"] == 1, 30)
    fr.stop()
    thief.run("key", "rotate")
    thief.start()
    wait_for("the conflict to be seen", lambda: state(nl, fr) == "suspended", 30)
    check("sign" in peer(nl, fr)["reason"] or "key" in peer(nl, fr)["reason"], "no reason:", peer(nl, fr))
    thief.run("need", "new", "--title", "By the thief", "--to", "all-peers")
    time.sleep(1 * support.Options.slow)
    check("By the thief" not in titles(nl), "the thief's record came in")
    check(any(item["what"] == "suspended" for item in nl.status()["attention"]), "status does not tell of it")
    same(nl.run("audit", "--json").lines()[-1]["kind"], "peer.conflict", "the audit feed")
    thief.stop()
    fr.start()
    nl.run("peer", "resume", "FR-PN")
    fr.new("After all")
    wait_converged(agencies)
    check("After all" in titles(nl), "the flow did not come back")


@test
def roots_in_a_safe(place):
    """Keys change only with the roots, from wherever they lie; without them nothing changes and it is said why."""
    fr = place.agency("FR-PN")
    fr_id = fr.json("id")
    safe = place.path("safe")
    os.mkdir(safe, 0o700)
    for name in os.listdir(os.path.join(fr.home, "keys")):
        if "root" in name and name.endswith(".key"):
            shutil.move(os.path.join(fr.home, "keys", name), safe)
    before = sorted(os.listdir(os.path.join(fr.home, "keys")))
    for words in (["key", "rotate"], ["admin", "add", "second"], ["key", "revoke", "--yes"],
                  ["key", "recover", "--yes"]):
        result = fr.run(*words, check_code=NOINPUT)
        check("--roots" in result.err and result.err.count("\n") == 1, "no way is shown:", result)
    same(sorted(os.listdir(os.path.join(fr.home, "keys"))), before, "files in keys/")
    same(fr.json("id")["fingerprints"], fr_id["fingerprints"], "keys")
    fr.run("key", "status")
    same(fr.json("key", "status")["manifest"], 0, "the newest manifest")
    fr.run("key", "rotate", "--only", "nonsense", check_code=USAGE)
    fr.run("key", "rotate", "--only", "transport", "--roots", safe)
    now = fr.json("id")["fingerprints"]
    check(now["transport"] != fr_id["fingerprints"]["transport"] and now["node"] == fr_id["fingerprints"]["node"],
          "which keys changed:", now)
    same(fr.json("key", "status")["manifest"], 1, "the newest manifest")
    fr.verify()


@test
def roots_of_three(place):
    """Two of three roots sign; one alone does not; the next roots take over with a threshold of their own."""
    place.may_fork = True
    fr = place.agency("FR-PN", home=place.path("three"))
    shutil.rmtree(fr.home)
    run(fr.words("init", "--agency", "FR-PN", "--country", "FR", "--roots", "3", "--threshold", "2"))
    keys = os.path.join(fr.home, "keys")
    safes = [place.path(f"safe-{i}") for i in range(3)]
    roots = sorted(name for name in os.listdir(keys) if name.startswith("root"))
    same(len(roots), 3, f"root keys among {sorted(os.listdir(keys))}")
    for safe, name in zip(safes, roots):
        os.mkdir(safe, 0o700)
        shutil.move(os.path.join(keys, name), safe)
    result = fr.run("key", "rotate", "--roots", safes[0], check_code=NOINPUT)
    check("2 root keys must sign and 1 was found" in result.err, "what is missing is not said:", result)
    fr.run("key", "rotate", "--roots", safes[0], "--roots", safes[2])
    same(fr.json("key", "status")["manifest"], 1, "the newest manifest")
    fr.run("init", "--agency", "FR-PN", "--country", "FR", "--roots", "2", "--threshold", "3", check_code=False)
    for words in (["--roots", "17"], ["--roots", "0"], ["--threshold", "0"], ["--roots", "2", "--threshold", "3"]):
        result = run([support.program("ilea"), "--home", place.path("none"), "init", "--agency", "FR-PN", "--country",
                      "FR", *words], check_code=USAGE)
        check(not os.path.exists(place.path("none")), "something was made by", words)
    fr.verify()


@test
def grants(place):
    """What an approval allows: labels, areas, a last day. Nonsense is refused and changes nothing."""
    fr, nl, de = place.agency("FR-PN"), place.agency("NL-PO"), place.agency("DE-BK")
    for one, other in ((fr, nl), (fr, de), (nl, fr), (de, fr)):
        one.add(other)
    for words in (["--scope", "everything"], ["--tlp-max", "purple"], ["--expires", "2020-01-01"],
                  ["--expires", "2028-02-30"], ["--expires", "soon"], ["--areas", "no such area!"]):
        result = fr.run("peer", "approve", "NL-PO", "--yes", *words, check_code=False)
        check(result.code in (USAGE, DATAERR) and result.err.count("\n") == 1, "nonsense was taken:", words, result)
        same(state(fr, nl), "pending", f"the state after {words}")
    for code, told in (("1234567", "8"), ("123456789", "8"), ("abcdefgh", "8")):
        result = fr.run("peer", "approve", "NL-PO", "--code", code, check_code=DATAERR)
        check(told in result.err, "the length is not said:", result)
    fr.run("peer", "approve", "NL-PO", "--yes", "--tlp-max", "clear", "--expires", "2099-12-31")
    fr.run("peer", "approve", "DE-BK", "--yes", "--areas", "drugs-trafficking,border-security")
    nl.approve(fr)
    de.approve(fr)
    same((peer(fr, nl)["tlp_max"], peer(fr, nl)["expires"]), ("clear", "2099-12-31"), "the grant")
    for agency in (fr, nl, de):
        agency.start()
    fr.new("Green and of both areas", "--set", "tlp=green", "--set", "areas+=border-security",
           "--set", "areas+=drugs-trafficking")
    fr.new("Clear and of none", "--set", "tlp=clear")
    fr.new("Clear and of one area", "--set", "tlp=clear", "--set", "areas+=border-security")
    fr.new("Clear and of another", "--set", "tlp=clear", "--set", "areas+=border-security", "--set",
           "areas+=organised-crime")
    wait_for("what is clear", lambda: titles(nl) == {"Clear and of none", "Clear and of one area",
                                                          "Clear and of another"},
             30)
    wait_for("what is of its areas", lambda: len(titles(de)) >= 2, 30)
    time.sleep(1 * support.Options.slow)
    check("Green and of both areas" not in titles(nl), "above its label")
    check("Clear and of another" not in titles(de), "of an area that is not its own")
    check({"Green and of both areas", "Clear and of one area"} <= titles(de), "something is missing:", titles(de))
    check(json.loads(json.dumps(peer(fr, de)["areas"])), "no areas")


@test
def preview(place):
    """Who would get a record is what is then sealed: agency by agency, with the reason; nothing is written."""
    fr, nl, de, be = [place.agency(code) for code in ("FR-PN", "NL-PO", "DE-BK", "BE-FP")]
    es = place.agency("ES-GC")
    for other in (nl, de, be, es):
        fr.add(other)
        other.add(fr)
        other.approve(fr)
    fr.run("peer", "approve", "NL-PO", "--yes", "--tlp-max", "clear")
    fr.run("peer", "approve", "DE-BK", "--yes", "--areas", "border-security")
    fr.approve(be)
    fr.run("peer", "suspend", "BE-FP")
    ref, _ = fr.new("Of two areas", "--set", "areas+=border-security", "--set", "areas+=drugs-trafficking", to=None)
    before = fr.status()["position"]
    expected = {"NL-PO": "label", "DE-BK": "areas", "BE-FP": "suspended", "ES-GC": "pending"}
    answer = fr.json("publish", ref, "--to", "all-peers", "--dry-run")["publish"]
    same({one["code"]: one["why"] for one in answer["not"]}, expected, "who does not get it")
    same((answer["gets"], answer["tlp"], answer["dry_run"]), ([], "green", True), "the preview")
    answer = fr.json("publish", ref, "--to", "all-peers", "--tlp", "clear", "--dry-run")["publish"]
    same([one["code"] for one in answer["gets"]], ["NL-PO"], "who gets it in clear")
    for label in ("amber", "amber+strict", "red"):
        fr.run("publish", ref, "--to", "all-peers", "--tlp", label, "--dry-run", check_code=DATAERR)
        fr.run("publish", ref, "--to", "all-peers", "--tlp", label, check_code=DATAERR)
        fr.run("need", "new", "--title", "x", "--tlp", label, "--to", "all-peers", check_code=DATAERR)
    fr.run("publish", ref, "--to", "all-peers", "--tlp", "purple", "--dry-run", check_code=USAGE)
    fr.run("publish", "FR-PN-N9", "--to", "all-peers", "--dry-run", check_code=NOINPUT)
    same(fr.status()["position"], before, "the log's position: a preview writes nothing")
    same(fr.json("show", ref)["audience"], "agency", "the audience")
    # And so it is.
    for agency in (fr, nl, de):
        agency.start()
    fr.run("publish", ref, "--to", "all-peers", "--tlp", "clear")
    wait_for("it where it was promised", lambda: "Of two areas" in titles(nl), 30)
    same(nl.json("show", ref)["label"], "clear", "the label at the reader")
    wait_for("the ciphertext elsewhere", lambda: de.status()["waiting_for_keys"] > 0, 30)
    check("Of two areas" not in titles(de), "it is read where it was not promised")
    # Withdrawn: still there, marked, and taken back.
    fr.run("retract", ref, check_code=USAGE)
    nl.run("retract", ref, "--reason", "not ours", check_code=NOPERM)
    fr.run("retract", ref, "--reason", "solved otherwise")
    wait_for("the mark at the reader", lambda: nl.json("show", ref).get("withdrawn") == "solved otherwise", 30)
    check("(withdrawn)" in nl.run("need", "list").out, "the list does not mark it")
    fr.run("set", ref, "withdrawn=")
    wait_for("no mark at the reader", lambda: "withdrawn" not in nl.json("show", ref), 30)
