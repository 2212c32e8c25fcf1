"""What is no tracking call: answered with the status and words of the table, by a worker that lives on, and never stored."""
import gzip
import json
import re

import pytest

from waiting import wait_until

ID = '"userId":"u"'


def nested(depth):
    """An identify whose JSON is that deep: the call, traits, then arrays."""
    return '{%s,"traits":{"email":"a@example.com","deep":%s%s}}' % (ID, "[" * (depth - 2), "]" * (depth - 2))


def wide(keys):
    return '{"userId":"a@example.com","traits":{%s}}' % (",".join('"k%d":%d' % (n, n) for n in range(keys)))


def sized(size):
    start = '{%s,"traits":{"email":"a@example.com","x":"' % ID
    return start + "x" * (size - len(start) - 3) + '"}}'


def batch_of(size):
    items = ",".join(['{"type":"track","event":"e",%s,"properties":{"x":"%s"}}' % (ID, "x" * 900)] * 520)
    body = '{"batch":[%s]' % items
    return body + " " * (size - len(body) - 1) + "}"


# name: (call, body, status, what the words must name)
BODIES = {
    "empty": ("identify", b"", 400, "empty|byte 0"),
    "blank": ("identify", b"  \n ", 400, "empty|byte"),
    "not JSON": ("identify", b"hello", 400, "byte 0"),
    "form": ("identify", b"userId=u&event=x", 400, "byte 0"),
    "truncated": ("identify", b'{"userId":"u"', 400, "byte 13"),
    "truncated text": ("identify", b'{"userId":"u', 400, "byte 12"),
    "two values": ("identify", b'{"userId":"u"}{"userId":"u"}', 400, "byte 14"),
    "trailing comma": ("identify", b'{"userId":"u",}', 400, "byte 14"),
    "single quotes": ("identify", b"{'userId':'u'}", 400, "byte 1"),
    "NaN": ("track", b'{"userId":"u","event":"e","properties":{"n":NaN}}', 400, "byte 44"),
    "comment": ("identify", b'{/* no */"userId":"u"}', 400, "byte 1"),
    "array": ("identify", b'[{"userId":"u"}]', 400, "object"),
    "text": ("identify", b'"userId"', 400, "object"),
    "null": ("identify", b"null", 400, "object"),
    "traits of wrong type": ("identify", b'{"userId":"u","traits":[1]}', 400, "traits"),
    "properties of wrong type": ("track", b'{"userId":"u","event":"e","properties":"x"}', 400, "properties"),
    "context of wrong type": ("track", b'{"userId":"u","event":"e","context":1}', 400, "context"),
    "event of wrong type": ("track", b'{"userId":"u","event":5}', 400, "event"),
    "userId of wrong type": ("identify", b'{"userId":{"id":1}}', 400, "userId"),
    "no event": ("track", b'{"userId":"u"}', 400, "event"),
    "empty event": ("track", b'{"userId":"u","event":""}', 400, "event"),
    "no identity": ("track", b'{"event":"e"}', 400, "userId"),
    "messageId of 101": ("track", b'{"userId":"u","event":"e","messageId":"%s"}' % (b"m" * 101), 400, "messageId"),
    "depth 17": ("identify", nested(17), 400, "16|deep"),
    "257 keys": ("identify", wide(257), 400, "256|member|key"),
    "33 KB": ("identify", sized(33 * 1024), 413, ""),
    "32 KB and 1": ("identify", sized(32769), 413, ""),
    "501 KB batch": ("batch", batch_of(501 * 1024), 413, ""),
    "500 KB and 1 batch": ("batch", batch_of(512001), 413, ""),
    "bad UTF-8": ("identify", b'{"userId":"\xff"}', 400, "byte 11"),
    "bad UTF-8 in a key": ("identify", b'{"userId":"u","\xc3":1}', 400, "byte 1[56]"),
    "overlong UTF-8": ("identify", b'{"userId":"\xc0\xaf"}', 400, "byte 11"),
    "half a surrogate pair": ("identify", b'{"userId":"\\ud800"}', 400, "byte"),
    "UTF-16": ("identify", '{"userId":"u"}'.encode("utf-16"), 400, "byte 0"),
    "NUL": ("identify", b'{"userId":"u\0"}', 400, "byte 12"),
    "NUL at the end": ("identify", b'{"userId":"u"}\0', 400, "byte 14"),
    "escaped NUL": ("identify", b'{"userId":"u\\u0000"}', 400, "byte"),
    "control character": ("identify", b'{"userId":"u\n"}', 400, "byte 12"),
    "duplicate keys": ("identify", b'{"userId":"u","userId":"v"}', 400, "byte|userId"),
    "duplicate keys below": ("identify", b'{"userId":"u","traits":{"a":1,"a":2}}', 400, "byte|a"),
    "batch that is none": ("batch", b'{"userId":"u"}', 400, "batch"),
    "batch of wrong type": ("batch", b'{"batch":{}}', 400, "batch"),
    "empty batch": ("batch", b'{"batch":[]}', 400, "batch"),
    "batch of 2501": ("batch", b'{"batch":[%s]}' % b",".join([b'{"type":"track","event":"e","userId":"u"}'] * 2501), 413, "2500"),
    "batch without a good one": ("batch", b'{"batch":[{"type":"track","userId":"u"}]}', 400, "event|batch"),
}

