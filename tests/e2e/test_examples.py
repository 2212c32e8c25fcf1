"""
The examples of the product text, sent through each server and checked on the bytes that Marketo got: the lead with its field
names, the cookie, and the visit that a track becomes. Over REST and over SOAP.
"""
import json
import re

import pytest
from marketo_sandbox import Sandbox

from waiting import wait_until

COOKIE = "id:561-HYG-937&token:_mch-marketo.com-1374552656411-90718"
TOKEN = "_mch-marketo.com-1374552656411-90718"
MARKETO = {"Marketo": {"marketoCookie": COOKIE}}

JAVA = {"userId": "hj2kf92ds212", "traits": {"email": "tom@example.com", "name": "Tom Smykowski"}}
RUBY = {"userId": "019mr8mf4r", "traits": {"email": "Jake@segment.com", "firstName": "Jake", "lastName": "Peterson"},
        "context": MARKETO}
BROWSER = {"userId": "1234", "traits": {"email": "example@example.com", "name": "Jake Peterson", "company": "Segment",
                                        "favoriteColor": "Blue"}}
TRAITS = {"userId": "u-1", "traits": {"email": "t@example.com", "secondFavoriteColor": "Blue",
                                      "second_favorite_color": "Red", "someTrait": "Yes"}}
TRACK = {"userId": "019mr8mf4r", "event": "Update Buying Period",
         "properties": {"newPeriod": "2016-01-01", "lastName": "Peterson", "email": "Jake@segment.com"}, "context": MARKETO}

# Names as they stand in Marketo: SOAP name, REST name, value.
FIELDS = {
    "java": (JAVA, "tom@example.com", [("FirstName", "firstName", "Tom"), ("LastName", "lastName", "Smykowski"),
                                       ("UserId", "userId", "hj2kf92ds212")]),
    "ruby": (RUBY, "Jake@segment.com", [("FirstName", "firstName", "Jake"), ("LastName", "lastName", "Peterson"),
                                        ("UserId", "userId", "019mr8mf4r")]),
    "browser": (BROWSER, "example@example.com", [("FirstName", "firstName", "Jake"), ("LastName", "lastName", "Peterson"),
                                                 ("Company", "company", "Segment"),
                                                 ("FavoriteColor", "favoriteColor", "Blue"), ("UserId", "userId", "1234")]),
    "traits": (TRAITS, "t@example.com", [("SecondFavoriteColor", "secondFavoriteColor", "Blue"),
                                         ("Second_favorite_color", "second_favorite_color", "Red"),
                                         ("SomeTrait", "someTrait", "Yes"), ("UserId", "userId", "u-1")]),
}


@pytest.fixture(params=["rest", "soap"])
def api(request, server):
    server.conf["marketo"]["api"] = request.param
    server.start()
    return request.param


def sync_call(sandbox, kind):
    """The one call that wrote leads."""
    ops = {"rest": ("sync",), "soap": ("syncLead", "syncMultipleLeads")}[kind]
    calls = wait_until(lambda: [call for call in sandbox.calls(kind) if call["op"] in ops and call["status"] is not None],
                       what=lambda: "a lead arrives: %s" % [(c["api"], c["op"], c["status"], c["answer"]) for c in sandbox.calls()])
    assert len(calls) == 1 and calls[0]["status"] == 200, calls
    return calls[0]


def visit_target(sandbox):
    calls = wait_until(lambda: [call for call in sandbox.calls("munchkin") if call["status"] is not None], what="a visit arrives")
    assert len(calls) == 1
    assert (calls[0]["method"], calls[0]["status"], calls[0]["body"]) == ("POST", 200, ""), calls[0]
    return calls[0]["target"]


@pytest.mark.parametrize("example", FIELDS)
def test_identify(server, sandbox, api, example):
    event, email, fields = FIELDS[example]
    assert server.post("identify", event).json == {"success": True}
    call = sync_call(sandbox, api)
    if api == "rest":
        want = {"email": email, **{rest: value for _, rest, value in fields}}
        body = json.loads(call["body"])
        assert body["input"] == [want]
        assert (body["action"], body["lookupField"]) == ("createOrUpdate", "email")
        for _, rest, value in fields:
            assert '"%s":"%s"' % (rest, value) in call["body"]
        assert call["target"] == "/rest/v1/leads.json"
        assert call["headers"]["Content-Type"].startswith("application/json")
        assert call["headers"]["Authorization"].startswith("Bearer ")
    else:
        assert "<Email>%s</Email>" % email in call["body"]
        got = re.findall(r"<attrName>(\w+)</attrName>(?:<attrType>\w*</attrType>)?<attrValue>([^<]*)</attrValue>", call["body"])
        assert sorted(got) == sorted((soap, value) for soap, _, value in fields)
    assert sandbox.store.violations == []
    stored = sandbox.lead(email)["fields"]
    assert {rest: stored[rest] for _, rest, _ in fields} == {rest: value for _, rest, value in fields}


