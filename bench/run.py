#!/usr/bin/env python3
"""Figures of a node beside their floors, measured in the same run; one JSON line each.

Two real nodes on loopback with default settings: everything signed, encrypted and durable. Records are
JSON objects of about 1 KiB of English-like text, made from a fixed seed. Of several rounds the median is
told; ratios are against the floor of the same round. Machines are noisy: only ratios within one run count.
"""
import argparse
import ctypes
import json
import os
import random
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("BENCH_BUILD", os.path.join(ROOT, "build-release"))
RECORD_SIZE = 1024


def tell(figure, value, unit, **more):
    print(json.dumps({"figure": figure, "value": value, "unit": unit, **more}), flush=True)


def make_records(path, count):
    """`count` lines of RECORD_SIZE bytes, the record's own JSON; compressible like prose."""
    draw = random.Random(1)
    words = ["".join(draw.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(draw.randint(2, 11)))
             for _ in range(4000)]
    with open(path, "w", encoding="ascii") as file:
        for number in range(count):
            record = {"type": "item", "title": f"Record {number}", "summary": ""}
            room = RECORD_SIZE - len(json.dumps(record)) - 1
            text = " ".join(draw.choice(words) for _ in range(room // 5))[:room].strip()
            record["summary"] = text + "x" * (room - len(text))
            file.write(json.dumps(record) + "\n")


class Node:
    def __init__(self, folder, guard, code, port):
        self.home = os.path.join(folder, code)
        self.code = code
        self.process = None
        self.run("init", "--agency", code, "--country", code[:2], "--listen", f"tcp://127.0.0.1:{port}")
        with open(os.path.join(self.home, "ilea.conf"), "a", encoding="ascii") as file:
            file.write(f"guard = {guard}\n")
        self.log = os.path.join(folder, code + ".log")

    def run(self, *words):
        done = subprocess.run([os.path.join(BUILD, "node", "ilea"), "--home", self.home, *words],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"ilea {' '.join(words)}: {done.stderr}")
        return done.stdout

    def start(self):
        with open(self.log, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen([os.path.join(BUILD, "node", "ilea-node"), "--home", self.home],
                                            stderr=log)
        while self.connect() is None:
            time.sleep(0.001)

    def connect(self):
        client = socket.socket(socket.AF_UNIX)
        try:
            client.connect(os.path.join(self.home, "control.sock"))
            return client
        except OSError:
            client.close()
            return None

    def stop(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait()
            self.process = None

    def status(self):
        return json.loads(self.run("status", "--json"))

    def card(self):
        path = self.home + ".card"
        self.run("card", "--out", path)
        return path

    def memory(self):
        """RssAnon in MiB of the daemon and its helpers, by what they are."""
        pids = [self.process.pid]
        with open(f"/proc/{pids[0]}/task/{pids[0]}/children", encoding="ascii") as file:
            pids += [int(pid) for pid in file.read().split()]
        result = {}
        for pid in pids:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
            name = "view" if b"--view-worker" in words else os.path.basename(words[0]).decode()
            with open(f"/proc/{pid}/status", encoding="ascii") as file:
                rss = [int(line.split()[1]) for line in file if line.startswith("RssAnon")]
            result[name] = round(rss[0] / 1024, 1)
        return result

    def disk(self):
        total = {}
        for part in ("log", "view"):
            total[part] = sum(os.stat(os.path.join(where, name)).st_blocks * 512
                              for where, _, names in os.walk(os.path.join(self.home, part))
                              for name in names)
        return total


class Replica:
    """The public library, libilea, as a tool would use it."""

    class Status(ctypes.Structure):
        _fields_ = [("lsn", ctypes.c_uint64), ("records", ctypes.c_uint64), ("position", ctypes.c_uint64),
                    ("parked", ctypes.c_uint64), ("hidden", ctypes.c_uint64), ("view", ctypes.c_uint8 * 32)]

    def __init__(self, home):
        self.library = ctypes.CDLL(os.path.join(BUILD, "libilea.so"))
        self.handle = ctypes.c_void_p()
        while self.library.ilea_replica_open(home.encode(), ctypes.byref(self.handle)) != 0:
            time.sleep(0.001)

    def status(self):
        snapshot = ctypes.c_void_p()
        status = self.Status()
        if self.library.ilea_snapshot_begin(self.handle, ctypes.byref(snapshot)) != 0:
            sys.exit("libilea: no snapshot")
        self.library.ilea_snapshot_status(snapshot, ctypes.byref(status))
        self.library.ilea_snapshot_end(snapshot)
        return status

    def wait_records(self, count, seconds):
        end = time.monotonic() + seconds
        while self.status().records < count:
            if time.monotonic() > end:
                sys.exit(f"only {self.status().records} of {count} records came")
            time.sleep(0.0002)

    def close(self):
        self.library.ilea_replica_close(self.handle)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def wire_bytes():
    """Bytes on loopback, or None where other traffic would be counted too."""
    with open("/proc/net/dev", encoding="ascii") as file:
        lines = [line.split(":") for line in file if ":" in line]
    names = [name.strip() for name, _ in lines]
    if names != ["lo"]:
        return None
    return int(lines[0][1].split()[0])


def floor(kind, folder, count, size=RECORD_SIZE):
    path = os.path.join(folder, "floor")
    done = subprocess.run([os.path.join(BUILD, "bench", "floor"), kind, path, str(count), str(size)],
                          capture_output=True, text=True, check=True)
    shutil.rmtree(path)
    return json.loads(done.stdout)


def put_frame(text):
    """One PUTS request for the control socket: a new item for all peers with this title."""
    def pack_bin(data):
        return (b"\xc4" + bytes([len(data)]) if len(data) < 256 else b"\xc5" + struct.pack(">H", len(data))) + data

    title = text.encode()
    value = bytes([0xa0 | len(title)]) + title
    entry = b"\x94\x02\x01" + pack_bin(b"") + pack_bin(value)
    # Version, create, for all peers and no audience, item, no id, one entry.
    put = b"\x97\x01\x01\x02" + pack_bin(b"") + b"\x07" + pack_bin(b"") + b"\x91" + entry
    body = b"\x91" + pack_bin(put)
    return struct.pack(">IB", len(body) + 1, 1) + body


def ask(client, frame):
    client.sendall(frame)
    answer = b""
    while len(answer) < 4 or len(answer) < 4 + struct.unpack(">I", answer[:4])[0]:
        part = client.recv(65536)
        if not part:
            sys.exit("the daemon closed its control socket")
        answer += part
    # [[error, outcome, ...]] behind the kind of frame: what is refused must not be measured.
    if answer[5:6] != b"\x91" or answer[7:8] != b"\x00":
        sys.exit(f"the daemon refused a write: {answer!r}")


class Round:
    def __init__(self, records, path, compare_disk):
        self.records, self.path, self.disk = records, path, compare_disk
        self.folder = tempfile.mkdtemp(prefix="ilea-bench.", dir=os.environ.get("BENCH_TMP"))
        self.guard = tempfile.mkdtemp(prefix="ilea-bench.", dir="/dev/shm")
        a, b = free_ports(2)
        self.a = Node(self.folder, self.guard, "AA-ONE", a)
        self.b = Node(self.folder, self.guard, "BB-TWO", b)

    def __enter__(self):
        for one, other in ((self.a, self.b), (self.b, self.a)):
            one.run("peer", "add", other.card())
            one.run("peer", "approve", other.code, "--yes")
        return self

    def __exit__(self, *_):
        self.a.stop()
        self.b.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.guard, ignore_errors=True)

    def import_all(self):
        self.a.start()
        start = time.monotonic()
        self.a.run("import", self.path, "--profile", "records", "--to", "all-peers")
        return self.records / (time.monotonic() - start)

    def first_sync(self):
        """From the start of an empty node until all records can be read from it."""
        replica = Replica(self.a.home)
        replica.wait_records(self.records, 120)
        replica.close()
        before = wire_bytes()
        start = time.monotonic()
        self.b.start()
        replica = Replica(self.b.home)
        replica.wait_records(self.records, 120)
        seconds = time.monotonic() - start
        replica.close()
        after = wire_bytes()
        return seconds, None if before is None else after - before

    def write_latency(self, count):
        """From the request at A until a tool can read it at B, durable at both; and until A's answer."""
        replica = Replica(self.b.home)
        client = self.a.connect()
        visible, acknowledged = [], []
        expected = replica.status().records
        for number in range(count):
            expected += 1
            start = time.monotonic()
            ask(client, put_frame(f"Write {number}"))
            acknowledged.append((time.monotonic() - start) * 1000)
            replica.wait_records(expected, 20)
            visible.append((time.monotonic() - start) * 1000)
        client.close()
        replica.close()
        return acknowledged, visible

    def restart(self):
        """B stops and starts again, nothing new: seconds to the first answer and to the session; bytes."""
        self.b.stop()
        time.sleep(0.5)
        before = wire_bytes()
        size = os.path.getsize(self.b.log)
        start = time.monotonic()
        self.b.start()
        answer = time.monotonic() - start
        while True:
            with open(self.b.log, encoding="utf-8") as log:
                log.seek(size)
                if "event=session_ready" in log.read():
                    break
            time.sleep(0.0005)
        ready = time.monotonic() - start
        time.sleep(0.3)
        after = wire_bytes()
        return answer, ready, None if before is None else after - before


class Members:
    """A node that has approved many agencies, one of which runs; then decisions about one after the other."""

    def __init__(self, count):
        self.count = count
        self.folder = tempfile.mkdtemp(prefix="ilea-bench.", dir=os.environ.get("BENCH_TMP"))
        self.guard = tempfile.mkdtemp(prefix="ilea-bench.", dir="/dev/shm")
        hub, peer, *_ = free_ports(2)
        self.hub = Node(self.folder, self.guard, "AA-HUB", hub)
        self.peers = [Node(self.folder, os.path.join(self.guard, str(i)), f"BB-{i}", peer + i % 100)
                      for i in range(count)]
        self.last = self.peers[-1]

    def __enter__(self):
        os.makedirs(os.path.join(self.guard, str(self.count - 1)))
        for peer in self.peers:
            self.hub.run("peer", "add", peer.card())
            self.hub.run("peer", "approve", peer.code, "--yes")
        self.last.run("peer", "add", self.hub.card())
        self.last.run("peer", "approve", "AA-HUB", "--yes")
        self.hub.start()
        self.last.start()
        self.hub.run("item", "new", "--title", "For all", "--to", "all-peers")
        return self

    def __exit__(self, *_):
        self.hub.stop()
        self.last.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.guard, ignore_errors=True)

    def is_up(self):
        return [peer for peer in json.loads(self.hub.run("peer", "list", "--json"))
                if peer["agency"] == self.last.code][0]["link"] == "up"

    def decide(self, verb, peer):
        """Milliseconds of the whole command: signed, durable, a new epoch sealed to all who remain."""
        start = time.monotonic()
        self.hub.run("peer", verb, peer.code)
        return (time.monotonic() - start) * 1000

    def revoke_running(self):
        """Milliseconds from the start of the command until the node says that the link is gone."""
        end = time.monotonic() + 60
        while not self.is_up() and time.monotonic() < end:
            time.sleep(0.05)
        start = time.monotonic()
        self.hub.run("peer", "revoke", self.last.code)
        while self.is_up():
            time.sleep(0.001)
        return (time.monotonic() - start) * 1000


def measure_decisions(count, scratch):
    print(f"{count} approved agencies", file=sys.stderr, flush=True)
    with Members(count) as members:
        seal = floor("seal", scratch, count - 1, 92)["seconds"] * 1000
        start = time.monotonic()
        members.hub.run("id")
        command = (time.monotonic() - start) * 1000
        taken = sorted(members.decide("revoke", peer) for peer in members.peers[:-1][:9])
        tell("revoke_one_of_many", round(statistics.median(taken), 1), "ms", approved=count, floor=round(seal, 1),
             floor_is="sealing a key to those who remain", command_that_does_nothing=round(command, 1))
        tell("revoked_link_gone", round(members.revoke_running(), 1), "ms", target=1000)


def measure_epochs(count, scratch):
    """A closed audience of `count` members beside its owner: its first epoch, and the one without one of them."""
    seal = floor("seal", scratch, count, 92)["seconds"] * 1000
    done = subprocess.run([os.path.join(BUILD, "bench", "epoch"), str(count), "9"], capture_output=True, text=True,
                          check=True)
    taken = json.loads(done.stdout)
    for figure, name in (("audience_epoch_sealed", "begin_ms"), ("audience_member_removed", "remove_ms")):
        tell(figure, round(taken[name], 1), "ms", members=count, floor=round(seal, 1),
             floor_is="sealing as many bytes to each", target=60, reached=taken[name] < 60)


def measure_documents(mebibytes, scratch):
    """Attach a file at one node and fetch it at another, until it lies there in the clear."""
    print(f"a document of {mebibytes} MiB", file=sys.stderr, flush=True)
    chunk = 256 * 1024
    lowest = floor("copy", scratch, mebibytes * 4, chunk)["seconds"]
    with Round(0, None, scratch) as measured:
        measured.a.start()
        measured.b.start()
        path = os.path.join(scratch, "document")
        with open(path, "wb") as file:
            for _ in range(mebibytes):
                file.write(os.urandom(1 << 20))
        ref = measured.a.run("item", "new", "--title", "With a document", "--to", "all-peers").split()[0]
        start = time.monotonic()
        measured.a.run("attach", ref, path)
        attached = time.monotonic() - start
        end = time.monotonic() + 60
        while time.monotonic() < end and not json.loads(measured.b.run("status", "--json"))["records"]:
            time.sleep(0.05)
        time.sleep(1)
        os.mkdir(os.path.join(scratch, "fetched"))
        start = time.monotonic()
        measured.b.run("fetch", ref, "--out", os.path.join(scratch, "fetched"))
        fetched = time.monotonic() - start
        tell("attach", round(mebibytes / attached, 1), "MiB/s", mebibytes=mebibytes)
        tell("fetch", round(mebibytes / fetched, 1), "MiB/s", mebibytes=mebibytes,
             floor=round(mebibytes / lowest, 1), floor_is="a durable copy, hashed",
             ratio=round(lowest / fetched, 2))
        memory = {**{"a " + name: size for name, size in measured.a.memory().items()},
                  **{"b " + name: size for name, size in measured.b.memory().items()}}
        tell("memory_document", max(memory.values()), "MiB RssAnon, the largest process", processes=memory, target=64,
             reached=max(memory.values()) <= 64)


def percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--members", type=int, default=300,
                        help="approved agencies, or members of an audience, when one is to go")
    parser.add_argument("--document", type=int, default=256, help="MiB of the document that is fetched")
    options = parser.parse_args()
    figures = {}

    def note(name, value):
        figures.setdefault(name, []).append(value)

    with tempfile.TemporaryDirectory(prefix="ilea-bench.", dir=os.environ.get("BENCH_TMP")) as scratch:
        path = os.path.join(scratch, "records.jsonl")
        make_records(path, options.records)
        raw = options.records * RECORD_SIZE
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
            write_floor = floor("write", scratch, options.records)
            pipe_floor = floor("pipe", scratch, options.records)
            with Round(options.records, path, scratch) as measured:
                rate = measured.import_all()
                note("import", rate)
                note("import_floor", write_floor["per_second"])
                note("import_ratio", rate / write_floor["per_second"])
                seconds, wire = measured.first_sync()
                note("sync", seconds)
                note("sync_floor", pipe_floor["seconds"])
                note("sync_ratio", pipe_floor["seconds"] / seconds)
                note("wire", wire)
                figures["memory_a"], figures["memory_b"] = measured.a.memory(), measured.b.memory()
                figures["disk"] = measured.b.disk()
                acknowledged, visible = measured.write_latency(200)
                note("ack_p50", percentile(acknowledged, 0.5))
                note("visible_p50", percentile(visible, 0.5))
                note("visible_p99", percentile(visible, 0.99))
                answer, ready, reconnect = measured.restart()
                note("answer", answer * 1000)
                note("ready", ready * 1000)
                note("reconnect", reconnect)

    middle = {name: statistics.median(values) for name, values in figures.items()
              if isinstance(values, list) and None not in values}
    tell("import", round(middle["import"]), "records/s", records=options.records,
         floor=round(middle["import_floor"]), ratio=round(middle["import_ratio"], 2), target=50000,
         reached=middle["import"] >= 50000)
    tell("first_sync_until_readable", round(middle["sync"], 3), "s", records=options.records,
         floor=round(middle["sync_floor"], 3), ratio=round(middle["sync_ratio"], 2), target=3,
         reached=middle["sync"] <= 3)
    if "wire" in middle:
        tell("first_sync_wire_bytes", round(middle["wire"] / raw, 3), "of the raw records",
             bytes=round(middle["wire"]))
    disk = figures["disk"]
    tell("disk", round((disk["log"] + disk["view"]) / raw, 2), "of the raw records", log_bytes=disk["log"],
         view_bytes=disk["view"])
    for name in ("memory_a", "memory_b"):
        tell(name, max(figures[name].values()), "MiB RssAnon, the largest process", processes=figures[name],
             target=64, reached=max(figures[name].values()) <= 64)
    tell("write_acknowledged_p50", round(middle["ack_p50"], 2), "ms")
    tell("write_visible_at_peer_p50", round(middle["visible_p50"], 2), "ms")
    tell("write_visible_at_peer_p99", round(middle["visible_p99"], 2), "ms")
    tell("start_to_first_answer", round(middle["answer"], 1), "ms", records=options.records)
    tell("restart_to_session", round(middle["ready"], 1), "ms")
    if "reconnect" in middle:
        tell("reconnect_nothing_new_wire_bytes", round(middle["reconnect"]), "bytes")
    with tempfile.TemporaryDirectory(prefix="ilea-bench.", dir=os.environ.get("BENCH_TMP")) as scratch:
        measure_decisions(options.members, scratch)
        measure_epochs(options.members, scratch)
        measure_documents(options.document, scratch)


if __name__ == "__main__":
    main()
