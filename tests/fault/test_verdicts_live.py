"""
Each verdict once, over each API, through a real courier: what `tail` says of it, and what Marketo gets afterwards.

The tables of codes are tests of units (tests/unit/core/test_verdict.c); here it is what becomes of a verdict. Pauses that end by
asking again slowly are ended as an administrator would, by SIGHUP. Those that take 20 s and more are waited for side by side.
"""
import re
import threading
import time

import pytest

from live import Live

COOKIE = "id:561-HYG-937&token:_mch-example.com-1374552656411-90718"
PAGE = "<html>no API</html>"
SYNC = {"rest": {"api": "rest", "op": "sync"}, "soap": {"api": "soap"}, "munchkin": {"api": "munchkin"}}


def rule(api, **more):
    return dict(SYNC[api], **more)


def start(live, api, name="ada"):
    """One event over the API: an identify or a visit."""
    if api == "munchkin":
        live.page("u-" + name, "/" + name)
    else:
        live.identify(name + "@example.com", firstName=name)


def arrived(live, api, name="ada"):
    if api == "munchkin":
        return [visit for visit in live.sandbox.store.visits if visit["page"].endswith("/" + name)]
    lead = live.sandbox.lead(name + "@example.com")
    return [fields for fields in lead["history"] if fields["firstName"] == name] if lead else []


def calls(live, api):
    return live.sandbox.calls("munchkin") if api == "munchkin" else live.syncs()


@pytest.mark.parametrize("api", ["rest", "soap", "munchkin"])
def test_delivered(api, out):
    with Live(out, "soap" if api == "soap" else "rest") as live:
        start(live, api)
        line = live.verdict(verdict="delivered")
        assert (line["api"], line["attempts"], line["type"]) == (api, 1, "visit" if api == "munchkin" else "lead")
        live.settled()
        assert len(calls(live, api)) == len(arrived(live, api)) == 1
    assert live.dead == []


# An attempt is spent; it is made again after a second or more.
RETRIED = [
    ("rest", {"code": 611}, "system", 611, 1), ("rest", {"code": 713}, "transient", 713, 1), ("rest", {"code": 9999}, "unknown_code", 9999, 1),
    ("rest", {"http": 500, "body": PAGE}, "http_500", 500, 1), ("rest", {"http": 200, "body": PAGE}, "not_rest", 0, 1),
    ("rest", {"record": {"code": 719, "error": "Lock wait timeout"}}, "lock_wait", 719, 1),
    ("rest", {"drop": "during"}, "broken", 0, 2), ("rest", {"hang_s": 4}, "timeout", 0, 2),
    ("soap", {"code": 20011}, "internal", 20011, 1), ("soap", {"code": 20106}, "sync_failed", 20106, 1),
    ("soap", {"http": 500, "body": PAGE}, "http_500", 500, 1), ("soap", {"record": {"error": "Lead Sync Failed (20106)"}}, "sync_failed", 20106, 1),
    ("soap", {"drop": "before"}, "broken", 0, 1), ("soap", {"drop": "during"}, "broken", 0, 2),
    ("munchkin", {"http": 503, "body": PAGE}, "http_5xx", 503, 1), ("munchkin", {"http": 301, "headers": {"Location": "/x"}}, "http_other", 301, 1), ("munchkin", {"drop": "before"}, "broken", 0, 1),
    ("munchkin", {"drop": "during"}, "broken", 0, 2), ("munchkin", {"hang_s": 4}, "timeout", 0, 2),
]


@pytest.mark.parametrize("api, answer, reason, code, times", RETRIED)
def test_retry(api, answer, reason, code, times, out):
    with Live(out, "soap" if api == "soap" else "rest") as live:
        live.sandbox.store.script([rule(api, **answer)])
        start(live, api)
        line = live.verdict(verdict="retry")
        assert (line["api"], line["reason"], line.get("code"), line["attempts"]) == (api, reason, code, 1)
        assert not live.status()["paused"], "a retry holds its own lane alone"
        start(live, api, "bob")
        assert live.verdict(verdict="delivered", attempts=1)
        assert live.verdict(verdict="delivered", attempts=2)
        live.settled()
        first, second = [call for call in calls(live, api) if "ada" in call["target"] + call["body"]]
        # what the sandbox saw begin: a call that hung for the courier's timeout began so much earlier
        assert 0.9 <= second["at"] - first["at"] < 6
        assert len(arrived(live, api)) == times, "twice only where the answer was lost"
        assert len(arrived(live, api, "bob")) == 1
    assert live.dead == []


