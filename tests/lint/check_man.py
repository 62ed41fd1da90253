#!/usr/bin/env python3
"""The manual says what the programs do, no more and no less.

    check_man.py ILEA ILEA-NODE [ROOT]      prints each difference; exit status 1 if there is one

Every command and option of --help is in ilea.1 and ilea-node.8 and the reverse; ilea-formats.7 has every type, field,
code, part and import profile; libilea.3 has every exported function; and groff formats all pages without a warning.
"""
import pathlib
import re
import shutil
import subprocess
import sys

NOUNS = {"peer", "admin", "audience", "audit", "key", "fork", "bundle", "review"}  # with verbs of their own
ALWAYS = {"--help", "--version", "-h"}  # of every program; the usage text need not name them


def synopsis(program):
    """The text of --help from `Usage:` on, without the explanations behind two blanks."""
    text = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    return text[text.index("Usage:"):]


def options_in_help(usage):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", usage))


def options_in_page(page):
    """mdoc: .Fl -home is --home, .Fl h is -h, .Fl - is nothing."""
    found = set()
    for line in page.splitlines():
        if line.startswith("."):
            found |= {"-" + name for name in re.findall(r"\bFl (-?[a-z][a-z-]*)", line)}
    return found


def commands_in_help(usage):
    """The words at the beginnings of lines, with the verbs of TYPE and of nouns, separated by |."""
    commands = set()
    for line in usage.splitlines():
        found = re.match(r"  (TYPE )?([a-z]+)\b(.*)", line)
        if not found:
            continue
        noun = found.group(2)
        if noun not in NOUNS:
            commands.add(noun)
            continue
        rest = re.sub(r"\([^)]*\)|\[[^]]*\]", "", found.group(3))
        verbs = re.findall(r"(?:^|\|) ([a-z]+)", rest)
        commands |= {f"{noun} {verb}" for verb in verbs} or {noun}
    return commands


def commands_in_page(page):
    """What .It lists name: `.It Cm peer add Ar file`, `.It Xo Ar type Cm new`."""
    commands = set()
    for line in page[:page.index(".Sh ENVIRONMENT")].splitlines():
        found = re.match(r"\.It (?:Xo )?(?:Ar type )?Cm ([a-z]+)(?: ([a-z]+))?", line)
        if found:
            noun, verb = found.groups()
            commands.add(f"{noun} {verb}" if noun in NOUNS and verb else noun)
    return commands


def headers_in_page(page):
    """Of each .It that names a command: (its words, the options in it), over the lines of .Xo to .Xc."""
    for found in re.finditer(r"^\.It (Xo )?(?:Ar type )?Cm ([a-z]+)(?: ([a-z]+))?", page, re.M):
        several, noun, verb = found.groups()
        end = page.index(".Xc" if several else "\n", found.end())
        yield [noun, verb] if verb and noun in NOUNS else [noun], options_in_page(page[found.start():end])


def check_options(ilea, page, faults):
    """Each command's own options: what the page's header says is what `ilea COMMAND --help` says."""
    for words, options in headers_in_page(page[:page.index(".Sh ENVIRONMENT")]):
        kind = ["need"] if words[0] in ("new", "list") else []
        text = subprocess.run([ilea, *kind, *words, "--help"], capture_output=True, text=True, check=True).stdout
        own = "\n".join(line for line in text.splitlines() if not line.startswith(("Usage", "All", "Signed", "Where")))
        compare("ilea.1, " + " ".join(words), options, options_in_help(own), faults, "the page", "its --help")


def words_after(usage, head):
    found = re.search(head + r": ([a-z0-9 -]+)", usage)
    return set(found.group(1).split()) if found else set()


def section(page, title):
    """The lines under a heading that begins so."""
    found = re.search(r"^\.S[hs] " + re.escape(title) + r"[^\n]*\n(.*?)(?=^\.S[hs] |\Z)", page, re.M | re.S)
    return found.group(1) if found else None


