"""httpd's life with the courier: who starts it, and that nothing that httpd does ever waits for it."""
import os
import re
import signal
import threading
import time

import pytest

from fake_courier import Answer, FakeCourier
from servers import files_of
from waiting import wait_until

pytestmark = pytest.mark.servers("httpd-event", "httpd-worker", "httpd-prefork")
LOST = r"MKTO0106 no answer from the courier"
EVENT = {"event": "a", "userId": "u"}
SIGNALS = {"graceful": signal.SIGUSR1, "restart": signal.SIGHUP, "graceful-stop": signal.SIGWINCH, "stop": signal.SIGTERM}


@pytest.fixture(autouse=True)
def own_noise(server):
    """The event MPM closes its connections at a stop while a thread may hand one back: seen without our module, too."""
    server.announce("AH03093: process_socket: apr_pollset_add failure for keep alive")


# ---- what the processes do ----

def children(server):
    pid = server.process.pid
    with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as file:
        return [int(child) for child in file.read().split()]


def state(pid):
    """(state letter, parent), or (None, None) when the process is gone."""
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
            return fields[0], int(fields[1])
    except OSError:
        return None, None


def gone(pid):
    return state(pid)[0] in (None, "Z")


def unix_sockets():
    with open("/proc/net/unix", encoding="utf-8", errors="replace") as file:
        return {"socket:[%s]" % line.split()[6] for line in file.readlines()[1:]}


def presence_holder(server):
    """Before the first event, the child with a unix socket is the one that watches over the courier."""
    holders = [pid for pid in children(server) if not gone(pid) and files_of(pid) & unix_sockets()]
    return holders[0] if holders else None


def the_courier(server):
    """Its pid, once it listens; what was started first has left a child behind, and is no more."""
    wait_until(lambda: os.path.exists(server.conf.socket) and len(server.couriers()) == 1)
    return server.couriers()[0]


def zombies(server):
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
            if state(pid)[0] == "Z" and state(pid)[1] in children(server)]


