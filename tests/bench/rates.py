"""
POSTs against the same server's own 204, in alternating rounds: an empty spool each time, delivery paused unless the name says otherwise.
"""
import collections
import statistics
import time

import delivery
from stand import VISITS_AT_ONCE, free_port

CONNECTIONS = (1, 16, 64, 256)
SETTLED = 1.5  # seconds, by which what is not acknowledged is on disk, too
SYNC_US = 150  # of the disk that is made of sleeps: a good one of a server
# A server: its address, its master. A case: beside is the name of that which it is compared with, at as many connections.
Server = collections.namedtuple("Server", "url pid")
# visits: so many may be under way at the same time; None: delivery is paused.
Case = collections.namedtuple("Case", "name connections beside server path script events place visits", defaults=("post.lua", 1, None, None))
SLEPT = "nginx durable, disk of %d µs" % SYNC_US


def plain_cases(server, connections, name):
    own = name + " 204"
    return [Case(own, connections, own, server, "/204"),
            Case(name + " durable", connections, own, server, "/mkto/v1/track"),
            Case(name + " memory", connections, own, server, "/memory/v1/track")]


def cases(stand):
    app, slept = stand.app(), stand.slow_memory(SYNC_US)
    one, two = Server(*stand.nginx(app)), Server(*stand.nginx(app, workers="auto"))
    beside = Server(*stand.nginx(app, place=slept))
    found = [case for connections in CONNECTIONS for case in plain_cases(one, connections, "nginx")]
    found += [Case(SLEPT, connections, "nginx 204", beside, "/mkto/v1/track", place=slept) for connections in (64, 256)]
    return found + [
        *(Case("nginx durable, while delivering %d at once" % visits, 64, "nginx 204", one, "/mkto/v1/track", "visitors.lua", visits=visits)
          for visits in (VISITS_AT_ONCE, delivery.VISITS_AT_ONCE_MOST)),
        Case("nginx 204, batch of 100", 16, "nginx 204, batch of 100", one, "/204", "batch.lua"),
        Case("nginx durable, batch of 100", 16, "nginx 204, batch of 100", one, "/mkto/v1/batch", "batch.lua", 100),
        Case("nginx proxied page", 64, "nginx proxied page", one, "/plain/", "get.lua"),
        Case("nginx proxied page, tracked", 64, "nginx proxied page", one, "/tracked/", "get.lua"),
        *plain_cases(two, 256, "nginx, worker_processes auto:")[:2],
        *plain_cases(Server(*stand.httpd()), 64, "httpd"),
        *plain_cases(Server(*stand.httpd("prefork")), 64, "httpd prefork")[:2],
    ]


def views(stand):
    """Page views a second that the courier got to: the worker gives up those for which there is no room, the site goes on."""
    time.sleep(SETTLED)
    return (delivery.waiting(stand) - 1) / stand.seconds  # one is wait_ready's


def one_round(stand, case, endpoints):
    if not case.path.endswith("/204"):
        if case.visits:
            stand.configure(*endpoints, at_once=case.visits)
        stand.fresh_courier(case.visits is None, case.place)
        stand.wait_ready(case.server.url + "/mkto/v1/track")
    figures = stand.wrk(case.server.url + case.path, case.connections, case.server.pid, case.script)
    figures["events"] = figures["rate"] * case.events if case.script != "get.lua" else views(stand)
    if stand.courier:
        now = delivery.status(stand)
        figures["per_commit"] = now["intake"]["accepted"] / max(now["intake"]["commits"], 1)
        figures["delivered"] = sum(one["counters"]["visits"] for one in now["dispatch"]["subscriptions"]) / stand.seconds
    stand.stop_courier()
    print(".", end="", flush=True)
    return figures


def measure(stand, rounds):
    """The rounds of every case: [((name, connections), the case beside it, [figures])]."""
    endpoints = "http://127.0.0.1:%d" % free_port(), delivery.collectors(stand)[1]
    stand.configure(*endpoints)
    todo = cases(stand)
    results = {case: [] for case in todo}
    for number in range(rounds):
        for case in todo if number % 2 == 0 else todo[::-1]:
            results[case].append(one_round(stand, case, endpoints))
    print()
    stand.end_servers()
    return [((case.name, case.connections), (case.beside, case.connections), results[case]) for case in todo]


def middle(runs, key="rate"):
    return statistics.median(run[key] for run in runs)


def ratios(runs, beside, key="rate"):
    """Of each round: two figures that were taken close to each other."""
    return [a[key] / b[key] for a, b in zip(runs, beside) if b[key] > 0]


def row(name, connections, runs, beside):
    spread, cpu = ratios(runs, beside), ratios(runs, beside, "cpu")
    found = {key: middle(runs, key) for key in runs[0]}
    full = [ratio / (1 - run["idle"]) for ratio, run in zip(spread, runs)]
    return dict(found, case=name, connections=connections, ratio=statistics.median(spread), ratio_low=min(spread), ratio_high=max(spread),
                ratio_full=statistics.median(full), cpu_ratio=statistics.median(cpu), cpu_ratio_low=min(cpu), cpu_ratio_high=max(cpu),
                sync_share=found["sync_us"] * found["rate"] / found["requests"] / 1e6)


def rows(results):
    """One row a case for the report."""
    by_case = {case: runs for case, _, runs in results}
    return [row(*case, runs, by_case[beside]) for case, beside, runs in results]