@pytest.mark.parametrize("code", [600, 601, 602])
def test_refresh_of_the_token(code, out):
    with Live(out) as live:
        live.sandbox.store.script([rule("rest", code=code)])
        start(live, "rest")
        line = live.verdict(verdict="refresh")
        assert (line["reason"], line["code"]) == ("token", code)
        assert live.verdict(verdict="delivered")["attempts"] == 1, "no attempt is spent"
        live.settled()
        first, second = live.syncs()
        between = [call for call in live.sandbox.calls("identity") if first["at"] <= call["at"] <= second["at"]]
        assert len(between) == 1 and second["at"] - first["at"] < 0.9, "at once, with a new token"


def test_token_that_ended(out):
    with Live(out) as live:
        start(live, "rest")
        live.settled()
        for token in live.sandbox.store.tokens.values():
            token["expires"] = 0
        start(live, "rest", "bob")
        assert live.verdict(verdict="refresh")["code"] == 602
        live.settled()
        bearers = [call["headers"]["Authorization"] for call in live.syncs()]
        assert bearers[0] == bearers[1] != bearers[2] and arrived(live, "rest", "bob")


def test_refresh_of_the_signature(out):
    """A wrong clock: requests are signed by Marketo's from then on."""
    with Live(out, "soap", {"clock_offset_s": 3600.0}) as live:
        start(live, "soap")
        line = live.verdict(verdict="refresh")
        assert (line["reason"], line["code"]) == ("clock", 20016)
        assert live.verdict(verdict="delivered")["attempts"] == 1
        start(live, "soap", "bob")
        live.settled()
        assert len(live.syncs()) == 3, "the second lead is signed right at once"
        stamps = [re.search(r"<requestTimestamp>([^<]*)", call["body"]).group(1) for call in live.syncs()]
        assert stamps[0] < stamps[1] <= stamps[2]


# The API stops, no attempt is spent, the others go on.
PAUSED = [
    ("rest", {"code": 603}, "credentials", "access_denied"), ("rest", {"code": 610}, "gone", "gone"), ("rest", {"code": 608}, "down", "unavailable"),
    ("rest", {"http": 302, "headers": {"Location": "/elsewhere"}}, "gone", "redirect"), ("rest", {"http": 503, "body": PAGE}, "down", "http_5xx"),
    ("rest", {"http": 401, "body": PAGE}, "credentials", "credentials"),
    ("soap", {"code": 20013}, "credentials", "access_denied"), ("soap", {"code": 20014}, "credentials", "credentials"),
    ("soap", {"http": 404, "body": PAGE}, "gone", "gone"), ("soap", {"http": 502, "body": PAGE}, "down", "http_5xx"),
]


@pytest.mark.parametrize("api, answer, kind, reason", PAUSED)
def test_pause(api, answer, kind, reason, out):
    with Live(out, "soap" if api == "soap" else "rest") as live:
        live.sandbox.store.script([rule(api, **answer)])
        start(live, api)
        assert live.verdict(verdict="pause")["reason"] == reason
        wait = live.paused()
        assert list(wait) == [(api, kind)] and 28 < wait[api, kind] < 31
        start(live, api, "bob")
        start(live, "munchkin", "eve")
        live.verdict(verdict="delivered")
        time.sleep(0.5)
        assert len(calls(live, api)) == 1 and arrived(live, "munchkin", "eve"), "that API is left alone, and no other"
        live.hang_up()
        live.settled()
        assert not live.paused() and len(arrived(live, api)) == len(arrived(live, api, "bob")) == 1
        assert set(live.delivered(api, 1)) == {1}
    assert live.dead == []


def test_pause_by_the_token(out):
    with Live(out, settings={"client_secret": "another"}) as live:
        live.server.conf.secret("rest.secret", "wrong")
        live.server.prepare()
        start(live, "rest")
        line = live.verdict(verdict="pause")
        assert (line["type"], line["reason"], line["code"]) == ("token", "credentials", 401)
        assert list(live.paused()) == [("rest", "credentials")] and not live.syncs()
        live.server.conf.secret("rest.secret", "another")
        live.server.prepare()
        live.hang_up()
        live.settled()
        assert arrived(live, "rest")


