"""The sandbox is only worth something when it refuses what the real Marketo refuses."""
import hashlib
import hmac
import http.client
import json
import os
import socket
import sys
import time
from datetime import datetime, timedelta, timezone
from urllib.parse import quote

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from marketo_sandbox import Sandbox  # noqa: E402

COOKIE = "id:561-HYG-937&token:_mch-marketo.com-1374552656411-90718"


@pytest.fixture
def sandbox():
    box = Sandbox(lead_lock_s=0).start()
    yield box
    box.stop()


def call(sandbox, method, target, body=None, headers=None):
    connection = http.client.HTTPConnection(sandbox.url.split("//")[1], timeout=10)
    connection.request(method, target, body, headers or {})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def wait_for(what):
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def token(sandbox, secret="sandbox-secret"):
    form = "grant_type=client_credentials&client_id=sandbox-client&client_secret=" + secret
    return call(sandbox, "POST", "/identity/oauth/token", form, {"Content-Type": "application/x-www-form-urlencoded"})


def rest(sandbox, target, body=None, kind="application/json", bearer=None, method="POST"):
    bearer = bearer or json.loads(token(sandbox)[1])["access_token"]
    text = body if isinstance(body, (str, bytes, type(None))) else json.dumps(body)
    status, answer = call(sandbox, method, target, text, {"Content-Type": kind, "Authorization": "Bearer " + bearer})
    assert status == 200
    answer = json.loads(answer)
    return answer["errors"][0]["code"] if not answer["success"] else answer.get("result", True)


def test_token_is_kept_and_ends(sandbox):
    status, first = token(sandbox)
    assert status == 200 and token(sandbox)[1].split('"')[3] == json.loads(first)["access_token"]
    assert token(sandbox, "wrong")[0] == 401
    name = json.loads(first)["access_token"]
    sandbox.store.tokens[name]["expires"] = 0
    assert rest(sandbox, "/rest/v1/leads.json", {"input": [{"email": "a@b.co"}]}, bearer=name) == "602"
    assert rest(sandbox, "/rest/v1/leads.json", {"input": [{"email": "a@b.co"}]}, bearer=name) == "601"
    assert "603" in call(sandbox, "POST", "/rest/v1/leads.json", "{}")[1]
    assert "603" in call(sandbox, "POST", "/rest/v1/leads.json?access_token=" + name, "{}")[1]


@pytest.mark.parametrize("body, code", [
    ("{", "609"), ({"input": []}, "1003"), ({"input": [{"email": "%d@b.co" % n} for n in range(301)]}, "1003"),
    ({"input": [{"email": "a@b.co"}], "lookupField": "phone"}, "1011"), ({"inputs": [], "input": [{}]}, "1003"),
])
def test_rest_refuses_a_call(sandbox, body, code):
    assert rest(sandbox, "/rest/v1/leads.json", body) == code
    assert not sandbox.store.leads


@pytest.mark.parametrize("record, code", [
    ({"email": "a@b.co", "nonsense": "x"}, "1006"), ({"firstName": "A"}, "1002"), ({"email": "jos\u00e9@b.co"}, "1003"),
    ({"email": "a@b.co", "firstName": {"a": 1}}, "1001"), ({"email": "a@b.co", "FirstName": "A"}, "1006"),
])
def test_rest_refuses_a_record(sandbox, record, code):
    good = {"email": "good@b.co", "firstName": "G"}
    result = rest(sandbox, "/rest/v1/leads.json", {"input": [record, good]})
    assert result[0]["status"] == "skipped" and result[0]["reasons"][0]["code"] == code
    assert result[1]["status"] == "created" and len(sandbox.store.leads) == 1


def test_rest_content_type_size_and_paths(sandbox):
    assert rest(sandbox, "/rest/v1/leads.json", {"input": [{"email": "a@b.co"}]}, kind="text/plain") == "612"
    assert rest(sandbox, "/rest//v1/leads.json", "{}") == "610"
    assert rest(sandbox, "/rest/v1/leads.json", None, method="GET") == "605"
    assert call(sandbox, "POST", "/rest/v1/leads.json", b" " * 1000001)[0] == 413


