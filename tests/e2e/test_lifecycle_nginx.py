"""
nginx comes, goes and is replaced while the courier is there, stopped, away or slow: pages are served, processes end on their
own, nothing is logged that was not announced (an alert would be), and nothing of nginx stays in a courier.
"""
import os
import signal
import socket
import threading
import time

import pytest
from fake_courier import Answer, Delay, FakeCourier
from nginx_conf import amend
from nginx_daemon import Daemon, gone, start_daemon, stat, upgrade, workers
from servers import files_of, processes_of
from waiting import wait_until
from wire import EVENTS, PRESENCE

pytestmark = pytest.mark.servers("nginx")
WAITING = 6  # requests that wait for a verdict while something happens


# ---- helpers ----

def sockets(pid):
    return {name for name in files_of(pid) if name.startswith("socket:")}


class Waiters:
    """Requests in threads of their own; .statuses after join: 0 is a connection that ended without an answer."""

    def __init__(self, server, count=WAITING):
        self.server, self.statuses = server, []
        self.threads = [threading.Thread(target=self.one, daemon=True) for _ in range(count)]
        self.sent = threading.Semaphore(0)
        for thread in self.threads:
            thread.start()
        for _ in self.threads:
            assert self.sent.acquire(timeout=20)
        # Sent is not yet taken up: nginx answers a page only after what came before.
        for _ in range(2 * server.workers):
            assert server.get("/").status == 200

    def one(self):
        status = b"0"
        try:
            with socket.create_connection(("127.0.0.1", self.server.port), timeout=30) as sock:
                sock.sendall(b"POST /mkto/v1/track HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}")
                self.sent.release()
                status = sock.recv(1000).partition(b" ")[2][:3] or b"0"
        except OSError:
            pass
        self.statuses.append(int(status))

    def join(self):
        for thread in self.threads:
            thread.join(40)
            assert not thread.is_alive()
        return self.statuses


@pytest.fixture(name="fake")
def fake_courier(server):
    server.courier = "external"
    server.announce("MKTO0130 no courier: ")
    courier = FakeCourier(server.conf.socket).start()
    yield courier
    courier.stop()
    assert not courier.errors


def send_away(fake, how):
    if how == "stopped":
        fake.hold()
    elif how == "nobody":
        fake.stop()
    elif how == "silent":
        fake.rule = lambda event: Delay(60, Answer("stored"))
    else:
        assert how == "slow"
        fake.rule = lambda event: Delay(0.7, Answer("stored"))


def patience(how):
    """`marketo_timeout` of calls that are answered late, or not at all"""
    return "20s" if how == "slow" else "1500ms"


def start(server, fake, how, timeout=None):
    server.location(timeout=timeout or patience(how))
    server.start()
    fake.wait(server.workers, what=fake.hellos)
    wait_until(lambda: len(workers(server.process.pid)) == server.workers, what="workers with their own titles")
    wait_until(lambda: server.post("track", b"{}").status == 200, what="an answer")
    send_away(fake, how)


def verdicts(how):
    return {200} if how == "slow" else {503}


AWAY = pytest.mark.parametrize("how", ["stopped", "nobody", "silent", "slow"])


# ---- with a courier that is away ----

@AWAY
def test_quit(server, fake, how):
    start(server, fake, how)
    waiters, old = Waiters(server), workers(server.process.pid)
    server.process.send(signal.SIGQUIT)
    assert server.process.wait() == 0
    assert set(waiters.join()) == verdicts(how)
    assert all(map(gone, old))
    server.process = None


@AWAY
def test_quit_with_nothing_to_wait_for(server, fake, how):
    start(server, fake, how, timeout="60s")
    begun = time.monotonic()
    server.process.send(signal.SIGQUIT)
    assert server.process.wait() == 0
    assert time.monotonic() - begun < 10  # not the 60 s of a timer
    server.process = None


@AWAY
def test_stop(server, fake, how):
    start(server, fake, how, timeout="60s")
    waiters = Waiters(server)
    server.process.send(signal.SIGTERM)
    assert server.process.wait() == 0
    assert set(waiters.join()) <= verdicts(how) | {0}
    server.process = None


@AWAY
def test_reload(server, fake, how):
    start(server, fake, how)
    waiters, old = Waiters(server), workers(server.process.pid)
    assert len(old) == server.workers
    server.reload()
    wait_until(lambda: len(set(workers(server.process.pid)) - set(old)) == server.workers, what="new workers")
    assert server.get("/").status == 200
    assert set(waiters.join()) == verdicts(how)
    wait_until(lambda: all(map(gone, old)), what="the old workers end on their own")
    assert server.get("/").status == 200
    if how == "stopped":
        fake.release()
    elif how == "nobody":
        fake.start()
    fake.rule = lambda event: Answer("stored")
    wait_until(lambda: server.post("track", b"{}").status == 200, what="the new workers reach the courier")