# name: (method, path, content type, status, Allow)
SHAPES = {
    "xml": ("POST", "v1/identify", "text/xml", 415, None),
    "form": ("POST", "v1/identify", "application/x-www-form-urlencoded", 415, None),
    "multipart": ("POST", "v1/identify", "multipart/form-data; boundary=b", 415, None),
    "latin-1": ("POST", "v1/identify", "application/json; charset=iso-8859-1", 415, None),
    "GET": ("GET", "v1/identify", None, 405, "OPTIONS, POST"),
    "PUT": ("PUT", "v1/identify", "application/json", 405, "OPTIONS, POST"),
    "DELETE": ("DELETE", "v1/track", None, 405, "OPTIONS, POST"),
    "PATCH": ("PATCH", "v1/batch", "application/json", 405, "OPTIONS, POST"),
    "unknown": ("POST", "v1/nothing", "application/json", 404, None),
    "nothing": ("POST", "", "application/json", 404, None),
    "version 2": ("POST", "v2/identify", "application/json", 404, None),
    "capitals": ("POST", "V1/identify", "application/json", 404, None),
    "slash behind": ("POST", "v1/identify/", "application/json", 404, None),
    "below a call": ("POST", "v1/identify/x", "application/json", 404, None),
}


@pytest.fixture(name="untouched")
def nothing_happened(shared):
    """Before and after: the same workers, the same number of events, and still at work."""
    workers = shared.children()
    assert shared.post("page", {"userId": "warm-up", "integrations": {"Marketo": False}}).status == 200
    before = shared.status()["intake"]["accepted"]
    yield
    assert set(workers) <= set(shared.children())
    status = shared.status()
    assert status["intake"]["accepted"] == before
    assert status["spool"]["waiting"] == 0
    assert shared.sandbox.calls() == []
    assert shared.get("/").status == 200


@pytest.mark.parametrize("name", BODIES)
def test_body(shared, untouched, name):  # pylint: disable=unused-argument
    call, body, status, words = BODIES[name]
    reply = shared.post(call, body)
    assert reply.status == status
    assert reply.headers["content-type"] == "application/json"
    assert reply.json["success"] is False
    assert re.search(words, json.dumps(reply.json)), "%r is not in %s" % (words, reply.json)


@pytest.mark.parametrize("name", SHAPES)
def test_shape(shared, untouched, name):  # pylint: disable=unused-argument
    method, path, kind, status, allow = SHAPES[name]
    body = None if method == "GET" else b'{"userId":"u","traits":{"email":"a@example.com"}}'
    reply = shared.request(method, "/mkto/" + path, body, {"Content-Type": kind} if kind else {"X-None": "1"})
    assert reply.status == status
    assert reply.headers.get("allow") == allow
    assert reply.json["success"] is False
    assert isinstance(reply.json["error"], str) and reply.json["error"]


@pytest.mark.parametrize("first", ["application/json", "text/xml", "application/json; charset=utf-8", "application/json; a=b"])
@pytest.mark.parametrize("second", ["application/json", "text/xml", "text/plain"])
def test_two_types(shared, untouched, first, second):  # pylint: disable=unused-argument
    """Which of them the body has, nobody knows."""
    body = b'{"userId":"u","traits":{"email":"a@example.com"}}'
    reply = shared.raw(b"POST /mkto/v1/identify HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n"
                       b"Content-Type: %s\r\nContent-Type: %s\r\n\r\n%s" % (len(body), first.encode(), second.encode(), body))[0]
    assert reply.status == 415
    assert reply.json["success"] is False


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "identity, gzip"])
def test_compressed(shared, untouched, encoding):  # pylint: disable=unused-argument
    reply = shared.post("identify", gzip.compress(b'{"userId":"u"}'), {"Content-Encoding": encoding})
    assert reply.status == 415
    assert "plain or as gzip" in reply.json["error"]


