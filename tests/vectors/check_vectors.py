#!/usr/bin/env python3
"""check_vectors.py - a second implementation of the formats, to compare with.

Decodes, hashes and merges every test vector beside it from README.md's rules
and nothing of the C code; Python's standard library alone. What needs Ed25519,
X25519 or XChaCha20-Poly1305 is left out and counted as left out.

    check_vectors.py            prints "N passed, N failed ...", exit status 1 if any failed
"""
import base64
import collections
import hashlib
import json
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))

# Limits that validity depends on.
MESSAGE_SIZE_MAX = 256 * 1024
COMMIT_SIZE_MAX = 240 * 1024
COMMIT_ITEMS_MAX = 1024
HEADER_SIZE_MAX = 512
HEADER_CRIT_MAX = 16
ITEM_SIZE_MAX = 232 * 1024
ITEM_SIZE_MIN = 33
CHANGE_SIZE_MAX = 224 * 1024
CHANGE_OPS_MAX = 4096
OP_REPLACES_MAX = 256
VALUE_DEPTH_MAX = 3
VALUE_SIZE_MAX = 128 * 1024
KEY_SIZE_MAX = 1024
MEMBERS_MAX = 1024
HEADS_MAX = 64
PREDECESSORS_MAX = 1024
HISTORY_KEYS_MAX = 1024
CODE_SIZE_MAX = 16
AUDIENCE_NAME_MAX = 100
SUSPEND_REASON_MAX = 200
MEMBER_ACTS_MAX = 512
ERASE_DOTS_MAX = 2048
MANIFEST_SIZE_MAX = 96 * 1024
ROOTS_MAX = 16
ADMINS_MAX = 16
REVOKED_MAX = 16
POSITIONS_MAX = 1024
CARD_SIZE_MAX = 128 * 1024
CARD_CHAIN_MAX = 256
FORK_SIZE_MAX = 2048
ACT_SIZE_MAX = 16 * 1024
ACT_PAIRS_MAX = 32
RELEASE_SIZE_MAX = 256 * 1024
RELEASE_RECORDS_MAX = 4096
RELEASE_PUT_MAX = 224 * 1024
ACT_KIND_MAX = 32
ACT_VALUE_MAX = 1000
ACT_SIGS_MAX = 16
ENTRY_SIZE_MAX = 24 * 1024
WRAPPED_KEY_SIZE = 140
SIDE_SIZE_MAX = 132 * 1024
RECEIPT_SIZE_MAX = 64 * 1024
RECEIPT_FEEDS_MAX = 960
RECEIPT_ARCHIVES_MAX = 16
RECEIPT_UNREAD_MAX = 256
RECEIPT_OWN_MAX = 64
CHUNK_SIZE = 256 * 1024
CHUNKS_MAX = 8192
CHUNK_LIST = 1 << 32
CHUNK_PART_MAX = 128 * 1024 + 8
ASK_RANGES_MAX = 64
ASK_CHUNKS_MAX = 16
RECORD_WRITES_MAX = 1 << 20
UINT32_MAX = 2**32 - 1
AGENCIES_MAX = 512
NOTES_MAX = 2048
FRONTIER_ENTRIES_MAX = 2048
PUT_ENTRIES_MAX = 4096
COMMITS_MAX = 1024
MANIFESTS_MAX = 256
ARCHIVE_PART_MAX = 64
BUNDLE_HEADER_MAX = 512
BUNDLE_PARTS_MAX = 9999
BUNDLE_POSITIONS_MAX = 2048
BUNDLE_CHUNK_MAX = 24 + 256 * 1024 + 16


class Refused(Exception):
    """Bytes that are not accepted; args[0] is the name of the error."""


def malformed(condition):
    if condition:
        raise Refused("malformed")


# --- hashes -------------------------------------------------------------------------------------

def digest(domain, *parts, key=b""):
    text = domain.encode()
    state = hashlib.blake2b(bytes([len(text)]) + text, digest_size=32, key=key)
    for part in parts:
        state.update(part)
    return state.digest()


def u64(number):
    return number.to_bytes(8, "big")


def commit_id_of(header):
    return digest("ilea/commit/v1", header)


def leaf_of(index, item):
    return digest("ilea/leaf/v1", u64(index), item)


def items_root_of(leaves):
    return digest("ilea/items/v1", *leaves)


def feed_id_of(network, agency, node, incarnation, scope, audience=b""):
    return digest("ilea/feed/v1", network, agency, node, incarnation, u64(scope), audience)


def agency_id_of(manifest):
    return digest("ilea/agency/v1", manifest)


def roots_hash_of(threshold, roots):
    return digest("ilea/roots/v1", u64(threshold), *sorted(roots))


def closed_audience_of(network, owner, salt):
    return digest("ilea/audience/v1", network, owner, salt)[:16]


def audience_of(network, agency, name):
    return digest("ilea/audience/v1", network, agency, name.encode())[:16]


def session_id_of(nonce_a, nonce_b):
    session = bytearray(digest("ilea/session/v1", min(nonce_a, nonce_b), max(nonce_a, nonce_b))[:8])
    session[0] |= 1
    return bytes(session)


def frontier_hash_of(parts):
    return digest("ilea/frontier/v1", *parts)


def fingerprint_of(agency):
    data = digest("ilea/fingerprint/v1", agency)
    return " ".join("%05d" % int.from_bytes(data[2 * i:2 * i + 2], "big") for i in range(8))


HELLO_NUMBERS = ("version_min", "version_max", "features", "own_index", "known_index")


def bind_message_of(sender, receiver):
    """Each a dict of transport, nonce, and the rest of its HELLO."""
    return (sender["transport"] + receiver["transport"] + sender["nonce"] + receiver["nonce"]
            + b"".join(b"".join(u64(side[key]) for key in HELLO_NUMBERS) + side["known_hash"]
                       for side in (sender, receiver)))


def group_hash_parts(group):
    """What an agency adds to entries_hash."""
    return [group["agency"], u64(group["manifest_index"]), group["manifest_hash"],
            u64(group["archived_count"]), group["archived_sum"], u64(len(group["forks"])),
            *(part for fork in group["forks"] for part in fork), u64(len(group["entries"])),
            *(part for feed, seq, id_ in group["entries"] for part in (feed, u64(seq), id_))]


def archive_of(positions):
    """Sum of all, and for each bucket that of the short hashes."""
    total, buckets = 0, [0] * 256
    for feed, seq, id_ in positions:
        hash_ = frontier_hash_of([feed, u64(seq), id_])
        total += int.from_bytes(hash_, "big")
        buckets[feed[0]] += int.from_bytes(hash_[:8], "big")
    return ((total % 2**256).to_bytes(32, "big"),
            b"".join(u64(bucket % 2**64) for bucket in buckets))


# --- canonical MessagePack ----------------------------------------------------------------------

Text = collections.namedtuple("Text", "data")  # a str, as its bytes


def text_is_valid(data):
    try:
        text = data.decode("utf-8")  # strict: no overlong forms, no surrogates
    except UnicodeDecodeError:
        return False
    return not any(ord(c) < 0x20 and c not in "\n\t" or 0x7f <= ord(c) <= 0x9f for c in text)


class Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, size):
        malformed(size > len(self.data) - self.at)
        self.at += size
        return self.data[self.at - size:self.at]

    def number(self, width, least):
        value = int.from_bytes(self.take(width), "big")
        malformed(value < least)  # a shorter form would have done
        return value

    def tag(self):
        return self.take(1)[0]

    def uint(self, most=2**64 - 1):
        tag = self.tag()
        if tag <= 0x7f:
            value = tag
        elif tag == 0xcc:
            value = self.number(1, 0x80)
        elif tag == 0xcd:
            value = self.number(2, 0x100)
        elif tag == 0xce:
            value = self.number(4, 0x10000)
        elif tag == 0xcf:
            value = self.number(8, 0x100000000)
        else:
            raise Refused("malformed")
        malformed(value > most)
        return value

    def array(self, most):
        tag = self.tag()
        if 0x90 <= tag <= 0x9f:
            count = tag - 0x90
        elif tag == 0xdc:
            count = self.number(2, 0x10)
        elif tag == 0xdd:
            count = self.number(4, 0x10000)
        else:
            raise Refused("malformed")
        malformed(count > most or count > len(self.data) - self.at)
        return count

    def array_of(self, count):
        malformed(self.array(count) != count)

    def bin(self, most):
        tag = self.tag()
        if tag == 0xc4:
            size = self.number(1, 0)
        elif tag == 0xc5:
            size = self.number(2, 0x100)
        elif tag == 0xc6:
            size = self.number(4, 0x10000)
        else:
            raise Refused("malformed")
        malformed(size > most)
        return self.take(size)

    def bytes(self, size):
        data = self.bin(size)
        malformed(len(data) != size)
        return data

    def str(self, most):
        tag = self.tag()
        if 0xa0 <= tag <= 0xbf:
            size = tag - 0xa0
        elif tag == 0xd9:
            size = self.number(1, 0x20)
        elif tag == 0xda:
            size = self.number(2, 0x100)
        elif tag == 0xdb:
            size = self.number(4, 0x10000)
        else:
            raise Refused("malformed")
        malformed(size > most)
        data = self.take(size)
        malformed(not text_is_valid(data))
        return data

    def any(self, depth):
        malformed(self.at == len(self.data))
        tag = self.data[self.at]
        if 0x90 <= tag <= 0x9f or tag in (0xdc, 0xdd):
            malformed(depth == 0)
            return [self.any(depth - 1) for _ in range(self.array(UINT32_MAX))]
        if tag in (0xc4, 0xc5, 0xc6):
            return self.bin(UINT32_MAX)
        if 0xa0 <= tag <= 0xbf or tag in (0xd9, 0xda, 0xdb):
            return Text(self.str(UINT32_MAX))
        return self.uint()

    def value(self, most=VALUE_SIZE_MAX, depth=VALUE_DEPTH_MAX):
        """The encoding of one value."""
        start = self.at
        self.any(depth)
        malformed(self.at - start > most)
        return self.data[start:self.at]

    def end(self):
        malformed(self.at != len(self.data))