def test_associate(sandbox):
    lead = rest(sandbox, "/rest/v1/leads.json", {"input": [{"email": "a@b.co"}]})[0]["id"]
    path = "/rest/v1/leads/%d/associate.json?cookie=" % lead
    assert rest(sandbox, path + quote(COOKIE, safe="")) is True
    assert list(sandbox.store.cookies.values()) == [lead]
    assert rest(sandbox, path + COOKIE) == "1012"  # a raw & cuts the value
    assert rest(sandbox, path + quote(COOKIE.replace("561", "999"), safe="")) == "1012"
    assert rest(sandbox, "/rest/v1/leads/1/associate.json?cookie=" + quote(COOKIE, safe="")) == "1004"


def test_rest_update_by_id(sandbox):
    lead = rest(sandbox, "/rest/v1/leads.json", {"input": [{"email": "a@b.co"}]})[0]["id"]
    by_id = {"action": "updateOnly", "lookupField": "id", "input": [{"id": lead, "company": "Acme"}]}
    assert rest(sandbox, "/rest/v1/leads.json", by_id) == [{"id": lead, "status": "updated"}]
    assert sandbox.lead("a@b.co")["fields"] == {"email": "a@b.co", "company": "Acme"}
    assert rest(sandbox, "/rest/v1/leads.json", dict(by_id, action="createOrUpdate")) == "1003"
    assert rest(sandbox, "/rest/v1/leads.json", dict(by_id, partitionName="EMEA")) == "1003"
    for wrong, code in ((str(lead), "1003"), (1, "1004"), (None, "1002")):
        result = rest(sandbox, "/rest/v1/leads.json", dict(by_id, input=[{"id": wrong, "company": "Acme"}]))
        assert result[0]["reasons"][0]["code"] == code


def test_limits_are_shared_and_kept():
    box = Sandbox(rate_calls=3, daily_calls=100).start()
    try:
        codes = [rest(box, "/rest/v1/leads.json", {"input": [{"email": "a@b.co"}]}) for _ in range(4)]
        assert [c for c in codes if isinstance(c, str)] == ["606"]
        assert "20023" in soap(box, sync_lead(box, "<Email>a@b.co</Email>"))[1]
        box.store.settings.update(rate_calls=100, daily_calls=3)
        assert rest(box, "/rest/v1/leads.json", {"input": [{"email": "a@b.co"}]}) == "607"
        box.store.settings.update(concurrency=0)
        assert rest(box, "/rest/v1/leads.json", {"input": [{"email": "a@b.co"}]}) == "615"
    finally:
        box.stop()


def sync_lead(box, record, tail="<returnLead>false</returnLead>", stamp=None, key=None, before="", op="paramsSyncLead"):
    stamp = stamp or datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S+00:00")
    user = box.store.settings["soap_user_id"]
    signature = hmac.new((key or box.store.settings["soap_key"]).encode(), (stamp + user).encode(), hashlib.sha1).hexdigest()
    return ('<?xml version="1.0" encoding="UTF-8"?><e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" '
            'xmlns:m="http://www.marketo.com/mktows/"><e:Header><m:AuthenticationHeader><mktowsUserId>%s</mktowsUserId>'
            '<requestSignature>%s</requestSignature><requestTimestamp>%s</requestTimestamp></m:AuthenticationHeader></e:Header>'
            '<e:Body><m:%s>%s<leadRecord>%s</leadRecord>%s</m:%s></e:Body></e:Envelope>'
            % (user, signature, stamp, op, before, record, tail, op))


def soap(box, body, action='"http://www.marketo.com/mktows/syncLead"', kind="text/xml;charset=UTF-8"):
    return call(box, "POST", "/soap/mktows/3_1", body.encode(), {"Content-Type": kind, "SOAPAction": action})


def attribute(name, value="x"):
    return ("<leadAttributeList><attribute><attrName>%s</attrName><attrValue>%s</attrValue></attribute></leadAttributeList>"
            % (name, value))


def test_soap_sync_lead_and_cookie(sandbox):
    body = sync_lead(sandbox, "<Email>a@b.co</Email>" + attribute("SecondFavoriteColor", "Blue"),
                     "<returnLead>false</returnLead><marketoCookie>%s</marketoCookie>" % COOKIE.replace("&", "&amp;"))
    assert "CREATED" in soap(sandbox, body)[1] and "UPDATED" in soap(sandbox, body)[1]
    assert sandbox.lead("a@b.co")["fields"]["secondFavoriteColor"] == "Blue"
    assert list(sandbox.store.cookies) == ["_mch-marketo.com-1374552656411-90718"]


