#!/usr/bin/env python3
"""System tests: agencies as real processes. Usage: run.py [--bin DIR] [--rounds N] [--list] [NAME...]"""
import argparse
import os
import random
import re
import signal
import subprocess
import sys
import time
import traceback

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import support  # noqa: E402
import cases_gaps  # noqa: E402,F401  the longest first
import cases_where  # noqa: E402,F401
import cases_sync  # noqa: E402,F401
import cases_crash  # noqa: E402,F401
import cases_input  # noqa: E402,F401
import cases_tools  # noqa: E402,F401
import cases_fork  # noqa: E402,F401
import cases_restore  # noqa: E402,F401
import cases_lobby  # noqa: E402,F401
import cases_trust  # noqa: E402,F401
import cases_bundle  # noqa: E402,F401
import cases_audience  # noqa: E402,F401
import cases_audience_ways  # noqa: E402,F401
import cases_review  # noqa: E402,F401
import cases_documents  # noqa: E402,F401
import cases_erase  # noqa: E402,F401
import cases_five  # noqa: E402,F401


def run_one(function, options):
    """One line says how it went; whether it passed."""
    place = support.Place(function.__name__)
    start = time.monotonic()
    try:
        function(place)
        place.end_processes()
        place.check_logs()
        print(f"ok {function.__name__} ({time.monotonic() - start:.1f})", flush=True)
        place.close(keep=options.keep)
        return True
    except support.Skip as skip:
        print(f"skipped {function.__name__}: {skip}", flush=True)
        place.close(keep=False)
        return None
    except Exception as error:  # pylint: disable=broad-except
        why = str(error) if isinstance(error, support.Failure) else f"{type(error).__name__}: {error}"
        print(f"FAILED {function.__name__}: {' '.join(why.split())}", flush=True)
        if not isinstance(error, support.Failure):
            traceback.print_exc()
        print(f"  kept: {place.folder}", file=sys.stderr, flush=True)
        place.close(keep=True)
        return False


# Of the cases that work, as many at once as there are processors; of those that mostly wait, as many again and one.
WORK_MAX = max(1, os.cpu_count() or 1)
RUN_MAX = 2 * WORK_MAX + 1
PORTS = (20000, 32000)


class Pool:
    """All cases, each a run.py of its own with ports of its own."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.running = {}  # slot: (process, case)
        self.codes = []

    def start(self, case):
        slot = next(i for i in range(RUN_MAX) if i not in self.running)
        width = (PORTS[1] - PORTS[0]) // RUN_MAX
        first = PORTS[0] + slot * width
        process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), *self.arguments, "--ports", str(first), str(first + width),
             case.__name__], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.running[slot] = (process, case)

    def has_room(self, case):
        """Whether it may start beside what runs."""
        cases = [running for _, running in self.running.values()]
        if len(cases) == RUN_MAX or (cases and (hasattr(case, "alone") or hasattr(cases[0], "alone"))):
            return False
        return hasattr(case, "waits") or sum(not hasattr(other, "waits") for other in cases) < WORK_MAX

    def reap(self):
        """Wait until one ends; its lines without the seed and the count."""
        while True:
            for slot, (process, _) in self.running.items():
                if process.poll() is None:
                    continue
                lines = process.stdout.read().splitlines()
                print("\n".join(lines[1:-1]), flush=True)
                counts = re.match(r"(\d+) passed, (\d+) failed", lines[-1] if lines else "")
                self.codes.append(None if counts and counts.groups() == ("0", "0") else process.returncode == 0)
                del self.running[slot]
                return
            time.sleep(0.05)

    def run(self, cases):
        """Those that run alone, then the ones that wait before the ones that work; what each gave."""
        left = sorted(cases, key=lambda case: (not hasattr(case, "alone"), not hasattr(case, "waits")))
        while left or self.running:
            case = next((case for case in left if self.has_room(case)), None)
            if case is None:
                self.reap()
                continue
            left.remove(case)
            self.start(case)
        return self.codes

    def end(self):
        for process, _ in self.running.values():
            process.terminate()
            process.wait()


def draw_half(cases, seed):
    """Each time others: what runs elsewhere in full is seen in this way, too, after some runs."""
    return random.Random(f"half/{seed}").sample(cases, (len(cases) + 1) // 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="tests to run; default: all")
    parser.add_argument("--bin", default=os.environ.get("ILEA_BIN", ""), help="folder of the programs [$ILEA_BIN]")
    parser.add_argument("--rounds", type=int, default=20, help="kills in the crash tests")
    parser.add_argument("--slow", type=float, default=1.0, help="all waits are this much longer")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--keep", action="store_true", help="keep the folders of tests that passed too")
    parser.add_argument("--half", action="store_true", help="half of the cases, drawn from the seed")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--ports", type=int, nargs=2, metavar=("FIRST", "END"), default=PORTS)
    options = parser.parse_args()
    tests = support.TESTS
    if options.list:
        for function in tests:
            print(f"{function.__name__:30} {(function.__doc__ or '').strip().splitlines()[0]}")
        return 0
    unknown = set(options.names) - {function.__name__ for function in tests}
    if unknown:
        parser.error("no such test: " + ", ".join(sorted(unknown)))
    options.bin = os.path.abspath(options.bin or os.path.join(support.ROOT, "build-release", "node"))
    for name in ("ilea", "ilea-node", "ilea-link"):
        if not os.access(os.path.join(options.bin, name), os.X_OK):
            parser.error(f"no {name} in {options.bin}; give --bin or ILEA_BIN")
    support.Options.bin, support.Options.rounds = options.bin, options.rounds
    support.Options.slow, support.Options.seed = options.slow, options.seed
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(f"seed {options.seed}, programs in {options.bin}", flush=True)
    support.Options.ports = tuple(options.ports)
    if options.names:
        results = [run_one(function, options) for function in tests if function.__name__ in options.names]
    else:
        pool = Pool([f"--bin={options.bin}", f"--rounds={options.rounds}", f"--slow={options.slow}",
                     f"--seed={options.seed}", *(["--keep"] if options.keep else [])])
        try:
            results = pool.run(draw_half(tests, options.seed) if options.half else tests)
        finally:
            pool.end()
    passed, failed, skipped = results.count(True), results.count(False), results.count(None)
    print(f"{passed} passed, {failed} failed" + (f" ({skipped} skipped)" if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
