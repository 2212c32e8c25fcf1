"""
`marketo map`: what events become, the product text's own examples first.
"""
import hashlib
import hmac
import json
import os
import urllib.parse

import pytest

from command import NOW, Conf, run

COOKIE = "id:561-HYG-937&token:_mch-marketo.com-1374552656411-90718"
TOKEN = "_mch-marketo.com-1374552656411-90718"
SOAP = "http://www.marketo.com/mktows/"

JAVA = {"type": "identify", "userId": "hj2kf92ds212", "traits": {"email": "tom@example.com", "name": "Tom Smykowski"}}
RUBY = {"type": "identify", "userId": "019mr8mf4r",
        "traits": {"email": "Jake@segment.com", "firstName": "Jake", "lastName": "Peterson"},
        "context": {"Marketo": {"marketoCookie": COOKIE}}}
TRACK = {"type": "track", "userId": "019mr8mf4r", "event": "Update Buying Period",
         "properties": {"newPeriod": "2016-01-01", "lastName": "Peterson", "email": "Jake@segment.com"},
         "context": {"Marketo": {"marketoCookie": COOKIE}}}


@pytest.fixture(name="conf")
def new_conf(tmp_path):
    return Conf(tmp_path)


def map_events(conf, events, *args, code=0):
    """`marketo map` of JSON lines, as a list of objects."""
    given = events if isinstance(events, str) else "".join(json.dumps(event) + "\n" for event in events)
    out, _ = run("map", "--config", conf.path, "--now", NOW, *args, given=given, code=code)
    return [json.loads(line) for line in out.splitlines()]


def map_one(conf, event, *args, code=0):
    lines = map_events(conf, [event], *args, code=code)
    assert len(lines) == 1
    return lines[0]


# ---- map: the product text's examples ----

def test_java_example(conf):
    soap = map_one(conf, JAVA, "--api", "soap")
    assert soap["kind"] == "lead" and soap["api"] == "soap" and soap["key"]["email"] == "tom@example.com"
    assert soap["fields"] == {"FirstName": "Tom", "LastName": "Smykowski", "UserId": "hj2kf92ds212"}
    rest = map_one(conf, JAVA, "--api", "rest")
    assert rest["kind"] == "lead" and rest["api"] == "rest" and rest["key"]["email"] == "tom@example.com"
    assert rest["fields"] == {"firstName": "Tom", "lastName": "Smykowski", "userId": "hj2kf92ds212"}


def test_ruby_example(conf):
    soap = map_one(conf, RUBY, "--api", "soap")
    assert soap["key"] == {"email": "Jake@segment.com", "cookie": COOKIE}
    assert soap["fields"] == {"FirstName": "Jake", "LastName": "Peterson", "UserId": "019mr8mf4r"}
    rest = map_one(conf, RUBY)
    assert rest["key"] == {"email": "Jake@segment.com", "cookie": COOKIE}
    assert rest["fields"] == {"firstName": "Jake", "lastName": "Peterson", "userId": "019mr8mf4r"}


@pytest.mark.parametrize("trait, soap, rest", [
    ("secondFavoriteColor", "SecondFavoriteColor", "secondFavoriteColor"),
    ("second_favorite_color", "Second_favorite_color", "second_favorite_color"),
    ("someTrait", "SomeTrait", "someTrait"),
])
def test_casing(conf, trait, soap, rest):
    event = {"type": "identify", "userId": "1", "traits": {"email": "tom@example.com", trait: "Blue"}}
    assert map_one(conf, event, "--api", "soap")["fields"][soap] == "Blue"
    assert map_one(conf, event, "--api", "rest")["fields"][rest] == "Blue"


@pytest.mark.parametrize("api", ["soap", "rest"])
def test_track_example(conf, api):
    visit = map_one(conf, TRACK, "--api", api)
    assert visit["kind"] == "visit"
    url = urllib.parse.urlsplit(visit["url"])
    assert url.path == "/webevents/visitWebPage"
    query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
    assert query["_mchRu"] == "/event/Update-Buying-Period"
    assert query["_mchTk"] == TOKEN and query["_mchId"] == "561-HYG-937" and query["_mchNc"] == str(NOW)
    params = dict(urllib.parse.parse_qsl(query["_mchQp"]))
    assert params == {"newPeriod": "2016-01-01", "lastName": "Peterson", "email": "Jake@segment.com"}


def test_rejected_and_filtered(conf):
    no_email = {"type": "identify", "userId": "1", "traits": {"a": 1}}
    line = map_one(conf, no_email, code=1)
    assert line["kind"] == "rejected" and line["reason"] == "no_email" and line["detail"]
    filtered = dict(JAVA, integrations={"Marketo": False})
    line = map_one(conf, filtered)
    assert line["kind"] == "filtered" and line["reason"] == "integrations"


