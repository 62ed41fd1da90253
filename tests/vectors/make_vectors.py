#!/usr/bin/env python3
"""make_vectors.py - writes the vectors of the record and message formats anew.

    make_vectors.py [DIRECTORY]     by default the folder it stands in

Run it when a format changes, and read the difference. It shares the rules with
check_vectors.py and not a line with the C code, so that the unit tests compare
two implementations. Nothing is random: keys and nonces are hashes of their
names. Signatures and encryption are libsodium's, through ctypes.
"""
import ctypes
import ctypes.util
import hashlib
import json
import os
import sys

sys.dont_write_bytecode = True

import check_vectors as rules
from check_vectors import Raw, Text, digest, encode, u64

sodium = ctypes.CDLL(ctypes.util.find_library("sodium") or "libsodium.so.23")
if sodium.sodium_init() < 0:
    sys.exit("libsodium does not start")


def fixed(name, size=32):
    return hashlib.blake2b(name.encode(), digest_size=size).digest()


def call(function, size, *arguments):
    """A libsodium function that writes `size` bytes to its first argument."""
    out = ctypes.create_string_buffer(size)
    if getattr(sodium, function)(out, *arguments) != 0:
        raise RuntimeError(function)
    return out.raw


class Signer:
    def __init__(self, name):
        self.seed = fixed("seed of " + name)
        self.secret = ctypes.create_string_buffer(64)
        self.public = call("crypto_sign_seed_keypair", 32, self.secret, self.seed)

    def sign(self, domain, network, message):
        text = domain.encode()
        data = bytes([len(text)]) + text + network + message
        return call("crypto_sign_detached", 64, None, data, ctypes.c_ulonglong(len(data)),
                    self.secret)


class Box:
    def __init__(self, name):
        secret = bytearray(fixed("box secret of " + name))
        secret[0] &= 248
        secret[31] = secret[31] & 127 | 64
        self.secret = bytes(secret)
        self.public = call("crypto_scalarmult_base", 32, self.secret)


def seal(to, message, name):
    """crypto_box_seal with an ephemeral key that is a hash of `name`."""
    ephemeral = Box("ephemeral " + name)
    nonce = hashlib.blake2b(ephemeral.public + to, digest_size=24).digest()
    return ephemeral.public + call("crypto_box_easy", len(message) + 16, message,
                                   ctypes.c_ulonglong(len(message)), nonce, to, ephemeral.secret)


def encrypt(key, nonce, data, plaintext):
    data = b"\x0cilea/item/v1" + data
    return call("crypto_aead_xchacha20poly1305_ietf_encrypt", len(plaintext) + 16, None, plaintext,
                ctypes.c_ulonglong(len(plaintext)), data, ctypes.c_ulonglong(len(data)), None,
                nonce, key)


# --- one small federation -----------------------------------------------------------------------

NETWORK = digest("ilea/network/v1", b"test vectors")
NODE, NODE_2, ROOT_A, ROOT_B, ROOT_C = (
    Signer(name) for name in ("node", "node 2", "root a", "root b", "root c"))
TRANSPORT, READING, OTHER = Box("transport"), Box("reading"), Box("other")
EPOCH_KEY = fixed("epoch key")


def in_key_order(signers):
    return sorted(signers, key=lambda signer: signer.public)


def publics(signers):
    return [signer.public for signer in signers]


ROOTS = in_key_order((ROOT_A, ROOT_B, ROOT_C))
NEXT_ROOTS = in_key_order(Signer("next root %d" % i) for i in range(3))
LATER_ROOTS = in_key_order(Signer("later root %d" % i) for i in range(2))
ADMINS = in_key_order(Signer("admin %s" % name) for name in "ab")


def signed_manifest(signers=(0, 1, 2), roots=None, node=NODE, more=(), **replaced):
    """The signed manifest and its body. `replaced` are fields as they are encoded, whatever they should be."""
    roots = ROOTS if roots is None else roots
    possession = (b"".join(publics(roots)) + node.public + TRANSPORT.public + READING.public)
    fields = {"version": 2, "network": NETWORK, "agency": bytes(32), "index": 0, "prev": bytes(32),
              "code": Text(b"FR-PN"), "country": Text(b"FR"),
              "name": Text("Police nationale – innovation".encode()), "threshold": 2,
              "roots": publics(roots), "next_roots": rules.roots_hash_of(2, publics(NEXT_ROOTS)),
              "node": node.public, "transport": TRANSPORT.public, "reading": READING.public,
              "admins": [], "revoked": [], "positions": [],
              "pop": node.sign("ilea/manifest-pop/v1", NETWORK, possession)}
    assert set(replaced) <= set(fields)
    fields.update(replaced)
    body = encode([*fields.values(), *more])
    hash_ = rules.agency_id_of(body)
    signatures = [[i, roots[i].sign("ilea/manifest-sig/v1", fields["network"], hash_)]
                  for i in signers]
    return [body, signatures], body


def next_manifest(before, **replaced):
    """The one after a signed manifest."""
    decoded = rules.decode_manifest(encode(before))
    fields = {"agency": decoded["agency"], "index": decoded["index"] + 1, "prev": decoded["hash"]}
    fields.update(replaced)
    return signed_manifest(**fields)[0]


SIGNED, MANIFEST = signed_manifest()
AGENCY = rules.agency_id_of(MANIFEST)
INCARNATION = fixed("incarnation", 16)
SCOPE = 2
FEED = rules.feed_id_of(NETWORK, AGENCY, NODE.public, INCARNATION, SCOPE)
AUDIENCE = rules.audience_of(NETWORK, AGENCY, "all-peers")
AEK_COMMIT = digest("ilea/aek-commit/v1", NETWORK, AUDIENCE, key=EPOCH_KEY)
EPOCH = AEK_COMMIT[:16]


def wrapped_for(box, name):
    return seal(box.public, b"\x0bilea/aek/v1" + NETWORK + AUDIENCE + EPOCH_KEY, name)


WRAPPED = sorted(wrapped_for(box, "wrap %d" % i) for i, box in enumerate((READING, OTHER)))


def text_value(text):
    return encode(Text(text.encode()))


def op(field, key, value, depth=1, replaces=()):
    """As decode_change() gives it."""
    return {"field": field, "key": key, "value": value, "depth": depth,
            "replaces": sorted(replaces)}


def op_fields(one):
    return [one["field"], [Raw(one["key"])] if one["key"] else [],
            [Raw(one["value"])] if one["value"] else [], one["depth"],
            [list(dot) for dot in one["replaces"]]]


def change_fields(ops, **replaced):
    change = {"record": fixed("record", 16), "type": 6, "time_ms": 1735689600000, "label": 2,
              "handling": 0, "run": 1, "prev_leaf": bytes(32)}
    change.update(replaced)
    return [1, change["record"], change["type"], change["time_ms"], change["label"],
            change["handling"], change["run"], change["prev_leaf"], [op_fields(one) for one in ops]]


def dot(feed, seq, index):
    return fixed("feed %s" % feed)[:16], seq, index


# --- the files ----------------------------------------------------------------------------------

class File:
    def __init__(self):
        self.vectors = []

    def good(self, name, **fields):
        self.vectors.append({"name": name, **rules.as_json(fields)})

    def bad(self, name, expect, error="malformed", **fields):
        self.good(name, **fields, expect=expect, error=error)


def msgpack():
    file = File()

    def good(name, value):
        file.good(name, bytes=encode(value), value=rules.described(value))

    def bad(name, expect, data):
        file.bad(name, expect, bytes=bytes.fromhex(data) if isinstance(data, str) else data)

    for number in (0, 1, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**64 - 1):
        good("uint %d" % number, number)
    for size in (0, 1, 31, 32, 255, 256):
        good("str of %d bytes" % size, Text(b"x" * size))
    for size in (0, 1, 31, 32, 255, 256):
        good("bin of %d bytes" % size, bytes(range(256))[:size] or b"\0" * size)
    for count in (0, 1, 15, 16):
        good("array of %d" % count, list(range(count)))
    good("all four kinds", [1, Text(b"a"), b"b", [2]])
    good("arrays 3 deep", [[[7]], 8])
    for name, text in (("tab and line feed", "a\tb\nc"), ("2 bytes, lowest", "\u00a0"),
                       ("2 bytes, highest", "\u07ff"), ("3 bytes, lowest", "\u0800"),
                       ("before the surrogates", "\ud7ff"), ("after the surrogates", "\ue000"),
                       ("3 bytes, highest", "\uffff"), ("4 bytes, lowest", "\U00010000"),
                       ("4 bytes, highest", "\U0010ffff"), ("mixed", "Zürich – 東京 🜂 ok, and more")):
        good("text: " + name, Text(text.encode()))

    for name, data in (
            ("uint 0 in 2 bytes", "cc00"), ("uint 127 in 2 bytes", "cc7f"),
            ("uint 255 in 3 bytes", "cd00ff"), ("uint 65535 in 5 bytes", "ce0000ffff"),
            ("uint 2^32-1 in 9 bytes", "cf00000000ffffffff"), ("str of 0 in str 8", "d900"),
            ("str of 31 in str 8", "d91f" + "61" * 31),
            ("str of 255 in str 16", "da00ff" + "61" * 255),
            ("str of 1 in str 32", "db0000000161"), ("bin of 0 in bin 16", "c50000"),
            ("bin of 255 in bin 16", "c500ff" + "00" * 255), ("bin of 1 in bin 32", "c60000000100"),
            ("array of 0 in array 16", "dc0000"), ("array of 15 in array 16", "dc000f" + "00" * 15),
            ("array of 1 in array 32", "dd0000000100"), ("inside an array", "92cc0100")):
        bad("not shortest: " + name, "not_shortest", data)
    for name, data in (
            ("nil", "c0"), ("the unused tag", "c1"), ("false", "c2"), ("true", "c3"),
            ("ext 8", "c7000100"), ("ext 16", "c8000001"), ("ext 32", "c90000000001"),
            ("float 32", "ca00000000"), ("float 64", "cb0000000000000000"), ("int 8", "d0ff"),
            ("int 8, positive", "d001"), ("int 16", "d1ff00"), ("int 32", "d2ff000000"),
            ("int 64", "d3ff00000000000000"), ("fixext 1", "d40100"), ("fixext 2", "d5010000"),
            ("fixext 4", "d60100000000"), ("fixext 8", "d701" + "00" * 8),
            ("fixext 16", "d801" + "00" * 16), ("negative fixint -1", "ff"),
            ("negative fixint -32", "e0"), ("fixmap", "80"), ("fixmap of 1", "810102"),
            ("map 16", "de0000"), ("map 32", "df00000000"), ("nil inside an array", "91c0")):
        bad("kind: " + name, "kind", data)
    for name, data in (
            ("nothing", ""), ("uint 8", "cc"), ("uint 16", "cdff"), ("uint 32", "ceffffff"),
            ("uint 64", "cfffffffffffffff"), ("str", "a3" + "6162"), ("str 8", "d9"),
            ("str 16", "da01"), ("bin 8", "c402" + "00"), ("bin 16 header", "c501"),
            ("array 16 header", "dc00"), ("array 32 header", "dd0001")):
        bad("truncated: " + name, "truncated", data)
    for name, data in (
            ("array 32 of 4294967295", "ddffffffff"), ("array 16 of 65535", "dcffff"),
            ("fixarray of 15", "9f"), ("array of 2 with 1", "9201"),
            ("bin 32 of 4294967295", "c6ffffffff"),
            ("str 32 of 4294967295", "dbffffffff"), ("bin 16 of 65535", "c5ffff00"),
            ("inside", "92" + "01" + "ddffffffff")):
        bad("count: " + name, "count", data)
    bad("arrays 4 deep", "depth", "9191919100")
    bad("arrays 100 deep", "depth", "91" * 99 + "90")
    bad("a byte after", "trailing", "0100")
    bad("a byte after an array", "trailing", "910100")

    broken = (("overlong: c0 80", "c080"), ("overlong: c1 bf", "c1bf"),
              ("overlong: e0 80 80", "e08080"),
              ("overlong: e0 9f bf", "e09fbf"), ("overlong: f0 80 80 80", "f0808080"),
              ("overlong: f0 8f bf bf", "f08fbfbf"), ("surrogate d800", "eda080"),
              ("surrogate dfff", "edbfbf"), ("above 10ffff", "f4908080"), ("lead f5", "f5808080"),
              ("ff", "ff"), ("lone continuation 80", "80"), ("lone continuation bf", "bf"),
              ("2 bytes cut", "c3"), ("3 bytes cut", "e282"), ("4 bytes cut", "f09f8c"),
              ("2 bytes, then ascii", "c341"), ("3 bytes, then ascii", "e28241"))
    control = (("NUL", "00"), ("01", "01"), ("vertical tab", "0b"), ("carriage return", "0d"),
               ("1f", "1f"), ("DEL", "7f"), ("C1 80", "c280"), ("C1 9f", "c29f"))
    for expect, cases in (("utf8", broken), ("control", control)):
        for name, data in cases:
            bad("%s: %s" % (expect, name), expect, encode(Text(bytes.fromhex(data))))
            for before in (7, 8, 9, 15):
                text = b"a" * before + bytes.fromhex(data) + b"z" * (16 - before)
                bad("%s: %s after %d letters" % (expect, name, before), expect, encode(Text(text)))
    return file


def change():
    file = File()

    def good(name, ops, **replaced):
        data = encode(change_fields(ops, **replaced))
        file.good(name, bytes=data, **rules.decode_change(data))

    def bad(name, expect, fields, error="malformed"):
        file.bad(name, expect, error, bytes=fields if isinstance(fields, bytes) else encode(fields))

    title = op(2, b"", text_value("Drone detection"))
    good("no operation", [])
    good("one register", [title])
    good("register, keyed, set, removal", [
        title, op(3, b"", b"", 4, [dot("a", 3, 0)]), op(5, text_value("cbrn"), b"\x01"),
        op(9, text_value("old"), b"", 2, [dot("a", 1, 0), dot("b", 9, 3)]),
        op(19, text_value("budget"), text_value("12.5"), 3, [dot("a", 2, 1023)])])
    good("a value of arrays", [op(14, b"", encode([Text(b"4x4"), Text(b"A"), Text(b"1")]))])
    good("a value 3 deep", [op(1000, encode([1, [b"k"]]), encode([[[1]], b"x"]))])
    good("all labels' highest", [title], label=5, handling=255, type=2**32 - 1)
    good("numbers that need 8 bytes", [op(2**32 - 1, b"", b"\x00", 2**32 - 1,
                                          [dot("a", 2**53 - 1, 0)])],
         time_ms=2**53 - 1, run=2**40, prev_leaf=fixed("leaf"))
    good("keys in the order of their encodings", [
        op(5, b"\x07", b"\x01"), op(5, text_value("z"), b"\x01"), op(5, text_value("aa"), b"\x01"),
        op(5, b"\xc4\x01\x00", b"\x01"), op(5, text_value("a" * 40), b"\x01")])

    def edited(edit, ops=None):
        fields = change_fields([title] if ops is None else ops)
        edit(fields)
        return fields

    def set_field(index, value):
        def edit(fields):
            fields[index] = value
        return edit

    bad("version 2", "newer", edited(set_field(0, 2)), "unknown")
    bad("version 2 with more fields", "newer", edited(lambda fields: (set_field(0, 2)(fields),
                                                                      fields.append(0))), "unknown")
    bad("version 0", "range", edited(set_field(0, 0)))
    bad("a field more", "count", edited(lambda fields: fields.append(0)))
    bad("a field less", "count", edited(lambda fields: fields.pop()))
    bad("record id of 15 bytes", "size", edited(set_field(1, bytes(15))))
    bad("record id of 17 bytes", "size", edited(set_field(1, bytes(17))))
    bad("record id as text", "kind", edited(set_field(1, Text(b"0123456789abcdef"))))
    bad("type 0", "range", edited(set_field(2, 0)))
    bad("type over 32 bits", "range", edited(set_field(2, 2**32)))
    bad("label 0", "range", edited(set_field(4, 0)))
    bad("label 6", "range", edited(set_field(4, 6)))
    bad("handling 256", "range", edited(set_field(5, 256)))
    bad("run 0", "range", edited(set_field(6, 0)))
    bad("previous leaf of 31 bytes", "size", edited(set_field(7, bytes(31))))
    bad("ops as bin", "kind", edited(set_field(8, b"")))
    bad("4294967295 ops announced", "count",
        encode(change_fields([]))[:-1] + bytes.fromhex("ddffffffff"))
    bad("one op announced, two given", "trailing",
        encode(edited(set_field(8, [Raw(encode(op_fields(title)) * 2)]))))
    bad("time not shortest", "not_shortest", edited(set_field(3, Raw(bytes.fromhex("cd0001")))))
    bad("fields out of order", "order", change_fields([op(3, b"", b"\x01"), title]))
    bad("the same field twice", "duplicate", change_fields([title, title]))
    bad("keys out of order", "order", change_fields([op(5, text_value("b"), b"\x01"),
                                                     op(5, text_value("a"), b"\x01")]))
    bad("the same key twice", "duplicate", change_fields([op(5, text_value("b"), b"\x01")] * 2))
    bad("keyless after keyed", "order", change_fields([op(5, text_value("b"), b"\x01"),
                                                       op(5, b"", b"\x01")]))

    def bad_op(name, expect, index, value):
        one = op_fields(op(5, text_value("b"), b"\x01", 2, [dot("a", 1, 0)]))
        one[index] = value
        bad("op: " + name, expect, edited(set_field(8, [one])))

    two_dots = sorted([dot("a", 1, 0), dot("b", 1, 0)])
    bad_op("field 0", "range", 0, 0)
    bad_op("field over 32 bits", "range", 0, 2**32)
    bad_op("two keys", "count", 1, [1, 2])
    bad_op("two values", "count", 2, [1, 2])
    bad_op("key without its array", "kind", 1, 1)
    bad_op("depth 0", "range", 3, 0)
    bad_op("depth over 32 bits", "range", 3, 2**32)
    bad_op("key 4 deep", "depth", 1, [[[[[1]]]]])
    bad_op("value 4 deep", "depth", 2, [[[[[1]]]]])
    bad_op("value nil", "kind", 2, [Raw(b"\xc0")])
    bad_op("value not shortest", "not_shortest", 2, [Raw(b"\xcc\x01")])
    bad_op("value not UTF-8", "utf8", 2, [Text(b"\xc3")])
    bad_op("key over 1024 bytes", "limit", 1, [bytes(1022)])
    bad_op("dots out of order", "order", 4, [list(one) for one in reversed(two_dots)])
    bad_op("the same dot twice", "duplicate", 4, [list(two_dots[0])] * 2)
    bad_op("dot of seq 0", "range", 4, [[fixed("f", 16), 0, 0]])
    bad_op("dot of index 1024", "range", 4, [[fixed("f", 16), 1, 1024]])
    bad_op("dot of a 32-byte feed", "size", 4, [[fixed("f"), 1, 0]])
    bad_op("dot of 2 fields", "count", 4, [[fixed("f", 16), 1]])
    bad_op("257 dots", "limit", 4, [list(dot("a", i + 1, 0)) for i in range(257)])
    return file


