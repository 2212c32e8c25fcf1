"""
The power fails: the courier's writes to its spool are recorded, and the spool is opened as a cut after each of them could have left
it (see powercut.c). What was acknowledged is there, was delivered before the cut, or is a dead letter; and the spool always opens.
"""
import json
import os
import random
import re
import subprocess
import time

import pytest

from diskshim import Disk
from waiting import wait_until

TOKEN = "_mch-example.com-1374552656%03d-90718"
LATE, DEAD = (8, 9, 17), (10,)
HELD = (16, 18)  # leads after a restart, which counts as a full budget of calls for 20 s
LARGE = 28000  # bytes of a trait: several pages, under the maximum of an event
LINE = re.compile(r"(\d+) (\w+) events=([-\d,]*) dead=([-\d,]*) seen=([-\d,]*)(?: (found .*))?$")


def person(number, size=10):
    """One whose address is not in ASCII is never taken, and those at late.example.com not yet."""
    domain = "late.example.com" if number in LATE else "d\u00e9ad.example.com" if number in DEAD else "example.com"
    return {"type": "identify", "messageId": "cut-%03d" % number,
            "traits": {"email": "cut-%03d@%s" % (number, domain), "someTrait": "x" * size}}


def track(number):
    return {"type": "track", "messageId": "cut-%03d" % number, "event": "cut-%03d" % number, "anonymousId": "a"}


class Ledger:
    """What was sent, and which records of the journal were there when it was acknowledged, and when it reached Marketo."""

    def __init__(self, disk, sandbox):
        self.disk, self.sandbox = disk, sandbox
        self.stored = {}  # number -> records of the journal
        record = sandbox.store.record
        sandbox.store.record = lambda call, *more: record(dict(call, cut=disk["count"]), *more)

    def send(self, client, event, cookie=None):
        call = "batch" if "batch" in event else event["type"]
        return client, client.send(call, json.dumps(event, separators=(",", ":")).encode(), **({"cookie": cookie} if cookie else {})), event

    def take(self, *sent):
        for client, seq, event in sent:
            verdict = client.verdict(seq)
            assert verdict.answer == "stored", verdict
            for one in event.get("batch", [event]):
                self.stored.setdefault(int(one["messageId"][4:]), self.disk["count"])

    def delivered(self):
        """number -> records of the journal when Marketo had all of it."""
        done = {}
        with self.sandbox.store.lock:
            calls = [call for call in self.sandbox.store.calls if call["answer"] is not None]
        for call in calls:
            if call["op"] == "sync" and call["answer"]:  # a courier that is killed may leave half a call behind, which gets no result
                results = json.loads(call["answer"]).get("result", [])
                for sent, result in zip(json.loads(call["body"])["input"] if results else [], results):
                    if result["status"] in ("created", "updated"):
                        done[int(sent["email"][4:7])] = call["cut"]
            elif call["op"] == "associate":
                number = int(re.search(TOKEN.replace("%03d", r"(\d{3})"), call["target"] + call["body"]).group(1))
                done[number] = max(call["cut"], done[number])
            elif call["op"] == "visit":
                done[int(re.search(r"cut-(\d{3})", call["target"]).group(1))] = call["cut"]
        return done


def settle(disk, waiting):
    wait_until(lambda: disk.status()["spool"]["waiting"] == waiting, what=lambda: "%d events wait; %s" % (waiting, disk.text()))


def twenty_events(disk, ledger):
    """Three lives of a courier: the first is told to stop, the second is killed."""
    disk.start()
    with disk.client() as a, disk.client() as b:
        for number in range(4):
            ledger.take(ledger.send(a, person(number)))
        ledger.take(*[ledger.send(b, track(number), cookie="id:561-HYG-937&token:" + TOKEN % number) for number in (4, 5, 6)])
        ledger.take(ledger.send(a, person(7, LARGE)))
        ledger.take(ledger.send(a, person(8)), ledger.send(b, person(10)), ledger.send(a, person(9)))
        ledger.take(ledger.send(b, {"batch": [person(11), track(12), person(13, LARGE)]}), ledger.send(a, person(0)))
        ledger.take(ledger.send(a, person(14), cookie="id:561-HYG-937&token:" + TOKEN % 14))
        settle(disk, waiting=2)
    assert disk.stop() == 0
    disk.start()
    with disk.client() as a:
        ledger.take(ledger.send(a, track(15)))
        ledger.take(ledger.send(a, person(16, LARGE)))
        ledger.take(ledger.send(a, person(17)))
    disk.kill()
    disk.start()
    with disk.client() as a:
        ledger.take(ledger.send(a, person(18)), ledger.send(a, track(19)))
        settle(disk, waiting=len(LATE + HELD))
    assert disk.stop() == 0