class Posts:
    """Events sent at once, each on its own connection, that nobody waits for."""

    def __init__(self, server, count):
        self.replies, self.lock = [], threading.Lock()
        self.threads = [threading.Thread(target=self._post, args=(server,), daemon=True) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def _post(self, server):
        try:
            reply = server.post("track", EVENT)
            with self.lock:
                self.replies.append((reply.status, reply.json.get("error", "")))
        except (OSError, ValueError) as error:
            with self.lock:
                self.replies.append((0, str(error)))

    def join(self):
        for thread in self.threads:
            thread.join(30)
        return self.replies


@pytest.fixture
def fake(server):
    server.courier = "external"
    it = FakeCourier(server.conf.socket)
    it.start()
    yield it
    it.stop()
    assert not it.errors, it.errors


def in_server(server, count):
    """How many requests of the test are inside of the server: its connections that it has accepted and not answered."""
    wanted = ":%04X" % server.port
    with open("/proc/net/tcp", encoding="ascii") as file:
        rows = [line.split() for line in file.readlines()[1:]]
    return sum(1 for row in rows if row[1].endswith(wanted) and row[3] == "01" and row[9] != "0") >= count


# ---- the courier does not answer ----

def act(server, what):
    """Does what the name says and waits until it is done. What must end must do so on its own."""
    before = children(server)
    server.process.send(SIGNALS[what])
    if what in ("graceful-stop", "stop"):
        server.process.wait()
        server.process = None
    else:
        wait_until(lambda: all(map(gone, before)), what="the old children end")
        wait_until(lambda: server.get("/").status == 200)


@pytest.mark.parametrize("what", SIGNALS)
def test_ends_while_requests_wait(server, fake, what):
    server.announce(LOST)
    server.location(timeout="20s")
    server.start()
    assert server.post("track", EVENT).status == 200
    fake.hold()
    posts = Posts(server, 2)
    wait_until(lambda: in_server(server, 2))
    assert server.get("/").status == 200
    began = time.monotonic()
    act(server, what)
    # The requests' own time is over only then: nobody waited for it.
    assert time.monotonic() - began < 15
    replies = posts.join()
    assert all(status in (0, 503) for status, _ in replies), replies


@pytest.mark.parametrize("what", SIGNALS)
def test_ends_with_nobody_there(server, what):
    server.announce(LOST)
    server.courier = "external"
    server.location(timeout="1s")
    server.start()
    assert server.post("track", EVENT).status == 503
    assert server.get("/").status == 200
    act(server, what)


def test_courier_that_is_silent_leaves_three_quarters(server, fake):
    server.announce(LOST)
    server.location(timeout="3s")
    server.start()
    assert server.post("track", EVENT).status == 200
    fake.hold()
    posts = Posts(server, 14)
    # Sixteen threads a child, or sixteen children: four wait in each child, or of all.
    most = 4 if server.mpm == "prefork" else 4 * len(children(server))
    assert most < 14
    wait_until(lambda: len(posts.replies) >= 14 - most, timeout=2.5, what="the others are sent away")
    assert all(status == 503 and "too many" in error for status, error in posts.replies), posts.replies
    assert server.get("/").status == 200
    posts.join()
    assert {status for status, _ in posts.replies} == {503}
    assert any("in time" in error for _, error in posts.replies), "the oldest wait until their deadline"
    fake.release()
    wait_until(lambda: server.post("track", EVENT).status == 200)


def test_timeout_makes_the_next_answer_quick(server, fake):
    server.announce(LOST, "AH00161: server reached MaxRequestWorkers")
    server.location(timeout="1s")
    server.location("/patient/", timeout="60s")
    server.SIZES = {**server.SIZES, server.mpm: "ServerLimit 1\nStartServers 1\nMaxRequestWorkers %s\n" % (
        1 if server.mpm == "prefork" else "16\nThreadsPerChild 16\nMinSpareThreads 1\nMaxSpareThreads 16")}
    server.start()
    assert server.post("track", EVENT).status == 200
    fake.hold()
    assert server.post("track", EVENT).status == 503
    for _ in range(5):  # here nobody waits for the courier again: that would be longer than our patience
        assert server.post("track", EVENT, prefix="/patient/").status == 503
    fake.release()
    wait_until(lambda: server.post("track", EVENT).status == 200)


def test_courier_that_comes_back_costs_nothing(server, fake):
    server.start()
    assert server.post("track", EVENT).status == 200
    fake.stop()
    posts = Posts(server, 3)
    time.sleep(0.1)  # long enough for them to find nobody there; any time under the timeout is good
    fake.start()
    assert posts.join() == [(200, "")] * 3


def test_upgrade_of_the_courier(server, fake):
    server.start()
    assert server.post("track", EVENT).status == 200
    fake.rule = lambda event: None
    posts = Posts(server, 3)
    fake.wait(4)
    fake.rule = lambda event: Answer("stored")
    fake.cut_all()
    assert posts.join() == [(200, "")] * 3
    ids = [event.fields["request_id"] for event in fake.events]
    assert len(ids) == 7 and len(set(ids)) == 4, "sent again with the same ids"


# ---- a courier of its own ----

def test_first_request(server):
    """The courier is started with the server; who comes before it is there waits for it."""
    server.start()
    assert server.post("track", EVENT).status == 200
    assert server.couriers()


def test_one_courier_through_reloads(server):
    server.conf["courier"]["linger"] = "10s"
    server.start()
    courier = the_courier(server)
    assert server.post("track", EVENT).status == 200
    for what in ("graceful", "graceful", "restart"):
        act(server, what)
        assert server.post("track", EVENT).status == 200
        now = the_courier(server)
        # httpd may be without a child for a second. A courier that has nothing to do may leave then, and the next comes.
        assert now == courier or gone(courier)
        courier = now
    wait_until(lambda: not zombies(server))


def test_courier_keeps_nothing_of_the_server(server):
    server.start()
    courier = the_courier(server)
    assert server.post("track", EVENT).status == 200
    wait_until(lambda: not zombies(server))
    for pid in [server.process.pid, *children(server)]:
        shared = files_of(courier) & files_of(pid)
        assert not shared, shared
    assert state(courier)[1] == 1, "it is nobody's child"
    assert os.getpgid(courier) != os.getpgid(server.process.pid)
    with open("/proc/%d/status" % courier, encoding="ascii") as file:
        assert re.search(r"^SigBlk:\t0+$", file.read(), re.M)


@pytest.mark.parametrize("what", SIGNALS)
def test_ends_with_a_stopped_courier(server, what):
    server.conf["courier"]["linger"] = "10s"
    server.announce(LOST, r"MKTO0108 no courier")
    server.location(timeout="20s")
    server.start()
    assert server.post("track", EVENT).status == 200
    courier = the_courier(server)
    os.kill(courier, signal.SIGSTOP)
    try:
        Posts(server, 2)
        wait_until(lambda: server.get("/").status == 200)
        act(server, what)
    finally:
        os.kill(courier, signal.SIGCONT)
    if server.process is not None:
        wait_until(lambda: server.post("track", EVENT).status == 200)
        assert the_courier(server) == courier or gone(courier)


def test_killed_courier_is_started_again(server):
    server.start()
    courier = the_courier(server)
    assert server.post("track", EVENT).status == 200
    os.kill(courier, signal.SIGKILL)
    assert server.post("track", EVENT).status == 200
    wait_until(lambda: server.couriers() and courier not in server.couriers())
    assert len(server.couriers()) == 1
    wait_until(lambda: not zombies(server))


def test_another_child_takes_the_presence(server):
    server.conf["courier"]["linger"] = "10s"
    server.start()
    courier = the_courier(server)
    holder = wait_until(lambda: presence_holder(server))
    assert server.couriers() == [courier]
    server.announce(r"AH00052: child pid %d exit signal Killed" % holder)
    os.kill(holder, signal.SIGKILL)
    wait_until(lambda: presence_holder(server) not in (None, holder))
    assert server.post("track", EVENT).status == 200


def test_courier_ends_with_the_server(server):
    server.start()
    courier = the_courier(server)
    wait_until(lambda: presence_holder(server))
    server.stop()
    wait_until(lambda: gone(courier))


def test_log_of_the_courier(server, fake):
    """It has no log of its own: a watching server writes its lines down. The fake is nobody that was spawned, but listens."""
    server.courier = "spawn"
    server.announce("MKTO0399 something")
    server.start()
    wait_until(lambda: any(hello["role"] == 2 for hello in fake.hellos))
    fake.log(4, "MKTO0399 something is wrong")
    fake.log(6, "MKTO0398 for those who want to know")
    text = wait_until(lambda: re.search(r"\[marketo:(\w+)\].*MKTO0398[^\n]*", server.read(server.log)) and server.read(server.log))
    assert re.search(r"\[marketo:warn\].*MKTO0399 something is wrong", text)
    assert re.search(r"\[marketo:info\].*MKTO0398", text)
    assert not server.couriers()


def test_program_that_is_not_there(server):
    server.courier = "spawn"
    server.announce("MKTO0126 ", "MKTO0108 no courier: cannot start /nowhere/marketo", LOST)
    write = server.write_config

    def amended():
        write()
        path = os.path.join(server.directory, "httpd.conf")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace("MarketoCourier spawn %s/marketo" % server.out, "MarketoCourier spawn /nowhere/marketo"))
    server.write_config = amended
    server.start()
    wait_until(lambda: "MKTO0108" in server.read(server.log), what="an error")
    assert server.get("/").status == 200


