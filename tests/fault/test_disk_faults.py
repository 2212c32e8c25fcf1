"""
The disk is full, or fails, at every operation on the spool: new events get "full" (503) and never a false "stored", the courier goes on
and takes events as soon as the disk does, and all that was acknowledged is delivered, once.
"""
import concurrent.futures
import errno
import json
import os
import random
import sqlite3
import tempfile

import pytest

from diskshim import FOREVER, Disk
from marketo_sandbox import Sandbox
from waiting import wait_until

LARGE = 28000  # bytes of a trait: several pages, under the maximum of an event
MEMORY_ACK = 1
OPERATIONS_MAX = 200
PARTS = 3  # couriers that share the work: after a failure dispatch waits for a second
# "not durable" is said of a spool in memory; the others are what there is to say about a disk that fails.
ANNOUNCED = {"MKTO0201", "MKTO0202", "MKTO0203", "MKTO0204", "MKTO0215", "MKTO0216", "MKTO0303", "MKTO0309"}
SEED = random.SystemRandom().randrange(1 << 32)


class Sender:
    """Sends numbered events to one courier after the other; remembers which were stored, and which were not."""

    def __init__(self):
        self.client = None
        self.stored, self.refused = {}, {}
        self.next = 0

    def meet(self, disk):
        if self.client:
            self.client.close()
        self.client = disk.client()
        return self

    def part(self):
        self.client.close()
        self.client = None

    def event(self, kind, size=10):
        number, self.next = self.next, self.next + 1
        name = "ev-%05d" % number
        if kind == "track":
            return number, {"type": kind, "messageId": name, "event": name, "anonymousId": "a"}
        return number, {"type": kind, "messageId": name, "traits": {"email": name + "@example.com", "someTrait": "x" * size}}

    def send(self, number, event, ack=0):
        return number, event, self.client.send(event["type"], json.dumps(event).encode(), ack=ack)

    def take(self, *sent):
        """Returns the answers."""
        answers = []
        for number, event, seq in sent:
            answers.append(self.client.verdict(seq).answer)
            assert answers[-1] in ("stored", "full"), answers
            (self.stored if answers[-1] == "stored" else self.refused)[number] = event
        return answers

    def script(self):
        """A small event, a large one together with another, and one that is answered before it is on the disk."""
        self.take(self.send(*self.event("track")))
        self.take(self.send(*self.event("identify", LARGE)), self.send(*self.event("track")))
        self.take(self.send(*self.event("track"), ack=MEMORY_ACK))

    def one(self):
        return self.take(self.send(*self.event("track")))[0]

    def send_refused_again(self):
        again, self.refused = self.refused, {}
        for item in again.items():
            assert self.take(self.send(*item)) == ["stored"]


def delivered(sandbox):
    """number -> how often it reached Marketo"""
    counts = {}
    with sandbox.store.lock:
        names = [lead["fields"]["email"] for lead in sandbox.store.leads.values() for _ in range(lead["syncs"])]
        names += [call["target"][call["target"].index("ev-"):] for call in sandbox.store.calls if call["op"] == "visit"]
    for name in names:
        counts[int(name[3:8])] = counts.get(int(name[3:8]), 0) + 1
    return counts


def idle(disk):
    return disk.status()["spool"]["waiting"] == 0


def fail_each(disk, sender, error, count, first):
    """Each operation of the script fails in its turn, or every PARTSth from the first. Returns how many there were."""
    for number in range(first, OPERATIONS_MAX, PARTS):
        wait_until(lambda: idle(disk), what=lambda: "all is delivered; " + disk.text())
        disk.fail(error, after=number, count=count)
        sender.script()
        wait_until(lambda: disk["failed"] or idle(disk), what=lambda: "operation %d; %s" % (number, disk.text()))
        if disk["failed"] == 0:
            disk.mend()
            return number
        if count == FOREVER:
            assert sender.one() == "full", "operation %d and all behind it fail, and an event is stored" % number
        disk.mend()
        assert sender.one() == "stored", "the disk works again after operation %d; %s" % (number, disk.text())
        assert not disk.process.ended(), disk.text()
    raise AssertionError("the script has no end")


def run_faults(tools, out, error, count, first):
    sandbox = Sandbox(lead_lock_s=0, rate_calls=1000000)
    sandbox.start()
    disk = Disk(tools, tempfile.mkdtemp(prefix="mkto-"), out, sandbox, calls_per_20s=100)
    try:
        disk.start()
        sender = Sender().meet(disk)
        operations = fail_each(disk, sender, error, count, first)
        assert not set(delivered(sandbox)) & set(sender.refused), "what was refused is not delivered"
        sender.send_refused_again()
        wait_until(lambda: set(delivered(sandbox)) == set(sender.stored) and idle(disk), timeout=40, what="all is delivered")
        assert set(delivered(sandbox).values()) == {1}, "nothing is delivered twice"
        sender.part()
        assert disk.stop() == 0 and disk.ids() <= ANNOUNCED, disk.text()
        return operations, len(sender.stored)
    finally:
        disk.end()
        sandbox.stop()