def test_refused_connections(out):
    with Live(out) as live:
        live.sandbox.stop()
        start(live, "rest")
        start(live, "munchkin")
        assert live.verdict(verdict="pause", api="munchkin")["reason"] == "refused"
        assert live.verdict(verdict="pause", api="rest")["reason"] == "refused"
        live.sandbox.start()
        live.hang_up()
        live.settled()
        assert len(arrived(live, "rest")) == len(arrived(live, "munchkin")) == 1


@pytest.mark.parametrize("api, code", [("rest", 615), ("soap", 20024)])
def test_pause_of_concurrency_is_short(api, code, out):
    with Live(out, api) as live:
        live.sandbox.store.script([rule(api, code=code)])
        start(live, api)
        assert live.verdict(verdict="pause")["reason"] == "concurrency"
        assert live.verdict(verdict="delivered")["attempts"] == 1
        first, second = live.syncs()
        assert 0.9 <= second["at"] - first["at"] < 3


@pytest.mark.parametrize("api, code, name", [("rest", 1006, "pants"), ("soap", 20105, "Pants")])
def test_strip(api, code, name, out):
    with Live(out, api) as live:
        live.identify("ada@example.com", firstName="ada", pants="blue")
        line = live.verdict(verdict="strip")
        assert (line["reason"], line["code"]) == ("unknown_field", code)
        live.settled()
        assert [name in call["body"] for call in live.syncs()] == [True, False] and len(arrived(live, api)) == 1
        live.identify("bob@example.com", firstName="bob", pants="green")
        live.settled()
        assert name not in live.syncs()[-1]["body"] and len(live.syncs()) == 3, "it is left out before it is sent"
        assert live.status()["refused_fields"] == [name]
    assert live.dead == []


def test_strip_of_company_fields(out):
    with Live(out, settings={"company_locked": True}) as live:
        live.identify("ada@example.com", firstName="ada", company="Acme")
        live.settled()
        live.identify("ada@example.com", firstName="ada", title="Dr", company="Acme & Sons")
        assert live.verdict(verdict="strip")["code"] == 1021
        live.settled()
        fields = live.sandbox.lead("ada@example.com")["fields"]
        assert (fields["title"], fields["company"]) == ("Dr", "Acme")


@pytest.mark.parametrize("api, answer, reason", [
    ("rest", {"code": 609}, "invalid_json"), ("rest", {"http": 413, "body": ""}, "too_large"),
    ("soap", {"code": 20012}, "not_understood"), ("soap", {"http": 413, "body": ""}, "too_large")])
def test_split(api, answer, reason, out):
    """One bad record fails the call: it is found by halves, and its neighbours arrive once each."""
    names = ["p%d" % number for number in range(8)]
    with Live(out, api, batch_wait="1s") as live:
        live.sandbox.store.script([rule(api, match="p5@example.com", times=0, **answer)])
        for name in names:
            start(live, api, name)
        live.settled()
        sizes = [len(re.findall(r"p\d@example.com", call["body"])) for call in live.syncs()]
        assert sizes[0] == 8 and sorted(sizes, reverse=True) == [8, 4, 4, 2, 2, 1, 1]
        assert [name for name in names if len(arrived(live, api, name)) != 1] == ["p5"]
        assert live.verdicts(verdict="split")[0]["reason"] == reason
    assert [(row["reason"], row["message_id"], row["attempts"]) for row in live.dead] == [(reason, "m6", 1)]


DEAD = [
    ("rest", {"record": {"code": 1003, "error": "Value is invalid"}}, "invalid_data", "1003 Value is invalid"), ("rest", {"code": 612}, "content_type", "612 Invalid Content Type"),
    ("soap", {"record": {"error": "Bad parameter (20110)"}}, "bad_parameter", "20110 Bad parameter (20110)"), ("soap", {"code": 20019}, "unsupported", "20019 "),
    ("munchkin", {"http": 404, "body": PAGE}, "http_4xx", "HTTP 404"),
]