def statement_bytes(kind, *fields):
    return encode([kind, *fields])


def position(name, seq):
    return [fixed("feed " + name), seq, fixed("commit " + name)]


def opening_bytes(predecessors=()):
    return statement_bytes(1, AGENCY, NODE.public, INCARNATION, SCOPE,
                           sorted(predecessors))


def epoch_bytes(number=1, heads=()):
    return statement_bytes(2, AUDIENCE, number, AEK_COMMIT, sorted(heads), WRAPPED)


def statement():
    file = File()

    def good(name, data, **more):
        file.good(name, bytes=data, **rules.decode_statement(data), **more)

    def bad(name, expect, data, error="malformed"):
        file.bad(name, expect, error, bytes=data)

    good("opening", opening_bytes(), network=NETWORK, feed=FEED)
    good("opening after two feeds", opening_bytes([position("a", 12), position("b", 2**40)]),
         network=NETWORK, feed=FEED)
    good("opening of a feed for the agency alone",
         statement_bytes(1, AGENCY, NODE.public, INCARNATION, 1, []), network=NETWORK,
         feed=rules.feed_id_of(NETWORK, AGENCY, NODE.public, INCARNATION, 1))
    good("epoch", epoch_bytes(), reading_secret=READING.secret, network=NETWORK,
         epoch_key=EPOCH_KEY)
    good("epoch after two heads", epoch_bytes(8, [fixed("head a"), fixed("head b")]))
    good("epoch without readers", statement_bytes(2, AUDIENCE, 1, AEK_COMMIT, [], []))
    good("history", statement_bytes(3, AUDIENCE, [[AEK_COMMIT, WRAPPED[0]],
                                                  [fixed("another"), WRAPPED[1]]]))
    good("history of nothing", statement_bytes(3, AUDIENCE, []))

    a, b = sorted([position("a", 1), position("b", 2)])

    def opening(**replaced):
        fields = {"agency": AGENCY, "node": NODE.public, "incarnation": INCARNATION, "scope": SCOPE,
                  "positions": []}
        fields.update(replaced)
        return statement_bytes(1, *fields.values())

    def epoch(**replaced):
        fields = {"audience": AUDIENCE, "number": 1, "commit": AEK_COMMIT, "heads": [],
                  "wrapped": WRAPPED}
        fields.update(replaced)
        return statement_bytes(2, *fields.values())

    bad("kind 9", "newer", statement_bytes(9, 1, 2, 3), "unknown")
    bad("kind 0", "range", statement_bytes(0))
    bad("nothing", "truncated", b"")
    bad("empty array", "truncated", encode([]))
    bad("opening: a field more", "count",
        statement_bytes(1, AGENCY, NODE.public, INCARNATION, 1, [], 0))
    bad("opening: a field less", "count", statement_bytes(1, AGENCY, NODE.public, INCARNATION, 1))
    bad("opening: agency of 31 bytes", "size", opening(agency=bytes(31)))
    bad("opening: incarnation of 17 bytes", "size", opening(incarnation=bytes(17)))
    bad("opening: scope 0", "range", opening(scope=0))
    bad("opening: scope 5", "range", opening(scope=5))
    bad("opening: of an audience without its owner", "count", opening(scope=3))
    bad("opening: of no audience with an owner", "count", opening(owner=OWNER, salt=SALT))
    bad("opening: salt of 15 bytes", "size", opening(scope=3, owner=OWNER, salt=bytes(15)))
    bad("opening: of an audience, cut", "truncated", closed_opening()[:-1])
    bad("opening: feeds out of order", "order", opening(positions=[b, a]))
    bad("opening: a feed twice", "duplicate", opening(positions=[a, a]))
    bad("opening: a feed at two positions", "duplicate", opening(positions=[a, [a[0], 9, a[2]]]))
    bad("opening: position at seq 0", "range", opening(positions=[[a[0], 0, a[2]]]))
    bad("opening: position of 2 fields", "count", opening(positions=[a[:2]]))
    bad("opening: 4294967295 positions", "count", opening()[:-1] + bytes.fromhex("ddffffffff"))
    bad("opening: a byte after", "trailing", opening() + b"\0")
    bad("opening: cut", "truncated", opening()[:-1])
    bad("epoch: number 0", "range", epoch(number=0))
    bad("epoch: heads out of order", "order", epoch(heads=sorted([fixed("a"), fixed("b")])[::-1]))
    bad("epoch: a head twice", "duplicate", epoch(heads=[fixed("a")] * 2))
    bad("epoch: 65 heads", "limit", epoch(heads=sorted(fixed("h%d" % i) for i in range(65))))
    bad("epoch: keys out of order", "order", epoch(wrapped=WRAPPED[::-1]))
    bad("epoch: a key twice", "duplicate", epoch(wrapped=[WRAPPED[0]] * 2))
    bad("epoch: key of 139 bytes", "size", epoch(wrapped=[WRAPPED[0][:-1]]))
    bad("epoch: 65535 keys", "count", epoch(wrapped=[])[:-1] + bytes.fromhex("dcffff"))
    bad("epoch: a byte after", "trailing", epoch() + b"\0")
    bad("history: pair of 1", "count", statement_bytes(3, AUDIENCE, [[AEK_COMMIT]]))
    bad("history: key of 141 bytes", "size",
        statement_bytes(3, AUDIENCE, [[AEK_COMMIT, bytes(141)]]))
    bad("history: a byte after", "trailing", statement_bytes(3, AUDIENCE, []) + b"\0")
    audience_statements(good, bad)
    erase_statements(good, bad)
    return file


OWNER, SALT = fixed("owner"), fixed("salt", 16)
CLOSED = rules.closed_audience_of(NETWORK, OWNER, SALT)
CLOSED_FEED = rules.feed_id_of(NETWORK, AGENCY, NODE.public, INCARNATION, 3, CLOSED)


def closed_opening(predecessors=()):
    return statement_bytes(1, AGENCY, NODE.public, INCARNATION, 3, sorted(predecessors), OWNER, SALT)


def head(name):
    return [fixed("commit " + name), fixed("agency " + name)]


def audience_statements(good, bad):
    heads = sorted([head("a"), head("b")])
    acts = sorted([[1, fixed("agency a"), 2, READING.public, Text(b"NL-PO")],
                   [1, fixed("agency b"), 1, OTHER.public, Text(b"DE-BKA")],
                   [2, fixed("agency c"), 0, b"", Text(b"")], [3, fixed("agency d"), 0, b"", Text(b"")]],
                  key=lambda act: act[1])
    info = [Text("Réseau drones".encode()), 3, 2**63 - 1, 0]

    def audience(**replaced):
        fields = {"audience": CLOSED, "number": 1, "commit": AEK_COMMIT, "heads": [], "wrapped": WRAPPED,
                  "time_ms": 1735689600000, "acts": acts, "info": info}
        fields.update(replaced)
        return statement_bytes(4, *fields.values())

    def suspend(**replaced):
        fields = {"audience": CLOSED, "heads": heads, "subject": fixed("agency a"), "reason": Text(b"Key lost")}
        fields.update(replaced)
        return statement_bytes(5, *fields.values())

    def use(**replaced):
        return statement_bytes(6, *{"audience": CLOSED, "heads": heads, **replaced}.values())

    def writer(**replaced):
        fields = {"audience": CLOSED, "restricted": 1, "commit": AEK_COMMIT, "heads": heads, "wrapped": WRAPPED}
        fields.update(replaced)
        return statement_bytes(8, *fields.values())

    good("opening of an audience's feed", closed_opening([position("a", 12)]), network=NETWORK,
         feed=CLOSED_FEED, audience=CLOSED)
    good("opening of a control feed", statement_bytes(1, AGENCY, NODE.public, INCARNATION, 4, []),
         network=NETWORK, feed=rules.feed_id_of(NETWORK, AGENCY, NODE.public, INCARNATION, 4))
    good("audience: its first statement", audience())
    good("audience: history from a time on, a list",
         audience(info=[Text(b"DE-BKA,NL-PO"), 4, 1735689600000, 1]))
    good("audience: a later one", audience(number=7, heads=heads, info=[]))
    good("audience: a new epoch alone", audience(number=2**40, heads=heads[:1], acts=[], info=[]))
    good("suspend", suspend())
    good("suspend without a reason", suspend(reason=Text(b"")))
    good("use", use())
    good("writer", writer())
    good("writer, for all members", writer(restricted=0, wrapped=WRAPPED[:1]))

    bad("audience: number 0", "range", audience(number=0))
    bad("audience: heads and info", "count", audience(heads=heads))
    bad("audience: neither heads nor info", "count", audience(info=[]))
    bad("audience: info of 3", "count", audience(info=info[:3]))
    bad("audience: no name", "text", audience(info=[Text(b""), *info[1:]]))
    bad("audience: a name of two lines", "text", audience(info=[Text(b"a\nb"), *info[1:]]))
    bad("audience: a name of 101 bytes", "limit", audience(info=[Text(b"a" * 101), *info[1:]]))
    bad("audience: tlp 0", "range", audience(info=[info[0], 0, 0, 0]))
    bad("audience: tlp 5", "range", audience(info=[info[0], 5, 0, 0]))
    bad("audience: history of 2^63", "range", audience(info=[info[0], 3, 2**63, 0]))
    bad("audience: list 2", "range", audience(info=[info[0], 3, 0, 2]))
    bad("audience: sealed to nobody", "count", audience(wrapped=[]))
    bad("audience: keys out of order", "order", audience(wrapped=WRAPPED[::-1]))
    bad("audience: acts out of order", "order", audience(acts=acts[::-1]))
    bad("audience: an agency twice", "duplicate", audience(acts=acts[:1] * 2))
    for name, expect, act in (
            ("act 0", "range", [0, OWNER, 0, b"", Text(b"")]),
            ("act 4", "range", [4, OWNER, 0, b"", Text(b"")]),
            ("added without a level", "range", [1, OWNER, 0, READING.public, Text(b"NL-PO")]),
            ("added with level 4", "range", [1, OWNER, 4, READING.public, Text(b"NL-PO")]),
            ("added without a key", "size", [1, OWNER, 1, b"", Text(b"NL-PO")]),
            ("added with half a key", "size", [1, OWNER, 1, bytes(16), Text(b"NL-PO")]),
            ("added without a code", "text", [1, OWNER, 1, READING.public, Text(b"")]),
            ("a code of 17 bytes", "limit", [1, OWNER, 1, READING.public, Text(b"A" * 17)]),
            ("a code of two lines", "text", [1, OWNER, 1, READING.public, Text(b"A\nB")]),
            ("removed with a level", "range", [2, OWNER, 1, b"", Text(b"")]),
            ("removed with a key", "size", [2, OWNER, 0, READING.public, Text(b"")]),
            ("lifted with a code", "text", [3, OWNER, 0, b"", Text(b"NL-PO")]),
            ("of 4 fields", "count", [2, OWNER, 0, b""])):
        bad("audience: " + name, expect, audience(acts=[act]))
    bad("audience: a byte after", "trailing", audience() + b"\0")
    bad("audience: cut", "truncated", audience()[:-1])
    bad("suspend: no heads", "count", suspend(heads=[]))
    bad("suspend: heads out of order", "order", suspend(heads=heads[::-1]))
    bad("suspend: a head twice", "duplicate", suspend(heads=heads[:1] * 2))
    bad("suspend: a head of 1", "count", suspend(heads=[heads[0][:1]]))
    bad("suspend: a reason of 201 bytes", "limit", suspend(reason=Text(b"a" * 201)))
    bad("use: no heads", "count", use(heads=[]))
    bad("use: 65 heads", "limit", use(heads=sorted(head("h%d" % i) for i in range(65))))
    bad("use: a byte after", "trailing", use() + b"\0")
    bad("writer: restricted 2", "range", writer(restricted=2))
    bad("writer: no heads", "count", writer(heads=[]))
    bad("writer: sealed to nobody", "count", writer(wrapped=[]))
    bad("writer: cut", "truncated", writer()[:-1])


def erase_statements(good, bad):
    dots = sorted([fixed("feed " + name, 16), seq, index, fixed("leaf " + name)]
                  for name, seq, index in (("a", 1, 1), ("b", 2**40, 1023), ("a", 1, 2)))
    sigs = sorted([[fixed("admin a"), fixed("sig a", 64)], [fixed("admin b"), fixed("sig b", 64)]])

    def erase(**replaced):
        return statement_bytes(7, *{"dots": dots, "act": b"", "sigs": [], **replaced}.values())

    def bad_dot(name, expect, dot):
        bad("erase: " + name, expect, erase(dots=[dot]))

    good("erase", erase())
    good("erase, signed by two admins", erase(act=fixed("an act", 60), sigs=sigs))
    bad("erase: nothing", "count", erase(dots=[]))
    bad("erase: dots out of order", "order", erase(dots=dots[::-1]))
    bad("erase: a dot twice", "duplicate", erase(dots=dots[:1] * 2))
    bad("erase: a dot with two leaves", "duplicate", erase(dots=[dots[0], [*dots[0][:3], bytes(32)]]))
    bad_dot("seq 0", "range", [dots[0][0], 0, 1, dots[0][3]])
    bad_dot("index 1024", "range", [dots[0][0], 1, 1024, dots[0][3]])
    bad_dot("feed of 32 bytes", "size", [fixed("feed"), 1, 1, dots[0][3]])
    bad_dot("leaf of 31 bytes", "size", [dots[0][0], 1, 1, bytes(31)])
    bad_dot("dot of 3", "count", dots[0][:3])
    bad("erase: an act without signatures", "count", erase(act=b"act"))
    bad("erase: signatures without an act", "count", erase(sigs=sigs))
    bad("erase: signatures out of order", "order", erase(act=b"act", sigs=sigs[::-1]))
    bad("erase: an admin twice", "duplicate", erase(act=b"act", sigs=sigs[:1] * 2))
    bad("erase: signature of 63 bytes", "size", erase(act=b"act", sigs=[[sigs[0][0], bytes(63)]]))
    bad("erase: a byte after", "trailing", erase() + b"\0")
    bad("erase: cut", "truncated", erase()[:-1])


