"""
`marketo status` and `tail`: of a courier that says what the test wants, and of a real one.
"""
import itertools
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time

import pytest

import wire
from command import MARKETO, NOW, Conf, Running, online, run
from marketo_sandbox import Sandbox
from waiting import wait_until

COOKIE = "id:561-HYG-937&token:_mch-marketo.com-1374552656411-90718"
RUBY = {"type": "identify", "userId": "019mr8mf4r",
        "traits": {"email": "Jake@segment.com", "firstName": "Jake", "lastName": "Peterson"},
        "context": {"Marketo": {"marketoCookie": COOKIE}}}


@pytest.fixture(name="conf")
def new_conf(tmp_path):
    return Conf(tmp_path)


@pytest.fixture(name="marketo")
def new_marketo():
    it = Sandbox(lead_lock_s=0)
    it.start()
    yield it
    it.stop()


# ---- status ----

class Courier:
    """Answers one connection: HELLO, then ASK, as told."""

    def __init__(self, path, told=(), refuse=None):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        self.socket.listen(1)
        self.told, self.refuse, self.asked, self.hello = told, refuse, None, None
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        sock, _ = self.socket.accept()
        with sock:
            stream = wire.Stream(sock)
            _, hello = stream.read()
            self.hello = hello.take("HBQQ") + (hello.text().decode(),)
            if self.refuse:
                stream.write(wire.REFUSED, struct.pack("<B", 3) + wire.text(self.refuse))
                return
            stream.write(wire.WELCOME_FRAME, struct.pack("<HQQI", 1, 1, 7, 4711))
            try:
                _, ask = stream.read()
            except wire.Broken:
                return
            self.asked = ask.text().decode()
            for i, text in enumerate(self.told):
                data = text.encode()
                try:
                    stream.write(wire.TELL, struct.pack("<BI", i == len(self.told) - 1, len(data)) + data)
                except ConnectionError:  # enough was heard
                    return

    def end(self):
        self.thread.join(10)
        self.socket.close()


@pytest.fixture(name="short")
def new_short():
    with tempfile.TemporaryDirectory(prefix="mkto-") as path:
        yield path


STATUS = {"waiting": 12, "oldest_ms": 11105000, "started_at_ms": NOW, "spool_bytes": 1610612736, "held": False, "up_s": 90, "size_bytes": 0,
          "marketo": [{"name": "", "api": "rest", "paused": None, "recent": [1, 2], "last": "a\u001b[2Jb"}], "dead": {}}


def test_status(short):
    conf = Conf(short)
    courier = Courier(os.path.join(short, "c.sock"), [json.dumps(STATUS)])
    out, _ = run("status", "--config", conf.path, "--socket", os.path.join(short, "c.sock"))
    courier.end()
    assert courier.asked == "status"
    assert courier.hello[1] == wire.TOOL and courier.hello[3:] == (0, os.path.realpath(conf.path))
    assert re.search(r"^waiting +12$", out, re.M) and re.search(r"^oldest +3 h 5 min$", out, re.M)
    assert re.search(r"^started_at +2026-01-02 03:04:05 UTC$", out, re.M)
    assert re.search(r"^spool +1.5 GB$", out, re.M) and re.search(r"^held +no$", out, re.M)
    assert re.search(r"^up +1 min 30 s$", out, re.M) and re.search(r"^size +0 bytes$", out, re.M)
    assert re.search(r"^    api +rest$", out, re.M) and re.search(r"^    recent +1, 2$", out, re.M)
    assert re.search(r"^    last +a\?\[2Jb$", out, re.M) and re.search(r"^dead +none$", out, re.M)


def test_status_json_is_what_the_courier_said(short):
    conf = Conf(short)
    courier = Courier(os.path.join(short, "c.sock"), [json.dumps(STATUS)])
    out, _ = run("status", "--config", conf.path, "--socket", os.path.join(short, "c.sock"), "--json")
    courier.end()
    assert out == json.dumps(STATUS) + "\n"


FULL = {
    "version": "9.9", "pid": 7, "uptime_s": 3700, "held": True, "config": "/c",
    "spool": {"path": "/s", "waiting": 5, "dead": 2, "bytes": 1024, "max_bytes": 2048, "room": False, "why": "over max_size"},
    "intake": {"accepted": 9, "accepted_last_minute": 1, "rejected": 3, "rejected_by": {"bad_request": 3, "other": 0},
               "failed_commits": 4},
    "dispatch": {"record_failing": True, "bad_rows": 1, "subscriptions": [
        {"name": "brand-b", "api": "soap", "queue": {"lead": {"events": 5, "oldest_ms": 65000}}, "counters": {"calls": 0},
         "delivered_last_minute": 0, "dead_by_reason": {"quota": 2}, "filtered_by_reason": {},
         "budget": {"window_used": 1, "window_left": 49, "day_used": 10, "day_left": 90, "day_reset": NOW, "running": 1,
                    "at_once": 5},
         "paused": [{"api": "soap", "kind": "gone", "reason": "gone", "code": 0, "why": "HTTP 404\u001b", "since": NOW,
                     "until": NOW, "hint": "use api = rest"}],
         "errors": {"20014": {"count": 3, "last": NOW}}, "refused_fields": ["Pants", "Hat"]}]}}


