"""
POSTs against the same server's own 204, in alternating rounds: an empty spool each time, delivery paused.
"""
import statistics
import time

import delivery

CONNECTIONS = (1, 16, 64, 256)
SETTLED = 1.5  # seconds, by which what is not acknowledged is on disk, too


def cases(nginx, httpd):
    """Name, connections, the case that it is compared with, URL, wrk script, events a request, the server's master."""
    found = []
    for connections in CONNECTIONS:
        found += [("nginx 204", connections, "nginx 204", nginx[0] + "/204", "post.lua", 1, nginx[1]),
                  ("nginx durable", connections, "nginx 204", nginx[0] + "/mkto/v1/track", "post.lua", 1, nginx[1]),
                  ("nginx memory", connections, "nginx 204", nginx[0] + "/memory/v1/track", "post.lua", 1, nginx[1])]
    return found + [
        ("nginx 204, batch of 100", 16, "nginx 204, batch of 100", nginx[0] + "/204", "batch.lua", 100, nginx[1]),
        ("nginx durable, batch of 100", 16, "nginx 204, batch of 100", nginx[0] + "/mkto/v1/batch", "batch.lua", 100, nginx[1]),
        ("nginx proxied page", 64, "nginx proxied page", nginx[0] + "/plain/", "get.lua", 1, nginx[1]),
        ("nginx proxied page, tracked", 64, "nginx proxied page", nginx[0] + "/tracked/", "get.lua", 1, nginx[1]),
        ("httpd 204", 64, "httpd 204", httpd[0] + "/204", "post.lua", 1, httpd[1]),
        ("httpd durable", 64, "httpd 204", httpd[0] + "/mkto/v1/track", "post.lua", 1, httpd[1]),
        ("httpd memory", 64, "httpd 204", httpd[0] + "/memory/v1/track", "post.lua", 1, httpd[1]),
    ]


def views(stand):
    """Page views a second that the courier got to: the worker gives up those for which there is no room, the site goes on."""
    time.sleep(SETTLED)
    return (delivery.waiting(stand) - 1) / stand.seconds  # one is wait_ready's


def measure(stand, rounds):
    """The rounds of every case: [((name, connections), the case beside it, [figures])]."""
    nginx, httpd = stand.nginx(), stand.httpd()
    todo = cases(nginx, httpd)
    results = {(case[0], case[1]): [] for case in todo}
    for number in range(rounds):
        for name, connections, _, url, script, events, pid in (todo if number % 2 == 0 else todo[::-1]):
            if not url.endswith("/204"):
                stand.fresh_courier()
                stand.wait_ready(nginx[0] + "/mkto/v1/track")
            figures = stand.wrk(url, connections, pid, script)
            figures["events"] = figures["rate"] * events if script != "get.lua" else views(stand)
            results[name, connections].append(figures)
            stand.stop_courier()
            print(".", end="", flush=True)
    print()
    return [((case[0], case[1]), (case[2], case[1]), results[case[0], case[1]]) for case in todo]


def middle(runs, key="rate"):
    return statistics.median(run[key] for run in runs)


def ratios(runs, beside, key="rate"):
    """Of each round: two figures that were taken close to each other."""
    return [a[key] / b[key] for a, b in zip(runs, beside) if b[key] > 0]


def row(name, connections, runs, beside):
    spread, cpu = ratios(runs, beside), ratios(runs, beside, "cpu")
    return {"case": name, "connections": connections, "rate": middle(runs), "events": middle(runs, "events"),
            "ratio": statistics.median(spread), "ratio_low": min(spread), "ratio_high": max(spread),
            "p50": middle(runs, "p50"), "p99": middle(runs, "p99"), "p999": middle(runs, "p999"), "cpu": middle(runs, "cpu"),
            "cpu_ratio": statistics.median(cpu) if connections > 1 and cpu else None, "courier_cpu": middle(runs, "courier_cpu")}


def rows(results):
    """One row a case for the report."""
    by_case = {case: runs for case, _, runs in results}
    return [row(*case, runs, by_case[beside]) for case, beside, runs in results]