def test_types_of_values(conf):
    event = {"type": "identify", "userId": "1",
             "traits": {"email": "tom@example.com", "seats": 12.50, "paying": True, "tags": ["a"], "x": None}}
    rest = map_one(conf, event)
    assert rest["fields"]["seats"] == 12.5 and rest["fields"]["paying"] is True and rest["dropped"] == 1
    assert "x" not in rest["fields"]
    soap = map_one(conf, event, "--api", "soap")
    assert soap["fields"]["Paying"] == "true" and soap["fields"]["Seats"] == "12.5"


# ---- map: input ----

def test_lines_batch_and_one_document(conf):
    pretty = json.dumps(JAVA, indent=2)
    assert [line["kind"] for line in map_events(conf, pretty)] == ["lead"]
    batch = {"batch": [JAVA, TRACK], "context": {"library": {"name": "x"}}}
    assert [line["kind"] for line in map_events(conf, json.dumps(batch, indent=1))] == ["lead", "visit"]
    lines = "\n" + json.dumps(JAVA) + "\r\n\n" + json.dumps(batch) + "\n" + json.dumps(TRACK)
    assert [line["kind"] for line in map_events(conf, lines)] == ["lead", "lead", "visit", "visit"]


def test_bad_item_does_not_spoil_its_neighbours(conf):
    batch = {"batch": [JAVA, {"type": "track", "userId": "1"}, TRACK]}
    lines = map_events(conf, [batch], code=1)
    assert [line["kind"] for line in lines] == ["lead", "rejected", "visit"]
    assert lines[1]["reason"] == "bad_request" and "event" in lines[1]["detail"]
    lines = map_events(conf, json.dumps(JAVA) + "\n{]\n" + json.dumps(TRACK), code=1)
    assert [line["kind"] for line in lines] == ["lead", "rejected", "visit"]
    assert "at byte 1" in lines[1]["detail"]


@pytest.mark.parametrize("given, detail", [
    ("{", "at byte 1"), ("nonsense", "at byte"), ('{"type":"polka"}', "type: must be identify"), ("[]", ""),
    ('{"userId":"1","event":"x"}', "--type"), ('{"type":"track","event":"x"}', "userId"), ("7", ""),
])
def test_what_is_no_event(conf, given, detail):
    lines = map_events(conf, given, code=1)
    assert len(lines) == 1 and lines[0]["kind"] == "rejected" and lines[0]["reason"] == "bad_request"
    assert detail in lines[0]["detail"]


def test_no_input(conf):
    assert "there is no event on stdin" in run("map", "--config", conf.path, given=" \n\n", code=3)[1]


def test_type_option(conf):
    event = {key: value for key, value in TRACK.items() if key != "type"}
    assert map_one(conf, event, "--type", "track")["kind"] == "visit"
    assert "--type is identify" in run("map", "--config", conf.path, "--type", "batch", given="{}", code=3)[1]


def test_cookie_option(conf):
    event = {"type": "identify", "userId": "1", "traits": {"email": "tom@example.com"}}
    assert map_one(conf, event, "--cookie", COOKIE)["key"]["cookie"] == COOKIE
    assert map_one(conf, event, "--cookie", urllib.parse.quote(COOKIE))["key"]["cookie"] == COOKIE
    assert "--cookie is the value" in run("map", "--config", conf.path, "--cookie", "x", given="{}", code=3)[1]


def test_browser_option(conf):
    event = {"type": "page", "anonymousId": "a", "context": {"userAgent": "Spoofed/1", "ip": "192.0.2.9",
                                                             "page": {"url": "https://www.example.com/a"}}}
    keyed = map_one(conf, event, "--user-agent", "Real/1", "--address", "192.0.2.1")
    assert keyed["headers"]["User-Agent"] == "Spoofed/1" and keyed["headers"]["X-Forwarded-For"] == "192.0.2.9"
    browser = map_one(conf, event, "--browser", "--user-agent", "Real/1", "--address", "192.0.2.1")
    assert browser["headers"]["User-Agent"] == "Real/1" and browser["headers"]["X-Forwarded-For"] == "192.0.2.1"


def test_what_a_browser_may_do(conf):
    event = {"type": "identify", "userId": "1", "traits": {"email": "tom@example.com", "leadScore": 9, "city": "Rome"}}
    keyed = map_one(conf, event, "--api", "rest")
    assert keyed["fields"] == {"leadScore": 9, "city": "Rome", "userId": "1"} and "withheld" not in keyed
    browser = map_one(conf, event, "--api", "rest", "--browser")
    assert browser["fields"] == {"city": "Rome", "userId": "1"}
    assert browser["withheld"] == {"leadScore": "fields_protected"}
    foreign = map_one(conf, event, "--foreign", code=1)
    assert foreign["kind"] == "rejected" and foreign["reason"] == "identify" and "same_origin" in foreign["detail"]
    assert map_one(conf, event, "--browser", "--email", "ada@example.com")["key"]["email"] == "ada@example.com"
    assert map_one(conf, event, "--browser", "--user-agent", "Googlebot/2.1 Mozilla/5.0 bot") == {
        "kind": "filtered", "reason": "bot", "detail": "the user agent is no person's browser"}