def item_of(plaintext, seq, index, flags=1, name="nonce", feed=FEED):
    """The item, and what its ciphertext is bound to."""
    associated = NETWORK + feed + u64(seq) + u64(index) + AUDIENCE + EPOCH
    fresh = fixed("fresh randomness of " + name)
    nonce = digest("ilea/nonce/v1", associated, plaintext, key=fresh)[:24]
    return encode([flags, AUDIENCE, EPOCH, nonce,
                   encrypt(EPOCH_KEY, nonce, associated, plaintext)]), associated


def item():
    file = File()
    keys = {"network": NETWORK, "agency": AGENCY, "audience_name": "all-peers", "feed": FEED,
            "epoch_key": EPOCH_KEY, "aek_commit": AEK_COMMIT, "reading_secret": READING.secret,
            "wrapped": wrapped_for(READING, "item")}
    body = encode(change_fields([op(2, b"", text_value("Drone detection"))]))
    for name, plaintext, seq, index, flags in (
            ("a change, open", body, 2, 0, 1), ("a change, closed", body, 2, 1, 0),
            ("an empty plaintext", b"", 3, 0, 1), ("the highest index", body, 2**40, 1023, 1),
            ("ciphertext of 255 bytes", bytes(239), 4, 7, 1),
            ("ciphertext of 256 bytes", bytes(240), 4, 8, 1)):
        data, associated = item_of(plaintext, seq, index, flags, name)
        file.good(name, item=data, **keys, seq=seq, index=index, associated=associated,
                  plaintext=plaintext, leaf=rules.leaf_of(index, data), **rules.decode_item(data))
    for name, content, index in (("a statement", opening_bytes(), 0),
                                 ("another statement", epoch_bytes(), 1)):
        data = encode([2, content])
        file.good(name, item=data, index=index, leaf=rules.leaf_of(index, data),
                  **rules.decode_item(data))

    nonce = fixed("nonce", 24)

    def bad(name, expect, fields, error="malformed"):
        data = fields if isinstance(fields, bytes) else encode(fields)
        file.bad(name, expect, error, item=data)

    long = bytes(40)
    bad("flag of a newer version", "newer", [4, AUDIENCE, EPOCH, nonce, long], "unknown")
    bad("flag of a newer version, more fields", "newer", [9, 1, 2, 3, long, 5, 6], "unknown")
    bad("a statement that is open", "range", [3, long])
    bad("a statement with an audience", "count", [2, AUDIENCE, EPOCH, nonce, long])
    bad("a change without an audience", "count", [1, long])
    bad("a field less", "count", [1, AUDIENCE, EPOCH, nonce])
    bad("a field more", "count", [1, AUDIENCE, EPOCH, nonce, long, 0])
    bad("audience of 15 bytes", "size", [1, AUDIENCE[:15], EPOCH, nonce, long])
    bad("epoch of 32 bytes", "size", [1, AUDIENCE, AEK_COMMIT, nonce, long])
    bad("nonce of 23 bytes", "size", [1, AUDIENCE, EPOCH, nonce[:23], long])
    bad("ciphertext shorter than a tag", "size", [1, AUDIENCE, EPOCH, nonce, bytes(15)])
    bad("ciphertext as text", "kind", [1, AUDIENCE, EPOCH, nonce, Text(b"0123456789abcdef")])
    bad("as short as a leaf", "size", [2, bytes(28)])
    bad("a byte after", "trailing", encode([2, long]) + b"\0")
    bad("cut", "truncated", encode([2, long])[:-1])
    bad("flags not shortest", "not_shortest", [Raw(b"\xcc\x02"), long])
    bad("content not shortest", "not_shortest", [2, Raw(b"\xc5\x00\x28" + long)])
    bad("content of 4294967295 bytes", "count", bytes.fromhex("9202c6ffffffff") + bytes(40))
    return file


def make_commit(seq, prev, items, kind=None, edit=None, slots=None, signer=NODE, network=NETWORK):
    """A commit and its header; edit(header fields, commit fields) may break it after signing."""
    leaves = [rules.leaf_of(i, data) for i, data in enumerate(items)]
    fields = [1, 1, FEED, seq, prev, rules.items_root_of(leaves), len(items),
              kind or (1 if seq == 1 else 2), []]
    if edit is not None:
        edit(fields)
    header = encode(fields)
    signature = signer.sign("ilea/commit-sig/v1", network, rules.commit_id_of(header))
    return encode([header, signature, items if slots is None else slots])


def commit():
    file = File()
    body = encode(change_fields([op(2, b"", text_value("Drone detection"))]))
    second = encode(change_fields([op(5, text_value("cbrn"), b"\x01")], run=2,
                                  prev_leaf=rules.leaf_of(0, item_of(body, 2, 0)[0])))
    first_items = [encode([2, opening_bytes()]), encode([2, epoch_bytes()])]
    first = make_commit(1, bytes(32), first_items)
    first_id = rules.commit_id_of(rules.decode_commit(first)["header"])
    data_items = [item_of(body, 2, 0)[0], item_of(second, 2, 1)[0]]
    data = make_commit(2, first_id, data_items)
    leaves = [rules.leaf_of(i, one) for i, one in enumerate(data_items)]
    data_id = rules.commit_id_of(rules.decode_commit(data)["header"])
    many = [encode([2, fixed("statement %d" % i, 40)]) for i in range(20)]
    keys = {"network": NETWORK, "agency": AGENCY, "node": NODE.public, "node_seed": NODE.seed,
            "incarnation": INCARNATION, "scope": SCOPE}

    def good(name, bytes_):
        decoded = rules.decode_commit(bytes_)
        file.good(name, commit=bytes_, **keys, commit_id=rules.commit_id_of(decoded["header"]),
                  header=decoded["header"], **decoded["fields"], leaves=decoded["leaves"],
                  signature=decoded["signature"])

    def bad(name, expect, bytes_, error="malformed"):
        file.bad(name, expect, error, commit=bytes_, network=NETWORK, node=NODE.public)

    good("the first commit of a feed", first)
    good("two changes", data)
    good("two changes, the first withheld", make_commit(2, first_id, data_items,
                                                        slots=[leaves[0], data_items[1]]))
    good("two changes, both withheld", make_commit(2, first_id, data_items, slots=leaves))
    good("20 items", make_commit(3, data_id, many))
    good("a high seq", make_commit(2**53 - 1, data_id, many[:1]))

    def changed(name, expect, index, value, error="malformed", seq=2, prev=first_id):
        def edit(fields):
            fields[index] = value
        bad("header: " + name, expect, make_commit(seq, prev, data_items, edit=edit), error)

    changed("version 2", "newer", 0, 2, "unknown")
    changed("suite 2", "newer", 1, 2, "unknown")
    changed("kind 3", "newer", 7, 3, "unknown")
    changed("critical feature 1", "newer", 8, [1], "unknown")
    changed("17 critical features", "limit", 8, list(range(17)))
    changed("critical feature as text", "kind", 8, [Text(b"x")])
    changed("feed of 16 bytes", "size", 2, FEED[:16])
    changed("seq 0", "range", 3, 0)
    changed("seq 1 of kind data", "range", 3, 1)
    changed("seq 1 of kind data, prev zeros", "range", 3, 1, prev=bytes(32))
    changed("seq 2 of kind open", "range", 7, 1)
    changed("seq 2 with prev zeros", "range", 4, bytes(32))
    changed("seq 1 of kind open with a prev", "range", 4, first_id, seq=1, prev=bytes(32))
    changed("no items", "range", 6, 0)
    changed("1025 items", "range", 6, 1025)
    changed("another root", "hash", 5, fixed("root"), "bad_hash")
    changed("item count 1 for 2 slots", "count", 6, 1)
    changed("item count 3 for 2 slots", "count", 6, 3)
    changed("seq not shortest", "not_shortest", 3, Raw(b"\xcc\x02"))
    bad("header: a field more", "count",
        make_commit(2, first_id, data_items, edit=lambda fields: fields.append(0)))
    bad("header: over 512 bytes", "limit",
        make_commit(2, first_id, data_items, edit=lambda fields: fields.append(bytes(512))))
    bad("an item changed", "hash",
        make_commit(2, first_id, data_items,
                    slots=[data_items[0], data_items[1][:-1] + bytes([data_items[1][-1] ^ 1])]),
        "bad_hash")
    bad("a leaf changed", "hash",
        make_commit(2, first_id, data_items, slots=[fixed("leaf"), data_items[1]]), "bad_hash")
    bad("items swapped", "hash", make_commit(2, first_id, data_items, slots=data_items[::-1]),
        "bad_hash")
    bad("slot of 31 bytes", "size", make_commit(2, first_id, data_items,
                                                slots=[leaves[0][:31], data_items[1]]))
    bad("slot of no bytes", "size",
        make_commit(2, first_id, data_items, slots=[b"", data_items[1]]))
    bad("a slot less", "count", make_commit(2, first_id, data_items, slots=data_items[:1]))
    bad("no slots", "count", make_commit(2, first_id, data_items, slots=[]))
    bad("a slot as text", "kind", make_commit(2, first_id, data_items,
                                              slots=[Text(b"a" * 40), data_items[1]]))
    bad("a byte after", "trailing", data + b"\0")
    bad("cut", "truncated", data[:-1])
    bad("65535 slots announced", "count", make_commit(2, first_id, data_items,
                                                      slots=Raw(bytes.fromhex("dcffff"))))
    decoded = rules.decode_commit(data)
    bad("signature of 63 bytes", "size",
        encode([decoded["header"], decoded["signature"][:63], decoded["slots"]]))
    bad("one bit of the signature changed", "signature",
        encode([decoded["header"], bytes([decoded["signature"][0] ^ 1]) + decoded["signature"][1:],
                decoded["slots"]]), "bad_signature")
    bad("signed by another key", "signature",
        make_commit(2, first_id, data_items, signer=ROOT_A), "bad_signature")
    bad("signed for another network", "signature",
        make_commit(2, first_id, data_items, network=fixed("network")), "bad_signature")
    return file


def make_card(chain, endpoint=b"tcp://node.example.fr:4717", lobby=b"", made_ms=1735689600000,
              version=2, signer=NODE, network=NETWORK, more=()):
    start = bytes([0x96 + len(more)]) + b"".join(
        encode(part) for part in (version, chain, Text(endpoint), Text(lobby), made_ms))
    signature = signer.sign("ilea/card/v1", network, digest("ilea/card/v1", start))
    return start + encode(signature) + b"".join(encode(part) for part in more)


def revoking(before, **replaced):
    """The node key is revoked and another takes its place; two of its feeds end, the others are void."""
    fields = {"node": NODE_2, "admins": publics(ADMINS), "revoked": [NODE.public],
              "positions": sorted([position("a", 12), position("b", 2**40)])}
    fields.update(replaced)
    return next_manifest(before, **fields)


def with_next_roots(before, **replaced):
    """The roots that the first manifest committed to, and a new commitment."""
    fields = {"roots": NEXT_ROOTS, "next_roots": rules.roots_hash_of(2, publics(LATER_ROOTS))}
    fields.update(replaced)
    return next_manifest(before, **fields)


def manifest():
    file = File()
    next_roots = [fixed("next root %d" % i) for i in range(3)]
    for threshold, roots in ((1, next_roots[:1]), (2, next_roots), (3, next_roots[::-1])):
        file.good("roots: %d of %d" % (threshold, len(roots)), check="roots", threshold=threshold,
                  roots=roots, hash=rules.roots_hash_of(threshold, roots))
    good_manifests(file)
    bad_manifests(file)
    successions(file)
    endpoints(file)
    cards(file)
    return file


def good_manifests(file):
    def good(name, signed, node=NODE, roots=None):
        data = encode(signed)
        decoded = rules.decode_manifest(data)
        more = {} if roots is None else {"node_seed": node.seed,
                                         "root_seeds": [root.seed for root in roots]}
        file.good(name, check="manifest", signed=data, **decoded,
                  fingerprint=rules.fingerprint_of(decoded["agency"]), **more)

    good("2 of 3, all sign", SIGNED, roots=ROOTS)
    good("2 of 3, two sign", signed_manifest(signers=(0, 2))[0])
    good("1 of 1", signed_manifest((0,), ROOTS[:1], threshold=1)[0])
    good("two admins", signed_manifest(admins=publics(ADMINS))[0], roots=ROOTS)
    good("a second manifest with another node key", next_manifest(SIGNED, node=NODE_2), NODE_2, ROOTS)
    good("a second manifest that revokes the node key", revoking(SIGNED), NODE_2, ROOTS)
    good("a second manifest with the next roots", with_next_roots(SIGNED), roots=NEXT_ROOTS)
    good("a second manifest that ends a feed of a key in use",
         next_manifest(SIGNED, positions=[position("a", 1)]), roots=ROOTS)
    good("an index that needs 8 bytes", next_manifest(SIGNED, index=2**53 - 1), roots=ROOTS)


def bad_manifests(file):
    def bad(name, expect, signed, error="malformed"):
        data = signed if isinstance(signed, bytes) else encode(signed)
        file.bad(name, expect, error, check="manifest", signed=data)

    def changed(name, expect, error="malformed", /, **replaced):
        bad(name, expect, signed_manifest(**replaced)[0], error)

    def changed_next(name, expect, error="malformed", /, **replaced):
        bad("second: " + name, expect, revoking(SIGNED, **replaced), error)

    changed("version 1", "newer", "unknown", version=1)
    changed("version 3", "newer", "unknown", version=3)
    changed("index 1 without an agency", "range", index=1)
    changed("prev not zeros", "range", prev=fixed("prev"))
    changed("agency not zeros", "range", agency=AGENCY)
    changed("a key revoked by the first", "range", revoked=[NODE_2.public])
    changed("a position in the first", "range", positions=[position("a", 1)])
    for name, code in (("lower case", b"fr-pn"), ("one letter", b"F"), ("a digit first", b"1FR"),
                       ("a dash first", b"-FR"), ("a dash last", b"FR-"), ("a blank", b"FR PN"),
                       ("17 letters", b"F" * 17), ("empty", b"")):
        changed("code: " + name, "text", code=Text(code))
    for name, country in (("lower case", b"fr"), ("one letter", b"F"), ("4 letters", b"FRAN"),
                          ("a digit", b"F1")):
        changed("country: " + name, "text", country=Text(country))
    for name, text in (("empty", b""), ("a line feed", b"a\nb"), ("a tab", b"a\tb"),
                       ("201 bytes", b"a" * 201), ("not UTF-8", b"a\xff"),
                       ("an escape", b"a\x1b[1m")):
        changed("name: " + name, "text", name=Text(text))
    many = sorted(fixed("key %d" % i) for i in range(17))
    a, b = sorted([position("a", 1), position("b", 2)])
    changed("threshold 0", "range", threshold=0)
    changed("threshold 4 of 3", "range", threshold=4)
    bad("no roots", "range", signed_manifest((), [])[0])
    bad("roots out of order", "order", signed_manifest(roots=ROOTS[::-1])[0])
    bad("a root twice", "duplicate", signed_manifest((0, 1), [ROOTS[0]] * 2)[0])
    bad("the node key is a root", "duplicate", signed_manifest(node=ROOTS[1])[0])
    bad("the next roots are the roots", "duplicate",
        signed_manifest(next_roots=rules.roots_hash_of(2, publics(ROOTS)))[0])
    changed("next roots of 31 bytes", "size", next_roots=bytes(31))
    changed("a transport key of small order", "key", "bad_signature", transport=bytes(32))
    changed("transport key is the reading key", "key", "bad_signature", transport=READING.public)
    changed("another reading key than the node key vouches for", "possession", "bad_signature",
            reading=OTHER.public)
    changed("another proof of possession", "possession", "bad_signature", pop=bytes(64))
    changed("proof of possession from another network", "possession", "bad_signature",
            network=fixed("network"))
    changed("admins out of order", "order", admins=publics(ADMINS)[::-1])
    changed("an admin twice", "duplicate", admins=[ADMINS[0].public] * 2)
    changed("an admin is the node", "duplicate", admins=[NODE.public])
    changed("an admin is a root", "duplicate", admins=[ROOTS[2].public])
    changed("an admin that is no good key", "key", "bad_signature", admins=[bytes(32)])
    changed("17 admins", "limit", admins=many)
    changed("an admin of 31 bytes", "size", admins=[bytes(31)])
    changed_next("agency zeros", "range", agency=bytes(32))
    changed_next("prev zeros", "range", prev=bytes(32))
    changed_next("index 0", "range", index=0)
    changed_next("revoked keys out of order", "order", revoked=many[:2][::-1])
    changed_next("a revoked key twice", "duplicate", revoked=[NODE.public] * 2)
    changed_next("its own key revoked", "duplicate", revoked=[NODE_2.public])
    changed_next("17 revoked keys", "limit", revoked=many)
    changed_next("positions out of order", "order", positions=[b, a])
    changed_next("a feed twice", "duplicate", positions=[a, a])
    changed_next("a feed at two positions", "duplicate", positions=[a, [a[0], 9, a[2]]])
    changed_next("position at seq 0", "range", positions=[[a[0], 0, a[2]]])
    changed_next("position of 2 fields", "count", positions=[a[:2]])
    changed_next("4294967295 positions", "count", positions=Raw(b"\xdd\xff\xff\xff\xff"))
    bad("a root that is no good key", "key", bad_root_manifest(), "bad_signature")
    bad("a field more", "count", signed_manifest(more=(0,))[0])
    bad("one signature of two", "signature", signed_manifest(signers=(1,))[0], "bad_signature")
    bad("no signature", "signature", signed_manifest(signers=())[0], "bad_signature")
    bad("one signature twice", "duplicate", signed_manifest(signers=(1, 1))[0], "bad_signature")
    bad("signatures out of order", "order", signed_manifest(signers=(2, 1))[0], "bad_signature")
    bad_signed_lists(bad)


