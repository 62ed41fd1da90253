"""Five agencies and closed audiences: each reads what the rules give it, and what they do not give lies nowhere."""
import os

from support import (Line, Options, Agency, check, folder_contains, same, test, wait_converged, wait_for)

CODES = ("AT-BK", "BE-FP", "CZ-PP", "DE-BK", "ES-GC")
ROUNDS = int(os.environ.get("ILEA_FIVE_ROUNDS", "120"))


class Closed:
    """A closed audience as the rules have it, apart from the code under test: the changes in their order. Each is
    stated by who knew all before it, so what a node knows is always the first so many of them: as many as the
    statements it has say, of which an owner may make some without a change in them."""

    def __init__(self, owner, name, history, members):
        self.owner, self.name, self.history = owner, name, history
        self.acts, self.marks = [], []  # a change, and the statements there were with it
        self.ever = {owner, *members}

    def levels(self, known):
        """Level by code of those who are members by the first `known` changes, and who of them is suspended."""
        levels, suspensions = {self.owner: "admin"}, set()
        for act in self.acts[:known]:
            for code, (kind, what) in act.items():
                if kind == "suspend":
                    suspensions.add((code, what))
                    continue
                if kind == "add":
                    levels[code] = what
                if kind == "remove":
                    levels.pop(code, None)
                else:
                    suspensions = {pair for pair in suspensions if pair[0] != code}
        return levels, {whom for whom, by in suspensions if whom in levels and levels.get(by) == "admin"}

    def allowed(self, known):
        levels, suspended = self.levels(known)
        return {code for code in levels if code not in suspended}

    def verdict(self, code, known):
        """Of what was written by who knew `known` changes: "reads", "never", or "may": before it was put out."""
        now = len(self.acts)
        to_come = self.history == "all" or code in self.levels(known)[0]
        given = code in self.allowed(known) or (
            to_come and any(code in self.allowed(later) for later in range(known, now + 1)))
        if not given:
            return "never"
        return "reads" if code in self.allowed(now) else "may"


