"""What the system tests share: agencies as real processes in folders of their own, on 127.0.0.1.

Every wait is bounded; every process is ended by its id; nothing outside the test's folders is written.
"""
import atexit
import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIG = os.environ.get("ILEA_BIG") == "1"  # a document of a gigabyte, a bundle of 100 MB
DATA = os.path.join(ROOT, "..", "shared", "data")

USAGE, DATAERR, NOINPUT, UNAVAILABLE, SOFTWARE, CANTCREAT, IOERR, TEMPFAIL, NOPERM, CONFIG = (
    64, 65, 66, 69, 70, 73, 74, 75, 77, 78)


class Options:
    """Of the run; set by run.py."""
    ports = (20000, 32000)  # of those, each case that runs beside others has some
    bin = os.environ.get("ILEA_BIN", "")
    rounds = 20
    slow = 1.0
    seed = 0


class Failure(Exception):
    pass


class Skip(Exception):
    pass


def check(condition, text, *rest):
    if not condition:
        raise Failure(text + "".join(" " + str(part) for part in rest))


def same(got, expected, what):
    check(got == expected, f"{what}: got {got!r}, expected {expected!r}")


def wait_for(what, condition, seconds=30.0, pause=0.05):
    """Wait until condition() is true and return its value; it is a failure if that takes too long."""
    end = time.monotonic() + seconds * Options.slow
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"no {what} within {seconds * Options.slow:.0f} s")
        time.sleep(pause)


_ports_used = set()


def free_port():
    """A port nobody listens on, below those the kernel gives to outgoing connections."""
    for _ in range(1000):
        port = random.SystemRandom().randrange(*Options.ports)
        if port in _ports_used:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _ports_used.add(port)
        return port
    raise Failure("no free port")


def data_file(name):
    """A file of real data, or None where the checkout comes without."""
    path = os.path.join(DATA, name)
    return path if os.path.exists(path) else None


def is_sanitized():
    """Whether the programs report invalid accesses themselves, LMDB's among damaged pages too."""
    with open(program("ilea"), "rb") as file:
        return b"__asan_init" in file.read()


def program(name):
    return os.path.join(Options.bin, name)


