"""Four eyes: with four_eyes = yes nothing leaves before another admin than the one who asked approved it."""
import os
import random
import shutil
import socket
import struct
import sys
import time

import support
from support import (CONFIG, DATAERR, IOERR, NOINPUT, NOPERM, CANTCREAT, USAGE, Options, check, federation,
                     folder_contains, make_rows, same, test, wait_converged, wait_for)

sys.path.insert(0, os.path.join(support.ROOT, "tests", "vectors"))
from check_vectors import Text, encode  # noqa: E402

NEED, TITLE = 6, 2


def set_four_eyes(agency, value="yes"):
    path = os.path.join(agency.home, "ilea.conf")
    with open(path, encoding="utf-8") as file:
        lines = [line for line in file.read().splitlines() if not line.startswith("four_eyes")]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines + ([f"four_eyes = {value}"] if value else [])) + "\n")


def add_admin(agency, name="second"):
    """The path of the new admin's key."""
    key = agency.place.path(name + ".key")
    agency.run("admin", "add", name, "--out", key)
    return key


def two_eyes_more(place, codes=("FR-PN", "NL-PO")):
    """Agencies that know each other, the first with four eyes; the key of its second admin."""
    agencies = federation(place, list(codes))
    key = add_admin(agencies[0])
    set_four_eyes(agencies[0])
    return agencies, key


def releases(agency, state=None):
    return [entry for entry in agency.json("review", "list") if state in (None, entry["state"])]


def asked(result):
    """The numbers of the releases that a command asked for."""
    return [entry["release"] for entry in result.get("releases", [])]


def ask_new(agency, title):
    """A new record that is to go to all peers; (ref, id) of the draft."""
    answer = agency.json("need", "new", "--title", title, "--to", "all-peers")
    same((answer["outcome"], len(asked(answer))), ("created", 1), "what was asked for")
    return answer["ref"], answer["id"]


def titles(agency):
    return sorted(record.get("title", "") for record in agency.export().values())


def put_past_the_command(agency, title):
    """A put as the command line would send it, without its manners: the outcome that the daemon answers."""
    put = encode([1, 1, 2, b"", NEED, b"", [[TITLE, 1, b"", encode(Text(title.encode()))]]])
    body = encode([put])
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(os.path.join(agency.home, "control.sock"))
        client.sendall(struct.pack(">IB", len(body) + 1, 1) + body)
        size = struct.unpack(">I", client.recv(4, socket.MSG_WAITALL))[0]
        answer = client.recv(size, socket.MSG_WAITALL)
    return answer[3:5]  # [ [ error, outcome, ...


