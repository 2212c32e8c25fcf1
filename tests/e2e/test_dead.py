"""
`marketo dead` and `marketo forget`, over the socket of a real courier and without one, with a sandbox that refuses as told.
"""
import json
import os
import re
import subprocess
import time

import pytest

import wire
from command import MARKETO, Running, online, run
from marketo_sandbox import Sandbox
from waiting import wait_until

COOKIE = "id:561-HYG-937&token:_mch-www.example.com-1374552656411-%05d"
REFUSED = [{"api": "rest", "op": "sync", "match": "ada@", "times": 0, "record": {"code": "1003", "error": "Bad ada@example.com"}},
           {"api": "rest", "op": "sync", "match": "bob@", "times": 0, "record": {"code": "1007"}}]


@pytest.fixture(name="marketo")
def new_marketo():
    it = Sandbox(lead_lock_s=0)
    it.start()
    yield it
    it.stop()


class Host:
    """A courier and the commands that ask it; each letter is of a call of its own."""

    def __init__(self, marketo, directory, *more):
        self.marketo = marketo
        self.conf = online(marketo, directory, "batch_wait = 0", "batch_size = 1", "lead_interval = 0", *more)
        self.courier = None
        self.seq = 0

    def start(self, *args):
        self.courier = Running(self.conf, *args)

    def stop(self):
        if self.courier is not None:
            assert self.courier.stop() == 0
            self.courier = None

    def send(self, call, event, **fields):
        self.seq += 1
        with wire.Client(self.courier.path) as client:
            seq = client.send(call, event if isinstance(event, str) else json.dumps(event), request_id="r%d" % self.seq, **fields)
            assert client.verdict(seq).answer == "stored"

    def identify(self, email, number=0, **traits):
        cookie = {"cookie": COOKIE % number} if number else {}
        self.send("identify", {"userId": email.split("@")[0], "traits": dict(traits, email=email)}, **cookie)

    def marketo_does(self, *args, code=0, given=""):
        return run(args[0], "--config", self.conf.path, *args[1:], code=code, given=given)[0]

    def json(self, *args, code=0):
        return [json.loads(line) for line in self.marketo_does(*args, "--json", code=code).splitlines()]

    def spool(self):
        return self.json("status", code=0 if self.courier else 1)[0]["spool"]

    def settle(self, waiting=0, dead=0):
        """A courier that starts takes its 20 s of calls for used up."""
        wait_until(lambda: (self.spool()["waiting"], self.spool()["dead"]) == (waiting, dead), timeout=60, what="the queue is empty")

    def bytes_of(self, *texts):
        """Names of the files in the spool's directory that hold one of the texts, in any case."""
        found = []
        for name in sorted(os.listdir(self.conf.spool)):
            path = os.path.join(self.conf.spool, name)
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    data = file.read().lower()
                if any(text.lower().encode() in data for text in texts):
                    found.append(name)
        return found

    def owners(self):
        return {os.stat(os.path.join(self.conf.spool, name)).st_uid for name in os.listdir(self.conf.spool)}


@pytest.fixture(name="host")
def new_host(marketo, directory):
    it = Host(marketo, directory)
    it.start()
    yield it
    if it.courier is not None:
        it.courier.stop()


@pytest.fixture(name="letters")
def new_letters(host, marketo):
    """Three dead letters: two of Ada, one of Bob."""
    marketo.store.script(REFUSED)
    host.identify("ada@example.com", plan="pro", note='a "quoted" word\n')
    host.identify("bob@example.com")
    host.send("identify", '{ "userId":"7",\n  "traits":{"email":"ada\\u0040example.com"} }')
    host.settle(dead=3)
    return host


# ---- looking ----

def test_list(letters):
    lines = letters.marketo_does("dead", "list").splitlines()
    assert len(lines) == 4
    assert re.fullmatch(r" +1  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC  lead  invalid_data  1 attempts  [0-9a-f]{8}  "
                        r"1003 Bad \*{15}", lines[0])
    assert lines[3] == "3 dead letters: invalid_data 2, multiple_matches 1"
    one, two, three = letters.json("dead", "list")
    assert (one["id"], two["id"], three["id"]) == (1, 2, 3)
    assert one["lead"] == three["lead"] != two["lead"]
    assert (two["kind"], two["reason"], two["type"], two["answer"]) == ("lead", "multiple_matches", "identify", "1007 scripted")
    assert two["source"] == "server"
    assert abs(two["dead"] / 1000 - time.time()) < 60 and two["received"] <= two["first"] <= two["dead"]


