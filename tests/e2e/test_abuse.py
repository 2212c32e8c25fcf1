"""What somebody may try who has no write key, and what becomes of it: README, "Abuse and privacy"."""
import base64
import hashlib
import json
import os
import time
import urllib.parse

import pytest

import http_talk
from servers import SANITIZED
from waiting import wait_until

pytestmark = pytest.mark.servers("nginx", "httpd-event")

HOST = "www.example.com"
PERSON = {"Host": HOST, "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"}
OWN = {**PERSON, "Origin": "http://" + HOST, "Sec-Fetch-Site": "same-origin"}
FOREIGN = {**PERSON, "Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Content-Type": "text/plain"}
PARTNER = {**PERSON, "Origin": "https://app.example.net", "Sec-Fetch-Site": "cross-site"}
TOM = {"userId": "1", "traits": {"email": "tom@example.com"}}
TRACK = {"event": "Signed Up", "userId": "1", "context": {"page": {"url": "https://www.example.com/"}}}
KEY = "munchkin-private-key"


def hash_of(email):
    return hashlib.sha1((KEY + email).encode()).hexdigest()


def use_addresses(server):
    """A proxy that the server believes: the visitor's address stands in X-Visitor."""
    server.text["nginx"] += "set_real_ip_from 127.0.0.1; real_ip_header X-Visitor;\n"
    server.text["httpd"] += "RemoteIPHeader X-Visitor\nRemoteIPInternalProxy 127.0.0.1\n"
    server.modules.append("remoteip")


def start(server, text=None, **keys):
    server.conf["marketo"].update(keys)
    server.conf["sources"]["backend"] = "wk_backend"
    server.location(text=text)
    server.start()
    wait_until(lambda: os.path.exists(server.conf.socket) and server.status()["intake"]["presences"], what="a courier that is held")


def visits(sandbox, count):
    return wait_until(lambda: len(done := [call for call in sandbox.calls("munchkin") if call["status"] is not None]) >= count and done,
                      what="%d visits" % count)


def parameters(visit):
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(visit["target"]).query, keep_blank_values=True))


def test_a_page_of_another_site(server, sandbox):
    start(server)
    for call, body in (("track", TRACK), ("identify", TOM), ("page", {"userId": "1"}), ("batch", {"batch": [dict(TRACK, type="track")]})):
        reply = server.post(call, body, FOREIGN)
        assert reply.status == 403 and not reply.json["success"], call
        assert "access-control-allow-origin" not in reply.headers
    assert server.post("track", TRACK, dict(FOREIGN, Origin="null")).status == 403
    for origins in (("http://" + HOST, "https://evil.example"), ("https://evil.example", "http://" + HOST)):
        lines = "".join("Origin: %s\r\n" % origin for origin in origins)
        reply = server.raw(("POST /mkto/v1/track HTTP/1.1\r\nHost: %s\r\n%sContent-Length: 2\r\nConnection: close\r\n\r\n{}" % (HOST, lines)).encode())
        assert [it.status for it in reply] == [403], origins
    assert server.post("track", TRACK, OWN).status == 200
    assert len(visits(sandbox, 1)) == 1 and server.status()["intake"]["accepted"] == 1


def test_an_allowed_page_may_track_and_not_identify(server):
    allow = "https://app.example.net"
    start(server, {"nginx": "marketo_allow_origin %s;" % allow, "httpd": "MarketoAllowOrigin %s\n" % allow})
    assert server.post("track", TRACK, PARTNER).status == 200
    reply = server.post("identify", TOM, PARTNER)
    assert reply.status == 403 and "identify" in reply.json["error"] and reply.headers["access-control-allow-origin"] == allow
    assert server.post("group", {"userId": "1", "groupId": "g", "traits": {"name": "A"}}, PARTNER).status == 403
    batch = server.post("batch", {"batch": [dict(TRACK, type="track"), dict(TOM, type="identify")]}, PARTNER)
    assert batch.status == 200 and [item["index"] for item in batch.json["rejected"]] == [1] and "identify" in batch.json["rejected"][0]["error"]
    assert server.post("identify", TOM, OWN).status == 200
    assert server.status()["intake"]["rejected_by"]["identify"] == 3


