"""Page views of httpd: what only httpd has, and what its processes do with an event for which nobody waits."""
import http.client
import itertools
import os
import re
import signal
import threading
import time

import pytest

import http_talk
from fake_courier import Answer
from site_of_pages import PERSON, TOKEN
from told_pages import TYPES, listening, paths, settle, write_page
from waiting import wait_until

HTTPD = ("httpd-event", "httpd-worker", "httpd-prefork")
pytestmark = pytest.mark.servers(*HTTPD)


@pytest.fixture(name="fake")
def new_fake(server):
    with listening(server) as it:
        yield it


@pytest.mark.servers("httpd-prefork", "httpd-event")
def test_a_child_that_goes_idle(server, fake):
    """Nobody comes by after the one page view: it is there within a second all the same."""
    server.start()
    for n in range(8):
        time.sleep(0.3)
        before = time.monotonic()
        server.get("/page.html?%d" % n, PERSON)
        wait_until(lambda: len(fake.events) > n, what="page view %d" % n)  # pylint: disable=cell-var-from-loop
        assert time.monotonic() - before < 5, "told by nobody but the next request"


def test_the_courier_is_replaced(server, fake):
    """The connection ends while the child is idle, and it sees that with the next page view."""
    server.start()
    for n in range(3):
        server.get("/page.html?%d" % n, PERSON)
        wait_until(lambda: "/page.html?%d" % n in paths(fake), what="page view %d" % n)  # pylint: disable=cell-var-from-loop
        fake.cut_all()
        time.sleep(0.05)


def test_graceful(server, fake):
    """A child that ends takes no page view with it."""
    server.start()
    for n in range(5):
        server.get("/page.html?%d" % n, PERSON)
        server.reload()
        wait_until(lambda: server.get("/page.html", {"User-Agent": "curl/8"}).status == 200, what="it is back")
    wait_until(lambda: len(fake.events) == 5, what="five page views")
    server.get("/page.html?last", PERSON)
    server.stop(graceful=True)
    assert len(fake.wait(6)) == 6


def ask_until(server, ended, name):
    for n in itertools.count():
        try:
            server.get("/page.html?%s-%d" % (name, n), PERSON)
        except (OSError, http.client.HTTPException, AssertionError):
            pass
        if ended.is_set():
            return


@pytest.mark.skipif("MKTO_SANITIZED" in os.environ, reason="looking for leaks, a child takes longer to end than httpd gives it, and is killed")
@pytest.mark.parametrize("how", ["stop", "restart"])
def test_the_end_comes_in_between(server, fake, how):
    """SIGTERM ends a child in the middle of a request: Marketo gets every page that the access log knows."""
    log, ended = os.path.join(server.directory, "pages.log"), threading.Event()
    server.text["httpd"] += 'LogFormat "%%U%%q" pages\nCustomLog %s pages\n' % log
    for turn in range(3):
        server.start()
        ended.clear()
        people = [threading.Thread(target=ask_until, args=(server, ended, "%d-%d" % (turn, n))) for n in range(4)]
        for person in people:
            person.start()
        wait_until(lambda: len(paths(fake)) > 50 * turn, what="page views")  # pylint: disable=cell-var-from-loop
        if how == "restart":
            before = server.resumed()
            os.kill(server.process.pid, signal.SIGHUP)
            wait_until(lambda: server.resumed() > before, what="it is back")  # pylint: disable=cell-var-from-loop
        server.stop()
        ended.set()
        for person in people:
            person.join()
    wait_until(lambda: set(server.read(log).split()) <= set(paths(fake)), what="what was logged")


# ---- what is one page view, what is none ----

def test_index_and_redirects(server, fake):
    write_page(server, "other.html")
    server.modules.append("rewrite")
    server.text["httpd"] += """
RewriteEngine On
RewriteRule "^/moved$" "/page.html" [R]
RewriteRule "^/rewritten$" "/page.html" [L]
<Location "/perdir">
RewriteEngine On
RewriteRule "perdir$" "/other.html?from=perdir" [L]
</Location>
"""
    server.start()
    for path in ("/", "/moved", "/rewritten", "/perdir?q", "/www", "/page.html/"):
        server.get(path, PERSON)
    settle(server, fake, "/", "/rewritten", "/perdir?q")