def bad_root_manifest():
    """Its first root is the neutral element: a point, and nobody's key."""
    neutral = Signer("nobody")
    neutral.public = b"\x01" + bytes(31)
    return signed_manifest((1, 2), [neutral] + ROOTS[:2])[0]


def bad_signed_lists(bad):
    two = signed_manifest(signers=(0, 1))[0]
    bad("a signature under another's index", "signature",
        [two[0], [[0, two[1][0][1]], [2, two[1][1][1]]]], "bad_signature")
    bad("a third signature that is wrong", "signature",
        [two[0], two[1] + [[2, two[1][0][1]]]], "bad_signature")
    bad("a signature of no root", "signature", [two[0], two[1] + [[3, two[1][0][1]]]],
        "bad_signature")
    bad("the name changed after signing", "signature",
        [two[0].replace(b"innovation", b"Innovation"), two[1]], "bad_signature")
    bad("signed by the next roots alone", "signature",
        [with_next_roots(SIGNED)[0], next_manifest(SIGNED)[1]], "bad_signature")
    bad("a byte after the manifest", "trailing", [two[0] + b"\0", two[1]])
    bad("a byte after the signatures", "trailing", encode(two) + b"\0")
    bad("4294967295 roots", "count", [two[0].replace(
        b"\x02\x93\xc4\x20", b"\x02\xdd\xff\xff\xff\xff"), two[1]])


def successions(file):
    def pair(name, before, after):
        decoded = [rules.decode_manifest(encode(one)) for one in (before, after)]
        file.good("succession: " + name, check="succession", before=encode(before),
                  after=encode(after), succession=rules.succession_of(*decoded))

    later = rules.roots_hash_of(2, publics(LATER_ROOTS))
    ordinary, recovery = revoking(SIGNED), with_next_roots(SIGNED)
    pair("nothing changed", SIGNED, next_manifest(SIGNED))
    pair("the node key revoked", SIGNED, ordinary)
    pair("another name and country", SIGNED,
         next_manifest(SIGNED, name=Text(b"Another"), country=Text(b"EU")))
    pair("the next roots", SIGNED, recovery)
    pair("the next roots, two levels on", recovery, with_next_roots(
        recovery, roots=LATER_ROOTS, signers=(0, 1),
        next_roots=rules.roots_hash_of(2, publics(ROOTS))))
    pair("nothing changed after the next roots", recovery,
         with_next_roots(recovery))
    pair("the same one", SIGNED, SIGNED)
    pair("the other way round", ordinary, SIGNED)
    pair("an index left out", SIGNED, next_manifest(SIGNED, index=2))
    pair("after another manifest", SIGNED, next_manifest(SIGNED, prev=fixed("prev")))
    pair("after another of the same index", ordinary, next_manifest(recovery))
    pair("of another agency", SIGNED, next_manifest(SIGNED, agency=fixed("agency")))
    pair("another code", SIGNED, next_manifest(SIGNED, code=Text(b"FR-PX")))
    pair("other roots than were committed to", SIGNED, next_manifest(
        SIGNED, roots=LATER_ROOTS, signers=(0, 1)))
    pair("the next roots with another threshold", SIGNED,
         with_next_roots(SIGNED, threshold=3))
    pair("some of the next roots", SIGNED, with_next_roots(SIGNED, roots=NEXT_ROOTS[:2],
                                                           signers=(0, 1)))
    pair("the same roots with another threshold", SIGNED, next_manifest(SIGNED, threshold=3))
    pair("the same roots with other next roots", SIGNED, next_manifest(SIGNED, next_roots=later))


def endpoints(file):
    for endpoint in (b"", b"tcp://a:1", b"tcp://[2001:db8::1]:65535",
                     b"tcp://node.example.fr:4717"):
        file.good("endpoint %s" % endpoint.decode(), check="endpoint", endpoint=endpoint)
    for endpoint in (b"tcp://", b"tcp://a", b"tcp://a:", b"tcp://:1", b"tcp://a:0",
                     b"tcp://a:65536", b"tcp://a:100000", b"tcp://a:1x", b"tcp://a b:1",
                     b"TCP://a:1", b"udp://a:1", b"tcp://a:-1", b"tcp://a/:1", b"tcp://" + b"a" * 193 + b":1", b"a:1",
                     b"ipc://x:1", "tcp://é:1".encode(), b"tcp://a:1\n"):
        file.bad("endpoint %s" % endpoint.decode().strip(), "text", check="endpoint",
                 endpoint=endpoint)


def cards(file):
    signed, second = encode(SIGNED), revoking(SIGNED)
    third = encode(with_next_roots(second, node=NODE_2))
    second = encode(second)

    def card(name, data, node=NODE):
        decoded = rules.decode_card(data)
        del decoded["manifest"]
        file.good(name, check="card", card=data, network=NETWORK, node_seed=node.seed,
                  text=rules.card_text(data), **decoded)

    def bad_card(name, expect, data, error="malformed"):
        file.bad(name, expect, error, check="card", card=data)

    plain = make_card([signed])
    card("card", plain)
    card("card that cannot be dialled", make_card([signed], b""))
    card("card with a lobby", make_card([signed], lobby=b"tcp://node.example.fr:4718"))
    card("card with a lobby alone", make_card([signed], b"", b"tcp://[2001:db8::1]:65535"))
    card("card of two manifests", make_card([signed, second], signer=NODE_2), NODE_2)
    card("card of three manifests", make_card([signed, second, third], signer=NODE_2), NODE_2)
    bad_card("card: version 1", "newer", make_card([signed], version=1), "unknown")
    bad_card("card: version 3", "newer", make_card([signed], version=3), "unknown")
    bad_card("card: a field more", "count", make_card([signed], more=(0,)))
    bad_card("card: endpoint", "text", make_card([signed], b"http://a:1"))
    bad_card("card: lobby", "text", make_card([signed], lobby=b"http://a:1"))
    bad_card("card: no manifest", "range", make_card([]))
    bad_card("card: 257 manifests", "limit", make_card([b"\0"] * 257))
    bad_card("card: not from index 0", "range", make_card([second], signer=NODE_2))
    bad_card("card: a manifest left out", "order", make_card([signed, third], signer=NODE_2))
    bad_card("card: a manifest twice", "duplicate", make_card([signed, signed]))
    bad_card("card: the wrong way round", "order", make_card([second, signed]))
    bad_card("card: two manifests of one index", "order",
             make_card([signed, second, encode(with_next_roots(SIGNED))]))
    bad_card("card: signed by an earlier node key", "signature",
             make_card([signed, second], signer=NODE), "bad_signature")
    bad_card("card: signed by a root", "signature", make_card([signed], signer=ROOTS[0]),
             "bad_signature")
    bad_card("card: signed for another network", "signature",
             make_card([signed], network=fixed("network")), "bad_signature")
    bad_card("card: another endpoint than was signed", "signature",
             plain.replace(b"node.example", b"evil.example"), "bad_signature")
    bad_card("card: another time than was signed", "signature",
             plain.replace(encode(1735689600000), encode(1735689600001)), "bad_signature")
    bad_card("card: a byte after", "trailing", plain + b"\0")
    bad_card("card: not a manifest", "truncated", make_card([b""]))
    card_texts(file, plain)


def card_texts(file, plain):
    text = rules.card_text(plain)

    def good_text(name, data):
        file.good("text: " + name, check="text", text=data, card=plain)

    def bad_text(name, expect, data, error="malformed"):
        file.bad("text: " + name, expect, error, check="text", text=data)

    good_text("as written", text)
    good_text("CR LF", text.replace(b"\n", b"\r\n"))
    good_text("blanks at the ends of lines", text.replace(b"\n", b" \t\n"))
    good_text("blanks and CR LF", text.replace(b"\n", b"  \r\n"))
    good_text("no line feed at the end", text[:-1])
    good_text("empty lines at the end", text + b"\n \r\n\n")
    bad_text("another code in the heading", "heading", text.replace(b"FR-PN", b"FR-PQ"))
    bad_text("another name in the heading", "heading", text.replace(b"innovation", b"Innovation"))
    bad_text("another fingerprint in the heading", "heading",
             text.replace(b"Fingerprint: ", b"Fingerprint: 00000 "))
    bad_text("another endpoint in the heading", "heading", text.replace(b":4717\n", b":4718\n"))
    bad_text("another lobby in the heading", "heading", text.replace(b"none\n", b"tcp://a:1\n"))
    bad_text("no lobby in the heading", "heading", text.replace(b"Lobby:       none\n", b""))
    bad_text("a blank before a line", "heading", text.replace(b"\nAgency", b"\n Agency"))
    bad_text("a text before", "heading", b"Dear colleague,\n" + text)
    bad_text("a text after", "heading", text + b"Regards\n")
    bad_text("NUL after", "heading", text + b"\0")
    bad_text("no end line", "truncated", text[:text.index(b"-----END")])
    bad_text("a line of base64 missing", "heading", b"\n".join(
        line for i, line in enumerate(text.split(b"\n")) if i != 7))
    bad_text("a letter of base64 changed", "hash",
             text.replace(text.split(b"\n")[10], text.split(b"\n")[10][:-1] + b"!"))
    bad_text("lines of another length", "heading",
             text.replace(text.split(b"\n")[7], text.split(b"\n")[7][:40] + b"\n"
                          + text.split(b"\n")[7][40:]))
    bad_text("nothing", "truncated", b"")


def make_fork(one, other, **replaced):
    """A proof of two commits, in this order."""
    one, other = (rules.decode_commit(data) for data in (one, other))
    fields = {"version": 1, "agency": AGENCY, "node": NODE.public, "incarnation": INCARNATION,
              "scope": SCOPE, "audience": b"", "header_a": one["header"], "signature_a": one["signature"],
              "header_b": other["header"], "signature_b": other["signature"]}
    assert set(replaced) <= {*fields, "more"}
    more = replaced.pop("more", ())
    fields.update(replaced)
    return encode([*fields.values(), *more])


def fork():
    file = File()
    prev, other_prev = fixed("commit before"), fixed("another commit before")

    def commits(seq, *prevs, **options):
        """Two commits of one feed and seq, in the order of their ids."""
        made = [make_commit(seq, prevs[i], [encode([2, fixed("statement %d" % i, 40)])], **options)
                for i in range(2)]
        return sorted(made, key=lambda data: rules.commit_id_of(rules.decode_commit(data)["header"]))

    def good(name, pair):
        proof = make_fork(*pair)
        file.good(name, proof=proof, network=NETWORK, commits=pair,
                  **rules.decode_fork(proof, NETWORK))

    def bad(name, expect, proof, error="malformed", network=NETWORK):
        file.bad(name, expect, error, proof=proof, network=network)

    pair = commits(7, prev, prev)
    good("two commits after one", pair)
    good("two commits after two", commits(7, prev, other_prev))
    good("two openings", commits(1, bytes(32), bytes(32)))
    good("a high seq", commits(2**53 - 1, prev, prev))

    def changed(name, expect, error="malformed", /, **replaced):
        bad(name, expect, make_fork(*pair, **replaced), error)

    changed("version 2", "newer", "unknown", version=2)
    changed("version 0", "newer", "unknown", version=0)
    changed("a field more", "count", more=(0,))
    changed("scope 0", "range", scope=0)
    changed("scope 5", "range", scope=5)
    changed("of an audience that is not named", "size", scope=3)
    changed("of no audience, and one named", "size", audience=bytes(16))
    changed("of an audience of 15 bytes", "size", scope=3, audience=bytes(15))
    changed("of another feed, an audience's", "hash", "bad_hash", scope=3, audience=CLOSED)
    changed("agency of 31 bytes", "size", agency=bytes(31))
    changed("incarnation of 17 bytes", "size", incarnation=bytes(17))
    changed("signature of 63 bytes", "size", signature_b=bytes(63))
    changed("a header of 513 bytes", "limit", header_b=bytes(513))
    changed("a header that is none", "truncated", header_a=b"")
    changed("another agency", "hash", "bad_hash", agency=fixed("agency"))
    changed("another node key", "hash", "bad_hash", node=NODE_2.public)
    changed("another scope", "hash", "bad_hash", scope=1)
    changed("another incarnation", "hash", "bad_hash", incarnation=fixed("other", 16))
    changed("the first signature twice", "signature", "bad_signature",
            signature_b=rules.decode_commit(pair[0])["signature"])
    changed("the second signature twice", "signature", "bad_signature",
            signature_a=rules.decode_commit(pair[1])["signature"])
    bad("the wrong way round", "order", make_fork(*pair[::-1]))
    bad("one commit twice", "duplicate", make_fork(pair[0], pair[0]))
    bad("two seqs", "range", make_fork(*sorted(
        [pair[0], commits(8, prev, prev)[0]],
        key=lambda data: rules.commit_id_of(rules.decode_commit(data)["header"]))))

    def of_another_feed(fields):
        fields[2] = fixed("feed")

    foreign = make_commit(7, prev, [encode([2, bytes(40)])], edit=of_another_feed)
    bad("a header of another feed", "hash", make_fork(*sorted(
        [pair[0], foreign],
        key=lambda data: rules.commit_id_of(rules.decode_commit(data)["header"]))), "bad_hash")
    bad("signed by another key", "signature", make_fork(*commits(7, prev, prev, signer=NODE_2)),
        "bad_signature")
    bad("signed for another network", "signature",
        make_fork(*commits(7, prev, prev, network=fixed("network"))), "bad_signature")
    bad("read in another network", "hash", make_fork(*pair), "bad_hash", fixed("network"))

    changed("a header of a newer version", "newer", "unknown", header_b=encode([2] + [0] * 8))
    bad("a byte after", "trailing", make_fork(*pair) + b"\0")
    bad("cut", "truncated", make_fork(*pair)[:-1])
    bad("over 2048 bytes", "limit", make_fork(*pair, more=(bytes(2048),)), "limit")
    return file


