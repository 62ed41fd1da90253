"""The lobby: requests, replays and forgeries, the ceremony, a man in the middle, a flood of strangers."""
import json
import os
import re
import socket
import statistics
import struct
import subprocess
import threading
import time

import support
from support import DATAERR, TEMPFAIL, UNAVAILABLE, USAGE, check, free_port, same, test, wait_for, waits

PASS, GREETING, REQUEST, CEREMONY, ANSWER = 1, 2, 3, 4, 5
QUEUED, BUSY = b"\x01", b"\x02"


def with_lobby(agency, port=None):
    """Open a lobby, from the next start on; the card tells where it is."""
    agency.lobby_port = port or free_port()
    with open(os.path.join(agency.home, "ilea.conf"), "a", encoding="utf-8") as file:
        file.write(f"lobby = tcp://127.0.0.1:{agency.lobby_port}\n")
    agency.run("card", "--out", agency.card_path)
    return agency


def lobby_of(agency):
    return f"tcp://127.0.0.1:{agency.lobby_port}"


def start(agency):
    agency.start()
    if hasattr(agency, "lobby_port"):
        wait_for("open lobby", lambda: "event=lobby_open" in agency.log()[agency.log_start:], 10)
    return agency


def pending(agency):
    return {peer["agency"]: peer for peer in agency.json("peer", "pending")}


def counts(agency):
    return agency.status()["lobby"]


def frame(kind, body):
    return struct.pack(">HB", len(body) + 1, kind) + body


def receive(client):
    """One frame, or None at the end of the connection."""
    data = b""
    try:
        while len(data) < 2 or len(data) < 2 + struct.unpack(">H", data[:2])[0]:
            part = client.recv(4096)
            if not part:
                return None
            data += part
    except ConnectionResetError:
        return None
    return data[2], data[3:]


class Relay:
    """Listens, and hands on what a client and a lobby say to each other, through functions that may change it."""

    def __init__(self, port, to_lobby=None, to_client=None):
        self.port, self.target = free_port(), port
        self.to_lobby, self.to_client = to_lobby or (lambda data: data), to_client or (lambda data: data)
        self.said, self.answers = [], []
        self.socket = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client):
        with client, socket.create_connection(("127.0.0.1", self.target)) as lobby:
            def back():
                try:
                    while data := lobby.recv(65536):
                        self.answers.append(data)
                        client.sendall(self.to_client(data))
                    client.shutdown(socket.SHUT_WR)
                except OSError:
                    pass
            thread = threading.Thread(target=back, daemon=True)
            thread.start()
            try:
                while data := client.recv(65536):
                    self.said.append(data)
                    lobby.sendall(self.to_lobby(data))
            except OSError:
                pass
            thread.join(5)

    def close(self):
        self.socket.close()