def encode(value):
    """int, bytes, Text, list; or Raw, which is encoded already."""
    if isinstance(value, Raw):
        return value.data
    if isinstance(value, list):
        count = len(value)
        head = (bytes([0x90 + count]) if count < 16 else
                b"\xdc" + count.to_bytes(2, "big") if count < 65536 else
                b"\xdd" + count.to_bytes(4, "big"))
        return head + b"".join(encode(part) for part in value)
    if isinstance(value, Text):
        size = len(value.data)
        head = (bytes([0xa0 + size]) if size < 32 else b"\xd9" + bytes([size]) if size < 256 else
                b"\xda" + size.to_bytes(2, "big") if size < 65536 else
                b"\xdb" + size.to_bytes(4, "big"))
        return head + value.data
    if isinstance(value, (bytes, bytearray)):
        size = len(value)
        head = (b"\xc4" + bytes([size]) if size < 256 else
                b"\xc5" + size.to_bytes(2, "big") if size < 65536 else
                b"\xc6" + size.to_bytes(4, "big"))
        return head + bytes(value)
    if value < 0x80:
        return bytes([value])
    for tag, width in ((0xcc, 1), (0xcd, 2), (0xce, 4), (0xcf, 8)):
        if value < 1 << 8 * width:
            return bytes([tag]) + value.to_bytes(width, "big")
    raise ValueError(value)


Raw = collections.namedtuple("Raw", "data")


# --- changes and records ------------------------------------------------------------------------

def ascends(items):
    return all(a < b for a, b in zip(items, items[1:]))


def read_dot(reader):
    reader.array_of(3)
    feed, seq = reader.bytes(16), reader.uint()
    index = reader.uint(COMMIT_ITEMS_MAX - 1)
    malformed(seq == 0)
    return feed, seq, index


def read_optional(reader, most):
    return reader.value(most) if reader.array(1) == 1 else b""


def read_op(reader):
    reader.array_of(5)
    op = {"field": reader.uint(UINT32_MAX), "key": read_optional(reader, KEY_SIZE_MAX),
          "value": read_optional(reader, VALUE_SIZE_MAX), "depth": reader.uint(UINT32_MAX)}
    op["replaces"] = [read_dot(reader) for _ in range(reader.array(OP_REPLACES_MAX))]
    malformed(op["field"] == 0 or op["depth"] == 0 or not ascends(op["replaces"]))
    return op


def decode_change(data):
    if len(data) > CHANGE_SIZE_MAX:
        raise Refused("limit")
    reader = Reader(data)
    fields, version = reader.array(32), reader.uint()
    if version > 1:
        raise Refused("unknown")
    malformed(fields != 9 or version != 1)
    change = {"record": reader.bytes(16), "type": reader.uint(UINT32_MAX),
              "time_ms": reader.uint(), "label": reader.uint(5), "handling": reader.uint(255),
              "run": reader.uint(), "prev_leaf": reader.bytes(32)}
    malformed(change["run"] == 0 or change["label"] == 0 or change["type"] == 0)
    change["ops"] = [read_op(reader) for _ in range(reader.array(CHANGE_OPS_MAX))]
    reader.end()
    malformed(not ascends([(op["field"], op["key"]) for op in change["ops"]]))
    return change


def read_encoded(reader, most):
    """A key or value of a put: a bin that holds one value, or nothing."""
    data = reader.bin(most)
    if data:
        inner = Reader(data)
        inner.value(most)
        inner.end()
    return data


def decode_put(data):
    reader = Reader(data)
    reader.array_of(7)
    malformed(reader.uint() != 1)
    put = {"mode": reader.uint(4), "scope": reader.uint(3), "audience": reader.bin(16),
           "type": reader.uint(UINT32_MAX), "id": reader.bin(16), "entries": []}
    malformed(len(put["audience"]) != (16 if put["scope"] == 3 else 0))
    for _ in range(reader.array(PUT_ENTRIES_MAX)):
        reader.array_of(4)
        field, action = reader.uint(UINT32_MAX), reader.uint(3)
        key, value = read_encoded(reader, KEY_SIZE_MAX), read_encoded(reader, VALUE_SIZE_MAX)
        malformed(action == 0 or field == 0 or (action == 1) != (value != b"")
                  or (action == 3 and key != b""))
        put["entries"].append((field, action, key, value))
    reader.end()
    malformed(put["mode"] == 0 or put["type"] == 0 or len(put["id"]) not in (0, 16)
              or (put["id"] == b"" and put["mode"] != 1))
    return put


def merge(changes):
    """What a set of (dot, change) adds up to, told without any order of merging."""
    writes, covers, total = {}, collections.Counter(), 0
    for dot, change in changes:
        for op in change["ops"]:
            total += 1 + len(op["replaces"])
            for replaced in op["replaces"]:
                covers[op["field"], op["key"], replaced] += 1
            if op["value"]:
                writes[op["field"], op["key"], dot] = (op["depth"], op["value"])
    entries = [(field, key, depth, dot, value)
               for (field, key, dot), (depth, value) in writes.items()
               if (field, key, dot) not in covers]
    covered = []
    for place, count in covers.items():
        covered += [place] * (count - (1 if place in writes else 0))
    return total, sorted(entries), sorted(covered)


def encode_record(total, entries, covered):
    dots = sorted({entry[3] for entry in entries} | {place[2] for place in covered})
    number = {dot: i for i, dot in enumerate(dots)}
    return encode([
        1, total, [list(dot) for dot in dots],
        [[field, key, value, depth, number[dot]] for field, key, depth, dot, value in entries],
        [[field, key, number[dot]] for field, key, dot in covered]])


def decode_record(data):
    reader = Reader(data)
    reader.array_of(5)
    malformed(reader.uint() != 1)
    total = reader.uint(RECORD_WRITES_MAX + 1)
    dots = [read_dot(reader) for _ in range(reader.array(2 * RECORD_WRITES_MAX))]
    malformed(not ascends(dots))

    def read_named_dot():
        index = reader.uint(UINT32_MAX)
        malformed(index >= len(dots))
        return dots[index]

    def read_entry():
        reader.array_of(5)
        field, key = reader.uint(UINT32_MAX), reader.bin(KEY_SIZE_MAX)
        value, depth = reader.bin(VALUE_SIZE_MAX), reader.uint(UINT32_MAX)
        return field, key, depth, read_named_dot(), value

    def read_covered():
        reader.array_of(3)
        return reader.uint(UINT32_MAX), reader.bin(KEY_SIZE_MAX), read_named_dot()

    entries = [read_entry() for _ in range(reader.array(RECORD_WRITES_MAX))]
    covered = [read_covered() for _ in range(reader.array(RECORD_WRITES_MAX))]
    reader.end()
    malformed(not ascends([entry[:4] for entry in entries]) or covered != sorted(covered)
              or any(place[0] == 0 for place in entries + covered))
    return total, entries, covered


def shown(siblings, merge_class, codes):
    """Of the entries of one (field, key), in order: the value that is shown."""
    def rank(value):
        code = Reader(value).str(VALUE_SIZE_MAX).decode()
        return codes.index(code) if code in codes else len(codes)

    if merge_class == "immutable":
        return siblings[0][4]
    if merge_class in ("restrictive", "state"):
        return max(siblings, key=lambda entry: (rank(entry[4]), entry[2], entry[3]))[4]
    return siblings[-1][4]


# --- items, commits, statements -----------------------------------------------------------------

def decode_item(data):
    malformed(len(data) < ITEM_SIZE_MIN)
    if len(data) > ITEM_SIZE_MAX:
        raise Refused("limit")
    reader = Reader(data)
    fields, flags = reader.array(16), reader.uint(UINT32_MAX)
    if flags & ~3:
        raise Refused("unknown")
    item = {"flags": flags}
    if flags & 2:
        malformed(fields != 2 or flags != 2)
    else:
        malformed(fields != 5)
        item.update(audience=reader.bytes(16), epoch=reader.bytes(16), nonce=reader.bytes(24))
    item["content"] = reader.bin(ITEM_SIZE_MAX)
    reader.end()
    malformed(flags != 2 and len(item["content"]) < 16)
    return item