def make_receipt(body, signer=None, prefix=None, network=None, more=(), **replaced):
    """The receipt, and what is sealed in it."""
    fields = {"version": 1, "holder": fixed("agency"), "author": AGENCY, "counter": 1735689600000}
    receipt = {**fields, **{key: value for key, value in replaced.items() if key in fields}}
    try:
        opened = rules.receipt_prefix(NETWORK, receipt) if prefix is None else prefix
    except TypeError:
        opened = b""
    opened += body
    fields.update(sealed=seal(READING.public, opened, "receipt"))
    fields.update(replaced)
    head = encode([*fields.values(), b"", *more])
    head = head[:-2 - sum(len(encode(part)) for part in more)]
    signature = (signer or NODE).sign("ilea/receipt-sig/v1", network or NETWORK, digest("ilea/receipt/v1", head))
    return encode([*fields.values(), signature, *more]), opened


def receipt():
    file = File()
    other, last = fixed("another feed"), fixed("the last feed")
    feeds = sorted([FEED, other, last])
    full = [[[feeds[0], 7, 7], [feeds[1], 1, 0], [feeds[2], 2**40, 5]],
            [[b"", 12, fixed("sum")], [fixed("audience", 16), 1, fixed("other sum")]],
            [[feeds[0][:16], 3, 0, 1], [feeds[0][:16], 3, 2, 3], [feeds[1][:16], 1, 0, 2]],
            [[feeds[1], 300, b""], [feeds[2], 2, fixed("audience", 16)]]]
    empty = [[], [], [], []]

    def good(name, body, **options):
        data, opened = make_receipt(encode(body), **options)
        file.good(name, check="receipt", receipt=data, network=NETWORK, node=NODE.public, node_seed=NODE.seed,
                  reading_secret=READING.secret, reading=READING.public, opened=opened, body=encode(body),
                  **rules.decode_receipt(data))

    def bad(name, expect, error="malformed", /, data=None, **options):
        data = make_receipt(encode(empty), **options)[0] if data is None else data
        file.bad(name, expect, error, check="receipt", receipt=data, network=NETWORK, node=NODE.public)

    good("of an agency that holds nothing", empty)
    good("with all parts", full)
    good("counter 0", empty, counter=0)
    good("a high counter", empty, counter=2**53 - 1)
    bad("version 2", "newer", "unknown", version=2)
    bad("version 0", "newer", "unknown", version=0)
    bad("a field more", "count", more=(0,))
    bad("holder of 31 bytes", "size", holder=bytes(31))
    bad("an agency about itself", "duplicate", holder=AGENCY)
    bad("another node key", "signature", "bad_signature", signer=NODE_2)
    bad("another network", "signature", "bad_signature", network=fixed("network"))
    whole = make_receipt(encode(empty))[0]
    bad("a byte after", "trailing", data=whole + b"\0")
    bad("cut", "truncated", data=whole[:-1])
    bad("over 65536 bytes", "limit", "limit", sealed=bytes(65536))

    def body(name, value):
        file.good(name, check="body", body=encode(value), **rules.decode_receipt_body(encode(value)))

    def bad_body(name, expect, part, rows, data=None):
        value = list(empty)
        value[part] = rows
        file.bad(name, expect, "malformed", check="body", body=encode(value) if data is None else data)

    body("nothing held", empty)
    body("all parts", full)
    bad_body("five parts", "count", 0, [], encode(empty + [[]]))
    bad_body("feeds that descend", "order", 0, [[feeds[1], 1, 1], [feeds[0], 1, 1]])
    bad_body("a feed twice", "duplicate", 0, [[feeds[0], 1, 1], [feeds[0], 2, 1]])
    bad_body("a feed of which nothing is held", "range", 0, [[FEED, 0, 0]])
    bad_body("more seen than held", "range", 0, [[FEED, 2, 3]])
    bad_body("961 feeds", "limit", 0, [[i.to_bytes(32, "big"), 1, 1] for i in range(961)])
    bad_body("an audience of 15 bytes", "size", 1, [[bytes(15), 1, bytes(32)]])
    bad_body("an audience twice", "duplicate", 1, [[b"", 1, bytes(32)], [b"", 1, bytes(32)]])
    bad_body("an empty archive", "range", 1, [[b"", 0, bytes(32)]])
    bad_body("items that descend", "order", 2, [[bytes(16), 2, 0, 1], [bytes(16), 1, 0, 1]])
    bad_body("an item twice", "duplicate", 2, [[bytes(16), 2, 0, 1], [bytes(16), 2, 0, 2]])
    bad_body("no reason", "range", 2, [[bytes(16), 2, 0, 0]])
    bad_body("reason 5", "range", 2, [[bytes(16), 2, 0, 5]])
    bad_body("257 items", "limit", 2, [[bytes(16), i + 1, 0, 1] for i in range(257)])
    bad_body("own feeds that descend", "order", 3, [[feeds[1], 1, b""], [feeds[0], 1, b""]])
    bad_body("an own feed without commits", "range", 3, [[FEED, 0, b""]])
    bad_body("an own feed of an audience of 15 bytes", "size", 3, [[FEED, 1, bytes(15)]])
    bad_body("an own feed without its audience", "count", 3, [[FEED, 1]])
    bad_body("65 own feeds", "limit", 3, [[i.to_bytes(32, "big"), 1, b""] for i in range(65)])
    bad_body("a byte after", "trailing", 0, [], encode(empty) + b"\0")

    forms = {"ask": rules.decode_receipt_ask, "give": rules.decode_receipt_give}

    def frame(form, name, value):
        file.good(name, check=form, **{form: encode(value)}, **forms[form](encode(value)))

    def bad_frame(form, name, expect, value, data=None):
        file.bad(name, expect, "malformed", check=form, **{form: encode(value) if data is None else data})

    database, stamp = fixed("database", 16), 1735689600001
    frame("ask", "an ask from the beginning", [1, b"", 0])
    frame("ask", "an ask after a stamp", [1, database, stamp])
    bad_frame("ask", "an ask with a database of 15 bytes", "size", [1, database[1:], stamp])
    bad_frame("ask", "an ask of another form", "range", [2, database, stamp])
    bad_frame("ask", "an ask with a field more", "count", [1, database, stamp, 0])
    bad_frame("ask", "an ask and a byte after", "trailing", None, encode([1, database, stamp]) + b"\0")
    frame("give", "receipts given", [2, database, stamp, 0, [whole, b"", b"x"]])
    frame("give", "none given, and more to come", [2, database, stamp, 1, []])
    bad_frame("give", "given with stamp 0", "range", [2, database, 0, 0, [whole]])
    bad_frame("give", "given without a database", "size", [2, b"", stamp, 0, [whole]])
    bad_frame("give", "more of 2", "range", [2, database, stamp, 2, [whole]])
    bad_frame("give", "1025 given", "limit", [2, database, stamp, 0, [b""] * 1025])
    bad_frame("give", "given and cut", "truncated", None, encode([2, database, stamp, 0, [whole]])[:-1])
    return file


def make_act(kind=b"peer.approve", subject=None, pairs=(), more=(), **replaced):
    fields = {"version": 1, "agency": AGENCY, "nonce": fixed("act nonce", 16),
              "made_ms": 1735689600000, "kind": Text(kind),
              "subject": fixed("agency") if subject is None else subject,
              "pairs": [[Text(key), Text(value)] for key, value in pairs]}
    fields.update(replaced)
    return encode([*fields.values(), *more])


def make_entry(act, seq=1, prev=bytes(32), signatures=(), signer=NODE, network=NETWORK, more=(),
               version=1):
    start = bytes([0x97 + len(more)]) + b"".join(
        encode(part) for part in (version, seq, prev, 1735689600123, act, list(signatures)))
    signature = signer.sign("ilea/audit-sig/v1", network, digest("ilea/audit/v1", start))
    return start + encode(signature) + b"".join(encode(part) for part in more)


def act():
    file = File()
    acts(file)
    entries(file)
    return file


GRANT = ((b"areas", b""), (b"scopes", b"connect follow relay"), (b"tlp-max", b"amber"))


def acts(file):
    def good(name, data):
        decoded = rules.decode_act(data)
        file.good(name, check="act", act=data, **decoded, network=NETWORK, admin_seed=ADMINS[0].seed,
                  signature=ADMINS[0].sign("ilea/admin-sig/v1", NETWORK, decoded["hash"]))

    def bad(name, expect, data, error="malformed"):
        file.bad("act: " + name, expect, error, check="act", act=data)

    good("approval", make_act(pairs=GRANT))
    good("no subject, no pairs", make_act(b"policy.set", b""))
    good("32 pairs", make_act(pairs=[(b"k" * (i + 1), b"v") for i in range(32)]))
    good("a value of 1000 bytes", make_act(b"z" * 32, pairs=[(b"note", b"x" * 1000)]))
    good("text of several lines", make_act(pairs=[(b"note", "Zürich\n\t東京".encode())]))
    bad("version 2", "newer", make_act(version=2), "unknown")
    bad("a field more", "count", make_act(more=(0,)))
    bad("agency of 31 bytes", "size", make_act(agency=bytes(31)))
    bad("nonce of 15 bytes", "size", make_act(nonce=bytes(15)))
    bad("subject of 31 bytes", "size", make_act(subject=bytes(31)))
    bad("subject of 33 bytes", "size", make_act(subject=bytes(33)))
    for name, word in (("empty", b""), ("33 bytes", b"a" * 33), ("a capital", b"Peer"),
                       ("a digit", b"peer2"), ("a blank", b"peer add"), ("a line feed", b"peer\n")):
        bad("kind: " + name, "text", make_act(word))
        bad("key: " + name, "text", make_act(pairs=[(word, b"v")]))
    bad("a value of 1001 bytes", "limit", make_act(pairs=[(b"note", b"x" * 1001)]))
    bad("a value with a control character", "control", make_act(pairs=[(b"note", b"\x1b[1m")]))
    bad("a value as bin", "kind", make_act_of([[Text(b"note"), b"x"]]))
    bad("a pair of 3", "count", make_act_of([[Text(b"note"), Text(b"x"), 0]]))
    bad("33 pairs", "limit", make_act(pairs=[(b"k" * (i % 32 + 1), b"") for i in range(33)]))
    bad("keys out of order", "order", make_act(pairs=[(b"b", b""), (b"a", b"")]))
    bad("a key twice", "duplicate", make_act(pairs=[(b"a", b"1"), (b"a", b"2")]))
    bad("over 16384 bytes", "limit",
        make_act(pairs=[(b"k" * (i + 1), b"x" * 1000) for i in range(17)]), "limit")
    bad("a byte after", "trailing", make_act() + b"\0")
    bad("cut", "truncated", make_act()[:-1])


def make_release(items, version=1, scope=2, audience=bytes(16), more=()):
    return encode([version, scope, audience, items, *more])


def release():
    file = File()
    one, other = sorted([fixed("record", 16), fixed("another record", 16)])
    put = encode([1, 2, 0, b"", 2, one, [[2, 1, b"", text_value("Another title")]]])
    draft, update = [5, other, 2, fixed("base"), b""], [2, one, 1, fixed("another base"), put]

    def good(name, data):
        file.good(name, check="release", release=data, **rules.decode_release(data))

    def bad(name, expect, data, error="malformed"):
        file.bad(name, expect, error, check="release", release=data)

    def bad_item(name, expect, place, value):
        item = list(draft)
        item[place] = value
        bad(name, expect, make_release([item]))

    good("a draft", make_release([draft]))
    good("an update and a draft", make_release([update, draft]))
    good("two types of one record id", make_release([[2, *draft[1:]], draft]))
    good("20 drafts", make_release([[2**32 - 1, bytes([i]) * 16, 5, fixed("base"), b""] for i in range(20)]))
    bad("version 2", "newer", make_release([draft], 2), "unknown")
    bad("a field more", "count", make_release([draft], more=(0,)))
    bad("scope 1", "range", make_release([draft], scope=1))
    good("in a closed audience", make_release([update, draft], scope=3, audience=fixed("audience", 16)))
    bad("scope 4", "range", make_release([draft], scope=4))
    bad("an audience, for all peers", "range", make_release([draft], audience=fixed("audience", 16)))
    bad("an audience of 15 bytes", "size", make_release([draft], audience=bytes(15)))
    bad("no record", "range", make_release([]))
    bad("records that descend", "order", make_release([draft, update]))
    bad("a record twice", "duplicate", make_release([draft, draft]))
    bad("types that descend", "order", make_release([draft, [2, *draft[1:]]]))
    bad("an item of 4", "count", make_release([draft[:4]]))
    bad_item("type 0", "range", 0, 0)
    bad_item("type of 33 bits", "range", 0, 2**32)
    bad_item("record of 15 bytes", "size", 1, bytes(15))
    bad_item("label 0", "range", 2, 0)
    bad_item("label 6", "range", 2, 6)
    bad_item("base of 31 bytes", "size", 3, bytes(31))
    bad("a byte after", "trailing", make_release([draft]) + b"\0")
    bad("cut", "truncated", make_release([draft])[:-1])
    for name, scope, state in (("a draft's base", 1, encode([1, 1, [], [], []])), ("of what is shared", 2, b"")):
        file.good(name, check="base", scope=scope, state=state,
                  base=digest("ilea/release-base/v1", rules.u64(scope), state))
    return file


def make_act_of(pairs):
    """An act whose pairs are encoded as they come."""
    return make_act()[:-1] + encode(pairs)


def entries(file):
    act_bytes = make_act(pairs=GRANT)
    act_hash = rules.decode_act(act_bytes)["hash"]
    signatures = [[admin.public, admin.sign("ilea/admin-sig/v1", NETWORK, act_hash)]
                  for admin in ADMINS]
    prev = fixed("entry before")

    def good(name, data):
        file.good(name, check="entry", entry=data, **rules.decode_entry(data), network=NETWORK,
                  node=NODE.public, node_seed=NODE.seed)

    def bad(name, expect, data, error="malformed"):
        file.bad("entry: " + name, expect, error, check="entry", entry=data, network=NETWORK,
                 node=NODE.public)

    good("the first entry", make_entry(make_act(b"agency.init", b"")))
    good("a later entry, two admins", make_entry(act_bytes, 7, prev, signatures))
    good("a high seq", make_entry(act_bytes, 2**53 - 1, prev, signatures[:1]))
    bad("version 2", "newer", make_entry(act_bytes, version=2), "unknown")
    bad("a field more", "count", make_entry(act_bytes, more=(0,)))
    bad("seq 0", "range", make_entry(act_bytes, 0))
    bad("seq 1 with a prev", "range", make_entry(act_bytes, 1, prev))
    bad("seq 2 without a prev", "range", make_entry(act_bytes, 2))
    bad("prev of 31 bytes", "size", make_entry(act_bytes, 2, prev[:31]))
    bad("no act", "truncated", make_entry(b""))
    bad("an act of a newer version", "newer", make_entry(make_act(version=2)), "unknown")
    bad("an act that is none", "text", make_entry(make_act(b"Peer")))
    bad("admins out of order", "order", make_entry(act_bytes, 7, prev, signatures[::-1]))
    bad("an admin twice", "duplicate", make_entry(act_bytes, 7, prev, [signatures[0]] * 2))
    bad("17 signatures", "limit", make_entry(act_bytes, 7, prev, [
        [key, bytes(64)] for key in sorted(fixed("key %d" % i) for i in range(17))]))
    bad("a signature of 63 bytes", "size",
        make_entry(act_bytes, 7, prev, [[signatures[0][0], bytes(63)]]))
    bad("signed by another key", "signature", make_entry(act_bytes, signer=NODE_2), "bad_signature")
    bad("signed for another network", "signature",
        make_entry(act_bytes, network=fixed("network")), "bad_signature")
    plain = make_entry(act_bytes)
    bad("another time than was signed", "signature",
        plain.replace(encode(1735689600123), encode(1735689600124)), "bad_signature")
    bad("a byte after", "trailing", plain + b"\0")
    bad("cut", "truncated", plain[:-1])