def test_filters(letters):
    def ids(*args):
        return [letter["id"] for letter in letters.json("dead", "list", *args)]
    assert ids("--reason", "invalid_data") == [1, 3]
    assert ids("--reason", "invalid") == []
    assert ids("--lead", "ADA@example.com") == [1, 3]
    assert ids("--lead", "da@example.com") == []
    assert ids("--newer-than", "1h") == [1, 2, 3]
    assert ids("--older-than", "1h") == []
    assert ids("--older-than", "0", "--reason", "multiple_matches") == [2]
    assert ids("--subscription", "brand-b") == []
    assert letters.marketo_does("dead", "list", "--lead", "-", given="bob@example.com\n").endswith("1 dead letter: "
                                                                                                "multiple_matches 1\n")
    assert letters.marketo_does("dead", "list", "--reason", "x") == "0 dead letters\n"


def test_show(letters):
    text = letters.marketo_does("dead", "show", "1")
    assert re.search(r"^reason +invalid_data$", text, re.M) and re.search(r"^attempts +1$", text, re.M)
    assert re.search(r"^answer +1003 Bad \*{15}$", text, re.M)
    assert re.search(r"^dead +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$", text, re.M)
    assert '"plan": "pro"' in text and "ada@example.com" in text
    raw = '{ "userId":"7",\n  "traits":{"email":"ada\\u0040example.com"} }'
    out = letters.marketo_does("dead", "show", "3", "--json")
    assert raw in out, "the event stands there as it came"
    letter = json.loads(out)
    assert letter["event"]["traits"]["email"] == "ada@example.com"
    assert letter["damaged"] is False and letter["request"]["browser"] is False
    err = run("dead", "--config", letters.conf.path, "show", "9", code=1)[1]
    assert "there is no dead letter 9" in err


def test_headers_of_any_bytes(host, marketo):
    marketo.store.script([{"api": "munchkin", "times": 0, "http": 404}])
    host.send("track", {"userId": "u", "event": "E"}, user_agent=b"odd \xff\xfe agent", cookie=COOKIE % 1)
    try:
        host.settle(dead=1)
    except AssertionError:
        pytest.skip("a visit that is refused is no dead letter")
    assert host.json("dead", "show", "1")[0]["request"]["user_agent"] == "odd ?? agent"


CLICK = {"userId": "u", "event": "Clicked Link", "integrations": {"Marketo": {"clickLink": "mailto:ada@example.com"}},
         "context": {"page": {"url": "https://www.example.com/team"}}}


def test_click(host, marketo):
    """A click is a visit to the queue, to dead letters and to those who are to be forgotten."""
    marketo.store.script([{"api": "munchkin", "op": "click", "times": 0, "http": 404}])
    host.send("track", CLICK, cookie=COOKIE % 1)
    host.settle(dead=1)
    letter, = host.json("dead", "show", "1")
    assert letter["kind"] == "visit" and letter["event"]["integrations"] == CLICK["integrations"]
    marketo.store.clear_script()
    assert host.json("dead", "replay", "--apply")[0]["count"] == 1
    host.settle()
    assert [(visit["page"], visit["link"]) for visit in marketo.store.visits] == [
        ("https://www.example.com/team", "mailto:ada@example.com")]
    marketo.store.script([{"api": "munchkin", "times": 0, "http": 503}])
    host.send("track", CLICK, cookie=COOKIE % 1)
    assert host.json("forget", "ada@example.com", "--apply")[0]["events"] == 1
    assert host.bytes_of("mailto:ada") == []
    assert marketo.store.violations == []