@pytest.mark.parametrize("api, answer, reason, said", DEAD)
def test_dead(api, answer, reason, said, out):
    with Live(out, "soap" if api == "soap" else "rest") as live:
        live.sandbox.store.script([rule(api, **answer)])
        start(live, api)
        assert live.verdict(verdict="dead")["reason"] == reason
        start(live, api, "bob")
        live.settled()
        time.sleep(1.5)
        assert len(calls(live, api)) == 2 and not arrived(live, api) and arrived(live, api, "bob"), "it is not tried again"
    row = live.dead[0]
    assert len(live.dead) == 1 and row["message_id"] == "m1" and row["attempts"] == 1 and row["reason"] == reason
    assert row["kind"] == ("visit" if api == "munchkin" else "lead") and row["answer"].startswith(said)


def test_dead_link(out):
    """The lead has arrived; that its cookie cannot be told is a dead letter of its own kind."""
    with Live(out) as live:
        live.sandbox.store.script([{"api": "rest", "op": "associate", "code": 1012}])
        live.identify("ada@example.com", COOKIE, firstName="ada")
        assert live.verdict(verdict="dead")["type"] == "associate"
        live.settled()
        assert len(arrived(live, "rest")) == 1 and not live.sandbox.store.cookies
    assert [(row["kind"], row["reason"]) for row in live.dead] == [("associate", "bad_cookie")]


# ---- what takes 20 s and more, side by side ----

def rate(live, api, code):
    live.sandbox.store.script([rule(api, **({"http": code} if code == 429 else {"code": code}))])
    start(live, api)
    assert live.verdict(verdict="pause")["reason"] == "rate"
    start(live, api, "bob")
    live.settled(40)
    first, second = calls(live, api)[:2]
    assert 19.9 <= second["at"] - first["at"] < 25 and set(live.delivered(api, 1)) == {1}


def lock(live, api):
    live.sandbox.store.settings["rest_lead_lock_s" if api == "rest" else "lead_lock_s"] = 30.0
    start(live, api)
    live.settled()
    live.identify("ada@example.com", firstName="ada", title="Dr")
    assert live.verdict(verdict="retry")["reason"] == "lock"
    start(live, api, "bob")
    live.verdict(verdict="delivered", attempts=1, text="created" if api == "rest" else "CREATED")
    live.settled(45)
    calls_of = [call["at"] for call in live.syncs() if "ada@" in call["body"]]
    assert len(calls_of) == 3 and calls_of[2] - calls_of[1] >= 29.9 and len(arrived(live, api)) == 2
    assert not live.paused(), "no outage, one lead waits"


def quota(live, api, code):
    live.sandbox.store.script([rule(api, code=code)])
    start(live, api)
    assert live.verdict(verdict="pause")["reason"] == "quota"
    start(live, api, "bob")
    start(live, "munchkin", "eve")
    live.hang_up()  # that does not make a day shorter
    time.sleep(22)
    assert len(live.syncs()) == 1 and arrived(live, "munchkin", "eve"), "leads wait, visits cost nothing"
    assert list(live.paused()) == [(api, "quota")]
    live.restart()
    live.settled(30)
    assert arrived(live, api) and arrived(live, api, "bob"), "a new courier asks anew"


def retry_after(live, api):
    live.sandbox.store.script([rule(api, http=500, body=PAGE, headers={"Retry-After": "7"})])
    start(live, api)
    live.settled()
    first, second = live.syncs()
    assert 6.9 <= second["at"] - first["at"] < 12


SLOW = [(rate, "rest", 606), (rate, "rest", 429), (rate, "soap", 20023), (rate, "munchkin", 429), (lock, "rest"), (lock, "soap"),
        (quota, "rest", 607), (quota, "soap", 20015), (retry_after, "rest")]


def run_slow(out, case, failures):
    run, api, *rest = case
    try:
        with Live(out, "soap" if api == "soap" else "rest") as live:
            run(live, api, *rest)
        assert live.dead == []
    except Exception as failure:  # pylint: disable=broad-except  # told by the test that waits
        failures.append("%s %s: %s: %s" % (run.__name__, case[1:], type(failure).__name__, failure))


def test_slow_ones(out):
    failures = []
    threads = [threading.Thread(target=run_slow, args=(out, case, failures)) for case in SLOW]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, "\n".join(failures)
