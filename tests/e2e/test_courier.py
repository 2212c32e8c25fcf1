"""
The courier's own life, without a web server: start, detachment, lock, reload, making room, leaving.
"""
import json
import os
import pwd
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE]

import wire  # noqa: E402
from marketo_conf import MarketoConf  # noqa: E402
from waiting import wait_until  # noqa: E402

MARKETO = os.path.join(os.path.abspath(os.environ.get("MKTO_OUT", os.path.join(ROOT, "out"))), "marketo")
NEWER = 1 << 40  # a build of the far future
EVENT = json.dumps({"event": "E", "userId": "u"}).encode()
USER = "nobody"


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid, "rb") as file:
            return file.read().rsplit(b") ", 1)[1][:1] != b"Z"
    except OSError:
        return False


def instrumented(program):
    """With ASan, whose leak check needs to trace the process."""
    with open(program, "rb") as file:
        return b"__asan_init" in file.read()


class Couriers:
    """Starts couriers on one config, and ends them."""

    def __init__(self, directory):
        self.conf = MarketoConf(directory)
        self.conf["marketo"].update(rest_endpoint="http://127.0.0.1:9", munchkin_endpoint="http://127.0.0.1:9",
                                    rest_client_id="id", rest_client_secret_file=self.conf.secret("secret", "hush"))
        self.entry = pwd.getpwnam(USER) if os.getuid() == 0 else None
        os.mkdir(self.conf.spool, 0o700)
        self.conf.write()
        if self.entry:
            os.chmod(directory, 0o755)
            for name in (self.conf.spool, self.conf["marketo"]["rest_client_secret_file"]):
                os.chown(name, self.entry.pw_uid, self.entry.pw_gid)
        self.log = os.path.join(directory, "courier.log")
        self.processes = []
        self.program = MARKETO

    def start(self, *arguments, wait=True, config=None, **more):
        if self.entry and "user" not in more:
            more.update(user=self.entry.pw_uid, group=self.entry.pw_gid, extra_groups=[])
        with open(self.log, "ab") as log:
            process = subprocess.Popen([self.program, "courier", "--config", config or self.conf.path, *arguments],
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log, **more)
        self.processes.append(process)
        if wait:
            wait_until(lambda: self.answers() or process.poll(), what=lambda: "a courier; " + self.text())
        return process

    def spawn(self, wait=True, config=None, **more):
        """As a web server does it. Returns the pid of the courier, which is not our child."""
        process = self.start("--spawned", "--socket", self.conf.socket, wait=False, config=config, **more)
        assert process.wait(5) == 0, "the direct child ends at once"
        if wait:
            wait_until(self.answers, what="a spawned courier")
            return self.pid()
        return None

    def answers(self):
        try:
            with self.tool():
                return True
        except (OSError, wire.Refused, wire.Broken):
            return False

    def client(self, role=wire.EVENTS, config=None, **more):
        return wire.Client(self.conf.socket, role=role, config=config or os.path.realpath(self.conf.path), **more)

    def tool(self):
        return wire.Client(self.conf.socket, role=wire.TOOL)

    def pid(self):
        with self.tool() as tool:
            return tool.pid

    def status(self):
        with self.tool() as tool:
            return tool.ask("status")[0]

    def text(self):
        with open(self.log, encoding="utf-8") as file:
            return file.read()

    def end(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    with open("/proc/%s/cmdline" % name, "rb") as file:
                        if self.conf.directory.encode() in file.read():
                            os.kill(int(name), signal.SIGKILL)
                except OSError:
                    pass


@pytest.fixture(name="couriers")
def new_couriers(directory):
    it = Couriers(directory)
    yield it
    it.end()


# ---- what it tells web servers ----

def test_status_of_64_subscriptions(couriers):
    """For a status page: the same as `marketo status --json`, within what a verdict may hold."""
    for number in range(63):
        couriers.conf.section("marketo brand-%d" % number, **couriers.conf["marketo"])
    couriers.conf.write()
    couriers.start("--hold")
    with couriers.client() as client:
        verdict = client.verdict(client.send("track", b'{"event":"A","userId":"tom@example.com"}'))
        assert verdict.answer == "stored"
        verdict = client.verdict(client.send("status", b""))
    assert verdict.answer == "stored" and len(verdict.body) <= 61440
    told, shown = json.loads(verdict.body), couriers.status()
    assert b"tom@" not in verdict.body and b"hush" not in verdict.body
    assert told.keys() == shown.keys() and told["intake"]["accepted"] == 1
    listed = [subscription["name"] for subscription in told["dispatch"]["subscriptions"]]
    every = [subscription["name"] for subscription in shown["dispatch"]["subscriptions"]]
    assert len(every) == 64 and listed == every[:len(listed)] and len(listed) >= 16
    assert listed == every or told["dispatch"]["subscriptions_total"] == 64


# ---- start and stop ----

def test_sigterm_ends_it_within_a_second(couriers):
    process = couriers.start("--hold")
    with couriers.client() as client:
        assert client.verdict(client.send(body=EVENT)).answer == "stored"
        before = time.monotonic()
        process.terminate()
        with pytest.raises((wire.Refused, wire.Broken, ConnectionError)) as error:
            while True:
                client.verdict(client.send(body=EVENT))
        assert error.type is not wire.Refused or error.value.reason == "leaving"
        assert process.wait(5) == 0
        assert time.monotonic() - before < 1.5
    assert not os.path.exists(couriers.conf.socket)
    couriers.start("--hold")
    assert couriers.status()["spool"]["waiting"] >= 1


def test_what_was_in_flight_is_answered(couriers):
    process = couriers.start("--hold")
    with couriers.client() as client:
        seqs = [client.send(body=EVENT, request_id="r%d" % i) for i in range(500)]
        process.terminate()
        answered = 0
        try:
            for seq in seqs:
                assert client.verdict(seq).answer == "stored"
                answered += 1
        except (wire.Refused, wire.Broken, ConnectionError):
            pass
    assert process.wait(5) == 0
    couriers.start("--hold")
    assert couriers.status()["spool"]["waiting"] >= answered


def test_second_one_leaves_the_first_alone(couriers):
    first = couriers.start()
    second = couriers.start(wait=False)
    assert second.wait(5) == 0
    assert "another process has it" in couriers.text()
    assert first.poll() is None and couriers.pid() == first.pid


def test_killed_one_leaves_a_socket_that_the_next_takes_over(couriers):
    first = couriers.start()
    first.kill()
    first.wait()
    assert os.path.exists(couriers.conf.socket)
    second = couriers.start()
    assert couriers.pid() == second.pid


def test_socket_of_somebody_else_is_left_alone(couriers):
    couriers.conf["spool"]["path"] = couriers.conf.spool
    other = socket.socket(socket.AF_UNIX)
    other.bind(couriers.conf.socket)
    other.listen()
    os.chmod(couriers.conf.socket, 0o666)
    process = couriers.start(wait=False)
    assert process.wait(5) == 3
    assert "another process listens there" in couriers.text()
    other.close()
    os.remove(couriers.conf.socket)
    with open(couriers.conf.socket, "w", encoding="ascii") as file:
        file.write("mine")
    process = couriers.start(wait=False)
    assert process.wait(5) == 3
    assert "there is a file of that name" in couriers.text()
    assert os.path.getsize(couriers.conf.socket) == 4


def test_external_socket_and_files(couriers):
    couriers.start()
    assert os.stat(couriers.conf.socket).st_mode & 0o777 == 0o660
    for name in ("spool.db", "courier.lock"):
        assert os.stat(os.path.join(couriers.conf.spool, name)).st_mode & 0o777 == 0o600


def test_bad_config_is_said(couriers):
    couriers.conf["marketo"]["nonsense"] = "1"
    couriers.conf.write()
    process = couriers.start(wait=False)
    assert process.wait(5) == 3
    assert re.search(r"marketo\.conf:\d+: nonsense", couriers.text())


def test_path_too_long_for_a_socket(couriers):
    process = couriers.start("--socket", couriers.conf.spool + "/" + "s" * 120, wait=False)
    assert process.wait(5) == 3
    assert "107" in couriers.text()


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_root_becomes_the_owner_of_the_spool(couriers):
    process = couriers.start(user=None)
    with open("/proc/%d/status" % process.pid, encoding="ascii") as file:
        status = file.read()
    ids = "\t".join([str(couriers.entry.pw_uid)] * 4)
    assert "Uid:\t%s\n" % ids in status
    assert "Groups:\t%d \n" % couriers.entry.pw_gid in status or "Groups:\t%d\n" % couriers.entry.pw_gid in status
    process.terminate()
    assert process.wait(5) == 0
    os.chown(couriers.conf.spool, 0, 0)
    process = couriers.start(user=None, wait=False)
    assert process.wait(5) == 3
    assert "belongs to root" in couriers.text()


# ---- spawned ----

def test_spawned_one_has_nothing_of_its_parent(couriers):
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    os.set_inheritable(listening.fileno(), True)

    def as_a_server_leaves_it():
        os.umask(0)
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.sched_setaffinity(0, {0})

    pid = couriers.spawn(preexec_fn=as_a_server_leaves_it, close_fds=False)
    with open("/proc/%d/status" % pid, encoding="ascii") as file:
        status = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
    assert int(status["SigBlk"], 16) == 0
    inner = 1 << 31 | 1 << 32  # two signals are the C library's own: nobody can reset them
    assert int(status["SigIgn"], 16) & ~inner == 1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1)
    assert status["Umask"] == "0077"
    assert len(os.sched_getaffinity(pid)) == len(os.sched_getaffinity(0))
    links = [os.readlink("/proc/%d/fd/%s" % (pid, fd)) for fd in os.listdir("/proc/%d/fd" % pid)]
    inode = os.fstat(listening.fileno()).st_ino
    assert not any("socket:[%d]" % inode in link for link in links)
    assert os.readlink("/proc/%d/cwd" % pid) == "/"
    assert os.getsid(pid) == pid
    if couriers.entry and not instrumented(MARKETO):
        assert os.stat("/proc/%d/environ" % pid).st_uid == 0, "others of its user may read its memory"
    assert os.stat(couriers.conf.socket).st_mode & 0o777 == 0o600
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not alive(pid))


