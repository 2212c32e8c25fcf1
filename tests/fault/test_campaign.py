"""
50 people × 40 events against a Marketo of many moods, over REST and over SOAP: every answer and mishap that is documented, at random.
Whatever happens, each lane keeps its order, nothing comes twice but after an answer that was lost, each lead ends as the input
says, and what Marketo refused for good is a dead letter with its reason.

MKTO_SEED repeats a run's input and answers; when each call happens is up to the machine. So that it does not matter how
slow that is, Marketo itself stands still a few times, until nobody waits for its answers any more.

Production's waits stay as they are. What that leaves here: retries (from 1 s on), one rate limit (20 s), one lead lock (30 s). Pauses
that only end by asking again slowly (credentials, service down: from 30 s on) end as they do for an administrator who has mended the
cause: by SIGHUP. Quota (until midnight), retry_for and long backoffs are tested with a movable clock in tests/unit/courier.
"""
import json
import os
import random
import signal
import threading
import time

import pytest

import servers
from answers import CARDS, TIMEOUT, Answers
from ledger import Ledger, dead_letters
from marketo_sandbox import Sandbox
from people import MARKS, Input
from store import DEFAULTS
from waiting import wait_until
from wire import TOOL, Client

PER_WINDOW, AT_ONCE = 90, 5
ROUND_PAUSE = 0.3  # seconds between two events of a person
AWAY = 0.7         # seconds that Marketo refuses connections, in the middle
STILL = 2.5        # seconds that Marketo stands still: everything that is under way then is answered too late
STILL_AT = (0.2, 0.35, 0.7, 0.85)  # of the rounds
PATIENCE = 600     # seconds; a quiet machine needs a tenth of them
ANNOUNCED = r"MKTO03(01|02|05|06|10) "


@pytest.fixture(name="seed")
def chosen_seed(capsys, record_property):
    seed = os.environ.get("MKTO_SEED") or str(random.SystemRandom().randrange(10**9))
    record_property("MKTO_SEED", seed)
    with capsys.disabled():
        print(" MKTO_SEED=%s " % seed, end="", flush=True)
    return seed


def stand_still(sandbox):
    """As on a machine with too much to do: calls come in and wait, and their clients lose patience."""
    with sandbox.store.lock:
        time.sleep(STILL)


class Operator(threading.Thread):
    """Reads `status`, and sends SIGHUP when an API has stopped and will not go on by itself within seconds."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.pauses, self.failure = server, [], None
        self.stopped = threading.Event()

    def run(self):
        try:
            with Client(self.server.conf.socket, role=TOOL, config=self.server.conf.path) as client:
                while not self.stopped.wait(0.1):
                    self.look(client.ask("status")[0])
        except Exception as failure:  # pylint: disable=broad-except  # it is raised where the test waits
            self.failure = failure

    def look(self, status):
        paused = [pause for sub in status["dispatch"]["subscriptions"] for pause in sub["paused"]]
        self.pauses += [(pause["api"], pause["kind"]) for pause in paused]
        if [pause for pause in paused if pause["kind"] in ("credentials", "gone", "down") and pause["until"] > (time.time() + 1) * 1000]:
            self.server.courier_process.send(signal.SIGHUP)

    def stop(self):
        self.stopped.set()
        self.join()
        if self.failure:
            raise self.failure


def send(server, events):
    """All events in order, over two connections as two workers would; a person stays with one of them. Yields which round it was."""
    with Client(server.conf.socket) as even, Client(server.conf.socket) as odd:
        for number, one in enumerate(events.rounds):
            sent = []
            for event in one:
                for _ in range(1 + (event in events.resent)):
                    client = (even, odd)[event.person.number % 2]
                    more = {"cookie": event.cookie} if event.cookie else {}
                    sent.append((client, event, client.send(event.call, body_of(event), host="www.example.com", **more)))
            for client, event, seq in sent:
                assert client.verdict(seq).answer == "stored", event
            yield number
            time.sleep(ROUND_PAUSE)


def body_of(event):
    return json.dumps(event.body, ensure_ascii=False).encode()


def run(server, sandbox, events):
    """From the first event until nothing waits any more."""
    operator = Operator(server)
    operator.start()
    try:
        stills = {int(len(events.rounds) * part): threading.Thread(target=stand_still, args=(sandbox,)) for part in STILL_AT}
        for number in send(server, events):
            if number == len(events.rounds) // 2:
                sandbox.stop()
                time.sleep(AWAY)
                sandbox.start()
            elif number in stills:
                stills[number].start()
        wait_until(lambda: operator.failure or server.status()["spool"]["waiting"] == 0, timeout=PATIENCE, every=0.2,
                   what="nothing waits")
    finally:
        operator.stop()
    return operator


@pytest.mark.parametrize("api", ["rest", "soap"])
def test_campaign(api, seed, directory, out):
    marks = DEFAULTS["custom_fields"] + MARKS
    sandbox = Sandbox(lead_lock_s=0, rate_calls=100, concurrency=AT_ONCE, custom_fields=marks).start()
    events = Input(seed, api)
    answers = sandbox.store.oracle = Answers(events, sandbox.store)
    server = servers.make("nginx", directory, out, sandbox)  # for its courier alone
    server.announce(ANNOUNCED)
    server.conf["marketo"].update(api=api, batch_size=8, calls_per_20s=PER_WINDOW, calls_at_once=AT_ONCE, calls_per_day=100000,
                                  visits_at_once=8, connect_timeout="1s", timeout="%ds" % TIMEOUT, retry_for="1h")
    server.courier = "external"
    try:
        server.prepare()
        server.start_courier()
        operator = run(server, sandbox, events)
        status = server.status()
        server.stop_courier()
        wait_until(sandbox.is_left, what="the courier's connections are closed")
        audit(events, answers, sandbox, operator, status, dead_letters(server.conf.spool))
        server.end()
    except Exception as failure:
        raise AssertionError("MKTO_SEED=%s api=%s: %s" % (seed, api, failure)) from failure
    finally:
        server.stop_courier()
        sandbox.stop()


def audit(events, answers, sandbox, operator, status, dead):
    ledger = Ledger(events, answers, sandbox)
    ledger.follow()
    ledger.check_leads()
    ledger.check_links()
    want = ledger.check_dead(dead)
    ledger.check_manners(PER_WINDOW, AT_ONCE)
    counters = status["dispatch"]["subscriptions"][0]["counters"]
    assert counters["delivered"] + counters["unchanged"] == len(events.events) - len(want)
    assert counters["dead"] == len(dead) == status["spool"]["dead"]
    assert status["intake"]["duplicates"] == len(events.resent)
    kinds = {kind for _, kind in operator.pauses}
    assert {"credentials", "gone", "down"} <= kinds, "pauses seen: %s" % sorted(kinds)
    left, cards = sum(map(len, answers.left().values())), sum(len(CARDS[kind]) for kind in answers.decks)
    assert left < cards / 4, "too many mishaps did not come to pass: %s" % answers.left()
