"""Bad input: the exact exit code, one line that says what to do, and nothing changed."""
import contextlib
import os
import re
import shutil
import subprocess

from support import (CANTCREAT, CONFIG, DATAERR, NOINPUT, NOPERM, TEMPFAIL, UNAVAILABLE, USAGE, check, federation,
                     program, run, run_measured, same, test, wait_converged)

MEMORY_MAX_KIB = 200 * 1024


def picture(agency):
    """What must not change: the log, who is known, and the record counts."""
    status = agency.status()
    return {key: status[key] for key in ("position", "frontier", "view", "records", "lsn", "feeds")} | {
        "peers": [(peer["agency_id"], peer["state"], peer["name"]) for peer in status["peers"]]}


def one_line(result, code, *parts, program_name="ilea"):
    """The exit code, and one printable line on stderr that names all the parts."""
    check(result.code == code, f"expected exit code {code}:", result)
    check(result.err.startswith(program_name + ": ") and result.err.count("\n") == 1 and result.err.endswith("\n"),
          f"one line expected, not {result.err!r} (", result, ")")
    check(result.err[:-1].isprintable(), f"not printable: {result.err!r}")
    for part in parts:
        check(part in result.err, f"{part!r} is not in {result.err!r}")


@test
def bad_cards(place):
    """Cards that are cut off, altered, of another network, our own: refused, and nothing is known of them."""
    fr, nl = place.agency("FR-PN"), place.agency("NL-PO")
    other = place.agency("PL-KG", network="other")
    with open(nl.card_path, encoding="ascii") as file:
        card = file.read()
    lines = card.splitlines(keepends=True)
    body = card.index("\n\n") + 2
    for with_daemon in (False, True):
        if with_daemon:
            fr.start()
        before = picture(fr)

        def refused(text, what):
            path = place.write("bad.card", text)
            result = fr.run("peer", "add", path, check_code=False)
            try:
                one_line(result, DATAERR)
            except Exception as error:
                raise type(error)(f"{what}: {error}") from None

        lengths = {0, 1, 28, 29, body - 1, body, body + 1, len(card) // 2, card.rindex("-----END"),
                   card.rindex("-----END") + 4, len(card) - 2}
        lengths |= {place.random.randrange(len(card) - 1) for _ in range(10 if with_daemon else 40)}
        for length in sorted(lengths):
            refused(card[:length], f"card cut to {length} of {len(card)} characters")
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        end = card.rindex("-----END") - 1
        for at in sorted(place.random.sample(range(body, end), 10 if with_daemon else 60)):
            if card[at] == "\n":
                continue
            changed = place.random.choice([letter for letter in alphabet if letter != card[at]])
            refused(card[:at] + changed + card[at + 1:], f"character {at} altered from {card[at]} to {changed}")
        for line in (1, 2, 3):  # what people read has to be what is signed
            altered = lines[line].replace("NL-PO", "NL-PX").replace("127.0.0.1", "127.0.0.2")
            if line == 2:
                altered = lines[line].replace(lines[line].split()[1], "00000")
            check(altered != lines[line], "nothing altered")
            refused("".join(lines[:line] + [altered] + lines[line + 1:]), f"line {line} altered")
        refused("".join(lines[:1] + lines[2:]), "without its agency line")
        refused(card + card, "twice")
        refused("x" * 100000, "100,000 letters")
        refused(os.urandom(3000), "random bytes")
        one_line(fr.run("peer", "add", other.card_path, check_code=False), DATAERR, "another network")
        one_line(fr.run("peer", "add", fr.card_path, check_code=False), DATAERR, "our own")
        one_line(fr.run("peer", "add", place.path("none"), check_code=False), NOINPUT, "none")
        one_line(fr.run("peer", "approve", "NL-PO", "--yes", check_code=False), NOINPUT, "peer add")
        same(picture(fr), before, "what the node knows")
    fr.add(nl)
    before = picture(fr)
    one_line(fr.run("peer", "approve", "NL-PO", check_code=False), USAGE, "--yes")
    one_line(fr.run("peer", "approve", "FR-PN", "--yes", check_code=False), DATAERR, "itself")
    same(picture(fr), before, "what the node knows")


