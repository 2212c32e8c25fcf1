"""
The figures of `make bench` as Markdown and as plots. Run by itself it puts those of a run into BENCH.md and beside it:

    tests/bench/report.py out/bench/bench.json
"""
import argparse
import json
import os
import platform
import re
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BEGIN, END = "<!-- results: make bench, then make bench-publish -->", "<!-- end of results -->"
PLOT = """set terminal svg size 860,340 font "sans-serif,12" background "white"
set output "%s"
set grid ytics lc rgb "#dddddd"
set border 3
set tics nomirror
"""
RATES_PLOT = """set style data histogram
set style histogram clustered gap 1
set style fill solid noborder
set key above left maxrows 1
set yrange [0:*]
set xlabel "connections"
set ylabel "requests/s"
set format y "%%.0f"
$data << EOD
%s
EOD
plot $data using 2:xtic(1) title "nginx, return 204" lc rgb "#9aa5b1", \\
     $data using 3 title "event, answered when the courier has it (memory)" lc rgb "#4a90c2", \\
     $data using 4 title "event, answered when it is fsynced (disk)" lc rgb "#1d4f73"
"""
GROWTH_PLOT = """set multiplot layout 1,2
set logscale x
set format x "10^{%%L}"
set yrange [0:*]
set xlabel "events waiting"
set ylabel "us of courier CPU an event"
unset key
$waiting << EOD
%s
EOD
$people << EOD
%s
EOD
plot $waiting using 1:2 with linespoints lw 2 pt 7 lc rgb "#1d4f73"
set xlabel "people in a backlog of identifies"
plot $people using 1:2 with linespoints lw 2 pt 7 lc rgb "#1d4f73"
unset multiplot
"""


