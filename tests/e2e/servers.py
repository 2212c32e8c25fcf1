"""
Real servers for the tests: nginx and httpd from Debian's packages with our modules, each with a configuration of its own in a
directory of its own, on free ports.

    server = make("httpd-event", directory, out, sandbox)
    server.conf["marketo"]["api"] = "soap"              # marketo.conf, see marketo_conf.py
    server.location("/mkto/", subscription="brand-b", ack="memory", timeout="2s", max_body=1000, host="b.example.com",
                    text={"nginx": "deny all;", "httpd": "Require all denied\n"})
    server.text["nginx"] = "…"; server.text["httpd"] = "…"    # more lines for the (first) virtual host
    server.modules += ["rewrite"]                        # httpd only
    server.courier = "external"                          # then start_courier(), or a FakeCourier at server.conf.socket
    server.start(); server.post("identify", {...}); server.reload(); server.stop()

A server that logged a line of level warn or worse fails the test at its end, unless the test expected it:
server.announce("MKTO0106 "). The same goes for what a courier says with an id.
"""
import collections
import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import time

import http_talk
from marketo_conf import MarketoConf
from waiting import PATIENCE, wait_until
from wire import TOOL, Client

KINDS = ("nginx", "httpd-event", "httpd-worker", "httpd-prefork")
HTTPD = "/usr/sbin/apache2"
HTTPD_MODULES = "/usr/lib/apache2/modules"
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin") or "/usr/sbin/nginx"
USER = "www-data"
BAD = "warn|error|crit|alert|emerg"
SANITIZED = bool(os.environ.get("MKTO_SANITIZED"))
_TAKEN = collections.deque(maxlen=100)
STARTED, THERE = "marketo: started the courier", "marketo: the courier is there"  # what nginx notes


def free_port():
    """A port that nobody listens on, that the kernel gives to no client, and that no other test is about to listen on, in this
    process or beside it: the server takes it some time later. Until then it is claimed by a name in the abstract namespace,
    which ends with the process, or with the hundredth port after it."""
    while True:
        port = random.randrange(10000, 32000)
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind("\0marketo-test-port-%d" % port)
            with socket.socket() as sock:
                sock.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
            continue
        _TAKEN.append(claim)
        return port


def sanitizer_environment(directory, leaks):
    """Stock servers do not link libasan: it must come first, by LD_PRELOAD; and it reports into files that we look for."""
    if not SANITIZED:
        return {}
    library = subprocess.run(["gcc", "-print-file-name=libasan.so"], check=True, stdout=subprocess.PIPE, text=True).stdout
    return {"LD_PRELOAD": os.path.realpath(library.strip()),
            "ASAN_OPTIONS": "detect_leaks=%d:log_path=%s/reports/sanitizer" % (leaks, directory),
            "UBSAN_OPTIONS": "print_stacktrace=1:log_path=%s/reports/sanitizer" % directory}


class Process:
    """One that we started, and everything that carries our directory in its command line."""

    def __init__(self, command, directory, log, env=None, user=None):
        entry = pwd.getpwnam(user) if user else None
        ids = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []} if entry else {}
        with open(log, "ab") as output:
            self.popen = subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                          start_new_session=True, env=dict(os.environ, **(env or {})), **ids)
        self.pid = self.popen.pid

    def ended(self):
        return self.popen.poll() is not None

    def send(self, number):
        self.popen.send_signal(number)

    def wait(self, timeout=PATIENCE):
        """Waits for it to end on its own. Returns its exit code."""
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self.popen.wait()
            raise AssertionError("%s did not end within %g s" % (self.popen.args[0], timeout)) from None


