"""One request through nginx, against a courier that is told what to say: what it is sent, and what the client gets."""
import re
import socket
import subprocess
import threading

import http_talk
import pytest
from fake_courier import CUT, SILENT, Answer, Delay, FakeCourier
from nginx_conf import amend
from waiting import wait_until
from wire import EVENTS

pytestmark = pytest.mark.servers("nginx")
HTTPS, BROWSER, OWN = 1, 2, 8
COOKIE = "id:561-HYG-937&token:_mch-example.com-1374552656411-90718"
OK = b'{"success":true}'


@pytest.fixture
def fake(server):
    server.courier = "external"
    courier = FakeCourier(server.conf.socket).start()
    yield courier
    courier.stop()
    assert not courier.errors


def test_envelope(server, fake):
    server.conf.section("marketo brand-b", **server.conf["marketo"], )
    server.location("/mkto/", timeout="2s")
    server.location("/b/", "brand-b", ack="memory")
    server.start()
    headers = {"Host": "www.example.com:8080", "User-Agent": "agent/1", "Accept-Language": "de", "Referer": "http://r/",
               "Origin": "https://www.example.com:8080", "DNT": "1", "Sec-GPC": "1", "Cookie": "a=b; _mkto_trk=%s; c=d" % COOKIE,
               "Authorization": "Basic abc", "Content-Type": "text/plain;charset=UTF-8"}
    reply = server.post("track", b'{"event":"e"}', headers)
    assert (reply.status, reply.body) == (200, OK)
    assert reply.headers["content-type"] == "application/json"
    event = fake.wait(1)[0]
    fields = event.fields
    assert event.call == "track" and event.body == b'{"event":"e"}' and event.ack == 0
    assert event.authorization == b"Basic abc"
    assert re.fullmatch(b"[0-9a-f]{32}", fields.pop("request_id"))
    assert fields.pop("cookie").startswith(b"id:561-HYG-937&token:_mch-example.com-1374552656411-90718")
    assert fields.pop("received_ms") > 1700000000000
    assert {name: fields[name] for name in fields if name not in ("call", "body", "subscription")} == {
        "flags": BROWSER | OWN, "remote_addr": b"127.0.0.1", "host": b"www.example.com:8080", "user_agent": b"agent/1",
        "accept_language": b"de", "referer": b"http://r/", "origin": b"https://www.example.com:8080", "dnt": b"1", "gpc": b"1"}
    assert not fields.get("subscription")

    assert server.post("batch", b"[]", prefix="/b/").status == 200
    event = fake.wait(2)[1]
    assert event.call == "batch" and event.ack == 1 and event.fields["subscription"] == b"brand-b"
    assert event.fields["flags"] == 0 and "cookie" not in event.fields and event.authorization == b""


def test_fetch_site_alone_is_a_browser(server, fake):
    server.start()
    server.post("page", b"{}", {"Sec-Fetch-Site": "same-origin"})
    assert fake.wait(1)[0].fields["flags"] == BROWSER | OWN


def test_realip(server, fake):
    server.text["nginx"] = "set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP;\n"
    server.start()
    server.post("page", b"{}", {"X-Real-IP": "2001:db8::7"})
    assert fake.wait(1)[0].fields["remote_addr"] == b"2001:db8::7"


@pytest.mark.parametrize("answer,status", [
    ("stored", 200), ("filtered", 200), ("bad_request", 400), ("unauthorized", 401), ("forbidden", 403),
    ("rate_limited", 429), ("full", 503), ("expired", 503)])
def test_answers(server, fake, answer, status):
    server.start()
    fake.rule = lambda event: Answer(answer)
    reply = server.post("track", b"{}")
    assert reply.status == status and reply.json["success"] == (status == 200)
    assert ("retry-after" in reply.headers) == (status in (429, 503))
    fake.rule = lambda event: Answer(answer, b'{"own":"text"}', 77)
    reply = server.post("track", b"{}")
    assert reply.status == status and reply.body == b'{"own":"text"}'
    assert reply.headers.get("retry-after") == ("77" if status in (429, 503) else None)


