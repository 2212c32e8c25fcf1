"""
Hostile surroundings: a Marketo that is not one, a machine that gives less than it should, others on the courier's socket. Each time the
site keeps serving, what was answered 200 is not lost, and when the trouble is over it goes on by itself.
"""
import glob
import math
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections import Counter

import pytest

from front import Front
from load import Load, audit
from waiting import wait_until

TROUBLE = r"MKTO03\d\d"
DAY_MS = 86400000
ANSWER_MAX = 4 << 20  # MKTO_HTTP_ANSWER_MAX
ENOUGH = 48 << 20      # bytes of memory for a courier that has nothing to do but to be fed
FAKETIME = (glob.glob("/usr/lib/*/faketime/libfaketime.so.1") or [""])[0]


def lead(sandbox, email):
    return [it for it in sandbox.store.leads.values() if it["fields"].get("email") == email]


def identify(server, name):
    return server.post("identify", {"traits": {"email": name + "@example.com"}}).status


# ---- a Marketo that lies, sleeps or shouts ----

def point_to(server, front, api):
    keys = {"rest_endpoint": front.url, "soap_endpoint": front.url + "/soap/mktows/3_1", "munchkin_endpoint": front.url,
            "api": api, "timeout": "2s", "connect_timeout": "1s"}
    if front.tls:
        keys["ca_file"] = front.ca_file
    server.conf["marketo"].update(keys)
    server.announce(TROUBLE)


def visits_of(sandbox):
    with sandbox.store.lock:
        return {visit["parameters"]["_mchRu"] for visit in sandbox.store.visits}


def person_and_visit(server, name):
    assert identify(server, name) == 200
    assert server.post("track", {"anonymousId": name, "event": name}).status == 200


def until(courier, predicate, what):
    """Waits for it, while an administrator has all that is paused tried again."""
    def holds():
        os.kill(courier, signal.SIGHUP)
        return predicate()
    wait_until(holds, timeout=60, every=0.5, what=what)


def survives(server, sandbox, front, nonsense=None, rounds=((),)):
    """Events are taken in the trouble, wait through it, whatever calls it befalls in each round, and arrive after it."""
    front.does(nonsense, *rounds[0])
    server.start()
    person_and_visit(server, "early")
    courier = wait_until(server.couriers, what="a courier")[0]
    for victims in rounds:
        before = Counter(front.met)
        front.does(nonsense, *victims)
        until(courier, lambda: front.shaken > 1 if front.tls else all(front.met[call] > before[call] for call in victims),
              "the courier has tried %s; met %s" % (victims, front.met))
        assert server.get("/index.html").status == 200
    person_and_visit(server, "late")
    status = server.status()
    assert server.couriers() == [courier] and not status["spool"].get("dead")
    assert status["spool"]["waiting"] == 4 if not victims or "visit" in victims else status["spool"]["waiting"] >= 2
    assert not lead(sandbox, "early@example.com")
    front.mend()
    until(courier, lambda: lead(sandbox, "early@example.com") and lead(sandbox, "late@example.com"), "both people arrive")
    until(courier, lambda: {"/event/early", "/event/late"} <= visits_of(sandbox), "both visits arrive")
    assert server.couriers() == [courier]
    return courier


EACH = (("token", "visit"), ("leads", "visit"))
UNREAD = (("token",), ("leads",))  # of the answer to a visit only the status counts
NONSENSE = [("rest", name, EACH) for name in ("slow", "never", "huge", "garbage")]
NONSENSE += [("rest", name, UNREAD) for name in ("page", "deep")]
NONSENSE += [("soap", name, (("soap",),)) for name in ("slow", "never", "huge", "garbage", "page", "deep_xml", "entities")]


