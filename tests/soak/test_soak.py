"""
A long time of mixed load, with a reload every minute: memory and descriptors of courier and workers stay flat, nothing is logged that
was not announced, and everything that was answered 200 arrives.

MKTO_SOAK   seconds (default 1200); `make soak`
"""
import json
import os
import random
import statistics
import threading
import time

import pytest

from site_of_pages import PERSON, TOKEN
from waiting import wait_until

SECONDS = float(os.environ.get("MKTO_SOAK", "1200"))
RELOAD_EVERY = 60.0
SAMPLE_EVERY = 2.0
THREADS = 4
PACE = 0.02        # seconds between two calls of a thread: the courier remembers each message id for 24 h, and that is memory
PEOPLE = 500
GROWTH = 1.10      # of the median of the last quarter against that of the second,
SLACK = 4 << 20    # and what one backlog may take more than another;
PER_EVENT = 32     # bytes: a message id is remembered for 24 h (mkto_spool_seen; its tables double)
DESCRIPTORS = 4    # more at the end than in the second quarter

TRACKED = {
    "nginx": "marketo_track_pages on;\nmarketo_cookie refresh;\n",
    "httpd": 'AddType text/html .html\n<Location "/">\nMarketoTrackPages On\nMarketoCookie refresh\n</Location>\n',
}


def calls(rng, number):
    """What a site sends: many visits, some people, now and then a batch, and nonsense."""
    person, visitor = "soak%d@example.com" % rng.randrange(PEOPLE), "v%d" % rng.randrange(PEOPLE)
    page = {"type": "page", "anonymousId": visitor, "properties": {"url": "https://www.example.com/p/%d" % (number % 97)}}
    track = {"type": "track", "anonymousId": visitor, "event": "Soak", "properties": {"number": number}}
    identify = {"type": "identify", "traits": {"email": person, "firstName": "N%d" % (number % 7)}}
    kind = rng.random()
    if kind < 0.5:
        return ("page", page, 200)
    if kind < 0.75:
        return ("track", track, 200)
    if kind < 0.9:
        return ("identify", identify, 200)
    if kind < 0.95:
        return ("batch", {"batch": [page, track, identify]}, 200)
    return ("track", rng.choice([b"{", b'{"event":"x","userId":"\xff"}', b"[]", {"userId": "u"}]), 400)


class Users:
    def __init__(self, server):
        self.server, self.wrong, self.done, self.seen = server, {}, 0, []
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(THREADS)]
        for thread in self.threads:
            thread.start()

    def _run(self, seed):
        rng, talk, number = random.Random(seed), None, 0
        while not self.stop.wait(PACE):
            number += 1
            call, body, wanted = calls(rng, number)
            try:
                talk = talk or self.server.talk()
                status = talk.request("POST", "/mkto/v1/" + call, body).status
                if status >= 400 or number % 50 == 0:  # httpd closes after errors; and visitors come anew
                    talk.close()
                    talk = None
                if number % 10 == 0:
                    self.look_at("/index.html?view=%d-%d" % (seed, number))
            except OSError:  # a reload closes kept connections
                talk, status = None, wanted
            except Exception as error:  # pylint: disable=broad-except
                talk, status = None, type(error).__name__
                if status in ("RemoteDisconnected", "BadStatusLine", "CannotSendRequest"):
                    status = wanted
            if status != wanted:
                self.wrong[(call, status)] = self.wrong.get((call, status), 0) + 1
            self.done += 1

    def look_at(self, path):
        """A page, as a visitor's browser asks for it; the server itself reports the view."""
        reply = self.server.get(path, PERSON)
        assert reply.status == 200 and TOKEN in reply.headers["set-cookie"]
        self.seen.append(path)

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(60)


def resident(pid):
    with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("Pss:"))


def look(pids):
    """(bytes, descriptors) of the largest of them; None when one goes just now."""
    try:
        return max(map(resident, pids)), max(len(os.listdir("/proc/%d/fd" % pid)) for pid in pids)
    except (OSError, ValueError, StopIteration):
        return None


def quarters(samples):
    size = len(samples) // 4
    return samples[size:2 * size], samples[3 * size:]


@pytest.mark.servers("nginx", "httpd-event")
def test_soak(server, sandbox, say):
    sandbox.store.settings.update(rate_calls=10 ** 9, daily_calls=10 ** 9)
    server.conf["marketo"].update(calls_per_20s=100, calls_per_day=1000000, rate="0")
    server.text[server.family] += TRACKED[server.family]
    server.conf["courier"]["linger"] = "10s"  # the default: a reload of httpd leaves the courier alone for a moment
    server.start()
    wait_until(lambda: server.post("track", {"anonymousId": "v", "event": "first"}).status == 200, what="a courier")
    courier = server.couriers()
    users, samples, reloads = Users(server), {"courier": [], "workers": []}, 0
    began = time.monotonic()
    try:
        while time.monotonic() - began < SECONDS:
            time.sleep(SAMPLE_EVERY)
            for who, pids in (("courier", courier), ("workers", server.children())):
                samples[who].append(look(pids))
            if time.monotonic() - began > RELOAD_EVERY * (reloads + 1):
                reloads += 1
                server.reload()
    finally:
        users.end()
    wait_until(lambda: server.status()["spool"]["waiting"] == 0, timeout=120, every=0.2, what="all is delivered")
    report = {"server": server.kind, "seconds": SECONDS, "calls": users.done, "views": len(users.seen), "reloads": reloads}
    for who, seen in samples.items():
        second, last = quarters([it for it in seen if it])
        for index, what in enumerate(("bytes", "descriptors")):
            report["%s %s" % (who, what)] = [statistics.median(it[index] for it in part) for part in (second, last)]
    say(json.dumps(report))
    assert server.couriers() == courier, "one courier, from the beginning to the end"
    assert not users.wrong, users.wrong
    arrived = [one["page"].partition("example.com")[2] + "?" + one["query"] for one in sandbox.store.visits if one["query"].startswith("view=")]
    assert len(arrived) == len(set(arrived)) and set(users.seen) <= set(arrived)
    for who in samples:
        before, after = report[who + " bytes"]
        assert after <= before * GROWTH + SLACK + PER_EVENT * (users.done // 2) * (who == "courier"), "the memory of the %s grows: %s" % (who, report)
        before, after = report[who + " descriptors"]
        assert after <= before + DESCRIPTORS, "the descriptors of the %s grow: %s" % (who, report)
