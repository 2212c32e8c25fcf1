#!/usr/bin/env python3
"""
`make bench`: durable POSTs against the servers' own numbers, in one run (DESIGN section 8).

Each round measures every case once, in alternating order, with an empty spool and delivery paused; the table shows the median of
the rounds and their spread. nginx runs one worker, httpd the event MPM with more threads than connections.
"""
import argparse
import json
import os
import pwd
import re
import shutil
import signal
import socket
import statistics
import subprocess
import time
import urllib.request

import delivery

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BODY_BYTES = 450
USER = "www-data"  # when started as root: of the workers and of the courier
LUA = """wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [==[%s]==]
"""
MARKETO_CONF = """[marketo]
munchkin_id = 561-HYG-937
rest_endpoint = http://127.0.0.1:9
munchkin_endpoint = http://127.0.0.1:9
rest_client_id = bench
rest_client_secret_file = {dir}/secret
[spool]
path = {dir}/spool
max_size = 20G
"""
NGINX_CONF = """load_module {out}/ngx_http_marketo_module.so;
daemon off; {user} worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/nginx.log warn;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
    access_log off; keepalive_requests 1000000000;
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u;
    scgi_temp_path {dir}/s;
    marketo_config {dir}/marketo.conf; marketo_courier external;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /204 {{ return 204; }}
        location ^~ /mkto/ {{ marketo; }}
        location ^~ /memory/ {{ marketo; marketo_ack memory; }}
    }}
}}
"""
HTTPD_CONF = """ServerRoot {dir}
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {dir}/httpd.pid
ErrorLog {dir}/httpd.log
DefaultRuntimeDir {dir}
{user}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule alias_module {modules}/mod_alias.so
LoadModule marketo_module {out}/mod_marketo.so
StartServers 1
ServerLimit 1
ThreadsPerChild 128
ThreadLimit 128
MaxRequestWorkers 128
MaxKeepAliveRequests 0
KeepAliveTimeout 60
Redirect 204 /204
MarketoConfig {dir}/marketo.conf
MarketoCourier external
<Location "/mkto/">
    MarketoCollect On
</Location>
"""


