"""
The delivery part of `make bench`: visits per second to a local collector over TLS, leads per call, memory and start with a million
events waiting.
"""
import json
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VISITS = 200000
WAITING = 1000000
LEADS = 6000
PATIENCE = 120  # seconds
# Each event of a visitor of its own: in one visitor's lane the order holds, and one would wait for the other.
LUA = """local n = %d
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
request = function()
  n = n + 1
  return wrk.format(nil, nil, nil, '{"userId":"v' .. n .. '","event":"Update Buying Period","properties":{"newPeriod":"2016-01-01"}}')
end
"""
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
        listen 127.0.0.1:{port} ssl http2 backlog=4096;
        ssl_certificate {dir}/collector.pem; ssl_certificate_key {dir}/collector.key;
        location / {{ return 200 "OK"; }}
    }}
}}
"""


def status(bench):
    done = subprocess.run([os.path.join(bench.out, "marketo"), "status", "--json", "--config",
                           os.path.join(bench.dir, "marketo.conf")], capture_output=True, text=True, check=False)
    return json.loads(done.stdout) if done.returncode == 0 and done.stdout.startswith("{") else None


def waiting(bench):
    now = status(bench)
    return None if now is None else now["spool"]["waiting"]


def wait_for(what, predicate):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        value = predicate()
        if value:
            return value
        time.sleep(0.05)
    raise SystemExit("bench: %s did not come about within %d s" % (what, PATIENCE))


def certificate(bench):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                    "-keyout", os.path.join(bench.dir, "collector.key"), "-out", os.path.join(bench.dir, "collector.pem")],
                   check=True, capture_output=True)
    os.chmod(os.path.join(bench.dir, "collector.pem"), 0o644)


def fill(bench, url, count, first):
    """Puts about `count` events of different visitors into a held courier's spool. Returns how many."""
    bench.write("fill.lua", LUA % first)
    while (waiting(bench) or 0) < count:
        subprocess.run(["wrk", "-t1", "-c64", "-d2s", "-s", os.path.join(bench.dir, "fill.lua"), url], check=True,
                       capture_output=True)
        first += count
        bench.write("fill.lua", LUA % first)
    return waiting(bench)


def visits(bench, url):
    bench.fresh_courier()
    bench.wait_ready(url)
    count = fill(bench, url, VISITS, 0)
    bench.start_courier(hold=False)
    begun = wait_for("the first visit", lambda: (status(bench) or {}).get("spool") and waiting(bench) < count and time.monotonic())
    left = waiting(bench)
    cpu = bench.courier_ticks()
    wait_for("the last visit", lambda: waiting(bench) == 0)
    seconds = time.monotonic() - begun
    return {"visits_per_s": left / seconds, "courier_us_per_visit": (bench.courier_ticks() - cpu) / os.sysconf("SC_CLK_TCK") / left * 1e6}


def million(bench, url):
    """Memory of a courier that has a million events of a million visitors before it, and its start."""
    bench.fresh_courier()
    bench.wait_ready(url)
    count = fill(bench, url, WAITING, 10 * WAITING)
    access = os.path.join(bench.dir, "collector.access")
    with open(access, "w", encoding="ascii"):
        pass
    started = time.time()
    bench.start_courier(hold=False)
    first = wait_for("the first delivery", lambda: _first_line(access))
    wait_for("the index of the spool", lambda: (waiting(bench) or count) < count - VISITS)
    with open("/proc/%d/status" % bench.courier.pid, encoding="ascii") as file:
        peak = int(re.search(r"VmHWM:\s+(\d+) kB", file.read()).group(1)) / 1024
    return {"waiting": count, "memory_mib": peak, "start_s": first - started}


def _first_line(path):
    with open(path, encoding="ascii") as file:
        line = file.readline()
    return float(line) if line.endswith("\n") else 0.0


def leads(bench, wire, sandbox):
    """Identifies of different people through REST to a sandbox: how many a call carries."""
    bench.fresh_courier(hold=False)
    path = os.path.join(bench.dir, "spool", "courier.sock")
    with wire.Client(path, config=os.path.join(bench.dir, "marketo.conf")) as client:
        sequences = [client.send("identify", '{"traits":{"email":"p%d@example.com","firstName":"P"}}' % n) for n in range(LEADS)]
        for sequence in sequences:
            assert client.verdict(sequence).answer == "stored"
    wait_for("all leads", lambda: len(sandbox.store.leads) == LEADS)
    calls = len(sandbox.calls("rest", "sync"))
    return {"leads": LEADS, "calls": calls, "leads_per_call": LEADS / calls}


def measure(bench, url):
    """url: a durable track path of the nginx of this bench. Returns the figures."""
    sys.path[:0] = [os.path.join(ROOT, "tests", "sandbox"), os.path.join(ROOT, "tests", "e2e")]
    import wire
    from marketo_sandbox import Sandbox
    certificate(bench)
    port = bench.free_port()
    conf = bench.write("collector.conf", COLLECTOR.format(dir=bench.dir, port=port, user=bench.nginx_user))
    bench.serve(["nginx", "-e", os.path.join(bench.dir, "collector.log"), "-p", bench.dir, "-c", conf], port)
    sandbox = Sandbox().start()
    bench.own(bench.write("secret", sandbox.store.settings["client_secret"], 0o600))
    bench.write("marketo.conf", CONF.format(dir=bench.dir, rest=sandbox.url, munchkin="https://localhost:%d" % port))
    try:
        return {"visits": visits(bench, url), "million": million(bench, url), "leads": leads(bench, wire, sandbox)}
    finally:
        sandbox.stop()