def test_status_on_one_screen(short):
    conf = Conf(short)
    path = os.path.join(short, "c.sock")
    courier = Courier(path, [json.dumps(FULL)])
    out, _ = run("status", "--config", conf.path, "--socket", path)
    courier.end()
    assert out == """courier    9.9, pid 7, up 1 h 1 min, held: it delivers nothing
config     /c
spool      /s: 5 waiting, 2 dead letters, 1.0 KB of 2.0 KB
           takes no new events: over max_size
intake     9 accepted, 1 of them in the last minute; 0 duplicates, 0 filtered, 3 rejected; 0 servers
  rejected bad_request 3
           4 commits failed
dispatch   waits: what was delivered cannot be recorded in the spool
dispatch   1 damaged events were set aside

[marketo brand-b] soap
  PAUSED   soap: gone, gone, HTTP 404?; asks again 2026-01-02 03:04:05 UTC
           use api = rest
  waiting  lead 5 (oldest 1 min 5 s)
           0 delivered in the last minute
  calls    1 of 50 in 20 s, 10 of 100 today (until 2026-01-02 03:04:05 UTC), 1 of 5 under way
  error    20014 3 times, last 2026-01-02 03:04:05 UTC
  dead     quota 2
  refused  Pants, Hat: Marketo does not take these fields
"""


LINE = {"time": NOW + 5, "subscription": "", "type": "lead", "lead": "1a2b3c4d", "event": 7, "events": 2, "attempts": 3,
        "api": "rest", "verdict": "retry", "reason": "lock", "code": 719, "text": "Lock wait\u0007", "ms": 35}


def test_tail(short):
    conf = Conf(short)
    path = os.path.join(short, "c.sock")
    courier = Courier(path, [json.dumps(LINE), '{"other":1}', json.dumps(dict(LINE, events=1, attempts=1, code=0))])
    out, _ = run("tail", "--config", conf.path, "--socket", path)
    courier.end()
    assert courier.asked == "tail"
    assert out == ("2026-01-02T03:04:05.005Z lead 1a2b3c4d rest retry lock 719 Lock wait? (2 events, attempt 3, 35 ms)\n"
                   '{"other":1}\n'
                   "2026-01-02T03:04:05.005Z lead 1a2b3c4d rest retry lock Lock wait? (35 ms)\n")


EVENT = {"time": NOW, "subscription": "brand-b", "source": "site", "call": "identify", "type": "event", "lead": "1a2b3c4d",
         "event": 7, "verdict": "accepted", "reason": None, "text": None}


def test_tail_of_events(short):
    conf = Conf(short)
    path = os.path.join(short, "c.sock")
    told = [EVENT, dict(EVENT, lead=None, verdict="rejected", reason="bad_request", text="event: must be\u001b a string"),
            dict(LINE, source="browser", call="track"), {"type": "lost", "lines": 12}]
    courier = Courier(path, [json.dumps(line) for line in told])
    out, _ = run("tail", "--config", conf.path, "--socket", path)
    courier.end()
    assert out == ("2026-01-02T03:04:05.000Z brand-b site identify event 1a2b3c4d accepted\n"
                   "2026-01-02T03:04:05.000Z brand-b site identify event rejected bad_request event: must be? a string\n"
                   "2026-01-02T03:04:05.005Z browser track lead 1a2b3c4d rest retry lock 719 Lock wait? (2 events, attempt 3, 35 ms)\n"
                   "12 lines were lost: they came faster than they were read\n")


def test_tail_count(short):
    conf = Conf(short)
    path = os.path.join(short, "c.sock")
    courier = Courier(path, [json.dumps(LINE)] * 3)
    out, _ = run("tail", "--config", conf.path, "--socket", path, "--count", 2, "--json")
    courier.end()
    assert out == (json.dumps(LINE) + "\n") * 2
    assert "--count is a whole number" in run("tail", "--config", conf.path, "--count", 0, code=3)[1]
    assert "no courier answers at" in run("tail", "--config", conf.path, code=3)[1]