def test_error_documents(server, fake):
    write_page(server, "error.html")
    server.text["httpd"] += "ErrorDocument 404 /error.html\nErrorDocument 403 /error.html\nErrorDocument 500 default\n"
    server.text["httpd"] += '<Location "/closed">\nRequire all denied\n</Location>\n'
    server.announce("client denied by server configuration")
    server.start()
    for path, status in (("/nothing", 404), ("/closed/x", 403)):
        assert server.get(path, PERSON).status == status
        assert server.request("POST", path, b"x", PERSON).status == status
    settle(server, fake)


def test_included(server, fake):
    server.modules.append("include")
    write_page(server, "part.html")
    write_page(server, "all.shtml", '<title>x</title><!--#include virtual="/part.html" --><!--#include virtual="/part.html?2" -->')
    server.text["httpd"] += "AddType text/html .shtml\nAddOutputFilter INCLUDES .shtml\n"
    server.text["httpd"] += "<Directory %s/www>\nOptions +Includes\n</Directory>\n" % server.directory
    server.start()
    assert server.get("/all.shtml", PERSON).body.count(b"A page") == 2
    settle(server, fake, "/all.shtml")


def test_static_assets_and_methods(server, fake):
    write_page(server, "style.css", "a{}")
    write_page(server, "data.json", "{}")
    server.text["httpd"] += "AddType text/css .css\nAddType application/json .json\n"
    server.start()
    for path in ("/style.css", "/data.json", "/mkto/marketo.js"):
        assert server.get(path, PERSON).status == 200
    assert server.request("HEAD", "/page.html", None, PERSON).status == 200
    assert server.request("OPTIONS", "/page.html", None, PERSON).status == 200
    for headers in ({"X-Requested-With": "XMLHttpRequest"}, {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "cors"}, {"Range": "bytes=0-3"}):
        server.get("/page.html", dict(PERSON, **headers))
    settle(server, fake)


def test_not_modified(server, fake):
    server.start()
    etag = server.get("/page.html", PERSON).headers["etag"]
    assert server.get("/page.html?again", dict(PERSON, **{"If-None-Match": etag, "Sec-Fetch-Dest": "document"})).status == 304
    settle(server, fake, "/page.html", "/page.html?again")


@pytest.mark.parametrize("quick", ["On", "Off"])
def test_cached(server, fake, app, quick):
    """mod_cache answers from its quick handler, before httpd has looked which location it is."""
    app.answer_headers = {"Content-Type": "text/html", "Cache-Control": "max-age=60"}
    server.modules += ["proxy", "proxy_http", "cache", "cache_disk"]
    os.mkdir(server.directory + "/cache", 0o777)
    os.chmod(server.directory + "/cache", 0o777)
    server.text["httpd"] += 'CacheEnable disk /app/\nCacheRoot %s/cache\nCacheQuickHandler %s\nProxyPass "/app/" "%s/"\n' % (
        server.directory, quick, app.url)
    server.text["httpd"] += '<Location "/app/private">\nMarketoTrackPages Off\n</Location>\n'
    server.start()
    for n in range(3):
        assert server.get("/app/cached?%d" % (n % 2), PERSON).status == 200
        assert server.get("/app/private", PERSON).status == 200
    assert len(app.requests) == 3
    settle(server, fake, "/app/cached?0", "/app/cached?1", "/app/cached?0")


def test_places(server, fake):
    """Locations, directories, files, hosts: merged as httpd merges everything."""
    server.text["httpd"] = TYPES + """
<Directory {0}/www/docs>
MarketoTrackPages On
</Directory>
<Files "single.html">
MarketoTrackPages On
</Files>
<Location "/docs/off">
MarketoTrackPages Off
</Location>
<If "%{{QUERY_STRING}} == 'if'">
MarketoTrackPages On
</If>
<Location "/page.html">
MarketoTrackPages On
</Location>
""".format(server.directory)
    for name in ("docs/a.html", "docs/off/b.html", "single.html", "none.html"):
        write_page(server, name)
    server.start()
    for path in ("/docs/a.html", "/docs/off/b.html", "/single.html", "/none.html", "/none.html?if"):
        assert server.get(path, PERSON).status == 200
    settle(server, fake, "/docs/a.html", "/single.html", "/none.html?if")