@test
def same_code(place):
    """Two agencies with one code cannot both be approved: people could not tell them apart."""
    fr, nl = place.agency("FR-PN"), place.agency("NL-PO")
    fr.add(nl)
    fr.approve(nl)
    false = place.agency("NL-PO", home=place.path("false"))
    before = picture(fr)
    one_line(fr.run("peer", "add", false.card_path, check_code=False), DATAERR, "NL-PO", "another agency")
    same(picture(fr), before, "what the node knows")
    # Both pending: the code alone names neither, and only one of them can be approved.
    es = place.agency("ES-GC")
    for number, agency in enumerate((nl, false)):
        path = place.path(f"{number}.card")
        agency.run("card", "--out", path)
        es.run("peer", "add", path)
    one_line(es.run("peer", "approve", "NL-PO", "--yes", check_code=False), DATAERR, "several")
    es.run("peer", "approve", false.json("id")["agency_id"], "--yes")
    one_line(es.run("peer", "approve", nl.json("id")["agency_id"], "--yes", check_code=False), DATAERR, "NL-PO")


@test
def bad_lines(place):
    """Files that are not what they should be: each bad line is named, the rest goes in."""
    fr = place.agency("FR-PN")
    good = b'{"type":"need","title":"Good"}\n'
    bad = {
        "not JSON": b"hello\n",
        "binary": b"\x7fELF\x00\x01\x02\x1b[31m\n",
        "escape sequence": b'{"type":"need","title":"a\x1b[31mb"}\n',
        "invalid UTF-8": b'{"type":"need","title":"a\xffb"}\n',
        "overlong UTF-8": b'{"type":"need","title":"a\xc0\xafb"}\n',
        "half a surrogate": b'{"type":"need","title":"\\ud800"}\n',
        "NUL": b'{"type":"need","title":"a\\u0000b"}\n',
        "an array": b"[1,2]\n",
        "half a line": b'{"type":"need","title":\n',
        "two objects": b'{"type":"need","title":"a"}{"type":"need","title":"b"}\n',
        "a key twice": b'{"type":"need","title":"a","title":"b"}\n',
        "unknown field": b'{"type":"need","title":"a","nonsense":1}\n',
        "unknown type": b'{"type":"frob","title":"a"}\n',
        "no type": b'{"title":"a"}\n',
        "no title": b'{"type":"need","problem":"a"}\n',
        "empty title": b'{"type":"need","title":""}\n',
        "title of blanks": b'{"type":"need","title":"  \\n "}\n',
        "title too long": b'{"type":"need","title":"' + b"a" * 1001 + b'"}\n',
        "title of the wrong kind": b'{"type":"need","title":{"a":1}}\n',
        "id that is none": b'{"type":"need","title":"a","id":"x"}\n',
        "deep nesting": b'{"type":"need","title":' + b"[" * 100000 + b"]" * 100000 + b"}\n",
        "2 MiB": b'{"type":"need","title":"a","problem":"' + b"b" * (2 << 20) + b'"}\n',
    }
    for with_daemon in (False, True):
        if with_daemon:
            fr.start()
        before = picture(fr)
        for what, line in bad.items():
            result = fr.run("import", place.write("bad.jsonl", line), "--profile", "records", "--json",
                            check_code=False)
            try:
                one_line(result, DATAERR, "line 1: ", "skipped")
                same(result.json(), {"bad": 1, "created": 0, "unchanged": 0, "updated": 0}, "counts")
            except Exception as error:
                raise type(error)(f"{what}: {error}") from None
        same(picture(fr), before, "what the node holds")
    content = b"".join(good + line for line in bad.values())
    result = fr.run("import", "-", "--profile", "records", "--json", check_code=DATAERR, stdin=content)
    same(result.json(), {"bad": len(bad), "created": len(bad), "unchanged": 0, "updated": 0}, "counts")
    named = [int(number) for number in re.findall(r"^ilea: line (\d+): ", result.err, re.MULTILINE)]
    same(sorted(named), [2 * i + 2 for i in range(len(bad))], "lines named")
    same(fr.status()["records"], len(bad), "records")
    # What is refused is the line, not the record of another one: a bad update changes nothing either.
    before = picture(fr)
    result = fr.run("import", place.write("cut.jsonl.gz", b"\x1f\x8b\x08\x00garbage"), "--profile", "records",
                    check_code=False)
    one_line(result, DATAERR)
    one_line(fr.run("import", place.path("none"), "--profile", "records", check_code=False), NOINPUT)
    result = fr.run("import", place.folder, "--profile", "records", check_code=False)
    one_line(result, NOINPUT if result.code == NOINPUT else DATAERR)  # opened or not: the system's choice
    one_line(fr.run("import", place.path("cut.jsonl.gz"), "--profile", "none", check_code=False), NOINPUT)
    one_line(fr.run("import", place.path("cut.jsonl.gz"), "--profile", "../records", check_code=False), CONFIG)
    one_line(fr.run("import", place.path("cut.jsonl.gz"), check_code=False), USAGE)
    same(picture(fr), before, "what the node holds")
    fr.verify()