def decode_header(data):
    if len(data) > HEADER_SIZE_MAX:
        raise Refused("limit")
    reader = Reader(data)
    fields, version, suite = reader.array(32), reader.uint(), reader.uint()
    if version != 1 or suite != 1:
        raise Refused("unknown")
    malformed(fields != 9)
    header = {"feed": reader.bytes(32), "seq": reader.uint(), "prev": reader.bytes(32),
              "items_root": reader.bytes(32), "item_count": reader.uint(COMMIT_ITEMS_MAX),
              "kind": reader.uint()}
    crit = [reader.uint() for _ in range(reader.array(HEADER_CRIT_MAX))]
    reader.end()
    if crit or header["kind"] not in (1, 2):
        raise Refused("unknown")
    first = header["seq"] == 1
    malformed(header["seq"] == 0 or header["item_count"] == 0 or first != (header["kind"] == 1)
              or first != (header["prev"] == bytes(32)))
    return header


def decode_commit(data):
    if len(data) > COMMIT_SIZE_MAX:
        raise Refused("limit")
    reader = Reader(data)
    reader.array_of(3)
    header_bytes, signature = reader.bin(HEADER_SIZE_MAX), reader.bytes(64)
    count = reader.array(COMMIT_ITEMS_MAX)
    header = decode_header(header_bytes)
    malformed(count != header["item_count"])
    slots = [reader.bin(ITEM_SIZE_MAX) for _ in range(count)]
    reader.end()
    malformed(any(len(slot) < 32 for slot in slots))
    leaves = [slot if len(slot) == 32 else leaf_of(i, slot) for i, slot in enumerate(slots)]
    if items_root_of(leaves) != header["items_root"]:
        raise Refused("bad_hash")
    return {"header": header_bytes, "fields": header, "signature": signature, "slots": slots,
            "leaves": leaves}


def read_position(reader):
    reader.array_of(3)
    feed, seq, commit = reader.bytes(32), reader.uint(), reader.bytes(32)
    malformed(seq == 0)
    return feed, seq, commit


def read_heads(reader, least):
    heads = []
    for _ in range(reader.array(HEADS_MAX)):
        reader.array_of(2)
        heads.append((reader.bytes(32), reader.bytes(32)))
    malformed(len(heads) < least or not ascends([head[0] for head in heads]))
    return heads


def read_wrapped(reader):
    wrapped = [reader.bytes(WRAPPED_KEY_SIZE) for _ in range(reader.array(MEMBERS_MAX))]
    malformed(not wrapped or not ascends(wrapped))
    return wrapped


def read_member_act(reader):
    reader.array_of(5)
    act, agency, level = reader.uint(3), reader.bytes(32), reader.uint(3)
    reading, code = reader.bin(32), reader.str(CODE_SIZE_MAX)
    adds = act == 1
    malformed(act == 0 or (level != 0) != adds or len(reading) != (32 if adds else 0)
              or (len(code) != 0) != adds or b"\n" in code or b"\t" in code)
    return act, agency, level, reading, code


def read_info(reader):
    fields = reader.array(4)
    if fields == 0:
        return ()
    malformed(fields != 4)
    info = (reader.str(AUDIENCE_NAME_MAX), reader.uint(4), reader.uint(), reader.uint(1))
    malformed(not info[0] or b"\n" in info[0] or b"\t" in info[0] or info[1] == 0
              or info[2] > 2**63 - 1)
    return info


def read_dot_to_erase(reader):
    reader.array_of(4)
    dot = (reader.bytes(16), reader.uint(), reader.uint(COMMIT_ITEMS_MAX - 1), reader.bytes(32))
    malformed(dot[1] == 0)
    return dot


def decode_erase(reader):
    dots = [read_dot_to_erase(reader) for _ in range(reader.array(ERASE_DOTS_MAX))]
    malformed(not dots or not ascends([dot[:3] for dot in dots]))
    act, sigs = reader.bin(ACT_SIZE_MAX), []
    for _ in range(reader.array(ACT_SIGS_MAX)):
        reader.array_of(2)
        sigs.append((reader.bytes(32), reader.bytes(64)))
    malformed(not ascends([sig[0] for sig in sigs]) or (len(act) == 0) != (len(sigs) == 0))
    return {"dots": dots, "act": act, "sigs": sigs,
            "hash": digest("ilea/erase/v1", encode([list(dot) for dot in dots]))}


def decode_later_statement(reader, fields, kind):
    malformed(fields != {4: 9, 5: 5, 6: 3, 7: 4, 8: 6}[kind])
    statement = {"kind": kind}
    if kind == 7:
        statement.update(decode_erase(reader))
    else:
        statement["audience"] = reader.bytes(16)
    if kind == 4:
        statement.update(number=reader.uint(), aek_commit=reader.bytes(32), heads=read_heads(reader, 0),
                         wrapped=read_wrapped(reader), time_ms=reader.uint())
        statement["acts"] = [read_member_act(reader) for _ in range(reader.array(MEMBER_ACTS_MAX))]
        statement["info"] = read_info(reader)
        malformed(statement["number"] == 0 or not ascends([act[1] for act in statement["acts"]])
                  or bool(statement["info"]) == bool(statement["heads"]))
    elif kind == 5:
        statement.update(heads=read_heads(reader, 1), subject=reader.bytes(32),
                         reason=reader.str(SUSPEND_REASON_MAX))
    elif kind == 6:
        statement.update(heads=read_heads(reader, 1))
    elif kind == 8:
        statement.update(restricted=reader.uint(1), aek_commit=reader.bytes(32),
                         heads=read_heads(reader, 1), wrapped=read_wrapped(reader))
    reader.end()
    return statement


def decode_statement(data):
    reader = Reader(data)
    fields, kind = reader.array(64), reader.uint()
    malformed(kind == 0)
    if kind > 8:
        raise Refused("unknown")
    if kind > 3:
        return decode_later_statement(reader, fields, kind)
    statement = {"kind": kind}
    if kind == 1:
        statement.update(agency=reader.bytes(32), node=reader.bytes(32),
                         incarnation=reader.bytes(16), scope=reader.uint(4))
        malformed(statement["scope"] == 0)
        malformed(fields != (8 if statement["scope"] == 3 else 6))
        positions = [read_position(reader) for _ in range(reader.array(PREDECESSORS_MAX))]
        malformed(not ascends([position[0] for position in positions]))
        statement["predecessors"] = positions
        if statement["scope"] == 3:
            statement.update(owner=reader.bytes(32), salt=reader.bytes(16))
    malformed(kind > 1 and fields != {2: 6, 3: 3}[kind])
    if kind == 1:
        pass
    elif kind == 2:
        statement.update(audience=reader.bytes(16), number=reader.uint(),
                         aek_commit=reader.bytes(32))
        malformed(statement["number"] == 0)
        statement["heads"] = [reader.bytes(32) for _ in range(reader.array(HEADS_MAX))]
        statement["wrapped"] = [reader.bytes(WRAPPED_KEY_SIZE)
                                for _ in range(reader.array(MEMBERS_MAX))]
        malformed(not ascends(statement["heads"]) or not ascends(statement["wrapped"]))
    else:
        statement["audience"] = reader.bytes(16)
        statement["keys"] = []
        for _ in range(reader.array(HISTORY_KEYS_MAX)):
            reader.array_of(2)
            statement["keys"].append((reader.bytes(32), reader.bytes(WRAPPED_KEY_SIZE)))
    reader.end()
    return statement


# --- manifests and cards ------------------------------------------------------------------------

def endpoint_is_valid(endpoint):
    if endpoint == b"":
        return True
    found = re.fullmatch(rb"tcp://[A-Za-z0-9.:\[\]*-]+:([0-9]{1,5})", endpoint)
    return bool(found) and len(endpoint) <= 200 and 1 <= int(found[1]) <= 65535


def decode_manifest(data):
    """Form and hashes. The signatures are left to others."""
    if len(data) > MANIFEST_SIZE_MAX:
        raise Refused("limit")
    outer = Reader(data)
    outer.array_of(2)
    body = outer.bin(MANIFEST_SIZE_MAX)
    reader = Reader(body)
    fields, version = reader.array(32), reader.uint()
    if version != 2:
        raise Refused("unknown")
    malformed(fields != 18)
    manifest = {"network": reader.bytes(32), "agency_field": reader.bytes(32),
                "index": reader.uint(), "prev": reader.bytes(32), "code": reader.str(16),
                "country": reader.str(3), "name_text": reader.str(200),
                "threshold": reader.uint(ROOTS_MAX)}
    manifest["roots"] = [reader.bytes(32) for _ in range(reader.array(ROOTS_MAX))]
    for name in ("next_roots", "node", "transport", "reading"):
        manifest[name] = reader.bytes(32)
    manifest["admins"] = [reader.bytes(32) for _ in range(reader.array(ADMINS_MAX))]
    manifest["revoked"] = [reader.bytes(32) for _ in range(reader.array(REVOKED_MAX))]
    manifest["positions"] = [read_position(reader) for _ in range(reader.array(POSITIONS_MAX))]
    manifest["pop"] = reader.bytes(64)
    reader.end()
    check_manifest_rules(manifest)
    if manifest["transport"] == manifest["reading"]:
        raise Refused("bad_signature")
    indexes = []
    try:
        for _ in range(outer.array(ROOTS_MAX)):
            outer.array_of(2)
            indexes.append(outer.uint(ROOTS_MAX - 1))
            outer.bytes(64)
        malformed(not ascends(indexes) or any(i >= len(manifest["roots"]) for i in indexes)
                  or len(indexes) < manifest["threshold"])
    except Refused:
        raise Refused("bad_signature") from None
    outer.end()
    manifest.update(manifest=body, hash=agency_id_of(body))
    manifest["agency"] = manifest["hash"] if manifest["index"] == 0 else manifest["agency_field"]
    return manifest


