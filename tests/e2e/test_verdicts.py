"""What the servers tell the courier about a request, and what they make of its verdicts. With a courier that does as it is told."""
import http.client
import os
import re
import ssl
import time

import pytest

from fake_courier import CUT, SILENT, WELCOME, Answer, FakeCourier, Refuse
from site_of_pages import PAGE, PERSON
from waiting import wait_until
from wire import VERSION

LOST = r"MKTO01\d\d (no answer from the courier|no courier)"
COOKIE = "id:561-HYG-937&token:_mch-example.com-1374552656411-90718"

# What the client of each answer gets when the courier sends no words of its own: status, Retry-After.
TABLE = {"stored": (200, None), "filtered": (200, None), "bad_request": (400, None), "unauthorized": (401, None),
         "forbidden": (403, None), "too_large": (413, None), "rate_limited": (429, "5"),
         "busy": (503, "5"), "full": (503, "30"), "expired": (503, "5")}


@pytest.fixture
def fake(server):
    server.courier = "external"
    it = FakeCourier(server.conf.socket)
    it.start()
    yield it
    it.stop()
    assert not it.errors, it.errors


def test_every_answer(server, fake):
    server.start()
    with server.talk() as talk:
        for answer, (status, retry_after) in TABLE.items():
            fake.rule = lambda event, answer=answer: Answer(answer)
            reply = talk.request("POST", "/mkto/v1/track", {"event": "a"})
            assert reply.status == status, answer
            assert reply.headers.get("retry-after") == retry_after, answer
            assert reply.headers["content-type"] == "application/json"
            assert reply.headers["cache-control"] == "no-store"
            assert reply.json["success"] is (status == 200)
            assert ("error" in reply.json) is (status != 200)


def test_words_of_the_courier(server, fake):
    body = b'{"success":false,"error":"byte 7: a comma is missing"}'
    fake.rule = lambda event: Answer("bad_request", body)
    server.start()
    reply = server.post("track", b'{"a":1 "b":2}')
    assert (reply.status, reply.body) == (400, body)
    fake.rule = lambda event: Answer("rate_limited", b"", 17)
    assert server.post("track", b"{}").headers["retry-after"] == "17"


def test_event_as_it_came(server, fake):
    """The body untouched, and exactly what the courier may know of the request."""
    server.start()
    before = int(time.time() * 1000)
    body = '{"event":"Grüße",\n "properties":{ }}  '.encode()
    server.request("POST", "/mkto/v1/track?x=1", body, {
        "Content-Type": "text/plain; charset=utf-8", "Host": "www.example.com:8080", "User-Agent": "Test/1",
        "Accept-Language": "de", "Referer": "https://www.example.com/a", "Origin": "https://www.example.com:8080", "DNT": "1",
        "Sec-GPC": "1", "Authorization": "Basic d2s6", "Cookie": "session=secret; _mkto_trk=%s; other=1" % COOKIE})
    event = fake.wait(1)[0]
    fields = event.fields
    assert (event.call, event.body, event.ack) == ("track", body, 0)
    assert event.authorization == b"Basic d2s6"
    assert fields["remote_addr"] == b"127.0.0.1"
    assert fields["host"] == b"www.example.com:8080"
    assert fields["user_agent"] == b"Test/1"
    assert fields["accept_language"] == b"de"
    assert fields["referer"] == b"https://www.example.com/a"
    assert fields["origin"] == b"https://www.example.com:8080"
    assert (fields["dnt"], fields["gpc"]) == (b"1", b"1")
    assert fields["cookie"] == COOKIE.encode()
    assert fields["flags"] == 2 | 8  # a browser's, of a page of this host, not over TLS
    assert fields.get("subscription", b"") == b""
    assert before <= fields["received_ms"] <= int(time.time() * 1000)
    assert len(fields["request_id"]) >= 16
    assert not any(b"secret" in value for value in fields.values() if isinstance(value, bytes))