def test_what_was_taken_is_sent(server, sandbox):
    """`identify` is tightened while an identify waits for Marketo: it was promised, and later ones are not taken."""
    allow = "https://app.example.net"
    start(server, {"nginx": "marketo_allow_origin %s;" % allow, "httpd": "MarketoAllowOrigin %s\n" % allow}, identify="open", batch_wait="1m")
    assert server.post("identify", TOM, PARTNER).status == 200
    server.conf["marketo"].update(identify="trusted", batch_wait="0")
    server.conf.write()
    server.reload()
    wait_until(lambda: server.post("identify", TOM, PARTNER).status == 403, what="the new rule")
    wait_until(lambda: sandbox.lead("tom@example.com"), what="the lead")
    assert server.status()["spool"]["dead"] == 0


def test_a_forged_origin(server, sandbox):
    """A program writes the headers that it likes: only the site's own word, or a write key, binds it."""
    start(server, identify="trusted")
    reply = server.post("identify", TOM, OWN)
    assert reply.status == 403 and "identify = trusted" in reply.json["error"]
    assert server.post("identify", TOM, dict(OWN, Authorization="Bearer wrong")).status == 403
    assert sandbox.calls() == []
    assert server.post("identify", TOM, dict(PERSON, Authorization="Bearer wk_backend")).status == 200
    wait_until(lambda: sandbox.lead("tom@example.com"), what="the lead")


def test_a_write_key_in_a_page(server, sandbox):
    """Everybody can read it there: it trusts nobody, in whichever way the page sends it."""
    use_addresses(server)
    start(server, identify="trusted", rate="1", rate_burst="20")
    visitor = dict(OWN, **{"X-Visitor": "192.0.2.1"})
    basic = "Basic " + base64.b64encode(b"wk_backend:").decode()
    for more, headers in (({"writeKey": "wk_backend"}, {}), ({}, {"Authorization": "Bearer wk_backend"}), ({}, {"Authorization": basic})):
        reply = server.post("identify", dict(TOM, **more), dict(visitor, **headers))
        assert reply.status == 403 and "identify = trusted" in reply.json["error"]
        only_fetch = {name: value for name, value in dict(visitor, **headers).items() if name != "Origin"}
        assert server.post("identify", dict(TOM, **more), only_fetch).status == 403
    batch = {"writeKey": "wk_backend", "batch": [dict(TOM, type="identify"), dict(TRACK, type="track")]}
    assert server.post("batch", batch, visitor).json["rejected_total"] == 1
    replies = [server.post("track", dict(TRACK, writeKey="wk_backend"), visitor).status for _ in range(60)]
    assert set(replies) == {200, 429}
    assert server.post("track", dict(TRACK, writeKey="wk_backend"), {"X-Visitor": "192.0.2.1"}).status == 200  # of a server
    assert sandbox.lead("tom@example.com") is None


def test_a_key_in_a_page_sets_no_protected_field(server, sandbox):
    start(server)
    body = {"userId": "1", "writeKey": "wk_backend", "traits": {"email": "tom@example.com", "firstName": "Tom", "leadScore": 100}}
    assert server.post("identify", body, OWN).status == 200
    lead = wait_until(lambda: sandbox.lead("tom@example.com"), what="the lead")["fields"]
    assert lead["firstName"] == "Tom" and "leadScore" not in lead


def test_the_site_knows_who_it_is(server, sandbox):
    start(server, {"nginx": "marketo_email $arg_user;", "httpd": 'MarketoEmail "%{req:X-User}"\n'}, identify="trusted")
    reply = server.request("POST", "/mkto/v1/identify?user=ada@example.com", TOM, dict(OWN, **{"X-User": "ada@example.com"}))
    assert reply.status == 200
    wait_until(lambda: sandbox.lead("ada@example.com"), what="the lead")
    assert sandbox.lead("tom@example.com") is None