def check_manifest_rules(manifest):
    first, name = manifest["index"] == 0, manifest["name_text"]
    roots, admins, revoked = (manifest[keys] for keys in ("roots", "admins", "revoked"))
    malformed(first != (manifest["prev"] == bytes(32))
              or first != (manifest["agency_field"] == bytes(32))
              or first and (revoked or manifest["positions"])
              or not re.fullmatch(rb"[A-Z][A-Z0-9-]*[A-Z0-9]", manifest["code"])
              or not re.fullmatch(rb"[A-Z]{2,3}", manifest["country"])
              or name == b"" or b"\n" in name or b"\t" in name
              or not 1 <= manifest["threshold"] <= len(roots)
              or not all(ascends(keys) for keys in (roots, admins, revoked))
              or not ascends([feed for feed, _, _ in manifest["positions"]])
              or manifest["node"] in roots + admins + revoked or set(roots) & set(admins)
              or manifest["next_roots"] == roots_hash_of(manifest["threshold"], roots))


def succession_of(before, after):
    """How one decoded manifest follows another."""
    if (after["index"] != before["index"] + 1 or after["prev"] != before["hash"]
            or any(after[name] != before[name] for name in ("agency", "network", "code"))):
        return "none"
    if all(after[name] == before[name] for name in ("roots", "threshold", "next_roots")):
        return "ordinary"
    committed = roots_hash_of(after["threshold"], after["roots"]) == before["next_roots"]
    return "roots" if committed else "none"


def decode_card(data):
    if len(data) > CARD_SIZE_MAX:
        raise Refused("limit")
    reader = Reader(data)
    fields, version = reader.array(32), reader.uint()
    if version != 2:
        raise Refused("unknown")
    malformed(fields != 6)
    card = {"chain": [reader.bin(MANIFEST_SIZE_MAX) for _ in range(reader.array(CARD_CHAIN_MAX))],
            "endpoint": reader.str(200), "lobby": reader.str(200), "made_ms": reader.uint()}
    card["hash"] = digest("ilea/card/v1", data[:reader.at])
    card["signature"] = reader.bytes(64)
    reader.end()
    malformed(not card["chain"] or not endpoint_is_valid(card["endpoint"])
              or not endpoint_is_valid(card["lobby"]))
    manifests = [decode_manifest(signed) for signed in card["chain"]]
    malformed(manifests[0]["index"] != 0
              or any(succession_of(*pair) == "none" for pair in zip(manifests, manifests[1:])))
    card["manifest"] = manifests[-1]
    card["agency"] = manifests[-1]["agency"]
    card["roots_hash"] = roots_hash_of(manifests[-1]["threshold"], manifests[-1]["roots"])
    return card


def card_text(card_bytes):
    card = decode_card(card_bytes)
    manifest = card["manifest"]
    coded = base64.b64encode(card_bytes).decode()
    lines = ["-----BEGIN ILEANET CARD-----",
             "Agency:      %s (%s) %s" % (manifest["code"].decode(), manifest["country"].decode(),
                                          manifest["name_text"].decode()),
             "Fingerprint: " + fingerprint_of(manifest["agency"]),
             "Endpoint:    " + (card["endpoint"].decode() or "none"),
             "Lobby:       " + (card["lobby"].decode() or "none"), ""]
    lines += [coded[i:i + 72] for i in range(0, len(coded), 72)]
    return ("\n".join(lines + ["-----END ILEANET CARD-----"]) + "\n").encode()


def parse_card_text(text):
    plain = text.replace(b"\r", b"")
    plain = b"\n".join(line.rstrip(b" \t") for line in plain.split(b"\n")).rstrip(b" \t\n")
    head, blank, rest = plain.partition(b"\n\n")
    coded, end, _ = rest.partition(b"-----END")
    malformed(not blank or not end)
    try:
        data = base64.b64decode(coded.replace(b"\n", b""), validate=True)
    except ValueError:
        raise Refused("malformed") from None
    malformed(card_text(data).rstrip(b"\n") != plain)
    return data


# --- forks, acts, audit -------------------------------------------------------------------------

def decode_fork(data, network):
    """All but the signatures."""
    if len(data) > FORK_SIZE_MAX:
        raise Refused("limit")
    reader = Reader(data)
    fields, version = reader.array(32), reader.uint()
    if version != 1:
        raise Refused("unknown")
    malformed(fields != 10)
    fork = {"agency": reader.bytes(32), "node": reader.bytes(32), "incarnation": reader.bytes(16),
            "scope": reader.uint(4), "audience": reader.bin(16)}
    for side in "ab":
        fork["header_" + side] = reader.bin(HEADER_SIZE_MAX)
        fork["signature_" + side] = reader.bytes(64)
    reader.end()
    malformed(fork["scope"] == 0 or len(fork["audience"]) != (16 if fork["scope"] == 3 else 0))
    a, b = (decode_header(fork["header_" + side]) for side in "ab")
    fork.update(a=commit_id_of(fork["header_a"]), b=commit_id_of(fork["header_b"]), seq=a["seq"],
                prev=a["prev"], hash=digest("ilea/fork/v1", data),
                feed=feed_id_of(network, *(fork[name] for name in (
                    "agency", "node", "incarnation", "scope", "audience"))))
    malformed(a["seq"] != b["seq"] or fork["a"] >= fork["b"])
    if a["feed"] != fork["feed"] or b["feed"] != fork["feed"]:
        raise Refused("bad_hash")
    return fork


def read_word(reader):
    word = reader.str(ACT_KIND_MAX)
    malformed(not re.fullmatch(rb"[a-z.-]+", word))
    return word


def read_pair(reader):
    reader.array_of(2)
    return read_word(reader), reader.str(ACT_VALUE_MAX)


def decode_act(data):
    if len(data) > ACT_SIZE_MAX:
        raise Refused("limit")
    reader = Reader(data)
    fields, version = reader.array(32), reader.uint()
    if version != 1:
        raise Refused("unknown")
    malformed(fields != 7)
    act = {"agency": reader.bytes(32), "nonce": reader.bytes(16), "made_ms": reader.uint(),
           "kind": read_word(reader), "subject": reader.bin(32)}
    act["pairs"] = [read_pair(reader) for _ in range(reader.array(ACT_PAIRS_MAX))]
    reader.end()
    malformed(len(act["subject"]) not in (0, 32) or not ascends([key for key, _ in act["pairs"]]))
    act["hash"] = digest("ilea/act/v1", data)
    return act


def read_act_signature(reader):
    reader.array_of(2)
    return reader.bytes(32), reader.bytes(64)


def decode_entry(data):
    """Form alone; the node signs `signed`, a hash."""
    if len(data) > ENTRY_SIZE_MAX:
        raise Refused("limit")
    reader = Reader(data)
    fields, version = reader.array(32), reader.uint()
    if version != 1:
        raise Refused("unknown")
    malformed(fields != 7)
    entry = {"seq": reader.uint(), "prev": reader.bytes(32), "time_ms": reader.uint(),
             "act": reader.bin(ACT_SIZE_MAX)}
    entry["signatures"] = [read_act_signature(reader) for _ in range(reader.array(ACT_SIGS_MAX))]
    entry["signed"] = digest("ilea/audit/v1", data[:reader.at])
    entry["node_signature"] = reader.bytes(64)
    reader.end()
    malformed(entry["seq"] == 0 or (entry["seq"] == 1) != (entry["prev"] == bytes(32))
              or not ascends([admin for admin, _ in entry["signatures"]]))
    decode_act(entry["act"])
    entry["hash"] = digest("ilea/audit/v1", data)
    return entry


# --- releases -----------------------------------------------------------------------------------

def decode_release(data):
    if len(data) > RELEASE_SIZE_MAX:
        raise Refused("limit")
    reader = Reader(data)
    fields, version = reader.array(32), reader.uint()
    if version != 1:
        raise Refused("unknown")
    malformed(fields != 4)
    release = {"scope": reader.uint(3), "audience": reader.bytes(16)}
    release["items"] = read_list(reader, RELEASE_RECORDS_MAX, lambda r: r.uint(UINT32_MAX), lambda r: r.bytes(16),
                                 lambda r: r.uint(5), lambda r: r.bytes(32), lambda r: r.bin(RELEASE_PUT_MAX))
    reader.end()
    items = release["items"]
    malformed(release["scope"] < 2 or (release["scope"] == 2 and release["audience"] != bytes(16)) or not items)
    malformed(any(kind == 0 or label == 0 for kind, _, label, _, _ in items)
              or not ascends([(record, kind) for kind, record, _, _, _ in items]))
    release["hash"] = digest("ilea/release/v1", data)
    return release