def test_cookie_joins_lead_and_visitor(server, sandbox, api):
    """Ruby's identify carries the visitor's cookie: the lead gets it."""
    server.post("identify", RUBY)
    call = sync_call(sandbox, api)
    if api == "rest":
        lead = json.loads(call["answer"])["result"][0]["id"]
        wait_until(lambda: sandbox.calls("rest", "associate"), what="Associate Lead")
        target = sandbox.calls("rest", "associate")[0]["target"]
        assert target == ("/rest/v1/leads/%d/associate.json?cookie=id%%3A561-HYG-937%%26token%%3A_mch-marketo.com-"
                          "1374552656411-90718" % lead)
    else:
        assert "<marketoCookie>%s</marketoCookie>" % COOKIE.replace("&", "&amp;") in call["body"]
    wait_until(lambda: TOKEN in sandbox.store.cookies, what="the cookie is the lead's")
    assert sandbox.store.cookies[TOKEN] == sandbox.lead("Jake@segment.com")["id"]
    assert sandbox.store.violations == []


def test_request_cookie(server, sandbox, api):
    """The visitor's own cookie in the request counts as one in the call does."""
    event = dict(RUBY, context={})
    server.post("identify", event, {"Cookie": "a=b; _mkto_trk=%s" % COOKIE})
    sync_call(sandbox, api)
    wait_until(lambda: TOKEN in sandbox.store.cookies, what="the cookie is the lead's")


def test_track(server, sandbox, api):
    """The track of the text: a visit of /event/Update-Buying-Period by the cookie's owner."""
    assert server.post("track", TRACK, {"User-Agent": "Mozilla/5.0 Test", "Accept-Language": "de"}).status == 200
    target = visit_target(sandbox)
    assert re.fullmatch(
        r"/webevents/visitWebPage\?_mchNc=\d{13}&_mchRu=%2Fevent%2FUpdate-Buying-Period"
        r"&_mchQp=newPeriod%3D2016-01-01%26lastName%3DPeterson%26email%3DJake%2540segment\.com"
        r"&_mchId=561-HYG-937&_mchTk=_mch-marketo\.com-1374552656411-90718&_mchHo=www\.example\.com&_mchPo="
        r"&_mchPc=https%3A&_mchVr=164&_mchEcid=&_mchRe=", target), target
    headers = sandbox.calls("munchkin")[0]["headers"]
    assert headers["User-Agent"] == "Mozilla/5.0 Test"
    assert headers["Accept-Language"] == "de"
    assert headers["X-Forwarded-For"] == "127.0.0.1"
    assert sandbox.store.violations == []


CLICKS = {  # the page, the link, how the request begins; golden URLs HAR-k6b and G5 but for the time
    "click": ("https://k6.io/", "https://grafana.com/docs/k6/latest", "_mchHr=https%3A%2F%2Fgrafana.com%2Fdocs%2Fk6%2Flatest"),
    "api-click": ("https://www.example.com/pricing?a=b", "/Football/Team/Seahawks",
                  "_mchLr=%2FFootball%2FTeam%2FSeahawks&_mchHr=%2FFootball%2FTeam%2FSeahawks"),
}


@pytest.mark.parametrize("form", CLICKS)
def test_click(server, sandbox, api, form):
    """A track that says which link was clicked is a click on it, in the page that it was sent from."""
    page, link, head = CLICKS[form]
    event = {"userId": "u", "event": "Clicked Link", "properties": {"href": "x"}, "integrations": {"Marketo": {"clickLink": link}},
             "context": {"page": {"url": page}}}
    cookie = "_mkto_trk=id:561-HYG-937&token:_mch-k6.io-bf2d5c251532b11a405661707033a82"
    assert server.post("track", event, {"Cookie": cookie}).status == 200
    host, path = page.split("?")[0].split("/")[2:]
    assert re.fullmatch(
        r"/webevents/clickLink\?_mchNc=\d{13}&%s&_mchId=561-HYG-937&_mchTk=_mch-k6\.io-bf2d5c251532b11a405661707033a82&_mchCn="
        r"&_mchHo=%s&_mchPo=&_mchRu=%%2F%s&_mchPc=https%%3A&_mchVr=164&_mchEcid=&" % (head, re.escape(host), path), visit_target(sandbox))
    assert [(visit["form"], visit["link"]) for visit in sandbox.store.visits] == [(form, link)]
    assert sandbox.store.violations == []


