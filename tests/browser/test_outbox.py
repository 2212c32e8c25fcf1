"""What marketo.js does so that no event is lost: retries, offline, closed pages, several tabs. The server is the stand-in."""
import json
import time

import pytest

from site_pages import plain
from waiting import wait_until

SILENT = plain('data-page="off"')
LIMIT = 500  # calls in a list
HOUR = 3600000  # ms
CUT = "warning: marketo.js: too many calls: the oldest are lost"
LISTS = "Object.keys(localStorage).filter(key => key.startsWith('mkto_outbox.'))"
WAITING = "[].concat(...%s.map(key => JSON.parse(localStorage[key]).q))" % LISTS


@pytest.fixture
def page(stand, context):
    return context.page(stand.page("/shop", head=SILENT))


def event(name, number=0, **more):
    return dict({"type": "track", "event": name, "messageId": "%s-%d" % (name, number), "anonymousId": "a", "properties": {},
                 "context": {}, "integrations": {}}, **more)


def leave_behind(page, items, seen, name="mkto_outbox.other"):
    """A list as another page leaves it."""
    page.run("void localStorage.setItem('%s', JSON.stringify(%s))" % (name, json.dumps({"s": seen, "q": items})))


def test_calls_of_one_moment_go_together(stand, page):
    page.run("void analytics.track('a').track('b').identify('u1')")
    stand.heard(3)
    assert [m["type"] for m in stand.bodies[0]["batch"]] == ["track", "track", "identify"]
    page.until(LISTS + ".length === 0")


@pytest.mark.parametrize("status", [503, 429, 500])
def test_sent_again(stand, page, status):
    stand.answers = [(status, {})]
    page.run("void analytics.track('a')")
    stand.heard(1)
    first, second = stand.bodies
    assert first["batch"][0]["messageId"] == second["batch"][0]["messageId"]
    assert first["batch"][0]["timestamp"] == second["batch"][0]["timestamp"]
    assert second["sentAt"] > first["sentAt"]
    assert second["at"] - first["at"] > 0.8  # a second, less its tenth
    assert not [line for line in page.said() if "marketo.js" in line]


def test_retry_after(stand, page):
    stand.answers = [(429, {"Retry-After": "3"})]
    page.run("void analytics.track('a')")
    wait_until(lambda: stand.bodies)
    page.run("void analytics.track('b')")  # must not go before its time either
    assert [m["event"] for m in stand.heard(2)] == ["a", "b"]
    assert [len(body["batch"]) for body in stand.bodies] == [1, 2]
    assert stand.bodies[1]["at"] - stand.bodies[0]["at"] >= 2.9


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 501])
def test_not_sent_again(stand, page, status):
    stand.answers = [(status, {})]
    page.run("void analytics.identify('ada@example.com', {email: 'ada@example.com'})")
    page.until(LISTS + ".length === 0")
    page.run("void analytics.track('b')")
    stand.heard(1, event="b")
    assert len(stand.bodies) == 2
    lines = [line for line in page.said() if "marketo.js" in line]
    assert lines == ["warning: marketo.js: 1 not taken: %d" % status]
    assert not any("ada" in line for line in page.said())


def test_refused_one_by_one(stand, page):
    """A batch is taken but for some: they are told of, and not sent again."""
    stand.text = b'{"success":true,"rejected":[{"index":1,"error":"traits.email: ada@ is none"}],"rejected_total":1}'
    page.run("void analytics.track('a').track('b')")
    stand.heard(2)
    page.until(LISTS + ".length === 0")
    assert page.said() == ["warning: marketo.js: 1 not taken: 200"]


def test_ten_tries(stand, page):
    leave_behind(page, [{"m": event("last"), "t": 9, "n": 0}, {"m": event("more", 1), "t": 8, "n": 0}], 0)
    stand.answers = [(503, {})]
    page.goto(stand.url + "/shop")
    page.until(WAITING + ".length === 1")
    assert [m["event"] for m in stand.bodies[0]["batch"]] == ["last", "more"]
    item = page.run(WAITING)[0]
    assert (item["m"]["event"], item["t"]) == ("more", 9)
    assert 230 < (item["n"] - page.run("Date.now()")) / 1000 < 282.2  # 2 to the 8th, give or take a tenth
    assert "warning: marketo.js: 1 not taken: 503" in page.said()


def test_offline_then_online(stand, context, page):
    context.offline(True)
    page.until("!navigator.onLine")
    page.run("void analytics.track('a').track('b')")
    page.until(WAITING + ".length === 2")
    assert not stand.bodies
    context.offline(False)
    assert [m["event"] for m in stand.heard(2)] == ["a", "b"]


def test_network_that_fails_without_a_word(stand, page):
    """No answer at all counts as a try; the event of the network's return makes an end to waiting."""
    page.run("""void (window.fine = window.fetch, window.fetch = () => Promise.reject(new TypeError('net')),
        analytics.track('a'))""")
    page.until(WAITING + ".some(item => item.t >= 1)")
    page.run("void (window.fetch = fine, dispatchEvent(new Event('online')))")
    stand.heard(1, event="a")


