"""
The whole Segment surface below a tracking location, over both servers with a courier behind them: what each path takes, what it
answers, header for header, and what Marketo then gets. What a pixel, a hash or an answer looks like is the same from both.
"""
import base64
import gzip
import hashlib
import itertools
import json
import shutil
import tempfile

import pytest
from marketo_sandbox import Sandbox

import http_talk
import servers
from waiting import PATIENCE, wait_until

TOKEN = "_mch-marketo.com-1374552656411-90718"
COOKIE = "id:561-HYG-937&token:" + TOKEN
SUCCESS = b'{"success":true}'
JSON = "application/json"
GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAICRAEAOw==")
PRIVATE_KEY = "the private key"
APP, EVIL = "https://app.example.com", "https://evil.example"
HOST = "www.example.com"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) Firefox/150.0"
OWN = {"Host": HOST, "Origin": "https://" + HOST, "User-Agent": BROWSER}
# What a server adds to every answer of any kind, and what tells of the connection.
OF_THE_SERVER = {"date", "server", "connection", "keep-alive", "transfer-encoding", "accept-ranges", "upgrade"}


@pytest.fixture(scope="module", name="shared")
def new_shared(request, out):
    """One server for this file, with a location for each of what it asks of them."""
    marketo, path = Sandbox(lead_lock_s=0), tempfile.mkdtemp(prefix="mkto-")
    marketo.start()
    it = servers.make(request.param, path, out, marketo)
    it.sandbox = marketo
    it.conf["marketo"].update(munchkin_private_key_file=it.conf.secret("private.key", PRIVATE_KEY), respect="gpc dnt", rate="0")
    it.conf.use(marketo, "marketo no-hash")
    it.location()
    it.location("/cors/", text={"nginx": "marketo_allow_origin %s localhost:8080;" % APP,
                                "httpd": "MarketoAllowOrigin %s localhost:8080\n" % APP})
    it.location("/ask/", text={"nginx": "marketo_consent $http_x_consent;", "httpd": 'MarketoConsent "%{HTTP:X-Consent}"\n'})
    it.location("/lax/", text={"nginx": "marketo_consent $http_x_consent absent=granted;",
                               "httpd": 'MarketoConsent "%{HTTP:X-Consent}" absent=granted\n'})
    it.location("/vouched/", text={"nginx": "marketo_email $http_x_email;", "httpd": 'MarketoEmail "%{HTTP:X-Email}"\n'})
    it.location("/no-hash/", subscription="no-hash")
    try:
        it.start()
        wait_until(lambda: it.post("alias", {"previousId": "a", "userId": "b"}).status == 200, what="a courier")
        yield it
    finally:
        try:
            it.end()
        finally:
            marketo.stop()
            shutil.rmtree(path, ignore_errors=True)
MARKERS = itertools.count()


def plain(reply):
    """What the module says: the headers without the server's own."""
    return {name: value for name, value in reply.headers.items() if name not in OF_THE_SERVER}


def answer(body=SUCCESS, **headers):
    """The headers of a JSON answer."""
    return dict({"content-type": JSON, "cache-control": "no-store", "content-length": str(len(body))}, **headers)


def track(event, **more):
    return dict({"event": event, "anonymousId": "a-1"}, **more)


def visits(server, path):
    return [visit for visit in server.sandbox.store.visits if visit["page"].endswith(path)]


def arrives(server, path):
    """The one visit of that path."""
    got = wait_until(lambda: visits(server, path), what=lambda: "a visit of %s; %s" % (path, [v["page"] for v in server.sandbox.store.visits]))
    assert len(got) == 1
    return got[0]


def lead(server, email):
    """A courier that was started again keeps still for the 20 s of Marketo's rate before its first call."""
    return wait_until(lambda: server.sandbox.lead(email), timeout=PATIENCE + 20, what="lead " + email)["fields"]


def nothing_of(server, path):
    """Whatever was handed in before is there when a later event is; this one is not."""
    marker = "marker-%d" % next(MARKERS)
    assert server.post("track", track(marker)).status == 200
    arrives(server, "/event/" + marker)
    assert not visits(server, path)


# ---- calls ----

@pytest.mark.parametrize("path", ["track", "t"])
def test_track(shared, path):
    reply = shared.post(path, track("track by " + path, properties={"price": 7}), {"Cookie": "_mkto_trk=" + COOKIE})
    assert (reply.status, reply.body, plain(reply)) == (200, SUCCESS, answer())
    visit = arrives(shared, "/event/track-by-" + path)
    assert visit["token"] == TOKEN and "price=7" in visit["query"]