def test_page(server, sandbox, api):
    """A page call records what Munchkin records for that page (golden URL G1)."""
    event = {"userId": "u", "properties": {
        "url": "https://www.example.com/pricing?utm_source=news&plan=pro%20plus#faq",
        "referrer": "https://www.google.com/search?q=a%20b&x=1"}}
    cookie = "_mkto_trk=id:561-HYG-937&token:_mch-example.com-1374552656411-90718"
    assert server.post("page", event, {"Cookie": cookie}).status == 200
    assert re.fullmatch(
        r"/webevents/visitWebPage\?_mchNc=\d{13}&_mchCn=&_mchId=561-HYG-937&_mchTk=_mch-example\.com-1374552656411-90718"
        r"&_mchHo=www\.example\.com&_mchPo=&_mchRu=%2Fpricing&_mchPc=https%3A&_mchVr=164&_mchEcid=&_mchHa=%23faq"
        r"&_mchRe=https%3A%2F%2Fwww\.google\.com%2Fsearch%3Fq%3Da%20b%26x%3D1"
        r"&_mchQp=utm_source%3Dnews__-__plan%3Dpro%20plus", visit_target(sandbox))


def test_identify_then_track_is_one_person(server, sandbox, api):
    server.post("identify", RUBY)
    sync_call(sandbox, api)
    wait_until(lambda: TOKEN in sandbox.store.cookies, what="the cookie is the lead's")
    server.post("track", TRACK)
    visit_target(sandbox)
    assert [visit["lead"] for visit in sandbox.store.visits] == [sandbox.lead("Jake@segment.com")["id"]]


def test_batch(server, sandbox, api):
    """Several calls in one request, the context of the batch in each."""
    batch = {"context": MARKETO, "batch": [dict(RUBY, type="identify", context={}), dict(TRACK, type="track", context={})]}
    assert server.post("batch", batch).json["success"] is True
    sync_call(sandbox, api)
    assert TOKEN in visit_target(sandbox)
    wait_until(lambda: TOKEN in sandbox.store.cookies, what="the cookie is the lead's")
    assert sandbox.store.violations == []


def test_email_as_user_id(server, sandbox, api):
    event = {"userId": "example@example.com", "traits": {"favoriteColor": "Blue"}}
    assert server.post("identify", event).status == 200
    sync_call(sandbox, api)
    assert sandbox.lead("example@example.com")["fields"]["favoriteColor"] == "Blue"


def test_no_email_no_lead(server, sandbox, api):  # pylint: disable=unused-argument
    """"Remember to provide an email with every call": without one the sender is told so."""
    reply = server.post("identify", {"userId": "1234", "traits": {"favoriteColor": "Blue"}})
    assert reply.status == 400
    assert "email" in reply.json["error"]
    assert server.status()["spool"]["waiting"] == 0
    assert sandbox.calls() == []


def test_integrations_switch(server, sandbox, api):  # pylint: disable=unused-argument
    for integrations in ({"Marketo": False}, {"All": False}):
        assert server.post("identify", dict(RUBY, integrations=integrations)).status == 200
    assert server.post("track", dict(TRACK, integrations={"All": False, "Marketo": True})).status == 200
    visit_target(sandbox)
    assert sandbox.store.leads == {}


def test_two_subscriptions(server, sandbox):
    """Two virtual hosts, two Marketos: each gets its own visitors, with its own id."""
    other = Sandbox(munchkin_id="123-ABC-456", lead_lock_s=0).start()
    try:
        server.conf.use(other, "marketo brand-b")
        server.conf["marketo brand-b"].update(batch_wait="50ms", host="b.example.com")
        server.location()
        server.location(host="b.example.com", subscription="brand-b")
        server.start()
        for host, email in (("www.example.com", "a@example.com"), ("b.example.com", "b@example.com")):
            assert server.post("identify", {"userId": "u", "traits": {"email": email}}, {"Host": host}).status == 200
            assert server.post("page", {"userId": "u", "properties": {"url": "https://%s/" % host}}, {"Host": host}).status == 200
        for marketo, email in ((sandbox, "a@example.com"), (other, "b@example.com")):
            wait_until(lambda: marketo.lead(email) and marketo.store.visits, what="lead and visit")
            assert [lead["fields"]["email"] for lead in marketo.store.leads.values()] == [email]
            assert [visit["parameters"]["_mchId"] for visit in marketo.store.visits] == [marketo.store.settings["munchkin_id"]]
    finally:
        server.announce(r"MKTO0301 \[marketo brand-b\]: REST API paused \(down")  # it may ask once more
        other.stop()