def test_status_names_reasons(letters):
    status = letters.json("status")[0]
    assert status["spool"]["dead_by_reason"] == {"invalid_data": 2, "multiple_matches": 1}
    assert status["dispatch"]["subscriptions"][0]["dead_by_reason"] == {"invalid_data": 2, "multiple_matches": 1}
    letters.stop()
    letters.start()
    again = letters.json("status")[0]
    assert again["dispatch"]["subscriptions"][0]["dead_by_reason"] == {"invalid_data": 2, "multiple_matches": 1}, "a restart"
    assert "  dead     invalid_data 2, multiple_matches 1\n" in letters.marketo_does("status")
    letters.stop()
    assert letters.spool()["dead_by_reason"] == {"invalid_data": 2, "multiple_matches": 1}


# ---- replay and purge ----

def replay_when_mended(letters, marketo):
    plan = letters.marketo_does("dead", "replay", "--reason", "invalid_data")
    assert plan == "2 dead letters would be replayed: invalid_data 2\nNothing was changed; --apply does it.\n"
    assert letters.spool()["dead"] == 3
    marketo.store.clear_script()
    done = letters.json("dead", "replay", "--reason", "invalid_data", "--apply")[0]
    assert done == {"do": "replay", "applied": True, "count": 2, "reasons": {"invalid_data": 2}, "damaged": 0, "missing": []}


def arrived(marketo):
    with marketo.store.lock:
        return {lead["fields"]["email"]: lead["fields"] for lead in marketo.store.leads.values()}


def test_replay(letters, marketo):
    replay_when_mended(letters, marketo)
    letters.settle(dead=1)
    assert arrived(marketo)["ada@example.com"]["plan"] == "pro"
    assert "bob@example.com" not in arrived(marketo)
    assert letters.marketo_does("dead", "replay", "2", "--apply") == "1 dead letter was replayed: multiple_matches 1\n"
    letters.settle(dead=0)
    assert "bob@example.com" in arrived(marketo)


def test_replay_without_a_courier(letters, marketo):
    letters.stop()
    replay_when_mended(letters, marketo)
    assert "No courier runs: they wait until one does." in letters.marketo_does("dead", "replay", "--apply")
    assert (letters.spool()["waiting"], letters.spool()["dead"]) == (3, 0)
    if os.geteuid() == 0:
        assert letters.owners() == {65534}, "root has left files of its own"
    letters.start()
    letters.settle()
    assert set(arrived(marketo)) == {"ada@example.com", "bob@example.com"}


def test_replay_maps_by_todays_config(letters, marketo):
    marketo.store.clear_script()
    with open(letters.conf.path, "a", encoding="utf-8") as conf:
        conf.write("[fields]\nplan = someTrait\n")
    os.kill(letters.courier.process.pid, 1)
    wait_until(lambda: "was read again" in letters.courier.process.stderr.readline().decode())
    letters.marketo_does("dead", "replay", "1", "--apply")
    letters.settle(dead=2)
    assert arrived(marketo)["ada@example.com"]["someTrait"] == "pro"


def test_what_dies_again_is_not_replayed_again(letters):
    assert letters.json("dead", "replay", "--apply")[0]["count"] == 3
    letters.settle(dead=3)
    assert [letter["id"] for letter in letters.json("dead", "list")] == [4, 5, 6]


@pytest.mark.parametrize("running", [True, False])
def test_purge(letters, running):
    if not running:
        letters.stop()
    assert letters.marketo_does("dead", "purge", "--lead", "ada@example.com") == (
        "2 dead letters would be removed for good: invalid_data 2\nNothing was changed; --apply does it.\n")
    assert letters.marketo_does("dead", "purge", "--lead", "ada@example.com", "--apply") == (
        "2 dead letters were removed for good: invalid_data 2\n")
    assert [letter["id"] for letter in letters.json("dead", "list")] == [2]
    out = letters.marketo_does("dead", "purge", "2", "1", "--apply", code=1)
    assert out == "1 dead letter was removed for good: multiple_matches 1\nthere is no dead letter 1\n"
    assert letters.spool()["dead"] == 0