@test
def lobby_request(place):
    """A stranger's request becomes pending, with its note; neither the line nor the answer tells anything of it."""
    fr = start(with_lobby(place.agency("FR-PN")))
    nl = place.agency("NL-PO")
    relay = Relay(fr.lobby_port)
    note = "We met in Lyon, unité 3"
    answer = nl.json("peer", "request", f"tcp://127.0.0.1:{relay.port}", "--note", note)
    same((answer["status"], answer["invite"]), ("queued", False), "the answer")
    found = wait_for("the request", lambda: pending(fr).get("NL-PO"), 10)
    same((found["state"], found["origin"], found["note"]), ("pending", "lobby", note), "the request")
    check(found["address"].startswith("127.0.0.1:"), "no address")
    line = b"".join(relay.said + relay.answers)
    for secret in (b"NL-PO", b"Agency NL-PO", note.encode(), b"FR-PN", bytes.fromhex(nl.json("id")["agency_id"])):
        check(secret not in line, "on the line, in clear:", secret)
    entry = fr.run("audit", "--json").lines()[-1]
    check(entry["kind"] == "peer.request" and "NL-PO" in json.dumps(entry), "not in the audit feed:", entry)
    fr.run("audit", "verify")
    # Asked again: the same answer, and nothing new.
    nl.run("peer", "request", lobby_of(fr))
    wait_for("the second to be seen", lambda: counts(fr)["known"] == 1, 10)
    same(len(pending(fr)), 1, "pending requests")
    relay.close()
    # Without a daemon of ours it goes out all the same; with one, too.
    start(nl)
    be = place.agency("BE-FP")
    be.run("peer", "request", lobby_of(fr), "--note", "x" * 500)
    wait_for("a third agency", lambda: "BE-FP" in pending(fr), 10)
    nl.run("peer", "request", lobby_of(fr))
    # A note that is no plain line, an address that is none, nobody there, a peer port.
    before = fr.status()["position"]
    for bad in ("x" * 501, "two\nlines", "turned \u202e round", "hidden \u200b"):
        result = be.run("peer", "request", lobby_of(fr), "--note", bad, check_code=DATAERR)
        check("note" in result.err and result.err.count("\n") == 1, "no clear line:", result)
    be.run("peer", "request", "127.0.0.1:1", check_code=DATAERR)
    be.run("peer", "request", f"tcp://127.0.0.1:{free_port()}", check_code=UNAVAILABLE)
    be.run("peer", "request", f"tcp://127.0.0.1:{fr.port}", "--wait", "0", check_code=False)
    be.run("peer", "request", lobby_of(fr), "--invite", "ABCD", check_code=DATAERR)
    be.run("peer", "request", check_code=USAGE)
    same(fr.status()["position"], before, "the log's position")