def event():
    body = {"userId": "019mr8mf4r", "event": "Update Buying Period", "properties": {"newPeriod": "2016-01-01", "plan": "Pro"},
            "context": {"page": {"url": "https://www.example.com/pricing?utm_source=news", "title": "Pricing"}}, "pad": ""}
    body["pad"] = "x" * (BODY_BYTES - len(json.dumps(body)))
    return json.dumps(body)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def ticks(pid):
    with open("/proc/%d/stat" % pid, encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as file:
        return [int(p) for p in file.read().split()]


class Bench:
    def __init__(self, out, seconds):
        self.out, self.seconds = os.path.abspath(out), seconds
        self.dir = os.path.join(self.out, "bench")
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(os.path.join(self.dir, "spool"))
        self.running = []
        self.courier = None
        self.root = os.getuid() == 0
        self.own(self.write("secret", "bench\n", 0o600))
        self.write("post.lua", LUA % event())
        self.write("marketo.conf", MARKETO_CONF.format(dir=self.dir))

    def write(self, name, text, mode=0o644):
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def own(self, path):
        if self.root:
            entry = pwd.getpwnam(USER)
            os.chown(path, entry.pw_uid, entry.pw_gid)

    @property
    def nginx_user(self):
        return "user %s;" % USER if self.root else ""

    @staticmethod
    def free_port():
        return free_port()

    def courier_ticks(self):
        return ticks(self.courier.pid)

    def fresh_courier(self, hold=True):
        """A courier with an empty spool."""
        self.stop_courier()
        spool = os.path.join(self.dir, "spool")
        shutil.rmtree(spool)
        os.mkdir(spool, 0o750)
        self.own(spool)
        self.start_courier(hold)

    def start_courier(self, hold):
        """A courier with the spool that is there; ends the one that runs."""
        self.stop_courier()
        command = [os.path.join(self.out, "marketo"), "courier", "--config", os.path.join(self.dir, "marketo.conf")]
        with open(os.path.join(self.dir, "courier.log"), "a", encoding="utf-8") as log:
            self.courier = subprocess.Popen(command + (["--hold"] if hold else []), stderr=log, stdin=subprocess.DEVNULL,
                                            user=USER if self.root else None, group=USER if self.root else None)
        for _ in range(500):
            try:
                with socket.socket(socket.AF_UNIX) as client:
                    client.connect(os.path.join(self.dir, "spool", "courier.sock"))
                return
            except OSError:
                time.sleep(0.01)
        raise SystemExit("bench: the courier did not start, see %s/courier.log" % self.dir)

    def stop_courier(self):
        if self.courier:
            self.courier.terminate()
            self.courier.wait(10)
            self.courier = None

    def serve(self, command, port):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
        self.running.append(process)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return process
            except OSError:
                if process.poll() is not None:
                    break
                time.sleep(0.05)
        raise SystemExit("bench: %s did not start, see %s" % (command[0], self.dir))

    def nginx(self):
        port = free_port()
        conf = self.write("nginx.conf", NGINX_CONF.format(out=self.out, dir=self.dir, port=port,
                                                          user=self.nginx_user))
        process = self.serve(["nginx", "-e", os.path.join(self.dir, "nginx.log"), "-p", self.dir, "-c", conf], port)
        return "http://127.0.0.1:%d" % port, process.pid

    def httpd(self):
        port = free_port()
        conf = self.write("httpd.conf", HTTPD_CONF.format(out=self.out, dir=self.dir, port=port,
                                                          modules="/usr/lib/apache2/modules",
                                                          user="User {0}\nGroup {0}".format(USER) if self.root else ""))
        process = self.serve(["/usr/sbin/apache2", "-d", self.dir, "-f", conf, "-D", "FOREGROUND"], port)
        return "http://127.0.0.1:%d" % port, process.pid

    def wait_ready(self, url):
        request = urllib.request.Request(url, event().encode(), {"Content-Type": "application/json"})
        for _ in range(100):
            try:
                if urllib.request.urlopen(request, timeout=10).status == 200:
                    return
            except OSError:
                time.sleep(0.1)
        raise SystemExit("bench: %s does not answer 200, see %s" % (url, self.dir))

    def wrk(self, url, connections, pid, post):
        """Requests/s, p50 and p99 in ms, CPU seconds of the server's children and of the courier per million requests."""
        workers = children(pid)
        before = sum(map(ticks, workers))
        courier = ticks(self.courier.pid) if self.courier else 0
        command = ["wrk", "-t1", "-c%d" % connections, "-d%ds" % self.seconds, "--latency"]
        if post:
            command += ["-s", os.path.join(self.dir, "post.lua")]
        text = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
        bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
        if bad:
            raise SystemExit("bench: %s answered %s requests with an error:\n%s" % (url, bad.group(1), text))
        requests = int(re.search(r"(\d+) requests in", text).group(1))
        scale = {"us": 1e-3, "ms": 1.0, "s": 1e3}
        quantile = {q: float(v) * scale[u] for q, v, u in re.findall(r"(\d+)%\s+([\d.]+)(us|ms|s)\b", text)}
        hertz = os.sysconf("SC_CLK_TCK")
        return {"rate": float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1)), "p50": quantile["50"],
                "p99": quantile["99"], "cpu": (sum(map(ticks, workers)) - before) / hertz / requests * 1e6,
                "courier_cpu": ((ticks(self.courier.pid) if self.courier else 0) - courier) / hertz / requests * 1e6}

    def close(self):
        for process in self.running:
            process.send_signal(signal.SIGTERM)
            process.wait(20)
        self.stop_courier()


