#!/usr/bin/env python3
"""Small rules of form that a compiler does not check.

    check_tidy.py [ROOT]        prints each violation; exit status 1 if there is one

Lines of at most 120 columns (three in a thousand pass 100; none needs more than 120), no tabs, no blanks at line ends,
no functions over 80 lines but those listed here with their reason, no calls that overflow or depend on hidden state,
no notes to self, and at the top of every header what the module is.
"""
import pathlib
import re
import sys

COLUMNS = 120
FUNCTION_LINES = 80

# (file, function): why it is one piece.
LONG_FUNCTIONS = {
}

BANNED = {
    "strcpy": "snprintf", "stpcpy": "snprintf", "strcat": "snprintf", "strncpy": "memcpy", "strncat": "snprintf",
    "sprintf": "snprintf", "vsprintf": "vsnprintf", "gets": "fgets", "strtok": "strspn and strcspn",
    "rand": "crypto/random.h", "srand": "crypto/random.h", "random": "crypto/random.h", "system": "posix_spawn",
    "popen": "posix_spawn", "alloca": "malloc", "tmpnam": "mkstemp", "mktemp": "mkstemp",
}
BANNED_CALL = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")
NOTE = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b(?!X)")
# A definition's first line (its return type stands on the line before), as .clang-format has it.
FUNCTION = re.compile(r"([a-z_]\w*)\(")
FOLDERS = ("include", "crypto", "replication", "config", "node", "tests", "bench", ".ci")
TEXT = {".c", ".h", ".py", ".sh", ".map", ".txt", ".json", ".service", ".example"}


def without_comments_and_strings(text):
    """The same lines with comments, strings and characters blanked out."""
    def blank(found):
        return re.sub(r"[^\n]", " ", found.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', blank, text, flags=re.S)


def functions(code):
    """(name, first line, lines) of each function definition."""
    name = start = None
    opened = False
    for number, line in enumerate(code.splitlines(), 1):
        found = FUNCTION.match(line)
        if found and not opened:
            name, start = found.group(1), number
        elif line == "{" and name:
            opened = True
        elif line.startswith("}"):
            if opened:
                yield name, start, number - start + 1
            name, opened = None, False


def faults_of(path, text, long_functions):
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > COLUMNS and path.suffix != ".json":
            yield number, f"{len(line)} columns; {COLUMNS} are enough"
        if "\t" in line:
            yield number, "a tab"
        if line != line.rstrip():
            yield number, "blanks at the end"
        if NOTE.search(line) and path.name != "check_tidy.py":
            yield number, "a note to self: do it, or write down why not"
    if text and not text.endswith("\n"):
        yield text.count("\n") + 1, "no line end at the end"
    if path.suffix not in (".c", ".h"):
        return
    if path.suffix == ".h" and not re.match(r"/\*\s+(\* )?\S+\.h - ", text):
        yield 1, "no comment that says what the module is: /* name.h - ..."
    code = without_comments_and_strings(text)
    for number, line in enumerate(code.splitlines(), 1):
        for found in BANNED_CALL.finditer(line):
            yield number, f"{found.group(1)}(); use {BANNED[found.group(1)]}"
    for name, start, lines in functions(code):
        if lines > FUNCTION_LINES:
            long_functions.add((path.as_posix(), name))
            if (path.as_posix(), name) not in LONG_FUNCTIONS:
                yield start, f"{name}() has {lines} lines; {FUNCTION_LINES} are enough"


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2]).resolve()
    paths = [root / "CMakeLists.txt", root / "CMakePresets.json"]
    for folder in FOLDERS:
        paths += sorted(path for path in (root / folder).rglob("*")
                        if path.is_file() and (path.suffix in TEXT or folder == ".ci"))
    faults, long_functions, checked = [], set(), 0
    for path in paths:
        name = path.relative_to(root)
        if name.parts[:2] == ("tests", "vectors") and path.suffix != ".py":
            continue
        checked += 1
        text = path.read_text(encoding="utf-8")
        faults += [f"{name}:{number}: {what}" for number, what in faults_of(name, text, long_functions)]
    faults += [f"check_tidy.py: {function} of {path} is not long any more: off the list"
               for path, function in sorted(set(LONG_FUNCTIONS) - long_functions)]
    print("\n".join(faults) if faults else f"{checked} files are tidy")
    return bool(faults) or checked < 20


sys.exit(main())