def test_bare_event(server, fake):
    server.start()
    server.raw(b"POST /mkto/v1/page HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}")
    fields = fake.wait(1)[0].fields
    assert set(fields) - {"subscription", "host"} == {"call", "flags", "received_ms", "remote_addr", "request_id", "body"}
    assert fields["flags"] == 0
    server.post("page", b"{}")
    assert fake.wait(2)[1].fields["request_id"] != fields["request_id"]


def test_over_tls(server, fake):
    server.tls = True
    server.announce("AH01873: Init: Session Cache is not configured")
    server.start()
    connection = http.client.HTTPSConnection("127.0.0.1", server.port3, timeout=10,
                                             context=ssl._create_unverified_context())  # pylint: disable=protected-access
    connection.request("POST", "/mkto/v1/page", b"{}", {"Content-Type": "application/json"})
    assert connection.getresponse().status == 200
    connection.close()
    assert fake.wait(1)[0].fields["flags"] == 1


def test_address_is_the_servers_to_resolve(server, fake):
    """Nobody can give himself another address, unless the site trusts a proxy."""
    forwarded = {"X-Forwarded-For": "203.0.113.7", "X-Real-IP": "203.0.113.8", "Forwarded": "for=203.0.113.9"}
    server.start()
    server.post("page", b"{}", forwarded)
    assert fake.wait(1)[0].fields["remote_addr"] == b"127.0.0.1"
    server.stop()
    server.text["nginx"] = "set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For;\n"
    server.text["httpd"] = "RemoteIPHeader X-Forwarded-For\nRemoteIPInternalProxy 127.0.0.1\n"
    server.modules.append("remoteip")
    server.start()
    server.post("page", b"{}", forwarded)
    assert fake.wait(2)[1].fields["remote_addr"] == b"203.0.113.7"


def test_cookie_forms(server, fake):
    server.start()
    token = "_mch-example.com-97bf4361ef4433921a6da262e8df45a"
    for header, want in (("_mkto_trk=token:%s&id:561-HYG-937" % token, "id:561-HYG-937&token:" + token),
                         ("_mkto_trk=id%%3A561-HYG-937%%26token%%3A%s" % token, "id:561-HYG-937&token:" + token),
                         ("_mkto_trk=id:561-HYG-937&token:a%0d%0aX", None), ("a=b", None),
                         ("_mkto_trk=id:561-HYG-937&token:_mch-www.example.com-1-11111; "
                          "_mkto_trk=id:561-HYG-937&token:_mch-example.com-1-22222",
                          "id:561-HYG-937&token:_mch-example.com-1-22222")):
        count = len(fake.events)
        server.post("page", b"{}", {"Cookie": header, "Host": "www.example.com"})
        assert fake.wait(count + 1)[-1].fields.get("cookie") == (want and want.encode())


def test_subscription_and_ack(server, fake, sandbox):
    server.conf.section("marketo brand-b")
    server.conf.use(sandbox, "marketo brand-b")
    server.location("/mkto/", ack="memory")
    server.location("/b/", subscription="brand-b")
    server.start()
    server.post("page", b"{}")
    server.post("page", b"{}", prefix="/b/")
    one, two = fake.wait(2)
    assert (one.fields.get("subscription", b""), one.ack) == (b"", 1)
    assert (two.fields["subscription"], two.ack) == (b"brand-b", 0)


def test_hello(server, fake):
    server.start()
    server.post("page", b"{}")
    hello = fake.hellos[0]
    assert hello["version"] == VERSION
    assert hello["config"] == server.conf.path
    assert hello["digest"] != 0
    assert hello["build"] > 1_500_000_000


def test_silence(server, fake):
    """A courier that does not answer costs one timeout; then 503 comes at once, until it answers again."""
    server.announce(LOST)
    server.workers = 1
    server.location(timeout="600ms")
    fake.rule = lambda event: SILENT
    server.start()
    reply = server.post("page", b"{}")
    assert (reply.status, reply.headers["retry-after"]) == (503, "5")
    assert reply.json["success"] is False
    fake.rule = lambda event: Answer("stored")
    wait_until(lambda: server.post("page", b"{}").status == 200, what="200 again")