def test_counts(server, fake):
    server.text["httpd"] = TYPES + '<Location "/">\nMarketoTrackPages On\nMarketoConsent "%{HTTP:X-Consent}" absent=granted\n</Location>\n'
    server.start()
    for headers in ({"User-Agent": "curl/8"}, {"Sec-Purpose": "prefetch"}, {"Cookie": ""}, {"X-Consent": "denied"},
                    {"Cookie": PERSON["Cookie"] + "; mkto_opt_out=id:true"}):
        assert server.get("/page.html", dict(PERSON, **headers)).status == 200
    fake.wait_counts(bot=1, prefetch=1, no_visitor=1, consent=1, opt_out=1)
    settle(server, fake)


@pytest.mark.servers("httpd-event")
@pytest.mark.parametrize("how,known", [("SetEnvIf Host . SAID=no SCHEME=https", "both"), ("SetEnv SAID no\nSetEnv SCHEME https", "consent"),
                                       ("RewriteEngine On\nRewriteRule ^ - [E=SAID:no,E=SCHEME:https]", "neither")])
def test_what_is_known_of_a_call(server, fake, how, known):
    """README, Consent: of a page all of it is; a call is claimed before some of it is set."""
    server.modules += ["env", "setenvif", "rewrite"]
    server.text["httpd"] = TYPES + how + '\n<Location "/">\nMarketoTrackPages On\nMarketoScheme "%{reqenv:SCHEME}"\n</Location>\n'
    server.text["httpd"] += '<If "%{QUERY_STRING} == \'ask\'">\nMarketoConsent "%{reqenv:SAID}" absent=granted\n</If>\n'
    server.start()
    assert server.get("/page.html", PERSON).status == server.post("track", b"{}", PERSON).status == 200
    page, call = sorted(fake.wait(2), key=lambda event: event.call, reverse=True)
    assert page.fields["https"] and ("https" in call.flags) == (known == "both")
    assert server.get("/page.html?ask", PERSON).status == server.post("track?ask", b"{}", PERSON).status == 200
    fake.wait_counts(consent=1 if known == "neither" else 2)
    assert len(fake.events) == (3 if known == "neither" else 2)


def test_access_log(server, fake):
    server.text["httpd"] += 'CustomLog %s/access.log "%%U %%{marketo_visitor}n %%{marketo_verdict}n %%{marketo_event_id}n"\n' % server.directory
    server.start()
    log = server.directory + "/access.log"
    lines = []
    for request in (lambda: server.get("/page.html", PERSON), lambda: server.get("/page.html", dict(PERSON, **{"User-Agent": "curl/8"})),
                    lambda: server.post("track", {"event": "x"}, PERSON)):
        request()
        lines.append(wait_until(lambda: server.read(log).splitlines()[len(lines):], what="a line")[0])
    assert re.fullmatch("/page.html %s queued [0-9a-f]{32}" % TOKEN, lines[0])
    assert lines[1] == "/page.html %s bot -" % TOKEN
    assert re.fullmatch("/mkto/v1/track %s stored [0-9a-f]{32}" % TOKEN, lines[2])


@pytest.mark.servers("httpd-event", "httpd-worker")
def test_http_2(server, fake):
    server.start()
    reply = http_talk.http2(server.port2, "/page.html?h2", b"", dict(PERSON, Host="www.example.com"), method="GET")
    assert reply.status == 200
    settle(server, fake, "/page.html?h2")


def test_refused_by_the_courier(server, fake):
    """A verdict that is no thanks is one, too: it is not sent again."""
    fake.rule = lambda event: Answer("bad_request")
    server.start()
    for n in range(3):
        server.get("/page.html?%d" % n, PERSON)
    fake.wait(3)
    time.sleep(0.3)
    fake.cut_all()
    settle(server, fake, *["/page.html?%d" % n for n in range(3)])


@pytest.mark.servers("httpd-event")
def test_without_a_subscription(server, fake):
    """Several sections, and no word which: the log says so once, and pages are shown."""
    for name in ("a", "b"):
        server.conf.section("marketo " + name, **server.conf["marketo"])
    del server.conf.sections["marketo"]
    server.location(subscription="a")
    server.announce("MKTO0107 no MarketoSubscription for this location and host")
    server.start()
    for _ in range(5):
        assert server.get("/page.html", PERSON).status == 200
    fake.wait_counts(not_stored=5)
    assert server.read(server.log).count("MKTO0107") <= len(server.children())