@pytest.mark.parametrize("record, tail, code", [
    ("<email>a@b.co</email>", None, "20012"),                                   # wrong case
    ("<Email>a@b.co</Email>" + attribute("pants"), None, "20105"),
    (attribute("FirstName") + "<Email>a@b.co</Email>", None, "20012"),          # order
    ("<Email>a@b.co</Email>", "<marketoCookie>x</marketoCookie><returnLead>false</returnLead>", "20012"),
    ("<Email>a@b.co</Email>", "", "20109"),                                     # returnLead is required
    ("<Email>a@b.co</Email>", "<returnLead>false</returnLead><marketoCookie>x</marketoCookie>", "20110"),
    ("", None, "20101"),
])
def test_soap_refuses(sandbox, record, tail, code):
    tail = "<returnLead>false</returnLead>" if tail is None else tail
    status, answer = soap(sandbox, sync_lead(sandbox, record, tail))
    assert status == 500 and "<code>%s</code>" % code in answer and not sandbox.store.leads


def test_soap_header(sandbox):
    good = "<Email>a@b.co</Email>"
    assert "20014" in soap(sandbox, sync_lead(sandbox, good, key="other"))[1]
    old = (datetime.now(timezone.utc) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S+00:00")
    assert "20016" in soap(sandbox, sync_lead(sandbox, good, stamp=old))[1]
    assert "20016" in soap(sandbox, sync_lead(sandbox, good, stamp=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())))[1]
    assert "20012" in soap(sandbox, sync_lead(sandbox, good), action='"http://www.marketo.com/mktows/getLead"')[1]
    assert "Bad Request" in soap(sandbox, sync_lead(sandbox, good), kind="application/json")[1]
    assert "Bad Request" in soap(sandbox, "<!DOCTYPE x []>" + sync_lead(sandbox, good))[1]
    assert "Bad Request" in soap(sandbox, sync_lead(sandbox, good).replace("</e:Body>", ""))[1]
    unqualified = sync_lead(sandbox, good).replace("<m:AuthenticationHeader>", '<m:AuthenticationHeader xmlns="http://www.marketo.com/mktows/">')
    assert "20012" in soap(sandbox, unqualified)[1]


def test_soap_lead_lock(sandbox):
    sandbox.store.settings["lead_lock_s"] = 30
    assert soap(sandbox, sync_lead(sandbox, "<Email>a@b.co</Email>"))[0] == 200
    status, answer = soap(sandbox, sync_lead(sandbox, "<Email>a@b.co</Email>"))
    assert status == 500 and "Exceeded lock attempts" in answer
    assert soap(sandbox, sync_lead(sandbox, "<Email>c@b.co</Email>"))[0] == 200


GOOD = ("/webevents/visitWebPage?_mchNc=1700000000000&_mchCn=&_mchId=561-HYG-937&_mchTk=_mch-example.com-1374552656411-90718"
        "&_mchHo=www.example.com&_mchPo=&_mchRu=%2Fpricing&_mchPc=https%3A&_mchVr=164&_mchEcid=&_mchHa=&_mchRe=&_mchQp=")


def test_munchkin(sandbox):
    assert call(sandbox, "POST", GOOD) == (200, "OK") and call(sandbox, "GET", GOOD) == (200, "OK")
    assert [v["page"] for v in sandbox.store.visits] == ["https://www.example.com/pricing"] * 2


@pytest.mark.parametrize("old, new", [
    ("561-HYG-937", "561-HYG-938"), ("%2Fpricing", "/pricing"), ("%2Fpricing", "%2fpricing"), ("_mchVr=164&", ""),
    ("_mchPo=", "_mchPo=x"), ("_mchHa=&_mchRe=", "_mchRe=&_mchHa="), ("&_mchQp=", "&_mchQp=a+b"), ("&_mchCn=", "&_mchXx="),
    ("_mch-example.com-1374552656411-90718", "nonsense"), ("_mchPc=https%3A", "_mchPc=https"),
])
def test_munchkin_refuses(sandbox, old, new):
    assert call(sandbox, "POST", GOOD.replace(old, new, 1))[0] == 400
    assert not sandbox.store.visits and sandbox.store.violations


