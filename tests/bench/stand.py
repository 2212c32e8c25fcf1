"""
What `make bench` stands on: nginx, httpd and couriers of its own under out/bench, and wrk.
"""
import collections
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

from usage import SYNCS, Usage

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "tests", "sandbox"), os.path.join(ROOT, "tests", "e2e")]
import wire  # noqa: E402
from servers import free_port  # noqa: E402

FILL_BATCH = 100  # events
FILL_AHEAD = 8  # batches
BODY_BYTES = 450
USER = "www-data"  # when started as root: of the workers and of the courier
MEMORY = "/dev/shm"
VISITS_AT_ONCE = 32  # what marketo.conf has by itself
CUT_S = 60  # of a run that is cut short; wrk itself knows whole seconds only
# Where a courier has its config and its spool. sync_us: its fsyncs are sleeps of so many microseconds; None: the disk's own.
Place = collections.namedtuple("Place", "conf spool sync_us")
# wrk's own report ends at the 99th percentile.
LUA_REPORT = """
done = function(summary, latency, requests)
  local lost = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  print(string.format("figures %d %d %d %d %d %d %d", summary.requests, summary.duration, summary.errors.status, lost,
                      latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
"""
# A visitor with a cookie, who looks at a page.
LUA_GET = """wrk.headers["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
wrk.headers["Accept"] = "text/html,application/xhtml+xml"
wrk.headers["Sec-Fetch-Dest"] = "document"
wrk.headers["Cookie"] = "_mkto_trk=id:561-HYG-937&token:_mch-example.com-1374552656411-90718"
"""
# As many visitors as a thousand: what is to be delivered of one visitor waits for what came before.
LUA_VISITORS = """wrk.headers["Content-Type"] = "application/json"
local texts, last = {}, 0
init = function()
  for n = 1, 1000 do
    texts[n] = wrk.format("POST", nil, nil, (string.gsub([==[%s]==], "019mr8mf4r", string.format("visitor%%03d", n %% 1000))))
  end
end
request = function()
  last = last %% 1000 + 1
  return texts[last]
end
"""
LUA_POST = """wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [==[%s]==]
"""
MARKETO_CONF = """[marketo]
munchkin_id = 561-HYG-937
rest_endpoint = {rest}
munchkin_endpoint = {munchkin}
rest_client_id = sandbox-client
rest_client_secret_file = {dir}/secret
host = www.example.com
visits_at_once = {at_once}
ca_file = {dir}/collector.pem
rate = 0
[spool]
path = {spool}
max_size = 20G
"""
NGINX_CONF = """load_module {out}/ngx_http_marketo_module.so;
daemon off; {user} worker_processes {workers}; pid {dir}/nginx{port}.pid; error_log {dir}/nginx.log warn;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
    access_log off; keepalive_requests 1000000000;
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u;
    scgi_temp_path {dir}/s;
    marketo_config {conf}; marketo_courier external;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /204 {{ return 204; }}
        location ^~ /mkto/ {{ marketo; }}
        location ^~ /memory/ {{ marketo; marketo_ack memory; }}
        location /plain/ {{ proxy_pass http://app; }}
        location /tracked/ {{ marketo_track_pages on; proxy_pass http://app; }}
    }}
    upstream app {{ server 127.0.0.1:{app}; keepalive 128; }}
    proxy_http_version 1.1; proxy_set_header Connection "";
}}
"""
# The application behind the proxy: a page of 2 KB. A process of its own, so that its work is not counted.
APP_CONF = """daemon off; {user} worker_processes 1; pid {dir}/app.pid; error_log {dir}/app.log warn;
events {{ worker_connections 4096; }}
http {{
    access_log off; keepalive_requests 1000000000; default_type text/html;
    client_body_temp_path {dir}/ab; proxy_temp_path {dir}/ap; fastcgi_temp_path {dir}/af; uwsgi_temp_path {dir}/au;
    scgi_temp_path {dir}/as;
    server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 "<!doctype html><title>Page</title>{page}"; }} }}
}}
"""
HTTPD_CONF = """ServerRoot {dir}
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {dir}/httpd{port}.pid
ErrorLog {dir}/httpd.log
DefaultRuntimeDir {dir}
{user}
LoadModule mpm_{mpm}_module {modules}/mod_mpm_{mpm}.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule alias_module {modules}/mod_alias.so
LoadModule marketo_module {out}/mod_marketo.so
{size}
MaxRequestWorkers 128
MaxKeepAliveRequests 0
KeepAliveTimeout 60
Redirect 204 /204
MarketoConfig {dir}/marketo.conf
MarketoCourier external
<Location "/mkto/">
    MarketoCollect On
</Location>
<Location "/memory/">
    MarketoCollect On
    MarketoAck memory
</Location>
"""
HTTPD_SIZE = {"event": "StartServers 1\nServerLimit 1\nThreadsPerChild 128\nThreadLimit 128",
              "prefork": "StartServers 128\nServerLimit 128\nMinSpareServers 1\nMaxSpareServers 128"}