def types(folder):
    """(name, letter, number, {field: codes and parts}) from the field tables; None for what all types have."""
    for path in sorted(folder.glob("*.c")):
        text = path.read_text(encoding="utf-8")
        lists = {found.group(1): re.findall(r'"([^"]+)"', found.group(2))
                 for found in re.finditer(r"\*const (\w+)\[\] = \{(.*?)\};", text, re.S)}
        table = re.search(r"struct ilea_field \w+\[\] = \{(.*?)\n\};", text, re.S).group(1)
        fields = {}
        for row in re.findall(r'"(\w+)", ILEA_KIND_\w+,([^"]*)"', table):
            fields[row[0]] = [word for name in re.findall(r"\w+", row[1]) for word in lists.get(name, [])]
        for macro in re.findall(r"ILEA_(TITLE|BODY)_FIELD", table):
            fields[macro.lower()] = []
        found = re.search(r"\.number = (\d+), \.name = \"(\w+)\", \.letter = '(\w)'", text)
        yield (found.group(2), found.group(3), found.group(1), fields) if found else (None, "", "", fields)


def compare(where, one, other, faults, one_name, other_name):
    faults += [f"{where}: {word} is in {one_name}, not in {other_name}" for word in sorted(one - other)]
    faults += [f"{where}: {word} is in {other_name}, not in {one_name}" for word in sorted(other - one)]


def check_formats(root, page, usage, faults):
    names = set()
    for name, letter, number, fields in types(root / "replication/record/schema"):
        heading = "Fields of all types" if name is None else f"{name} ({letter}, type {number})"
        text = section(page, heading)
        if text is None:
            faults.append(f"ilea-formats.7: no section {heading}")
            continue
        if name:
            names.add(name)
        compare(f"ilea-formats.7, {heading}", set(re.findall(r"^\.It Va (\w+)", text, re.M)), set(fields), faults,
                "the page", "the table")
        for field, words in fields.items():
            entry = re.search(rf"^\.It Va {field}\n(.*?)(?=^\.It |^\.El)", text, re.M | re.S)
            listed = set(re.findall(r"[\w+-]+", entry.group(1))) if entry else set()
            faults += [f"ilea-formats.7, {heading}: {field} lacks {word}" for word in words
                       if word not in listed]
    compare("ilea --help", words_after(usage, "TYPE"), names, faults, "TYPE", "the tables")
    profiles = {path.stem for path in (root / "config/import").glob("*.json")}
    compare("ilea --help", words_after(usage, "NAME"), profiles, faults, "NAME", "config/import")
    listed = set(re.findall(r"^\.It Cm ([\w-]+)", section(page, "IMPORT PROFILES") or "", re.M))
    compare("ilea-formats.7", listed, profiles, faults, "IMPORT PROFILES", "config/import")


def main():
    ilea, node = sys.argv[1:3]
    root = pathlib.Path(sys.argv[3] if len(sys.argv) > 3 else pathlib.Path(__file__).parents[2]).resolve()
    pages = {path.name: path.read_text(encoding="utf-8") for path in sorted((root / "config/man").glob("*.[1-9]"))}
    faults = []

    usage = synopsis(ilea)
    page = pages["ilea.1"]
    faults += [f"--help: more than 80 columns: {line}" for line in usage.splitlines() if len(line) > 80]
    check_options(ilea, page, faults)
    compare("ilea.1", options_in_page(page) - ALWAYS, options_in_help(usage) - ALWAYS, faults, "the page", "--help")
    compare("ilea.1", commands_in_page(page), commands_in_help(usage), faults, "the page", "--help")
    for word in sorted(words_after(usage, "TYPE") | words_after(usage, "NAME")):
        if not re.search(rf"^\.Cm {word}\b", page, re.M):
            faults.append(f"ilea.1: no {word}")
    compare("ilea-node.8", options_in_page(pages["ilea-node.8"]) - ALWAYS, options_in_help(synopsis(node)) - ALWAYS,
            faults, "the page", "--help")

    check_formats(root, pages["ilea-formats.7"], usage, faults)

    exported = set(re.findall(r"^ +(ilea_\w+);", (root / "replication/reader/libilea.map").read_text(), re.M))
    for macro in ("Nm", "F[no]"):
        listed = set(re.findall(rf"^\.{macro} (ilea_\w+)", pages["libilea.3"], re.M))
        compare(f"libilea.3, .{macro}", listed, exported, faults, "the page", "libilea.map")

    groff = shutil.which("groff")
    for name in pages if groff else ():
        run = subprocess.run([groff, "-mandoc", "-ww", "-Tutf8", "-z", str(root / "config/man" / name)],
                             capture_output=True, text=True, check=False)
        faults += [f"{name}: {line}" for line in run.stderr.splitlines()]
    print("\n".join(faults) if faults else f"{len(pages)} pages agree with programs and tables"
          + ("" if groff else "; groff is not here: not formatted"))
    return bool(faults) or len(pages) < 4


sys.exit(main())