def numbers(text):
    return [int(number) for number in text.split(",") if number]


def judge(line, stored, delivered):
    """What is wrong with one state, or None."""
    match = LINE.match(line)
    if match is None or match.group(6):
        return "wrong"
    cut = int(match.group(1))
    events, dead, seen = (numbers(match.group(group)) for group in (3, 4, 5))
    if len(set(events + dead)) != len(events + dead) or -1 in events + dead:
        return "an event twice, or a foreign one"
    for number, when in stored.items():
        if when <= cut and number not in events + dead and delivered.get(number, cut + 1) > cut:
            return "%d is lost" % number
        if when <= cut and number not in seen:
            return "the message id of %d is forgotten" % number
    return None


def cut(disk, ledger, say, first=1, last=1 << 60, each=1):
    """Tries all states after those records. Returns the lines of powercut."""
    seed, started = random.SystemRandom().randrange(1 << 32), time.monotonic()
    work = os.path.join(disk.directory, "cut")
    os.mkdir(work)
    options = map(str, (seed, max(ledger.stored) + 1, first, last, each))
    done = subprocess.run([os.path.join(disk.tools, "powercut"), disk.journal, work, *options], check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=300)
    lines = done.stdout.splitlines()
    assert len(lines) == int(done.stderr) and disk["lost"] == 0
    delivered = ledger.delivered()
    wrong = ["%.300s: %s" % (line, what) for line in lines for what in [judge(line, ledger.stored, delivered)] if what]
    assert not wrong, "%d of %d states, seed %d:\n%s" % (len(wrong), len(lines), seed, "\n".join(wrong[:20]))
    say("power cuts: %d states after %d of %d steps, seed %d, %.1f s" % (
        len(lines), len({line.split()[0] for line in lines}), disk["count"], seed, time.monotonic() - started))
    return lines


@pytest.fixture(name="disk")
def recorded_disk(tools, memory, out, sandbox):
    disk = Disk(tools, memory, out, sandbox, records=32 << 20)
    yield disk
    disk.end()


def test_power_is_cut_after_each_step(disk, sandbox, say):
    sandbox.store.script([{"api": "rest", "op": "sync", "match": "@late.", "times": 0, "record": {"code": "719", "match": "@late."}}])
    ledger = Ledger(disk, sandbox)
    twenty_events(disk, ledger)
    assert sorted(ledger.stored) == list(range(20))
    assert sorted(ledger.delivered()) == [number for number in range(20) if number not in LATE + DEAD + HELD]
    for line in [line for line in cut(disk, ledger, say) if line.startswith("%d " % disk["count"])]:
        assert sorted(numbers(LINE.match(line).group(3))) == sorted(LATE + HELD), "what is recorded as delivered does not come back"
        assert numbers(LINE.match(line).group(4)) == list(DEAD)


def test_power_is_cut_while_the_wal_begins_again(disk, sandbox, say):
    """Large events until SQLite has moved the WAL into the file, and some more, which overwrite its beginning."""
    ledger = Ledger(disk, sandbox)
    disk.start()
    begun = disk["count"]

    def written(name, after, at=None):
        return [number for number, kind, file, offset in disk.records()
                if number > after and kind == "write" and file == name and at in (None, offset)]
    with disk.client() as a:
        number = 0
        while not written("spool.db", begun):
            ledger.take(*[ledger.send(a, person(n, LARGE)) for n in range(number, number + 5)])
            number += 5
        for n in range(number, number + 6):
            ledger.take(ledger.send(a, person(n, LARGE)))
    disk.kill()
    moved = written("spool.db", begun)[0]
    assert written("spool.db-wal", moved, at=0), "the WAL has begun again"
    cut(disk, ledger, say, first=moved - 10, each=4)