def said(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return (done.stdout + done.stderr).strip()
    except OSError:
        return ""


def version(command):
    found = re.search(r"\d+\.\d+(\.\d+)*", said(command))
    return found.group(0) if found else "?"


def machine(directory):
    """What the figures hold for, in one line."""
    cpu = re.search(r"Model name:\s*(.*)", said(["lscpu"]))
    return "%d cores (%s), Linux %s, spool on %s; nginx %s, httpd %s, SQLite %s, libcurl %s" % (
        os.cpu_count(), cpu.group(1) if cpu else "?", platform.release().split("-")[0],
        said(["findmnt", "-n", "-o", "FSTYPE", "-T", directory]), version(["nginx", "-v"]), version(["/usr/sbin/apache2", "-v"]),
        version(["dpkg-query", "-W", "-f", "${Version}", "libsqlite3-0"]), version(["curl", "--version"]))


def table(heads, lines):
    """Markdown; all columns but the first are numbers."""
    text = "| %s |\n|%s|\n" % (" | ".join(heads), "|".join(["---"] + ["---:"] * (len(heads) - 1)))
    return text + "".join("| %s |\n" % " | ".join(line) for line in lines) + "\n"


def bars_table(bars):
    return table(["bar", "wanted", "measured", ""], [[b["bar"], "%s %g" % (b["sign"], b["wanted"]), "%.*f" % (b["digits"], b["measured"]),
                                                      "met" if b["met"] else "**not met**"] for b in bars])


def untouched(row):
    """The server's own number, in which no courier has a part."""
    return " 204" in row["case"] or row["case"].endswith("page")


def spread(row, key):
    if row[key + "_low"] == row[key + "_high"]:
        return "–"
    return "%.2f–%.2f" % (row[key + "_low"], row[key + "_high"])


def rates_table(rows):
    return table(["case", "connections", "requests/s", "events/s", "÷ own", "spread", "p50 ms", "p99 ms", "p99.9 ms", "server µs", "÷ own",
                  "spread", "courier µs"],
                 [[r["case"], "%d" % r["connections"], "%.0f" % r["rate"], "–" if untouched(r) else "%.0f" % r["events"],
                   "%.2f" % r["ratio"], spread(r, "ratio"), "%.2f" % r["p50"], "%.2f" % r["p99"], "%.2f" % r["p999"],
                   "%.1f" % r["cpu"], "%.2f" % r["cpu_ratio"], spread(r, "cpu_ratio"), of_courier(r, "courier_cpu", 1)]
                  for r in rows])


def of_courier(row, key, digits):
    return "–" if untouched(row) else "%.*f" % (digits, row[key])


def synced(row):
    """The columns of the disk: events a commit, fsyncs a second, one's ms, the longest, the share of the time in them."""
    if untouched(row):
        return ["–"] * 5
    return ["%.0f" % row["per_commit"], "%.0f" % (row["syncs"] * row["rate"] / row["requests"]),
            "%.2f" % row["sync_ms"], "%.1f" % row["longest_sync_ms"], "%.0f %%" % (row["sync_share"] * 100)]


def time_table(rows):
    return table(["where the time goes: µs a request", "connections", "wrk", "server", "courier", "all else", "cores busy", "idle", "÷ own, were none idle",
                  "without a core: server", "courier", "switches: server", "courier", "events a commit", "fsyncs/s", "ms each",
                  "longest", "waited for them"],
                 [[r["case"], "%d" % r["connections"], "%.1f" % r["load_cpu"], "%.1f" % r["cpu"],
                   of_courier(r, "courier_cpu", 1), "%.1f" % r["rest_cpu"], "%.2f" % r["cores"],
                   "%.0f %%" % (r["idle"] * 100), "%.2f" % r["ratio_full"], "%.1f" % r["queued"], of_courier(r, "courier_queued", 1), "%.2f" % r["switches"],
                   of_courier(r, "courier_switches", 2), *synced(r)] for r in rows])


def pages_table(p):
    return table(["page tracking: tracked beside plain at the same time, %d connections each" % p["connections"], ""], [
        ["worker CPU, tracked ÷ plain: median of %d pairs of 2 x %d s" % (p["pairs"], p["seconds"]), "%.3f" % p["ratio"]],
        ["lowest and highest pair", "%.3f–%.3f" % (p["ratio_low"], p["ratio_high"])],
        ["mean of %d groups, each of two new servers, and its standard error" % p["groups"], "%.3f ± %.3f" % (p["mean"], p["error"])],
        ["worker CPU a page, tracked and plain", "%.2f and %.2f µs" % (p["tracked_us"], p["plain_us"])],
        ["pages/s, tracked and plain", "%.0f and %.0f" % (p["tracked"] / p["seconds"], p["plain"] / p["seconds"])],
        ["courier CPU a tracked page", "%.1f µs" % p["courier_us"]],
        ["page views that came to the spool", "%.1f %%" % (p["recorded"] * 100)],
    ])


def visits_lines(v):
    name = v["protocol"].replace(".0", "")
    return [["visits/s over TLS, %s: median, lowest and highest of 3" % name, "%.0f (%.0f–%.0f)" % (v["visits_per_s"], v["low"], v["high"])],
            ["courier CPU per visit, %s" % name, "%.1f µs" % v["courier_us_per_visit"]]]


def delivery_table(d):
    million = d["million"]
    return table(["delivery", ""], visits_lines(d["visits"]) + visits_lines(d["visits_http1"]) + [
        ["people in one Sync Leads call, %d waiting" % d["leads"]["leads"], "%.0f" % d["leads"]["leads_per_call"]],
        ["spool on disk per event of %d bytes of JSON" % million["event_bytes"], "%.0f bytes" % million["bytes_per_event"]],
        ["start to first delivery, %d waiting (one run)" % million["waiting"], "%.2f s" % million["start_s"]],
        ["courier memory then, at its highest", "%.0f MiB" % million["memory_mib"]],
    ])


def core_table(core):
    events = table(["alone, ns an event", "bytes", "JSON", "JSON, checks, decision at the door", "and mapped instead", "and Munchkin request"],
                   [[e["event"], "%d" % e["bytes"], "%.0f" % e["parse_ns"], "%.0f" % e["door_ns"], "%.0f" % e["map_ns"],
                     "%.0f" % e["visit_ns"] if "visit_ns" in e else "–"] for e in core["events"]])
    per_second = {key: 1e9 / value for key, value in core["leads"].items()}
    return events + table(["leads/s, 300 a call", "written", "read from the answer"],
                          [["REST", "%.0f" % per_second["rest_write_ns"], "%.0f" % per_second["rest_read_ns"]],
                           ["SOAP", "%.0f" % per_second["soap_write_ns"], "%.0f" % per_second["soap_read_ns"]]])


def growth_table(growth):
    return table(["events waiting", "at most", "durable/s, 64 connections", "p50 ms", "p99 ms", "courier µs", "memory MiB",
                  "start until it answers, s"],
                 [["%d" % g["waiting"], "%d" % g["most"], "%.0f" % g["rate"], "%.2f" % g["p50"], "%.2f" % g["p99"], "%.1f" % g["courier_us"],
                   "%.0f" % g["memory_mib"], "%.2f" % g["answers_s"]] for g in growth["waiting"]]) + \
        table(["people in a backlog of identifies", "events", "at most", "taken up", "courier µs to accept one", "and to put it in order",
               "memory MiB", "durable/s beside it", "p50 ms", "p99 ms"],
              [["%d" % g["people"], "%d" % g["events"], "%d" % g["most"], "%d" % g["loaded"], "%.2f" % g["accepted_us"],
                "%.2f" % g["courier_us"], "%.0f" % g["memory_mib"], "%.0f" % g["rate"], "%.2f" % g["p50"], "%.2f" % g["p99"]] for g in growth["people"]])


TABLES = {"pages": pages_table, "delivery": delivery_table, "core": core_table, "growth": growth_table}


def markdown(run):
    text = "%s, %d rounds of %d s, %s; load average %.1f before the run, %.1f after its %.0f minutes.\n\n" % (
        run["machine"], run["rounds"], run["seconds"], run["date"], run["load"], run["load_after"], run["minutes"])
    text += bars_table(run["bars"])
    if "rates" in run:
        text += rates_table(run["rates"]) + time_table(run["rates"])
        text += "".join("%s, %d connections: %.0f visits/s were delivered meanwhile.\n\n" % (r["case"], r["connections"], r["delivered"])
                        for r in run["rates"] if r.get("delivered"))
    return text + "".join(draw(run[part]) for part, draw in TABLES.items() if part in run)


def plot(script, path):
    subprocess.run(["gnuplot"], input=PLOT % path + script, text=True, check=True)


def plots(run, directory):
    """rates.svg and growth.svg of what was measured."""
    if "rates" in run:
        by_case = {(r["case"], r["connections"]): r["rate"] for r in run["rates"]}
        connections = sorted({c for name, c in by_case if name == "nginx durable"})
        lines = ["%d %f %f %f" % (c, by_case["nginx 204", c], by_case["nginx memory", c], by_case["nginx durable", c]) for c in connections]
        plot(RATES_PLOT % "\n".join(lines), os.path.join(directory, "rates.svg"))
    if "growth" in run:
        plot(GROWTH_PLOT % ("\n".join("%d %f" % (g["waiting"], g["courier_us"]) for g in run["growth"]["waiting"]),
                            "\n".join("%d %f" % (g["people"], g["courier_us"]) for g in run["growth"]["people"])),
             os.path.join(directory, "growth.svg"))


def publish(run):
    missing = {"rates", *TABLES} - set(run)
    if missing:
        raise SystemExit("bench-publish: the last run was without %s; run `make bench` whole" % ", ".join(sorted(missing)))
    path = os.path.join(ROOT, "BENCH.md")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    head, rest = text.split(BEGIN)
    tail = rest.split(END)[1]
    with open(path, "w", encoding="utf-8") as file:
        file.write(head + BEGIN + "\n\n" + markdown(run) + END + tail)
    plots(run, HERE)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("json")
    with open(parser.parse_args().json, encoding="utf-8") as file:
        publish(json.load(file))


if __name__ == "__main__":
    main()