def test_every_operation_fails(tools, out, say):
    """Each alone, and each with all behind it until the disk is mended; at the same time, for most of it is waiting."""
    ways = [(error, count, first) for error in (errno.ENOSPC, errno.EIO) for count in (1, FOREVER) for first in range(PARTS)]
    with concurrent.futures.ThreadPoolExecutor(len(ways)) as pool:
        runs = [pool.submit(run_faults, tools, out, *way) for way in ways]
    results = [run.result() for run in runs]
    operations, events = max(result[0] for result in results), sum(result[1] for result in results)
    say("disk faults: up to %d operations in 4 ways, %d events, each delivered once" % (operations, events))


# ---- the file, while the WAL is moved into it ----

@pytest.fixture(name="disk")
def failing_disk(tools, directory, out, sandbox):
    it = Disk(tools, directory, out, sandbox)
    yield it
    it.end()


def ids_in_file(disk):
    """The message ids of the events in the spool, which nobody has open; and what SQLite says of the file."""
    db = sqlite3.connect(os.path.join(disk.conf.spool, "spool.db"))
    try:
        rows = [bytes(row[0]) for row in db.execute("SELECT envelope FROM event ORDER BY id")]
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    finally:
        db.close()
    return [row[row.index(b'"messageId": "ev-') + 14:][:8].decode() for row in rows]


def test_moving_the_wal_fails(disk, say):
    """The WAL cannot be moved into the file: events are still taken, and a courier that is killed then has all of them."""
    random.seed(SEED)
    say("seed %d" % SEED)
    disk.start("--hold")
    sender = Sender().meet(disk)
    disk["fail_files"] = 1
    for error, count, after in [(e, c, a) for e in (errno.ENOSPC, errno.EIO) for c in (1, FOREVER)
                                for a in (0, 1, random.randrange(2, 40), random.randrange(40, 200))]:
        disk.fail(error, after=after, count=count)
        for _ in range(300):
            assert sender.take(sender.send(*sender.event("identify", LARGE))) == ["stored"]
            if disk["failed"]:
                break
        assert disk["failed"], "the WAL was not moved"
        assert sender.one() == "stored"
        if random.random() < 0.5:
            disk.kill()
            disk.mend()
            disk.start("--hold")
            sender.meet(disk)
        disk.mend()
        assert sender.one() == "stored"
        assert disk.status()["spool"]["waiting"] == len(sender.stored)
    assert not sender.refused
    sender.part()
    assert disk.stop() == 0 and disk.ids() <= ANNOUNCED, disk.text()
    assert ids_in_file(disk) == ["ev-%05d" % number for number in sorted(sender.stored)]


# ---- start and stop ----

def starts_failing(disk, sender, error, after):
    """Starts a courier whose disk fails from that call on. True when it came up, and then it stores nothing."""
    disk.fail(error, after=after)
    process = disk.start("--hold", wait=False)
    wait_until(lambda: process.ended() or os.path.exists(disk.socket), what=lambda: "a start; " + disk.text())
    if process.ended():
        assert process.wait() == 3 and disk["failed"] and "spool" in disk.text().splitlines()[-1], disk.text()
        return False
    assert sender.meet(disk).one() == "full"
    sender.part()
    kill(disk)
    return True


def starts_well(disk, waiting):
    """A courier on a mended disk has what was stored."""
    disk.mend()
    disk.start("--hold")
    assert disk.status()["spool"]["waiting"] == waiting
    assert disk.ids() <= ANNOUNCED, disk.text()
    assert not [name for name in os.listdir(disk.conf.spool) if ".bad-" in name], disk.text()


def kill(disk):
    disk.kill()
    os.remove(disk.socket)


def test_disk_fails_while_a_spool_is_made(disk, say):
    sender = Sender()
    for number in range(OPERATIONS_MAX):
        for name in os.listdir(disk.conf.spool):
            os.remove(os.path.join(disk.conf.spool, name))
        came_up = starts_failing(disk, sender, (errno.ENOSPC, errno.EIO)[number % 2], number)
        starts_well(disk, waiting=0)
        assert sender.meet(disk).one() == "stored"
        kill(disk)
        if came_up:
            say("disk faults: %d operations while a spool is made" % number)
            return
    raise AssertionError("making a spool has no end")


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO], ids=["ENOSPC", "EIO"])
def test_disk_fails_while_a_courier_leaves_and_starts(disk, error, say):
    """The one that leaves ends as always; the next one says what fails, or comes up and takes nothing; a third one has everything."""
    disk.start("--hold")
    sender, starts = Sender(), 0
    for number in range(OPERATIONS_MAX):
        sender.meet(disk)
        for _ in range(3):
            assert sender.take(sender.send(*sender.event("identify", LARGE))) == ["stored"]
        sender.part()
        disk.fail(error, after=number)
        assert disk.stop() == 0, disk.text()
        left_well = disk["failed"] == 0
        starts += next(start for start in range(OPERATIONS_MAX) if starts_failing(disk, sender, error, start))
        starts_well(disk, waiting=len(sender.stored))
        if left_well:
            break
    say("disk faults: %d operations while a courier leaves, %d while the next one starts" % (number, starts))
    assert left_well and number > 0
    assert disk.stop() == 0
    assert ids_in_file(disk) == ["ev-%05d" % number for number in sorted(sender.stored)]