@test
def long_line(place):
    """A line of 100 MB, and a compressed one, are refused in bounded memory."""
    fr = place.agency("FR-PN")
    path = place.path("long.jsonl")
    with open(path, "wb") as file:
        file.write(b'{"type":"need","title":"')
        for _ in range(100):
            file.write(b"a" * (1 << 20))
        file.write(b'"}\n{"type":"need","title":"After it"}\n')
    subprocess.run(["gzip", "-1", "-k", path], check=True)
    for name in (path, path + ".gz"):
        for with_daemon in (False, True):
            if with_daemon:
                fr.start()
            result = run_measured(fr.words("import", name, "--profile", "records", "--json"))
            one_line(result, DATAERR, "line 1: longer than")
            same(result.json(), {"bad": 1, "created": 1, "unchanged": 0, "updated": 0}, "counts")
            check(result.max_rss_kib < MEMORY_MAX_KIB, f"{result.max_rss_kib} KiB of memory for {name}")
            if with_daemon:
                fr.stop()
    same(fr.status()["records"], 4, "records")


@test
def bad_commands(place):
    """Commands that cannot be done: nothing is written, nothing is sent."""
    fr, nl = agencies = federation(place, ["FR-PN", "NL-PO"])
    for agency in agencies:
        agency.start()
    ref, record = fr.new("Of FR", "--set", "tags=a,b")
    theirs, _ = nl.new("Of NL")
    wait_converged(agencies)
    before = [picture(agency) for agency in agencies]
    for with_daemon in (True, False):
        if not with_daemon:
            fr.stop()
        for words, code, parts in (
                (["need", "new", "--title", "x", "--to", "all-peer"], NOINPUT, ["all-peer"]),
                (["need", "new", "--title", "x", "--to", ""], USAGE, ["--to"]),
                (["need", "new", "--title", "x", "--to", "ALL-PEERS"], NOINPUT, ["ALL-PEERS"]),
                (["need", "new", "--title", "x", "--tot", "all-peers"], USAGE, ["--tot"]),
                (["need", "new", "--title", ""], DATAERR, ["title"]),
                (["need", "new", "--title", "   "], DATAERR, ["title"]),
                (["need", "new"], DATAERR, ["title"]),
                (["need", "new", "--title", "a" * 1001], DATAERR, ["title", "longer"]),
                (["need", "new", "--title", "x", "--set", "nonsense=1"], DATAERR, ["nonsense"]),
                (["need", "new", "--title", "x", "--set", "title"], DATAERR, ["field=value"]),
                (["need", "new", "--title", "x", "--set", "problem=" + "b" * 70000], DATAERR, ["problem"]),
                (["need", "new", "--title", "x", "--set", "tlp=PURPLE"], DATAERR, ["tlp"]),
                (["need", "new", "--title", "a\x1b[31mb"], DATAERR, ["title"]),
                (["need", "neu", "--title", "x"], USAGE, ["new"]),
                (["frob", "new", "--title", "x"], USAGE, ["frob"]),
                (["set", ref, "nonsense=1"], DATAERR, ["nonsense"]),
                (["set", ref, "title="], DATAERR, ["title"]),
                (["set", ref], USAGE, ["field=value"]),
                (["set", theirs, "title=mine now"], NOPERM, ["NL-PO"]),
                (["publish", theirs, "--to", "all-peers"], NOPERM, ["NL-PO"]),
                (["publish", ref], USAGE, ["--to"]),
                (["publish", ref, "--to", "agency"], USAGE, []),
                (["show", "FR-PN-N99"], NOINPUT, ["FR-PN-N99"]),
                (["show", "FR-PN-X1"], None, ["FR-PN-X1"]),
                (["show", "0190c0de-0000-7000-8000-000000000000"], NOINPUT, ["0190c0de"]),
                (["show", "whatever"], USAGE, ["whatever"]),
                (["set", "FR-PN-N99", "title=x"], NOINPUT, ["FR-PN-N99"]),
                (["need", "list", "--agency", "ZZ-ZZ"], NOINPUT, ["ZZ-ZZ"]),
                (["need", "list", "--limit", "many"], USAGE, ["--limit"]),
                (["export", "--type", "frob"], USAGE, []),
                (["changes", "--since", "x"], USAGE, ["--since"]),
                (["status", "--frob"], USAGE, ["--frob"]),
                (["init", "--agency", "FR-PN", "--country", "FR"], CANTCREAT, ["nothing was changed"])):
            result = fr.run(*words, check_code=False)
            one_line(result, code if code is not None else result.code, *parts)
            check(result.code != 0, str(result))
            same(result.out, "", f"output of {words}")
        same(picture(fr), before[0], "what FR-PN holds")
    same(picture(nl), before[1], "what NL-PO holds")
    same(fr.json("show", record)["tags"], ["a", "b"], "the record")
    # Arguments of init: nothing is made.
    new = place.path("new")
    for words in (["--agency", "fr-pn", "--country", "FR"], ["--agency", "FR-PN", "--country", "France"],
                  ["--agency", "FR-PN"], ["--agency", "F" * 100, "--country", "FR"],
                  ["--agency", "FR-PN", "--country", "FR", "--listen", "example.org:1"],
                  ["--agency", "FR-PN", "--country", "FR", "--listen", "tcp://127.0.0.1:99999"]):
        one_line(run([program("ilea"), "--home", new, "init", *words], check_code=False), USAGE)
        check(not os.path.exists(new), f"init {words} made something")