@pytest.fixture
def signing(server):
    server.conf["marketo"]["munchkin_private_key_file"] = server.conf.secret("munchkin.key", KEY)
    return server


def ask_hash(server, headers, email="Ada@example.com"):
    return server.request("POST", "/mkto/hash", {"email": email}, headers)


def test_a_hash(signing, sandbox):
    use_addresses(signing)
    start(signing)
    asked = dict(OWN, **{"X-Marketo-Hash": "1", "X-Visitor": "192.0.2.1"})
    reply = ask_hash(signing, asked)
    assert reply.status == 200 and reply.json == {"success": True, "hash": hash_of("Ada@example.com")}
    assert reply.headers["cache-control"] == "no-store"
    for headers in (dict(FOREIGN, **{"X-Marketo-Hash": "1"}), dict(PERSON, **{"X-Marketo-Hash": "1"}), OWN):
        reply = ask_hash(signing, headers)
        assert reply.status == 403 and "hash" not in reply.json
    replies = [ask_hash(signing, asked) for _ in range(60)]
    slow = [reply for reply in replies if reply.status == 429]
    assert len(slow) > 10 and int(slow[0].headers["retry-after"]) >= 1
    assert ask_hash(signing, dict(asked, **{"X-Visitor": "198.51.100.1"})).status == 200
    assert sandbox.calls() == [] and hash_of("Ada@example.com") not in signing.read(signing.log)


def test_no_hash_without_a_key(server):
    start(server)
    assert ask_hash(server, dict(OWN, **{"X-Marketo-Hash": "1"})).status == 404


BAD_TOKENS = ["_mch-example.com-1374552656411-90718%0d%0aX-Injected:%201", "_mch-example.com-1%00", "_mch-example.com-1%20-2",
              "_mch-example.com-1%2c-2", "_mch-example.com-1%e2%82%ac-2", "_mch-example.com-" + "1" * 4096]


def test_cookies_that_are_none(server, sandbox):
    start(server)
    for number, token in enumerate(BAD_TOKENS):
        cookie = {"Cookie": "_mkto_trk=id:561-HYG-937&token:" + token}
        reply = server.post("track", dict(TRACK, userId="u%d" % number), dict(OWN, **cookie))
        assert reply.status == 200, token
    tokens = [parameters(visit)["_mchTk"] for visit in visits(sandbox, len(BAD_TOKENS))]
    assert len(set(tokens)) == len(BAD_TOKENS)
    assert all(len(token) < 64 and token.isprintable() and "1374552656411" not in token for token in tokens), tokens
    assert not any("x-injected" in map(str.lower, visit["headers"]) for visit in sandbox.calls("munchkin"))


