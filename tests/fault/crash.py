"""
A crash campaign: kill -9 at random moments under load, whoever is at hand: courier, worker or child, master or parent, in quiet
times and in the middle of a reload, a graceful restart or a binary upgrade. What was answered 200 must be in Marketo in the end,
wait in the spool, or be a dead letter.

    campaign = Campaign(server, sandbox, seed)
    campaign.run(kills=50)
    campaign.audit()        # fails when an acknowledged event is nowhere
    str(campaign)           # what it came to
"""
import collections
import http.client
import itertools
import os
import random
import signal
import socket
import threading
import time

from ledger import dead_letters
from nginx_conf import amend
from nginx_daemon import Daemon, gone, launch, stat
from waiting import wait_until

THREADS = 4
PAUSE = 0.01      # seconds between an answer that is not 200 and the next attempt
QUIET = 0.15      # seconds at most before a kill
CHANGE = 0.08     # seconds at most between the beginning of a reload and the kill in it
PATIENCE = 90     # seconds until a killed server answers events again; a spawn after many deaths waits long
STALLED = 120     # seconds without a delivery, and none will come
PID_FILES = ("nginx.pid", "nginx.pid.oldbin", "httpd.pid")
USUAL = ("courier", "courier", "courier", "worker", "worker", "parent", "reload", "reload")


class Traffic:
    """Threads that post identifies and tracks of their own until told to stop, and write down what was answered 200."""

    def __init__(self, server):
        self.server = server
        self.people, self.visits = set(), set()
        self.statuses = collections.Counter()
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(THREADS)]
        for thread in self._threads:
            thread.start()

    def acknowledged(self):
        return len(self.people) + len(self.visits)

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a client waits for ever"

    def _run(self):
        talk = None
        while not self._stop.is_set():
            with self._lock:
                number = next(self._numbers)
            call, body, accepted = self._event(number)
            status = 0
            while status != 200 and not self._stop.is_set():
                talk, status = self._post(talk, call, body)
                with self._lock:
                    self.statuses[status] += 1
                    if status == 200:
                        accepted[0].add(accepted[1])
                if status != 200:
                    time.sleep(PAUSE)

    def _event(self, number):
        if number % 2:
            email = "crash%d@example.com" % number
            return "identify", {"messageId": "i%d" % number, "traits": {"email": email}}, (self.people, email)
        page = "/event/Crash-%d" % number
        # Not a userId of each event's own: every new one would be a cookie that costs an Associate call.
        return "track", {"messageId": "t%d" % number, "anonymousId": "a%d" % (number % 40), "event": "Crash %d" % number}, (self.visits, page)

    def _post(self, talk, call, body):
        try:
            talk = talk or self.server.talk()
            return talk, talk.request("POST", "/mkto/v1/" + call, body).status
        except (OSError, http.client.HTTPException, ValueError):
            if talk:
                talk.close()
            return None, 0