def test_what_is_answered_without_the_courier(server, fake):
    server.location(max_body=1000)
    server.start()
    with server.talk() as talk:
        assert talk.request("POST", "/mkto/v1/nothing", b"{}").status == 404
        assert talk.request("POST", "/mkto/", b"{}").status == 404
        reply = talk.request("GET", "/mkto/v1/track")
        assert reply.status == 405 and reply.headers["allow"] == "OPTIONS, POST"
        reply = talk.request("HEAD", "/mkto/v1/track")
        assert reply.status == 405 and reply.body == b""
        assert talk.request("POST", "/mkto/v1/track", b"{}", {"Content-Type": "text/xml"}).status == 415
        assert talk.request("POST", "/mkto/v1/track", b"x" * 1001).status == 413
    with server.talk() as talk:
        assert talk.request("POST", "/mkto/v1/track", b"x" * 1000).status == 200
    assert [len(event.body) for event in fake.events] == [1000]


# ---- bodies ----

SIZES = [0, 1, 1000, 8191, 16384, 16385, 70000, 511999, 512000]


def pattern(size):
    return bytes(32 + i % 90 for i in range(size))


def test_bodies_with_length(server, fake):
    server.start()
    with server.talk() as talk:  # one connection: nothing of a body may leak into the next request
        for size in SIZES:
            assert talk.request("POST", "/mkto/v1/batch", pattern(size)).status == 200
    assert [event.body or b"" for event in fake.wait(len(SIZES))] == [pattern(size) for size in SIZES]


@pytest.mark.parametrize("piece", [7, 4096, 100000])
def test_chunked_bodies(server, fake, piece):
    server.start()
    sizes = [size for size in SIZES if size < 20000 or piece > 1000]
    with server.talk() as talk:
        for size in sizes:
            body = pattern(size)
            chunks = [body[at:at + piece] for at in range(0, size, piece)]
            assert talk.chunked("POST", "/mkto/v1/batch", chunks).status == 200
    assert [event.body or b"" for event in fake.wait(len(sizes))] == [pattern(size) for size in sizes]


def test_http2_bodies(server, fake):
    server.start()
    for size in SIZES:
        assert http_talk.http2(server.port2, "/mkto/v1/batch", pattern(size)).status == 200
    assert [event.body or b"" for event in fake.wait(len(SIZES))] == [pattern(size) for size in SIZES]
    assert fake.events[0].fields["host"] == b"127.0.0.1:%d" % server.port2


def test_body_that_trickles(server, fake):
    server.start()
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        sock.sendall(b"POST /mkto/v1/track HTTP/1.1\r\nHost: h\r\nContent-Length: 30000\r\n\r\n")
        for at in range(0, 30000, 1000):
            sock.sendall(pattern(30000)[at:at + 1000])
            if at % 5000 == 0:
                threading.Event().wait(0.02)
        assert sock.recv(1000).startswith(b"HTTP/1.1 200 ")
    assert fake.wait(1)[0].body == pattern(30000)


def test_too_large_without_length(server, fake):
    server.location(max_body="20k")
    server.start()
    with server.talk() as talk:
        assert talk.chunked("POST", "/mkto/v1/batch", [b"x" * 20480]).status == 200
    request = b"POST /mkto/v1/batch HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5001\r\n" + b"x" * 20481 + b"\r\n"
    replies = server.raw(request)  # no last chunk: it must not wait for one
    assert [reply.status for reply in replies] == [413] and replies[0].headers["connection"] == "close"
    reply = http_talk.http2(server.port2, "/mkto/v1/batch", b"x" * 20481)
    assert reply is None or reply.status == 413  # None: curl has lost an answer that came early
    assert len(fake.events) == 1


