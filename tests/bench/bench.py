#!/usr/bin/env python3
"""
`make bench`: what an event costs, as ratios to the servers' own numbers in the same run (DESIGN section 8).

Parts, all of them unless some are named:
  rates     POSTs over nginx and httpd, durable and from memory, against the same server's 204
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
import rates
import report
from stand import Stand

PARTS = ("rates", "core", "delivery", "growth")


def core(stand):
    done = subprocess.run([os.path.join(stand.out, "build", "tests", "bench", "core_speed")], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def rate_bars(rows):
    found = {(row["case"], row["connections"]): row for row in rows}
    durable = found["nginx durable", 64]
    return [("nginx: durable POST ÷ 204, 256 connections", found["nginx durable", 256]["ratio"], ">=", 0.60),
            ("nginx: durable POST ÷ 204, 64 connections", durable["ratio"], ">=", 0.55),
            ("its p99, ms", durable["p99"], "<=", 10),
            ("httpd: durable POST ÷ 204, 64 connections", found["httpd durable", 64]["ratio"], ">=", 0.65),
            ("nginx: worker CPU of a durable POST ÷ of a 204, 256 connections", found["nginx durable", 256]["cpu_ratio"], "<=", 1.5),
            ("nginx: worker CPU of a proxied page, tracked ÷ not", found["nginx proxied page, tracked", 64]["cpu_ratio"], "<=", 1.03)]


def delivery_bars(figures):
    return [("visits/s to a local collector over TLS", figures["visits"]["visits_per_s"], ">=", 20000),
            ("courier memory with a million events waiting, MiB", figures["million"]["memory_mib"], "<=", 96),
            ("its start to the first delivery, s", figures["million"]["start_s"], "<=", 1)]


def bars(run):
    found = (rate_bars(run["rates"]) if "rates" in run else []) + (delivery_bars(run["delivery"]) if "delivery" in run else [])
    return [{"bar": name, "measured": value, "sign": sign, "wanted": wanted,
             "met": value >= wanted if sign == ">=" else value <= wanted} for name, value, sign, wanted in found]


def measure(stand, options):
    run = {"machine": report.machine(stand.dir), "date": time.strftime("%Y-%m-%d"), "load": os.getloadavg()[0], "rounds": options.rounds, "seconds": options.seconds}
    if "rates" in options.parts:
        results = rates.measure(stand, options.rounds)
        run["rates"] = rates.rows(results)
        run["rounds_of_rates"] = {"%s, %d" % case: runs for case, _, runs in results}
    if "core" in options.parts:
        run["core"] = core(stand)
    if "delivery" in options.parts:
        run["delivery"] = delivery.measure(stand)
    if "growth" in options.parts:
        run["growth"] = growth.measure(stand)
    run["bars"] = bars(run)
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
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="of one measurement")
    parser.add_argument("parts", nargs="*", metavar="PART", help="rates, core, delivery, growth")
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