def processes_of(directory):
    """Pids of all processes with the directory in their arguments: a spawned courier is nobody's child."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as file:
                if directory.encode() + b"/" in file.read():
                    found.append(int(pid))
        except OSError:
            pass
    return [pid for pid in found if pid != os.getpid()]


def files_of(pid):
    """What the descriptors of a process stand for, but for what everybody may hold."""
    found = set()
    try:
        descriptors = os.listdir("/proc/%d/fd" % pid)
    except FileNotFoundError:  # it has ended meanwhile
        descriptors = []
    for fd in descriptors:
        try:
            found.add(os.readlink("/proc/%d/fd/%s" % (pid, fd)))
        except OSError:
            pass
    return {name for name in found if name != "/dev/null" and not name.startswith("anon_inode:")}


class Location:
    def __init__(self, prefix, subscription, ack, timeout, max_body, text):
        self.prefix, self.subscription, self.ack, self.timeout, self.max_body = prefix, subscription, ack, timeout, max_body
        self.text = text or {}  # more lines, by family


class Server:
    def __init__(self, kind, directory, out, sandbox):
        self.kind, self.directory, self.out = kind, str(directory), out
        self.conf = MarketoConf(directory, sandbox)
        self.port, self.port2, self.port3 = free_port(), free_port(), free_port()  # HTTP/1, HTTP/2, and with .tls, TLS
        self.tls = False
        self.user = USER if os.getuid() == 0 else None
        self.courier = "spawn"
        self.hosts = {"": []}          # server name -> locations; "" is the default host
        self.text = {"nginx": "", "httpd": ""}
        self.modules = ["authz_core", "authz_host", "dir", "mime", "alias"]
        self.workers = 2
        # Stock nginx and httpd end without freeing what they kept for their lives: only the courier is asked for leaks.
        self.env = sanitizer_environment(self.directory, leaks=0)
        self.courier_env = {}          # of one that start_courier starts
        self.log = os.path.join(self.directory, "error.log")
        self.output = os.path.join(self.directory, "output.log")
        self.courier_log = os.path.join(self.directory, "courier.log")
        # Not every machine's /tmp is a disk; the tests are no less true there.
        self.announced = [r"MKTO0\d\d\d the spool \S+ is not durable", *self.ANNOUNCED]
        self.process = self.courier_process = None
        for name in ("www", "spool", "body", "reports"):
            os.makedirs(os.path.join(self.directory, name), exist_ok=True)
        with open(os.path.join(self.directory, "www", "index.html"), "w", encoding="utf-8") as page:
            page.write("<title>A page of the site</title>\n")

    @property
    def family(self):
        return self.kind.split("-")[0]

    def location(self, prefix="/mkto/", subscription=None, ack=None, timeout=None, max_body=None, host="", text=None):
        self.hosts.setdefault(host, []).append(Location(prefix, subscription, ack, timeout, max_body, text))

    def announce(self, *patterns):
        self.announced += patterns

    # ---- life ----

    def prepare(self):
        """Writes the configuration, and gives the files to those that will read them."""
        if not any(self.hosts.values()):
            self.location()
        if self.tls:
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                            "-extensions", "usr_cert", "-subj", "/CN=localhost", "-keyout", "tls.pem", "-out", "tls.crt"], cwd=self.directory, check=True,
                           stderr=subprocess.DEVNULL)
        self.conf.write()
        self.write_config()
        os.chmod(self.directory, 0o755)
        os.chmod(self.conf.spool, 0o700)
        if self.user:
            entry = pwd.getpwnam(self.user)
            for name in os.listdir(self.directory):
                if name in ("spool", "body", "reports") or name.endswith((".secret", ".key")):
                    os.chown(os.path.join(self.directory, name), entry.pw_uid, entry.pw_gid)

    def start(self):
        self.prepare()
        self.process = Process(self.command(), self.directory, self.output, self.env)
        wait_until(self.listens, what=lambda: "%s listens; %s" % (self.kind, self.complaints()))
        wait_until(lambda: len(self.children()) >= (self.workers if self.family == "nginx" else 1), what="workers")
        return self

    def complaints(self):
        return "".join(self.read(path)[-2000:] for path in (self.output, self.log))

    def listens(self):
        assert not self.process.ended(), "%s ended: %s" % (self.kind, self.complaints())
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def check(self):
        """nginx -t, apachectl configtest: (exit code, what it said)."""
        self.prepare()
        done = subprocess.run(self.command(check=True), cwd=self.directory, env=dict(os.environ, **self.env), check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE)
        return done.returncode, done.stdout

    def reload(self):
        self.process.send(self.RELOAD)

    def stop(self, graceful=False):
        if self.process is not None and not self.process.ended():
            self.process.send(self.QUIT if graceful else signal.SIGTERM)
            self.process.wait()
        self.process = None

    def start_courier(self, wait=True, arguments=(), prefix=()):
        command = [*prefix, os.path.join(self.out, "marketo"), "courier", "--config", self.conf.path, *arguments]
        self.courier_process = Process(command, self.directory, self.courier_log, user=self.user,
                                       env={**sanitizer_environment(self.directory, leaks=1), "LD_PRELOAD": "",
                                            **self.courier_env})
        if wait:
            wait_until(lambda: os.path.exists(self.conf.socket), what=lambda: "courier; " + self.read(self.courier_log))
        return self.courier_process

    def stop_courier(self):
        if self.courier_process is not None and not self.courier_process.ended():
            self.courier_process.send(signal.SIGCONT)
            self.courier_process.send(signal.SIGTERM)
            self.courier_process.wait()
        self.courier_process = None

    def couriers(self):
        """Pids of the couriers of this server's spool."""
        own = self.process.pid if self.process else 0
        return [pid for pid in processes_of(self.directory) if pid != own and self._is_courier(pid)]

    @staticmethod
    def _is_courier(pid):
        try:
            with open("/proc/%d/cmdline" % pid, "rb") as file:
                return b"\0courier\0" in file.read()
        except OSError:
            return False

    def end(self):
        """Stops everything; fails on what stayed behind, or was logged and not announced."""
        try:
            self.stop()
            self.stop_courier()
            wait_until(lambda: not processes_of(self.directory), timeout=30,
                       what=lambda: "nothing of %s is left: %s" % (self.kind, processes_of(self.directory)))
        finally:
            for pid in processes_of(self.directory):
                os.kill(pid, signal.SIGKILL)
        self.assert_quiet()

    def status(self):
        """What `marketo status` shows."""
        with Client(self.conf.socket, role=TOOL, config=self.conf.path) as client:
            return client.ask("status")[0]

    def children(self):
        """Pids of the workers (nginx) or children (httpd)."""
        with open("/proc/%d/task/%d/children" % (self.process.pid, self.process.pid), encoding="ascii") as file:
            return sorted(map(int, file.read().split()))

    # ---- logs ----

    @staticmethod
    def read(path):
        if not os.path.exists(path):
            return ""
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def bad_lines(self):
        lines = [line for path in (self.log, self.output) for line in self.read(path).splitlines() if self.BAD.search(line)]
        return lines + [line for line in self.read(self.courier_log).splitlines() if re.search(r"\bMKTO\d{4}\b", line)]

    def assert_quiet(self):
        lines = [line for line in self.bad_lines() if not any(re.search(known, line) for known in self.announced)]
        assert not lines, "logged and not announced:\n" + "\n".join(lines)
        reports = [os.path.join(self.directory, "reports", name) for name in os.listdir(os.path.join(self.directory, "reports"))]
        assert not reports, self.read(reports[0])

    # ---- HTTP ----

    def request(self, method, path, body=None, headers=None):
        return http_talk.talk(self.port, method, path, body, headers)

    def get(self, path, headers=None):
        return self.request("GET", path, None, headers)

    def post(self, call, body, headers=None, prefix="/mkto/"):
        return self.request("POST", "%sv1/%s" % (prefix, call), body, headers)

    def talk(self):
        return http_talk.Talk(self.port)

    def raw(self, data, **more):
        return http_talk.raw(self.port, data, **more)


