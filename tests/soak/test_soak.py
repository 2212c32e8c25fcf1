"""
A long time of mixed load, with a reload every minute. Memory and descriptors stay flat: of the courier and of the master or parent,
which live through all of it, and of each worker within its own life. Nothing is logged that was not announced, no call fails, and
what was answered 200 arrives: that, once, and nothing else.

MKTO_SOAK   seconds (default 1200); `make soak`
"""
import json
import os
import statistics
import time

import pytest

from lives import KIB, Life, Workers
from users import MARKS, THREADS, Users
from waiting import wait_until

SECONDS = float(os.environ.get("MKTO_SOAK", "1200"))
RELOAD_EVERY = 60.0
SAMPLE_EVERY = 1.0
WARM_UP, WARM_UP_EVERY = 6, 2.0  # reloads before all that, and seconds between two: a master's memory has its size after four
SETTLED, LEAST = 20.0, 15.0      # seconds: a worker's life before it is looked at, and from then on, to count

# What may be more, in bytes. Over 10 minutes of the long form 2 MiB is 20 bytes an event, 64 KiB is 6 KiB a reload; 128 KiB in a
# minute is 20 to 40 bytes a call. Measured, in 4 minutes: 0.13 MiB, 0, 4 KiB.
GROWTH = {"courier": 2048 * KIB, "parent": 64 * KIB, "workers": 128 * KIB}
# glibc gives back what was freed: in the holes of a heap that a reload leaves a leak of 20 KB a reload had room for 45 of them.
MALLOC = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_TOP_PAD_": "0"}
DESCRIPTORS = 4  # kept connections come and go

RING = 1024             # mkto_spool_seen: hashes that the smallest table takes
DATABASE = 2048 * KIB   # SQLite's cache of the spool, mkto_spool_schema

TRACKED = {
    "nginx": "marketo_track_pages on;\nmarketo_cookie refresh;\n",
    "httpd": 'AddType text/html .html\n<Location "/">\nMarketoTrackPages On\nMarketoCookie refresh\n</Location>\n',
}


def remembered(ids):
    """
    Bytes of the courier's memory that message ids take for 24 h, however right all is: 8 in a ring, slots for twice the ring's size,
    4 each, which doubles; and the rows that keep them fill SQLite's cache.
    """
    ring = max(RING, 1 << (ids - 1).bit_length())
    return 8 * ids + 8 * ring + min(8 * ids, DATABASE)


class Watch:
    """The processes of a server, for as long as it runs."""

    def __init__(self, server, users, courier):
        self.server, self.users = server, users
        self.courier, self.parent, self.workers = Life(courier), Life(server.process.pid), Workers()
        self.reloads = 0

    def sample(self):
        self.courier.sample(less=remembered(self.users.accepted_count()))
        self.parent.sample()
        self.workers.sample(self.server.children())

    def reload(self):
        self.reloads += 1
        self.workers.reload()
        self.server.reload()

    def run(self, seconds):
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            time.sleep(SAMPLE_EVERY)
            self.sample()
            if time.monotonic() - began > RELOAD_EVERY * (self.reloads + 1):
                self.reload()

    def growth(self):
        """Who -> [bytes, descriptors]: from the second quarter to the last; of workers, what most lives grew at least."""
        lives = self.workers.growth(SETTLED, LEAST)
        assert lives or SECONDS < 2 * RELOAD_EVERY, "no worker lived long enough to be looked at"
        return {"courier": self.courier.growth(), "parent": self.parent.growth(),
                "workers": [statistics.median(part) for part in zip(*lives)] or [0, 0], "lives": len(lives)}


def warm_up(server):
    for _ in range(WARM_UP):
        server.reload()
        time.sleep(WARM_UP_EVERY)


def check_arrivals(users, sandbox):
    """What was answered 200, and only that. A page that was asked for twice may have been seen twice; a call has a messageId."""
    accepted, arrived = set(users.accepted), users.arrived(sandbox)
    assert set(arrived) == accepted, "lost: %s; never accepted: %s" % (accepted - set(arrived), set(arrived) - accepted)
    twice = {name for name, times in arrived.items() if times > 1}
    assert twice <= {name for name in users.again if name.startswith("view-")}, twice
    assert not sandbox.store.violations


@pytest.mark.servers("nginx", "httpd-event")
def test_soak(server, sandbox, say):
    marks = sandbox.store.settings["custom_fields"] + MARKS
    sandbox.store.settings.update(rate_calls=10 ** 9, daily_calls=10 ** 9, custom_fields=marks)
    server.conf["marketo"].update(calls_per_20s=100, calls_per_day=1000000, rate="0")
    server.text[server.family] += TRACKED[server.family]
    server.conf["courier"]["linger"] = "10s"  # the default: a reload of httpd leaves the courier alone for a moment
    server.location(timeout="60s")  # no measure of speed
    server.env.update(MALLOC)
    server.start()
    wait_until(lambda: server.post("track", {"anonymousId": "v", "event": "first"}).status == 200, what="a courier")
    couriers = server.couriers()
    assert len(couriers) == 1
    users = Users(server)
    try:
        warm_up(server)
        watch = Watch(server, users, couriers[0])
        watch.run(SECONDS)
    finally:
        users.end()
    wait_until(lambda: server.status()["spool"]["waiting"] == 0, timeout=300, every=0.2, what="all is delivered")
    growth = watch.growth()
    say(json.dumps({"server": server.kind, "seconds": SECONDS, "reloads": WARM_UP + watch.reloads, "calls": users.done,
                    "accepted": users.accepted_count(), "connections closed": users.breaks, "grown": growth}))
    assert server.couriers() == couriers, "one courier, from the beginning to the end"
    assert not users.wrong, users.wrong
    # Each reload takes each user's kept connection once at most; and a few are closed by timeouts of their own.
    assert users.breaks <= THREADS * (WARM_UP + watch.reloads + 2)
    assert server.status()["spool"]["dead"] == 0, server.status()["spool"]
    check_arrivals(users, sandbox)
    for who, most in GROWTH.items():
        assert growth[who][0] <= most, "the memory of the %s grows: %s" % (who, growth)
        assert growth[who][1] <= DESCRIPTORS, "the descriptors of the %s grow: %s" % (who, growth)
