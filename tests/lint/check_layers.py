#!/usr/bin/env python3
"""Each folder includes only from the folders below it, and a library's header only where that library is used.

    check_layers.py [ROOT]      prints each violation; exit status 1 if there is one

replication/core, merge, audience and store are siblings: none includes another, and node/ joins them. Includes of our own are
written from the root; only the public headers, which are installed, name each other without a folder.
"""
import pathlib
import re
import sys

LAYERS = {  # folder: folders that it may include from, besides itself
    "include/ilea": set(),
    "crypto": {"include/ilea"},
    "replication/record": {"crypto", "include/ilea"},
    "replication/merge": {"replication/record", "crypto", "include/ilea"},
    "replication/core": {"replication/record", "crypto", "include/ilea"},
    "replication/audience": {"replication/record", "crypto", "include/ilea"},
    "replication/store": {"replication/record", "crypto", "include/ilea"},
    "replication/reader": {"replication/merge", "replication/store", "replication/record", "crypto", "include/ilea"},
    "config": {"include/ilea"},
    "node": {"replication/reader", "replication/merge", "replication/audience", "replication/core", "replication/store",
             "replication/record", "crypto", "config", "include/ilea"},
}
EVERYTHING = ("tests", "bench")

# The program that strangers talk to knows nothing of stores and records: the files of ilea-link include only these.
LINK_FILES = re.compile(r"node/(ilea_link|link(_\w+)?|lobby(_(bucket|frame|guest|state))?)\.[ch]$")
LINK_SEES = re.compile(r"(crypto|include/ilea)/|node/(link(_\w+)?|lobby(_(bucket|frame|state))?)\.h$")

# Outside libraries: header, and the files that may include it. tests/ and bench/ may include any.
LIBRARIES = {
    "zmq.h": r"node/(link|link_(peer|queue|router|socket|zap))\.c|node/link_state\.h",
    "lmdb.h": r"replication/store/environment\.c",
    "msgpack.h": r"replication/record/msgpack_writer\.c",
    # record/: base64 of a card, and "all zero?"; node/link.c: the transport key in the process that has it.
    "sodium.h": r"crypto/\w+\.[ch]|replication/record/(card|manifest)\.c|node/link\.c",
    "seccomp.h": r"node/link_sandbox\.c",
    "ini.h": r"config/config\.c",
    "utf8proc.h": r"node/(command|value_text)\.c",
    "uuid/uuid.h": r"node/profile\.c",
    "zlib.h": r"node/jsonl\.c",
    "jansson.h": r"node/\w+\.[ch]",
}
PUBLIC_MAY = {"stdbool.h", "stddef.h", "stdint.h"}

INCLUDE = re.compile(r'\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')


def layer_of(path):
    """The longest folder of LAYERS that a path lies in."""
    fitting = [layer for layer in LAYERS if path.startswith(layer + "/")]
    return max(fitting, key=len, default=None)


def faults_of(root, path):
    layer = layer_of(path)
    for number, line in enumerate((root / path).read_text(encoding="utf-8").splitlines(), 1):
        found = INCLUDE.match(line)
        if not found:
            continue
        quoted, angled = found.groups()
        where = f"{path}:{number}: "
        if angled:
            allowed = LIBRARIES.get(angled)
            if layer and allowed and not re.fullmatch(allowed, path):
                yield f"{where}<{angled}> is included by {allowed} alone"
            if layer == "include/ilea" and angled not in PUBLIC_MAY:
                yield f"{where}a public header includes no <{angled}>"
            continue
        if layer == "include/ilea":
            if not (root / layer / quoted).is_file():
                yield f"{where}a public header includes public headers alone, not {quoted}"
            continue
        if not (root / quoted).is_file():
            yield f"{where}{quoted} is not written from the root, or missing"
            continue
        if layer is None:
            continue
        other = layer_of(quoted)
        if other != layer and other not in LAYERS[layer]:
            yield f"{where}{layer} may not include {quoted}"
        if LINK_FILES.search(path) and not LINK_SEES.match(quoted):
            yield f"{where}ilea-link may not include {quoted}"


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2]).resolve()
    faults = []
    files = 0
    for folder in (*LAYERS, *EVERYTHING):
        for path in sorted((root / folder).rglob("*.[ch]")):
            name = path.relative_to(root).as_posix()
            if folder in EVERYTHING or layer_of(name) == folder:
                files += 1
                faults += faults_of(root, name)
    print("\n".join(faults) if faults else f"{files} files, all includes point down")
    if files < 20:
        print(f"{root} does not look like the tree")
        return 1
    return bool(faults)


sys.exit(main())