def test_click(conf):
    click = dict(TRACK, integrations={"Marketo": {"clickLink": "https://other.example/a"}})
    for api in ("rest", "soap"):
        visit = map_one(conf, click, "--api", api)
        assert visit["kind"] == "visit" and "/webevents/clickLink?" in visit["url"]
        assert "&_mchHr=https%3A%2F%2Fother.example%2Fa&" in visit["url"]
    assert map_one(conf, dict(click, integrations={"Marketo": {"clickLink": "nonsense"}})) == map_one(conf, TRACK)


def test_subscriptions(tmp_path):
    conf = Conf(tmp_path, "[marketo brand-b]", "munchkin_id = AAA-BBB-CCC", "rest_client_id = b",
                "rest_client_secret_file = /nowhere")
    visit = map_one(conf, TRACK, "--subscription", "brand-b")
    assert visit["url"].startswith("https://aaa-bbb-ccc.mktoresp.com/webevents/visitWebPage?")
    out, err = run("map", "--config", conf.path, "--subscription", "polka", given="{}", code=3)
    assert out == "" and "has no [marketo polka] section" in err and "[marketo brand-b] in line" in err


def test_map_needs_no_secret(conf):
    for name in ("rest.secret", "soap.key", "munchkin.key"):
        os.remove(conf.file(name))
    assert map_one(conf, RUBY)["kind"] == "lead"
    out, err = run("map", "--config", conf.path, "--api", "soap", "--wire", given=json.dumps(RUBY), code=3)
    assert out == "" and "soap.key: there is no such file" in err


def test_output_is_reproducible(conf):
    given = "".join(json.dumps(event) + "\n" for event in (JAVA, RUBY, TRACK))
    args = ("map", "--config", conf.path, "--api", "soap", "--wire", "--now", NOW)
    assert run(*args, given=given) == run(*args, given=given)


# ---- map --wire ----

def test_wire_rest(conf):
    requests = map_events(conf, [RUBY], "--wire", "--json")
    assert [(r["method"], r["url"]) for r in requests] == [
        ("POST", "http://127.0.0.1:9/rest/v1/leads.json"),
        ("POST", "http://127.0.0.1:9/rest/v1/leads/<id>/associate.json?cookie=" + urllib.parse.quote(COOKIE, safe=""))]
    assert all(r["headers"]["Authorization"] == "Bearer <token>" for r in requests)
    body = json.loads(requests[0]["body"])
    assert body["action"] == "createOrUpdate" and body["lookupField"] == "email"
    assert body["input"] == [{"email": "Jake@segment.com", "firstName": "Jake", "lastName": "Peterson",
                              "userId": "019mr8mf4r"}]


def test_wire_text(conf):
    out, err = run("map", "--config", conf.path, "--wire", "--now", NOW, given=json.dumps(RUBY))
    head, _, rest = out.partition("\r\n\r\n")
    lines = head.split("\r\n")
    assert lines[0] == "POST /rest/v1/leads.json HTTP/1.1" and lines[1] == "Host: 127.0.0.1:9"
    size = int(dict(line.split(": ", 1) for line in lines[1:])["Content-Length"])
    assert json.loads(rest[:size])["input"][0]["email"] == "Jake@segment.com"
    assert rest[size:].startswith("\n\nPOST /rest/v1/leads/<id>/associate.json?cookie=id%3A561-HYG-937%26token%3A")
    assert err == ""


def test_wire_soap(conf):
    (request,) = map_events(conf, [RUBY], "--api", "soap", "--wire", "--json")
    assert request["url"] == "http://127.0.0.1:9/soap/mktows/3_1"
    assert request["headers"]["SOAPAction"] == '"%ssyncLead"' % SOAP
    stamp = "2026-01-02T03:04:05+00:00"
    signature = hmac.new(b"0123456789ABCDEF0123456789ABCDEF", (stamp + "mktows_demo1_0123456789ABCDEF").encode(),
                         hashlib.sha1).hexdigest()
    assert signature == "76076f22986d648dcdc18cec75df0e812e44a4b0"  # as OpenSSL computes it
    for part in ("<requestTimestamp>%s</requestTimestamp>" % stamp, "<requestSignature>%s</requestSignature>" % signature,
                 "<Email>Jake@segment.com</Email>", "<attrName>FirstName</attrName>",
                 "<marketoCookie>%s</marketoCookie>" % COOKIE.replace("&", "&amp;")):
        assert part in request["body"]


def test_wire_leaves_rejected_out_of_the_requests(conf):
    given = json.dumps({"type": "identify", "userId": "1", "traits": {}}) + "\n" + json.dumps(TRACK)
    out, err = run("map", "--config", conf.path, "--wire", given=given, code=1)
    assert err.startswith("rejected: no_email: ") and out.startswith("POST /webevents/visitWebPage?")