@test
def review_ways_out(place):
    """new --to, publish, set, import, a put past the command: all wait; approved, they arrive; the rest as before."""
    (fr, nl), second = two_eyes_more(place)
    set_four_eyes(fr, None)
    shared, _ = fr.new("Shared before")
    own, _ = fr.new("Ours alone", to=None)
    rows = make_rows(place, "rows.jsonl", "misp-galaxy", 40)
    fr.load(rows, "misp-galaxy")
    fr.start()
    nl.start()
    wait_converged([fr, nl])
    before = titles(nl)
    same(len(before), 41, "records there")
    set_four_eyes(fr)  # without a restart

    ways = {}
    answer = fr.json("need", "new", "--title", "Secret word wombat", "--set", "areas=migration", "--to", "all-peers")
    same(answer["outcome"], "created", "a draft")
    ways["new"] = asked(answer)
    ways["publish"] = asked(fr.json("publish", own, "--to", "all-peers"))
    answer = fr.json("set", shared, "title=Shared and wombat")
    same(answer["outcome"], "waiting", "a change of what is shared")
    ways["set"] = asked(answer)
    with open(rows, encoding="utf-8") as file:
        text = file.read()
    changed = place.write("changed.jsonl", text.replace('"value": "', '"value": "wombat '))
    answer = fr.load(changed, "misp-galaxy")
    same((answer["created"], answer["updated"], answer["waiting"], answer["bad"]), (0, 0, 40, 0), "changes imported")
    ways["import of changes"] = asked(answer)
    same([entry["new"] for entry in fr.load(changed, "misp-galaxy")["releases"]], [False], "the same import again")
    more = make_rows(place, "more.jsonl", "misp-galaxy", 60, "wombat")
    answer = fr.load(more, "misp-galaxy")
    same((answer["created"], answer["waiting"]), (60, 0), "an import of new ones: drafts")
    ways["import"] = asked(answer)
    same({way: len(numbers) for way, numbers in ways.items()}, dict.fromkeys(ways, 1), "one release each")
    same(put_past_the_command(fr, "Past the command wombat"), b"\0\4", "a put past the command")
    same(fr.load(rows, "misp-galaxy")["unchanged"], 40, "an import of what is there already")
    fr.new("Only ours wombat", to=None)  # nobody is asked
    time.sleep(1)
    same(titles(nl), before, "records there")
    same(folder_contains(nl.home, [b"wombat"]), set(), "found there")

    listed = {entry["release"]: entry for entry in releases(fr, "waiting")}
    same(sorted(listed), sorted(number for numbers in ways.values() for number in numbers), "what waits")
    entry = listed[ways["import"][0]]
    same((len(entry["records"]), entry["asked_by"], entry["to"]), (60, "admin", "all-peers"), "the import")
    same([(peer["code"], peer["records"]) for peer in entry["gets"]], [("NL-PO", 60)], "who gets it")
    detail = fr.json("review", "show", shared)["records"][0]["changes"]
    same(detail, {"title": {"now": "Shared before", "then": "Shared and wombat"}}, "what would change")
    text = fr.run("review", "list").out + fr.run("review", "show", ways["new"][0]).out
    check(max(len(line) for line in text.splitlines()) <= 80 and "migration" in text, "the page:", text)
    check(any(item["what"] == "review" for item in fr.status()["attention"]), "status does not tell of it")

    numbers = [numbers[0] for numbers in ways.values()]
    same(fr.json("review", "approve", numbers[0], "--admin", second)["outcome"], "done", "approved")
    result = fr.run("review", "approve", *numbers, "--admin", second, check_code=NOINPUT)  # the first is gone
    same((result.err.count("\n"), result.out.count("approved and sent")), (1, len(numbers) - 1), "several at once")
    wait_converged([fr, nl])
    got = titles(nl)
    same(len(got), 103, "records there")
    same([title for title in got if "Only ours" in title or "Past the command" in title], [], "what nobody approved")
    check("Secret word wombat" in got and "Shared and wombat" in got and "Ours alone" in got, "not all is there:", got)
    same(sum(1 for title in got if title.startswith("wombat ")), 100, "imported there")
    same(releases(fr), [], "what waits still")
    kinds = [line["kind"] for line in fr.run("audit", "--json").lines()]
    same((kinds.count("record.asked"), kinds.count("record.release"), kinds.count("policy.four-eyes")), (5, 5, 1),
         "entries of the audit feed")
    fr.run("audit", "verify")
    # Off again: at once, and the audit feed tells.
    set_four_eyes(fr, "no")
    ref, _ = fr.new("Free again")
    wait_for("it there", lambda: "Free again" in titles(nl))
    last = [line for line in fr.run("audit", "--json").lines() if line["kind"] == "policy.four-eyes"][-1]
    same(last["pairs"], {"by": "configuration", "four-eyes": "no"}, "the audit feed")
    fr.run("retract", ref, "--reason", "over")
    fr.verify()
    nl.verify()