def test_spawned_one_leaves_with_the_last_server(couriers):
    pid = couriers.spawn()
    presence = couriers.client(role=wire.PRESENCE)
    events = couriers.client()
    presence.close()
    time.sleep(0.3)
    assert alive(pid), "there is a worker still"
    events.close()
    wait_until(lambda: not alive(pid), what="the end")
    assert not os.path.exists(couriers.conf.socket)


def test_spawned_one_does_not_wait_for_a_server_that_has_ended(couriers):
    more = {"user": couriers.entry.pw_uid, "group": couriers.entry.pw_gid, "extra_groups": []} if couriers.entry else {}
    server = subprocess.Popen(["sh", "-c", '"$@"; exec sleep 60', "sh", MARKETO, "courier", "--spawned", "--config", couriers.conf.path,
                               "--socket", couriers.conf.socket], stderr=subprocess.DEVNULL, **more)
    couriers.processes.append(server)
    wait_until(couriers.answers, what="a spawned courier")
    pid = couriers.pid()
    time.sleep(1.5)
    assert alive(pid), "its server may still come"
    server.kill()
    server.wait()
    wait_until(lambda: not alive(pid), timeout=5, what="the end")


def test_spawned_one_lingers(couriers):
    couriers.conf["courier"]["linger"] = "10m"
    couriers.conf.write()
    pid = couriers.spawn(wait=False)
    wait_until(lambda: os.path.exists(couriers.conf.socket))
    with couriers.client() as client:
        pid = client.pid
        client.verdict(client.send(body=EVENT))  # it waits for a Marketo that is not there
    time.sleep(1.5)
    assert alive(pid), "there is something to deliver"
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not alive(pid))