@pytest.mark.servers("nginx")
@pytest.mark.parametrize("api,name,rounds", NONSENSE, ids=["%s-%s" % row[:2] for row in NONSENSE])
def test_marketo_behaves_badly(server, sandbox, directory, api, name, rounds):
    with Front(sandbox, directory) as front:
        point_to(server, front, api)
        courier = survives(server, sandbox, front, getattr(front, name), rounds)
        if name == "huge":
            assert front.fed > ANSWER_MAX and memory_of(courier, "VmHWM") < ENOUGH, (front.fed, memory_of(courier, "VmHWM"))


@pytest.mark.servers("nginx")
@pytest.mark.parametrize("target", ["http://169.254.169.254/latest/meta-data/", "elsewhere"])
def test_marketo_redirects(server, sandbox, directory, target):
    with Front(sandbox, directory) as front, Front(sandbox, directory) as elsewhere:
        elsewhere.does(elsewhere.page)
        point_to(server, front, "rest")
        survives(server, sandbox, front, front.redirects_to(elsewhere.url + "/rest/v1/leads.json" if target == "elsewhere" else target), EACH)
        assert not elsewhere.met, "nobody follows a redirect"


@pytest.mark.servers("nginx")
@pytest.mark.parametrize("cert", ["expired", "wrong_host", "self_signed", "old"])
def test_marketo_is_not_who_it_says(server, sandbox, directory, cert):
    with Front(sandbox, directory, tls=True) as front:
        front.cert = cert
        point_to(server, front, "rest")
        survives(server, sandbox, front)
        assert front.heard == 0, "nothing went out to the impostor"


# ---- a machine that gives less ----

def days_ahead(server):
    """How many days the courier's clock is ahead of ours: by the midnight in US Central that is next for it."""
    now = time.time() * 1000
    reset = server.status()["dispatch"]["subscriptions"][0]["budget"]["day_reset"]
    return math.ceil((reset - now) / DAY_MS) - 1