class Nginx(Server):
    ANNOUNCED = []
    RELOAD, QUIT = signal.SIGHUP, signal.SIGQUIT
    BAD = re.compile(r"\[(%s)\]" % BAD)

    def bad_lines(self):
        """Without what worker 0 says when the very first courier takes longer to start than its patience of 3 s, as it may beside
        other tests: that nobody listens yet, and later that the courier is there."""
        lines, log = super().bad_lines(), self.read(self.log)
        before, said, after = log.partition("MKTO0130 no courier: nobody listens")
        if said and STARTED in before and THERE not in before and THERE in after:
            line = before.rpartition("\n")[2] + said + after.partition("\n")[0]
            lines.remove(line)
        return lines

    def command(self, check=False):
        return [NGINX, "-p", self.directory, "-c", os.path.join(self.directory, "nginx.conf"), *(["-t"] if check else [])]

    def write_location(self, location):
        options = {"marketo_ack": location.ack, "marketo_timeout": location.timeout, "marketo_max_body": location.max_body}
        lines = "".join(" %s %s;" % item for item in options.items() if item[1] is not None)
        return "        location ^~ %s { marketo%s;%s %s}\n" % (
            location.prefix, " " + location.subscription if location.subscription else "", lines,
            location.text.get("nginx", ""))

    def write_host(self, name, locations):
        return """    server {{
        listen 127.0.0.1:{port};
        listen 127.0.0.1:{port2} http2;{tls}
        server_name {name};
        root {directory}/www;
{locations}{text}    }}
""".format(port=self.port, port2=self.port2, name=name or "_", directory=self.directory,
           tls=" listen 127.0.0.1:%d ssl; ssl_certificate %s/tls.crt; ssl_certificate_key %s/tls.pem;" % (
               self.port3, self.directory, self.directory) if self.tls and name == "" else "",
           locations="".join(map(self.write_location, locations)), text=self.text["nginx"] if name == "" else "")

    def write_config(self):
        temporary = "".join("    %s_temp_path %s/body/%s;\n" % (name, self.directory, name)
                            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        courier = "external" if self.courier == "external" else "spawn %s/marketo" % self.out
        with open(os.path.join(self.directory, "nginx.conf"), "w", encoding="utf-8") as file:
            file.write("""load_module {out}/ngx_http_marketo_module.so;
daemon off;
{user}worker_processes {workers};
pid {directory}/nginx.pid;
error_log {log} info;
{env}events {{ worker_connections 512; }}
http {{
    access_log off;
{temporary}    marketo_config {conf};
    marketo_courier {courier};
{hosts}}}
""".format(out=self.out, user="user %s;\n" % self.user if self.user else "", workers=self.workers, directory=self.directory,
           log=self.log, env="".join("env %s;\n" % name for name in self.env), temporary=temporary, conf=self.conf.path,
           courier=courier, hosts="".join(self.write_host(*host) for host in self.hosts.items())))


class Httpd(Server):
    # SIGTERM closes the event MPM's sockets under the threads that are just done with a request: httpd's own, seen once in
    # a hundred stops. And a fresh mod_ssl on a machine whose libssl still waits for the same security update.
    ANNOUNCED = [r"AH0309[23]: process_\w+: apr_pollset_add failure",
                 r"AH01882: Init: this version of mod_ssl was compiled against a newer library"]
    if SANITIZED:  # looking for leaks, a child takes longer to end than httpd gives it
        ANNOUNCED += [r"AH00045: child process \d+ still did not exit, sending a SIGTERM"]
    RELOAD, QUIT = signal.SIGUSR1, signal.SIGWINCH
    BAD = re.compile(r"^(\[[^]]*\] )?\[\w*:(%s)\]|^AH\d+: |^Syntax error" % BAD)
    THREADED = "ServerLimit 3\nStartServers 1\nThreadsPerChild 16\nMaxRequestWorkers 48\nMinSpareThreads 4\nMaxSpareThreads 32\n"
    SIZES = {"event": THREADED, "worker": THREADED,
             "prefork": "StartServers 4\nMinSpareServers 2\nMaxSpareServers 8\nMaxRequestWorkers 16\n"}

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.resumes = 0

    def resumed(self):
        return self.read(self.log).count("resuming normal operations")

    def start(self):
        """Children serve before httpd says that it has begun: a restart in between would take that for its own end."""
        before = self.resumed()
        super().start()
        wait_until(lambda: self.resumed() > before, what="httpd says so; " + self.complaints())
        return self

    def reload(self):
        self.resumes = self.resumed() + 1
        super().reload()

    def stop(self, graceful=False):
        """A signal that comes while httpd reads its configuration anew is forgotten: it is given until then."""
        end = time.monotonic() + PATIENCE
        while self.process is not None and not self.process.ended() and self.resumed() < self.resumes and time.monotonic() < end:
            time.sleep(0.01)
        self.resumes = 0
        super().stop(graceful)

    @property
    def mpm(self):
        return self.kind.split("-")[1]

    def command(self, check=False):
        mode = ["-t"] if check else ["-D", "FOREGROUND"]
        return [HTTPD, "-d", self.directory, "-f", os.path.join(self.directory, "httpd.conf"), *mode]

    def write_location(self, location):
        options = {"MarketoSubscription": location.subscription, "MarketoAck": location.ack,
                   "MarketoTimeout": location.timeout, "MarketoMaxBody": location.max_body}
        lines = "".join("    %s %s\n" % item for item in options.items() if item[1] is not None)
        return '<Location "%s">\n    MarketoCollect On\n%s%s</Location>\n' % (location.prefix, lines,
                                                                             location.text.get("httpd", ""))

    def write_host(self, name, locations):
        return "<VirtualHost 127.0.0.1:%d 127.0.0.1:%d>\nServerName %s\nDocumentRoot %s/www\n%s%s</VirtualHost>\n" % (
            self.port, self.port2, name or "localhost", self.directory, "".join(map(self.write_location, locations)),
            self.text["httpd"] if name == "" else "")

    def write_config(self):
        modules = ["mpm_" + self.mpm, *self.modules, *(["ssl"] if self.tls else [])]
        if self.mpm != "prefork":
            modules.append("http2")
        courier = "external" if self.courier == "external" else "spawn %s/marketo" % self.out
        with open(os.path.join(self.directory, "httpd.conf"), "w", encoding="utf-8") as file:
            file.write("""ServerRoot {directory}
ServerName localhost
Listen 127.0.0.1:{port}
Listen 127.0.0.1:{port2}
PidFile {directory}/httpd.pid
DefaultRuntimeDir {directory}
ErrorLog {log}
LogLevel info
{user}{modules}LoadModule marketo_module {out}/mod_marketo.so
{size}TypesConfig /dev/null
DirectoryIndex index.html
GracefulShutdownTimeout 0
<IfModule http2_module>
Protocols h2c http/1.1
</IfModule>
<Directory {directory}/www>
    Require all granted
    AllowOverride All
</Directory>
MarketoConfig {conf}
MarketoCourier {courier}
{tls}{hosts}""".format(directory=self.directory, port=self.port, port2=self.port2, log=self.log, out=self.out,
                  user="User {0}\nGroup {0}\n".format(self.user) if self.user else "",
                  modules="".join("LoadModule %s_module %s/mod_%s.so\n" % (name, HTTPD_MODULES, name) for name in modules),
                  tls=("Listen 127.0.0.1:{0}\n<VirtualHost 127.0.0.1:{0}>\nSSLEngine On\nSSLCertificateFile {1}/tls.crt\n"
                       "SSLCertificateKeyFile {1}/tls.pem\n{2}</VirtualHost>\n").format(
                           self.port3, self.directory, "".join(map(self.write_location, self.hosts[""]))) if self.tls else "",
                  size=self.SIZES[self.mpm], conf=self.conf.path, courier=courier,
                  hosts="".join(self.write_host(*host) for host in self.hosts.items())))


def make(kind, directory, out, sandbox):
    return (Nginx if kind == "nginx" else Httpd)(kind, directory, out, sandbox)