# --- receipts -----------------------------------------------------------------------------------

def decode_receipt(data):
    """Form alone; the holder's node signs `hash`."""
    if len(data) > RECEIPT_SIZE_MAX:
        raise Refused("limit")
    reader = Reader(data)
    fields, version = reader.array(32), reader.uint()
    if version != 1:
        raise Refused("unknown")
    malformed(fields != 6)
    receipt = {"holder": reader.bytes(32), "author": reader.bytes(32), "counter": reader.uint(),
               "sealed": reader.bin(RECEIPT_SIZE_MAX)}
    receipt["hash"] = digest("ilea/receipt/v1", data[:reader.at])
    receipt["signature"] = reader.bytes(64)
    reader.end()
    malformed(receipt["holder"] == receipt["author"])
    return receipt


def receipt_prefix(network, receipt):
    """What stands before the body in what is sealed."""
    domain = b"ilea/receipt-seal/v1"
    return bytes([len(domain)]) + domain + network + receipt["holder"] + receipt["author"] + u64(receipt["counter"])


def read_list(reader, most, *read):
    rows = []
    for _ in range(reader.array(most)):
        reader.array_of(len(read))
        rows.append([part(reader) for part in read])
    return rows


def decode_receipt_body(data):
    reader = Reader(data)
    reader.array_of(4)
    feeds = read_list(reader, RECEIPT_FEEDS_MAX, lambda r: r.bytes(32), Reader.uint, Reader.uint)
    malformed(any(not 0 < held or seen > held for _, held, seen in feeds) or not ascends([row[0] for row in feeds]))
    archives = read_list(reader, RECEIPT_ARCHIVES_MAX, lambda r: r.bin(16), Reader.uint, lambda r: r.bytes(32))
    malformed(any(len(audience) not in (0, 16) or count == 0 for audience, count, _ in archives)
              or not ascends([row[0] for row in archives]))
    unread = read_list(reader, RECEIPT_UNREAD_MAX, lambda r: r.bytes(16), Reader.uint,
                       lambda r: r.uint(UINT32_MAX), lambda r: r.uint(4))
    malformed(any(seq == 0 or why == 0 for _, seq, _, why in unread) or not ascends([row[:3] for row in unread]))
    own = read_list(reader, RECEIPT_OWN_MAX, lambda r: r.bytes(32), Reader.uint, lambda r: r.bin(16))
    malformed(any(seq == 0 or len(audience) not in (0, 16) for _, seq, audience in own)
              or not ascends([row[0] for row in own]))
    reader.end()
    return {"feeds": feeds, "archives": archives, "unread": unread, "own": own}


def decode_receipt_ask(data):
    reader = Reader(data)
    reader.array_of(3)
    malformed(reader.uint() != 1)
    ask = {"database": reader.bin(16), "stamp": reader.uint()}
    reader.end()
    malformed(len(ask["database"]) not in (0, 16))
    return ask


def decode_receipt_give(data):
    reader = Reader(data)
    reader.array_of(5)
    malformed(reader.uint() != 2)
    give = {"database": reader.bytes(16), "stamp": reader.uint(), "more": reader.uint(1)}
    give["receipts"] = [reader.bin(RECEIPT_SIZE_MAX) for _ in range(reader.array(1024))]
    reader.end()
    malformed(give["stamp"] == 0)
    return give


# --- messages -----------------------------------------------------------------------------------

def decode_frame(data):
    malformed(not 13 <= len(data) <= MESSAGE_SIZE_MAX)
    session, number, kind = data[:8], int.from_bytes(data[8:12], "big"), data[12]
    malformed(not 1 <= kind <= 10)
    first = session == bytes(8)
    malformed(first != (kind == 1) or first != (number == 0))
    reader = Reader(data[13:])
    read = (read_hello, read_bind, read_frontier, read_commits, read_credit, read_notes,
            read_manifests, read_fork_message, read_side, read_want)[kind - 1]
    frame = {"session": session, "number": number, "type": kind}
    frame.update(read(reader))
    reader.end()
    return frame


def read_hello(reader):
    reader.array_of(8)
    low, high = reader.uint(UINT32_MAX), reader.uint(UINT32_MAX)
    malformed(low == 0 or low > high)
    return {"version_min": low, "version_max": high, "features": reader.uint(),
            "agency": reader.bytes(32), "nonce": reader.bytes(32), "own_index": reader.uint(),
            "known_index": reader.uint(), "known_hash": reader.bytes(32)}


def read_bind(reader):
    reader.array_of(1)
    return {"signature": reader.bytes(64)}


def read_known_fork(reader):
    reader.array_of(2)
    return reader.bytes(32), reader.bytes(32)


def read_positions(reader, most):
    return [read_position(reader) for _ in range(reader.array(most))]


def read_group(reader):
    reader.array_of(7)
    return {"agency": reader.bytes(32), "manifest_index": reader.uint(),
            "manifest_hash": reader.bytes(32), "archived_count": reader.uint(),
            "archived_sum": reader.bytes(32),
            "forks": [read_known_fork(reader) for _ in range(reader.array(FRONTIER_ENTRIES_MAX))],
            "entries": read_positions(reader, FRONTIER_ENTRIES_MAX)}


def read_frontier(reader):
    fields, form = reader.array(4), reader.uint(3)
    malformed(fields != (3 if form == 0 else 4))
    if form == 0:
        return {"form": 0, "follows_hash": reader.bytes(32), "entries_hash": reader.bytes(32)}
    if form == 2:
        part = {"form": 2, "agency": reader.bytes(32), "last": reader.uint(1),
                "entries": read_positions(reader, ARCHIVE_PART_MAX)}
        feeds = [entry[0] for entry in part["entries"]]
        malformed(any(a >= b for a, b in zip(feeds, feeds[1:])))
        return part
    if form == 3:
        ask = {"form": 3, "agency": reader.bytes(32), "after": reader.bin(32),
               "sums": reader.bin(2048)}
        malformed(len(ask["after"]) not in (0, 32) or len(ask["sums"]) not in (0, 2048))
        return ask
    return {"form": 1, "last": reader.uint(1),
            "follows": [reader.bytes(32) for _ in range(reader.array(AGENCIES_MAX))],
            "groups": [read_group(reader) for _ in range(reader.array(AGENCIES_MAX))]}


def read_commits(reader):
    reader.array_of(2)
    feed = reader.bytes(32)
    commits = [reader.bin(COMMIT_SIZE_MAX) for _ in range(reader.array(COMMITS_MAX))]
    malformed(not commits)
    return {"feed": feed, "commits": commits}


def read_credit(reader):
    reader.array_of(2)
    limit, positions = reader.uint(), []
    for _ in range(reader.array(NOTES_MAX)):
        reader.array_of(2)
        positions.append((reader.bytes(32), reader.uint()))
    return {"limit": limit, "positions": positions}


def read_notes(reader):
    notes = []
    for _ in range(reader.array(NOTES_MAX)):
        fields = reader.array(4)
        malformed(fields < 3)
        note = [reader.bytes(32), reader.uint(), reader.uint(1)]
        notes.append(note + [reader.bytes(32)] if fields == 4 else note)
    malformed(not notes)
    return {"notes": notes}


def read_manifests(reader):
    reader.array_of(2)
    agency = reader.bytes(32)
    manifests = [reader.bin(MANIFEST_SIZE_MAX) for _ in range(reader.array(MANIFESTS_MAX))]
    malformed(not manifests)
    return {"agency": agency, "manifests": manifests}


def read_fork_message(reader):
    reader.array_of(1)
    return {"proof": reader.bin(FORK_SIZE_MAX)}


def read_side(reader):
    """Nothing that a replicator understands; how long it may be is the session's to ask."""
    return {"body": reader.take(len(reader.data))}


def read_want(reader):
    reader.array_of(2)
    want = {"feed": reader.bytes(32), "seq": reader.uint()}
    malformed(want["seq"] == 0)
    return want


# --- the files ----------------------------------------------------------------------------------

# --- the lobby ----------------------------------------------------------------------------------

LOBBY_FRAME_MAX = 8192
LOBBY_REPLY_MAX = 512
BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def sas_side(side):
    return side["agency"] + side["manifest"] + side["nonce"]


def sas_hash(one, other):
    return digest("ilea/sas/v1", u64(2), *sorted((sas_side(one), sas_side(other))))


def sas_code(data, words):
    return "%08d" % (int.from_bytes(data[:8], "big") % 10**8), [words[number] for number in data[8:12]]


def invite_of(token):
    return {"id": digest("ilea/invite/v1", u64(1), token)[:16], "key": digest("ilea/invite/v1", u64(2), token)}


def invite_tag(key, lobby_key, nonce, sealed):
    return digest("ilea/invite/v1", u64(3), lobby_key, nonce, sealed, key=key)