class World:
    def __init__(self, place):
        self.place, self.random = place, place.random
        self.lines = {code: Line(record=True) for code in CODES}
        self.agencies = {}
        for code in CODES:
            line = self.lines[code]
            agency = Agency(place, code, port=line.port).init()
            agency.extra = ["--listen", f"tcp://127.0.0.1:{line.target}"]
            self.agencies[code] = agency
        for one in self.agencies.values():
            for other in self.agencies.values():
                if one is not other:
                    one.add(other)
                    one.run("peer", "approve", other.code, "--yes", "--tlp-max", "amber")
        self.closed, self.items, self.feeds = [], {}, {}
        self.texts = 0

    def up(self):
        return [code for code in CODES if self.agencies[code].process is not None]

    def text(self):
        self.texts += 1
        return f"Canary{self.place.random.randrange(10**9):09d}x{self.texts}"

    def show(self, code, closed):
        name = closed.name if code == closed.owner else f"{closed.owner}/{closed.name}"
        result = self.agencies[code].run("audience", "show", name, "--json", check_code=False)
        return result.json()["audience"] if result.code == 0 else None

    def statements(self, code, closed):
        shown = self.show(code, closed)
        return shown["statements"] if shown else 0

    def known(self, code, closed):
        statements = self.statements(code, closed)
        return sum(mark <= statements for mark in closed.marks)

    def note(self, code, closed, act):
        closed.acts.append(act)
        closed.marks.append(self.statements(code, closed))
        closed.ever |= set(act)

    def wait_known(self, code, closed):
        wait_for(f"all changes of {closed.owner}/{closed.name} at {code}",
                 lambda: self.known(code, closed) == len(closed.acts), 40, 0.2)

    # What happens.

    def new_audience(self):
        owner = self.random.choice(self.up())
        others = [code for code in CODES if code != owner]
        members = self.random.sample(others, self.random.randint(1, 3))
        levels = {code: self.random.choice(("read", "write", "admin")) for code in members}
        name, history = f"Group {len(self.closed)}", self.random.choice(("all", "none"))
        self.agencies[owner].run("audience", "new", name, "--members", ",".join(members), "--levels",
                                 ",".join(f"{code}={level}" for code, level in levels.items()), "--history", history)
        self.closed.append(Closed(owner, name, history, levels))
        self.note(owner, self.closed[-1], {code: ("add", level) for code, level in levels.items()})

    def change(self):
        closed = self.random.choice(self.closed) if self.closed else None
        if closed is None or closed.owner not in self.up():
            return
        self.wait_known(closed.owner, closed)
        levels, suspended = closed.levels(len(closed.acts))
        owner = self.agencies[closed.owner]
        outside = [code for code in CODES if code not in levels]
        inside = [code for code in levels if code != closed.owner]
        kind = self.random.choice(("add", "add", "remove", "suspend", "answer"))
        if kind == "add" and outside:
            code, level = self.random.choice(outside), self.random.choice(("read", "write", "admin"))
            owner.run("audience", "add", closed.name, code, "--level", level)
            self.note(closed.owner, closed, {code: ("add", level)})
        elif kind == "remove" and len(inside) > 1:
            code = self.random.choice(inside)
            owner.run("audience", "remove", closed.name, code)
            self.note(closed.owner, closed, {code: ("remove", None)})
        elif kind == "suspend":
            who = [code for code in inside if levels[code] == "admin" and code not in suspended and code in self.up()]
            whom = [code for code in inside if code not in suspended]
            if not who:
                return
            code = self.random.choice(who)
            whom = [other for other in whom if other != code]
            if not whom:
                return
            wait_for("the suspender to know all",
                     lambda: self.statements(code, closed) == self.statements(closed.owner, closed), 40, 0.2)
            other = self.random.choice(whom)
            self.agencies[code].run("audience", "suspend", f"{closed.owner}/{closed.name}", other, "--reason", "x")
            self.note(code, closed, {other: ("suspend", code)})
        elif kind == "answer" and suspended:
            code = self.random.choice(sorted(suspended))
            word = self.random.choice(("confirm", "lift")) if len(inside) > 1 else "lift"
            owner.run("audience", word, closed.name, code)
            self.note(closed.owner, closed, {code: ("remove" if word == "confirm" else "lift", None)})

    def write(self):
        """Into a closed audience, by whoever may, as far as it knows; also by one who is away."""
        if not self.closed:
            return
        closed = self.random.choice(self.closed)
        code = self.random.choice(sorted(closed.ever))
        known = self.known(code, closed)
        if code == closed.owner and known < len(closed.acts):
            return  # a statement of its own would stand beside what it does not know
        levels, suspended = closed.levels(known)
        may = known > 0 and levels.get(code) in ("write", "admin") and code not in suspended
        alone = closed.allowed(known) == {code}
        name = closed.name if code == closed.owner else f"{closed.owner}/{closed.name}"
        text = self.text()
        result = self.agencies[code].run("need", "new", "--title", text, "--to", name, check_code=False)
        if self.known(code, closed) != known:  # it heard of a change in this moment
            check(result.code in (0, 65, 66, 77), "writing", result)
            if result.code == 0:
                self.agencies[code].run("erase", result.out.split()[0], "--reason", "of no use", "--confirm")
            return
        if not may or alone:
            check(result.code in (65, 66, 77), f"{code} wrote for {name}, where it may not:", result)
            return
        check(result.code == 0, f"{code} could not write for {name}:", result)
        ref = result.out.split()[0]
        self.items[text] = {"ref": ref, "owner": code, "closed": closed, "known": known, "erased": False}

    def draft(self):
        code, text = self.random.choice(CODES), self.text()
        ref, _ = self.agencies[code].new(text, to="agency")
        self.items[text] = {"ref": ref, "owner": code, "closed": None, "known": 0, "erased": False}

    def erase(self):
        items = [item for item in self.items.values() if not item["erased"]]
        if items:
            item = self.random.choice(items)
            self.agencies[item["owner"]].run("erase", item["ref"], "--reason", "an error", "--confirm")
            item["erased"] = True

    def trouble(self):
        kind = self.random.choice(("kill", "stop", "cut", "start", "start"))
        running = self.up()
        if kind == "cut":
            self.lines[self.random.choice(CODES)].cut()
        elif kind == "start":
            for code in CODES:
                if code not in running and self.random.random() < 0.7:
                    self.agencies[code].start()
        elif len(running) > 2:
            agency = self.agencies[self.random.choice(running)]
            agency.kill() if kind == "kill" else agency.stop(seconds=10)

    def heal(self):
        for code in CODES:
            if self.agencies[code].process is None:
                self.agencies[code].start()

    # What must be.

    def reads(self, code):
        titles = {record["title"] for record in self.agencies[code].export().values()}
        return titles & set(self.items)

    def expected(self, code):
        """What it must read, and what it may."""
        must, may = set(), set()
        for text, item in self.items.items():
            if item["erased"]:
                continue
            if item["closed"] is None:
                verdict = "reads" if code == item["owner"] else "never"
            elif code == item["owner"]:
                verdict = "reads"
            else:
                verdict = item["closed"].verdict(code, item["known"])
            if verdict == "reads":
                must.add(text)
            if verdict != "never":
                may.add(text)
        return must, may

    def check_rest(self):
        for closed in self.closed:
            for code in sorted(closed.allowed(len(closed.acts))):
                self.wait_known(code, closed)
                shown = self.show(code, closed)
                allowed = {one["code"] for one in shown["members"] if one["allowed"]}
                same(allowed, closed.allowed(len(closed.acts)), f"who is allowed in {closed.name}, as {code} knows it")
                check(shown["sealed"] == len(allowed) or not shown["usable"], f"keys at {code}:", shown)
        for code in CODES:
            must, may = self.expected(code)
            wait_for(f"what {code} must read", lambda: must <= self.reads(code), 60, 0.3)
            extra = self.reads(code) - may
            check(not extra, f"{code} reads what it must not:", {text: self.explain(text) for text in extra})

    def explain(self, text):
        item = self.items[text]
        closed = item["closed"]
        rules = closed and (closed.owner, closed.name, closed.history, item["known"], closed.acts)
        return item["owner"], item["erased"], rules

    def check_homes(self):
        """No text, and no feed of a closed audience, at who never was in it; nothing erased anywhere."""
        for closed in self.closed:
            feeds = set()
            for code in closed.allowed(len(closed.acts)):
                feeds |= {bytes.fromhex(feed["feed"]) for feed in self.agencies[code].status()["feeds"]
                          if feed["scope"] == "audience" and feed["audience"] == self.show(code, closed)["id"]}
            check(feeds, f"feeds of {closed.owner}/{closed.name}")
            for code in set(CODES) - closed.ever:
                same(folder_contains(self.agencies[code].home, feeds), set(), f"feeds of {closed.name} at {code}")
                same(self.show(code, closed), None, f"what {code} knows of {closed.name}")
        for code in CODES:
            agency = self.agencies[code]
            _, may = self.expected(code)
            never = {text.encode() for text in self.items if text not in may}
            agency.run("compact")
            same(folder_contains(agency.home, never), set(), f"texts in the home of {code}")
            agency.verify()

    def check_wire(self):
        texts = [text.encode() for text in self.items]
        check(sum(line.bytes for line in self.lines.values()) > 100000, "little went over the lines")
        for code, line in self.lines.items():
            same([text for text in texts if text in line.seen], [], f"texts on the wire to {code}")


