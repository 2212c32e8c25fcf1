#!/usr/bin/env python3
"""
`make bench`: what an event costs, as ratios to the servers' own numbers in the same run (DESIGN section 8).

Parts, all of them unless some are named:
  rates     POSTs over nginx and httpd, durable and from memory, against the same server's 204, and where the time goes
  pages     the worker's CPU for a tracked page, beside one that is not tracked, both at the same time
  core      parsing, deciding, mapping, writing and reading alone
  delivery  visits/s over TLS, leads per call, memory and start with a million events waiting
  growth    the cost of an event beside 10 000, 100 000, a million others

Everything is printed, and kept in out/bench: bench.json, results.md, rates.svg, growth.svg.
"""
import argparse
import json
import os
import subprocess
import time

import delivery
import growth
import pages
import rates
import report
from stand import Stand

PARTS = ("rates", "pages", "core", "delivery", "growth")


def core(stand):
    done = subprocess.run([os.path.join(stand.out, "build", "tests", "bench", "core_speed")], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def rate_bars(rows):
    found = {(row["case"], row["connections"]): row for row in rows}
    durable = found["nginx durable", 64]
    return [("nginx: durable POST ÷ 204, 256 connections", found["nginx durable", 256]["ratio"], ">=", 0.60, 2),
            ("nginx: durable POST ÷ 204, 64 connections", durable["ratio"], ">=", 0.55, 2),
            ("its p99, ms", durable["p99"], "<=", 10, 2),
            ("the same while visits are delivered, 32 at once, ms", found["nginx durable, while delivering 32 at once", 64]["p99"], "<=", 10, 2),
            ("httpd: durable POST ÷ 204, 64 connections", found["httpd durable", 64]["ratio"], ">=", 0.65, 2),
            ("nginx: worker CPU of a durable POST ÷ of a 204, 256 connections", found["nginx durable", 256]["cpu_ratio"], "<=", 1.5, 2)]


def page_bars(figures):
    return [("nginx: worker CPU of a proxied page, tracked ÷ not", figures["ratio"], "<=", 1.03, 3)]


def delivery_bars(figures):
    return [("visits/s to a local collector over TLS", figures["visits"]["visits_per_s"], ">=", 20000, 0),
            ("courier memory with a million events waiting, MiB", figures["million"]["memory_mib"], "<=", 96, 0),
            ("its start to the first delivery, s", figures["million"]["start_s"], "<=", 1, 2)]


BARS = {"rates": rate_bars, "pages": page_bars, "delivery": delivery_bars}


def bars(run):
    found = [bar for part, of_part in BARS.items() if part in run for bar in of_part(run[part])]
    return [{"bar": name, "measured": value, "sign": sign, "wanted": wanted, "digits": digits,
             "met": value >= wanted if sign == ">=" else value <= wanted} for name, value, sign, wanted, digits in found]


def measure(stand, options):
    run = {"machine": report.machine(stand.dir), "date": time.strftime("%Y-%m-%d"), "load": os.getloadavg()[0], "rounds": options.rounds,
           "seconds": options.seconds}
    begun = time.monotonic()
    if "rates" in options.parts:
        results = rates.measure(stand, options.rounds)
        run["rates"] = rates.rows(results)
        run["rounds_of_rates"] = {"%s, %d" % case: runs for case, _, runs in results}
    if "pages" in options.parts:
        run["pages"] = pages.measure(stand)
    if "core" in options.parts:
        run["core"] = core(stand)
    if "delivery" in options.parts:
        run["delivery"] = delivery.measure(stand)
    if "growth" in options.parts:
        run["growth"] = growth.measure(stand)
    run.update(bars=bars(run), minutes=(time.monotonic() - begun) / 60, load_after=os.getloadavg()[0])
    return run


def keep(stand, run):
    text = report.markdown(run)
    print(text)
    for name, content in (("bench.json", json.dumps(run, indent=1)), ("results.md", text)):
        stand.write(name, content)
    report.plots(run, stand.dir)
    print("all figures: %s" % os.path.relpath(os.path.join(stand.dir, "bench.json"), os.getcwd()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="out")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=2, help="of one measurement")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    options = parser.parse_args()
    options.parts = options.parts or PARTS
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error("no such part: %s" % ", ".join(sorted(unknown)))
    stand = Stand(options.out, options.seconds)
    try:
        run = measure(stand, options)
    finally:
        stand.close()
    keep(stand, run)


if __name__ == "__main__":
    main()