def invite_text(token):
    check = digest("ilea/invite/v1", u64(4), token)[:2]
    bits = int.from_bytes(token + check, "big") >> 4
    letters = [BASE32[bits >> (5 * (27 - i)) & 31] for i in range(28)]
    return "-".join("".join(letters[i:i + 4]) for i in range(0, 28, 4))


def parse_invite(text):
    letters = re.sub("[ -]", "", text).upper().translate(str.maketrans("ILO", "110"))
    malformed(len(letters) != 28 or any(letter not in BASE32 for letter in letters))
    bits = 0
    for letter in letters:
        bits = bits << 5 | BASE32.index(letter)
    token = (bits >> 12).to_bytes(16, "big")
    malformed(re.sub("-", "", invite_text(token)) != letters)
    return token


def decode_lobby_frame(data):
    malformed(len(data) < 3)
    length, kind, body = int.from_bytes(data[:2], "big"), data[2], data[3:]
    malformed(length != len(data) - 2 or len(data) > LOBBY_FRAME_MAX)
    if kind == 1:
        malformed(len(body) != 16)
        return {"type": 1, "invite": body}
    if kind == 2:
        malformed(not body)
        if body[0] != 1:
            raise Refused("unknown")
        malformed(len(body) != 53)
        return {"type": 2, "minutes": int.from_bytes(body[1:5], "big"), "key": body[5:37], "nonce": body[37:]}
    if kind == 3:
        malformed(len(body) <= 80)
        return {"type": 3, "tag": body[:32], "sealed": body[32:]}
    if kind == 4:
        malformed(len(body) <= 48 or len(body) > LOBBY_FRAME_MAX - 35)
        return {"type": 4, "sealed": body}
    malformed(kind != 5 or not 1 <= len(body) <= 1 + LOBBY_REPLY_MAX or body[0] not in (1, 2))
    return {"type": 5, "status": body[0], "reply": body[1:]}


def lobby_hash(challenge, before):
    return digest("ilea/lobby/v1", challenge, before)


def note_is_plain(note):
    return not re.search("[\x00-\x1f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
                         "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001d173-\U0001d17a"
                         "\U000e0000-\U000e0fff]", note.decode())


def decode_lobby_request(data, challenge):
    reader = Reader(data)
    reader.array_of(6)
    malformed(reader.uint() != 1)
    request = {"card": reader.bin(LOBBY_FRAME_MAX - 83), "note": reader.str(500), "made_ms": reader.uint(),
               "invite": reader.bin(16)}
    request["hash"] = lobby_hash(challenge, data[:reader.at])
    request["signature"] = reader.bytes(64)
    reader.end()
    malformed(len(request["invite"]) not in (0, 16) or not note_is_plain(request["note"]))
    decode_card(request["card"])
    return request


def decode_lobby_ceremony(data, challenge):
    reader = Reader(data)
    reader.array_of(7)
    ceremony = {"kind": reader.uint(5), "from": reader.bytes(32), "to": reader.bytes(32),
                "manifest": reader.bytes(32), "value": reader.bytes(32), "reply": reader.bytes(32)}
    ceremony["hash"] = lobby_hash(challenge, data[:reader.at])
    ceremony["signature"] = reader.bytes(64)
    reader.end()
    malformed(ceremony["kind"] < 2 or (ceremony["kind"] in (3, 5)) != (ceremony["reply"] == bytes(32)))
    return ceremony


# --- who is a member of a closed audience ---------------------------------------------------------

REMOVE, LIFT, ADMIN, WRITE, HISTORY_ALL = 2, 3, 3, 2, "all"


class Controls:
    """Control statements of one audience, with plain sets. A statement is a dictionary: id, author, names, and of an
    AUDIENCE number, time_ms, acts [[act, agency, level] ...] and, where it names nothing, history_ms; of a SUSPEND
    subject."""

    def __init__(self, owner, statements):
        self.owner = owner
        self.all = {}
        for one in statements:
            if one["id"] not in self.all and ("acts" in one) == (one["author"] == owner):
                self.all[one["id"]] = one
        self.ancestors = {id_: {id_} for id_ in self.all}
        for _ in self.all:  # until nothing is added any more
            for id_, one in self.all.items():
                for name in one["names"]:
                    self.ancestors[id_] |= self.ancestors.get(name, set())

    def of(self, ids):
        return set().union(*(self.ancestors.get(id_, set()) for id_ in ids))

    def acts(self, agency, kinds, among):
        return {id_: level for id_ in among for act, about, level in self.all[id_].get("acts", ())
                if about == agency and act in kinds}

    def order(self, id_):
        return self.all[id_]["number"], id_

    def level(self, agency, among):
        if agency == self.owner:
            return ADMIN
        removals = set(self.acts(agency, (REMOVE,), among))
        adds = self.acts(agency, (1,), among)
        good = [id_ for id_ in adds if removals <= self.ancestors[id_]]
        return adds[max(good, key=self.order)] if good else 0

    def standing(self, among):
        """The suspensions that stand: id -> (subject, author)."""
        found = {}
        for id_ in among:
            subject, author = self.all[id_].get("subject", self.owner), self.all[id_]["author"]
            if subject == self.owner or not self.level(subject, among) or self.level(author, among) != ADMIN:
                continue
            if not any(id_ in self.ancestors[other] for other in self.acts(subject, (1, LIFT), among)):
                found[id_] = (subject, author)
        return found

    def agencies(self):
        return sorted({self.owner} | {one["author"] for one in self.all.values()}
                      | {one["subject"] for one in self.all.values() if "subject" in one}
                      | {about for one in self.all.values() for _, about, _ in one.get("acts", ())})

    def may_have(self, agency, id_):
        if agency == self.owner:
            return True
        roots = [other for other, one in self.all.items() if "history_ms" in one]
        history = self.all[max(roots, key=self.order)]["history_ms"] if roots else 0
        return (history == HISTORY_ALL or bool(self.level(agency, self.ancestors[id_]))
                or 0 < history <= self.all[id_].get("time_ms", 0))


def membership(owner, statements):
    controls = Controls(owner, statements)
    held, agencies = set(controls.all), controls.agencies()
    members = [agency for agency in agencies if controls.level(agency, held)]
    standing = controls.standing(held)
    must = set(standing)
    for agency in agencies:
        must |= set(controls.acts(agency, (1,) if agency in members else (REMOVE,), held))
    audiences = {id_ for id_ in held if "acts" in controls.all[id_]}
    usable = [id_ for id_ in audiences if must <= controls.ancestors[id_]]
    named = {name for id_ in audiences for name in controls.all[id_]["names"]}
    heads = sorted(held - named)
    known = controls.of(heads) & audiences
    writers, allowed, may_have = [], [], []
    for id_ in sorted(held):
        among = controls.ancestors[id_]
        suspended = {subject for subject, _ in controls.standing(among).values()}
        writers.append([id_, [agency for agency in agencies if controls.level(agency, among) >= WRITE]])
        allowed.append([id_, [agency for agency in agencies
                              if controls.level(agency, among) and agency not in suspended]])
        may_have.append([id_, [agency for agency in agencies if controls.may_have(agency, id_)]])
    return {
        "members": [[agency, controls.level(agency, held),
                     min((author for subject, author in standing.values() if subject == agency), default=0)]
                    for agency in members],
        "epoch": max(usable, key=controls.order) if usable else 0, "heads": heads,
        "next_number": 1 + max((controls.all[id_]["number"] for id_ in known), default=0),
        "writers_at": writers, "allowed_at": allowed, "may_have": may_have}


# --- bundles ------------------------------------------------------------------------------------

def bundle_place(network, bundle, part, number, last):
    """What the encryption of a chunk is bound to, behind the domain of the AEAD."""
    return b"\x0eilea/bundle/v1" + network + bundle + u64(part) + u64(number) + bytes([last])


def decode_bundle_header(data):
    """All but the signature."""
    malformed(len(data) > BUNDLE_HEADER_MAX)
    reader = Reader(data)
    fields, version = reader.array(32), reader.uint()
    if version != 1:
        raise Refused("unknown")
    malformed(fields != 11)
    header = {"network": reader.bytes(32), "from": reader.bytes(32), "manifest": reader.uint(), "to": reader.bytes(32),
              "id": reader.bytes(16), "part": reader.uint(BUNDLE_PARTS_MAX), "made_ms": reader.uint(),
              "aek_commit": reader.bytes(32), "wrapped": reader.bytes(WRAPPED_KEY_SIZE)}
    header["hash"] = digest("ilea/bundle/v1", data[:reader.at])
    header["signature"] = reader.bytes(64)
    reader.end()
    malformed(header["part"] == 0)
    return header


def decode_bundle_totals(data):
    reader = Reader(data)
    reader.array_of(3)
    totals = {"commits": reader.uint(), "bytes": reader.uint(), "after": []}
    fields = reader.array(4)
    malformed(fields not in (0, 4))
    if fields == 4:
        totals["after"] = [reader.bytes(32), reader.bytes(32), reader.uint(), reader.bytes(32)]
        malformed(totals["after"][2] == 0)
    reader.end()
    return totals