@pytest.mark.parametrize("path", ["page", "p", "screen", "s"])
def test_page(shared, path):
    body = {"anonymousId": "a-1", "properties": {"url": "https://www.example.com/by/%s?x=1" % path, "referrer": "https://r.example/"}}
    body.update({"name": "by " + path} if path[0] == "s" else {})
    assert shared.post(path, body).body == SUCCESS
    visit = arrives(shared, "/by/" + path)
    assert (visit["query"], visit["parameters"]["_mchRe"]) == ("x=1", "https://r.example/")


@pytest.mark.parametrize("path", ["identify", "i"])
def test_identify(shared, path):
    email = "%s@example.com" % path
    assert shared.post(path, {"userId": "u-" + path, "traits": {"email": email, "firstName": "Ada"}}).body == SUCCESS
    assert lead(shared, email) == {"email": email, "firstName": "Ada", "userId": "u-" + path}


@pytest.mark.parametrize("path", ["group", "g"])
def test_group(shared, path):
    email = "group-%s@example.com" % path
    assert shared.post("identify", {"userId": email}).body == SUCCESS
    assert shared.post(path, {"userId": email, "groupId": "g", "traits": {"name": "Example & Co"}}).body == SUCCESS
    wait_until(lambda: lead(shared, email).get("company") == "Example & Co", what="the company of " + email)


@pytest.mark.parametrize("path", ["alias", "a"])
def test_alias(shared, path):
    assert shared.post(path, {"previousId": "a", "userId": "b"}).body == SUCCESS


@pytest.mark.parametrize("path", ["batch", "import", "b"])
def test_batch(shared, path):
    """Context and integrations of the batch are each item's; its own go before them."""
    reply = shared.post(path, {
        "context": {"page": {"url": "https://www.example.com/of/batch"}, "Marketo": {"marketoCookie": COOKIE}},
        "integrations": {"Marketo": True},
        "batch": [
            track("first of " + path, type="track"),
            track("second of " + path, type="track", context={"Marketo": {"marketoCookie": COOKIE.replace("90718", "11111")}}),
            track("kept out of " + path, type="track", integrations={"Marketo": False}),
            dict(track("third of " + path, type="track"), messageId="m-" + path),
            dict(track("third of " + path, type="track"), messageId="m-" + path),
        ]})
    assert (reply.status, reply.body) == (200, SUCCESS)
    assert arrives(shared, "/event/first-of-" + path)["token"] == TOKEN
    assert arrives(shared, "/event/second-of-" + path)["token"] == TOKEN.replace("90718", "11111")
    arrives(shared, "/event/third-of-" + path)
    nothing_of(shared, "/event/kept-out-of-" + path)


def test_batch_kept_out(shared):
    body = {"integrations": {"All": False}, "batch": [track("of no integration", type="track"),
                                                      track("allowed alone", type="track", integrations={"Marketo": True})]}
    assert shared.post("batch", body).body == SUCCESS
    arrives(shared, "/event/allowed-alone")
    nothing_of(shared, "/event/of-no-integration")


def test_errors_of_items(shared):
    """What can be taken is; the rest is told by its index."""
    reply = shared.post("batch", {"batch": [{"type": "track", "userId": "u"}, track("good item", type="track"), 7, {"type": "dance"}]})
    assert reply.status == 200 and reply.json["success"] is True
    assert [item["index"] for item in reply.json["rejected"]] == [0, 2, 3]
    assert all(item["error"] for item in reply.json["rejected"])
    arrives(shared, "/event/good-item")
    reply = shared.post("batch", {"batch": [{"type": "dance"}]})
    assert reply.status == 400 and plain(reply) == answer(reply.body)


def test_sent_again(shared):
    """An SDK that did not hear the answer."""
    for _ in range(3):
        assert shared.post("t", track("sent thrice", messageId="thrice"), {"X-Retry-Count": "1"}).body == SUCCESS
    arrives(shared, "/event/sent-thrice")
    nothing_of(shared, "/event/sent-four-times")
    assert len(visits(shared, "/event/sent-thrice")) == 1