class Campaign:
    def __init__(self, server, sandbox, seed):
        self.server, self.sandbox, self.seed = server, sandbox, seed
        self.rng = random.Random(seed)
        self.killed = collections.Counter()
        self.dead = None
        self.outcome = "not audited"
        self.twice = 0
        sandbox.store.settings.update(rate_calls=10 ** 9, daily_calls=10 ** 9)
        server.conf["marketo"].update(calls_per_20s=100, calls_per_day=1000000, batch_wait="100ms")
        server.announce(r"MKTO01\d\d", r"MKTO03(01|02|06)", r"exited on signal 9", r"signal 9 \(SIGKILL\)", r"AH00051|AH00052|exit signal Killed",
                        r"unlink.*courier", r"unlink\(\) .*nginx\.pid", r"AH00060|AH10488|AH00098|AH00485|AH00045", r"\[notice\]",
                        r"the changing binary signal is ignored")
        if server.family == "nginx":
            amend(server, "daemon off;", "daemon on;")
        self.begin()
        self.traffic = Traffic(server)

    def run(self, kills):
        actions = USUAL + (("upgrade",) if self.server.family == "nginx" else ())
        while sum(self.killed.values()) < kills:
            action = self.rng.choice(actions)
            time.sleep(self.rng.random() * QUIET)
            victim, when = action, ""
            if action in ("reload", "upgrade"):
                when = " in " + action if self._change(action) else ""
                time.sleep(self.rng.random() * CHANGE)
                victim = self.rng.choice(("courier", "worker", "worker", "parent"))
            self._kill(victim, when)
            self._recover()

    def audit(self):
        """Ends the traffic, waits until nothing is left to do, and looks for each event that was answered 200."""
        self.traffic.stop()
        self._deliver()
        self.server.stop()
        wait_until(lambda: not self.server.couriers(), what="the courier ends")
        letters = dead_letters(self.server.conf.spool)
        self.dead = {letter["message_id"] for letter in letters}
        with self.sandbox.store.lock:
            people = {lead["fields"].get("email") for lead in self.sandbox.store.leads.values()}
            visits = collections.Counter(visit["parameters"]["_mchRu"] for visit in self.sandbox.store.visits)
        self.twice = sum(count > 1 for count in visits.values())
        lost = [email for email in self.traffic.people if email not in people and "i" + email.partition("@")[0][5:] not in self.dead]
        lost += [page for page in self.traffic.visits if page not in visits and "t" + page.rpartition("-")[2] not in self.dead]
        self.outcome = "%d lost" % len(lost)
        assert not lost, "%d of %d acknowledged events are lost, with seed %d: %s" % (
            len(lost), self.traffic.acknowledged(), self.seed, sorted(lost)[:10])

    def _deliver(self):
        """Until the spool is empty, however much a long campaign has left in it, as long as it becomes less."""
        least, since = None, time.monotonic()
        while least != 0:
            waiting = self.server.status()["spool"]["waiting"]
            if least is None or waiting < least:
                least, since = waiting, time.monotonic()
            assert time.monotonic() - since < STALLED, "%d events wait, and for %d s none was delivered; %s" % (
                waiting, STALLED, self.server.complaints())
            time.sleep(0.2)

    def __str__(self):
        return "crash campaign over %s, seed %d: %d kills (%s), %d events acknowledged, %s, %d dead letters, %d visits came twice" % (
            self.server.kind, self.seed, sum(self.killed.values()),
            ", ".join("%d %s" % (count, what) for what, count in sorted(self.killed.items())), self.traffic.acknowledged(),
            self.outcome, len(self.dead or ()), self.twice)

    # ---- what happens ----

    def _change(self, action):
        """Whether it has begun: where the parent is gone, recover sees to it."""
        try:
            if action == "upgrade":
                os.kill(self._parent(), signal.SIGUSR2)
            else:
                self.server.reload()
        except (OSError, StopIteration):
            return False
        return True

    def _kill(self, victim, when):
        pids = self.server.couriers() if victim == "courier" else self._processes()
        parents = [pid for pid in pids if self._is_parent(pid)]
        pids = parents if victim == "parent" else [pid for pid in pids if pid not in parents]
        if not pids:
            return  # it has not come back yet; that is no kill
        pid = self.rng.choice(sorted(pids))
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        wait_until(lambda: gone(pid), what="it dies")  # on a busy machine that takes a while
        self.killed[victim + when] += 1

    def _recover(self):
        """As an administrator would: what is left without its parent ends, and the server starts anew. Then events are taken again."""
        time.sleep(0.02)
        processes = self._processes()
        parents = [pid for pid in processes if self._is_parent(pid)]
        for pid in processes:  # workers of a master that was killed in an upgrade work on, and keep their courier
            if parents and pid not in parents and stat(pid)[0] not in processes:
                kill(pid)
        if len(parents) > 1:  # an upgrade: the older one goes
            os.kill(min(parents, key=self._started), signal.SIGQUIT)
        if not parents:
            while self._processes():
                for pid in self._processes():
                    kill(pid)
                time.sleep(0.01)
            self.begin()
        elif self.server.family == "nginx":
            self.server.process = Daemon(max(parents, key=self._started))
        before = self.traffic.acknowledged()
        wait_until(lambda: self.traffic.acknowledged() > before, timeout=PATIENCE, what=lambda: "events are taken again; %s" % self.server.complaints())

    # ---- the servers ----

    def begin(self):
        for name in PID_FILES:
            path = os.path.join(self.server.directory, name)
            if os.path.exists(path):
                os.remove(path)
        wait_until(self._port_is_free, what="the port is free")
        if self.server.family == "nginx":
            launch(self.server)
        else:
            self.server.start()

    def _port_is_free(self):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", self.server.port))
            except OSError:
                return False
        return True

    def _processes(self):
        """Those of the server; a spawned courier has another working directory."""
        found = []
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
            try:
                if os.readlink("/proc/%d/cwd" % pid) == self.server.directory and not gone(pid):
                    found.append(pid)
            except OSError:
                pass
        return found

    def _is_parent(self, pid):
        """By its pid file: a worker that was forked just now still has its master's title."""
        if self.server.family != "nginx":
            return pid == self.server.process.pid
        files = [os.path.join(self.server.directory, name) for name in PID_FILES]
        return str(pid) in [self.server.read(path).strip() for path in files]

    def _parent(self):
        return next(pid for pid in self._processes() if self._is_parent(pid))

    @staticmethod
    def _started(pid):
        with open("/proc/%d/stat" % pid, encoding="ascii") as file:
            return int(file.read().rpartition(")")[2].split()[19]), pid


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