def message():
    file = File()
    session = rules.session_id_of(fixed("nonce a"), fixed("nonce b"))
    other_feed = fixed("other feed")
    commit_id = fixed("commit id")
    small = make_commit(1, bytes(32), [encode([2, opening_bytes()])])

    def frame(kind, body, number=1, session_=session):
        return session_ + number.to_bytes(4, "big") + bytes([kind]) + (
            body if isinstance(body, bytes) else encode(body))

    def good(name, data):
        file.good(name, check="frame", frame=data, **rules.decode_frame(data))

    def bad(name, expect, data):
        file.bad(name, expect, check="frame", frame=data)

    hello = [1, 1, 0, AGENCY, fixed("nonce a"), 0, 0, fixed("known")]
    position_a = [FEED, 7, commit_id]
    head = [AGENCY, 3, fixed("manifest"), 2**33, fixed("archive")]
    empty = [fixed("agency"), 0, fixed("agency"), 0, bytes(32), [], []]
    archived = sorted([fixed("feed %d" % i), i + 1, fixed("last %d" % i)] for i in range(64))
    ask = [3, AGENCY, b"", b""]
    good("HELLO", frame(1, hello, 0, bytes(8)))
    good("HELLO of a range of versions, manifests known",
         frame(1, [1, 2**32 - 1, 2**40] + hello[3:5] + [2**40, 2**62, fixed("other")], 0,
               bytes(8)))
    good("BIND", frame(2, [bytes(range(64))]))
    good("FRONTIER, hashes", frame(3, [0, fixed("follows"), fixed("entries")], 2))
    good("FRONTIER, nothing", frame(3, [1, 1, [], []], 2**32 - 1))
    good("FRONTIER, list", frame(3, [1, 0, [AGENCY, fixed("agency")], [
        head + [[[FEED, fixed("proof")]], [position_a, [other_feed, 2**40, commit_id]]], empty]]))
    good("FRONTIER, archived feeds", frame(3, [2, AGENCY, 0, archived]))
    good("FRONTIER, no more archived feeds", frame(3, [2, AGENCY, 1, []]))
    good("FRONTIER, asking", frame(3, ask))
    good("FRONTIER, asking behind one, with sums", frame(3, [3, AGENCY, FEED, bytes(range(256)) * 8]))
    good("COMMITS", frame(4, [FEED, [small]]))
    good("COMMITS, two", frame(4, [FEED, [small, b"not looked into"]]))
    good("CREDIT, keep-alive", frame(5, [4194304, []]))
    good("CREDIT with positions", frame(5, [2**40, [[FEED, 7], [other_feed, 0]]]))
    good("NOTE", frame(6, [[FEED, 7, 1], [other_feed, 3, 0, AGENCY]]))
    good("MANIFEST", frame(7, [AGENCY, [b"not looked into"]]))
    good("MANIFEST, two", frame(7, [AGENCY, [bytes(300), b"the next one"]]))
    good("FORK", frame(8, [b"not looked into"]))
    good("SIDE", session + (1).to_bytes(4, "big") + b"\x09" + b"not looked into")

    bad("shorter than a header", "truncated", session + bytes(4))
    bad("type 0", "range", frame(0, hello))
    good("WANT", frame(10, [FEED, 12]))
    bad("WANT of seq 0", "range", frame(10, [FEED, 0]))
    bad("WANT of a feed id of 31 bytes", "size", frame(10, [FEED[1:], 12]))
    bad("WANT of three fields", "count", frame(10, [FEED, 12, 1]))
    bad("type 11", "range", frame(11, hello))
    bad("HELLO in a session", "range", frame(1, hello))
    bad("HELLO with a number", "range", frame(1, hello, 1, bytes(8)))
    bad("BIND without a session", "range", frame(2, [bytes(64)], 0, bytes(8)))
    bad("number 0 in a session", "range", frame(2, [bytes(64)], 0))
    bad("no body", "truncated", frame(2, b""))
    bad("HELLO: versions the wrong way round", "range", frame(1, [2, 1] + hello[2:], 0, bytes(8)))
    bad("HELLO: version 0", "range", frame(1, [0, 1] + hello[2:], 0, bytes(8)))
    bad("HELLO: a field more", "count", frame(1, hello + [0], 0, bytes(8)))
    bad("HELLO: nonce of 31 bytes", "size", frame(1, hello[:4] + [bytes(31)] + hello[5:], 0, bytes(8)))
    bad("HELLO: no known manifest", "count", frame(1, hello[:5], 0, bytes(8)))
    bad("HELLO: known hash of 31 bytes", "size", frame(1, hello[:7] + [bytes(31)], 0, bytes(8)))
    bad("HELLO: not shortest", "not_shortest",
        frame(1, [Raw(b"\xcc\x01")] + hello[1:], 0, bytes(8)))
    bad("BIND: signature of 63 bytes", "size", frame(2, [bytes(63)]))
    bad("BIND: a byte after", "trailing", frame(2, encode([bytes(64)]) + b"\0"))
    bad("FRONTIER: form 4", "range", frame(3, [4] + ask[1:]))
    bad("FRONTIER: form 2 of 3", "count", frame(3, [2, fixed("a"), fixed("b")]))
    bad("FRONTIER: hashes with a field more", "count", frame(3, [0, fixed("a"), fixed("b"), 0]))
    bad("FRONTIER: list with a field less", "count", frame(3, [1, 1, []]))
    bad("FRONTIER: last 2", "range", frame(3, [1, 2, [], []]))
    bad("FRONTIER: 4294967295 follows", "count",
        frame(3, bytes.fromhex("940101ddffffffff")))
    bad("FRONTIER: 4294967295 groups", "count", frame(3, bytes.fromhex("94010190ddffffffff")))
    bad("FRONTIER: agency of 16 bytes", "size", frame(3, [1, 1, [bytes(16)], []]))
    bad("FRONTIER: position at seq 0", "range",
        frame(3, [1, 1, [], [head + [[], [[FEED, 0, commit_id]]]]]))
    bad("FRONTIER: group of 6", "count", frame(3, [1, 1, [], [head + [[]]]]))
    bad("FRONTIER: fork of 3", "count", frame(3, [1, 1, [], [head + [[[FEED, FEED, 0]], []]]]))
    bad("FRONTIER: 65535 forks", "count",
        frame(3, encode([1, 1, [], [head + [[], []]]])[:-2] + bytes.fromhex("dcffff")))
    bad("FRONTIER: archived feeds out of order", "order",
        frame(3, [2, AGENCY, 1, archived[1::-1]]))
    bad("FRONTIER: an archived feed twice", "duplicate", frame(3, [2, AGENCY, 1, archived[:1] * 2]))
    bad("FRONTIER: 65 archived feeds", "limit",
        frame(3, [2, AGENCY, 1, archived + [[b"\xff" * 32, 1, commit_id]]]))
    bad("FRONTIER: asking, last 2", "range", frame(3, [2, AGENCY, 2, []]))
    bad("FRONTIER: asking behind 31 bytes", "size", frame(3, [3, AGENCY, bytes(31), b""]))
    bad("FRONTIER: asking with 255 sums", "size", frame(3, [3, AGENCY, b"", bytes(2040)]))
    bad("COMMITS: none", "range", frame(4, [FEED, []]))
    bad("COMMITS: commit as text", "kind", frame(4, [FEED, [Text(b"a")]]))
    bad("COMMITS: 1025", "limit", frame(4, [FEED, [b""] * 1025]))
    bad("CREDIT: position of 3", "count", frame(5, [1, [[FEED, 7, 1]]]))
    bad("CREDIT: 65535 positions", "count", frame(5, bytes.fromhex("9201dcffff")))
    bad("NOTE: none", "range", frame(6, []))
    bad("NOTE: mode 2", "range", frame(6, [[FEED, 7, 2]]))
    bad("NOTE: of 2", "count", frame(6, [[FEED, 7]]))
    bad("NOTE: of 5", "count", frame(6, [[FEED, 7, 1, AGENCY, 0]]))
    bad("NOTE: a byte after", "trailing", frame(6, encode([[FEED, 7, 1]]) + b"\0"))
    bad("MANIFEST: none", "range", frame(7, [AGENCY, []]))
    bad("MANIFEST: 257", "limit", frame(7, [AGENCY, [b""] * 257]))
    bad("MANIFEST: as text", "kind", frame(7, [AGENCY, [Text(b"a")]]))
    bad("MANIFEST: of no agency", "count", frame(7, [[b"a"]]))
    bad("FORK: two", "count", frame(8, [b"a", b"b"]))
    bad("FORK: 2049 bytes", "limit", frame(8, [bytes(2049)]))

    for a, b in (("nonce a", "nonce b"), ("nonce b", "nonce a"), ("nonce c", "nonce c")):
        file.good("session of %s and %s" % (a, b), check="session", nonce_a=fixed(a),
                  nonce_b=fixed(b), session=rules.session_id_of(fixed(a), fixed(b)))
    sides = ({"transport": TRANSPORT.public, "nonce": fixed("nonce a"), "version_min": 1,
              "version_max": 1, "features": 0, "own_index": 0, "known_index": 2,
              "known_hash": fixed("known")},
             {"transport": OTHER.public, "nonce": fixed("nonce b"), "version_min": 1,
              "version_max": 7, "features": 2**40, "own_index": 2, "known_index": 0,
              "known_hash": AGENCY})
    for name, (sender, receiver) in (("BIND of one side", sides),
                                     ("BIND of the other", sides[::-1])):
        text = rules.bind_message_of(sender, receiver)
        fields = {"sender_" + key: value for key, value in sender.items()}
        fields.update(("receiver_" + key, value) for key, value in receiver.items())
        file.good(name, check="bind", **fields, network=NETWORK, node_seed=NODE.seed, message=text,
                  signature=NODE.sign("ilea/bind/v1", NETWORK, text))
    follows = sorted([AGENCY, fixed("agency")])

    def group(agency, index, count, forks, entries):
        return {"agency": agency, "manifest_index": index, "manifest_hash": fixed("manifest"),
                "archived_count": count, "archived_sum": fixed("archive") if count else bytes(32),
                "forks": forks, "entries": entries}

    for name, agencies, groups in (
            ("frontier of nothing", [], []),
            ("frontier of two agencies", follows,
             [group(follows[0], 0, 0, [], []),
              group(follows[1], 3, 1000, [[other_feed, fixed("proof")]],
                    [position_a, [other_feed, 2**40, commit_id]])])):
        parts = [part for one in groups for part in rules.group_hash_parts(one)]
        file.good(name, check="frontier_hash", follows=agencies, groups=groups,
                  follows_hash=rules.frontier_hash_of(agencies),
                  entries_hash=rules.frontier_hash_of(parts))
    for name, positions in (("archive of nothing", []), ("archive of 64 feeds", archived)):
        total, buckets = rules.archive_of(positions)
        file.good(name, check="archive", positions=positions, sum=total, sums=buckets)
    return file


def record():
    file = File()
    a, b, c = dot("a", 1, 0), dot("b", 1, 0), dot("c", 1, 0)
    a2, b2, c2 = dot("a", 2, 0), dot("b", 2, 5), dot("c", 9, 1023)

    def good(name, changes, shown=()):
        """changes: dot -> ops; shown: (field, key, merge class, codes)."""
        decoded = [(at, {"ops": ops}) for at, ops in changes]
        total, entries, covered = rules.merge(decoded)
        questions = []
        for field, key, merge_class, codes in shown:
            siblings = [entry for entry in entries if entry[:2] == (field, key)]
            questions.append({"field": field, "key": key, "merge": merge_class, "codes": codes,
                              "value": rules.shown(siblings, merge_class, codes)})
        file.good(name, check="merge",
                  changes=[{"dot": at, "bytes": encode(change_fields(in_order(ops)))}
                           for at, ops in changes],
                  record=rules.encode_record(total, entries, covered), shown=questions)

    def in_order(ops):
        return sorted(ops, key=lambda one: (one["field"], one["key"]))

    def title(text, depth=1, replaces=()):
        return op(2, b"", text_value(text), depth, replaces)

    def element(name, value=b"\x01", depth=1, replaces=()):
        return op(5, text_value(name), value, depth, replaces)

    one = [(2, b"", "register", [])]
    good("nothing", [])
    good("one change without operations", [(a, [])])
    good("one register", [(a, [title("one")])], one)
    good("replaced", [(a, [title("one")]), (a2, [title("two", 2, [a])])], one)
    good("replaced before it came", [(a2, [title("two", 2, [a])])], one)
    good("concurrent", [(a, [title("one")]), (b, [title("two")]), (c, [title("three")])],
         one + [(2, b"", "immutable", []), (2, b"", "one_writer", [])])
    good("the deeper one is shown", [(a, [title("one", 7)]), (b, [title("two", 3)])],
         one + [(2, b"", "immutable", [])])
    good("replaced twice, by concurrent changes", [
        (a, [title("one")]), (b2, [title("two", 2, [a])]), (c2, [title("three", 2, [a])])], one)
    good("replaced three times", [
        (a, [title("one")]), (a2, [title("two", 2, [a])]), (b2, [title("three", 2, [a])]),
        (c2, [title("four", 2, [a])])], one)
    good("replaced twice, and never came", [
        (b2, [title("two", 2, [a])]), (c2, [title("three", 2, [a])])], one)
    good("a conflict settled", [
        (a, [title("one")]), (b, [title("two")]), (c2, [title("both", 2, [a, b])])], one)
    good("removed", [(a, [title("one")]), (a2, [op(2, b"", b"", 2, [a])])])
    good("a removal replaced: it left nothing to replace", [
        (a, [op(2, b"", b"")]), (b, [title("two", 2, [a])])], one)
    good("set, add and remove", [
        (a, [element("cbrn"), element("drones")]), (a2, [element("cbrn", b"", 2, [a])])])
    good("set, an add the remover had not seen wins", [
        (a, [element("cbrn")]), (b, [element("cbrn")]), (a2, [element("cbrn", b"", 2, [a])])],
        [(5, text_value("cbrn"), "set", [])])
    good("set, added again", [
        (a, [element("cbrn")]), (a2, [element("cbrn", b"", 2, [a])]),
        (dot("a", 3, 0), [element("cbrn", b"\x01", 3)])])
    good("keyed", [
        (a, [op(19, text_value("budget"), text_value("1")),
             op(19, text_value("unit"), text_value("x"))]),
        (b, [op(19, text_value("budget"), text_value("2"))])],
        [(19, text_value("budget"), "keyed", []), (19, text_value("unit"), "keyed", [])])
    tlp = ["clear", "green", "amber", "amber+strict", "red"]
    good("most restrictive of concurrent", [
        (a, [op(11, b"", text_value("red"))]), (b, [op(11, b"", text_value("green"), 9)])],
        [(11, b"", "restrictive", tlp), (11, b"", "register", [])])
    good("an unknown code is the most restrictive", [
        (a, [op(11, b"", text_value("red"))]), (b, [op(11, b"", text_value("violet"))])],
        [(11, b"", "restrictive", tlp)])
    good("equal codes", [
        (a, [op(11, b"", text_value("red"))]), (b, [op(11, b"", text_value("red"), 2)])],
        [(11, b"", "restrictive", tlp)])
    good("state", [
        (a, [op(32, b"", text_value("published"), 4)]), (b, [op(32, b"", text_value("draft"), 8)])],
        [(32, b"", "state", ["draft", "in-review", "published"])])
    good("many at once", [
        (a, [op(1, b"", encode(42)), title("one"), element("cbrn")]),
        (b, [title("two"), element("cbrn", b"", 2, [a]), element("drones")]),
        (c, [op(2, b"", b"", 2, [a, b]), op(70000, encode([1, 2]), encode([b"x"]))]),
        (c2, [op(1, b"", encode(43), 2, [a, dot("z", 1, 1)])])], [(1, b"", "immutable", [])])
    good("an operation that replaces its own dot", [(a, [title("one", 2, [a])])])
    good("a dot replaces only in its own field and key", [
        (a, [title("one"), element("cbrn")]), (b, [element("drones", b"", 2, [a])])], one)

    dots = sorted([a, b])

    def bad(name, expect, fields):
        data = fields if isinstance(fields, bytes) else encode(fields)
        file.bad("record: " + name, expect, check="decode", record=data)

    entry, later = [2, b"", b"\x01", 1, 0], [3, b"", b"\x01", 1, 1]
    covered = [2, b"", 1]
    plain = [1, 3, [list(one) for one in dots], [entry, later], [covered]]

    def changed(index, value):
        return plain[:index] + [value] + plain[index + 1:]

    file.good("record", check="decode", record=encode(plain))
    file.good("record, covered twice", check="decode",
              record=encode(changed(4, [covered, covered])))
    bad("version 2", "range", changed(0, 2))
    bad("more writes than a record takes", "range", changed(1, (1 << 20) + 2))
    bad("dots out of order", "order", changed(2, [list(one) for one in reversed(dots)]))
    bad("a dot twice", "duplicate", changed(2, [list(dots[0])] * 2))
    bad("entries out of order", "order", changed(3, [later, entry]))
    bad("an entry twice", "duplicate", changed(3, [entry, entry]))
    bad("covered out of order", "order", changed(4, [[3, b"", 1], covered]))
    bad("dot index of no dot", "range", changed(3, [entry, later[:4] + [2]]))
    bad("covered dot index of no dot", "range", changed(4, [[2, b"", 2]]))
    bad("a field less", "count", plain[:4])
    bad("a byte after", "trailing", encode(plain) + b"\0")
    bad("4294967295 dots", "count", bytes.fromhex("950100ddffffffff"))
    bad("4294967295 entries", "count", bytes.fromhex("95010090ddffffffff"))
    bad("entry of 4", "count", changed(3, [entry[:4]]))
    return file