@pytest.mark.parametrize("content_type", [JSON, "text/plain", "text/plain;charset=UTF-8", "application/json; charset=utf-8", None])
def test_types(shared, content_type):
    event = "of type %s" % str(content_type).translate(str.maketrans("/;=", "   "))
    body = json.dumps(track(event)).encode()
    headers = "Content-Type: %s\r\n" % content_type if content_type else ""
    head = "POST /mkto/v1/t HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%sContent-Length: %d\r\n\r\n" % (headers, len(body))
    assert shared.raw(head.encode() + body)[0].body == SUCCESS
    arrives(shared, "/event/" + event.replace(" ", "-"))


def test_refusals(shared):
    for method, path, body, status in (
            ("POST", "/mkto/v1/nothing", b"{}", 404), ("GET", "/mkto/", None, 404), ("POST", "/mkto/v1/pixel/alias", b"{}", 404),
            ("POST", "/mkto/v1/t", b"{", 400), ("POST", "/mkto/v1/t", b"x" * 512001, 413)):
        reply = shared.request(method, path, body)
        assert (reply.status, reply.json["success"], plain(reply)) == (status, False, answer(reply.body)), path
    for headers in ({"Content-Type": "text/xml"}, {"Content-Encoding": "br"}):
        reply = shared.post("t", gzip.compress(b"{}"), headers)
        assert (reply.status, plain(reply)) == (415, answer(reply.body))


