#!/usr/bin/env python3
"""
`make run`: a sandbox Marketo, nginx and httpd with the modules, all on free loopback ports. Sends an identify, a page and a track
through each server, shows what Marketo received, and stays up until Ctrl-C (or ends at once with --once).
"""
import argparse
import http.client
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

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
COOKIE = "id:561-HYG-937&token:_mch-marketo.com-1374552656411-90718"

MARKETO_CONF = """\
[marketo]
munchkin_id             = 561-HYG-937
api                     = rest
rest_endpoint           = {sandbox}
rest_client_id          = sandbox-client
rest_client_secret_file = {dir}/rest.secret
munchkin_endpoint       = {sandbox}
host                    = www.example.com

[spool]
path = {dir}/spool
"""

NGINX_CONF = """\
load_module {out}/ngx_http_marketo_module.so;
daemon off;
{user}
worker_processes 2;
pid {dir}/nginx.pid;
error_log {dir}/nginx.log notice;
events {{ }}
http {{
    access_log off;
    include /etc/nginx/mime.types;
    client_body_temp_path {dir}/nginx-body;
    proxy_temp_path {dir}/nginx-proxy;
    fastcgi_temp_path {dir}/nginx-fastcgi;
    uwsgi_temp_path {dir}/nginx-uwsgi;
    scgi_temp_path {dir}/nginx-scgi;

    marketo_config {dir}/marketo.conf;
    marketo_courier spawn {out}/marketo;
    server {{
        listen 127.0.0.1:{port};
        root {dir}/www;
        location ^~ /mkto/ {{ marketo; }}
        location = /mkto-status {{ marketo_status; }}
        location /sandbox/ {{ proxy_pass {sandbox}; }}
        location / {{ add_header Content-Security-Policy "default-src 'self'"; }}
    }}
}}
"""

HTTPD_CONF = """\
ServerRoot {dir}
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {dir}/httpd.pid
ErrorLog {dir}/httpd.log
DefaultRuntimeDir {dir}
{user}
{modules}
LoadModule marketo_module {out}/mod_marketo.so

DocumentRoot {dir}/www
DirectoryIndex index.html
ProxyPass "/sandbox/" "{sandbox}/sandbox/"
<Directory {dir}/www>
    Header set Content-Security-Policy "default-src 'self'"
    Require all granted
</Directory>
MarketoConfig {dir}/marketo.conf
MarketoCourier spawn {out}/marketo
<Location "/mkto/">
    MarketoCollect On
</Location>
<Location "/mkto-status">
    MarketoStatus On
</Location>
"""

# The product text's own examples: the Java identify, the Ruby identify and its track.
NGINX_CALLS = [
    ("identify", {"userId": "hj2kf92ds212", "traits": {"email": "tom@example.com", "name": "Tom Smykowski",
                                                       "secondFavoriteColor": "Blue"}}, None),
    ("page", {"userId": "hj2kf92ds212", "properties": {"url": "https://www.example.com/pricing?utm_source=news"}}, None),
    ("track", {"userId": "hj2kf92ds212", "event": "Signed Up", "properties": {"plan": "Pro"}}, None),
]
HTTPD_CALLS = [
    ("identify", {"userId": "019mr8mf4r", "traits": {"email": "Jake@segment.com", "firstName": "Jake",
                                                     "lastName": "Peterson"}}, COOKIE),
    ("page", {"userId": "019mr8mf4r", "properties": {"url": "https://www.example.com/contact"}}, COOKIE),
    ("track", {"userId": "019mr8mf4r", "event": "Update Buying Period",
               "properties": {"newPeriod": "2016-01-01", "lastName": "Peterson"}}, COOKIE),
]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def fail(text):
    raise SystemExit("make run: " + text)


