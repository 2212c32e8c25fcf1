"""A page of the spool's file goes bad while the courier is down: all events outside of it arrive, and the loss is named."""
import contextlib
import glob
import os
import re
import sqlite3

import pytest

from load import Load, arrived
from waiting import wait_until

PEOPLE = 400
PAGE = 8192
AWAY = r"MKTO03(01|02|05|06|07|10) "  # Marketo is not there at first
FOUND = r"MKTO0303 .* malformed"       # where the damage is met: after the salvage these answers are recorded
ADDRESS = rb"\bp(\d+)@example\.com"


def store_events(server, sandbox):
    """Events in the order of their numbers that no Marketo takes; then the server and its courier are stopped."""
    sandbox.stop()
    server.start()
    with Load(server, PEOPLE, threads=1) as load:
        pass
    assert len(load.accepted) == PEOPLE
    server.stop()
    wait_until(lambda: not server.couriers(), what="the courier ends")


def break_page_of(spool, number):
    """Noise where the page with that person's event is. Returns the numbers of all people that it had."""
    with open(os.path.join(spool, "spool.db"), "r+b") as file:
        pages = iter(lambda: file.read(PAGE), b"")
        for at, page in enumerate(pages):
            people = {int(found) for found in re.findall(ADDRESS, page)}
            if number in people:
                file.seek(at * PAGE)
                file.write(b"\xa5" * PAGE)
                return people
    raise AssertionError("no page has person %d" % number)


def start_again(server, sandbox):
    """With Marketo there. Returns the line that names the salvage."""
    sandbox.start()
    server.start()
    assert server.post("identify", {"traits": {"email": "p%d@example.com" % PEOPLE}}).status == 200
    wait_until(lambda: server.status()["spool"]["waiting"] == 0, timeout=120, what="nothing waits")
    lines = [line for line in server.bad_lines() if "MKTO0217" in line]
    assert len(lines) == 1, lines
    return lines[0]


def check_arrived(sandbox, lost):
    """Everybody else, and nobody twice."""
    syncs = {int(re.match(ADDRESS.decode(), email).group(1)): count for email, count in arrived(sandbox).items()}
    assert syncs == {number: 1 for number in range(PEOPLE + 1) if number not in lost}


def kept_file(server, line):
    """The damaged file is where the log says, as it was, and it is the only one."""
    kept = re.search(r"kept as (\S*/spool\.db\.bad-\d+\S*)", line).group(1)
    assert glob.glob(os.path.join(server.conf.spool, "spool.db.bad-*")) == [kept]
    with open(kept, "rb") as file:
        assert b"\xa5" * PAGE in file.read()


def dead_letters(server):
    """(id, reason) of each. The courier ends for it."""
    server.stop()
    wait_until(lambda: not server.couriers(), what="the courier ends")
    path = os.path.join(server.conf.spool, "spool.db")
    with contextlib.closing(sqlite3.connect("file:%s?mode=ro" % path, uri=True)) as database:
        return database.execute("SELECT id, reason FROM dead ORDER BY id").fetchall()


@pytest.mark.servers("nginx", "httpd-event")
def test_a_page_in_the_middle(server, sandbox):
    """What is in it becomes dead letters, one each."""
    server.announce(AWAY, FOUND, "MKTO0217 ", "MKTO0304 ")
    store_events(server, sandbox)
    lost = break_page_of(server.conf.spool, PEOPLE // 2)
    assert 0 < min(lost) and max(lost) < PEOPLE - 1
    line = start_again(server, sandbox)
    check_arrived(sandbox, lost)
    kept_file(server, line)
    assert "%d events were salvaged, %d others cannot be read" % (PEOPLE - len(lost), len(lost)) in line
    assert dead_letters(server) == [(number + 1, "bad_row") for number in sorted(lost)]


@pytest.mark.servers("nginx")
def test_the_page_of_the_newest(server, sandbox):
    """How many it had nobody knows: the log says so, and names none of them."""
    server.announce(AWAY, FOUND, "MKTO0217 ")
    store_events(server, sandbox)
    lost = break_page_of(server.conf.spool, PEOPLE - 1)
    line = start_again(server, sandbox)
    check_arrived(sandbox, lost)
    kept_file(server, line)
    assert "%d events were salvaged, an unknown number of others cannot be read" % (PEOPLE - len(lost)) in line
    assert not dead_letters(server)