@pytest.mark.parametrize("path, allow", [
    ("v1/track", "OPTIONS, POST"), ("v1/b", "OPTIONS, POST"), ("v1/m", "OPTIONS, POST"), ("hash", "POST"),
    ("v1/pixel/track", "GET, HEAD, OPTIONS"), ("v1/projects/k/settings", "GET, HEAD, OPTIONS"), ("marketo.js", "GET, HEAD, OPTIONS"),
])
def test_methods(shared, path, allow):
    for method in {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"} - set(allow.split(", ")):
        reply = shared.request(method, "/mkto/" + path, None if method in ("GET", "HEAD") else b"{}")
        assert reply.status == 405 and reply.headers["allow"] == allow, method
        assert plain(reply) == answer(b"x" * int(reply.headers["content-length"]), allow=allow)
        assert (reply.body == b"") == (method == "HEAD")
    reply = shared.request("OPTIONS", "/mkto/" + path)
    if "OPTIONS" in allow:
        assert (reply.status, reply.body) == (204, b"")
        assert plain(reply) == {"cache-control": "no-store", "allow": allow}
    else:
        assert (reply.status, plain(reply)) == (405, answer(reply.body, allow=allow))
    assert shared.request("OPTIONS", "/mkto/v1/nothing").status == 404


# ---- pixel ----

def pixel(server, query, call="track", headers=None, method="GET", prefix="/mkto/"):
    reply = server.request(method, "%sv1/pixel/%s?%s" % (prefix, call, query), None, {"User-Agent": BROWSER, **(headers or {})})
    assert reply.status == 200
    assert plain(reply) == {"content-type": "image/gif", "cache-control": "no-store", "content-length": str(len(GIF))}
    assert reply.body == (GIF if method == "GET" else b"")
    return reply


# Bytes that standard base64 writes with + and /, so that the forms differ.
FORMS = {
    "standard": lambda data: base64.b64encode(data).decode(),
    "encoded": lambda data: base64.b64encode(data).decode().replace("+", "%2B").replace("/", "%2F").replace("=", "%3D"),
    "url-safe": lambda data: base64.urlsafe_b64encode(data).decode(),
    "unpadded": lambda data: base64.urlsafe_b64encode(data).decode().rstrip("="),
}


@pytest.mark.parametrize("form", FORMS)
def test_pixel_of_base64(shared, form):
    body = json.dumps(track("pixel " + form, properties={"q": "???>>>~~~\u00ff"}), ensure_ascii=False).encode()
    assert set(b"+/=") & set(base64.b64encode(body))
    pixel(shared, "data=" + FORMS[form](body), headers={"Cookie": "_mkto_trk=" + COOKIE})
    assert arrives(shared, "/event/pixel-" + form)["token"] == TOKEN


def test_pixel_of_dots(shared):
    pixel(shared, "event=dotted+pixel&anonymousId=a&properties.subject=Hello%20World&properties.a.b=1", headers={"Host": HOST})
    assert "subject=Hello%20World" in arrives(shared, "/event/dotted-pixel")["query"].replace("+", "%20")
    pixel(shared, "anonymousId=a&properties.url=https%3A%2F%2Fwww.example.com%2Fpixel%2Fpage", call="page")
    arrives(shared, "/pixel/page")
    own = {"Host": HOST, "Sec-Fetch-Site": "same-origin"}
    pixel(shared, "traits.email=pixel%40example.com&userId=px&traits.firstName=Ada", call="identify", headers=own)
    assert lead(shared, "pixel@example.com")["firstName"] == "Ada"


def test_pixel_whatever_happens(shared):
    """A mail program shows the image, and nothing else would help it."""
    for query in ("", "data=", "data=!!!", "data=e30", "a=1&a.b=2", "event=x" + "y" * 5000, "integrations.All=false&event=x"):
        pixel(shared, query)
    pixel(shared, "event=head+pixel&anonymousId=a", method="HEAD")


def test_pixel_of_another_site(shared):
    """It is no error of the visitor's, so he gets the image; the event is not taken, and counted."""
    before = shared.status()["intake"]["filtered_by"].get("origin", 0)
    pixel(shared, "event=foreign+pixel&anonymousId=a", headers={"Host": HOST, "Sec-Fetch-Site": "cross-site"})
    pixel(shared, "event=foreign+pixel&anonymousId=a", headers={"Host": HOST, "Origin": EVIL})
    wait_until(lambda: shared.status()["intake"]["filtered_by"].get("origin", 0) == before + 2, what="two counts")
    nothing_of(shared, "/event/foreign-pixel")


# ---- settings, metrics, marketo.js ----

def test_settings(shared):
    reply = shared.get("/mkto/v1/projects/wk_1-A/settings", {"Host": HOST})
    assert reply.status == 200
    assert plain(reply) == {"content-type": JSON, "cache-control": "private, max-age=300", "content-length": str(len(reply.body))}
    segment = reply.json["integrations"]["Segment.io"]
    assert (segment["apiKey"], segment["apiHost"], segment["protocol"]) == ("wk_1-A", HOST + "/mkto/v1", "http")
    behind = shared.get("/mkto/v1/projects/wk_1-A/settings", {"Host": HOST, "Referer": "https://%s/page" % HOST})
    assert behind.json["integrations"]["Segment.io"]["protocol"] == "https"  # TLS ends at a proxy
    head = shared.request("HEAD", "/mkto/v1/projects/wk_1-A/settings", None, {"Host": HOST})
    assert (head.status, head.body, plain(head)) == (200, b"", plain(reply))
    for key in ("", "a" * 65, "a%22b", "a/b"):
        assert shared.get("/mkto/v1/projects/%s/settings" % key).status == 404
    assert shared.get("/mkto/v1/projects/%s/settings" % ("a" * 64)).status == 200


@pytest.mark.parametrize("body", [b"", b"{}", b"no JSON at all", b'{"series":[' + b"1," * 50000 + b"1]}"])
def test_metrics(shared, body):
    before = shared.status()["intake"]["accepted"]
    reply = shared.post("m", body, {"Content-Type": "text/plain"})
    assert (reply.status, reply.body, plain(reply)) == (200, SUCCESS, answer())
    assert shared.status()["intake"]["accepted"] == before


def test_script(shared):
    reply = shared.get("/mkto/marketo.js")
    etag = reply.headers["etag"]
    cacheable = {"etag": etag, "cache-control": "public, max-age=3600"}
    assert etag == '"%s"' % hashlib.sha256(reply.body).hexdigest()[:32]
    assert reply.status == 200
    assert plain(reply) == dict(cacheable, **{"content-type": "text/javascript; charset=utf-8", "content-length": str(len(reply.body))})
    head = shared.request("HEAD", "/mkto/marketo.js")
    assert (head.status, head.body, plain(head)) == (200, b"", plain(reply))
    for sent in (etag, "W/" + etag, '"x", ' + etag, "*"):
        for method in ("GET", "HEAD"):
            again = shared.request(method, "/mkto/marketo.js", None, {"If-None-Match": sent})
            assert (again.status, again.body, plain(again)) == (304, b"", cacheable), sent
    for headers in ({"If-None-Match": '"x"'}, {"Range": "bytes=0-3"}, {"If-Modified-Since": "Mon, 01 Jan 2035 00:00:00 GMT"}):
        again = shared.get("/mkto/marketo.js", headers)
        assert (again.status, again.body) == (200, reply.body), headers


# ---- hash ----

def sha1(email):
    return hashlib.sha1((PRIVATE_KEY + email).encode()).hexdigest()


def ask_hash(server, body, headers=None, prefix="/mkto/"):
    given = {**OWN, "X-Marketo-Hash": "1", **(headers or {})}
    return server.request("POST", prefix + "hash", body, {name: value for name, value in given.items() if value is not None})


def test_hash(shared):
    reply = ask_hash(shared, {"email": "ada@example.com"})
    assert (reply.status, reply.json) == (200, {"success": True, "hash": sha1("ada@example.com")})
    assert plain(reply) == answer(reply.body)
    fetch = {"Origin": EVIL, "Sec-Fetch-Site": "same-origin"}  # a proxy may have changed the Host
    assert ask_hash(shared, {"email": "ada@example.com"}, fetch).status == 200


@pytest.mark.parametrize("headers", [
    {"X-Marketo-Hash": None}, {"Origin": None}, {"Origin": EVIL}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://www.example.com.evil.example"},
])
def test_hash_refused(shared, headers):
    reply = ask_hash(shared, {"email": "ada@example.com"}, headers)
    assert (reply.status, plain(reply)) == (403, answer(reply.body))
    assert b"hash" not in reply.body.replace(b"hash:", b"")


@pytest.mark.parametrize("prefix, headers, skip", [
    ("/mkto/", {"Cookie": "mkto_opt_out=id:true"}, "opt_out"), ("/mkto/", {"Sec-GPC": "1"}, "gpc"), ("/mkto/", {"DNT": "1"}, "dnt"),
    ("/mkto/", {"Referer": "https://www.example.com/?marketo_opt_out=true"}, "opt_out"),
    ("/ask/", {"X-Consent": "denied"}, "consent"), ("/ask/", {}, "consent"),
])
def test_hash_of_whom_nobody_may_track(shared, prefix, headers, skip):
    before = shared.status()["intake"]["filtered_by"]
    reply = ask_hash(shared, {"email": "ada@example.com"}, headers, prefix=prefix)
    assert (reply.status, plain(reply)) == (403, answer(reply.body))
    assert b"hash" not in reply.body
    wait_until(lambda: shared.status()["intake"]["filtered_by"].get(skip, 0) == before.get(skip, 0) + 1, what="the count")


@pytest.mark.parametrize("prefix, headers", [
    ("/no-hash/", {"Cookie": "mkto_opt_out=id:true"}), ("/mkto/", {"Sec-GPC": "0", "DNT": "0"}), ("/ask/", {"X-Consent": "granted"}),
])
def test_hash_of_whom_it_may(shared, prefix, headers):
    assert ask_hash(shared, {"email": "ada@example.com"}, headers, prefix=prefix).status == (404 if prefix == "/no-hash/" else 200)


def test_hash_of_an_allowed_site(shared):
    """An origin that may send events may not have hashes."""
    for path in ("/cors/", "/mkto/"):
        reply = ask_hash(shared, {"email": "a@example.com"}, {"Origin": APP}, prefix=path)
        assert reply.status == 403


def test_hash_without_a_key(shared):
    for headers in (None, {"X-Marketo-Hash": None}, {"Origin": EVIL}):
        assert ask_hash(shared, {"email": "a@example.com"}, headers, prefix="/no-hash/").status == 404


def test_hash_of_whom_the_site_vouches_for(shared):
    reply = ask_hash(shared, {"email": "liar@example.com"}, {"X-Email": "ada@example.com"}, prefix="/vouched/")
    assert reply.json["hash"] == sha1("ada@example.com")
    for said in ({}, {"X-Email": "nobody"}, {"X-Email": "a" * 320 + "@example.com"}):
        reply = ask_hash(shared, {"email": "b@example.com"}, said, prefix="/vouched/")
        assert reply.status == 403 and b"names no e-mail of this visitor" in reply.body


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"email":7}', b'{"email":""}', b"x"])
def test_hash_of_nobody(shared, body):
    assert ask_hash(shared, body).status == 400