@test
def bad_homes(place):
    """Homes that are none, newer, taken, not ours to read or wrongly configured: said, and left alone."""
    fr = place.agency("FR-PN")
    fr.new("Something", to="agency")

    def daemon(code, *parts, words=(), home=None):
        result = run([program("ilea-node"), "--home", home or fr.home, *words], check_code=False, seconds=20)
        one_line(result, code, *parts, program_name="ilea-node")

    def command(code, *parts, words=("need", "new", "--title", "x"), home=None):
        one_line(run([program("ilea"), "--home", home or fr.home, *words], check_code=False), code, *parts)

    for home in (place.path("nowhere"), place.folder):
        daemon(NOINPUT, "ilea init", home=home)
        for words in (("status",), ("export",), ("verify",), ("id",), ("card",), ("need", "new", "--title", "x"),
                      ("changes",), ("peer", "list")):
            command(NOINPUT, "ilea init", words=words, home=home)
    check(not os.path.exists(place.path("nowhere")), "a home was made")

    # Two daemons on one home; a port that is taken.
    fr.start()
    daemon(TEMPFAIL, "daemon")
    nl = place.agency("NL-PO", port=fr.port)
    result = run([program("ilea-node"), "--home", nl.home], check_code=UNAVAILABLE, seconds=20)
    check(f"127.0.0.1:{fr.port}" in result.err, f"the port is not named: {result.err}")
    fr.stop()
    daemon(CONFIG, "listen", words=("--listen", "localhost:99"))

    # Configuration.
    path = os.path.join(fr.home, "ilea.conf")
    shutil.copy(path, place.path("good.conf"))
    for text, parts in (("[node]\nlisten = x\n\nfrob = 1\n", ["line 4", "frob"]), ("[frob]\nlisten = x\n", ["frob"]),
                        ("[node]\nlisten\n", ["line 2"]),
                        ("[node]\ndocuments = some\n", ["line 2", "on-demand or all"]),
                        ("[node]\ndocuments_max = 5 GB\n", ["line 2", "a size"]),
                        (f"[node]\nlisten = localhost\nguard = {fr.guard}\n", ["listen"]),
                        ("\0\1\2", ["ilea.conf"]), ("[node]\nlisten = " + "x" * 500 + "\n", ["ilea.conf"])):
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        daemon(CONFIG, *parts)
    with open(path, "w", encoding="ascii") as file:
        file.write("[node]\nfrob = 1\n")
    command(CONFIG, "line 2", "frob")
    shutil.copy(place.path("good.conf"), path)

    # Keys.
    keys = os.path.join(fr.home, "keys")
    for name in ("node.key", "reading.key", "transport.key"):
        key = os.path.join(keys, name)
        check(os.path.exists(key), f"there is no {name}: {os.listdir(keys)}")
        os.chmod(key, 0o640)
        daemon(NOPERM, "key")
        command(NOPERM, "key")
        os.chmod(key, 0o600)
        os.rename(key, place.path("key"))
        daemon(NOINPUT, "key")
        command(NOINPUT, "key")
        with open(place.path("key"), "rb") as file:
            content = file.read()
        for damaged in (content[:-1], content[:-1] + bytes([content[-1] ^ 1]), b"", content + b"x"):
            with open(key, "wb") as file:
                file.write(damaged)
            os.chmod(key, 0o600)
            result = run([program("ilea-node"), "--home", fr.home], check_code=False, seconds=20)
            one_line(result, result.code, "key", program_name="ilea-node")
            check(result.code in (DATAERR, NOPERM), f"exit code {result.code} for a damaged {name}")
        os.rename(place.path("key"), key)

    # A log of a newer format, and of an older one.
    log = os.path.join(fr.home, "log", "data.mdb")
    shutil.copy(log, place.path("data.mdb"))
    with open(log, "rb") as file:
        content = file.read()
    own = re.search(rb"format\0\0\0[\x02-\x62]", content)
    check(own is not None, "no row with the format")
    for other in b"format\0\0\0\x63", b"format\0\0\0\1":
        with open(log, "r+b") as file:
            file.write(content.replace(own.group(), other))
        daemon(CONFIG, "another format")
        command(CONFIG, "another format")
        command(CONFIG, "another format", words=("verify",))
        command(CONFIG, "another format", words=("status",))
    shutil.copy(place.path("data.mdb"), log)
    same(fr.status()["records"], 1, "records")
    fr.verify()