@test
def review_return(place):
    """A release is returned with a reason that its author sees; asked for anew, it is approved; without a daemon."""
    (fr, nl), second = two_eyes_more(place)
    ref, record = ask_new(fr, "First words")
    same(fr.json("show", ref)["review"]["state"], "waiting", "its page")
    result = fr.run("review", "return", ref, "--admin", second, check_code=USAGE)
    check("--reason" in result.err, "not said what is missing:", result)
    fr.run("review", "return", ref, "--admin", second, "--reason", "Which country?")
    page = fr.json("show", ref)["review"]
    same((page["state"], page["returned_by"], page["reason"]), ("returned", "second", "Which country?"), "its page")
    check("Which country?" in fr.run("show", ref).out, "the page does not say why")
    same(releases(fr)[0]["reason"], "Which country?", "the list")
    fr.run("review", "approve", ref, "--admin", second, check_code=DATAERR)
    same(fr.json("show", ref)["audience"], "agency", "who reads it")
    fr.run("set", ref, "title=Second words")  # a draft: nobody is asked
    number = asked(fr.json("publish", ref, "--to", "all-peers"))[0]
    same([(entry["release"], entry["state"]) for entry in releases(fr)], [(number, "waiting")], "the list")
    fr.run("review", "approve", number, "--admin", second)
    same((releases(fr), "review" in fr.json("show", ref), fr.json("show", ref)["audience"]), ([], False, "all-peers"),
         "the end")
    # One who asked takes it back; retracting asks nobody.
    fr.run("set", ref, "title=Third words")
    fr.run("review", "return", ref, "--admin", "admin", "--reason", "Changed my mind")
    fr.run("retract", ref, "--reason", "no longer needed")
    same(fr.json("show", ref)["withdrawn"], "no longer needed", "withdrawn")
    fr.start()
    nl.start()
    wait_for("it there", lambda: titles(nl) == ["Second words"])
    same(nl.export()[record]["withdrawn"], "no longer needed", "withdrawn there")
    fr.run("audit", "verify")
    fr.verify()


def check_refusals(fr, place, second):
    ref, _ = ask_new(fr, "A need")
    number = releases(fr, "waiting")[0]["release"]
    again = fr.json("publish", ref, "--to", "all-peers")
    same((again["outcome"], again["releases"]), ("unchanged", [{"release": number, "records": 1, "new": False}]),
         "asked for again")
    for admin in ("admin", place.path("other-name.key")):  # the same key under another name, too
        result = fr.run("review", "approve", number, "--admin", admin, check_code=NOPERM)
        check(result.err.count("\n") == 1 and "another admin" in result.err, "not said why:", result)
    for words, code in ((["review"], USAGE), (["review", "approve"], USAGE), (["review", "nod", "1"], USAGE),
                        (["review", "approve", "99", "--admin", second], NOINPUT),
                        (["review", "show", "FR-PN-N99"], NOINPUT), (["review", "show", "-1"], NOINPUT),
                        (["review", "approve", number, "--admin", "nobody"], NOINPUT),
                        (["review", "return", number, "--admin", second, "--reason", "a\nb"], DATAERR),
                        (["admin", "sign", number, "--admin", second], NOINPUT),
                        (["admin", "reject", number, "--admin", second], NOINPUT),
                        (["publish", ref, "--to", "all-peers", "--tlp", "clear"], CANTCREAT),
                        (["publish", ref, "--to", "all-peers", "--tlp", "red"], DATAERR)):
        result = fr.run(*words, check_code=code)
        same(result.err.count("\n"), 1, "lines of " + repr(result.err))
    same([entry["state"] for entry in releases(fr)], ["stale"], "after --tlp red was written to the draft")
    fr.run("set", ref, "tlp=")
    same([entry["state"] for entry in releases(fr)], ["stale"], "a record is not what it was, though it looks so")
    result = fr.run("review", "approve", number, "--admin", second, check_code=DATAERR)
    check("stale" in result.err and ref in result.err, "not said why:", result)
    fr.run("review", "return", number, "--admin", second, "--reason", "stale")
    number = asked(fr.json("publish", ref, "--to", "all-peers"))[0]
    fr.run("review", "approve", number, "--admin", second)
    fr.run("review", "approve", number, "--admin", second, check_code=NOINPUT)
    same(fr.json("admin", "pending"), [], "decisions that wait")


