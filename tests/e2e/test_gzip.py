"""
Bodies that come as gzip, as the SDKs of apps send them: they mean what their text means, a text has the limits of a plain body, and
what is no gzip is told so with its place. The courier inflates; the servers hand on what came.
"""
import gzip
import io
import json
import re

import pytest

from waiting import wait_until

TOKEN = "_mch-marketo.com-1374552656411-90718"
COOKIE = "id:561-HYG-937&token:" + TOKEN
SUCCESS = b'{"success":true}'


def track(event, **more):
    return dict({"event": event, "anonymousId": "a-1"}, **more)


def visits(server, path):
    return [visit for visit in server.sandbox.store.visits if visit["page"].endswith(path)]


def arrives(server, path, count=1):
    """The first of that many visits of that path."""
    wait_until(lambda: len(visits(server, path)) >= count, what="%d of %s" % (count, path))
    assert len(visits(server, path)) == count
    return visits(server, path)[0]


def packed(body):
    return gzip.compress(body if isinstance(body, bytes) else json.dumps(body).encode())


@pytest.mark.parametrize("path, encoding", [("import", "gzip"), ("b", "gzip"), ("batch", "x-gzip"), ("b", "GZip")])
def test_gzip_of_a_batch(shared, path, encoding):
    """As analytics-android, -kotlin and -swift send theirs."""
    names = ["%s %s %d" % (path, encoding, n) for n in range(40)]
    reply = shared.post(path, packed({"batch": [track(name, type="track") for name in names], "sentAt": "2026-11-27T12:00:00.000Z",
                                      "context": {"Marketo": {"marketoCookie": COOKIE}}}),
                        {"Content-Encoding": encoding, "User-Agent": "analytics-android/4.11.3"})
    assert (reply.status, reply.body) == (200, SUCCESS)
    for name in names:
        assert arrives(shared, "/event/" + name.replace(" ", "-"))["token"] == TOKEN


def test_gzip_of_one_call(shared):
    assert shared.post("t", packed(track("packed track", properties={"price": 7})), {"Content-Encoding": "gzip"}).body == SUCCESS
    assert "price=7" in arrives(shared, "/event/packed-track")["query"]
    halves = b'{"event":"in two ', b'members","anonymousId":"a-1"}'
    assert shared.post("t", b"".join(map(packed, halves)), {"Content-Encoding": "gzip"}).body == SUCCESS
    arrives(shared, "/event/in-two-members")
    assert shared.post("t", track("identity"), {"Content-Encoding": "identity"}).body == SUCCESS
    arrives(shared, "/event/identity")
    assert shared.post("i", packed({"traits": {"email": "packed@example.com", "firstName": "Ada"}}), {"Content-Encoding": "gzip"}).body == SUCCESS
    assert wait_until(lambda: shared.sandbox.lead("packed@example.com"), what="the lead")["fields"]["firstName"] == "Ada"
    assert shared.post("m", packed({"series": []}), {"Content-Encoding": "gzip"}).body == SUCCESS


def test_gzip_as_sdks_frame_it(shared):
    """analytics-python: a GzipFile over the JSON, with its length; analytics-kotlin: text, chunk by chunk."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="w") as file:
        file.write(json.dumps({"batch": [track("from an sdk", type="track")], "sentAt": "2026-11-27T12:00:00"}).encode("utf-8"))
    body = out.getvalue()
    for framing in (b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body),
                    b"Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (body[:5], len(body) - 5, body[5:])):
        reply = shared.raw(b"POST /mkto/v1/batch HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUser-Agent: sdk/1\r\n"
                           b"Authorization: Basic d2s6\r\nContent-Encoding: gzip\r\n" + framing)[0]
        assert reply.body == SUCCESS
    arrives(shared, "/event/from-an-sdk", 2)


GZIP_BAD = {
    "empty": (b"", "byte 0"), "plain": (b'{"event":"e"}', "header check at byte 2"), "cut": (packed(track("e"))[:-9], "ends in the middle, at byte"),
    "garbage": (packed(track("e")) + b"garbage", "header check at byte"), "wrong sum": (packed(track("e"))[:-8] + bytes(8), "data check at byte"),
    "no JSON": (packed(b"hello"), "at byte 0"), "no text": (packed(b""), "empty|byte 0"),
}


@pytest.mark.parametrize("name", GZIP_BAD)
def test_gzip_that_is_none(shared, name):
    """The words name the byte, or what of the text is wrong; the courier lives on."""
    body, words = GZIP_BAD[name]
    reply = shared.post("t", body, {"Content-Encoding": "gzip"})
    assert reply.status == 400 and reply.json["success"] is False
    assert re.search(words, reply.json["error"]), reply.json


@pytest.mark.parametrize("path, limit", [("t", 32768), ("i", 32768), ("b", 512000)])
def test_gzip_is_as_large_as_a_plain_body(shared, path, limit):
    name = "at the limit of " + path
    body = {"t": track(name), "i": {"userId": "u", "traits": {"email": "limit@example.com"}}, "b": {"batch": [track(name, type="track")]}}[path]
    text = json.dumps(body).encode()
    text += b" " * (limit - len(text))
    assert shared.post(path, packed(text), {"Content-Encoding": "gzip"}).body == SUCCESS
    reply = shared.post(path, packed(text + b" "), {"Content-Encoding": "gzip"})
    assert reply.status == 413 and str(limit) in reply.json["error"]


def test_gzip_that_is_a_bomb(shared):
    """300 MB in 300 KB: no more is inflated than a plain body may have."""
    pid, = shared.couriers()
    def memory():
        with open("/proc/%d/status" % pid, encoding="ascii") as file:
            return int(re.search(r"VmHWM:\s*(\d+) kB", file.read()).group(1))
    assert shared.post("b", packed(b" " * 512001), {"Content-Encoding": "gzip"}).status == 413  # its buffer is there now
    before, bomb = memory(), gzip.compress(b" " * 1048576) * 300
    assert len(bomb) < 512000
    for path in ("b", "t", "import"):
        reply = shared.post(path, bomb, {"Content-Encoding": "gzip"})
        assert reply.status == 413 and "more than" in reply.json["error"]
    assert memory() < before + 8192
