"""
Growth: does an event cost the same when 10 000, 100 000, a million others wait, and whether they are of ten people or of 100 000?
"""
import statistics
import time

import delivery
from stand import free_port
from usage import cpu_us

WAITING = (10000, 100000, 1000000)
PEOPLE = (10, 1000, 100000)
IDENTIFIES = 100000
CONNECTIONS = 64
ROUNDS = 9
SECONDS = 0.25  # of a round: so short that its own events do not change how many wait
GROWN = 1.25  # times as many: the spool is filled anew before the next round


def middle(runs):
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def posts(stand, url, pid):
    """A round of durable POSTs."""
    return dict(stand.wrk(url, CONNECTIONS, pid, seconds=SECONDS), waiting=delivery.waiting(stand))


def filled(stand, url, count):
    stand.fresh_courier()
    stand.fill(count, delivery.track)
    stand.wait_ready(url)


def waiting(stand, url, pid, count):
    """Durable POSTs into a spool that holds so many; then its memory, and how soon the next courier answers over it."""
    runs = []
    for _ in range(ROUNDS):
        if not runs or runs[-1]["waiting"] > count * GROWN:
            filled(stand, url, count)
        runs.append(posts(stand, url, pid))
        print(".", end="", flush=True)
    memory = delivery.peak_mib(stand)
    begun = time.monotonic()
    stand.start_courier(hold=True)
    delivery.wait_for("an answer", lambda: delivery.status(stand))
    found = middle(runs)
    return {"waiting": count, "most": max(run["waiting"] for run in runs), "rate": found["rate"], "p50": found["p50"], "p99": found["p99"],
            "courier_us": found["courier_cpu"], "server_us": found["cpu"], "answers_s": time.monotonic() - begun, "memory_mib": memory}


def in_memory(stand):
    now = delivery.status(stand)
    return None if now is None else now["dispatch"]["in_memory"]


def people(stand, url, pid, count):
    """What CPU it takes to accept a backlog of identifies, and after a restart how long, how much CPU and memory to put it in order.
    The REST endpoint is nobody's: nothing can be sent yet."""
    stand.fresh_courier()
    idle = cpu_us(stand.courier.pid)
    stand.fill(IDENTIFIES, lambda n: '{"type":"identify","traits":{"email":"p%06d@example.com","visits":%d}}' % (n % count, n))
    accepted = (cpu_us(stand.courier.pid) - idle) / IDENTIFIES
    stand.start_courier(hold=False)
    begun = time.monotonic()
    loaded = delivery.settled(stand, in_memory)
    found = {"people": count, "events": IDENTIFIES, "loaded": loaded, "seconds": time.monotonic() - begun,
             "accepted_us": accepted, "courier_us": cpu_us(stand.courier.pid) / loaded, "memory_mib": delivery.peak_mib(stand)}
    runs = [posts(stand, url, pid) for _ in range(ROUNDS)]
    print(".", end="", flush=True)
    beside = middle(runs)
    return dict(found, rate=beside["rate"], p50=beside["p50"], p99=beside["p99"], most=runs[-1]["waiting"])


def measure(stand):
    nginx, pid = stand.nginx(stand.app())
    url = nginx + "/mkto/v1/track"
    stand.configure("http://127.0.0.1:%d" % free_port(), "http://127.0.0.1:9")
    found = {"waiting": [waiting(stand, url, pid, count) for count in WAITING],
             "people": [people(stand, url, pid, count) for count in PEOPLE]}
    print()
    stand.stop_courier()
    stand.end_servers()
    return found