def event():
    body = {"userId": "019mr8mf4r", "event": "Update Buying Period", "properties": {"newPeriod": "2016-01-01", "plan": "Pro"},
            "context": {"page": {"url": "https://www.example.com/pricing?utm_source=news", "title": "Pricing"}}, "pad": ""}
    body["pad"] = "x" * (BODY_BYTES - len(json.dumps(body)))
    return json.dumps(body)


def batch(count):
    """A batch of tracks, each about the size of an event of its own without the padding."""
    one = json.loads(event())
    del one["pad"]
    return json.dumps({"batch": [dict(one, type="track", userId="visitor%d" % n) for n in range(count)]})


class Load:
    """wrk, with one thread, from now on."""

    def __init__(self, script, url, connections, seconds):
        self.url, self.cut = url, None if seconds == int(seconds) else seconds
        command = ["wrk", "-t1", "-c%d" % connections, "-d%ds" % (CUT_S if self.cut else seconds), "-s", script, url]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def end(self):
        """Requests, requests/s, latency in ms, and wrk's own CPU in us."""
        if self.cut:
            time.sleep(self.cut)
            self.process.send_signal(signal.SIGINT)  # wrk reports of the time that it had
        output = self.process.stdout.read()
        self.process.stdout.close()
        _, status, spent = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        figures = next((line for line in output.splitlines() if line.startswith("figures ")), "figures 0 0 0 0 0 0 0")
        requests, duration, errors, lost, p50, p99, p999 = map(int, figures.split()[1:])
        # A busy httpd closes some connections that it would otherwise keep.
        if errors or lost * 100 > requests or not requests:
            raise SystemExit("bench: %s: %d errors in %d requests:\n%s" % (self.url, errors, requests, output))
        return {"requests": requests, "rate": requests / duration * 1e6, "p50": p50 / 1e3, "p99": p99 / 1e3, "p999": p999 / 1e3}, \
            (spent.ru_utime + spent.ru_stime) * 1e6