@test
def passphrase(place):
    """Protected keys: the right passphrase, from a file, and no other; it stands in no log and no argument."""
    right, wrong = place.write("right", "canary-kennwort\n"), place.write("wrong", "something else\n")
    fr = place.agency("FR-PN", passphrase=right)
    fr.start()
    ref, _ = fr.new("Protected", to="agency")
    same(fr.json("show", ref)["title"], "Protected", "title")
    for pid in [fr.process.pid, fr.link_pid(), fr.worker_pid()]:
        for name in ("cmdline", "environ"):
            with contextlib.suppress(PermissionError):  # but for root these processes are closed
                with open(f"/proc/{pid}/{name}", "rb") as file:
                    check(b"canary-kennwort" not in file.read(), f"the passphrase is in {name}")
    os.kill(fr.worker_pid(), 9)
    fr.new("Again", to="agency")
    fr.stop()
    for name, words in (("ilea-node", []), ("ilea", ["need", "new", "--title", "x"]), ("ilea", ["verify"])):
        for path in (wrong, place.path("none"), place.write("empty", "")):
            result = run([program(name), "--home", fr.home, *words, "--passphrase-file", path], check_code=False)
            one_line(result, NOPERM, "passphrase", program_name=name)
    fr.verify()
    same(fr.status()["records"], 2, "records")
    check("canary" not in fr.log(), "the passphrase is in the log")
    for base, _, names in os.walk(fr.home):
        for name in names:
            with open(os.path.join(base, name), "rb") as file:
                check(b"canary-kennwort" not in file.read(), f"the passphrase is in {name}")