@test
def five_agencies(place):
    """Drawn audiences, changes, drafts, erasures, cuts and kills: each reads exactly what an oracle says."""
    world = World(place)
    for agency in world.agencies.values():
        agency.start()
    world.new_audience()
    happenings = ([world.write] * 8 + [world.change] * 5 + [world.trouble] * 3
                  + [world.erase, world.draft, world.new_audience])
    for _ in range(ROUNDS):
        world.random.choice(happenings)()
        if len(world.up()) < 3:
            world.heal()
    world.heal()
    wait_converged(list(world.agencies.values()), 60)
    world.check_rest()
    wait_converged(list(world.agencies.values()), 60)
    world.check_homes()
    world.check_wire()
    must = sum(len(world.expected(code)[0]) for code in CODES)
    erased = sum(item["erased"] for item in world.items.values())
    changes = sum(len(closed.acts) for closed in world.closed)
    withheld = sum(code in item["closed"].allowed(len(item["closed"].acts))
                   for item in world.items.values() if item["closed"] and not item["erased"]
                   for code in CODES if item["closed"].verdict(code, item["known"]) == "never")
    place.note(f"{withheld} written before a member came, or while it was out, and not given")
    place.note(f"seed {Options.seed}: {len(world.closed)} audiences, {changes} changes, "
               f"{len(world.items)} records, {erased} erased, {must} to be read")


@test
def removed_while_connected(place):
    """Removed while connected: what is written afterwards is nowhere at it, though its peers hold it and it asks."""
    codes = CODES[:3]
    agencies = [place.agency(code) for code in codes]
    a, b, c = agencies
    for one in agencies:
        for other in agencies:
            if one is not other:
                one.add(other)
                one.run("peer", "approve", other.code, "--yes", "--tlp-max", "amber")
        one.start()
    wait_converged(agencies)
    a.run("audience", "new", "GANGS", "--members", "BE-FP,CZ-PP")
    before, after, foreign = "Chameleon before", "Chameleon after", "Chameleon of another"
    a.run("need", "new", "--title", before, "--to", "GANGS")
    for agency in (b, c):
        wait_for("the first at " + agency.code,
                 lambda: before in {record["title"] for record in agency.export().values()}, 30, 0.1)
    wait_for("the links of the one who is removed",
             lambda: all(peer["link"] == "up" for peer in c.status()["peers"]), 30, 0.1)
    a.run("audience", "remove", "GANGS", "CZ-PP")
    a.run("need", "new", "--title", after, "--to", "GANGS")
    wait_for("it at the other", lambda: after in {record["title"] for record in b.export().values()}, 30, 0.1)
    b.run("need", "new", "--title", foreign, "--to", "AT-BK/GANGS")
    wait_for("the other's", lambda: foreign in {record["title"] for record in a.export().values()}, 30, 0.1)
    # A new session with everybody: it may ask for what it likes.
    c.stop()
    c.start()
    ref, _ = a.new("For all")
    wait_for("what is for all", lambda: c.run("show", ref, check_code=False).code == 0, 30, 0.1)
    titles = {record["title"] for record in c.export().values()}
    check(before in titles and not titles & {after, foreign}, "what it reads", titles)
    same(folder_contains(c.home, {after.encode(), foreign.encode()}), set(), "texts in its home")
    shown = c.json("audience", "show", "AT-BK/GANGS")["audience"]
    feeds = {feed["feed"]: feed["seq"] for feed in c.status()["feeds"] if feed["scope"] == "audience"}
    ahead = [feed for feed in a.status()["feeds"] if feed["scope"] == "audience"
             and feed["seq"] > feeds.get(feed["feed"], 0)]
    check(ahead and shown["statements"] <= 2, "commits of the audience that it was not sent", feeds, ahead)
    for agency in agencies:
        agency.verify()
