"""What is missing: a relay that keeps something back, and commits that were damaged on the disk."""
import os
import shutil
import subprocess

import support
from support import Options, check, federation, same, test, wait_converged, wait_for, waits


def gaps(agency):
    """What `status` says is missing, and at whom."""
    said = agency.status()
    return ([(entry["agency"], entry["told"], entry["held"]) for entry in said["behind"]],
            [(entry["agency"], entry["by"], entry["what"]) for entry in said["withheld"]])


def held(agency, code):
    return sum(feed["seq"] for feed in agency.feeds(code))


@test
@waits
def withheld(place):
    """A relay passes on less than the author has: status says how much and who, until another relay brings the rest."""
    tool = os.path.join(Options.bin, "..", "tests", "copy_receipts")
    if not os.access(tool, os.X_OK):
        raise support.Skip("no copy_receipts beside the programs")
    a, b, c, d = agencies = federation(place, ["AT-BK", "BE-FP", "CZ-PP", "DK-PO"], listen={"BE-FP", "DK-PO"})
    for agency in agencies:
        agency.start()
    a.new("Before")
    wait_converged(agencies)
    before = held(a, "AT-BK")
    for agency in (b, c):
        agency.stop()
        shutil.copytree(agency.home, agency.home + "-before")
        agency.start()
    for i in range(5):
        a.new(f"After {i}")
    wait_converged(agencies)
    told = held(a, "AT-BK")
    # A receipt of A's that says so comes to C; then B and C are put back, and B knows of nothing more.
    wait_for("A's word at C", lambda: f"{a.feeds('AT-BK')[0]['feed'][:4]}: {told}\n" in told_by_others(tool, c), 60, 1)
    for agency in agencies:
        agency.stop()
    for agency in (b, c):
        os.rename(agency.home, agency.home + "-after")
        os.rename(agency.home + "-before", agency.home)
    subprocess.run([tool, os.path.join(c.home + "-after", "log"), os.path.join(c.home, "log")], check=True)
    b.start()
    c.start()
    same(gaps(c), ([], []), "at first")
    wait_for("it to be noticed", lambda: gaps(c)[0], 120, 1)
    same(gaps(c), ([("AT-BK", told, before)], [("AT-BK", "BE-FP", "commits")]), "what is kept back")
    text = c.run("status").out
    check(f"AT-BK has {told} for us, we hold {before}\n" in text, "the text", text)
    check("BE-FP does not pass on all of AT-BK\n" in text, "the text", text)
    # Another holder has it.
    d.start()
    wait_for("the rest", lambda: held(c, "AT-BK") == told, 30, 0.3)
    wait_for("nothing to be behind", lambda: gaps(c) == ([], []), 30, 0.5)
    a.start()
    wait_converged(agencies)
    for agency in agencies:
        agency.verify()


def told_by_others(tool, agency):
    """How long others say that their feeds are, by the receipts that an agency holds."""
    return subprocess.run([tool, os.path.join(agency.home, "log")], check=True, capture_output=True, text=True).stdout


def damage(agency, feed, seq):
    """Flip a bit in every copy of a commit that lies in the log's file, far behind its header."""
    path = os.path.join(agency.home, "log", "data.mdb")
    with open(path, "rb") as file:
        content = file.read()
    header = b"\xc4\x20" + bytes.fromhex(feed) + bytes([seq])
    count, at = 0, content.find(header)
    with open(path, "r+b") as file:
        while at >= 0:
            if content[at - 3:at] == b"\x99\x01\x01":
                file.seek(at + 3000)
                file.write(bytes([content[at + 3000] ^ 4]))
                count += 1
            at = content.find(header, at + 1)
    check(count > 0, f"commit {seq} is not in {path}")


@test
@waits
def bit_rot(place):
    """Commits that rot on a disk are noticed and come again, at the author's too; the view is built from them."""
    fr, nl = agencies = federation(place, ["FR-PN", "NL-PO"])
    for agency in agencies:
        agency.start()
    body = "".join(place.random.choice("abcdefghij ") for _ in range(20000)).replace("  ", "x")
    for i in range(3):
        fr.new(f"Need {i}", "--set", f"problem={body}")
    wait_converged(agencies)
    feed = fr.feeds("FR-PN")[0]
    seqs = range(feed["seq"] - 1, feed["seq"] + 1)
    records = fr.export("--agency", "FR-PN")
    for agency, other in ((nl, fr), (fr, nl)):
        agency.stop()
        for seq in seqs:
            damage(agency, feed["feed"], seq)
        verified = agency.run("verify", check_code=support.DATAERR, lmdb_may_stumble=True)
        check(f"commit {seqs[0]}:" in verified.out + verified.err, "verify", verified)
        shutil.rmtree(os.path.join(agency.home, "view"))
        other.stop()
        agency.start()
        wait_for("the damage to be noticed", lambda: agency.status()["damaged"] == len(seqs), 30, 0.3)
        check("damaged   2 commits on the disk" in agency.run("status").out, "the text", agency.run("status").out)
        other.start()
        wait_for("the repair", lambda: agency.status()["repaired"] == len(seqs), 30, 0.3)
        wait_for("a whole view", lambda: agency.status()["view_position"] == agency.status()["position"], 30, 0.3)
        wait_for("the records", lambda: agency.export("--agency", "FR-PN") == records, 30, 0.3)
        same(agency.status()["damaged"], 0, "damaged commits that are left")
        agency.verify()
    fr.new("Afterwards")
    wait_converged(agencies)
