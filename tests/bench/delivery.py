"""
The delivery part of `make bench`: visits per second to a local collector over TLS with HTTP/1.1 and HTTP/2, leads per call, growth of
the spool, memory and start with many events waiting.
"""
import json
import os
import re
import statistics
import subprocess
import time

from stand import free_port  # and the sandbox can be imported
from marketo_sandbox import Sandbox
from usage import cpu_us

VISITS = 200000
WAITING = 1000000
LEADS = 6000
VISITS_AT_ONCE_MOST = 256  # of marketo.conf
ROUNDS = 3  # of visits; what waits by the million is measured once
PATIENCE = 120  # seconds
PROTOCOLS = ("HTTP/1.1", "HTTP/2.0")
COLLECTOR = """daemon off; {user} worker_processes 1; pid {dir}/collector{port}.pid; error_log {dir}/collector.log warn;
events {{ worker_connections 4096; }}
http {{
    log_format when '$msec $server_protocol'; access_log {dir}/collector.access when; keepalive_requests 1000000000;
    client_body_temp_path {dir}/cb; proxy_temp_path {dir}/cp; fastcgi_temp_path {dir}/cf; uwsgi_temp_path {dir}/cu;
    scgi_temp_path {dir}/cs;
    server {{
        listen 127.0.0.1:{port} ssl backlog=4096;
        ssl_certificate {dir}/collector.pem; ssl_certificate_key {dir}/collector.key;
        location / {{ return 200 "OK"; }}
    }}
    server {{
        listen 127.0.0.1:{port2} ssl http2 backlog=4096;
        ssl_certificate {dir}/collector.pem; ssl_certificate_key {dir}/collector.key;
        location / {{ return 200 "OK"; }}
    }}
}}
"""


def status(stand):
    done = subprocess.run([os.path.join(stand.out, "marketo"), "status", "--json", "--config",
                           stand.place.conf], capture_output=True, text=True, check=False)
    return json.loads(done.stdout) if done.returncode == 0 and done.stdout.startswith("{") else None


def waiting(stand):
    now = status(stand)
    return None if now is None else now["spool"]["waiting"]


def wait_for(what, predicate):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        value = predicate()
        if value:
            return value
        time.sleep(0.05)
    raise SystemExit("bench: %s did not come about within %d s" % (what, PATIENCE))


def track(number):
    """Of a visitor of its own: in one visitor's lane the order holds, and one would wait for the other."""
    return '{"type":"track","userId":"v%d","event":"Update Buying Period","properties":{"newPeriod":"2016-01-01"}}' % number


def spool_bytes(stand):
    """Of the database and its WAL, as `du` counts."""
    spool = stand.place.spool
    return sum(os.stat(os.path.join(spool, name)).st_blocks * 512 for name in os.listdir(spool) if name.startswith("spool."))


def settled(stand, number):
    """What number(stand) says when it does not change any more."""
    last, same = None, 0

    def unchanged():
        nonlocal last, same
        now = number(stand)
        same = same + 1 if now == last and now else 0
        last = now
        return same == 5
    wait_for("a number that stays", unchanged)
    return last


def visits(stand):
    """Visits of different visitors from a full spool to a collector, and the protocol that the collector saw."""
    stand.fresh_courier()
    count = stand.fill(VISITS, track)
    access = forgotten_access(stand)
    stand.start_courier(hold=False)
    begun = wait_for("the first visit", lambda: (status(stand) or {}).get("spool") and waiting(stand) < count and time.monotonic())
    left, cpu = waiting(stand), cpu_us(stand.courier.pid)
    wait_for("the last visit", lambda: waiting(stand) == 0)
    seconds = time.monotonic() - begun
    return {"visits_per_s": left / seconds, "courier_us_per_visit": (cpu_us(stand.courier.pid) - cpu) / left, "protocol": spoken(access)}


def forgotten_access(stand):
    """The collectors' access log, empty."""
    return stand.write("collector.access", "")


def spoken(access):
    with open(access, encoding="ascii") as file:
        found = {line.split()[1] for line in file if line.endswith("\n")}
    if len(found) != 1:
        raise SystemExit("bench: the collector saw %s in one run" % (", ".join(sorted(found)) or "nothing"))
    return found.pop()


def rounds_of_visits(stand, rest, collector, protocol):
    stand.configure(rest, collector, at_once=VISITS_AT_ONCE_MOST)
    runs = [visits(stand) for _ in range(ROUNDS)]
    print("." * ROUNDS, end="", flush=True)
    for run in runs:
        if run["protocol"] != protocol:
            raise SystemExit("bench: the collector saw %s, not %s" % (run["protocol"], protocol))
    rates = [run["visits_per_s"] for run in runs]
    return {"visits_per_s": statistics.median(rates), "low": min(rates), "high": max(rates), "protocol": protocol,
            "courier_us_per_visit": statistics.median(run["courier_us_per_visit"] for run in runs)}


def backlog(stand, count):
    """Disk, memory and start of a courier that has so many events of as many visitors before it."""
    stand.fresh_courier()
    before = spool_bytes(stand)
    stand.fill(count, track)
    size = (spool_bytes(stand) - before) / count
    access = forgotten_access(stand)
    started = time.time()
    stand.start_courier(hold=False)
    first = wait_for("the first delivery", lambda: _first_line(access))
    target = count - min(count // 2, VISITS)
    wait_for("the index of the spool", lambda: (waiting(stand) or count) <= target)
    return {"waiting": count, "memory_mib": peak_mib(stand), "start_s": first - started, "bytes_per_event": size,
            "event_bytes": len(track(count))}


def peak_mib(stand):
    with open("/proc/%d/status" % stand.courier.pid, encoding="ascii") as file:
        return int(re.search(r"VmHWM:\s+(\d+) kB", file.read()).group(1)) / 1024


def _first_line(path):
    with open(path, encoding="ascii") as file:
        line = file.readline()
    return float(line.split()[0]) if line.endswith("\n") else 0.0


def leads(stand, sandbox):
    """Identifies of different people through REST to a sandbox: how many a call carries."""
    stand.fresh_courier(hold=False)
    with stand.client() as client:
        sequences = [client.send("identify", '{"traits":{"email":"p%d@example.com","firstName":"P"}}' % n) for n in range(LEADS)]
        for sequence in sequences:
            assert client.verdict(sequence).answer == "stored"
    wait_for("all leads", lambda: len(sandbox.store.leads) == LEADS)
    calls = len(sandbox.calls("rest", "sync"))
    return {"leads": LEADS, "calls": calls, "leads_per_call": LEADS / calls}


def collectors(stand):
    """Addresses of two: one speaks HTTP/1.1, the other HTTP/2."""
    ports = free_port(), free_port()
    conf = stand.write("collector.conf", COLLECTOR.format(dir=stand.dir, port=ports[0], port2=ports[1], user=stand.nginx_user))
    stand.serve(["nginx", "-e", os.path.join(stand.dir, "collector.log"), "-p", stand.dir, "-c", conf], ports[0])
    return ["https://localhost:%d" % port for port in ports]


def measure(stand):
    addresses = collectors(stand)
    sandbox = Sandbox().start()
    stand.own(stand.write("secret", sandbox.store.settings["client_secret"], 0o600))
    try:
        http1, http2 = (rounds_of_visits(stand, sandbox.url, *one) for one in zip(addresses, PROTOCOLS))
        return {"visits_http1": http1, "visits": http2, "million": backlog(stand, WAITING), "leads": leads(stand, sandbox)}
    finally:
        print()
        sandbox.stop()
        stand.stop_courier()
        stand.end_servers()