CLICK = ("/webevents/clickLink?_mchNc=1700000000000&_mchHr=https%3A%2F%2Fother.org%2F&_mchId=561-HYG-937"
         "&_mchTk=_mch-example.com-1374552656411-90718&_mchCn=&_mchHo=www.example.com&_mchPo=&_mchRu=%2Fpricing&_mchPc=https%3A"
         "&_mchVr=164&_mchEcid=&")
API_CLICK = CLICK.replace("_mchHr=", "_mchLr=https%3A%2F%2Fother.org%2F&_mchHr=")


def test_clicks(sandbox):
    assert call(sandbox, "POST", CLICK) == (200, "OK") and call(sandbox, "POST", API_CLICK) == (200, "OK")
    assert [(v["form"], v["page"], v["link"]) for v in sandbox.store.visits] == [
        (form, "https://www.example.com/pricing", "https://other.org/") for form in ("click", "api-click")]


@pytest.mark.parametrize("old, new", [
    ("_mchEcid=&", "_mchEcid="), ("_mchCn=&", ""), ("_mchHr=https%3A%2F%2Fother.org%2F&", ""), ("https%3A%2F%2Fother.org%2F", ""),
    ("https%3A%2F%2Fother.org", "https%3A"), ("_mchHr=https", "_mchHr=http"), ("&_mchEcid=&", "&_mchEcid=&_mchHa=&"),
    ("clickLink", "visitWebPage"),
])
def test_clicks_that_are_refused(sandbox, old, new):
    assert call(sandbox, "POST", API_CLICK.replace(old, new, 1))[0] == 400
    assert not sandbox.store.visits and sandbox.store.violations


def test_script(sandbox):
    rules = [{"api": "rest", "op": "sync", "code": 606, "skip": 1}, {"api": "munchkin", "http": 503, "times": 2}]
    assert call(sandbox, "POST", "/sandbox/script", json.dumps(rules))[0] == 200
    record = {"input": [{"email": "a@b.co"}]}
    codes = [rest(sandbox, "/rest/v1/leads.json", record) for _ in range(3)]
    assert [c if isinstance(c, str) else "ok" for c in codes] == ["ok", "606", "ok"]
    assert [call(sandbox, "POST", GOOD)[0] for _ in range(3)] == [503, 503, 200]
    sandbox.store.script([{"api": "rest", "op": "sync", "record": {"match": "a@b.co", "code": 1003}}])
    assert rest(sandbox, "/rest/v1/leads.json", record)[0]["reasons"][0]["code"] == "1003"
    sandbox.store.script([{"api": "rest", "op": "sync", "drop": "after"}])
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        rest(sandbox, "/rest/v1/leads.json", {"input": [{"email": "done@b.co"}]})
    assert sandbox.lead("done@b.co")
    assert call(sandbox, "POST", "/sandbox/script", '[{"api": "x"}]')[0] == 400


class Oracle:
    def call(self, api, op, text):
        return {"code": 611} if "bad-call" in text else None

    def record(self, api, text):
        return {"code": 713, "error": "not now"} if "bad-record" in text else None


def test_oracle(sandbox):
    sandbox.store.oracle = Oracle()
    assert rest(sandbox, "/rest/v1/leads.json", {"input": [{"email": "bad-call@b.co"}]}) == "611"
    both = rest(sandbox, "/rest/v1/leads.json", {"input": [{"email": "bad-record@b.co"}, {"email": "good@b.co"}]})
    assert both[0]["reasons"] == [{"code": "713", "message": "not now"}] and both[1]["status"] == "created"
    for op in (sync_lead(sandbox, "<Email>bad-record@b.co</Email>"), sync_lead(sandbox, "<Email>bad-record@b.co</Email>", "")
               .replace("paramsSyncLead>", "paramsSyncMultipleLeads>").replace("<leadRecord>", "<leadRecordList><leadRecord>")
               .replace("</leadRecord>", "</leadRecord></leadRecordList>")):
        status, answer = soap(sandbox, op, action='""')
        assert status == 200 and "FAILED" in answer and "not now" in answer
    assert not sandbox.lead("bad-record@b.co")