@pytest.mark.parametrize("offline", [False, True], ids=["online", "offline"])
@pytest.mark.parametrize("count", [150, LIMIT, LIMIT + 30])
def test_many_calls_of_one_moment(stand, context, page, count, offline):
    """Up to the limit each arrives, once; over it the oldest are lost, and the page is told, once."""
    context.offline(offline)
    page.run("void Array.from({length: %d}, (_, n) => analytics.track('n', {n: n}))" % count)
    kept = min(count, LIMIT)
    if offline:
        page.until(WAITING + ".length === %d" % kept)
        context.offline(False)
    assert [m["properties"]["n"] for m in stand.heard(kept)] == list(range(count - kept, count))
    page.until(LISTS + ".length === 0")
    assert len(stand.messages) == kept
    assert all(body["size"] <= 64000 for body in stand.bodies)
    assert [line for line in page.said() if "marketo.js" in line] == ([CUT] if count > LIMIT else [])


def test_large_calls_that_wait(stand, context, page):
    """A list has at most 2 million characters, for the browser keeps 5 million for the whole site."""
    context.offline(True)
    page.run("void Array.from({length: 70}, (_, n) => analytics.track('n', {n: n, text: 'x'.repeat(30000)}))")
    length = page.run("localStorage[%s[0]].length" % LISTS)
    numbers = page.run(WAITING + ".map(item => item.m.properties.n)")
    assert length <= 2000100 < length + 31000 and numbers == list(range(70 - len(numbers), 70))
    assert page.said() == [CUT]
    context.offline(False)
    page.until(LISTS + ".length === 0")
    assert [m["properties"]["n"] for m in stand.messages] == numbers


def test_large_batches_are_split(stand, context, page):
    context.offline(True)
    page.until("!navigator.onLine")
    page.run("void [1, 2, 3, 4].forEach(n => analytics.track('n', {n: n, text: 'x'.repeat(25000)}))")
    context.offline(False)
    assert [m["properties"]["n"] for m in stand.heard(4)] == [1, 2, 3, 4]
    assert [len(body["batch"]) for body in stand.bodies] == [2, 2]


def test_largest_event(stand, page):
    """32 KB of UTF-8, as the server counts them."""
    page.run("void analytics.track('n', {text: ''})")
    size = len(json.dumps(stand.heard(1)[0], separators=(",", ":")))
    page.run("void analytics.track('fits', {text: 'x'.repeat(%d)})" % (32768 - size - 4))
    stand.heard(1, event="fits")
    page.run("void analytics.track('over', {text: 'x'.repeat(%d)}).track('after')" % (32768 - size - 2))
    stand.heard(1, event="after")
    assert "over" not in [m["event"] for m in stand.messages]
    assert page.said() == ["warning: marketo.js: a track is over 32768 bytes and was not sent"]


def test_what_is_no_json(stand, page):
    page.run("void (window.ring = {}, ring.ring = ring, analytics.track('ring', ring).track('after'))")
    stand.heard(1, event="after")
    assert page.said() == ["warning: marketo.js: a track is no JSON and was not sent"]


def test_page_goes_at_once(stand, page):
    """The call and the navigation stand in one task: only the browser itself can still send."""
    page.run("void (analytics.track('Left', {n: 1}), location.assign('/next.html'))")
    page.at("/next.html")
    assert stand.heard(1)[0]["event"] == "Left"


def test_page_goes_while_the_server_thinks(stand, page):
    """Nobody heard the answer: the next page sends it again, under the same messageId, some seconds later."""
    stand.hold.clear()
    page.run("void analytics.track('Left')")
    wait_until(lambda: stand.bodies)
    page.goto(stand.url + "/shop")
    time.sleep(0.5)
    assert len(stand.bodies) == 1
    stand.hold.set()
    wait_until(lambda: len(stand.bodies) == 2)
    assert stand.bodies[0]["batch"][0]["messageId"] == stand.bodies[1]["batch"][0]["messageId"]
    assert stand.bodies[1]["at"] - stand.bodies[0]["at"] > 4


def open_later(stand, context, hours):
    """The next page of this visitor, whose clock is so many hours ahead."""
    clock = "<script>(function (now) { Date.now = function () { return now() + %d; }; })(Date.now);</script>" % (hours * HOUR)
    return context.page(stand.page("/later", head=clock + SILENT))


def hear_last(stand, page):
    """What comes up to a call that is made now, after all that waits."""
    page.until(WAITING + ".every(item => item.n < Date.now())")
    page.run("void analytics.track('Last')")
    stand.heard(1, event="Last")
    return [m["event"] for body in stand.bodies for m in body["batch"]]


@pytest.mark.parametrize("hours, count", [(22.9, 2), (23.1, 1), (1000, 1)])
def test_who_comes_back_after_a_day(stand, context, page, hours, count):
    """The server knows a messageId for 24 hours: what may have come before that is not sent again after 23."""
    stand.hold.clear()
    page.run("void analytics.track('Flying')")
    wait_until(lambda: stand.bodies)
    page.goto("about:blank")
    stand.hold.set()
    heard = hear_last(stand, open_later(stand, context, hours))
    assert heard.count("Flying") == count


