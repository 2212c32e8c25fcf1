"""What every server tells the courier of a page view, and that no page waits for it."""
import os
import re
import subprocess
import time

import pytest

from fake_courier import WELCOME, Refuse
from nginx_conf import amend
from site_of_pages import COOKIE, PERSON, TOKEN
from told_pages import TRACK, listening, paths, write_page
from waiting import wait_until

LOST = "MKTO0130 no courier", "MKTO0106 no answer from the courier: nobody listens on "


def test_a_full_spool(server):
    """Who called is told to come again; of a page view nobody is told, so it is counted."""
    server.text[server.family] += TRACK[server.family]
    server.conf["spool"]["keep_free"] = "16T"
    server.announce("MKTO0201 events are refused with 503")
    server.location()
    server.start()
    wait_until(lambda: server.post("track", {"event": "E", "userId": "u"}).headers.get("retry-after") == "30", what="the courier answers")
    before = server.status()["intake"]["filtered_by"].get("not_stored", 0)
    for n in range(20):
        assert server.get("/?%d" % n, PERSON).status == 200
    wait_until(lambda: server.status()["intake"]["filtered_by"].get("not_stored", 0) >= before + 20, what="twenty of them")
    said = subprocess.run([os.path.join(server.out, "marketo"), "status", "--config", server.conf.path], check=True, stdout=subprocess.PIPE, text=True)
    assert re.search(r"^  filtered *not_stored 20$", said.stdout, re.M), said.stdout


@pytest.fixture(name="fake")
def new_fake(server):
    with listening(server) as it:
        yield it


def test_what_a_page_view_says(server, fake):
    server.text["nginx"] += "marketo_email $http_x_email;\n"
    server.text["httpd"] += '<Location "/page.html">\nMarketoEmail "%{HTTP:X-Email}"\n</Location>\n'
    server.start()
    before = time.time() * 1000
    headers = dict(PERSON, Referer="https://r.example/x", **{"X-Email": "ada@example.com"})
    assert server.get("/page.html?q=1&r=a%20b", headers).status == 200
    event = fake.wait(1)[0]
    assert (event.call, event.path) == ("view", "/page.html?q=1&r=a%20b")
    fields = event.fields
    assert re.fullmatch(b"[0-9a-f]{32}", fields["request_id"]) and before - 1000 <= fields["received_ms"] <= time.time() * 1000
    assert {name: fields[name] for name in ("cookies", "user_agent", "accept_language", "remote_addr", "host", "email", "referer", "https",
                                            "dnt", "gpc", "origin", "sec_fetch_site", "subscription")} == {
        "cookies": [b"id:561-HYG-937&token:" + TOKEN.encode()], "user_agent": PERSON["User-Agent"].encode(), "accept_language": b"de-CH",
        "remote_addr": b"127.0.0.1", "host": b"www.example.com", "email": b"ada@example.com", "referer": b"https://r.example/x", "https": 0,
        "dnt": None, "gpc": None, "origin": None, "sec_fetch_site": b"none", "subscription": b""}


def test_a_log_names_only_who_may_be_known(server, fake):
    log = server.directory + "/visitors.log"
    if server.family == "nginx":
        amend(server, "access_log off;", 'log_format ours "$uri [$marketo_visitor]"; access_log %s ours;' % log)
    server.text["nginx"] += "marketo_consent $http_x_consent;\n"
    server.text["httpd"] += 'CustomLog %s "%%U [%%{marketo_visitor}n]"\n<Location "/">\nMarketoConsent "%%{HTTP:X-Consent}"\n</Location>\n' % log
    server.start()
    for headers in ({}, {"X-Consent": "denied"}, {"X-Consent": "granted", "Cookie": COOKIE + "; mkto_opt_out=1"}, {"X-Consent": "granted"}):
        server.get("/page.html", {**PERSON, **headers})
        server.post("track", {"event": "x", "anonymousId": "a"}, {"Cookie": COOKIE, **headers})
    fake.wait(2)
    wait_until(lambda: server.read(log).count("\n") == 8, what="eight lines")
    lines = [line for line in server.read(log).splitlines() if TOKEN in line]
    assert sorted(lines) == ["/mkto/v1/track [%s]" % TOKEN, "/page.html [%s]" % TOKEN]


def test_only_our_cookies_leave_the_server(server, fake):
    """What else a visitor has is nobody's business."""
    server.start()
    more = "; a=b; _mkto_trk2=c; _mkto_trk=two; mkto_opt_out=; _mkto_trk=" + "x" * 1025
    server.get("/page.html", dict(PERSON, Cookie="sid=secret; " + COOKIE + more))
    assert fake.wait(1)[0].fields["cookies"] == [COOKIE.partition("=")[2].encode(), b"two"]


@pytest.mark.parametrize("host, path, wanted", [
    ("other.example", "/page.html?q", "/page.html?q"), ("other.example:8080", "/page.html?q", "/page.html?q"),
    ("other.example", "", "/"), ("other.example:8080", "?q=/a?b", "?q=/a?b")])
