"""
Growth: does an event cost the same when 10 000, 100 000, a million others wait, and whether they are of ten people or of 100 000?
"""
import os
import statistics
import time

import delivery
from stand import free_port

WAITING = (10000, 100000, 1000000)
PEOPLE = (10, 1000, 100000)
IDENTIFIES = 100000
CONNECTIONS = 64
ROUNDS = 5
def posts(stand, url, pid):
    """Durable POSTs: medians."""
    runs = [stand.wrk(url, CONNECTIONS, pid) for _ in range(ROUNDS)]
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def waiting(stand, url, pid, count):
    """Durable POSTs into a spool that holds so many; then its size, start and memory."""
    stand.fresh_courier()
    stand.fill(count, delivery.track)
    stand.wait_ready(url)
    middle = posts(stand, url, pid)
    memory = delivery.peak_mib(stand)
    begun = time.monotonic()
    stand.start_courier(hold=True)
    delivery.wait_for("an answer", lambda: delivery.status(stand))
    return {"waiting": count, "rate": middle["rate"], "p50": middle["p50"], "p99": middle["p99"], "courier_us": middle["courier_cpu"],
            "server_us": middle["cpu"], "start_s": time.monotonic() - begun, "memory_mib": memory}


def in_memory(stand):
    now = delivery.status(stand)
    return None if now is None else now["dispatch"]["in_memory"]


def people(stand, url, pid, count):
    """How long, how much CPU and memory it takes to put a backlog of identifies in order. The REST endpoint is nobody's: nothing
    can be sent yet."""
    stand.fresh_courier()
    stand.fill(IDENTIFIES, lambda n: '{"type":"identify","traits":{"email":"p%d@example.com","visits":%d}}' % (n % count, n))
    stand.start_courier(hold=False)
    begun = time.monotonic()
    loaded = settled(stand)
    found = {"people": count, "events": IDENTIFIES, "loaded": loaded, "seconds": time.monotonic() - begun,
             "courier_us": stand.courier_ticks() / os.sysconf("SC_CLK_TCK") / loaded * 1e6, "memory_mib": delivery.peak_mib(stand)}
    beside = posts(stand, url, pid)
    return dict(found, rate=beside["rate"], p50=beside["p50"], p99=beside["p99"])


def settled(stand):
    """The number of events in memory when it does not change any more."""
    last, same = None, 0
    while same < 5:
        now = in_memory(stand)
        same = same + 1 if now == last and now else 0
        last = now
        time.sleep(0.1)
    return last


def measure(stand):
    nginx, pid = stand.nginx()
    url = nginx + "/mkto/v1/track"
    delivery.configure(stand, "http://127.0.0.1:%d" % free_port(), "http://127.0.0.1:9")
    return {"waiting": [waiting(stand, url, pid, count) for count in WAITING],
            "people": [people(stand, url, pid, count) for count in PEOPLE]}