def pwhash(data, salt, passes, memory):
    """Argon2id, 32 bytes."""
    out = ctypes.create_string_buffer(32)
    if sodium.crypto_pwhash(out, ctypes.c_ulonglong(32), data, ctypes.c_ulonglong(len(data)), salt,
                            ctypes.c_ulonglong(passes), ctypes.c_size_t(memory), 2) != 0:
        raise RuntimeError("crypto_pwhash")
    return out.raw


WORDS = """
actor album angel ankle archer arena arrow atlas attic autumn award bacon badge baker bamboo banana banjo
barrel bonus border bottle brick bronze brush bucket butter cabin cactus camel canyon cargo carpet castle
cedar chalk cheese circus cliff clock cobalt cobra comedy cookie copper cosmos cotton coyote cradle crown
cycle daisy dance delta denim dinner domino donkey dragon drum dynamo eagle earth echo editor elbow ember
engine envoy escape exit fabric farmer ferry flame flint forest fossil fridge frozen fruit fungus fusion
galaxy garden garlic giant glider glove goblet grape guitar helmet heron hobby hornet hotel igloo impala
insect island ivory jaguar jelly jewel jigsaw juice jumbo jungle kayak kimono kiosk kitten kiwi koala ladder
lagoon laptop legend lily lizard lunar magic magnet marble meadow melody mentor mirror mosaic muffin museum
napkin nectar needle nickel nomad nugget nutmeg nylon oasis ocean omega omelet onion orange orchid outfit
oxygen oyster pajama palace panda pastry patrol peanut pebble pencil permit pickle picnic pigeon pilot pixel
plaza poet polar pollen poncho potato prism proton pulse puppet python quartz quilt rabbit radish rapid raven
razor relic rhino ribbon ritual rubber ruby saddle safari salad salmon saturn school scout shelf shrimp siesta
signal silver siren sketch slalom soccer spiral sponge spoon squid stereo stork studio subway sultan summer
sunset swan syrup teapot temple tennis throne tiara tiger tissue toast topaz train trophy tulip tunnel turtle
tuxedo tweed unity urban usher utopia vacuum valley vessel video violet vortex voyage waffle walnut wheat
whisk willow wisdom wolf wombat yacht yogurt zigzag zinc zodiac
""".split()


def lobby_codes(file):
    file.good("the words", check="words", words=WORDS)
    ids = AGENCY, fixed("another agency")
    for offline, name in ((False, "code"), (True, "offline code")):
        for i in range(2):
            one, other = ({"agency": ids[j], "manifest": fixed("manifest %d" % j),
                           "nonce": bytes(32) if offline else fixed("nonce %d" % j)} for j in (i, 1 - i))
            value = rules.sas_hash(one, other)
            code = pwhash(value, digest("ilea/sas/v1", u64(3))[:16], 8, 64 << 20) if offline else value
            digits, words = rules.sas_code(code, WORDS)
            file.good(name + (", the other way round" if i else ""), check="code", offline=offline,
                      one={key: part.hex() for key, part in one.items()},
                      other={key: part.hex() for key, part in other.items()},
                      commitment=digest("ilea/sas/v1", u64(1), rules.sas_side(one)), hash=value,
                      digits=digits, words=words)


def lobby_invites(file, key, nonce, sealed):
    for token, name in ((fixed("token", 16), "invite"), (bytes(16), "invite, zeros"), (b"\xff" * 16, "invite, ones")):
        invite = rules.invite_of(token)
        file.good(name, check="invite", token=token, text=rules.invite_text(token), lobby_key=key, nonce=nonce,
                  sealed=sealed, tag=rules.invite_tag(invite["key"], key, nonce, sealed), **invite)
    token = fixed("token", 16)
    text = rules.invite_text(token)
    file.good("invite in small letters and one piece", check="invite_text", token=token,
              text=text.lower().replace("-", ""))
    file.good("invite with blanks, O for 0, I and L for 1", check="invite_text", token=bytes(16),
              text=rules.invite_text(bytes(16)).replace("-", " ").replace("0", "O").replace("1", "l", 1))
    other = "Z" if text[8] != "Z" else "Y"
    for name, wrong in (("a letter changed", text[:8] + other + text[9:]), ("a letter less", text[:-1]),
                        ("a letter more", text + "0"), ("U", "U" + text[1:]), ("nothing", ""),
                        ("two letters swapped", text[1] + text[0] + text[2:])):
        file.bad("invite: " + name, "text", check="invite_text", text=wrong)


def lobby_frames(file, key, nonce, sealed):
    def frame(kind, body):
        return (len(body) + 1).to_bytes(2, "big") + bytes([kind]) + body

    def good(name, data):
        file.good("frame: " + name, check="frame", frame=data, **rules.decode_lobby_frame(data))

    def bad(name, expect, data, error="malformed"):
        file.bad("frame: " + name, expect, error, check="frame", frame=data)

    greeting = b"\x01" + (28928160).to_bytes(4, "big") + key + nonce
    good("pass", frame(1, fixed("invite", 16)))
    good("greeting", frame(2, greeting))
    good("request", frame(3, bytes(32) + sealed))
    good("request with a tag", frame(3, fixed("tag") + sealed))
    good("largest request", frame(3, bytes(8189)))
    good("ceremony", frame(4, sealed))
    good("queued", frame(5, b"\x01"))
    good("queued, with a reply", frame(5, b"\x01" + bytes(512)))
    good("busy", frame(5, b"\x02"))
    bad("type 0", "range", frame(0, bytes(16)))
    bad("type 6", "range", frame(6, b"\x01"))
    bad("pass of 15", "size", frame(1, bytes(15)))
    bad("greeting of version 2", "newer", frame(2, b"\x02" + greeting[1:]), "unknown")
    bad("greeting of 52", "size", frame(2, greeting[:-1]))
    bad("greeting of nothing", "truncated", frame(2, b""))
    bad("request of an empty message", "truncated", frame(3, bytes(80)))
    bad("larger than a frame may be", "limit", frame(3, bytes(8190)))
    bad("ceremony larger than a request could hold", "limit", frame(4, bytes(8158)))
    bad("answer 3", "range", frame(5, b"\x03"))
    bad("answer of nothing", "truncated", frame(5, b""))
    bad("reply of 513", "limit", frame(5, b"\x01" + bytes(513)))
    bad("length 0", "range", b"\0\0\1")


def lobby_messages(file, key, nonce):
    challenge = key + nonce
    card = make_card([encode(SIGNED)], lobby=b"tcp://node.example.fr:4718")

    def signed(fields, signer=NODE, bound=challenge, network=NETWORK):
        body = encode(fields + [bytes(64)])[:-66]
        return body + b"\xc4\x40" + signer.sign("ilea/lobby-sig/v1", network, rules.lobby_hash(bound, body))

    def request(changed=None, **options):
        fields = [1, card, Text("Demande de l'unité 3".encode()), 1735689600000, b""]
        if changed:
            fields[changed[0]] = changed[1]
        return signed(fields, **options)

    def good(name, message, check="request"):
        decode = rules.decode_lobby_request if check == "request" else rules.decode_lobby_ceremony
        file.good("%s%s" % (check, name), check=check, message=message, challenge=challenge, network=NETWORK,
                  node=NODE.public, node_seed=NODE.seed, **decode(message, challenge))

    def bad(name, expect, message, error="malformed", check="request"):
        file.bad("%s: %s" % (check, name), expect, error, check=check, message=message, challenge=challenge,
                 network=NETWORK, node=NODE.public)

    good("", request())
    good(" without a note", request((2, Text(b""))))
    good(" with the longest note", request((2, Text(b"n" * 500))))
    good(" with an invite", request((4, fixed("invite", 16))))
    bad("kind 2", "range", request((0, 2)))
    bad("a note of 501", "limit", request((2, Text(b"n" * 501))))
    bad("a note of two lines", "control", request((2, Text(b"one\ntwo"))))
    bad("a note that turns text round", "text", request((2, Text("x\u202ey".encode()))))
    bad("a note with what does not show", "text", request((2, Text("x\u200by".encode()))))
    bad("an invite of 15", "size", request((4, bytes(15))))
    bad("not a card", "truncated", request((1, b"")))
    bad("an altered card", "signature", request((1, card[:-1] + bytes([card[-1] ^ 1]))), "bad_signature")
    bad("another nonce", "signature", request(bound=key + bytes(16)), "bad_signature")
    bad("another lobby", "signature", request(bound=bytes(32) + nonce), "bad_signature")
    bad("another network", "signature", request(network=fixed("network")), "bad_signature")
    bad("another signer", "signature", request(signer=ROOTS[0]), "bad_signature")
    bad("a byte after", "trailing", request() + b"\0")

    def ceremony(kind, changed=None, **options):
        fields = [kind, AGENCY, fixed("another agency"), digest("ilea/agency/v1", MANIFEST), fixed("value"),
                  bytes(32) if kind in (3, 5) else fixed("reply")]
        if changed:
            fields[changed[0]] = changed[1]
        return signed(fields, **options)

    for kind, name in ((2, " commit"), (3, " nonce"), (4, " reveal"), (5, " done")):
        good(name, ceremony(kind), "ceremony")
    bad("kind 1", "range", ceremony(1), check="ceremony")
    bad("kind 6", "range", ceremony(6), check="ceremony")
    bad("a commitment without a key to answer to", "key", ceremony(2, (5, bytes(32))), check="ceremony")
    bad("an answer with a key to answer to", "key", ceremony(3, (5, fixed("reply"))), check="ceremony")
    bad("a short value", "size", ceremony(2, (4, bytes(31))), check="ceremony")
    bad("another nonce", "signature", ceremony(2, bound=key + bytes(16)), "bad_signature", "ceremony")
    bad("another signer", "signature", ceremony(4, signer=ROOTS[0]), "bad_signature", "ceremony")
    bad("a byte after", "trailing", ceremony(2) + b"\0", check="ceremony")


def lobby():
    file = File()
    key, nonce = Box("lobby").public, fixed("greeting", 16)
    sealed = seal(key, b"a request", "lobby seal")
    lobby_codes(file)
    lobby_invites(file, key, nonce, sealed)
    lobby_frames(file, key, nonce, sealed)
    lobby_messages(file, key, nonce)
    return file


BUNDLE_KEY, BUNDLE_ID, RECEIVER = fixed("bundle key"), fixed("bundle", 16), fixed("receiver")


def bundle_header(more=(), signer=NODE, signed_as=None, **replaced):
    """A header; `replaced` are fields as they are encoded, whatever they should be."""
    fields = {"version": 1, "network": NETWORK, "from": AGENCY, "manifest": 0, "to": RECEIVER, "id": BUNDLE_ID,
              "part": 1, "made_ms": 1735689600000,
              "aek_commit": digest("ilea/aek-commit/v1", NETWORK, BUNDLE_ID, key=BUNDLE_KEY),
              "wrapped": seal(READING.public, b"\x0bilea/aek/v1" + NETWORK + BUNDLE_ID + BUNDLE_KEY, "bundle wrap")}
    signature = replaced.pop("signature", None)
    assert set(replaced) <= set(fields)
    fields.update(replaced)
    start = encode([*fields.values(), bytes(64), *more])[:-66] if not more else b""
    if signature is None:
        signature = signer.sign("ilea/bundle-sig/v1", signed_as or NETWORK, digest("ilea/bundle/v1", start))
    return encode([*fields.values(), signature, *more])


def bundle_file(contents, header=None, last=None, part=1):
    """A whole file; `last`: which chunk says that it is the last one."""
    header = bundle_header(part=part) if header is None else header
    data = b"ILEABNDL" + len(header).to_bytes(4, "big") + header
    for number, content in enumerate(contents):
        plain = encode(list(content))
        place = rules.bundle_place(NETWORK, BUNDLE_ID, part, number,
                                   number == (len(contents) - 1 if last is None else last))
        nonce = digest("ilea/nonce/v1", place, plain, key=fixed("bundle nonce %d" % number))[:24]
        chunk = nonce + encrypt(BUNDLE_KEY, nonce, place, plain)
        data += len(chunk).to_bytes(4, "big") + chunk
    return data


def bundle_contents(part=1):
    commits = [make_commit(1, bytes(32), [encode([2, opening_bytes()])], kind=1)]
    commits.append(make_commit(2, rules.commit_id_of(rules.decode_commit(commits[0])["header"]),
                               [encode([2, fixed("statement", 40)])]))
    after = [] if part == 1 else [AGENCY, FEED, 2, rules.commit_id_of(rules.decode_commit(commits[1])["header"])]
    return [(32, encode([2, sum(len(one) for one in commits), after])), (7, encode([AGENCY, [encode(SIGNED)]])),
            (4, encode([FEED, commits]))]


def bundle_headers(file):
    def good(name, **replaced):
        header = bundle_header(**replaced)
        file.good(name, check="header", header=header, node=NODE.public, **rules.decode_bundle_header(header))

    good("a header")
    good("the last possible part", part=9999)
    good("a high manifest and time", manifest=2**53 - 1, made_ms=2**53 - 1)

    def bad(name, expect, header, error="malformed", node=NODE):
        file.bad(name, expect, error, check="header", header=header, node=node.public)

    def changed(name, expect, error="malformed", /, **replaced):
        bad(name, expect, bundle_header(**replaced), error)

    changed("version 2", "newer", "unknown", version=2)
    changed("version 0", "newer", "unknown", version=0)
    changed("a field more", "count", more=(0,), signature=bytes(64))
    changed("part 0", "range", part=0)
    changed("part 10000", "range", part=10000)
    changed("network of 31 bytes", "size", network=bytes(31))
    changed("id of 32 bytes", "size", id=bytes(32))
    changed("a wrapped key of 139 bytes", "size", wrapped=bytes(139))
    changed("signature of 63 bytes", "size", signature=bytes(63))
    changed("signature of zeros", "signature", "bad_signature", signature=bytes(64))
    changed("signed by another key", "signature", "bad_signature", signer=NODE_2)
    changed("signed for another network", "signature", "bad_signature", signed_as=fixed("network"))
    bad("read with another key", "signature", bundle_header(), "bad_signature", NODE_2)
    bad("a byte after", "trailing", bundle_header() + b"\0")
    bad("cut", "truncated", bundle_header()[:-1])
    bad("over 512 bytes", "limit", bundle_header(more=(bytes(300),), signature=bytes(64)))


def bundle_bodies(file):
    totals = {"nothing": [0, 0, []], "much": [2**53 - 1, 2**53 - 1, []],
              "behind a part": [3, 4711, [AGENCY, FEED, 3, fixed("commit 3")]]}
    for name, fields in totals.items():
        body = encode(fields)
        file.good("totals: " + name, check="totals", body=body, **rules.decode_bundle_totals(body))
    for name, expect, body in (
            ("three fields of a position", "count", encode([0, 0, [AGENCY, FEED, 3]])),
            ("seq 0", "range", encode([0, 0, [AGENCY, FEED, 0, fixed("commit 3")]])),
            ("two fields", "count", encode([0, 0])), ("a byte after", "trailing", encode([0, 0, []]) + b"\0")):
        file.bad("totals: " + name, expect, "malformed", check="totals", body=body)
    feeds = sorted(fixed("frontier feed %d" % i) for i in range(3))
    positions = [[feed, i + 1, fixed("frontier commit %d" % i)] for i, feed in enumerate(feeds)]
    for count in (0, 1, 3):
        body = encode([RECEIVER, positions[:count]])
        file.good("frontier of %d feeds" % count, check="frontier", body=body, **rules.decode_bundle_frontier(body))
    for name, expect, body in (
            ("the wrong way round", "order", encode([RECEIVER, positions[::-1]])),
            ("one feed twice", "duplicate", encode([RECEIVER, positions[:1] * 2])),
            ("seq 0", "range", encode([RECEIVER, [[feeds[0], 0, bytes(32)]]])),
            ("agency of 31 bytes", "size", encode([bytes(31), []])),
            ("a field more", "count", encode([RECEIVER, [], 0]))):
        file.bad("frontier: " + name, expect, "malformed", check="frontier", body=body)


