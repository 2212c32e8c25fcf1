"""
The delivery part of `make bench`: visits per second to a local collector over TLS with HTTP/1.1 and HTTP/2, leads per call, growth of
the spool, memory and start with many events waiting.
"""
import json
import os
import re
import subprocess
import time

from stand import free_port  # and the sandbox can be imported
from marketo_sandbox import Sandbox

VISITS = 200000
WAITING = 1000000
LEADS = 6000
PATIENCE = 120  # seconds
CONF = """[marketo]
munchkin_id = 561-HYG-937
rest_endpoint = {rest}
munchkin_endpoint = {munchkin}
rest_client_id = sandbox-client
rest_client_secret_file = {dir}/secret
host = www.example.com
visits_at_once = 256
ca_file = {dir}/collector.pem
[spool]
path = {dir}/spool
max_size = 20G
"""
COLLECTOR = """daemon off; {user} worker_processes 1; pid {dir}/collector.pid; error_log {dir}/collector.log warn;
events {{ worker_connections 4096; }}
http {{
    log_format when '$msec'; access_log {dir}/collector.access when; keepalive_requests 1000000000;
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
                           os.path.join(stand.dir, "marketo.conf")], capture_output=True, text=True, check=False)
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


def certificate(stand):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                    "-keyout", os.path.join(stand.dir, "collector.key"), "-out", os.path.join(stand.dir, "collector.pem")],
                   check=True, capture_output=True)
    os.chmod(os.path.join(stand.dir, "collector.pem"), 0o644)


def track(number):
    """Of a visitor of its own: in one visitor's lane the order holds, and one would wait for the other."""
    return '{"type":"track","userId":"v%d","event":"Update Buying Period","properties":{"newPeriod":"2016-01-01"}}' % number


def spool_bytes(stand):
    """Of the database and its WAL, as `du` counts."""
    spool = os.path.join(stand.dir, "spool")
    return sum(os.stat(os.path.join(spool, name)).st_blocks * 512 for name in os.listdir(spool) if name.startswith("spool."))


def visits(stand, rest, collector):
    """Visits of different visitors from a full spool to a collector."""
    configure(stand, rest, collector)
    stand.fresh_courier()
    count = stand.fill(VISITS, track)
    stand.start_courier(hold=False)
    begun = wait_for("the first visit", lambda: (status(stand) or {}).get("spool") and waiting(stand) < count and time.monotonic())
    left = waiting(stand)
    cpu = stand.courier_ticks()
    wait_for("the last visit", lambda: waiting(stand) == 0)
    seconds = time.monotonic() - begun
    return {"visits_per_s": left / seconds, "courier_us_per_visit": (stand.courier_ticks() - cpu) / os.sysconf("SC_CLK_TCK") / left * 1e6}


def backlog(stand, count):
    """Disk, memory and start of a courier that has so many events of as many visitors before it."""
    stand.fresh_courier()
    before = spool_bytes(stand)
    stand.fill(count, track)
    size = (spool_bytes(stand) - before) / count
    access = os.path.join(stand.dir, "collector.access")
    with open(access, "w", encoding="ascii"):
        pass
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
    return float(line) if line.endswith("\n") else 0.0


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


def configure(stand, rest, collector):
    stand.write("marketo.conf", CONF.format(dir=stand.dir, rest=rest, munchkin=collector))


def collectors(stand):
    """Addresses of two: one speaks HTTP/1.1, the other HTTP/2."""
    certificate(stand)
    ports = free_port(), free_port()
    conf = stand.write("collector.conf", COLLECTOR.format(dir=stand.dir, port=ports[0], port2=ports[1], user=stand.nginx_user))
    stand.serve(["nginx", "-e", os.path.join(stand.dir, "collector.log"), "-p", stand.dir, "-c", conf], ports[0])
    return ["https://localhost:%d" % port for port in ports]


def measure(stand):
    http1, http2 = collectors(stand)
    sandbox = Sandbox().start()
    stand.own(stand.write("secret", sandbox.store.settings["client_secret"], 0o600))
    try:
        return {"visits_http1": visits(stand, sandbox.url, http1), "visits": visits(stand, sandbox.url, http2),
                "million": backlog(stand, WAITING), "leads": leads(stand, sandbox)}
    finally:
        sandbox.stop()