def test_refusals_are_counted(server):
    """The SDKs let a batch go that is refused for good: somebody must be able to see it. What is no event is none that was lost."""
    server.conf["marketo"].update(munchkin_private_key_file=server.conf.secret("munchkin.key", "key"), respect="gpc")
    def counts():
        intake = server.status()["intake"]
        words = ("bad_media_type", "too_large", "forbidden", "bad_request")
        return [intake["rejected_by"].get(word, 0) for word in words] + [intake["answers"][word] for word in words]
    server.start()
    own = {"Host": "www.example.com", "Origin": "http://www.example.com", "X-Marketo-Hash": "1"}
    for headers, status in ((dict(own, Origin="https://evil.example"), 403), (dict(own, **{"Sec-GPC": "1"}), 403),
                            (dict(own, **{"Content-Encoding": "br"}), 415), (dict(own, **{"Content-Encoding": "gzip"}), 400)):
        assert server.request("POST", "/mkto/hash", b"{}", headers).status == status, headers
    assert server.post("m", b"{}", {"Content-Encoding": "deflate"}).status == 415
    assert server.post("b", b"{}", {"Content-Encoding": "deflate"}).status == 415
    assert server.post("t", b"{}", {"Content-Type": "text/xml"}).status == 415
    assert server.post("b", b" " * 512001).status == 413
    chunks = b"400\r\n%s\r\n" % (b" " * 1024) * 501
    head = b"POST /mkto/v1/b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert server.raw(head + chunks + b"0\r\n\r\n")[0].status == 413  # found while it is read
    assert server.post("b", gzip.compress(b" " * 512001), {"Content-Encoding": "gzip"}).status == 413  # found by the courier
    assert server.post("t", b"{}", {"Host": "www.example.com", "Origin": "https://evil.example"}).status == 403
    assert server.post("b", b"junk", {"Content-Encoding": "gzip"}).status == 400
    wait_until(lambda: counts() == [2, 3, 1, 1] * 2, what="each of them, once")


def test_no_secret_in_the_words(shared, untouched):  # pylint: disable=unused-argument
    """The words name a place, not what stood there."""
    reply = shared.post("identify", b'{"userId":"someone@example.com","traits":{"email":5,,}}')
    assert reply.status == 400
    assert b"someone" not in reply.body
    assert "someone" not in shared.read(shared.log)


# One less than what is refused. Kept out of the tests' names, for those land in the environment of everything that is started.
WITHIN = {
    "depth 16": ("identify", nested(16)),
    "256 keys": ("identify", wide(256)),
    "32 KB": ("identify", sized(32768)),
    "500 KB batch": ("batch", batch_of(512000)),
    "messageId of 100": ("track", {"userId": "u", "event": "e", "messageId": "m" * 100}),
    "batch of 2500": ("batch", b'{"batch":[%s]}' % b",".join([b'{"type":"track","event":"e","userId":"u"}'] * 2500)),
    "identity": ("track", {"userId": "u", "event": "e"}),
    "no content type": ("track", {"userId": "u", "event": "e"}),
}


@pytest.mark.parametrize("name", WITHIN)
def test_limits_are_within(server, name):
    """What is just within the limits is taken, and counted."""
    call, body = WITHIN[name]
    server.conf["marketo"].update(rest_endpoint="http://127.0.0.1:1", munchkin_endpoint="http://127.0.0.1:1")
    server.announce(r"MKTO0\d\d\d .*(connect|refused|Marketo)")
    server.start()
    if name == "no content type":
        data = json.dumps(body).encode()
        reply = server.raw(b"POST /mkto/v1/track HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
                           % (len(data), data))[0]
    else:
        reply = server.post(call, body, {"Content-Encoding": "identity"} if name == "identity" else None)
    assert reply.status == 200, reply
    assert reply.json["success"] is True
    assert server.status()["intake"]["accepted"] >= 1