@AWAY
def test_many_reloads(server, fake, how):
    start(server, fake, how)
    waiters = Waiters(server)
    for _ in range(5):
        old = workers(server.process.pid)
        server.reload()
        wait_until(lambda: set(workers(server.process.pid)) - set(old), what="new workers")  # pylint: disable=cell-var-from-loop
        assert server.get("/").status == 200
    assert set(waiters.join()) == verdicts(how)
    wait_until(lambda: len(workers(server.process.pid)) == server.workers, what="only the last workers are left")


@AWAY
def test_worker_shutdown_timeout(server, fake, how):
    amend(server, "daemon off;", "daemon off; worker_shutdown_timeout 300ms;")
    start(server, fake, how, timeout="60s")
    waiters, old = Waiters(server), workers(server.process.pid)
    begun = time.monotonic()
    server.reload()
    wait_until(lambda: all(map(gone, old)), what="the old workers end on their own")
    assert time.monotonic() - begun < 15  # not the 60 s of the requests
    assert set(waiters.join()) <= {0} | verdicts(how)
    assert server.get("/").status == 200


@AWAY
def test_upgrade(server, fake, how):
    server.location(timeout=patience(how))
    start_daemon(server)
    fake.wait(server.workers, what=fake.hellos)
    send_away(fake, how)
    waiters, old, old_workers = Waiters(server), server.process, workers(server.process.pid)
    server.process = Daemon(upgrade(server))
    old.send(signal.SIGQUIT)
    old.wait()
    assert all(map(gone, old_workers))
    assert set(waiters.join()) == verdicts(how)
    assert server.get("/").status == 200
    server.stop(graceful=True)


def test_answers_that_come_while_it_leaves(server, fake):
    """HTTP/2 and kept connections, whose worker is told to quit: the verdict still reaches the client."""
    start(server, fake, "slow")
    with server.talk() as talk:
        talk.connection.request("POST", "/mkto/v1/track", b"{}", {"Content-Type": "application/json"})
        fake.wait(2)
        server.process.send(signal.SIGQUIT)
        assert talk.reply().status == 200
    assert server.process.wait() == 0
    server.process = None


def test_killed_worker(server, fake):
    start(server, fake, "slow")
    before = len(fake.hellos)
    for pid in workers(server.process.pid):
        os.kill(pid, signal.SIGKILL)
    server.announce("exited on signal 9")
    fake.wait(before + server.workers, what=fake.hellos)
    assert server.post("track", b"{}").status == 200


def test_helpers_of_nginx_stay_out_of_it(server, fake):
    """The cache manager and loader run init_process as well."""
    amend(server, "http {", "http { proxy_cache_path %s/body/cache keys_zone=c:1m; " % server.directory)
    start(server, fake, "slow")
    wait_until(lambda: len(fake.hellos) == server.workers, what="one hello a worker")
    wait_until(lambda: "start cache manager process" in server.read(server.log), what="cache manager")
    assert {hello["role"] for hello in fake.hellos} == {EVENTS}


def test_no_right_to_the_socket(server, fake):
    if not server.user:
        pytest.skip("only root can take the right away")
    fake.stop()
    fake.start(mode=0o600)  # ours, and the workers are www-data
    server.start()
    wait_until(lambda: "MKTO0130" in server.read(server.log), what="an error")
    assert server.get("/").status == 200
    time.sleep(1.5)  # it tries again, and says no more
    log = server.read(server.log)
    assert log.count("MKTO0130") == 1 and "courier.sock is owned by root (uid 0), root (gid 0)" in log


def test_refused(server, fake):
    from fake_courier import Refuse, WELCOME
    fake.greeting = Refuse("config", "this courier serves another file")
    server.location(timeout="500ms")
    server.start()
    wait_until(lambda: "MKTO0130 no courier: the courier refused: this courier serves another file" in server.read(server.log),
               what="the reason")
    assert server.get("/").status == 200 and server.post("track", b"{}").status == 503
    fake.greeting = WELCOME
    wait_until(lambda: server.post("track", b"{}").status == 200, what="it connects again")


@pytest.mark.parametrize("reloaded", [False, True])
def test_one_process(server, fake, reloaded):
    """master_process off: development."""
    server.workers = 0  # children
    amend(server, "worker_processes 0;", "worker_processes 1; master_process off;")
    server.user = None
    server.start()
    assert server.post("track", b"{}").status == 200
    if reloaded:  # such an nginx serves nobody afterwards, with or without the module; it must end all the same
        server.reload()
        wait_until(lambda: "reconfiguring" in server.read(server.log), what="it reads its configuration")
        time.sleep(0.5)
        assert not server.process.ended()
    server.process.send(signal.SIGQUIT)
    assert server.process.wait() == 0
    server.process = None


# ---- with a courier that nginx starts ----

def only_courier(server):
    wait_until(lambda: len(server.couriers()) == 1, what="one courier")
    return server.couriers()[0]