@test
def review_refusals(place):
    """Own approval, the same key under another name, stale, twice, unknown, one admin, a full queue, bad words."""
    (fr, nl), second = two_eyes_more(place)
    shutil.copy(os.path.join(fr.home, "keys", "admin-admin.key"), place.path("other-name.key"))
    check_refusals(fr, place, second)
    fr.start()
    check_refusals(fr, place, second)
    # Who is no admin any more neither asks nor approves.
    third = add_admin(fr, "third")
    ref, _ = fr.new("By the third", to=None)
    number = asked(fr.json("publish", ref, "--to", "all-peers", "--admin", third))[0]
    fr.run("admin", "remove", "third", "--admin", "admin")
    wait_for("two admins", lambda: len(fr.json("admin", "list")["admins"]) == 2, 10)
    fr.run("review", "approve", number, "--admin", third, check_code=NOPERM)
    result = fr.run("review", "approve", number, "--admin", second, check_code=NOPERM)
    check("return it" in result.err, "not said what to do:", result)
    fr.run("review", "return", number, "--admin", second, "--reason", "ask anew")
    # At most 64 wait, and none of them keeps a decision out.
    fr.json("import", make_rows(place, "many.jsonl", "misp-galaxy", 65, "many"), "--profile", "misp-galaxy")
    rows = [record["ref"] for record in fr.export().values() if "ref" in record and "many" in str(record)]
    same(len(rows), 65, "drafts")
    for ref in rows[:64]:
        fr.run("publish", ref, "--to", "all-peers")
    result = fr.run("publish", rows[64], "--to", "all-peers", check_code=IOERR)
    check("64 releases wait" in result.err, "not said why:", result)
    fr.run("peer", "suspend", "NL-PO", "--admin", "admin")
    fr.run("review", "return", rows[0], "--admin", second, "--reason", "first")
    fr.run("publish", rows[64], "--to", "all-peers")  # the returned one made room
    same((len(releases(fr)), len(releases(fr, "returned"))), (64, 0), "releases")
    # The dry run says so; with one admin alone nothing can be asked for; a word that is none stops all.
    answer = fr.json("publish", rows[0], "--to", "all-peers", "--dry-run")["publish"]
    same(sorted(answer["reviewers"]), ["admin", "second"], "who may approve")
    set_four_eyes(nl)
    result = nl.run("need", "new", "--title", "Alone", "--to", "all-peers", check_code=NOPERM)
    check("ilea admin add" in result.err, "not said what to do:", result)
    same(nl.run("need", "list", "--json").json(), [], "written all the same")
    nl.new("Ours", to=None)
    set_four_eyes(fr, "maybe")
    fr.run("need", "new", "--title", "Perhaps", "--to", "all-peers", check_code=CONFIG)
    same(put_past_the_command(fr, "Perhaps"), b"\0\4", "a put while ilea.conf cannot be read")
    fr.run("audit", "verify")
    fr.verify()


@test
def review_killed(place):
    """kill -9 around approvals: each is sent once or not at all, and what waits waits still; so do backups keep it."""
    (fr, nl), second = two_eyes_more(place)
    rng = random.Random(Options.seed)
    nl.start()
    approved = 0
    for number in range(max(3, Options.rounds // 2)):
        fr.start()
        path = make_rows(place, f"round-{number}.jsonl", "misp-galaxy", 50, f"round-{number}")
        release = asked(fr.load(path, "misp-galaxy"))[0]
        writer = support.Background(lambda stopping, release=release: fr.run("review", "approve", release, "--admin",
                                                                             second, check_code=False))
        time.sleep(rng.random() * 0.05)
        fr.kill()
        writer.finish()
        left = [entry for entry in releases(fr) if entry["release"] == release]
        entries = [line for line in fr.run("audit", "--json").lines() if line["kind"] == "record.release"]
        same(len(entries) + len(left), number + 1, "approved and waiting")
        if left:
            fr.run("review", "approve", release, "--admin", second)
        else:
            approved += 1
        fr.verify()
    print(f"{approved} were approved before the kill")
    fr.start()
    wait_converged([fr, nl])
    same(len(nl.export()), 50 * max(3, Options.rounds // 2), "records there")
    changes = fr.run("changes").lines()
    same(sum(1 for change in changes if change["record"]["audience"] != "all-peers"), 0, "drafts left")
    ref, _ = ask_new(fr, "In the backup")
    fr.run("backup", place.path("copy"))
    fr.stop()
    shutil.rmtree(fr.home)
    fr.run("restore", place.path("copy"), "--yes", "--peers-unchanged")
    same([entry["records"][0]["ref"] for entry in releases(fr, "waiting")], [ref], "what waits after a restore")
    fr.start()
    fr.run("review", "approve", ref, "--admin", second)
    wait_for("it there", lambda: "In the backup" in titles(nl))
    fr.run("audit", "verify")