def test_what_was_done_and_what_was_lost(sandbox):
    sandbox.store.script([{"api": "rest", "op": "sync", "drop": "during"}, {"api": "munchkin", "drop": "before"},
                          {"api": "munchkin", "hang_s": 1}])
    with pytest.raises(http.client.HTTPException):
        rest(sandbox, "/rest/v1/leads.json", {"input": [{"email": "a@b.co"}]})
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        call(sandbox, "POST", GOOD)
    impatient = http.client.HTTPConnection(sandbox.url.split("//")[1], timeout=0.05)
    impatient.request("POST", GOOD)
    with pytest.raises(TimeoutError):
        impatient.getresponse()
    wait_for(lambda: sandbox.store.visits)
    impatient.close()
    assert call(sandbox, "POST", GOOD) == (200, "OK")
    wait_for(sandbox.is_left)
    lost = {c["n"]: c["lost"] for c in sandbox.store.calls if c["api"] != "identity"}
    assert list(lost.values()) == [True, True, True, False]
    done = sandbox.store.deeds
    assert [lost[d["call"]] for d in done] == [True, True, False]
    assert done[0]["fields"] == {"email": "a@b.co"} and sorted(d["visit"] for d in done[1:]) == [0, 1]


VISIT = ("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" % GOOD).encode()


def test_an_answer_that_nobody_read_is_lost(sandbox):
    host = ("127.0.0.1", int(sandbox.url.rsplit(":", 1)[1]))
    with socket.create_connection(host) as reader, socket.create_connection(host) as impatient:
        for _ in range(2):  # another call on the same connection: the answer before it was read
            reader.sendall(VISIT)
            while not reader.recv(9000).endswith(b"OK"):
                pass
        impatient.sendall(VISIT)
        wait_for(lambda: len(sandbox.store.visits) == 3 and sandbox.store.calls[2]["ms"] is not None)
        assert not any(c["lost"] for c in sandbox.store.calls)
    wait_for(sandbox.is_left)
    assert [c["lost"] for c in sandbox.store.calls] == [False, False, True]


def test_stopping_does_not_hide_a_lost_answer(sandbox):
    with socket.create_connection(("127.0.0.1", int(sandbox.url.rsplit(":", 1)[1]))) as impatient:
        impatient.sendall(VISIT)
        wait_for(lambda: sandbox.store.calls and sandbox.store.calls[0]["ms"] is not None)
        sandbox.stop()
    wait_for(sandbox.is_left)
    assert sandbox.store.calls[0]["lost"]


def test_nothing_is_done_for_a_client_that_left(sandbox):
    """And its call is in nobody's way: neither for the limits nor for the lead that it named."""
    sandbox.store.settings.update(concurrency=1, latency_s=0.5)
    bearer = json.loads(token(sandbox)[1])["access_token"]
    body = json.dumps({"input": [{"email": "a@b.co", "firstName": "Old"}]})
    impatient = http.client.HTTPConnection(sandbox.url.split("//")[1])
    impatient.request("POST", "/rest/v1/leads.json", body, {"Content-Type": "application/json", "Authorization": "Bearer " + bearer})
    wait_for(lambda: len(sandbox.calls("rest")) == 1)
    time.sleep(0.1)
    impatient.close()
    assert rest(sandbox, "/rest/v1/leads.json", {"input": [{"email": "a@b.co", "firstName": "New"}]}, bearer=bearer)[0]["status"] == "created"
    wait_for(sandbox.is_left)
    assert [c["lost"] for c in sandbox.calls("rest")] == [True, False]
    assert [d["fields"]["firstName"] for d in sandbox.store.deeds] == ["New"] and not sandbox.store.violations


def test_stop_refuses_and_start_goes_on(sandbox):
    assert call(sandbox, "POST", GOOD)[0] == 200
    sandbox.stop()
    with pytest.raises(ConnectionError):
        call(sandbox, "POST", GOOD)
    sandbox.start()
    assert call(sandbox, "POST", GOOD)[0] == 200 and len(sandbox.store.visits) == 2