def started(server):
    server.start()
    return working(server)


def working(server):
    wait_until(lambda: server.post("track", {"event": "e", "userId": "u"}).status == 200, what="the courier is up")
    return only_courier(server)


def test_spawned_courier_holds_nothing_of_nginx(server):
    courier = started(server)
    assert not sockets(courier) & sockets(server.process.pid)
    assert stat(courier)[0] != server.process.pid and os.getsid(courier) == courier
    assert os.readlink("/proc/%d/cwd" % courier) == "/"
    for fd in ("0", "1", "2"):
        assert os.readlink("/proc/%d/fd/%s" % (courier, fd)) == "/dev/null"
    server.stop(graceful=True)
    wait_until(lambda: gone(courier), what="the courier ends with its server")
    assert "exited with code 0" in server.read(server.log)  # what nginx says of the starter; at notice


def test_reload_keeps_the_courier(server):
    courier = started(server)
    for _ in range(3):
        old = workers(server.process.pid)
        server.reload()
        wait_until(lambda: all(map(gone, old)), what="the old workers end")  # pylint: disable=cell-var-from-loop
        assert server.post("track", {"event": "e", "userId": "u"}).status == 200
    assert only_courier(server) == courier


def test_upgrade_keeps_the_courier(server):
    start_daemon(server)
    courier = working(server)
    old = server.process
    server.process = Daemon(upgrade(server))
    old.send(signal.SIGQUIT)
    old.wait()
    assert server.post("track", {"event": "e", "userId": "u"}).status == 200
    assert only_courier(server) == courier
    server.stop(graceful=True)
    wait_until(lambda: gone(courier), what="the courier ends with the last server")


def test_killed_courier_is_started_again(server):
    courier = started(server)
    os.kill(courier, signal.SIGKILL)
    wait_until(lambda: server.couriers() not in ([], [courier]), what="another courier")
    wait_until(lambda: server.post("track", {"event": "e", "userId": "u"}).status == 200, what="it answers")
    assert only_courier(server) != courier


def test_killed_workers_find_the_courier(server):
    courier = started(server)
    server.announce("exited on signal 9")
    for _ in range(3):
        for pid in workers(server.process.pid):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: len(workers(server.process.pid)) == server.workers, what="new workers")
        wait_until(lambda: server.post("track", {"event": "e", "userId": "u"}).status == 200, what="they answer")
    only_courier(server)  # the same, or one that replaced it: with nobody there for a moment it may have left
    assert courier


def test_stopped_courier_and_quit(server):
    courier = started(server)
    server.announce("MKTO0130 ")
    os.kill(courier, signal.SIGSTOP)
    try:
        waiters = Waiters(server)
        server.process.send(signal.SIGQUIT)
        assert server.process.wait() == 0
        assert set(waiters.join()) == {503}
        server.process = None
    finally:
        os.kill(courier, signal.SIGCONT)
    wait_until(lambda: not processes_of(server.directory), what="the courier ends, too")


def test_presence_is_worker_0_alone(server):
    server.workers = 3
    server.announce("MKTO0130 ")
    amend(server, "spawn %s/marketo" % server.out, "spawn /bin/true")
    fake = FakeCourier(server.conf.socket).start()
    try:
        server.start()
        fake.wait(4, what=fake.hellos)
        assert sorted(hello["role"] for hello in fake.hellos) == [EVENTS, EVENTS, EVENTS, PRESENCE]
        for level, word in ((3, "error"), (4, "warn"), (5, "notice"), (6, "info")):
            fake.log(level, "MKTO0399 a line at %s" % word)
            wait_until(lambda: "[%s]" % word in server.read(server.log) and  # pylint: disable=cell-var-from-loop
                       "MKTO0399 a line at %s" % word in server.read(server.log), what=word)  # pylint: disable=cell-var-from-loop
        server.announce("MKTO0399 ")
    finally:
        server.stop()
        fake.stop()


def test_program_that_brings_no_courier(server):
    server.workers = 1
    server.announce("MKTO0130 no courier: nobody listens on", "MKTO0126 ")
    amend(server, "spawn %s/marketo" % server.out, "spawn /bin/true")
    server.start()
    wait_until(lambda: server.read(server.log).count("started the courier") >= 3, what="it tries again, more slowly")
    lines = [line for line in server.read(server.log).splitlines() if "MKTO0130" in line]
    assert len(lines) == 1 and "marketo check" in lines[0]
    assert server.get("/").status == 200


def test_program_that_is_not_there(server):
    server.announce("MKTO0126 ", "MKTO0130 no courier: cannot start /nowhere/marketo")
    amend(server, "spawn %s/marketo" % server.out, "spawn /nowhere/marketo")
    server.start()
    wait_until(lambda: "MKTO0130" in server.read(server.log), what="an error")
    assert server.get("/").status == 200