def test_spawned_loser_ends(couriers):
    couriers.conf["courier"]["linger"] = "10m"
    couriers.conf.write()
    pid = couriers.spawn()
    couriers.spawn(wait=False)
    couriers.spawn(wait=False)
    time.sleep(0.3)
    assert couriers.pid() == pid


def test_spawned_one_says_why_it_cannot_run(couriers):
    couriers.conf["marketo"]["nonsense"] = "1"
    couriers.conf.write()
    couriers.spawn(wait=False)
    wait_until(lambda: os.path.exists(couriers.conf.socket))
    with pytest.raises(wire.Refused) as error:
        couriers.client(role=wire.PRESENCE)
    assert error.value.reason == "config" and "nonsense" in str(error.value)
    wait_until(lambda: not os.path.exists(couriers.conf.socket), what="its end")


def test_its_lines_go_to_a_presence(couriers):
    couriers.conf["courier"]["linger"] = "10m"
    couriers.conf.write()
    couriers.spawn()
    with couriers.client(role=wire.PRESENCE) as presence:
        presence.verdict(presence.send(body=b"nonsense"))
        wait_until(lambda: presence.verdict(presence.send(body=b"nonsense")) and presence.logs, what="a line")
        assert "takes events" in presence.logs[0][1] and presence.logs[0][0] == 5