def test_many(host, marketo):
    """More than goes into one part, while the courier takes and delivers others."""
    marketo.store.script([{"api": "rest", "op": "sync", "match": "dead", "times": 0, "record": {"code": "1003"}}])
    marketo.store.settings.update(rate_calls=1000000)
    host.stop()
    with open(host.conf.path, encoding="utf-8") as text:
        host.conf.write(text.read().replace("batch_size = 1\n", "batch_size = 300\n"))
    host.start()
    with wire.Client(host.courier.path) as client:
        seqs = [client.send("identify", json.dumps({"traits": {"email": "dead%d@example.com" % i}}), request_id="d%d" % i)
                for i in range(700)]
        assert {client.verdict(seq).answer for seq in seqs} == {"stored"}
    host.settle(dead=700)
    assert len(host.json("dead", "list")) == 700
    assert host.json("dead", "replay")[0]["count"] == 700
    marketo.store.clear_script()
    assert host.json("dead", "replay", "--apply")[0]["reasons"] == {"invalid_data": 700}
    host.settle()
    assert len(arrived(marketo)) == 700


# ---- forget ----

def fill(host, marketo):
    """Ada in every place where she can be, and others beside her."""
    marketo.store.script(REFUSED)
    host.identify("ada@example.com", 1, plan="pro")
    host.identify("bob@example.com")
    host.settle(dead=2)
    marketo.store.clear_script()
    host.identify("ADA@example.com", 1, plan="basic")  # delivered: sent, known
    host.settle(dead=2)
    marketo.store.script([{"api": "rest", "op": "sync", "times": 0, "record": {"code": "719", "error": "ada@example.com"}}])
    host.identify("ada@example.com", 1, plan="pro")
    host.identify("bada@example.com")
    wait_until(lambda: host.json("status")[0]["dispatch"]["subscriptions"][0]["counters"]["retried"] >= 2, what="two retries")
    marketo.store.script([{"api": "munchkin", "times": 0, "http": 503}])
    host.send("page", {"anonymousId": "x", "properties": {"url": "https://www.example.com/?email=ada%40example.com"}},
              cookie=COOKIE % 1)
    host.send("page", {"anonymousId": "x", "properties": {"url": "https://www.example.com/nobody"}}, cookie=COOKIE % 1)
    host.send("track", '{"event":"E","userId":"ada\\u0040example.com"}', cookie=COOKIE % 2)
    host.send("track", {"event": "E", "userId": "1", "properties": {"email": "Ada@Example.com"}}, cookie=COOKIE % 3)


ADA = ("\"ada@example.com", "=ada@example.com", "ada%40example.com", "ada\\u0040example.com")


@pytest.mark.parametrize("running", [True, False])
def test_forget(host, marketo, running):
    fill(host, marketo)
    if not running:
        host.stop()
    before = host.spool()
    assert before == dict(before, waiting=6, dead=2)
    assert host.bytes_of(*ADA)
    plan = host.marketo_does("forget", "Ada@example.com")
    assert plan.startswith("Would be removed:\n  4 waiting events, ") and "  1 dead letter\n" in plan
    assert plan.endswith("Nothing was changed; --apply does it.\n")
    assert host.spool() == before
    done = host.json("forget", "Ada@example.com", "--apply")[0]
    assert done == dict(done, applied=True, events=4, dead=1, sent=1, passed=0, left=[])
    assert done["known"] >= 1 and done["tried"] >= 1
    assert host.bytes_of(*ADA) == []
    assert host.bytes_of("bada@example.com") and host.bytes_of("bob@example.com")
    after = host.spool()
    assert (after["waiting"], after["dead"]) == (2, 1)
    again = host.marketo_does("forget", "ada@example.com", "--apply")
    assert again == ("Removed:\n  0 waiting events\n  0 dead letters\n  0 associations with cookies and lead ids\n"
                     "  0 notes of the last delivery\nNo file in %s names the address.\n"
                     "Marketo itself is not asked to forget anybody.\n" % host.conf.spool)
    if running:
        queue = host.json("status")[0]["dispatch"]["subscriptions"][0]["queue"]
        assert (queue["lead"]["events"], queue["visit"]["events"]) == (1, 1)
    if os.geteuid() == 0:
        assert host.owners() == {65534}, "root has left files of its own"
    if running:
        return
    calls = len(marketo.store.calls)
    marketo.store.clear_script()
    host.start()
    host.settle(dead=1)
    later = marketo.store.calls[calls:]
    assert not [call for call in later if "ada@example.com" in (call["body"] + call["target"]).replace("bada@", "")]
    assert host.bytes_of(*ADA) == []