def test_refused_socket_is_no_reason_to_start(server):
    server.announce(r"MKTO0108 no courier: cannot connect to \S+ is owned by root \(uid 0\)", r"MKTO0108 no courier: cannot connect", LOST)
    if os.getuid() != 0:
        pytest.skip("needs a socket of another user")
    fake = FakeCourier(server.conf.socket).start(mode=0o600)
    os.chown(server.conf.socket, 0, 0)
    server.prepare()
    try:
        server.start()
        wait_until(lambda: "MKTO0108 no courier: cannot connect" in server.read(server.log))
        assert "owned by root (uid 0), root (gid 0)" in server.read(server.log)
        assert not server.couriers()
    finally:
        fake.stop()
        server.stop()


def test_notes_for_the_access_log(server, fake):
    server.text["httpd"] = 'CustomLog %s/access.log "%%>s %%{marketo_verdict}n %%{marketo_event_id}n"\n' % server.directory
    server.start()
    server.post("track", EVENT)
    server.get("/mkto/v1/track")
    server.get("/")
    event, = fake.events
    log = os.path.join(server.directory, "access.log")
    wait_until(lambda: len(server.read(log).splitlines()) == 3)  # a request is logged after it is answered
    assert sorted(server.read(log).splitlines()) == [
        "200 - -", "200 stored " + event.fields["request_id"].decode(), "405 bad_method -"]