# ---- upgrade ----

def test_spawned_one_makes_room_for_a_newer_build(couriers):
    couriers.conf["courier"]["linger"] = "10m"
    couriers.conf.write()
    couriers.program = os.path.join(couriers.conf.directory, "marketo")
    shutil.copy(MARKETO, couriers.program)
    pid = couriers.spawn()
    with couriers.client(role=wire.TOOL, build=NEWER):
        pass  # a tool is no server
    os.rename(shutil.copy(MARKETO, couriers.program + ".new"), couriers.program)
    with couriers.client() as old:
        assert old.verdict(old.send(body=EVENT)).answer == "stored"
        with pytest.raises(wire.Refused) as error:
            couriers.client(build=NEWER)
        assert error.value.reason == "leaving"
        with pytest.raises((wire.Refused, wire.Broken)):
            old.verdict(4711)
    wait_until(lambda: not alive(pid))
    assert couriers.spawn() != pid
    assert couriers.status()["spool"]["waiting"] == 1


def test_spawned_one_stays_when_it_would_only_come_again(couriers):
    couriers.conf["courier"]["linger"] = "10m"
    couriers.conf.write()
    pid = couriers.spawn()
    with couriers.client(role=wire.PRESENCE, build=NEWER) as presence:
        presence.verdict(presence.send(body=EVENT))
        wait_until(lambda: presence.verdict(presence.send(body=EVENT)) and len(presence.logs) > 1, what="a line")
        assert "MKTO0213" in presence.logs[1][1] and os.path.realpath(MARKETO) in presence.logs[1][1]
    assert couriers.pid() == pid


def test_external_one_stays_for_a_newer_build(couriers):
    couriers.start()
    for _ in range(3):
        with couriers.client(build=NEWER) as client:
            assert client.verdict(client.send(body=EVENT)).answer == "stored"
    assert couriers.text().count("MKTO0213") == 1


# ---- config ----

def test_other_config_path_is_refused(couriers):
    couriers.start()
    with pytest.raises(wire.Refused) as error:
        couriers.client(config="/etc/other.conf")
    assert error.value.reason == "config"
    assert couriers.conf.path in str(error.value) and "/etc/other.conf" in str(error.value)