class Demo:
    def __init__(self, out):
        self.out = os.path.abspath(out)
        self.dir = tempfile.mkdtemp(prefix="marketo-demo-")
        self.processes = []
        self.user = "www-data" if os.getuid() == 0 else None

    def start(self, name, command, **more):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, **more)
        self.processes.append((name, process))
        return process

    def write(self, name, text, mode=0o644):
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def own(self, path):
        if self.user:
            entry = pwd.getpwnam(self.user)
            os.chown(path, entry.pw_uid, entry.pw_gid)

    def prepare(self):
        os.chmod(self.dir, 0o755)
        os.mkdir(os.path.join(self.dir, "spool"))
        www = shutil.copytree(os.path.join(HERE, "site"), os.path.join(self.dir, "www"))
        os.chmod(www, 0o755)
        for name in os.listdir(www):
            os.chmod(os.path.join(www, name), 0o644)
        os.chmod(os.path.join(self.dir, "spool"), 0o700)
        self.own(os.path.join(self.dir, "spool"))
        self.own(self.write("rest.secret", "sandbox-secret\n", 0o600))

    def sandbox(self):
        process = self.start("sandbox", [sys.executable, os.path.join(ROOT, "tests/sandbox/marketo_sandbox.py")],
                             stdout=subprocess.PIPE, text=True)
        self.marketo = json.loads(process.stdout.readline())["url"]
        self.write("marketo.conf", MARKETO_CONF.format(sandbox=self.marketo, dir=self.dir))

    def nginx(self):
        port = free_port()
        conf = self.write("nginx.conf", NGINX_CONF.format(out=self.out, dir=self.dir, port=port, sandbox=self.marketo,
                                                          user="user %s;" % self.user if self.user else ""))
        return self.server("nginx", ["nginx", "-e", os.path.join(self.dir, "nginx.log"), "-p", self.dir, "-c", conf], port)

    def httpd(self):
        port = free_port()
        modules = "/usr/lib/apache2/modules"
        wanted = ["mpm_event", "authz_core", "dir", "mime", "headers", "proxy", "proxy_http"]
        lines = ["LoadModule %s_module %s/mod_%s.so" % (m, modules, m) for m in wanted]
        lines.append("TypesConfig /etc/mime.types")
        conf = self.write("httpd.conf", HTTPD_CONF.format(out=self.out, dir=self.dir, port=port, sandbox=self.marketo,
                                                          modules="\n".join(lines),
                                                          user="User www-data\nGroup www-data" if self.user else ""))
        return self.server("httpd", ["/usr/sbin/apache2", "-d", self.dir, "-f", conf, "-D", "FOREGROUND"], port)

    def server(self, name, command, port):
        process = self.start(name, command)
        url = "http://127.0.0.1:%d" % port
        for _ in range(200):
            try:
                urllib.request.urlopen(url + "/", timeout=5).read()
                return url
            except OSError:
                if process.poll() is not None:
                    break
                time.sleep(0.05)
        log = os.path.join(self.dir, name + ".log")
        fail("%s did not start; %s says:\n%s" % (name, log, open(log, encoding="utf-8").read() if os.path.exists(log) else ""))

    def ask(self, what):
        with urllib.request.urlopen(self.marketo + "/sandbox/" + what, timeout=5) as answer:
            return json.load(answer)

    def stop(self):
        for name, process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGQUIT if name == "nginx" else signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
        for _ in range(300):  # the courier leaves when the last server has gone
            if not os.path.exists(os.path.join(self.dir, "spool", "courier.sock")):
                break
            time.sleep(0.05)
        shutil.rmtree(self.dir, ignore_errors=True)


def post(url, call, body, cookie):
    connection = http.client.HTTPConnection(url.split("//")[1], timeout=15)
    headers = {"Content-Type": "application/json"}
    if cookie:
        headers["Cookie"] = "_mkto_trk=" + cookie
    connection.request("POST", "/mkto/v1/" + call, json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read().decode().strip()
    connection.close()
    return answer.status, text


def send(name, url, calls):
    for call, body, cookie in calls:
        status, text = post(url, call, body, cookie)
        print("  %-6s POST /mkto/v1/%-9s %d %s" % (name, call, status, text))
        if status != 200:
            fail("%s did not take the %s" % (name, call))


def wait_for(demo, leads, visits):
    for _ in range(600):
        people, cookies = demo.ask("leads"), demo.ask("cookies")
        seen = demo.ask("visits")  # last: by now each has its person
        if len(people) >= leads and len(seen) >= visits and len(cookies) >= leads:
            return people, seen
        time.sleep(0.05)
    fail("the sandbox did not get everything within 30 s: %d people, %d visits" % (len(people), len(seen)))


def show(people, visits, fields):
    """Each field under the SOAP API name that Marketo's field management shows for it."""
    names = {rest: soap for soap, rest in fields.items()}
    print("\nWhat Marketo received")
    for lead in people:
        print("  person %d  %s" % (lead["id"], lead["fields"].get("email")))
        for name, value in lead["fields"].items():
            print("    %-22s %s" % (names[name], value))
    for visit in visits:
        who = next((l["fields"].get("email") for l in people if l["id"] == visit["lead"]), "anonymous")
        print("  visit   %s%s  (%s)" % (visit["page"], "?" + visit["query"].replace("__-__", "&") if visit["query"] else "", who))


def hints(demo, nginx, httpd):
    print("\nTry it")
    print("  sandbox Marketo  %s/          (a page that shows what arrived)" % demo.marketo)
    print("  nginx            %s/          (a shop whose pages load marketo.js; its API is below /mkto/)" % nginx)
    print("  httpd            %s/          (the same shop)" % httpd)
    print("  the courier      %s/mkto-status" % nginx)
    for url in (nginx, httpd):
        print("\n  curl -d '{\"userId\":\"u1\",\"traits\":{\"email\":\"ada@example.com\",\"firstName\":\"Ada\"}}' "
              "-H 'Content-Type: application/json' %s/mkto/v1/identify" % url)
    print("\n  curl -d '{\"userId\":\"u1\",\"event\":\"Signed Up\",\"properties\":{\"plan\":\"Pro\"}}' "
          "-H 'Content-Type: application/json' %s/mkto/v1/track" % nginx)
    print("\n  %s status --config %s/marketo.conf" % (os.path.relpath(os.path.join(demo.out, "marketo")), demo.dir))
    print("\nFiles are in %s and go away at the end. Ctrl-C stops everything." % demo.dir, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="out")
    parser.add_argument("--once", action="store_true", help="end after the demonstration")
    options = parser.parse_args()
    demo = Demo(options.out)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        demo.prepare()
        demo.sandbox()
        nginx, httpd = demo.nginx(), demo.httpd()
        print("Sending an identify, a page and a track through each server")
        send("nginx", nginx, NGINX_CALLS)
        send("httpd", httpd, HTTPD_CALLS)
        show(*wait_for(demo, 2, 4), demo.ask("fields"))
        hints(demo, nginx, httpd)
        while not options.once:
            signal.pause()
    except KeyboardInterrupt:
        print()
    finally:
        demo.stop()


if __name__ == "__main__":
    main()