def decode_bundle_frontier(data):
    reader = Reader(data)
    reader.array_of(2)
    frontier = {"agency": reader.bytes(32), "positions": [read_position(reader) for _ in range(
        reader.array(BUNDLE_POSITIONS_MAX))]}
    reader.end()
    malformed(not ascends([position[0] for position in frontier["positions"]]))
    return frontier


def split_bundle(data):
    """The header's bytes and the chunks'."""
    malformed(data[:8] != b"ILEABNDL" or len(data) < 12)
    size = int.from_bytes(data[8:12], "big")
    malformed(size == 0 or size > BUNDLE_HEADER_MAX)
    header, at, chunks = data[12:12 + size], 12 + size, []
    while at < len(data):
        malformed(len(data) - at < 4)
        size = int.from_bytes(data[at:at + 4], "big")
        malformed(size < 40 or size > BUNDLE_CHUNK_MAX or size > len(data) - at - 4)
        chunks.append(data[at + 4:at + 4 + size])
        at += 4 + size
    malformed(len(header) == 0 or not chunks)
    return header, chunks


# --- documents ------------------------------------------------------------------------------------

def decode_document(data):
    """An element of the field `documents`."""
    reader = Reader(data)
    reader.array_of(5)
    name, media, size, root, key = [reader.str(most) for most in (255, 100, 10, 64, 64)]
    reader.end()
    malformed(not name or any(byte in b"\n\t" for byte in name + media))
    malformed(not size.isdigit() or size[:1] == b"0" or int(size) > CHUNKS_MAX * CHUNK_SIZE)
    for text in (root, key):
        malformed(len(text) != 64 or any(byte not in b"0123456789abcdef" for byte in text))
    return {"document_name": name, "media": media, "size": int(size), "root": bytes.fromhex(root.decode()),
            "key": bytes.fromhex(key.decode())}


def decode_chunk_ask(data):
    """ASK, or NONE, which has its form."""
    reader = Reader(data)
    reader.array_of(3)
    form = reader.uint()
    malformed(form not in (3, 5))
    ask = {"form": form, "root": reader.bytes(32), "ranges": []}
    count, end = reader.array(ASK_RANGES_MAX), 0
    for _ in range(count):
        reader.array_of(2)
        first, chunks = reader.uint(), reader.uint(ASK_CHUNKS_MAX)
        if first == CHUNK_LIST:
            malformed(count != 1 or chunks != 1)
        else:
            malformed(chunks == 0 or first < end or first + chunks > CHUNKS_MAX)
        end = first + chunks
        ask["ranges"].append([first, chunks])
    reader.end()
    malformed(not 1 <= sum(chunks for _, chunks in ask["ranges"]) <= ASK_CHUNKS_MAX)
    return ask


def decode_chunk_part(data):
    reader = Reader(data)
    reader.array_of(6)
    malformed(reader.uint() != 4)
    part = {"root": reader.bytes(32), "index": reader.uint(), "offset": reader.uint(CHUNK_PART_MAX),
            "total": reader.uint(CHUNK_SIZE + 16), "bytes": reader.bin(CHUNK_PART_MAX)}
    reader.end()
    malformed(part["index"] >= CHUNKS_MAX and part["index"] != CHUNK_LIST)
    malformed(part["total"] <= 16 or part["offset"] not in (0, CHUNK_PART_MAX) or part["offset"] >= part["total"])
    malformed(len(part["bytes"]) != min(part["total"] - part["offset"], CHUNK_PART_MAX))
    return part


def chunk_nonce(index):
    return bytes(16) + u64(index)


def chunk_data(network, count):
    """What the encryption of a chunk is bound to, with the domain."""
    domain = b"ilea/blob/v1"
    return bytes([len(domain)]) + domain + network + u64(count)


def as_json(value):
    """Decoded values the way the files write them."""
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    if isinstance(value, (list, tuple)):
        return [as_json(part) for part in value]
    if isinstance(value, dict):
        return {name: as_json(part) for name, part in value.items()}
    return value


def from_json(value):
    """The other way round: every text is bytes in hex."""
    if isinstance(value, str):
        return bytes.fromhex(value)
    if isinstance(value, list):
        return [from_json(part) for part in value]
    if isinstance(value, dict):
        return {name: from_json(part) for name, part in value.items()}
    return value


def expect_equal(vector, decoded):
    """Every key that both have must agree; at least one must."""
    known = [name for name in decoded if name in vector]
    assert known, "nothing to compare"
    for name in known:
        assert vector[name] == as_json(decoded[name]), name


class LeftOut(Exception):
    """Needs what Python's standard library lacks."""


def described(value):
    if isinstance(value, list):
        return {"array": [described(part) for part in value]}
    if isinstance(value, Text):
        return {"str": value.data.hex()}
    return {"bin": value.hex()} if isinstance(value, bytes) else {"uint": str(value)}


def raw(vector, name):
    return bytes.fromhex(vector[name])


def check_hash(vector):
    assert digest(vector["domain"], raw(vector, "message")) == raw(vector, "hash")
    if "u64" in vector:
        assert u64(int(vector["u64"], 16)) == raw(vector, "message")


def check_sign(vector):
    raise LeftOut


def check_keyring(vector):
    if vector["check"] == "commit":
        commit = digest("ilea/aek-commit/v1", raw(vector, "network"), raw(vector, "audience"),
                        key=raw(vector, "epoch_key"))
        assert commit == raw(vector, "aek_commit") and commit[:16] == raw(vector, "epoch_id")
    elif vector["check"] == "nonce":
        nonce = digest("ilea/nonce/v1", raw(vector, "data"), raw(vector, "plaintext"),
                       key=raw(vector, "fresh"))
        assert nonce[:24] == raw(vector, "nonce")
    else:
        raise LeftOut


def check_msgpack(vector):
    data = raw(vector, "bytes")
    reader = Reader(data)
    reader.value()
    reader.end()
    value = Reader(data).any(VALUE_DEPTH_MAX)
    assert vector["value"] == described(value) and encode(value) == data


def check_change(vector):
    expect_equal(vector, decode_change(raw(vector, "bytes")))


def check_item(vector):
    item = decode_item(raw(vector, "item"))
    expect_equal(vector, item)
    assert leaf_of(vector["index"], raw(vector, "item")) == raw(vector, "leaf")
    if item["flags"] & 2:
        return
    assert raw(vector, "associated") == (
        raw(vector, "network") + raw(vector, "feed") + u64(vector["seq"]) + u64(vector["index"])
        + item["audience"] + item["epoch"])
    assert raw(vector, "aek_commit") == digest(
        "ilea/aek-commit/v1", raw(vector, "network"), item["audience"],
        key=raw(vector, "epoch_key"))
    assert raw(vector, "aek_commit")[:16] == item["epoch"]
    assert raw(vector, "audience") == audience_of(raw(vector, "network"), raw(vector, "agency"),
                                                  vector["audience_name"])
    assert len(item["content"]) == len(raw(vector, "plaintext")) + 16


def check_commit(vector):
    commit = decode_commit(raw(vector, "commit"))
    if "error" in vector and vector["error"] == "bad_signature":
        raise LeftOut
    expect_equal(vector, commit)
    expect_equal(vector, commit["fields"])
    assert raw(vector, "commit_id") == commit_id_of(commit["header"])
    assert raw(vector, "feed") == feed_id_of(*(raw(vector, name) for name in (
        "network", "agency", "node", "incarnation")), vector["scope"])
    assert raw(vector, "items_root") == items_root_of(commit["leaves"])


def check_statement(vector):
    statement = decode_statement(raw(vector, "bytes"))
    expect_equal(vector, statement)
    if statement["kind"] == 1:
        audience = b""
        if statement["scope"] == 3:
            audience = closed_audience_of(raw(vector, "network"), statement["owner"], statement["salt"])
            assert raw(vector, "audience") == audience
        assert raw(vector, "feed") == feed_id_of(
            raw(vector, "network"), statement["agency"], statement["node"],
            statement["incarnation"], statement["scope"], audience)


def check_manifest(vector):
    if vector["check"] == "roots":
        roots = [bytes.fromhex(root) for root in vector["roots"]]
        assert roots_hash_of(vector["threshold"], roots) == raw(vector, "hash")
    elif vector["check"] == "endpoint":
        malformed(not endpoint_is_valid(raw(vector, "endpoint")))
    elif vector["check"] == "manifest":
        manifest = decode_manifest(raw(vector, "signed"))
        if vector.get("error") == "bad_signature":
            raise LeftOut
        expect_equal(vector, manifest)
        assert fingerprint_of(manifest["agency"]) == vector["fingerprint"]
    elif vector["check"] == "succession":
        pair = [decode_manifest(raw(vector, name)) for name in ("before", "after")]
        assert succession_of(*pair) == vector["succession"]
    elif vector["check"] == "card":
        card = decode_card(raw(vector, "card"))
        if vector.get("error") == "bad_signature":
            raise LeftOut
        expect_equal(vector, card)
        assert card_text(raw(vector, "card")) == raw(vector, "text")
    else:
        card = parse_card_text(raw(vector, "text"))
        if vector.get("error") == "bad_signature":
            raise LeftOut
        assert card == raw(vector, "card")