def test_a_whole_url_in_the_request_line(server, fake, host, path, wanted):
    """It says which host the visitor asked, whatever stands in Host."""
    write_page(server, "index.html")
    server.start()
    lines = "".join("%s: %s\r\n" % item for item in PERSON.items())
    replies = server.raw(("GET http://%s%s HTTP/1.1\r\n%sConnection: close\r\n\r\n" % (host, path, lines)).encode())
    assert [reply.status for reply in replies] == [200]
    event = fake.wait(1)[0]
    assert (event.fields["host"].decode(), event.path) == (host, wanted)


@pytest.mark.parametrize("how", ["stop", "reload"])
def test_what_a_process_takes_with_it_is_said(server, fake, how):
    """Page views wait in the process that served them, and end with it."""
    line = re.compile("(MKTO0136 a worker|MKTO0111 a process) ended without a courier: ([0-9]+) page views are lost")
    log = os.path.join(server.directory, "access.log")
    if server.family == "nginx":
        amend(server, "access_log off;", "access_log %s;" % log)
    server.text["httpd"] += 'CustomLog %s "%%U"\n' % log
    fake.stop()
    server.announce(*LOST, line.pattern)
    server.start()
    for n in range(5):
        assert server.get("/page.html?%d" % n, PERSON).status == 200
    wait_until(lambda: server.read(log).count("\n") == 5, what="five lines: until then prefork has recorded nothing")
    if how == "stop":
        server.stop()
    else:
        server.reload()
    wait_until(lambda: sum(int(number) for _, number in line.findall(server.read(server.log))) == 5, what="a word of five page views")


def test_the_courier_comes_later(server, fake):
    """What was shown while there was no courier is told when it is back; the log has said that it was not."""
    fake.stop()
    server.announce(*LOST)
    server.start()
    for n in range(3):
        assert server.get("/page.html?%d" % n, PERSON).status == 200
    wait_until(lambda: any(line in server.read(server.log) for line in LOST), what="a word in the log")
    fake.start()
    fake.wait(3)
    assert sorted(paths(fake)) == ["/page.html?%d" % n for n in range(3)]
    assert len({event.fields["request_id"] for event in fake.events}) == 3


def test_a_call_that_has_timed_out_costs_no_page_view(server, fake):
    """From then on calls are refused at once, until the courier is heard again. Page views wait for it."""
    fake.stop()
    server.location(timeout="200ms")
    server.announce(*LOST)
    server.start()
    assert [server.post("track", b"{}").status for _ in range(3)] == [503] * 3
    for n in range(5):
        assert server.get("/page.html?%d" % n, PERSON).status == 200
    fake.start()
    wait_until(lambda: len(paths(fake)) == 5, what="five page views")
    assert sorted(paths(fake)) == ["/page.html?%d" % n for n in range(5)] and not fake.counts


def test_a_courier_of_another_version(server, fake):
    """In the middle of an upgrade: what was shown meanwhile is told to the courier that comes after it."""
    server.announce("MKTO0130 no courier: the courier refused: wire version", "MKTO0106 no answer from the courier: the courier refused: wire version")
    fake.greeting = Refuse("version", "wire version 3, this courier speaks 2")
    server.start()
    for n in range(5):
        assert server.get("/page.html?%d" % n, PERSON).status == 200
    fake.wait(2, what=fake.hellos)
    fake.greeting = WELCOME
    wait_until(lambda: len(paths(fake)) == 5, what="five page views")
    assert not fake.counts


@pytest.mark.servers("nginx", "httpd-event", "httpd-worker")
def test_what_has_no_room_is_counted_and_said(server, fake):
    """The access log says of each page view whether it waits, and Marketo gets those that do."""
    log = os.path.join(server.directory, "access.log")
    if server.family == "nginx":
        amend(server, "access_log off;", 'log_format ours "$marketo_verdict"; access_log %s ours;' % log)
    server.text["httpd"] += 'CustomLog %s "%%{marketo_verdict}n"\n' % log
    server.announce(*LOST)
    fake.stop()
    server.start()
    sent, large = 0, dict(PERSON, Referer="https://r.example/" + "r" * 7800)
    with server.talk() as talk:
        while server.read(log).count("not_stored") < 5:
            assert sent < 3000, "it all waits"
            assert talk.request("GET", "/page.html?%d-%s" % (sent, "q" * 7800), None, large).status == 200
            sent += 1
    wait_until(lambda: server.read(log).count("\n") == sent, what="a line for each")
    verdicts = server.read(log).split()
    fake.start()
    fake.wait_counts(timeout=30, not_stored=verdicts.count("not_stored"))
    wait_until(lambda: len(paths(fake)) == verdicts.count("queued"), what="those that wait")
    assert set(verdicts) == {"queued", "not_stored"}


def test_a_courier_that_has_stopped_costs_pages_nothing(server, fake):
    server.start()
    server.get("/page.html", PERSON)
    fake.wait(1)
    fake.hold()
    before = time.monotonic()
    with server.talk() as talk:
        for n in range(300):
            assert talk.request("GET", "/page.html?%d" % n, None, PERSON).status == 200
    assert time.monotonic() - before < 10
    fake.release()
    wait_until(lambda: len(fake.events) == 301, what="all page views")
