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
import cases_sync  # noqa: E402,F401
import cases_crash  # noqa: E402,F401
import cases_input  # noqa: E402,F401
import cases_tools  # noqa: E402,F401
import cases_fork  # noqa: E402,F401
import cases_restore  # noqa: E402,F401
import cases_lobby  # noqa: E402,F401
import cases_trust  # noqa: E402,F401
import cases_bundle  # noqa: E402,F401
import cases_where  # noqa: E402,F401
import cases_audience  # noqa: E402,F401
import cases_gaps  # noqa: E402,F401
import cases_review  # noqa: E402,F401
import cases_documents  # noqa: E402,F401
import cases_erase  # noqa: E402,F401


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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="tests to run; default: all")
    parser.add_argument("--bin", default=os.environ.get("ILEA_BIN", ""), help="folder of the programs [$ILEA_BIN]")
    parser.add_argument("--rounds", type=int, default=20, help="kills in the crash tests")
    parser.add_argument("--slow", type=float, default=1.0, help="all waits are this much longer")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--keep", action="store_true", help="keep the folders of tests that passed too")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--part", choices=("all", "waits", "works"), default="all",
                        help="the tests that mostly wait, or the others; all: the former in a process beside")
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
    beside = None
    if options.part == "all" and not options.names:
        beside = subprocess.Popen([sys.executable, os.path.abspath(__file__), *sys.argv[1:], "--part", "waits"],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        options.part = "works"
    if options.part == "waits":
        support.Options.ports = (26000, 32000)
    results = [run_one(function, options) for function in tests
               if (function.__name__ in options.names if options.names
                   else hasattr(function, "waits") == (options.part == "waits"))]
    passed, failed, skipped = results.count(True), results.count(False), results.count(None)
    if beside is not None:
        lines = beside.communicate()[0].splitlines()
        print("\n".join(lines[1:-1]))
        counts = re.fullmatch(r"(\d+) passed, (\d+) failed(?: \((\d+) skipped\))?", lines[-1] if lines else "")
        passed, failed, skipped = (sum(pair) for pair in zip((passed, failed, skipped),
                                                             map(int, counts.groups("0")) if counts else (0, 1, 0)))
    print(f"{passed} passed, {failed} failed" + (f" ({skipped} skipped)" if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