def check_fork(vector):
    fork = decode_fork(raw(vector, "proof"), raw(vector, "network"))
    if vector.get("error") == "bad_signature":
        raise LeftOut
    expect_equal(vector, fork)
    for commit in vector["commits"]:
        commit = decode_commit(bytes.fromhex(commit))
        side = "ab"[commit_id_of(commit["header"]) == fork["b"]]
        assert commit["header"] == fork["header_" + side]
        assert commit["signature"] == fork["signature_" + side]


def check_receipt(vector):
    if vector["check"] == "body":
        expect_equal(vector, decode_receipt_body(raw(vector, "body")))
        return
    if vector["check"] in ("ask", "give"):
        decode = decode_receipt_ask if vector["check"] == "ask" else decode_receipt_give
        expect_equal(vector, decode(raw(vector, vector["check"])))
        return
    receipt = decode_receipt(raw(vector, "receipt"))
    if vector.get("error") == "bad_signature":
        raise LeftOut
    expect_equal(vector, receipt)
    assert receipt_prefix(raw(vector, "network"), receipt) + raw(vector, "body") == raw(vector, "opened")
    decode_receipt_body(raw(vector, "body"))


def check_release(vector):
    if vector["check"] == "base":
        assert digest("ilea/release-base/v1", u64(vector["scope"]), raw(vector, "state")) == raw(vector, "base")
    else:
        expect_equal(vector, decode_release(raw(vector, "release")))


def check_act(vector):
    if vector["check"] == "act":
        expect_equal(vector, decode_act(raw(vector, "act")))
    else:
        entry = decode_entry(raw(vector, "entry"))
        if vector.get("error") == "bad_signature":
            raise LeftOut
        expect_equal(vector, entry)


def check_message(vector):
    if vector["check"] == "session":
        session = session_id_of(raw(vector, "nonce_a"), raw(vector, "nonce_b"))
        assert session == raw(vector, "session")
    elif vector["check"] == "frontier_hash":
        parts = [bytes.fromhex(agency) for agency in vector["follows"]]
        assert parts == sorted(parts)
        assert frontier_hash_of(parts) == raw(vector, "follows_hash")
        groups = [from_json(group) for group in vector["groups"]]
        parts = [part for group in groups for part in group_hash_parts(group)]
        assert frontier_hash_of(parts) == raw(vector, "entries_hash")
    elif vector["check"] == "archive":
        positions = from_json(vector["positions"])
        assert archive_of(positions) == (raw(vector, "sum"), raw(vector, "sums"))
    elif vector["check"] == "bind":
        sides = [{key: raw(vector, side + "_" + key) for key in ("transport", "nonce", "known_hash")}
                 | {key: vector[side + "_" + key] for key in HELLO_NUMBERS}
                 for side in ("sender", "receiver")]
        assert bind_message_of(*sides) == raw(vector, "message")
    else:
        expect_equal(vector, decode_frame(raw(vector, "frame")))


def check_record(vector):
    if vector["check"] == "decode":
        total, entries, covered = decode_record(raw(vector, "record"))
        assert encode_record(total, entries, covered) == raw(vector, "record")
        return
    changes = []
    for change in vector["changes"]:
        feed, seq, index = change["dot"]
        changes.append(((bytes.fromhex(feed), seq, index), decode_change(raw(change, "bytes"))))
    total, entries, covered = merge(changes)
    assert encode_record(total, entries, covered) == raw(vector, "record")
    assert decode_record(raw(vector, "record")) == (total, entries, covered)
    for question in vector.get("shown", []):
        place = question["field"], raw(question, "key")
        siblings = [entry for entry in entries if entry[:2] == place]
        answer = shown(siblings, question["merge"], question["codes"])
        assert answer == raw(question, "value"), question


def check_schema(vector):
    """Its form, and the record's id; which field is which number the schema alone knows."""
    put = decode_put(raw(vector, "put"))
    assert put["id"].hex() == vector["json"]["id"].replace("-", "")


def lobby_words():
    with open(os.path.join(HERE, "lobby.jsonl"), encoding="utf-8") as lines:
        return json.loads(lines.readline())["words"]


def check_lobby(vector):
    check = vector["check"]
    if check == "words":
        words = vector["words"]
        assert len(words) == 256 and words == sorted(words) and len({word[:4] for word in words}) == 256
    elif check == "code":
        one, other = ({key: bytes.fromhex(value) for key, value in vector[name].items()} for name in ("one", "other"))
        assert digest("ilea/sas/v1", u64(1), sas_side(one)) == raw(vector, "commitment")
        assert sas_hash(one, other) == raw(vector, "hash")
        if vector["offline"]:
            raise LeftOut
        assert sas_code(sas_hash(one, other), lobby_words()) == (vector["digits"], vector["words"])
    elif check == "invite":
        token = raw(vector, "token")
        expect_equal(vector, invite_of(token))
        assert invite_text(token) == vector["text"] and parse_invite(vector["text"]) == token
        assert invite_tag(raw(vector, "key"), raw(vector, "lobby_key"), raw(vector, "nonce"),
                          raw(vector, "sealed")) == raw(vector, "tag")
    elif check == "invite_text":
        assert parse_invite(vector["text"]) == raw(vector, "token")
    elif check == "frame":
        expect_equal(vector, decode_lobby_frame(raw(vector, "frame")))
    else:
        decode = decode_lobby_request if check == "request" else decode_lobby_ceremony
        message = decode(raw(vector, "message"), raw(vector, "challenge"))
        if vector.get("error") == "bad_signature":
            raise LeftOut
        expect_equal(vector, message)


def check_bundle(vector):
    if vector["check"] == "totals":
        expect_equal(vector, decode_bundle_totals(raw(vector, "body")))
    elif vector["check"] == "frontier":
        expect_equal(vector, decode_bundle_frontier(raw(vector, "body")))
    elif vector["check"] == "header":
        header = decode_bundle_header(raw(vector, "header"))
        if vector.get("error") == "bad_signature":
            raise LeftOut
        expect_equal(vector, header)
    else:
        head, chunks = split_bundle(raw(vector, "file"))
        header, key = decode_bundle_header(head), raw(vector, "key")
        if "expect" in vector:
            raise LeftOut
        assert digest("ilea/aek-commit/v1", header["network"], header["id"], key=key) == header["aek_commit"]
        assert len(chunks) == len(vector["contents"])
        for number, (chunk, content) in enumerate(zip(chunks, vector["contents"])):
            plain = encode(from_json(content))
            place = bundle_place(header["network"], header["id"], header["part"], number, number == len(chunks) - 1)
            assert len(place) == 80 and len(chunk) == 24 + len(plain) + 16


def check_audience(vector):
    found = membership(vector["owner"], vector["statements"])
    for name, value in found.items():
        assert vector[name] == value, "%s is %s" % (name, value)


def check_document(vector):
    if vector["check"] == "element":
        expect_equal(vector, decode_document(raw(vector, "element")))
    elif vector["check"] == "ask":
        expect_equal(vector, decode_chunk_ask(raw(vector, "body")))
    elif vector["check"] == "part":
        expect_equal(vector, decode_chunk_part(raw(vector, "body")))
    else:  # chunk: what is in it needs XChaCha20, its name does not
        sealed = raw(vector, "sealed")
        assert digest("ilea/blob/v1", sealed) == raw(vector, "id")
        assert len(sealed) == len(raw(vector, "plain")) + 16
        assert chunk_data(raw(vector, "network"), vector["count"]) == raw(vector, "data")
        assert chunk_nonce(vector["index"]) == raw(vector, "nonce")


FILES = {"hash": check_hash, "sign": check_sign, "keyring": check_keyring, "msgpack": check_msgpack,
         "change": check_change, "item": check_item, "commit": check_commit,
         "statement": check_statement, "manifest": check_manifest, "fork": check_fork,
         "act": check_act, "release": check_release, "receipt": check_receipt, "message": check_message,
         "record": check_record, "schema": check_schema, "lobby": check_lobby,
         "bundle": check_bundle, "audience": check_audience, "document": check_document}


def run(file, check, vector):
    """None if it passed, else what is wrong with it."""
    expected = vector.get("error")
    if "expect" in vector and expected is None:
        expected = "malformed"
    try:
        check(vector)
    except Refused as refused:
        if refused.args[0] == expected:
            return None
        return "refused as %s, expected %s" % (refused.args[0], expected or "acceptance")
    except AssertionError as wrong:
        return "differs: %s" % wrong
    return None if expected is None else "accepted, expected %s" % expected


def main():
    passed = failed = left_out = 0
    for file, check in FILES.items():
        with open(os.path.join(HERE, file + ".jsonl"), encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                vector = json.loads(line)
                try:
                    wrong = run(file, check, vector)
                except LeftOut:
                    left_out += 1
                    continue
                if wrong is None:
                    passed += 1
                else:
                    failed += 1
                    print("%s.jsonl:%d: %s: %s" % (file, number, vector["name"], wrong))
    print("%d passed, %d failed (%d left out: they need Ed25519, X25519 or XChaCha20)"
          % (passed, failed, left_out))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