def test_status_refused(short):
    conf = Conf(short)
    courier = Courier(os.path.join(short, "c.sock"), refuse="serves /etc/other.conf")
    err = run("status", "--config", conf.path, "--socket", os.path.join(short, "c.sock"), code=3)[1]
    courier.end()
    assert "the courier refuses: serves /etc/other.conf" in err


def test_status_of_a_courier_that_goes(short):
    conf = Conf(short)
    courier = Courier(os.path.join(short, "c.sock"))
    err = run("status", "--config", conf.path, "--socket", os.path.join(short, "c.sock"), code=3)[1]
    courier.end()
    assert "the courier has closed the connection" in err


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_socket_of_another_group_is_named(short):
    conf = Conf(short, "[courier]", "socket = %s/c.sock" % short)
    courier = Courier(os.path.join(short, "c.sock"))
    os.chmod(short, 0o755)
    os.chmod(conf.path, 0o644)
    for secret in ("rest.secret", "soap.key", "munchkin.key"):
        shutil.chown(conf.file(secret), "nobody")
    shutil.chown(os.path.join(short, "c.sock"), "root", "daemon")
    os.chmod(os.path.join(short, "c.sock"), 0o660)
    for command in ("check", "status"):
        done = subprocess.run([MARKETO, command, "--config", conf.path], capture_output=True, text=True, user="nobody", extra_groups=[],
                              timeout=30, check=False)
        assert "c.sock: this user may not connect; it is root:daemon's, mode 0660" in done.stdout + done.stderr
    courier.end()


def test_status_without_courier_or_spool(conf):
    err = run("status", "--config", conf.path, code=3)[1]
    assert "no courier answers at %s/courier.sock, and the spool cannot be read" % conf.spool in err
    assert not os.path.exists(conf.spool)


def test_check_asks_the_courier(short):
    conf = Conf(short, "[courier]", "socket = %s/c.sock" % short)
    courier = Courier(os.path.join(short, "c.sock"))
    out, _ = run("check", "--config", conf.path, code=1)
    courier.end()
    assert "the courier (pid 4711) runs on an older reading of the config; reload it" in out


# ---- a real courier ----

def test_courier_and_its_tools(marketo, short):
    conf = online(marketo, short, "batch_wait = 0")
    courier = Running(conf)
    tail = subprocess.Popen([MARKETO, "tail", "--config", conf.path, "--count", "8"], stdout=subprocess.PIPE)
    try:
        with wire.Client(courier.path) as client:
            for number in itertools.count():  # a tail shows what comes after it: until it has seen enough
                event = dict(RUBY, user_id=None, userId="u%d" % number, context={}, traits={"email": "u%d@example.com" % number})
                assert client.verdict(client.send("identify", json.dumps(event))).answer == "stored"
                if tail.poll() is not None:
                    break
                assert number < 2000
                time.sleep(0.01)
        lines = tail.communicate(timeout=20)[0].decode().splitlines()
        assert len(lines) == 8
        for line in lines:
            assert re.fullmatch(r"\S+Z server identify (event [0-9a-f]{8} accepted|"
                                r"(lead|associate) [0-9a-f]{8} rest delivered .*\(\d+ ms\))", line), lines
        assert {"event", "lead"} <= {line.split()[3] for line in lines}
        wait_until(lambda: json.loads(run("status", "--config", conf.path, "--json")[0])["spool"]["waiting"] == 0)
        text, _ = run("status", "--config", conf.path)
        assert re.search(r"^spool +%s: 0 waiting, 0 dead letters, \S+ KB of 2.0 GB$" % re.escape(conf.spool), text, re.M)
        assert re.search(r"^\[marketo\] rest\n  waiting  lead 0, visit 0, associate 0\n  so far   delivered \d+, ", text, re.M)
        text, _ = run("check", "--config", conf.path)
        assert "the courier answers (pid %d)" % courier.process.pid in text
    finally:
        tail.kill()
        tail.wait()
        tail.stdout.close()
        code = courier.stop()
    assert code == 0
    text, _ = run("status", "--config", conf.path, code=1)
    assert text.startswith("No courier answers at ") and re.search(r"^waiting +0$", text, re.M)
    away = json.loads(run("status", "--config", conf.path, "--json", code=1)[0])
    assert away["running"] is False and away["spool"]["waiting"] == 0 and away["spool"]["dead"] == 0


def test_second_courier_ends_at_once(short):
    conf = Conf(short)
    conf.make_spool()
    courier = Running(conf)
    try:
        run("courier", "--config", conf.path)
    finally:
        assert courier.stop() == 0


def test_courier_with_bad_config(conf):
    conf.write("[marketo]\nbatchsize = 1\n")
    assert conf.path + ":1: munchkin_id: missing" in run("courier", "--config", conf.path, code=3)[1]
    assert not os.path.exists(conf.spool)
