"""Every way in which HTTP brings a body: each must arrive whole, once, and be answered."""
import gzip
import re
import socket
import struct
import time

import pytest

import http_talk
from fake_courier import SILENT, Answer, FakeCourier
from waiting import wait_until

MAX = 512000  # default of marketo_max_body


@pytest.fixture
def fake(server):
    server.courier = "external"
    it = FakeCourier(server.conf.socket)
    it.start()
    yield it
    it.stop()
    assert not it.errors, it.errors


def body_of(size, start=b'{"event":"'):
    return start + b"x" * (size - len(start) - 2) + b'"}'


def request(body, *headers, version="1.1", path="/mkto/v1/track", close=True):
    lines = ["POST %s HTTP/%s" % (path, version), "Host: www.example.com", "Content-Length: %d" % len(body), *headers]
    if close:
        lines.append("Connection: close")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def test_http_1_0(server, fake):
    server.start()
    replies = server.raw(request(b'{"n":1}', version="1.0", close=False))
    assert [reply.status for reply in replies] == [200]
    assert fake.events[0].json == {"n": 1}


def test_keep_alive(server, fake):
    server.start()
    with server.talk() as talk:
        talk.request("POST", "/mkto/v1/track", {"n": 0})
        sock = talk.connection.sock
        for n in range(1, 50):
            assert talk.request("POST", "/mkto/v1/track", {"n": n}).status == 200
            assert talk.connection.sock is sock
    assert [event.json["n"] for event in fake.events] == list(range(50))


def test_errors_keep_the_connection(server, fake):
    """A refused request whose body was not read must not be taken for the next request."""
    server.start()
    with server.talk() as talk:
        assert talk.request("POST", "/mkto/v1/nothing", {"n": 1}).status == 404
        assert talk.request("POST", "/mkto/v1/track", b"<x/>", {"Content-Type": "text/xml"}).status == 415
        assert talk.request("POST", "/mkto/v1/track", {"n": 2}).status == 200
    assert [event.json for event in fake.events] == [{"n": 2}]


CONDITIONS = [
    {"If-Match": '"x"'}, {"If-None-Match": "*"}, {"If-Unmodified-Since": "Mon, 01 Jan 2024 00:00:00 GMT"},
    {"If-Modified-Since": "Mon, 01 Jan 2024 00:00:00 GMT"}, {"Range": "bytes=0-3"}, {"Request-Range": "bytes=0-3"},
    {"Range": "bytes=900-"}, {"Range": "bytes=0-3", "If-Range": '"x"'},
]


def test_conditions_and_ranges_mean_nothing(server, fake):
    """A stored event is answered 200, whole: anything else would have it sent again."""
    server.start()
    with server.talk() as talk:
        for headers in CONDITIONS:
            reply = talk.request("POST", "/mkto/v1/track", {"n": 1}, headers)
            assert (reply.status, reply.body) == (200, b'{"success":true}'), headers
            assert "content-range" not in reply.headers and "accept-ranges" not in reply.headers
    assert len(fake.events) == len(CONDITIONS)


@pytest.mark.servers("httpd-event")
def test_body_that_httpd_takes_the_encoding_off(server, fake):
    server.modules += ["filter", "deflate"]
    server.location(text={"httpd": "SetInputFilter DEFLATE\n"})
    server.location("/plain/")
    server.start()
    body = gzip.compress(b'{"n":1}')
    assert server.post("track", body, {"Content-Encoding": "gzip"}).status == 200
    assert server.post("track", body, {"Content-Encoding": "gzip"}, prefix="/plain/").status == 200
    assert [event.fields["body"] for event in fake.events] == [b'{"n":1}', body]
    assert [event.fields.get("text_max") for event in fake.events] == [None, struct.pack("<I", 512000)]


@pytest.mark.servers("httpd-event", "httpd-prefork")
def test_nobody_listens(server):
    """The log names the socket, and what to look at."""
    server.courier = "external"
    server.location(timeout="300ms")
    words = "MKTO0106 no answer from the courier: nobody listens on %s; is the courier running?" % server.conf.socket
    server.announce(re.escape(words))
    server.start()
    assert server.post("track", {"n": 1}).status == 503
    assert words in server.read(server.log)


def test_pipeline(server, fake):
    server.start()
    data = b"".join(request(b'{"n":%d}' % n, close=n == 9) for n in range(10))
    assert [reply.status for reply in server.raw(data)] == [200] * 10
    assert [event.json["n"] for event in fake.events] == list(range(10))


def test_chunked(server, fake):
    server.start()
    with server.talk() as talk:
        for chunks in ([b'{"event":"a"}'], [b"{", b'"event"', b':"a"', b"}"], [bytes([c]) for c in b'{"event":"a"}'],
                       [body_of(30000)[:9000], body_of(30000)[9000:]]):
            assert talk.chunked("POST", "/mkto/v1/track", chunks).status == 200
            assert fake.events[-1].body == b"".join(chunks)
    assert len(fake.events) == 4