@pytest.mark.parametrize("hours, count", [(22.9, 2), (23.1, 1)])
def test_what_the_browser_was_handed(stand, context, page, hours, count):
    """The same where the page went before it could send: nobody knows how that ended."""
    page.run("void (analytics.track('Handed'), location.assign('/next.html'))")
    page.at("/next.html")
    stand.heard(1, event="Handed")
    assert hear_last(stand, open_later(stand, context, hours)).count("Handed") == count


def test_what_was_never_sent_waits_for_longer(stand, context, page):
    context.offline(True)
    page.until("!navigator.onLine")
    page.run("void analytics.track('Waiting')")
    page.goto("about:blank")
    context.offline(False)
    assert stand.bodies == []
    assert hear_last(stand, open_later(stand, context, 1000)).count("Waiting") == 1


OUT = "document.cookie = 'mkto_opt_out=id:true; path=/'"
IN = "document.cookie = 'mkto_opt_out=; path=/; max-age=0'"


def only_last(stand, page):
    """Nothing comes of what waited, not even when he is in again, but what is called then."""
    page.run("void (%s, analytics.track('Last'))" % IN)
    stand.heard(1, event="Last")
    page.until(LISTS + ".length === 0")
    assert [m["event"] for body in stand.bodies for m in body["batch"]] == ["Last"]


@pytest.mark.parametrize("leaves", [False, True], ids=["stays", "leaves"])
def test_opt_out_while_calls_wait(stand, context, page, leaves):
    context.offline(True)
    page.until("!navigator.onLine")
    page.run("void analytics.track('a').track('b')")
    page.until(WAITING + ".length === 2")
    page.run("void (%s)" % OUT)
    context.offline(False)
    page.until("navigator.onLine && %s.length === 0" % LISTS)
    if leaves:
        page.goto(stand.url + "/shop")
        assert page.run(LISTS) == []
    only_last(stand, page)


@pytest.mark.parametrize("leave", ["", ", location.assign('/next.html')"], ids=["stays", "leaves"])
def test_opt_out_in_the_task_of_the_call(stand, page, leave):
    """Neither the request that was due nor the page's last word to the browser."""
    page.run("void (analytics.track('a'), %s%s)" % (OUT, leave))
    if leave:
        page.at("/next.html")
        assert page.run(LISTS) == []
        page.goto(stand.url + "/shop")
    else:
        page.until(LISTS + ".length === 0")
    only_last(stand, page)


def test_opt_out_between_two_pages(stand, context, page):
    """What an earlier page has left is dropped by the next one, which may call load() when he is out already."""
    context.offline(True)
    page.until("!navigator.onLine")
    page.run("void analytics.track('a')")
    page.goto("about:blank")
    context.offline(False)
    out = "<script>%s;</script>" % OUT
    later = context.page(stand.page("/out", head=out + SILENT))
    assert later.run(LISTS) == []
    only_last(stand, later)


def test_tabs_send_each_event_once(stand, context, page):
    other = context.page(stand.url + "/shop")
    context.offline(True)
    page.run("void analytics.track('a')")
    other.run("void analytics.track('b')")
    page.until(LISTS + ".length === 2")
    context.offline(False)
    stand.heard(2)
    page.until(LISTS + ".length === 0")
    assert sorted(m["event"] for m in stand.messages) == ["a", "b"]


def test_list_of_a_dead_page(stand, context, page):
    """One of the pages takes it over; a list whose page lives is left alone, and what is no list goes."""
    now = page.run("Date.now()")
    page.run("void localStorage.setItem('mkto_outbox.broken', 'x')")
    leave_behind(page, [None, {"t": 1}, {"m": event("dead"), "t": 0, "n": 0}], now - 60000)
    leave_behind(page, [{"m": event("alive"), "t": 0, "n": 0}], now, "mkto_outbox.alive")
    context.page(stand.url + "/shop")
    context.page(stand.url + "/shop")
    stand.heard(1, event="dead")
    page.until(LISTS + ".length === 1")
    assert page.run(LISTS) == ["mkto_outbox.alive"]
    assert [m["event"] for m in stand.messages] == ["dead"]


def test_clock_that_was_set_back(stand, page):
    """What would wait for years does not."""
    leave_behind(page, [{"m": event("far"), "t": 1, "n": page.run("Date.now()") + 365 * 86400000}], 0)
    page.goto(stand.url + "/shop")
    stand.heard(1, event="far")


def test_storage_is_full(stand, page):
    page.run("""void (() => {
        for (let n = 0, size = 1 << 20; size; size >>= 1) {
            try { for (;;) localStorage.setItem('fill' + n++, 'x'.repeat(size)); } catch (_) {}
        }
        analytics.track('a', {text: 'y'.repeat(2000)});
    })()""")
    stand.heard(1, event="a")
    page.run("void localStorage.clear()")