def test_silence_that_only_page_views_meet(server, fake):
    """Nobody waits for their verdicts, and the log says all the same, once, that none come; none is lost."""
    path = os.path.join(server.directory, "www", "page.html")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(PAGE)
    server.text = {**server.text, "nginx": "marketo_track_pages on;\n",
                   "httpd": 'AddType text/html .html\n<Location "/">\nMarketoTrackPages On\n</Location>\n'}
    server.workers = 1
    server.announce(LOST)
    fake.rule = lambda event: SILENT
    server.start()
    assert server.get("/page.html?one", PERSON).status == 200
    wait_until(lambda: re.search(LOST, server.read(server.log)), timeout=60, what="a word in the log")
    fake.wait(3, timeout=60)  # sent again on each new connection
    assert len(re.findall(LOST, server.read(server.log))) == 1
    def told(what):
        return sum(event.path.endswith(what) for event in fake.events)
    before = told("?one")
    fake.rule = lambda event: Answer("stored")
    assert server.get("/page.html?two", PERSON).status == 200
    wait_until(lambda: told("?two") and told("?one") > before, timeout=60, what="both, and an answer to each")
    assert len({event.fields["request_id"] for event in fake.events}) == 2


def test_late_verdict_is_nobodys(server, fake):
    server.announce(LOST)
    server.workers = 1
    server.location(timeout="300ms")
    fake.rule = lambda event: SILENT
    server.start()
    assert server.post("page", b"{}").status == 503
    fake.rule = lambda event: Answer("stored")
    fake.answer(fake.wait(1)[0], Answer("bad_request", b'{"first":1}'))
    statuses = set()
    wait_until(lambda: statuses.add(server.post("page", b"{}").status) or 200 in statuses, what="200 again")
    assert statuses <= {200, 503}


def test_cut_connection(server, fake):
    """What was not answered is sent again with the same id: the courier knows it, the client does not notice."""
    server.start()
    rules = iter([CUT, Answer("stored")])
    fake.rule = lambda event: next(rules)
    reply = server.post("identify", {"userId": "u"})
    assert reply.status == 200
    first, second = fake.wait(2)
    assert first.fields["request_id"] == second.fields["request_id"]
    assert first.body == second.body
    assert first.connection is not second.connection


def test_courier_makes_room(server, fake):
    """Refused with "leaving": it is there again in a moment, and nothing is lost meanwhile."""
    fake.greeting = Refuse("leaving", "a newer build")
    server.start()
    talks = [server.talk() for _ in range(3)]
    for talk in talks:
        talk.connection.request("POST", "/mkto/v1/page", b"{}", {"Content-Type": "application/json"})
    fake.wait(2, what=fake.hellos)
    fake.greeting = WELCOME
    assert [talk.reply().status for talk in talks] == [200, 200, 200]
    for talk in talks:
        talk.close()


def test_away(server):
    """Nobody listens: 503, and the site is served all the same."""
    server.announce(LOST)
    server.courier = "external"
    server.location(timeout="300ms")
    server.start()
    reply = server.post("page", b"{}")
    assert (reply.status, reply.headers["retry-after"]) == (503, "5")
    assert server.get("/").status == 200


def test_answers_out_of_order(server, fake):
    server.start()
    fake.rule = lambda event: SILENT if event.json["n"] == 0 else Answer("filtered", b'{"n":1}')
    slow, fast = server.talk(), server.talk()
    slow.connection.request("POST", "/mkto/v1/page", b'{"n":0}', {"Content-Type": "application/json"})
    fake.wait(1)
    assert fast.request("POST", "/mkto/v1/page", b'{"n":1}').json == {"n": 1}
    fake.answer(fake.events[0], Answer("stored"))
    assert slow.reply().json == {"success": True}
    slow.close()
    fast.close()