class Stand:
    def __init__(self, out, seconds):
        self.out, self.seconds = os.path.abspath(out), seconds
        self.dir = os.path.join(self.out, "bench")
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(self.dir)
        self.running, self.temporary = [], []
        self.courier = None
        self.root = os.getuid() == 0
        self.own(self.write("secret", "bench\n", 0o600))
        self.write("post.lua", LUA_POST % event() + LUA_REPORT)
        self.write("get.lua", LUA_GET + LUA_REPORT)
        self.write("batch.lua", LUA_POST % batch(100) + LUA_REPORT)
        self.write("visitors.lua", LUA_VISITORS % event() + LUA_REPORT)
        self.clock = self.write("syncs", "\0" * SYNCS.size)
        self.own(self.clock)
        self.certificate()
        self.place = self.disk = Place(os.path.join(self.dir, "marketo.conf"), os.path.join(self.dir, "spool"), None)
        self.configure()

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

    def certificate(self):
        """Of the local collectors; the courier trusts it."""
        key, public = (os.path.join(self.dir, "collector." + kind) for kind in ("key", "pem"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", public],
                       check=True, capture_output=True)
        os.chmod(public, 0o644)

    def configure(self, rest="http://127.0.0.1:9", munchkin="http://127.0.0.1:9", place=None, at_once=VISITS_AT_ONCE):
        """Writes the courier's config of a place, with Marketo's two endpoints, and how many visits are under way at the same time."""
        place = place or self.disk
        os.makedirs(place.spool, exist_ok=True)
        self.write(place.conf, MARKETO_CONF.format(dir=self.dir, rest=rest, munchkin=munchkin, spool=place.spool, at_once=at_once))

    def slow_memory(self, sync_us):
        """A place in memory, whose fsyncs are sleeps."""
        directory = tempfile.mkdtemp(prefix="mkto-bench-", dir=MEMORY if os.access(MEMORY, os.W_OK) else self.dir)
        self.temporary.append(directory)
        os.chmod(directory, 0o755)
        place = Place(os.path.join(self.dir, "memory.conf"), os.path.join(directory, "spool"), sync_us)
        self.configure(place=place)
        return place

    def fresh_courier(self, hold=True, place=None):
        """A courier with an empty spool."""
        self.stop_courier()
        self.place = place or self.disk
        shutil.rmtree(self.place.spool)
        os.mkdir(self.place.spool, 0o750)
        self.own(self.place.spool)
        self.start_courier(hold)

    def start_courier(self, hold):
        """A courier with the spool that is there; ends the one that runs."""
        self.stop_courier()
        self.write(self.clock, "\0" * SYNCS.size)
        self.own(self.clock)
        command = [os.path.join(self.out, "marketo"), "courier", "--config", self.place.conf]
        shim = {"LD_PRELOAD": os.path.join(self.out, "build", "tests", "bench", "disk_clock.so"), "MKTO_CLOCK_FILE": self.clock}
        if self.place.sync_us:
            shim["MKTO_CLOCK_US"] = str(self.place.sync_us)
        with open(os.path.join(self.dir, "courier.log"), "a", encoding="utf-8") as log:
            self.courier = subprocess.Popen(command + (["--hold"] if hold else []), stderr=log, stdin=subprocess.DEVNULL,
                                            env=dict(os.environ, **shim),
                                            user=USER if self.root else None, group=USER if self.root else None)
        for _ in range(500):
            try:
                with socket.socket(socket.AF_UNIX) as client:
                    client.connect(os.path.join(self.place.spool, "courier.sock"))
                return
            except OSError:
                time.sleep(0.01)
        raise SystemExit("bench: the courier did not start, see %s/courier.log" % self.dir)

    def client(self):
        """What a web server's worker is to the courier."""
        return wire.Client(os.path.join(self.place.spool, "courier.sock"), config=self.place.conf)

    def fill(self, count, item):
        """Has the courier take exactly so many events; item(n) is the text of one, with its type. Returns the count."""
        with self.client() as client:
            ahead = []
            for first in range(0, count, FILL_BATCH):
                texts = ",".join(item(n) for n in range(first, min(first + FILL_BATCH, count)))
                ahead.append(client.send("batch", '{"batch":[%s]}' % texts, request_id="fill%d" % first, timeout_ms=60000))
                if len(ahead) == FILL_AHEAD:
                    assert client.verdict(ahead.pop(0)).answer == "stored"
            for seq in ahead:
                assert client.verdict(seq).answer == "stored"
        return count

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

    def app(self):
        port = free_port()
        conf = self.write("app.conf", APP_CONF.format(dir=self.dir, port=port, user=self.nginx_user, page="x" * 2048))
        self.serve(["nginx", "-e", os.path.join(self.dir, "app.log"), "-p", self.dir, "-c", conf], port)
        return port

    def nginx(self, app, workers="1", place=None):
        port = free_port()
        conf = self.write("nginx%d.conf" % port, NGINX_CONF.format(
            out=self.out, dir=self.dir, port=port, app=app, user=self.nginx_user, workers=workers, conf=(place or self.disk).conf))
        process = self.serve(["nginx", "-e", os.path.join(self.dir, "nginx.log"), "-p", self.dir, "-c", conf], port)
        return "http://127.0.0.1:%d" % port, process.pid

    def httpd(self, mpm="event"):
        port = free_port()
        conf = self.write("httpd%d.conf" % port, HTTPD_CONF.format(
            out=self.out, dir=self.dir, port=port, modules="/usr/lib/apache2/modules", mpm=mpm, size=HTTPD_SIZE[mpm],
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

    def load(self, url, connections, script, seconds=None):
        return Load(os.path.join(self.dir, script), url, connections, seconds or self.seconds)

    def wrk(self, url, connections, pid, script="post.lua", seconds=None):
        """Requests/s, latency in ms, and what a request cost of the server's children, of the courier and of wrk."""
        usage = Usage(pid, self.courier.pid if self.courier else 0, self.clock)
        figures, load_us = self.load(url, connections, script, seconds).end()
        return dict(figures, **usage.cost(figures["requests"], load_us))

    def end_servers(self, newest=None):
        """All of them, or so many that were started last."""
        for _ in range(len(self.running) if newest is None else newest):
            process = self.running.pop()
            process.send_signal(signal.SIGTERM)
            process.wait(20)

    def close(self):
        self.end_servers()
        self.stop_courier()
        for directory in self.temporary:
            shutil.rmtree(directory, ignore_errors=True)
