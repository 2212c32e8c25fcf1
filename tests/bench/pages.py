"""
Page tracking: what it adds to the CPU that nginx spends on a proxied page.

A percent or two is less than what one run differs from the next. So two nginx of one worker each serve the same pages of the same
application at the same time, one tracked and the other not, and whatever else the machine does befalls both; then they change places. The
ratio of such a pair is the geometric mean of both halves, in which what tells the two processes apart cancels out. Where a process has
its code and data in memory makes a percent as well, so each few pairs have two new ones; the error is that of those groups' means.
"""
import math
import statistics

import delivery
from rates import Server
from usage import children, cpu_us

GROUPS = 16
CONNECTIONS = 32  # of each
SECONDS = 1  # of half a pair
PAIRS = 3  # of a group


def half(stand, tracked, plain):
    """Microseconds of CPU a page of both, and the page views that came to the spool, of those asked for."""
    workers = [children(server.pid)[0] for server in (tracked, plain)]
    before, courier = [cpu_us(pid) for pid in workers], cpu_us(stand.courier.pid)
    loads = [stand.load(server.url + path, CONNECTIONS, "get.lua", SECONDS) for server, path in ((tracked, "/tracked/"), (plain, "/plain/"))]
    figures = [load.end()[0] for load in loads]
    spent = [(cpu_us(pid) - was) / run["requests"] for pid, was, run in zip(workers, before, figures)]
    return {"tracked_us": spent[0], "plain_us": spent[1], "tracked": figures[0]["requests"], "plain": figures[1]["requests"],
            "courier_us": (cpu_us(stand.courier.pid) - courier) / figures[0]["requests"]}


def pair(stand, servers):
    halves = [half(stand, *servers), half(stand, *servers[::-1])]
    return math.sqrt(math.prod(one["tracked_us"] / one["plain_us"] for one in halves)), halves


def group(stand, app):
    """The pairs of two new servers over an empty spool; and the share of their page views that came to it."""
    servers = [Server(*stand.nginx(app)) for _ in range(2)]
    stand.fresh_courier()
    for server in servers:
        stand.wait_ready(server.url + "/mkto/v1/track")
    found = [pair(stand, servers) for _ in range(PAIRS)]
    asked = sum(one["tracked"] for _, halves in found for one in halves)
    share = delivery.settled(stand, delivery.waiting) / asked
    stand.end_servers(2)
    return found, share


def measure(stand):
    app, groups = stand.app(), []
    for _ in range(GROUPS):
        groups.append(group(stand, app))
        print(".", end="", flush=True)
    print()
    stand.stop_courier()
    stand.end_servers()
    pairs = [one for found, _ in groups for one in found]
    ratios, halves = [ratio for ratio, _ in pairs], [one for _, both in pairs for one in both]
    means = [statistics.mean(ratio for ratio, _ in found) for found, _ in groups]
    middle = {key: statistics.median(one[key] for one in halves) for key in halves[0]}
    return dict(middle, pairs=len(ratios), ratio=statistics.median(ratios), ratio_low=min(ratios), ratio_high=max(ratios),
                mean=statistics.mean(means), error=statistics.stdev(means) / math.sqrt(len(means)), recorded=min(share for _, share in groups),
                groups=GROUPS, seconds=SECONDS, connections=CONNECTIONS, ratios=ratios)