def test_expect_continue(server, fake):
    server.start()
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        sock.sendall(b"POST /mkto/v1/track HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert sock.recv(1000).startswith(b"HTTP/1.1 100 ")
        sock.sendall(b"{}")
        assert sock.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_pipelined_and_http10(server, fake):
    server.start()
    one = b"POST /mkto/v1/track HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n%s\r\n{1}"
    replies = server.raw(one % b"" * 5 + one % b"Connection: close\r\n")
    assert [reply.status for reply in replies] == [200] * 6
    replies = server.raw(b"POST /mkto/v1/track HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}")
    assert [reply.status for reply in replies] == [200] and len(fake.events) == 7


def test_next_request_comes_while_one_waits(server, fake):
    server.start()
    fake.rule = lambda event: Delay(0.3, Answer("stored"))
    one = b"POST /mkto/v1/track HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n%s\r\n{1}"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        sock.sendall(one % b"")
        fake.wait(1)
        sock.sendall(one % b"Connection: close\r\n")
        got = b""
        while True:
            part = sock.recv(65536)
            if not part:
                break
            got += part
    assert [reply.status for reply in http_talk.parse(got)] == [200, 200]


def test_bad_chunk(server, fake):
    server.announce("client sent invalid chunked body")
    server.start()
    replies = server.raw(b"POST /mkto/v1/track HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
    assert [reply.status for reply in replies] == [400]
    assert server.post("track", b"{}").status == 200 and len(fake.events) == 1


# ---- requests that nginx makes ----

def test_mirrored_request_with_its_body_in_a_file(server, fake):
    server.announce("a client request body is buffered to a temporary file")
    server.location("/mkto/")
    server.text["nginx"] = """
        location = /form { mirror /mkto/v1/track; client_body_buffer_size 1k; proxy_pass http://127.0.0.1:%d/; }
        location = / { return 200 "the application"; }
    """ % server.port
    server.start()
    for size in (100, 50000):
        assert server.request("POST", "/form", pattern(size)).body == b"the application"
    assert sorted([event.body for event in fake.wait(2)], key=len) == [pattern(100), pattern(50000)]  # of two workers, maybe


def test_internal_redirects(server, fake):
    server.location("/mkto/")
    server.text["nginx"] = """
        location = /moved { rewrite ^ /mkto/v1/track last; }
        location = /none { error_page 404 = /mkto/v1/track; return 404; }
        location ^~ /named/ { try_files /none @app; }
        location @app { rewrite ^ /mkto/v1/page last; }
    """
    server.start()
    assert server.request("POST", "/moved", b"{1}").status == 200
    assert server.request("POST", "/named/x", b"{2}").status == 200
    assert server.request("POST", "/none", b"{3}").status == 405  # error_page makes a GET of it
    assert [(event.call, event.body) for event in fake.events] == [("track", b"{1}"), ("page", b"{2}")]


def test_subrequest_with_the_answer_in_a_page(server, fake):
    server.text["nginx"] = "location = /index.html { add_after_body /mkto/v1/track; }"
    server.location()
    server.start()
    reply = server.get("/index.html")
    assert reply.status == 200 and b"A page of the site" in reply.body
    assert reply.body.endswith(b"}") and b'"success":false' in reply.body  # the part's own answer: 405
    assert not fake.events


def test_blocks_in_the_location(server, fake):
    server.text["nginx"] = """
        location ^~ /in/ {
            marketo; marketo_max_body 10;
            if ($http_x_debug) { set $x 1; }
            limit_except POST { deny all; }
            location ^~ /in/page/ { return 204; }
        }"""
    server.announce("access forbidden by rule")
    server.start()
    assert server.post("track", b"{}", prefix="/in/").status == 200
    assert server.post("track", b"{}", {"X-Debug": "1"}, prefix="/in/").status == 200
    assert server.post("track", b"x" * 11, {"X-Debug": "1"}, prefix="/in/").status == 413
    assert server.get("/in/v1/track").status == 403
    assert server.get("/in/page/").status == 204
    assert len(fake.events) == 2


def test_the_prefix_ends_at_a_slash(server, fake):
    server.text["nginx"] = "location ^~ /short { marketo; } location ~ track$ { return 418; }"
    server.announce("MKTO0128 ")
    server.start()
    assert server.post("track", b"{}", prefix="/short/").status == 200
    assert server.post("track", b"{}", prefix="/short").status == 404
    assert server.post("track", b"{}").status == 200  # ^~ keeps the regex away
    assert len(fake.events) == 2


def test_variables(server, fake):
    server.text["nginx"] = "access_log %s/access.log marketo;\n" % server.directory
    amend(server, "http {", "http { log_format marketo '$status [$marketo_verdict] [$marketo_event_id]';")
    server.start()
    server.post("track", b"{}")
    server.post("nothing", b"{}")
    server.get("/")
    # Two workers write: in the order of their statuses here.
    lines = wait_until(lambda: len(server.read(server.directory + "/access.log").splitlines()) == 3 and
                       sorted(server.read(server.directory + "/access.log").splitlines()), what="three lines")
    event_id = fake.events[0].fields["request_id"].decode()
    assert lines[:2] == ["200 [-] [-]", "200 [stored] [%s]" % event_id]
    assert re.fullmatch(r"404 \[not_found\] \[[0-9a-f]{32}\]", lines[2])


# ---- clients and couriers that go away ----

def test_client_that_leaves(server, fake):
    server.start()
    fake.rule = lambda event: SILENT
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.sendall(b"POST /mkto/v1/track HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}")
        fake.wait(1)
    wait_until(lambda: "prematurely closed connection" in server.read(server.log), what="nginx sees it")
    fake.answer(fake.events[0], Answer("stored"))
    fake.rule = lambda event: Answer("stored")
    assert server.post("track", b"{}").status == 200 and len(fake.events) == 2


def test_http2_client_that_leaves(server, fake):
    server.start()
    fake.rule = lambda event: SILENT
    command = ["curl", "-s", "--http2-prior-knowledge", "-d", "{}", "-H", "Content-Type: application/json", "--max-time",
               "1", "http://127.0.0.1:%d/mkto/v1/track" % server.port2]
    assert subprocess.run(command, check=False, timeout=20).returncode == 28
    assert len(fake.wait(1)) == 1
    fake.answer(fake.events[0], Answer("stored"))
    fake.rule = lambda event: Answer("stored")
    assert http_talk.http2(server.port2, "/mkto/v1/track", b"{}").status == 200
    assert len(server.children()) == server.workers


def test_bodies_under_way_are_bounded(server, fake):
    """One byte before their end, all over one worker."""
    server.workers = 1
    server.start()
    head = b"POST /mkto/v1/batch HTTP/1.1\r\nHost: h\r\nContent-Length: 512000\r\n\r\n"
    fits = 32 * 1024 * 1024 // 512000
    socks = []
    for _ in range(fits):
        sock = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        sock.sendall(head + b"x" * 511999)
        socks.append(sock)
    assert server.post("batch", b"x" * 300000).status == 503
    assert server.post("track", b"x" * 500).status == 200  # needs no room
    for sock in socks[1:]:
        sock.sendall(b"x")
        assert sock.recv(1000).startswith(b"HTTP/1.1 200 ")
    for sock in socks:
        sock.close()
    assert server.post("batch", b"x" * 300000).status == 200
    assert len(fake.events) == fits + 1


def test_many_at_once_over_one_connection(server, fake):
    server.workers = 1
    server.start()
    replies = []

    def send(number):
        with server.talk() as talk:
            for turn in range(20):
                replies.append((number, turn, talk.request("POST", "/mkto/v1/track", b"%d.%d" % (number, turn)).status))
    threads = [threading.Thread(target=send, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {status for _, _, status in replies} == {200}
    assert sorted(event.body for event in fake.events) == sorted(b"%d.%d" % reply[:2] for reply in replies)
    assert len([hello for hello in fake.hellos if hello["role"] == EVENTS]) == 1


def test_resend_after_a_cut(server, fake):
    server.start()
    cuts = [CUT]
    fake.rule = lambda event: cuts.pop() if cuts else Answer("stored")
    assert server.post("track", b"{1}").status == 200
    first, second = fake.wait(2)
    assert first.fields["request_id"] == second.fields["request_id"] and first.body == second.body == b"{1}"


def test_timeout_trips_and_recovers(server, fake):
    server.workers = 1
    server.announce("MKTO0130 ")
    server.location(timeout="300ms")
    server.start()
    wait_until(lambda: server.post("track", b"{}").status == 200, what="it answers")
    fake.hold()
    heard = len(fake.events)
    assert server.post("track", b"{}").status == 503
    reply = server.post("track", b"{}")
    assert reply.status == 503 and reply.headers["retry-after"] and len(fake.events) == heard
    assert server.get("/").status == 200
    fake.release()
    wait_until(lambda: server.post("track", b"{}").status == 200, what="it answers again")


def test_no_courier(server, fake):
    fake.stop()
    server.location(timeout="300ms")
    server.announce("MKTO0130 no courier: nobody listens on")
    server.start()
    assert server.get("/").status == 200 and server.post("track", b"{}").status == 503
    wait_until(lambda: "MKTO0130" in server.read(server.log), what="one error after a while")
    fake.start()
    wait_until(lambda: server.post("track", b"{}").status == 200, what="it answers again")
    wait_until(lambda: "the courier is there" in server.read(server.log), what="a notice")
    assert server.read(server.log).count("MKTO0130") == 1