def rounds(bench, count):
    nginx, nginx_pid = bench.nginx()
    httpd, httpd_pid = bench.httpd()
    cases = []
    for connections in (256, 64):
        cases += [("nginx 204", nginx + "/204", connections, nginx_pid),
                  ("nginx durable", nginx + "/mkto/v1/track", connections, nginx_pid),
                  ("nginx memory", nginx + "/memory/v1/track", connections, nginx_pid)]
    cases += [("httpd 204", httpd + "/204", 64, httpd_pid), ("httpd durable", httpd + "/mkto/v1/track", 64, httpd_pid)]
    results = {(name, connections): [] for name, _, connections, _ in cases}
    for number in range(count):
        for name, url, connections, pid in (cases if number % 2 == 0 else cases[::-1]):
            if not url.endswith("/204"):
                bench.fresh_courier()
                bench.wait_ready(url)
            results[name, connections].append(bench.wrk(url, connections, pid, True))
            bench.stop_courier()
            print(".", end="", flush=True)
    print()
    return results, nginx


def middle(values):
    return statistics.median(values)


def table(results):
    print("\n%-15s %5s %12s %18s %9s %9s %12s %12s" % ("case", "conn", "requests/s", "lowest..highest", "p50 ms", "p99 ms",
                                                       "server us", "courier us"))
    for (name, connections), runs in results.items():
        rates = [r["rate"] for r in runs]
        print("%-15s %5d %12.0f %18s %9.2f %9.2f %12.2f %12.2f" % (
            name, connections, middle(rates), "%.0f..%.0f" % (min(rates), max(rates)), middle(r["p50"] for r in runs),
            middle(r["p99"] for r in runs), middle(r["cpu"] for r in runs), middle(r["courier_cpu"] for r in runs)))


def ratio(results, above, below, key="rate"):
    """Median of the ratios within each round."""
    return middle(a[key] / b[key] for a, b in zip(results[above], results[below]))


def bars(results, delivered):
    rows = [
        ("durable POST / nginx 204, 256 connections", ratio(results, ("nginx durable", 256), ("nginx 204", 256)), ">=", 0.60),
        ("durable POST / nginx 204, 64 connections", ratio(results, ("nginx durable", 64), ("nginx 204", 64)), ">=", 0.55),
        ("its p99 at 64 connections, ms", middle(r["p99"] for r in results["nginx durable", 64]), "<=", 10.0),
        ("httpd: durable POST / httpd 204, 64 connections", ratio(results, ("httpd durable", 64), ("httpd 204", 64)), ">=",
         0.65),
        ("nginx worker CPU: durable POST / 204, 256 connections",
         ratio(results, ("nginx durable", 256), ("nginx 204", 256), "cpu"), "<=", 1.5),
        ("visits/s to a local collector over TLS", delivered["visits"]["visits_per_s"], ">=", 20000),
        ("courier memory with %d events waiting, MiB" % delivered["million"]["waiting"], delivered["million"]["memory_mib"], "<=", 96),
        ("its start to the first delivery, s", delivered["million"]["start_s"], "<=", 1),
    ]
    print("\nleads in one Sync Leads call, %d people waiting: %.0f" % (delivered["leads"]["leads"],
                                                                     delivered["leads"]["leads_per_call"]))
    print("\n%-56s %9s %11s" % ("bar", "measured", "wanted"))
    for name, value, sign, bar in rows:
        met = value >= bar if sign == ">=" else value <= bar
        print("%-56s %9.2f %11s  %s" % (name, value, "%s %g" % (sign, bar), "met" if met else "NOT MET"))
    return [{"bar": n, "measured": round(v, 3), "wanted": "%s %.2f" % (s, b)} for n, v, s, b in rows]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="out")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    options = parser.parse_args()
    bench = Bench(options.out, options.seconds)
    try:
        results, nginx = rounds(bench, options.rounds)
        delivered = delivery.measure(bench, nginx + "/mkto/v1/track")
    finally:
        bench.close()
    table(results)
    found = bars(results, delivered)
    with open(os.path.join(bench.dir, "bench.json"), "w", encoding="utf-8") as file:
        json.dump({"bars": found, "delivery": delivered, "cases": {"%s %d" % k: v for k, v in results.items()}}, file, indent=1)
    print("\nall figures: %s" % os.path.relpath(os.path.join(bench.dir, "bench.json"), os.getcwd()))


if __name__ == "__main__":
    main()