def test_a_line_break_in_a_cookie_header(server, sandbox):
    """Raw: either server ends the header there, and what follows is a header that nobody asks for."""
    body = json.dumps(TRACK).encode()
    start(server)
    replies = server.raw(b"POST /mkto/v1/track HTTP/1.1\r\nHost: www.example.com\r\nContent-Type: application/json\r\nConnection: close\r\n"
                         b"Authorization: Bearer wk_backend\r\nCookie: _mkto_trk=id:561-HYG-937&token:_mch-a.com-1-12345\r\n"
                         b"X-Injected: 1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    assert [reply.status for reply in replies] == [200]
    assert parameters(visits(sandbox, 1)[0])["_mchTk"] == "_mch-a.com-1-12345"
    assert "X-Injected" not in sandbox.calls("munchkin")[0]["headers"]


def test_many_cookies_from_one_address(server, sandbox):
    use_addresses(server)
    start(server, rate="1", rate_burst="20")
    stored = slow = 0
    with server.talk() as talk:
        for number in range(200):
            reply = talk.request("POST", "/mkto/v1/track", TRACK, dict(
                OWN, Cookie="_mkto_trk=id:561-HYG-937&token:_mch-example.com-1374552656411-%05d" % number,
                **{"X-Visitor": "192.0.2.%d" % (number % 250 + 1)}))
            stored += reply.status == 200
            slow += reply.status == 429
            if reply.status == 429:
                assert int(reply.headers["retry-after"]) >= 1
    assert stored + slow == 200 and 20 <= stored < 100
    for visitor in ({"X-Visitor": "198.51.100.1"}, {"X-Visitor": "2001:db8:1::1"},
                    {"X-Visitor": "192.0.2.1", "Authorization": "Bearer wk_backend"}, {}):
        assert server.post("track", TRACK, dict(PERSON if "Authorization" in visitor else OWN, **visitor)).status == 200, visitor
    assert len(visits(sandbox, stored + 4)) == stored + 4
    assert server.status()["intake"]["rejected_by"]["rate"] == slow


def flood(server, start, count):
    """Tracks of one address, each with a cookie of its own, in one connection. Returns how many were stored."""
    body = json.dumps(TRACK).encode()
    request = (b"POST /mkto/v1/track HTTP/1.1\r\nHost: www.example.com\r\nOrigin: http://www.example.com\r\nUser-Agent: Mozilla/5.0 Firefox/128.0\r\n"
               b"X-Visitor: 192.0.2.1\r\nCookie: _mkto_trk=id:561-HYG-937&token:_mch-example.com-1374552656411-%05d\r\n"
               b"Content-Type: application/json\r\nContent-Length: " + b"%d" % len(body) + b"\r\n%s\r\n" + body)
    last = start + count - 1
    sent = b"".join(request % (number, b"Connection: close\r\n" if number == last else b"") for number in range(start, start + count))
    got = http_talk.exchange(server.port, sent)
    assert got.count(b"HTTP/1.1 200 ") + got.count(b"HTTP/1.1 429 ") == got.count(b"HTTP/1.1 ") == count
    return got.count(b"HTTP/1.1 200 ")


def test_a_hundred_thousand_cookies_from_one_address(server, sandbox):
    """With the rates of default: what Marketo gets is a burst and a trickle, and the courier remembers no cookie that it refused."""
    use_addresses(server)
    server.text["httpd"] += "MaxKeepAliveRequests 0\n"
    start(server, rate="25", rate_burst="500")
    begin = time.monotonic()
    count = 10000 if SANITIZED else 100000
    stored = sum(flood(server, first, 1000) for first in range(0, count, 1000))
    assert 500 <= stored <= 500 + 25 * (time.monotonic() - begin + 1)
    intake = server.status()["intake"]
    assert (intake["accepted"], intake["rejected_by"]["rate"]) == (stored, count - stored)
    tokens = {parameters(visit)["_mchTk"] for visit in visits(sandbox, stored)}
    assert len(tokens) == stored


def test_a_cookie_of_another_subscription(server, sandbox):
    start(server)
    cookie = {"Cookie": "_mkto_trk=id:123-ABC-456&token:_mch-example.com-1374552656411-90718"}
    assert server.post("identify", TOM, dict(OWN, **cookie)).status == 200
    assert server.post("track", TRACK, dict(OWN, **cookie)).status == 200
    visit = parameters(visits(sandbox, 1)[0])
    assert (visit["_mchId"], visit["_mchTk"]) == ("561-HYG-937", "_mch-example.com-1374552656411-90718")
    wait_until(lambda: sandbox.calls("rest", "associate"), what="Associate Lead")
    assert "123-ABC-456" not in urllib.parse.unquote(sandbox.calls("rest", "associate")[0]["target"])
    assert sandbox.store.violations == []


SCRIPT = "\"'><script>alert(1)</script>&amp;\r\n\u202e]]>{{7*7}}${x}\\"


@pytest.mark.parametrize("api", ["rest", "soap"])
def test_a_script_in_every_field(server, sandbox, api):
    """Marketo gets the text as it is, and no request is broken by it."""
    start(server, api=api)
    traits = {name: SCRIPT for name in ("firstName", "lastName", "company", "title", "phone", "city")}
    identify = {"userId": SCRIPT, "anonymousId": SCRIPT, "traits": dict(traits, email="tom@example.com"), "context": {"page": {"url": SCRIPT}}}
    assert server.post("identify", identify, OWN).status == 200
    lead = wait_until(lambda: sandbox.lead("tom@example.com"), what="the lead")["fields"]
    sent = {str(value).replace("\r\n", "\n") for name, value in lead.items() if name not in ("email", "Email", "id", "Id")}
    assert SCRIPT.replace("\r\n", "\n") in sent
    track = {"event": SCRIPT, "userId": "1", "properties": {SCRIPT: SCRIPT},
             "context": {"page": {"url": "https://www.example.com/?q=%3Cscript%3E", "referrer": SCRIPT}}}
    assert server.post("track", track, dict(OWN, **{"Referer": "http://www.example.com/<script>"})).status == 200
    visit = visits(sandbox, 1)[0]
    assert "<script>" not in visit["target"] and "\n" not in visit["target"]
    assert "<script>alert(1)</script>" in parameters(visit)["_mchRu"]
    assert sandbox.store.violations == []


def test_fields_that_nobody_sets_without_a_key(server, sandbox):
    start(server, fields_protected="Behavior_Score__c", fields_deny="city")
    traits = {"email": "tom@example.com", "firstName": "Tom", "city": "Rome", "leadScore": 100, "unsubscribed": False, "Lead_Status": "Won",
              "id": "7"}
    assert server.post("identify", {"userId": "1", "traits": traits}, OWN).status == 200
    lead = wait_until(lambda: sandbox.lead("tom@example.com"), what="the lead")["fields"]
    assert lead["firstName"] == "Tom" and not {"leadScore", "unsubscribed", "leadStatus", "city"} & set(lead)
    keyed = {"userId": "1", "traits": dict(traits, firstName="Thomas")}
    del keyed["traits"]["Lead_Status"]
    assert server.post("identify", keyed, dict(PERSON, Authorization="Bearer wk_backend")).status == 200
    wait_until(lambda: sandbox.lead("tom@example.com")["fields"].get("leadScore") == 100, what="the score")
    assert "city" not in sandbox.lead("tom@example.com")["fields"]
    assert server.status()["dispatch"]["subscriptions"][0]["withheld_by_rule"] == {"fields_deny": 2, "fields_protected": 3}


def test_programs_and_unwanted_events(server, sandbox):
    start(server, events_deny="Internal Test, alias")
    assert server.post("track", TRACK, dict(OWN, **{"User-Agent": "Mozilla/5.0 (compatible; Examplebot/1.0)"})).status == 200
    assert server.post("track", dict(TRACK, event="internal_test"), OWN).status == 200
    assert server.post("track", TRACK, OWN).status == 200
    assert len(visits(sandbox, 1)) == 1
    assert server.status()["intake"]["filtered_by"] == {"bot": 1, "events_deny": 1}


def test_only_the_network_of_an_address(server, sandbox):
    use_addresses(server)
    start(server, anonymize_ip="on")
    assert server.post("track", TRACK, dict(OWN, **{"X-Visitor": "192.0.2.77"})).status == 200
    assert server.post("track", dict(TRACK, context={"ip": "2001:db8:1:2::3"}),
                       {**PERSON, "X-Visitor": "192.0.2.77", "Authorization": "Bearer wk_backend"}).status == 200
    found = visits(sandbox, 2)
    assert {visit["headers"]["X-Forwarded-For"] for visit in found} == {"192.0.2.0", "2001:db8:1::"}
    assert all(parameters(visit)["aip"] == "1" for visit in found)