def test_other_version_is_refused(couriers):
    couriers.start()
    with pytest.raises(wire.Refused) as error:
        couriers.client(version=wire.VERSION + 1)
    assert error.value.reason == "version"


def test_other_digest_is_read_again(couriers):
    couriers.start("--hold")
    with couriers.client() as client:
        old = client.digest
        assert client.verdict(client.send(body=EVENT, subscription="brand-b")).answer == "away"
    couriers.conf.section("marketo brand-b", **couriers.conf["marketo"])
    couriers.conf.write()
    with couriers.client(digest=1) as client:
        assert client.digest != old
        assert client.verdict(client.send(body=EVENT, subscription="brand-b")).answer == "stored"


def test_bad_config_keeps_the_old_one(couriers):
    process = couriers.start("--hold")
    couriers.conf["marketo"]["nonsense"] = "1"
    couriers.conf.write()
    with couriers.client() as client:
        old = client.digest
    for _ in range(3):
        with couriers.client(digest=1) as client:
            assert client.digest == old
            assert client.verdict(client.send(body=EVENT)).answer == "stored"
    assert couriers.text().count("MKTO0212") == 1
    process.send_signal(signal.SIGHUP)
    del couriers.conf["marketo"]["nonsense"]
    couriers.conf["marketo"]["host"] = "other.example.com"
    couriers.conf.write()
    process.send_signal(signal.SIGHUP)

    def changed():
        with couriers.client() as client:
            return client.digest != old
    wait_until(changed, what="the new config")


# ---- clients ----

def test_silent_clients_are_dropped(couriers):
    couriers.start()
    client = wire.Client(couriers.conf.socket, greet=False, timeout=10)
    before = time.monotonic()
    with pytest.raises(wire.Broken):
        client.stream.read()
    assert 3 < time.monotonic() - before < 9
    client.close()


def test_goes_on_without_descriptors(couriers):
    process = couriers.start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)))
    clients = []
    for _ in range(60):
        it = socket.socket(socket.AF_UNIX)
        it.connect(couriers.conf.socket)
        clients.append(it)
    wait_until(lambda: "MKTO0221" in couriers.text(), what="a line about it")
    ticks = _ticks(process.pid)
    time.sleep(1)
    assert _ticks(process.pid) - ticks < 30, "it spins"
    for it in clients:
        it.close()
    wait_until(couriers.answers)
    assert couriers.text().count("MKTO0221") == 1


def _ticks(pid):
    with open("/proc/%d/stat" % pid, "rb") as file:
        fields = file.read().rsplit(b") ", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def test_idle_courier_sleeps(couriers):
    process = couriers.start()
    time.sleep(0.5)
    ticks = _ticks(process.pid)
    time.sleep(2)
    assert _ticks(process.pid) - ticks <= 2


def test_status_says_what_there_is(couriers):
    process = couriers.start("--hold")
    with couriers.client(role=wire.PRESENCE) as client:
        for answer, body in (("stored", EVENT), ("stored", b'{"event":"E","userId":"u","messageId":"m"}'),
                             ("stored", b'{"event":"E","userId":"u","messageId":"m"}'), ("bad_request", b"{}"),
                             ("filtered", b'{"event":"E","userId":"u","integrations":{"Marketo":false}}')):
            assert client.verdict(client.send(body=body)).answer == answer
        status = couriers.status()
    assert status["pid"] == process.pid and status["held"] and not status["spawned"]
    assert status["spool"]["waiting"] == 2 and status["spool"]["dead"] == 0 and status["spool"]["room"]
    intake = status["intake"]
    assert intake["accepted"] == 2 and intake["duplicates"] == 1 and intake["presences"] == 1
    assert intake["answers"]["stored"] == 3 and intake["answers"]["bad_request"] == 1
    assert intake["filtered_by"] == {"integrations": 1} and intake["rejected_by"] == {"bad_request": 1}
    assert "subscriptions" in status["dispatch"]