@pytest.mark.parametrize("size", [1023, 1024, 8192, 16384, 16385, 65536, 100000, MAX])
def test_large_bodies(server, fake, size):
    """Nothing but a log line of level warn would tell that nginx wrote one to a file: those fail any test."""
    server.start()
    body = body_of(size)
    assert server.post("batch", body).status == 200
    with server.talk() as talk:
        assert talk.chunked("POST", "/mkto/v1/batch", [body[:1], body[1:]]).status == 200
    assert [event.body == body for event in fake.events] == [True, True]


def test_over_the_limit(server, fake):
    server.location(max_body=1000)
    server.location("/large/", max_body=1048576)
    server.announce("client intended to send too large body: 1048577")  # nginx's own limit is the same
    server.start()
    assert server.post("track", body_of(1000)).status == 200
    assert server.post("track", body_of(1001)).status == 413
    with server.talk() as talk:
        assert talk.chunked("POST", "/mkto/v1/track", [body_of(1000)]).status == 200
    reply = chunked_in_one_go(server, body_of(1001))
    assert reply.status == 413
    assert reply.json["success"] is False
    assert server.post("batch", body_of(1048576), prefix="/large/").status == 200
    assert server.post("batch", body_of(1048577), prefix="/large/").status == 413
    assert [len(event.body) for event in fake.events] == [1000, 1000, 1048576]


def chunked_in_one_go(server, body):
    head = b"POST /mkto/v1/track HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    return server.raw(head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))[0]


@pytest.mark.servers("nginx", "httpd-event", "httpd-worker")
@pytest.mark.parametrize("size", [0, 40, 16384, 100000, MAX])
def test_http_2(server, fake, size):
    server.start()
    body = body_of(size) if size else b"{}"
    reply = http_talk.http2(server.port2, "/mkto/v1/track", body, {"Cookie": "_mkto_trk=id:A&token:b"})
    assert reply.status == 200
    assert reply.json == {"success": True}
    assert fake.events[0].body == body
    assert fake.events[0].fields["cookie"] == b"id:A&token:b"


@pytest.mark.servers("nginx", "httpd-event", "httpd-worker")
def test_http_2_over_the_limit(server, fake):
    server.start()
    reply = http_talk.http2(server.port2, "/mkto/v1/batch", body_of(MAX + 1))
    assert reply is None or reply.status == 413
    assert http_talk.http2(server.port2, "/mkto/v1/batch", b"{}").status == 200
    assert len(fake.events) == 1


def test_expect_continue(server, fake):
    server.start()
    body = body_of(200)
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        sock.sendall(request(body, "Expect: 100-continue")[:-len(body)])
        assert sock.recv(100).startswith(b"HTTP/1.1 100 ")
        sock.sendall(body)
        assert sock.recv(1000).startswith(b"HTTP/1.1 200 ")
    assert fake.events[0].body == body


def test_slow_body(server, fake):
    server.start()
    data = request(body_of(300))
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        for at in range(0, len(data), 40):
            sock.sendall(data[at:at + 40])
            time.sleep(0.01)
        assert sock.recv(1000).startswith(b"HTTP/1.1 200 ")
    assert fake.events[0].body == body_of(300)


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def test_client_leaves_within_the_body(server, fake):
    server.start()
    before = server.children()
    data = request(body_of(50000))
    for size, close in ((200, reset), (20000, reset), (200, socket.socket.close), (30000, socket.socket.close)):
        sock = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        sock.sendall(data[:size])
        time.sleep(0.05)
        close(sock)
    assert server.post("track", {"n": 1}).status == 200
    assert [event.json for event in fake.events] == [{"n": 1}]
    assert set(before) <= set(server.children())


def test_client_leaves_before_the_answer(server, fake):
    """The event was handed in and is kept; nobody waits for the answer that comes later."""
    server.location(timeout="20s")
    server.start()
    before = server.children()
    fake.rule = lambda event: SILENT
    for n in range(3):
        sock = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        sock.sendall(request(b'{"n":%d}' % n))
        fake.wait(n + 1)
        reset(sock)
    time.sleep(0.1)
    for event in list(fake.events):
        fake.answer(event, Answer("stored"))
    fake.rule = lambda event: Answer("stored")
    wait_until(lambda: server.post("track", {"n": 9}).status == 200, what="200 again")
    assert set(before) <= set(server.children())