@test
@waits
def lobby_refusals(place):
    """Replayed, altered, of another network, ten years off, declined before: "queued", counted, and nothing changes."""
    fr = start(with_lobby(place.agency("FR-PN")))
    other = place.agency("NL-PO", network="another network")
    other.run("peer", "request", lobby_of(fr))
    wait_for("the other network's to be refused", lambda: counts(fr)["foreign"] == 1, 10)
    # Altered on the way: the seal does not open.
    nl = place.agency("NL-KM")
    relay = Relay(fr.lobby_port, to_lobby=lambda data: data[:-1] + bytes([data[-1] ^ 1]))
    nl.run("peer", "request", f"tcp://127.0.0.1:{relay.port}")
    wait_for("the altered one to be refused", lambda: counts(fr)["unreadable"] == 1, 10)
    relay.close()
    # Replayed on another connection, under the same key and under a later one.
    relay = Relay(fr.lobby_port)
    be = place.agency("BE-FP")
    be.run("peer", "request", f"tcp://127.0.0.1:{relay.port}")
    wait_for("the real one", lambda: "BE-FP" in pending(fr), 10)
    be_id = be.json("id")["agency_id"]
    fr.run("peer", "decline", "BE-FP")
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", fr.lobby_port)) as client:
            same(receive(client)[0], GREETING, "the greeting")
            client.sendall(relay.said[-1])
            same(receive(client), (ANSWER, QUEUED), "the answer to a replay")
        time.sleep(6 * support.Options.slow)
    wait_for("replays to be refused", lambda: counts(fr)["unreadable"] == 3, 10)
    relay.close()
    # Declined: not by another request.
    be.run("peer", "request", lobby_of(fr))
    wait_for("the declined one to be refused", lambda: counts(fr)["refused"] == 1, 10)
    peers = {peer["agency_id"]: peer["state"] for peer in fr.json("peer", "list")}
    same(peers, {be_id: "declined"}, "the list")
    # A clock that is ten years off, theirs or ours: said before anything is sent; and if it is sent all the same,
    # refused. The lobby's clock is in its greeting, so a relay can make it say what it likes.
    ten_years = struct.pack(">I", int(time.time() // 60) - 10 * 365 * 24 * 60)
    relay = Relay(fr.lobby_port, to_client=lambda data: data[:4] + ten_years + data[8:]
                  if data[2] == GREETING else data)
    result = nl.run("peer", "request", f"tcp://127.0.0.1:{relay.port}", check_code=DATAERR)
    check("clock" in result.err and "nothing was sent" in result.err, "no clear line:", result)
    relay.close()
    faketime = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
    if os.path.exists(faketime):
        place.note("libfaketime is here: a request of ten years ago is tried too")
        old = Relay(fr.lobby_port, to_client=lambda data: data[:4] + ten_years + data[8:]
                    if data[2] == GREETING else data)
        nl.run("peer", "request", f"tcp://127.0.0.1:{old.port}", check_code=False,
               env={"LD_PRELOAD": faketime, "FAKETIME": "-3650d"})
        old.close()
    same(pending(fr), {}, "what is pending")
    fr.run("audit", "verify")


def pieces(agency, invite):
    """Id and key are not to be had from the text here; only that a used one does nothing."""
    return agency.run("peer", "request", invite[0], "--invite", invite[1], "--wait", "3", check_code=False)


@test
@waits
def lobby_invites(place):
    """An invite is good once, for one agency; used, mistyped and made up ones are refused without a word."""
    fr = start(with_lobby(place.agency("FR-PN")))
    text = fr.json("peer", "invite", "--days", "2")["invite"]
    check(re.fullmatch(r"([0-9A-Z]{4}-){6}[0-9A-Z]{4}", text), "an invite of another form:", text)
    nl, be = place.agency("NL-PO"), place.agency("BE-FP")
    nl.run("peer", "request", lobby_of(fr), "--invite", text.lower())
    found = wait_for("the invited one", lambda: pending(fr).get("NL-PO"), 10)
    same(found["origin"], "invite", "its origin")
    # Used: queued, as everything is.
    be.run("peer", "request", lobby_of(fr), "--invite", text)
    wait_for("the used one to be counted", lambda: counts(fr)["door"]["wrong_invite"] == 1, 15)
    # One that somebody made up.
    other = place.agency("DE-BK")
    made_up = other.json("peer", "invite")["invite"]
    be.run("peer", "request", lobby_of(fr), "--invite", made_up)
    wait_for("the made up one to be counted", lambda: counts(fr)["door"]["wrong_invite"] == 2, 15)
    same(set(pending(fr)), {"NL-PO"}, "who is pending")
    # Who is pending without one comes among the invited with one.
    be.run("peer", "request", lobby_of(fr))
    wait_for("the request", lambda: pending(fr).get("BE-FP"), 10)
    be.run("peer", "request", lobby_of(fr), "--invite", fr.json("peer", "invite")["invite"])
    wait_for("the invited request", lambda: pending(fr)["BE-FP"]["origin"] == "invite", 10)
    wrong = text[:-1] + ("A" if text[-1] != "A" else "B")
    result = be.run("peer", "request", lobby_of(fr), "--invite", wrong, check_code=DATAERR)
    check("mistyped" in result.err, "no clear line:", result)
    fr.run("peer", "invite", "--days", "0", check_code=USAGE)
    fr.run("peer", "invite", "--days", "91", check_code=USAGE)
    # Not in the log, nor in the audit feed: whoever reads them cannot ask in its place.
    fr.stop()
    token = text.replace("-", "").encode()
    same(support.folder_contains(fr.home, [token, text.encode()]), set(), "invites on the disk")


def verify_both(one, other, *words):
    """Both admins at once; their answers."""
    results = []
    threads = [threading.Thread(target=lambda a=a, b=b: results.append(
        (a.code, a.run("peer", "verify", b.code, "--json", *words, check_code=False)))) for a, b in
        ((one, other), (other, one))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = dict(results)
    return found[one.code], found[other.code]


@test
@waits
def ceremony(place):
    """Both sides show one code: online by whichever lobby answers, offline without; a wrong one opens nothing."""
    for lobbies in ("both", "first", "second", "none"):
        fr = place.agency("FR-" + lobbies[0].upper() + lobbies[1].upper())
        nl = place.agency("NL-" + lobbies[0].upper() + lobbies[1].upper())
        if lobbies in ("both", "first"):
            with_lobby(fr)
        if lobbies in ("both", "second"):
            with_lobby(nl)
        fr.add(nl)
        nl.add(fr)
        start(fr)
        start(nl)
        began = time.monotonic()
        one, other = verify_both(fr, nl, "--wait", "15" if lobbies != "none" else "2")
        same((one.code, other.code), (0, 0), f"exit codes with {lobbies}: {one.err} {other.err}")
        a, b = one.json(), other.json()
        same((a["code"], a["words"]), (b["code"], b["words"]), f"the codes with lobbies: {lobbies}")
        same((a["how"], b["how"]), ("offline",) * 2 if lobbies == "none" else ("online",) * 2, f"how with {lobbies}")
        check(re.fullmatch(r"\d{8}", a["code"]) and len(a["words"].split()) == 4, "no code:", a)
        place.note(f"lobbies {lobbies}: {a['how']} code after {time.monotonic() - began:.1f} s")
        wrong = "%08d" % ((int(a["code"]) + 1) % 10**8)
        fr.run("peer", "approve", nl.code, "--code", wrong, check_code=DATAERR)
        fr.run("peer", "approve", nl.code, "--code", a["code"][:7], check_code=DATAERR)
        words = a["words"].split()
        fr.run("peer", "approve", nl.code, "--code", " ".join([a["code"], *reversed(words)]), check_code=DATAERR)
        same(fr.json("peer", "list")[0]["state"], "pending", "the state after wrong codes")
        fr.run("peer", "approve", nl.code, "--code", f"{a['code'][:4]} {a['code'][4:]} {a['words']}")
        if b["how"] == "offline":  # too few digits to go by
            nl.run("peer", "approve", fr.code, "--code", b["code"], check_code=DATAERR)
        nl.run("peer", "approve", fr.code, "--code", b["code"] if b["how"] == "online" else f"{b['code']} {b['words']}")
        peer = fr.json("peer", "list")[0]
        same((peer["state_text"], peer["verified_how"]),
             ("approved", "code" if a["how"] == "online" else "offline-code"), "the state")
        support.wait_converged([fr, nl])
        fr.stop()
        nl.stop()
    # No daemon: the offline code, at once, and the same on both sides; the command of one alone gets it too.
    one, other = fr.json("peer", "verify", nl.code), nl.json("peer", "verify", fr.code)
    same((one["code"], one["words"], one["how"]), (other["code"], other["words"], "offline"), "the offline codes")
    fr.run("peer", "verify", "XX-NONE", check_code=support.NOINPUT)
    fr.run("peer", "verify", nl.code, "--wait", "x", check_code=USAGE)


@test
def ceremony_alone(place):
    """Nobody at the other side: after --wait the offline code, said to be so; a lobby that is gone changes nothing."""
    fr, nl = with_lobby(place.agency("FR-PN")), with_lobby(place.agency("NL-PO"))
    fr.add(nl)
    nl.add(fr)
    start(fr)
    began = time.monotonic()
    result = fr.run("peer", "verify", "NL-PO", "--wait", "2")
    taken = time.monotonic() - began
    check(2 <= taken < 8 * support.Options.slow, f"{taken:.1f} s")
    check("ffline" in result.out and "words" in result.out, "not said to be offline:", result.out)
    start(nl)
    result = fr.run("peer", "verify", "NL-PO", "--wait", "2", "--json")
    same(result.json()["how"], "offline", "how, with the other daemon but not its admin")
    same(result.err, "", "what is on stderr without a terminal")


@test
def man_in_the_middle(place):
    """Who swaps the cards and runs a ceremony with each side gets them two different codes, online and offline."""
    fr, nl = with_lobby(place.agency("FR-PN")), with_lobby(place.agency("NL-PO"))
    # It calls itself by the names that each side expects, and gave each its own card.
    as_nl = with_lobby(place.agency("NL-PO", home=place.path("middle-nl")))
    as_fr = with_lobby(place.agency("FR-PN", home=place.path("middle-fr")))
    for agency, name in ((as_nl, "middle-nl"), (as_fr, "middle-fr")):
        agency.card_path, agency.log_path = place.path(name + ".card"), place.path(name + ".log")
        agency.run("card", "--out", agency.card_path)
        agency.set_guard(os.path.join(place.memory, name) if place.memory else "")
    fr.run("card", "--out", fr.card_path)
    nl.run("card", "--out", nl.card_path)
    fr.add(as_nl)
    nl.add(as_fr)
    as_nl.add(fr)
    as_fr.add(nl)
    for agency in (fr, nl, as_nl, as_fr):
        start(agency)
    left, right = [None], [None]
    threads = [threading.Thread(target=lambda: left.__setitem__(0, verify_both(fr, as_nl))),
               threading.Thread(target=lambda: right.__setitem__(0, verify_both(nl, as_fr)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    at_fr, at_nl = left[0][0].json(), right[0][0].json()
    same((at_fr["how"], at_nl["how"]), ("online", "online"), "how: it can run a ceremony with each of them")
    check(at_fr["code"] != at_nl["code"] and at_fr["words"] != at_nl["words"], "one code on both sides:", at_fr, at_nl)
    # What the other side reads out does not approve, here or there.
    fr.run("peer", "approve", "NL-PO", "--code", at_nl["code"], check_code=DATAERR)
    nl.run("peer", "approve", "FR-PN", "--code", at_fr["code"], check_code=DATAERR)
    for agency in (fr, nl):
        agency.stop()
    offline = fr.json("peer", "verify", "NL-PO"), nl.json("peer", "verify", "FR-PN")
    check(offline[0]["code"] != offline[1]["code"], "one offline code on both sides")


def rss_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"RssAnon:\s+(\d+)", file.read()).group(1))


class Follower:
    """`ilea changes --follow` at a node: when each title was seen."""

    def __init__(self, place, agency):
        self.seen = {}
        self.process = place.popen(agency.words("changes", "--follow"), stdout=subprocess.PIPE)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            for title in re.findall(rb"timed \d+", line):
                self.seen.setdefault(title.decode(), time.monotonic())


def latencies_ms(writer, follower, first, count):
    """From the moment that a record is written at one node to the one that it is seen at the other."""
    found = []
    for i in range(first, first + count):
        writer.new(f"timed {i}")
        written = time.monotonic()
        wait_for("the record", lambda i=i: f"timed {i}" in follower.seen, 20, 0.001)
        found.append(max(0.0, follower.seen[f"timed {i}"] - written) * 1000)
    return found


@test
@support.alone
def lobby_flood(place):
    """100,000 strangers: two peers go on, memory and disk stay bounded, and who has an invite gets through."""
    connections, seconds = 100000, 60
    flooder = os.path.join(support.Options.bin, "..", "tests", "flood_lobby")
    if not os.access(flooder, os.X_OK):
        raise support.Skip("no flood_lobby beside the programs")
    fr, nl = with_lobby(place.agency("FR-PN")), place.agency("NL-PO")
    for one, other in ((fr, nl), (nl, fr)):
        one.add(other)
        one.approve(other)
    start(fr)
    start(nl)
    support.wait_converged([fr, nl])
    follower = Follower(place, nl)
    invites = [fr.json("peer", "invite")["invite"] for _ in range(3)]
    guests = [place.agency(code) for code in ("BE-FP", "DE-BK", "ES-GC")]
    latencies_ms(fr, follower, 0, 3)
    before = latencies_ms(fr, follower, 10, 15)
    pids = {"ilea-link": fr.link_pid(), "ilea-node": fr.process.pid}
    memory = {name: rss_kib(pid) for name, pid in pids.items()}
    disk = os.stat(os.path.join(fr.home, "log", "data.mdb")).st_blocks

    flood = place.popen([flooder, str(fr.lobby_port), "ileanet", str(connections), str(seconds)],
                        stdout=subprocess.PIPE)
    flood.stdout.readline()
    began = time.monotonic()
    time.sleep(1)
    during = latencies_ms(fr, follower, 100, 15)
    invited = []
    for guest, invite in zip(guests, invites):
        asked = time.monotonic()
        guest.run("peer", "request", lobby_of(fr), "--invite", invite, "--wait", "30")
        invited.append(time.monotonic() - asked)
    during += latencies_ms(fr, follower, 200, 5)
    check(flood.poll() is None, "the flood was over before the measurements were: they say nothing")
    # Without an invite: busy is all right, as long as it is said.
    stranger = place.agency("PT-PJ").run("peer", "request", lobby_of(fr), "--wait", "1", check_code=False)
    check(stranger.code in (0, TEMPFAIL), "a stranger in the crowd:", stranger)
    flood.wait(seconds + 20)
    result = json.loads(flood.stdout.readline())
    taken = time.monotonic() - began

    found = pending(fr)
    same([found[code]["origin"] for code in ("BE-FP", "DE-BK", "ES-GC")], ["invite"] * 3, "the invited")
    check(len(found) <= 64, f"{len(found)} are pending")
    after = {name: rss_kib(pid) for name, pid in pids.items()}
    same({"ilea-link": fr.link_pid(), "ilea-node": fr.process.pid}, pids, "the processes")
    grown = (os.stat(os.path.join(fr.home, "log", "data.mdb")).st_blocks - disk) // 2
    status = fr.status()
    middle = statistics.median
    place.note(f"flood: {result['made']} connections in {taken:.0f} s ({result['made'] / taken:.0f}/s), "
               f"{result['asked']} asked, {result['queued']} queued, {result['busy']} busy, "
               f"{result['closed']} shut out")
    place.note(f"latency between the peers, ms, median (worst): before {middle(before):.1f} ({max(before):.1f}), "
               f"during {middle(during):.1f} ({max(during):.1f})")
    place.note(", ".join(f"{name} {memory[name]} KiB before, {after[name]} after" for name in pids)
               + f"; log grew {grown} KiB; {len(found)} pending")
    place.note("invited requests took " + ", ".join(f"{one:.2f}" for one in invited) + " s")
    check(result["made"] >= connections * 9 // 10, f"only {result['made']} connections")
    check(middle(during) < middle(before) + 250 * support.Options.slow, "the peers' traffic was slowed")
    allowed = 65536 if support.is_sanitized() else 8192  # the sanitizer keeps what was freed for a while
    for name in pids:
        check(after[name] < memory[name] + allowed, f"{name} grew from {memory[name]} to {after[name]} KiB")
    check(grown < 4096, f"the log grew by {grown} KiB")
    check(not any(peer["link"] != "up" for peer in status["peers"] if peer["state"] == "approved"), "the link is down")
    # And it is open again for everybody.
    wait_for("an open door", lambda: place.agencies[-1].run(
        "peer", "request", lobby_of(fr), "--wait", "0", check_code=False).code == 0, 30, 1)
    support.wait_converged([fr, nl])
    fr.run("audit", "verify")
    fr.verify()


@test
def lobby_bad_wire(place):
    """Noise, half frames, silence and other protocols at the lobby: it goes on, and so does ilea-link."""
    fr = start(with_lobby(place.agency("FR-PN")))
    link = fr.link_pid()
    rng = place.random
    for number in range(150):
        with socket.create_connection(("127.0.0.1", fr.lobby_port)) as client:
            client.settimeout(10)
            kind = number % 5
            if kind == 0:
                client.sendall(rng.randbytes(rng.randrange(1, 20000)))
            elif kind == 1:
                client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            elif kind == 2:
                client.sendall(frame(rng.choice((PASS, GREETING, REQUEST, CEREMONY, ANSWER, 9)),
                                     rng.randbytes(rng.randrange(0, 300))))
            elif kind == 3:
                client.sendall(frame(REQUEST, bytes(700))[:rng.randrange(1, 400)])
            if kind == 2:
                try:
                    client.recv(4096)
                except (ConnectionResetError, TimeoutError):
                    pass
    nl = place.agency("NL-PO")
    nl.run("peer", "request", lobby_of(fr), "--wait", "40")
    wait_for("a request after all that", lambda: "NL-PO" in pending(fr), 10)
    same(fr.link_pid(), link, "ilea-link")
    # The port is taken: the node runs, and says so.
    be = place.agency("BE-FP")
    with_lobby(be, fr.lobby_port)
    be.start()
    wait_for("a word about it", lambda: "event=lobby_not_open" in be.log(), 10)
    same(be.status()["lobby"]["state"], "closed", "the lobby's state")