def test_forget_waits_for_a_call(host, marketo):
    marketo.store.script([{"api": "rest", "op": "sync", "hang_s": 1.5}])
    host.identify("ada@example.com")
    wait_until(lambda: [call for call in marketo.store.calls if call["op"] == "sync"], what="a call under way")
    done = host.json("forget", "ada@example.com", "--apply")[0]
    assert (done["passed"], done["left"]) == (0, [])
    assert host.spool()["waiting"] == 0
    assert host.bytes_of("ada@example.com") == []


def test_forget_leaves_out_what_does_not_end(host, marketo):
    marketo.store.script([{"api": "rest", "op": "sync", "hang_s": 4}])
    host.identify("ada@example.com")
    wait_until(lambda: [call for call in marketo.store.calls if call["op"] == "sync"], what="a call under way")
    out = host.marketo_does("forget", "ada@example.com", "--apply", "--wait", "200ms", code=1)
    assert "  1 event is in calls to Marketo that do not end: left out; ask again later\n" in out
    assert re.search(r"^  %s/spool\.db\S* still names the address$" % re.escape(host.conf.spool), out, re.M)
    host.settle()
    assert host.json("forget", "ada@example.com", "--apply")[0]["left"] == []
    assert host.bytes_of("ada@example.com") == []


def test_forget_names_files_that_were_set_aside(host):
    bad = os.path.join(host.conf.spool, "spool.db.bad-1700000000")
    with open(bad, "w", encoding="utf-8") as file:
        file.write("x" * (1 << 20) + " ada@example.com")
    out = host.marketo_does("forget", "ada@example.com", "--apply", code=1)
    assert "  %s still names the address\n" % bad in out and "yours to delete" in out
    os.unlink(bad)
    host.marketo_does("forget", "-", "--apply", given="ada@example.com\n")


# ---- mistakes ----

@pytest.mark.parametrize("args, words", [
    (["dead"], "list, show, replay or purge?"),
    (["dead", "look"], "there is no look"),
    (["dead", "list", "1"], "list takes no ID"),
    (["dead", "list", "--apply"], "list changes nothing"),
    (["dead", "show"], "show takes one ID"),
    (["dead", "show", "1", "2"], "show takes one ID"),
    (["dead", "show", "1", "--reason", "x"], "show takes no filter"),
    (["dead", "purge", "0"], "0 is no ID"),
    (["dead", "purge", "1", "--reason", "x"], "IDs or filters, not both"),
    (["dead", "purge", "--older-than", "7 days"], "--older-than: "),
    (["dead", "purge", "--lead", "-", "--apply"], "--lead: this is no e-mail"),
    (["dead", "purge", "--lead", "ada"], "--lead: this is no e-mail"),
    (["forget"], "which e-mail?"),
    (["forget", "-"], "this is no e-mail"),
    (["forget", "ada"], "this is no e-mail"),
    (["forget", "a@b", "c@d"], "c@d is too much"),
    (["forget", "a@b", "--wait", "2h"], "--wait: "),
])
def test_bad_usage(host, args, words):
    assert words in run(args[0], "--config", host.conf.path, *args[1:], code=3)[1]


def test_without_a_spool(marketo, tmp_path):
    conf = online(marketo, tmp_path)
    for args in (["dead", "list"], ["dead", "purge", "--apply"], ["forget", "a@b", "--apply"]):
        err = run(args[0], "--config", conf.path, *args[1:], code=3)[1]
        assert "no courier answers at %s/courier.sock, and the spool cannot be opened" % conf.spool in err
    assert os.listdir(conf.spool) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_others_may_not_ask(host):
    os.chmod(host.conf.spool, 0o755)
    os.chmod(host.courier.path, 0o666)
    for args in (["dead", "list"], ["forget", "a@b"]):
        done = subprocess.run([MARKETO, args[0], "--config", host.conf.path, *args[1:]], capture_output=True, user=1, group=1,
                              check=False)
        assert done.returncode == 3, done