def bundle_files(file):
    secrets = {"key": BUNDLE_KEY, "reading_secret": READING.secret, "node": NODE.public}
    for name, part in (("a bundle", 1), ("part 2", 2)):
        contents = bundle_contents(part)
        file.good(name, check="file", file=bundle_file(contents, part=part), **secrets,
                  contents=[list(one) for one in contents])
    contents = bundle_contents()
    whole = bundle_file(contents)
    chunks = rules.split_bundle(whole)[1]
    sized = [len(chunk).to_bytes(4, "big") + chunk for chunk in chunks]
    head = whole[:len(whole) - sum(len(one) for one in sized)]

    def bad(name, expect, data, error="bad_hash"):
        file.bad(name, expect, error, check="file", file=data, **secrets)

    bad("cut behind a chunk", "truncated", head + b"".join(sized[:-1]))
    bad("cut in a chunk", "truncated", whole[:-1], "malformed")
    bad("cut in a size", "truncated", head + b"\0\0", "malformed")
    bad("no chunk", "truncated", head, "malformed")
    bad("a chunk twice", "order", head + sized[0] + whole[len(head):])
    bad("two chunks exchanged", "order", head + sized[1] + sized[0] + sized[2])
    bad("a chunk left out", "order", head + sized[0] + sized[2])
    bad("the second chunk says that it is the last", "order", bundle_file(contents, last=1))
    bad("chunks of another part", "order", bundle_file(contents, header=bundle_header(part=2)))
    bad("a chunk of 39 bytes", "size", head + (39).to_bytes(4, "big") + bytes(39), "malformed")
    bad("a chunk that is too large", "limit", head + (262185).to_bytes(4, "big") + bytes(40), "malformed")
    bad("another magic", "kind", b"ILEABNDX" + whole[8:], "malformed")
    bad("a header of no bytes", "size", b"ILEABNDL" + bytes(4) + whole[12:], "malformed")
    bad("content of one field", "count", bundle_file([(32,)]), "malformed")
    bad("type 1001", "range", bundle_file([(1001, b"")]), "malformed")


def bundle():
    file = File()
    bundle_headers(file)
    bundle_bodies(file)
    bundle_files(file)
    return file


class Draw:
    """Numbers that are hashes of a name and a count."""

    def __init__(self, name):
        self.name, self.count = name, 0

    def below(self, limit):
        self.count += 1
        return int.from_bytes(fixed("%s %d" % (self.name, self.count), 8), "big") % limit

    def chance(self, percent):
        return self.below(100) < percent


class Story:
    """Control statements as their authors make them: each names the heads of what it holds."""

    def __init__(self, owner=1, ids=None):
        self.owner, self.statements, self.ids = owner, [], ids or iter(range(1, 256))

    def make(self, author, names, acts=None, subject=None, history_ms=rules.HISTORY_ALL):
        """Its id. acts: of an AUDIENCE; subject: of a SUSPEND."""
        id_ = next(self.ids)
        statement = {"id": id_, "author": author, "names": sorted(names)}
        if subject is not None:
            statement["subject"] = subject
        else:
            controls = rules.Controls(self.owner, self.statements)
            known = [controls.all[one]["number"] for one in controls.of(names) if "acts" in controls.all[one]]
            statement.update(number=1 + max(known, default=0), time_ms=1000 * (len(self.statements) + 1),
                             acts=sorted(acts or [], key=lambda act: act[1]))
            if not names:
                statement["history_ms"] = history_ms
        self.statements.append(statement)
        return id_

    def heads(self, known):
        """The heads of some of the statements."""
        part = [one for one in self.statements if one["id"] in known]
        return rules.membership(self.owner, part)["heads"]


def add(agency, level=2):
    return [1, agency, level]


def remove(agency):
    return [2, agency, 0]


def lift(agency):
    return [3, agency, 0]


def named_stories(tell):
    """What goes wrong without a rule; reference to the rules of PROTOCOL.md 31 in each name."""
    story = Story()
    first = story.make(1, [], [add(2), add(3)])
    tell("one statement", story)
    tell("nothing", Story())

    story = Story()
    first = story.make(1, [], [add(2), add(3)])
    gone = story.make(1, [first], [remove(2)])
    tell("a removal", story)
    story.make(1, [gone], [add(2, 1)])
    tell("a return", story)

    def restored():
        story = Story()
        first = story.make(1, [], [add(2), add(3)])
        return story, first, story.make(1, [first], [remove(2)])

    story, first, gone = restored()
    other = story.make(1, [first], [add(4)])
    last = story.make(1, [other], [add(5)])
    tell("leak: a removal on one branch counts on the other, whose numbers are higher; no epoch is usable", story)
    story.make(1, [gone, last])
    tell("leak: the two branches joined", story)

    story, first, gone = restored()
    other = story.make(1, [first], [add(4)])
    story.make(1, [other], [add(2, 3)])
    tell("leak: a return by a higher number that does not know the removal is none", story)

    story = Story()
    first = story.make(1, [], [add(2), add(3, 3), add(4, 3)])
    known = story.make(3, [first], subject=2)
    story.make(4, [first], subject=2)
    tell("leak: a suspension counts before the owner has confirmed it", story)
    story.make(1, [first, known], [lift(2)])
    tell("leak: a lift ends the suspensions that it knows, and no other", story)

    for order in (0, 1):
        story = Story(ids=iter((1, 2 + order, 3 - order)))
        first = story.make(1, [], [add(2), add(3)])
        story.make(1, [first])
        story.make(1, [first])
        tell("differ: of two epochs with one number the higher id is current, made %s" % ("last", "first")[order],
             story)

    for order in (0, 1):
        story = Story()
        first = story.make(1, [], [add(2, 3), add(3, 3), add(4)])
        for author in (2, 3)[::1 - 2 * order]:
            story.make(author, [first], subject=5 - author)
        story.make(3, [first], subject=4)
        tell("differ: two suspend each other and both are, a suspended one suspends, order %d" % order, story)

    story = Story()
    first = story.make(1, [], [add(2, 3), add(3)])
    story.make(2, [first], subject=1)
    tell("apart: nobody suspends the owner", story)
    suspended = story.make(2, [first], subject=3)
    story.make(1, [first, suspended], [remove(2)])
    tell("apart: with its author's membership a suspension ends", story)

    story = Story()
    first = story.make(1, [], [add(2)])
    story.make(1, [first], [add(3)])
    tell("lostkey: after an addition no epoch from before it is current", story)
    story = Story()
    first = story.make(1, [], [add(2)])
    story.make(1, [first], [add(3)])
    story.make(1, [first], [add(4)])
    tell("lostkey: two additions on two branches, no epoch has both", story)

    for name, history_ms in (("none", 0), ("all", rules.HISTORY_ALL), ("from a time on", 2000)):
        story = Story()
        first = story.make(1, [], [add(2)], history_ms=history_ms)
        second = story.make(1, [first])
        third = story.make(1, [second], [add(3)])
        story.make(1, [third], [remove(2)])
        tell("early: history %s" % name, story)

    story = Story()
    first = story.make(1, [], [add(2), add(3, 3), add(4)])
    story.make(4, [first], subject=2)
    story.make(9, [first], subject=2)
    tell("haunt: a suspension by who is no admin, or no member, does not count", story)
    counts = story.make(3, [first], subject=2)
    back = story.make(1, [first, counts], [add(2)])
    tell("haunt: who is added again is not suspended by what the owner knew", story)
    story.make(1, [back], [add(4, 3)])
    tell("haunt: a suspension counts once its author is an admin", story)

    story = Story()
    first = story.make(1, [], [add(2, 3)])
    story.make(2, [first], [add(3)])
    tell("grew: an admin adds nobody", story)
    story.make(1, [first], [add(4)])
    story.make(1, [first], subject=2)
    tell("grew: the owner suspends nobody", story)

    story = Story()
    first = story.make(1, [], [add(2, 3), add(3)])
    story.make(1, [first, 200], [add(4)])
    tell("a name that is not held is skipped", story)

    story = Story(ids=iter((1, 3, 2)))
    first = story.make(1, [], [add(2, 3), add(3)])
    story.make(1, [first, 2], [lift(3)])
    story.make(2, [first], subject=3)
    tell("a suspension that comes behind the statement that lifts it", story)

    story = Story()
    first = story.make(1, [], [add(2, 3), add(3)])
    for _ in range(63):
        story.make(2, [first], subject=3)
    tell("64 heads less one, and the first", story)


def drawn_story(number):
    """An owner that is restored now and then, members, and what each holds when it states something."""
    draw = Draw("audience %d" % number)
    ids = sorted(range(1, 250), key=lambda id_: fixed("id %d %d" % (number, id_)))
    story = Story(ids=iter(ids))
    agencies = range(2, 4 + draw.below(4))
    first = story.make(1, [], [add(agency, 1 + draw.below(3)) for agency in agencies[:1 + draw.below(len(agencies))]],
                       history_ms=(0, rules.HISTORY_ALL, 3000)[draw.below(3)])
    views = {1: {first}}
    for _ in range(2 + draw.below(8)):
        author = 1 if draw.chance(65) else agencies[draw.below(len(agencies))]
        everything = {one["id"] for one in story.statements}
        held = views.setdefault(author, {first})
        if draw.chance(50):  # it has heard what is there, or what others held
            held |= everything if draw.chance(50) else views[sorted(views)[draw.below(len(views))]]
        if author == 1 and draw.chance(15):
            held = {first}
        if author == 1:
            acts = [(add(agency, 1 + draw.below(3)), remove(agency), lift(agency))[draw.below(3)]
                    for agency in agencies if draw.chance(35)]
            made = story.make(1, story.heads(held), acts)
        else:
            made = story.make(author, story.heads(held), subject=(1, *agencies)[draw.below(1 + len(agencies))])
        views[author] = held | {made}
    if draw.chance(25):  # somebody that the reader does not follow
        stranger = agencies[draw.below(len(agencies))]
        story.statements = [one for one in story.statements if one["author"] != stranger]
    return story


def audience():
    file = File()

    def tell(name, story):
        file.good(name, owner=story.owner, statements=[dict(one) for one in story.statements],
                  **rules.membership(story.owner, story.statements))

    named_stories(tell)
    for number in range(200):
        tell("drawn %d" % number, drawn_story(number))
    return file


def document_element(name=b"plan.pdf", media=b"application/pdf", size=b"300000", root=None, key=None, more=()):
    root, key = (fixed(which).hex().encode() if text is None else text
                 for which, text in (("root", root), ("key", key)))
    return encode([Text(name), Text(media), Text(size), Text(root), Text(key), *more])


def document():
    file = File()

    def element(title, /, **options):
        data = document_element(**options)
        file.good(title, check="element", element=data, **rules.decode_document(data))

    def bad_element(title, expect, /, data=None, **options):
        file.bad("element: " + title, expect, check="element", element=document_element(**options) if data is None
                 else data)

    element("an element")
    element("without media type", media=b"")
    element("one byte", size=b"1")
    element("the largest", size=b"2147483648", name=b"n" * 255, media=b"m" * 100)
    bad_element("no name", "size", name=b"")
    bad_element("a name of 256 bytes", "limit", name=b"n" * 256)
    bad_element("a name on two lines", "range", name=b"a\nb")
    bad_element("a media type on two lines", "range", media=b"a\nb")
    bad_element("of 0 bytes", "range", size=b"0")
    bad_element("a size with a zero before", "range", size=b"01")
    bad_element("a size that is too large", "range", size=b"2147483649")
    bad_element("a size that is no number", "range", size=b"1e3")
    bad_element("root in upper case", "range", root=fixed("root").hex().upper().encode())
    bad_element("a root that is too short", "size", root=fixed("root").hex()[:62].encode())
    bad_element("a key that is no hex", "range", key=b"g" * 64)
    bad_element("a part more", "count", more=(Text(b""),))
    bad_element("root as bin", "kind", data=encode([Text(b"a"), Text(b""), Text(b"1"), fixed("root"), Text(b"0" * 64)]))

    root = fixed("root")

    def ask(name, form, ranges, expect=None, root=root, more=()):
        body = encode([form, root, ranges, *more])
        if expect is None:
            file.good(name, check="ask", body=body, **rules.decode_chunk_ask(body))
        else:
            file.bad(name, expect, check="ask", body=body)

    ask("ASK for the list", 3, [[2**32, 1]])
    ask("ASK for one chunk", 3, [[0, 1]])
    ask("ASK for 16 chunks in two ranges", 3, [[5, 8], [100, 8]])
    ask("ASK for the last chunk there can be", 3, [[8191, 1]])
    ask("NONE", 5, [[0, 1], [2, 1]])
    ask("ASK for nothing", 3, [], "count")
    ask("ASK for a range of none", 3, [[1, 0]], "range")
    ask("ASK for 17 chunks", 3, [[0, 9], [9, 8]], "limit")
    ask("ASK for a range of 17", 3, [[0, 17]], "limit")
    ask("ASK for ranges that overlap", 3, [[0, 2], [1, 1]], "order")
    ask("ASK for ranges that descend", 3, [[4, 1], [1, 1]], "order")
    ask("ASK beyond the last chunk", 3, [[8190, 3]], "range")
    ask("ASK for a chunk there cannot be", 3, [[8192, 1]], "range")
    ask("ASK for the list and more", 3, [[0, 1], [2**32, 1]], "count")
    ask("ASK for two lists", 3, [[2**32, 2]], "range")
    ask("ASK of another form", 4, [[0, 1]], "kind")
    ask("ASK with a root of 31 bytes", 3, [[0, 1]], "size", root=bytes(31))
    ask("ASK with a field more", 3, [[0, 1]], "count", more=(0,))

    def part(name, index, offset, total, size, expect=None, more=()):
        body = encode([4, root, index, offset, total, bytes(size), *more])
        if expect is None:
            file.good(name, check="part", body=body, **rules.decode_chunk_part(body))
        else:
            file.bad(name, expect, check="part", body=body)

    part("CHUNK that is one part", 3, 0, 1016, 1016)
    part("CHUNK, the list", 2**32, 0, 48, 48)
    part("CHUNK, a second part", 0, 131080, 131081, 1)
    part("CHUNK of no byte", 0, 0, 16, 16, "range")
    part("CHUNK with a byte too few", 0, 0, 1016, 1015, "size")
    part("CHUNK with a byte too many", 0, 0, 1016, 1017, "size")
    part("CHUNK from elsewhere", 0, 16, 1016, 1000, "range")
    part("CHUNK behind its end", 0, 131080, 131080, 1, "range")
    part("CHUNK that is too large", 0, 131080, 262161, 1, "limit")
    part("CHUNK that there cannot be", 8192, 0, 1016, 1016, "range")
    part("CHUNK with a field more", 0, 0, 17, 17, "count", more=(0,))

    key, network = fixed("document key"), NETWORK
    for name, index, count, plain in (("chunk 0 of 1", 0, 1, b"a"), ("chunk 7 of 9", 7, 9, fixed("plain") * 4),
                                      ("the list of 2", 2**32, 2, fixed("one") + fixed("two"))):
        data, nonce = rules.chunk_data(network, count), rules.chunk_nonce(index)
        sealed = call("crypto_aead_xchacha20poly1305_ietf_encrypt", len(plain) + 16, None, plain,
                      ctypes.c_ulonglong(len(plain)), data, ctypes.c_ulonglong(len(data)), None, nonce, key)
        file.good(name, check="chunk", key=key, network=network, index=index, count=count, plain=plain, data=data,
                  nonce=nonce, sealed=sealed, id=digest("ilea/blob/v1", sealed))
    return file


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    for make in (msgpack, change, item, commit, statement, manifest, fork, act, release, receipt, message,
                 record, lobby, bundle, audience, document):
        with open(os.path.join(folder, make.__name__ + ".jsonl"), "w", encoding="ascii") as out:
            for vector in make().vectors:
                out.write(json.dumps(vector) + "\n")


if __name__ == "__main__":
    main()