@pytest.mark.servers("nginx")
def test_clock_jumps(server, sandbox, directory):
    """A day forward, then two back: what waits and what comes is delivered."""
    if not FAKETIME:
        pytest.skip("no libfaketime (package faketime)")
    offset = os.path.join(directory, "offset")

    def jump(text):
        with open(offset + ".new", "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(offset + ".new", 0o644)
        os.rename(offset + ".new", offset)
    jump("+0")
    server.courier = "external"
    server.conf["marketo"].update(batch_wait="2s")
    server.announce(TROUBLE, r"MKTO0130", r"MKTO0108")
    server.prepare()
    server.courier_env = {"LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": offset, "FAKETIME_NO_CACHE": "1",
                          "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    courier = server.start_courier()
    server.start()
    for name, text, days in (("today", "+0", 0), ("tomorrow", "+1d", 1), ("yesterday", "-1d", -1), ("again", "+0", 0)):
        wait_until(lambda: identify(server, "before-" + name) == 200, what="an event is taken before " + name)
        jump(text)
        wait_until(lambda: days_ahead(server) == days, what="the courier's clock shows %s" % name)
        assert identify(server, name) == 200
        assert server.get("/index.html").status == 200
        for email in ("before-%s@example.com" % name, name + "@example.com"):
            wait_until(lambda: lead(sandbox, email), timeout=60, what="%s arrives" % email)
    assert not courier.ended()


def strangers_until_refused(server):
    """Connections that say nothing, until the courier can take no more."""
    held = []

    def refused():
        if len(held) < 200:
            held.append(socket.socket(socket.AF_UNIX))
            held[-1].setblocking(False)
            held[-1].connect_ex(server.conf.socket)
        return "MKTO0221" in server.read(server.courier_log)
    wait_until(refused, what=lambda: "the courier can take no more connections; %d" % len(held))
    return held


@pytest.mark.servers("nginx", "httpd-event")
def test_few_descriptors(server, sandbox):
    """64 descriptors for a courier that may have 32 visits under way, and then a crowd that takes them all."""
    server.announce(TROUBLE, r"MKTO01\d\d", r"MKTO02\d\d")
    server.location(timeout="1s")
    server.courier = "external"
    server.prepare()
    courier = server.start_courier(prefix=["prlimit", "--nofile=64"])
    server.start()
    with Load(server, 300) as load:
        for number in range(200):
            assert server.post("track", {"anonymousId": "a%d" % number, "event": "few %d" % number}).status == 200
    audit(sandbox, load)
    wait_until(lambda: len(sandbox.store.visits) == 200, timeout=60, what=lambda: "all visits; %d" % len(sandbox.store.visits))
    crowd = strangers_until_refused(server)
    taken = [name for name in ("crowd%d" % number for number in range(5)) if identify(server, name) == 200]
    assert server.get("/index.html").status == 200 and not courier.ended()
    for one in crowd:
        one.close()
    wait_until(lambda: identify(server, "after") == 200, what="events are taken again")
    for name in [*taken, "after"]:
        wait_until(lambda: lead(sandbox, name + "@example.com"), timeout=60, what=name + " arrives")
    assert not courier.ended()


def memory_of(pid, kind):
    """Bytes, as /proc/PID/status has them: VmSize, VmPeak, VmHWM …"""
    with open("/proc/%d/status" % pid, encoding="ascii") as file:
        return int(re.search(r"^%s:\s+(\d+) kB" % kind, file.read(), re.M).group(1)) << 10


def batch(name):
    return {"batch": [{"type": "identify", "traits": {"email": "%s%d@example.com" % (name, n), "firstName": "x" * 150}} for n in range(2000)]}


@pytest.mark.servers("nginx")
def test_little_memory(server, sandbox):
    """A courier that cannot get memory may end, but what it acknowledged is on disk, and the next one delivers it."""
    server.announce(TROUBLE, r"MKTO01\d\d", r"MKTO02\d\d")
    sandbox.store.settings.update(rate_calls=1000000)
    server.conf["marketo"].update(calls_per_20s=100)
    server.courier = "external"
    server.prepare()
    courier = server.start_courier()
    server.start()
    idle = memory_of(courier.pid, "VmSize")
    assert server.post("batch", batch("a")).status == 200
    wait_until(lambda: server.status()["spool"]["waiting"] == 0, timeout=60, what="all is delivered with enough memory")
    needed = memory_of(courier.pid, "VmPeak") - idle
    server.stop_courier()
    courier = server.start_courier(prefix=["prlimit", "--as=%d" % (idle + needed // 2)])
    with Load(server, 500) as load:
        status = server.post("batch", batch("b")).status
        assert server.get("/index.html").status == 200
        wait_until(lambda: courier.ended() or load.sent == load.people, timeout=60, what="the courier ends, or has taken everything")
        assert courier.ended() or status == 503, "the half of %d bytes is enough" % needed
        if courier.ended():
            assert server.get("/index.html").status == 200
            assert courier.wait() != -signal.SIGSEGV
        server.stop_courier()  # one that lives on may have too little to deliver with
        server.start_courier()
    audit(sandbox, load)
    if status == 200:
        wait_until(lambda: all(lead(sandbox, it["traits"]["email"]) for it in batch("b")["batch"]), timeout=60, what="the batch arrives")


@pytest.fixture(name="mounted")
def spool_on_a_mount(directory):
    if os.getuid() != 0:
        pytest.skip("mounting needs root")
    spool = os.path.join(directory, "spool")
    os.makedirs(spool, exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", spool], check=False, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        pytest.skip("no mounts here: %s" % done.stderr.strip())
    yield spool
    subprocess.run(["umount", "-l", spool], check=True)


@pytest.mark.servers("nginx", "httpd-event")
def test_read_only_spool(mounted, server, sandbox):
    """The courier says so and ends; a disk that becomes read-only under it is one that fails every write (test_disk_faults.py)."""
    server.announce(TROUBLE, r"MKTO01\d\d", r"MKTO02\d\d")
    server.courier = "external"
    server.start()
    subprocess.run(["mount", "-o", "remount,ro", mounted], check=True)
    courier = server.start_courier(wait=False)
    assert courier.wait() == 3
    assert "ead-only file system" in server.read(server.courier_log) and mounted in server.read(server.courier_log)
    assert identify(server, "during") == 503
    assert server.get("/index.html").status == 200
    subprocess.run(["mount", "-o", "remount,rw", mounted], check=True)
    server.start_courier()
    wait_until(lambda: identify(server, "after") == 200, what="events are taken again")
    wait_until(lambda: lead(sandbox, "after@example.com"), what="and arrive")


# ---- others where the courier should be ----

@pytest.mark.servers("nginx", "httpd-event")
def test_second_courier(server, sandbox):
    server.start()
    wait_until(lambda: identify(server, "first") == 200)
    first = server.couriers()
    with Load(server, 300) as load:
        second = server.start_courier(wait=False)
        assert second.wait() == 0
        assert server.get("/index.html").status == 200
    audit(sandbox, load)
    assert server.couriers() == first and set(load.statuses) <= {200, 503}, load.statuses


class Stranger:
    """Somebody who listens on the courier's socket and is no courier."""

    def __init__(self, path, says=b""):
        self.says, self.connections = says, []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        os.chmod(path, 0o666)
        self.listener.listen(64)
        self.path = path
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                conn, _ = self.listener.accept()
                self.connections.append(conn)
                if self.says:
                    conn.sendall(self.says)
            except OSError:
                return

    def leave(self):
        self.listener.close()
        for conn in self.connections:
            conn.close()
        os.remove(self.path)


@pytest.mark.servers("nginx", "httpd-event", "httpd-prefork")
@pytest.mark.parametrize("says", [b"", b"\xff" * 64, b"HTTP/1.1 400 Bad Request\r\n\r\n"], ids=["nothing", "garbage", "http"])
def test_stranger_on_the_socket(server, sandbox, says):
    server.announce(r"MKTO01\d\d", r"MKTO02\d\d")
    server.courier = "external"
    server.location(timeout="1s")
    server.prepare()
    stranger = Stranger(server.conf.socket, says)
    server.start()
    try:
        for _ in range(3):
            assert identify(server, "stranger") == 503
            assert server.get("/index.html").status == 200
    finally:
        stranger.leave()
    server.start_courier()
    wait_until(lambda: identify(server, "courier") == 200, what="the courier is found")
    wait_until(lambda: lead(sandbox, "courier@example.com"), what="it arrives")


@pytest.mark.servers("nginx", "httpd-event")
@pytest.mark.parametrize("kind", ["to a file", "to nothing", "to a stranger"])
def test_socket_path_is_a_symlink(server, directory, kind):
    """It is not followed and not removed: whoever laid it there may have meant something else to be overwritten."""
    server.announce(r"MKTO01\d\d", r"MKTO02\d\d", r"MKTO0[0-9]+ .*courier\.sock")
    server.location(timeout="1s")
    server.courier = "external"
    server.prepare()
    target = os.path.join(directory, "precious")
    if kind == "to a file":
        with open(target, "w", encoding="ascii") as file:
            file.write("precious")
    stranger = Stranger(target) if kind == "to a stranger" else None
    os.symlink(target, server.conf.socket)
    os.chmod(directory, 0o777)
    courier = server.start_courier(wait=False)
    assert courier.wait() == 3
    assert os.path.islink(server.conf.socket)
    if kind == "to a file":
        with open(target, encoding="ascii") as file:
            assert file.read() == "precious"
    elif kind == "to nothing":
        assert not os.path.lexists(target)
    server.start()
    assert identify(server, "x") == 503 and server.get("/index.html").status == 200
    if stranger:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(target)  # it listens as before
        stranger.leave()