# ---- whose page ----

def cors(origin, **more):
    return dict({"vary": "Origin", "access-control-allow-origin": origin, "access-control-allow-credentials": "true"}, **more)


def test_preflight(shared):
    headers = {"Host": HOST, "Origin": APP, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    for path, allow in (("v1/track", "OPTIONS, POST"), ("v1/batch", "OPTIONS, POST"), ("v1/projects/k/settings", "GET, HEAD, OPTIONS")):
        reply = shared.request("OPTIONS", "/cors/" + path, None, headers)
        assert (reply.status, reply.body) == (204, b"")
        assert plain(reply) == cors(APP, **{
            "cache-control": "no-store", "access-control-allow-methods": allow, "access-control-max-age": "7200",
            "access-control-allow-headers": "Authorization, Content-Type, X-Retry-Count"})


def test_preflight_of_others(shared):
    for path, origin, vary in (("/cors/", EVIL, {"vary": "Origin"}), ("/mkto/", APP, {}), ("/cors/", "null", {"vary": "Origin"}),
                               ("/cors/", "http://app.example.com", {"vary": "Origin"})):
        reply = shared.request("OPTIONS", path + "v1/track", None, {"Host": HOST, "Origin": origin, "User-Agent": BROWSER})
        assert (reply.status, plain(reply)) == (403, answer(reply.body, **vary)), origin
    reply = shared.request("OPTIONS", "/cors/v1/track", None, OWN)
    assert (reply.status, plain(reply)) == (204, {"cache-control": "no-store", "allow": "OPTIONS, POST", "vary": "Origin"})


def test_call_of_an_allowed_site(shared):
    exposed = {"access-control-expose-headers": "Retry-After"}
    for n, origin in enumerate((APP, "https://localhost:8080")):
        reply = shared.post("t", track("allowed %d" % n), {"Host": HOST, "Origin": origin, "User-Agent": BROWSER}, prefix="/cors/")
        assert (reply.status, plain(reply)) == (200, answer(**cors(origin, **exposed)))
        arrives(shared, "/event/allowed-%d" % n)
    reply = shared.post("t", b"{", {"Host": HOST, "Origin": APP}, prefix="/cors/")  # an SDK must see what is wrong
    assert (reply.status, plain(reply)) == (400, answer(reply.body, **cors(APP, **exposed)))
    reply = shared.post("t", track("no origin"), prefix="/cors/")
    assert (reply.status, plain(reply)) == (200, answer(vary="Origin"))
    reply = shared.get("/cors/v1/projects/k/settings", {"Host": HOST, "Origin": APP})
    assert reply.headers["access-control-allow-origin"] == APP and reply.headers["vary"] == "Origin"


@pytest.mark.parametrize("headers", [
    {"Origin": EVIL}, {"Origin": "null"}, {"Origin": APP + ".evil.example"}, {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"}, {"Origin": EVIL, "Content-Type": "text/plain"},
])
def test_call_of_another_site(shared, headers):
    """Refused before the body is read, and without a word of CORS: the page does not even see that."""
    for path in ("t", "batch", "i"):
        reply = shared.post(path, track("of another site"), dict({"Host": HOST}, **headers))
        assert (reply.status, plain(reply)) == (403, answer(reply.body))
    nothing_of(shared, "/event/of-another-site")


@pytest.mark.parametrize("headers", [
    {"Host": HOST, "Origin": "https://" + HOST}, {"Host": HOST, "Sec-Fetch-Site": "same-origin"}, {"Host": HOST, "Sec-Fetch-Site": "none"},
    {"Host": "www.example.com:8443", "Origin": "https://www.example.com:8443"},
])
def test_call_of_the_site_itself(shared, headers):
    event = "own call %d" % len(repr(headers))
    reply = shared.post("t", track(event), {"User-Agent": BROWSER, **headers})
    assert (reply.status, plain(reply)) == (200, answer())
    arrives(shared, "/event/" + event.replace(" ", "-"))


# ---- privacy ----

@pytest.mark.parametrize("prefix, headers, query, skip", [
    ("/ask/", {"X-Consent": "denied"}, "", "consent"), ("/ask/", {}, "", "consent"), ("/ask/", {"X-Consent": "perhaps"}, "", "consent"),
    ("/lax/", {"X-Consent": "no"}, "", "consent"),
    ("/mkto/", {"Cookie": "mkto_opt_out=id:true"}, "", "opt_out"), ("/mkto/", {}, "?marketo_opt_out=true", "opt_out"),
    ("/mkto/", {"Host": HOST, "Referer": "https://www.example.com/?marketo_opt_out=true"}, "", "opt_out"),
    ("/mkto/", {"Sec-GPC": "1"}, "", "gpc"), ("/mkto/", {"DNT": "1"}, "", "dnt"),
])
def test_kept_out(shared, prefix, headers, query, skip):
    """No event, no error, one count."""
    before = shared.status()["intake"]["filtered_by"]
    reply = shared.post("t" + query, track("kept private"), headers, prefix=prefix)
    assert (reply.status, reply.body, plain(reply)) == (200, SUCCESS, answer())
    assert reply.headers.get("set-cookie") is None
    pixel(shared, "event=kept+private&anonymousId=a" + query.replace("?", "&"), headers=headers, prefix=prefix)
    wanted = dict(before, **{skip: before.get(skip, 0) + 2})
    wait_until(lambda: shared.status()["intake"]["filtered_by"] == wanted, what="two counts of " + skip)
    nothing_of(shared, "/event/kept-private")


@pytest.mark.parametrize("prefix, headers, query", [
    ("/ask/", {"X-Consent": "granted"}, ""), ("/ask/", {"X-Consent": " Yes "}, ""), ("/lax/", {}, ""), ("/mkto/", {"Sec-GPC": "0"}, ""),
    ("/mkto/", {"DNT": "0"}, ""), ("/mkto/", {"Cookie": "mkto_opt_out=id:true"}, "?marketo_opt_out=false"),
])
def test_taken(shared, prefix, headers, query):
    event = "taken %d" % abs(hash((prefix, repr(headers), query)))
    assert shared.post("t" + query, track(event), headers, prefix=prefix).body == SUCCESS
    arrives(shared, "/event/" + event.replace(" ", "-"))


# ---- write keys ----

@pytest.fixture(name="keyed")
def new_keyed(server, sandbox):
    server.conf["sources"].update(site="wk_site", app="wk_app")
    server.sandbox = sandbox
    server.start()
    return server


def basic(text):
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


def test_keys(keyed):
    """Of a server; browsers need none."""
    for n, (headers, more) in enumerate((
            (basic("wk_site:"), {}), (basic("wk_app"), {}), ({"Authorization": "Bearer wk_site"}, {}), ({}, {"writeKey": "wk_app"}),
            (OWN, {}), ({"Host": HOST, "Sec-Fetch-Site": "same-origin", "User-Agent": BROWSER}, {"writeKey": "unknown"}))):
        reply = keyed.post("t", track("key %d" % n, **more), headers)
        assert (reply.status, reply.body) == (200, SUCCESS), n
        arrives(keyed, "/event/key-%d" % n)
    for headers, more in (({}, {}), (basic("wrong:"), {}), ({"Authorization": "Bearer wk_sit"}, {}), ({}, {"writeKey": "wk"}),
                          (basic(":wk_site"), {})):
        reply = keyed.post("t", track("without key", **more), headers)
        assert (reply.status, plain(reply)) == (401, answer(reply.body)), headers
    nothing = keyed.post("b", {"writeKey": "wk_site", "batch": [track("key of a batch", type="track")]})
    assert nothing.body == SUCCESS
    arrives(keyed, "/event/key-of-a-batch")
    assert not visits(keyed, "/event/without-key")
    pixel(keyed, "event=keyed+pixel&anonymousId=a&writeKey=wk_site")
    arrives(keyed, "/event/keyed-pixel")
    pixel(keyed, "event=keyless+pixel&anonymousId=a")  # who loads an image is a browser
    arrives(keyed, "/event/keyless-pixel")


# ---- the rest of HTTP ----

@pytest.mark.servers("nginx", "httpd-event", "httpd-worker")
def test_http_2(shared):
    own = {"Origin": "http://127.0.0.1:%d" % shared.port2, "User-Agent": BROWSER}
    assert http_talk.http2(shared.port2, "/mkto/v1/t", track("by http2"), own).status == 200
    arrives(shared, "/event/by-http2")
    reply = http_talk.http2(shared.port2, "/mkto/marketo.js", b"", method="GET")
    assert reply.status == 200 and reply.body == shared.get("/mkto/marketo.js").body
    reply = http_talk.http2(shared.port2, "/mkto/v1/t", b"{}", {"Origin": EVIL})
    assert reply is None or reply.status == 403  # or cut short, for its body was not read
    assert http_talk.http2(shared.port2, "/mkto/v1/t", b"", method="OPTIONS").status == 204