def test_virtual_hosts(server, fake, sandbox):
    for name in ("brand-b", "brand-c"):
        server.conf.use(sandbox, "marketo " + name)
    server.location()
    server.location(host="b.example.com", subscription="brand-b")
    server.location(host="c.example.com", subscription="brand-c", prefix="/other/")
    server.announce(r"open\(\) .* failed \(2:")
    server.start()
    assert server.post("page", {"n": 1}, {"Host": "www.example.com"}).status == 200
    assert server.post("page", {"n": 2}, {"Host": "b.example.com"}).status == 200
    assert server.post("page", {"n": 3}, {"Host": "c.example.com"}, prefix="/other/").status == 200
    assert server.post("page", {"n": 4}, {"Host": "c.example.com"}).status == 404
    assert server.post("page", {"n": 5}, {"Host": "b.example.com"}, prefix="/other/").status == 404
    got = [(event.json["n"], event.fields.get("subscription", b"")) for event in fake.events]
    assert got == [(1, b""), (2, b"brand-b"), (3, b"brand-c")]


def test_internal_redirect(server, fake):
    """The event comes to the tracking location by way of another one."""
    server.text["nginx"] = "location /old/ { rewrite ^/old/(.*)$ /mkto/$1 last; }\n"
    server.text["httpd"] = 'RewriteEngine On\n<Location "/old/">\nRewriteEngine On\n' \
                           'RewriteRule "old/(.*)$" "/mkto/$1" [L]\n</Location>\n'
    server.modules.append("rewrite")
    server.start()
    body = body_of(20000)
    assert server.post("track", body, prefix="/old/").status == 200
    assert [event.body for event in fake.events] == [body]


@pytest.mark.servers("nginx")
def test_mirror(server, fake, app):
    """A subrequest that shares the body of its parent."""
    server.text["nginx"] = """
        location /app/ { mirror /mkto/v1/track; proxy_pass %s; }
""" % app.url
    server.start()
    body = body_of(9000)
    assert server.request("POST", "/app/x", body).body == b"the application\n"
    assert fake.wait(1)[0].body == body
    assert server.post("track", {"n": 1}).status == 200


@pytest.mark.servers("nginx")
def test_subrequest_without_a_body(server, fake):
    server.text["nginx"] = "location /guarded/ { auth_request /mkto/v1/track; }\n"
    server.announce(r"auth request unexpected status: 405")
    server.start()
    before = server.children()
    assert server.get("/guarded/").status == 500
    assert not fake.events
    assert server.children() == before


@pytest.mark.servers("nginx")
@pytest.mark.parametrize("how", ["clean", "on"])
def test_body_in_a_file(server, fake, how):
    server.text["nginx"] = "client_body_in_file_only %s;\n" % how
    server.start()
    for size in (40, 20000, MAX):
        assert server.post("batch", body_of(size)).status == 200
        assert fake.events[-1].body == body_of(size)


@pytest.mark.servers("httpd-event", "httpd-worker", "httpd-prefork")
def test_subrequest_of_httpd(server, fake):
    server.modules.append("include")
    server.text["httpd"] = '<Location "/page.shtml">\nOptions +Includes\nSetOutputFilter INCLUDES\n</Location>\n'
    with open(server.directory + "/www/page.shtml", "w", encoding="ascii") as page:
        page.write('before <!--#include virtual="/mkto/v1/track" --> after\n')
    server.announce(r"unable to include")
    server.start()
    before = server.children()
    reply = server.get("/page.shtml")
    assert reply.status == 200
    assert reply.body.startswith(b"before ") and reply.body.endswith(b" after\n")
    assert not fake.events
    assert set(before) <= set(server.children())


ODD = [  # (method and path, Host, status of nginx, of httpd)
    ("POST /mkto/v1%2Ftrack", "h", 200, 404), ("POST /mkto%2Fv1/track", "h", 200, 404), ("POST /mkto/%76%31/track", "h", 200, 200),
    ("POST /mkto/v1//track", "h", 200, 200), ("POST /mkto/v1/track/", "h", 404, 404), ("POST /mkto/v1/track;a=b", "h", 404, 404),
    ("POST /mkto/v1/track", "a b", 400, 400), ("POST /mkto/v1/track", "a/b", 400, 400), ("POST /mkto/v1/track", "", 400, 400),
    ("TRACE /mkto/v1/track", "h", 405, 405), ("TRACE /mkto/marketo.js", "h", 405, 405), ("FOO /mkto/v1/track", "h", 405, 405),
]


@pytest.mark.servers("nginx", "httpd-event")
def test_odd_requests(server, fake):
    """What comes to the handler is answered by it alike; the rest as README says. Nothing of a TRACE comes back."""
    server.start()
    for line, host, nginx, httpd in ODD:
        body = b"" if line.startswith("TRACE") else b'{"event":"a","userId":"u"}'
        replies = server.raw(("%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nCookie: secret=1\r\nConnection: close\r\n"
                              "Content-Length: %d\r\n\r\n" % (line, host, len(body))).encode() + body)
        assert [reply.status for reply in replies] == [nginx if server.family == "nginx" else httpd], line
        assert b"secret" not in replies[0].body
    assert all(event.call == "track" for event in fake.wait(2))