def environment(extra=None):
    """Nothing of the caller's that could point a program elsewhere."""
    env = {key: value for key, value in os.environ.items()
           if key in ("PATH", "HOME", "LANG", "TMPDIR", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LD_LIBRARY_PATH")}
    env["ILEA_IMPORT_DIR"] = os.path.join(ROOT, "config", "import")
    env.update(extra or {})
    return env


class Result:
    def __init__(self, words, code, out, err, max_rss_kib=0):
        self.words, self.code, self.out, self.err = words, code, out, err
        self.max_rss_kib = max_rss_kib

    def json(self):
        return json.loads(self.out)

    def lines(self):
        return [json.loads(line) for line in self.out.split("\n") if line]

    def __str__(self):
        return f"`{' '.join(self.words)[-160:]}` ended with {self.code}: {self.err.strip()[-400:]}"


def run(words, check_code=True, stdin=None, seconds=120, env=None, umask=None, lmdb_may_stumble=False):
    """Run a program to its end. stdin: bytes, or an open file."""
    data = stdin if isinstance(stdin, bytes) else None
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        before = os.umask(umask) if umask is not None else None
        try:
            process = subprocess.Popen(words, env=environment(env), stdout=out, stderr=err,
                                       stdin=subprocess.PIPE if data is not None
                                       else stdin if stdin is not None else subprocess.DEVNULL)
        finally:
            if before is not None:
                os.umask(before)
        try:
            process.communicate(data, timeout=seconds * Options.slow)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise Failure(f"`{' '.join(words)[-160:]}` did not end") from None
        out.seek(0)
        err.seek(0)
        result = Result(words, process.returncode, out.read().decode("utf-8", "replace"),
                        err.read().decode("utf-8", "replace"))
    if ("Sanitizer" in result.err or "runtime error:" in result.err) and not lmdb_may_stumble:
        raise Failure(f"sanitizer: {result}")
    if check_code is True:
        check(result.code == 0, str(result))
    elif check_code is not False:
        check(result.code == check_code, f"expected exit code {check_code}:", result)
    return result


def run_measured(words, seconds=120):
    """As run(), without looking at the code, and with the program's largest memory."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(words, env=environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        end = time.monotonic() + seconds * Options.slow
        largest = 0
        while process.poll() is None:
            with contextlib.suppress(OSError, AttributeError):  # not ru_maxrss: it counts what was before exec
                with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
                    largest = max(largest, int(re.search(r"VmHWM:\s+(\d+)", file.read()).group(1)))
            if time.monotonic() > end:
                process.kill()
                process.wait()
                raise Failure(f"`{' '.join(words)[-160:]}` did not end")
            time.sleep(0.003)
        out.seek(0)
        err.seek(0)
        return Result(words, process.returncode, out.read().decode("utf-8", "replace"),
                      err.read().decode("utf-8", "replace"), largest)


def children(pid):
    """Ids and names of a process's children."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError, ValueError):
            with open(f"/proc/{entry}/stat", "rb") as file:
                text = file.read().decode("utf-8", "replace")
            name = text[text.index("(") + 1:text.rindex(")")]
            fields = text[text.rindex(")") + 2:].split()
            if int(fields[1]) == pid and fields[0] != "Z":
                found[int(entry)] = name
    return found


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
        return text[text.rindex(b")") + 2:text.rindex(b")") + 3] != b"Z"
    except OSError:
        return False


class Agency:
    """One node: its home, its daemon, its command line."""

    def __init__(self, place, code, country=None, listen=True, network=None, home=None, passphrase=None,
                 umask=None, port=None):
        self.place, self.code = place, code
        self.country = country or code[:2]
        self.home = home or os.path.join(place.folder, code.lower())
        self.port = port or (free_port() if listen else 0)
        self.guard = os.path.join(place.memory, code.lower()) if place.memory else ""
        self.log_path = os.path.join(place.folder, code.lower() + ".log")
        self.card_path = os.path.join(place.folder, code.lower() + ".card")
        self.network, self.passphrase, self.umask = network, passphrase, umask
        self.process = None
        self.extra = []
        place.agencies.append(self)

    # The command line.

    def words(self, *words):
        return [program("ilea"), "--home", self.home, *[str(word) for word in words]]

    def run(self, *words, check_code=True, stdin=None, seconds=120, env=None, lmdb_may_stumble=False):
        extra = ["--passphrase-file", self.passphrase] if self.passphrase else []
        return run(self.words(*words, *extra), check_code, stdin, seconds, env, self.umask, lmdb_may_stumble)

    def json(self, *words):
        return self.run(*words, "--json").json()

    def init(self):
        words = ["init", "--agency", self.code, "--country", self.country, "--name", "Agency " + self.code]
        if self.port:
            words += ["--listen", f"tcp://127.0.0.1:{self.port}"]
        if self.network:
            words += ["--network", self.network]
        self.run(*words)
        self.set_guard(self.guard)
        self.run("card", "--out", self.card_path)
        return self

    def set_guard(self, folder):
        """Into ilea.conf: where the feed guard lies."""
        path = os.path.join(self.home, "ilea.conf")
        with open(path, encoding="utf-8") as file:
            lines = [line for line in file.read().splitlines() if not line.startswith("guard")]
        if folder:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            lines.append(f"guard = {folder}")
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")

    def add(self, other):
        return self.run("peer", "add", other.card_path)

    def approve(self, other):
        return self.run("peer", "approve", other.code, "--yes")

    def status(self):
        return self.json("status")

    def verify(self):
        result = self.run("verify", check_code=False)
        check(result.code == 0, f"verify at {self.code}: {result.out.strip()[-300:]}", result)

    def export(self, *words):
        """All records by id."""
        lines = self.run("export", *words).lines()
        records = {line["id"]: line for line in lines}
        same(len(records), len(lines), f"distinct ids in the export of {self.code}")
        return records

    def new(self, title, *words, to="all-peers", kind="need"):
        """Write one record; returns (ref, id)."""
        to_words = ["--to", to] if to else []
        return tuple(self.run(kind, "new", "--title", title, *to_words, *words).out.split())

    def load(self, path, profile, to="all-peers"):
        """Import; returns the counts."""
        return self.json("import", path, "--profile", profile, "--to", to)

    # The daemon.

    def spawn(self, *words):
        """The daemon, without waiting for anything."""
        check(self.process is None, f"{self.code} runs already")
        extra = ["--passphrase-file", self.passphrase] if self.passphrase else []
        with open(self.log_path, "ab") as log:
            self.log_start = log.tell()
            before = os.umask(self.umask) if self.umask is not None else None
            self.process = subprocess.Popen([program("ilea-node"), "--home", self.home, *words, *self.extra, *extra],
                                            env=environment(), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True)
            if before is not None:
                os.umask(before)
        self.place.processes.append(self.process)

    def start(self, *words, seconds=20, again_on=(TEMPFAIL,)):
        """The daemon, until it answers. A command that writes at this moment holds the home: try again."""
        end = time.monotonic() + seconds * Options.slow
        self.spawn(*words)
        while not self.answers():
            code = self.process.poll()
            if code is not None:
                self.process = None
                check(code in again_on, f"the daemon of {self.code} ended with {code}: {self.log_tail()}")
                time.sleep(0.02)
                self.spawn(*words)
            check(time.monotonic() < end, f"the daemon of {self.code} does not answer: {self.log_tail()}")
            time.sleep(0.01)
        return self

    def answers(self):
        """Whether its daemon serves the control socket, and it is the one that was started last."""
        if "event=started" not in self.log()[0 if self.log_start == 0 else self.log_start:]:
            return False
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(os.path.join(self.home, "control.sock"))
            except OSError:
                return False
        return True

    def stop(self, seconds=5, code=0):
        """SIGTERM: it has to end cleanly and soon."""
        helpers = children(self.process.pid)
        self.process.send_signal(signal.SIGTERM)
        try:
            ended = self.process.wait(seconds * Options.slow)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.code} did not stop within {seconds * Options.slow:.0f} s of SIGTERM") from None
        self.process = None
        check(ended == code, f"the daemon of {self.code} ended with {ended}: {self.log_tail()}")
        for pid in helpers:
            check(not is_alive(pid), f"{helpers[pid]} outlived the daemon of {self.code}")

    def kill(self):
        """SIGKILL. Its helpers see that it is gone and leave."""
        helpers = children(self.process.pid)
        self.process.kill()
        self.process.wait()
        self.process = None
        wait_for(f"end of the helpers of {self.code}", lambda: not any(is_alive(pid) for pid in helpers), 10)

    def link_pid(self):
        return next((pid for pid, name in children(self.process.pid).items() if name == "ilea-link"), 0)

    def worker_pid(self):
        return next((pid for pid, name in children(self.process.pid).items() if name != "ilea-link"), 0)

    def log(self):
        if not os.path.exists(self.log_path):
            return ""
        with open(self.log_path, "rb") as file:
            return file.read().decode("utf-8", "replace")

    def log_tail(self):
        return " / ".join(self.log().splitlines()[-4:])[-600:]

    def feeds(self, agency=None, scope="all-peers"):
        return [feed for feed in self.status()["feeds"]
                if feed["scope"] == scope and (agency is None or feed["agency"] == agency)]


class Place:
    """A test's folders and processes."""

    def __init__(self, name):
        self.name = name
        self.folder = tempfile.mkdtemp(prefix=f"ilea-{name}-")
        self.memory = ""
        if os.path.isdir("/dev/shm"):
            self.memory = tempfile.mkdtemp(prefix="ilea-test-", dir="/dev/shm")
        self.agencies, self.processes, self.mounts = [], [], []
        self.may_fork = False
        self.random = random.Random(f"{Options.seed}/{name}")
        _places.append(self)

    def agency(self, code, **options):
        return Agency(self, code, **options).init()

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, content):
        with open(self.path(name), "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        return self.path(name)

    def note(self, text):
        print(f"note {self.name}: {text}", flush=True)

    def popen(self, words, **options):
        process = subprocess.Popen(words, env=environment(), stdin=subprocess.DEVNULL, **options)
        self.processes.append(process)
        return process

    def end_processes(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        for agency in self.agencies:
            agency.process = None

    def check_logs(self):
        """What must never be in any log."""
        for agency in self.agencies:
            for line in agency.log().splitlines():
                check("Sanitizer" not in line and "runtime error:" not in line, f"log of {agency.code}: {line}")
                check("ssert" not in line, f"log of {agency.code}: {line}")
                check(self.may_fork or "event=feed_diverged" not in line, f"log of {agency.code}: {line}")

    def close(self, keep):
        self.end_processes()
        for mount in self.mounts:
            for _ in range(50):  # helpers of a daemon that was killed may be about to end
                if subprocess.run(["umount", mount], check=False, stderr=subprocess.DEVNULL).returncode == 0:
                    break
                time.sleep(0.1)
        if self.memory:
            shutil.rmtree(self.memory, ignore_errors=True)
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)
        _places.remove(self)


_places = []


def _close_all():
    for place in list(_places):
        place.close(keep=True)


atexit.register(_close_all)


def federation(place, codes, connect=None, listen=None):
    """Agencies that know and approve each other; `connect`: pairs, default all; `listen`: who can be dialled."""
    agencies = [place.agency(code, listen=listen is None or code in listen) for code in codes]
    for one in agencies:
        for other in agencies:
            if one is not other and (connect is None or {one.code, other.code} in connect):
                one.add(other)
                one.approve(other)
    return agencies


def wait_converged(agencies, seconds=60):
    """Until all have one frontier and one view, and show all that their log holds; returns the statuses."""
    last = []

    def is_converged():
        last[:] = [agency.status() for agency in agencies]
        return all(status["frontier"] == last[0]["frontier"] and status["view"] == last[0]["view"]
                   and status["view_position"] == status["position"] for status in last)

    try:
        wait_for("convergence", is_converged, seconds, 0.1)
    except Failure as failure:
        picture = "; ".join(
            f"{status['agency']} {status['records']} records, view {status['view_position']} of {status['position']}, "
            + ", ".join(f"{feed['agency']}:{feed['seq']}" for feed in status["feeds"])
            + " " + ", ".join(f"{peer['agency']} {peer['link']} lag {peer['lag_commits']}"
                              for peer in status["peers"]) for status in last)
        raise Failure(f"{failure} ({picture})") from None
    return list(last)


def check_heads(agencies):
    """No two commits with one number: wherever two nodes hold a feed up to one number, it is one commit."""
    heads = {}
    for agency in agencies:
        for feed in agency.feeds():
            head = heads.setdefault((feed["feed"], feed["seq"]), feed["head"])
            check(head == feed["head"], f"feed {feed['feed'][:16]} of {feed['agency']} has two commits {feed['seq']}")


# Data made here, for where the real one is not.

WORDS = ("drone border plate reader night harbour cargo dark web forensic triage phone lawful radio mesh "
         "sensor evidence chain custody translation speech crowd safety hazmat biometric passport").split()


def sentence(rng, count):
    return " ".join(rng.choice(WORDS) for _ in range(count))


def make_rows(place, name, profile, count, prefix="row"):
    """A JSON Lines file of `count` rows for a profile."""
    rng = random.Random(f"{name}/{profile}/{prefix}")
    rows = []
    for i in range(count):
        title, text = f"{prefix} {i} {sentence(rng, 4)}", sentence(rng, 60)
        if profile == "misp-galaxy":
            rows.append({"uuid": f"{prefix}-{i}", "value": title, "description": text, "galaxy": "made"})
        elif profile == "h2020-topic":
            rows.append({"code": f"{prefix}-{i}", "title": title, "challenge": text})
        elif profile == "cordis-project":
            rows.append({"id": f"{prefix}-{i}", "framework": "H2020", "acronym": f"P{i}", "title": title,
                         "objective": text, "status": "SIGNED"})
        else:
            rows.append({"type": "need", "title": title, "problem": text})
    return place.write(name, "".join(json.dumps(row) + "\n" for row in rows))


def real_or_made(place, name, profile, count):
    return data_file(name) or make_rows(place, name.replace(".gz", ""), profile, count)


def folder_contains(folder, needles):
    """Which of the byte strings lie in any file below a folder."""
    found = set()
    for base, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(base, name)
            if not stat.S_ISREG(os.lstat(path).st_mode):
                continue
            with open(path, "rb") as file:
                content = file.read()
            found.update(needle for needle in needles if needle in content)
    return found


class Line:
    """A line between a node that dials and one that listens: it can be slow, cut, and listened to."""

    def __init__(self, rate=None, record=False):
        self.port, self.target, self.rate = free_port(), free_port(), rate
        self.seen = bytearray() if record else None
        self.pairs, self.cuts, self.bytes, self.closing = [], 0, 0, False
        self.socket = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while not self.closing:
            try:
                one, _ = self.socket.accept()
                other = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                time.sleep(0.05)
                continue
            self.pairs.append((one, other))
            for a, b in ((one, other), (other, one)):
                threading.Thread(target=self._pump, args=(a, b), daemon=True).start()

    def _pump(self, a, b):
        try:
            while data := a.recv(65536):
                if self.rate:
                    time.sleep(len(data) / self.rate)
                b.sendall(data)
                self.bytes += len(data)
                if self.seen is not None:
                    self.seen += data
        except OSError:
            pass
        for end in (a, b):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        self.cuts += 1
        for pair in self.pairs:
            for end in pair:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        self.pairs = []

    def close(self):
        self.closing = True
        self.socket.close()
        self.cut()


class Background:
    """A thread whose failure is the test's."""

    def __init__(self, body):
        self.stopping = threading.Event()
        self.error = None
        self.thread = threading.Thread(target=self._run, args=(body,), daemon=True)
        self.thread.start()

    def _run(self, body):
        try:
            body(self.stopping)
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def finish(self, seconds=120):
        self.stopping.set()
        self.thread.join(seconds * Options.slow)
        check(not self.thread.is_alive(), "a writer does not end")
        if self.error is not None:
            raise self.error


TESTS = []


def test(function):
    TESTS.append(function)
    return function


def waits(function):
    """A test that waits more than it does: more of them run at once."""
    function.waits = True
    return function


def alone(function):
    """A test that compares times: nothing else runs then."""
    function.alone = True
    return function
