#!/usr/bin/env python3
"""Every test that crypto/THREATS.md names as the proof of a promise exists.

    check_proofs.py [ROOT]      prints each name that is none; exit status 1 if there is one

The kinds of names are those that the page explains: unit/x, link/x, story x, system/x, fuzz x, lint/x.
"""
import pathlib
import re
import sys

# In the page: `unit/a_name`, several after `story` or `fuzz` each with its own word before it.
KINDS = {
    "unit": r"\bunit/([a-z][a-z_0-9]*)",
    "link": r"\blink/([a-z][a-z_0-9]*)",
    "system": r"\bsystem/([a-z][a-z_0-9]*)",
    "story": r"\bstory ([a-z][a-z0-9-]*)",
    "fuzz": r"\bfuzz ([a-z][a-z_]*)",
    "lint": r"\blint/([a-z][a-z_]*(?:\.[a-z]+)?)",
    "seeds": r"\b(SIM_[A-Z_]+)",
}


def text_of(root, pattern):
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(root.glob(pattern)))


def existing(root):
    cases = re.findall(r"^@test\n(?:@[^\n]*\n)*def ([a-z_0-9]+)", text_of(root, "tests/system/cases_*.py"), re.M)
    stories = re.findall(r'"([a-z0-9-]+)"', text_of(root, "tests/sim/*.[ch]"))
    return {
        "unit": {path.stem[len("test_"):] for path in (root / "tests/unit").glob("test_*.c")},
        "link": set(re.findall(r"\btest_link_([a-z_0-9]+)\(", text_of(root, "tests/system/test_link.c"))),
        "system": set(cases),
        "story": set(stories),
        "fuzz": {path.stem[len("fuzz_"):] for path in (root / "tests/fuzz").glob("fuzz_*.c")},
        "lint": {path.name for path in (root / "tests/lint").iterdir()},
        "seeds": set(re.findall(r"\b(SIM_[A-Z_]+)\b", text_of(root, "tests/sim/*.[ch]"))),
    }


def main():
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[2]
    known = existing(root)
    page = (root / "crypto/THREATS.md").read_text(encoding="utf-8")
    # The paragraph that explains the names has none of a test.
    lines = [line for line in page.splitlines() if not re.search(r"(/| --story | )x`", line)]
    missing = checked = 0
    for number, line in enumerate(lines, 1):
        for kind, pattern in KINDS.items():
            for name in re.findall(pattern, line):
                checked += 1
                if name not in known[kind]:
                    missing += 1
                    print(f"crypto/THREATS.md: no {kind} {name}: {line.strip()[:60]}")
    if missing == 0:
        print(f"{checked} proofs exist")
    return 1 if missing or not checked else 0


if __name__ == "__main__":
    sys.exit(main())
