"""The status page over both servers: its parts, the same as JSON, and in a browser what it says and when it says that nobody answers."""
import json
import os
import re
import shutil
import subprocess

import pytest

from fake_courier import Answer, FakeCourier
from waiting import wait_until

TEXT = {"nginx": "location = /mkto-status { marketo_status; allow 127.0.0.1; deny all; } location = /closed { marketo_status; deny all; }\n",
        "httpd": '<Location "/mkto-status">\nMarketoStatus On\nRequire local\n</Location>\n'
                 '<Location "/closed">\nMarketoStatus On\nRequire all denied\n</Location>\n'}
POLICY = ("default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
          "form-action 'none'; frame-ancestors 'none'")


@pytest.fixture(name="site")
def new_site(server):
    server.location(timeout="2s")
    server.text[server.family] = TEXT[server.family]
    return server


def test_parts(site):
    """The page and what it needs, never stored, under a policy that allows nothing else."""
    site.start()
    assert site.get("/mkto-status?json").status == 200  # a courier that nobody has greeted would wait for us at the end
    for query, kind, words in (("", "text/html", b'<link rel="stylesheet" href="?css">'), ("?css", "text/css", b":root"),
                               ("?js", "text/javascript", b"fetch(")):
        reply = site.get("/mkto-status" + query)
        assert (reply.status, reply.headers["content-type"]) == (200, kind + "; charset=utf-8")
        assert words in reply.body and reply.headers["cache-control"] == "no-store"
        assert reply.headers["content-security-policy"] == POLICY
        assert reply.headers["x-content-type-options"] == "nosniff"
        head = site.request("HEAD", "/mkto-status" + query)
        assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(reply.body)))
    reply = site.request("POST", "/mkto-status", b"{}")
    assert reply.status == 405 and reply.headers["allow"] == "GET"
    site.announce("access forbidden by rule", "client denied by server configuration")
    for query in ("", "?json", "?js"):
        assert site.get("/closed" + query).status == 403


@pytest.mark.parametrize("how", ["?json", "accept"])
def test_json(site, how):
    """What `marketo status` shows."""
    site.start()
    assert site.post("track", {"event": "E", "anonymousId": "a"}).status == 200
    path, headers = ("/mkto-status", {"Accept": "application/json"}) if how == "accept" else ("/mkto-status" + how, None)
    reply = site.get(path, headers)
    assert (reply.status, reply.headers["content-type"], reply.headers["cache-control"]) == (200, "application/json", "no-store")
    shown, said = reply.json, site.status()
    assert shown["spool"]["path"] == site.conf.spool and shown["intake"]["accepted"] == 1
    assert shown.keys() == said.keys() and shown["pid"] == said["pid"]
    assert site.conf.sections["marketo"]["rest_client_id"] not in reply.body.decode()


def test_without_a_courier(site):
    site.courier = "external"
    site.announce("MKTO0130 no courier", "MKTO0106 no answer from the courier")
    site.start()
    reply = site.get("/mkto-status?json")
    assert reply.status == 503 and reply.json["success"] is False and "retry-after" in reply.headers
    assert site.get("/mkto-status").status == 200


def test_it_counts_as_no_page(site):
    site.courier = "external"
    site.text[site.family] += {"nginx": "marketo_track_pages on; marketo_cookie mint;\n",
                               "httpd": 'AddType text/html .html\n<Location "/">\nMarketoTrackPages On\nMarketoCookie mint\n</Location>\n'}[site.family]
    courier = FakeCourier(site.conf.socket)
    courier.start()
    courier.rule = lambda event: Answer("stored", b'{"spool":{}}' if event.call == "status" else b"")
    try:
        site.start()
        person = {"Host": "www.example.com", "User-Agent": "Mozilla/5.0 Firefox/150.0", "Accept": "text/html",
                  "Cookie": "_mkto_trk=id:561-HYG-937&token:_mch-example.com-1374552656411-90718"}
        for query in ("", "?js", "?json"):
            reply = site.get("/mkto-status" + query, person)
            assert reply.status == 200 and not reply.every("set-cookie")
        site.get("/index.html", person)
        wait_until(lambda: any(event.call == "view" for event in courier.events), what="the page view")
        assert [event.call for event in courier.events] == ["status", "view"]
        assert courier.events[0].fields.get("body", b"") == b""
    finally:
        courier.stop()


# ---- in a browser ----

BROWSER = shutil.which("chromium")


def shown(site, milliseconds=4000):
    """What the page says to a reader after that time."""
    command = [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--user-data-dir=" + os.path.join(site.directory, "profile"),
               "--virtual-time-budget=%d" % milliseconds, "--dump-dom", "http://127.0.0.1:%d/mkto-status" % site.port]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, timeout=60, text=True)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", done.stdout))


@pytest.mark.servers("nginx", "httpd-event")
@pytest.mark.skipif(BROWSER is None, reason="chromium is not installed")
def test_in_a_browser(site):
    """Numbers of the courier, and the reason why an API is paused, as text; its policy stops nothing of it."""
    site.courier = "external"
    courier = FakeCourier(site.conf.socket)
    courier.start()
    status = {"version": "0.1.0", "pid": 4242, "uptime_s": 7200, "spool": {"waiting": 1234, "dead": 7, "bytes": 5000, "max_bytes": 10000,
                                                                          "room": True, "dead_by_reason": {"no_email": 7}},
              "intake": {"accepted": 98765, "accepted_last_minute": 60, "filtered_by": {"bot": 12, "no_visitor": 3}, "rejected_by": {}},
              "dispatch": {"subscriptions": [{
                  "name": "<b>brand</b>", "api": "rest", "queue": {"lead": {"events": 5, "oldest_ms": 65000}}, "counters": {"delivered": 31},
                  "budget": {"window_used": 50, "window_left": 0, "day_used": 1, "day_left": 9, "running": 2, "at_once": 5},
                  "paused": [{"api": "rest", "kind": "credentials", "reason": "bad_token", "why": "the secret is wrong", "until": 0}],
                  "errors": {}, "filtered_by_reason": {}, "refused_fields": ["Plan__c"]}]}}
    courier.rule = lambda event: Answer("stored", json.dumps(status).encode())
    try:
        site.start()
        text = shown(site)
        for words in ("running, needs attention", "1,234", "98,765", "no email 7", "bot 12", "[marketo &lt;b&gt;brand&lt;/b&gt;]",
                      "rest is paused: bad token", "the secret is wrong", "50 of 50", "5, oldest 65 s", "Plan__c", "pid 4242, up 2 h"):
            assert words in text, "%s; %s" % (words, text)
    finally:
        courier.stop()
    site.announce("MKTO0130 no courier", "MKTO0106 no answer from the courier")
    assert "away: the courier does not answer the web server" in shown(site)
