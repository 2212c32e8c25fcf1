"""The visitor's cookie among httpd's modules: what it is never stored by, and what it stands behind of."""
import os
import re

import pytest

import http_talk
from told_pages import listening
from waiting import wait_until

pytestmark = pytest.mark.servers("httpd-event", "httpd-prefork")
TOKEN = "_mch-example.com-1374552656411-90718"
PERSON = {"Host": "www.example.com", "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/150.0", "Accept": "text/html"}
KNOWN = dict(PERSON, Cookie="_mkto_trk=id:561-HYG-937&token:" + TOKEN)
MADE = r"_mkto_trk=id:561-HYG-937&token:(_mch-example.com-[0-9a-f]{32}); Max-Age=63072000; Path=/; Domain=example.com; SameSite=Lax"
MINT = 'AddType text/html .html\n<Location "/">\nMarketoTrackPages On\nMarketoCookie mint\n</Location>\n'


@pytest.fixture(name="fake")
def new_fake(server):
    with listening(server) as it:
        server.text["httpd"] = MINT
        yield it


def token(reply):
    """The token that the one cookie of a reply has."""
    (cookie,) = reply.every("set-cookie")
    return re.fullmatch(MADE, cookie).group(1)


def viewers(fake, count):
    cookies = [event.fields["cookies"] if event.call == "view" else [event.fields["cookie"]] for event in fake.wait(count)]
    return [cookie.decode().split("token:")[1] for (cookie,) in cookies]


@pytest.fixture(name="cache")
def new_cache(server, app):
    app.answer_headers = {"Content-Type": "text/html", "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT", "ETag": '"1"'}
    server.modules += ["proxy", "proxy_http", "cache", "cache_disk"]
    path = server.directory + "/cache"
    os.mkdir(path)
    os.chmod(path, 0o777)
    server.text["httpd"] += 'CacheEnable disk /app/\nCacheRoot %s\nProxyPass "/app/" "%s/"\n' % (path, app.url)
    return path


def stored(path):
    """All that mod_cache_disk has written."""
    found = b""
    for directory, _, names in os.walk(path):
        for name in names:
            with open(os.path.join(directory, name), "rb") as file:
                found += file.read()
    return found


@pytest.mark.parametrize("quick", ["On", "Off"])
def test_own_cache(server, fake, app, cache, quick):
    """mod_cache keeps a page that says nothing of caches. It keeps it without cookie, and each visitor gets one of his own."""
    server.text["httpd"] += "CacheQuickHandler %s\n" % quick
    server.start()
    tokens = []
    for _ in range(4):
        reply = server.get("/app/x", PERSON)
        assert (reply.status, reply.body, reply.headers["cache-control"]) == (200, b"the application\n", "private")
        tokens.append(token(reply))
    assert len(set(tokens)) == 4 and len(app.requests) == 1
    assert b"the application" in stored(cache) and b"_mkto_trk" not in stored(cache) and b"private" not in stored(cache)
    assert sorted(viewers(fake, 4)) == sorted(tokens)


def test_page_that_others_may_cache(server, fake, app, cache):
    app.answer_headers.update({"Cache-Control": "public, max-age=60"})
    server.start()
    for _ in range(2):
        reply = server.get("/app/x", KNOWN)
        assert reply.every("set-cookie") == [] and reply.headers["cache-control"] == "public, max-age=60"
    assert stored(cache) and viewers(fake, 2) == [TOKEN] * 2


@pytest.mark.parametrize("directives, cookies", [
    ('Header set Cache-Control "public"\n', 0), ('Header always set Cache-Control "s-maxage=5"\n', 0), ("ExpiresActive On\nExpiresDefault A60\n", 0),
    ("Header set Expires 0\n", 0), ('Header set Cache-Control "private, max-age=60"\n', 1), ('Header set Cache-Control "no-store"\n', 1),
    ('Header always set Set-Cookie "_mkto_trk=own"\n', 1), ('Header add Set-Cookie "_mkto_trk=own"\n', 1),
    ('Header add Set-Cookie "_mkto_trk2=a"\n', 2), ("SetOutputFilter DEFLATE\n", 1),
], ids=["public", "s-maxage", "expires", "Expires", "private", "no-store", "own always", "own", "near miss", "deflate"])
def test_behind_other_modules(server, fake, directives, cookies):
    server.modules += ["headers", "expires", "filter", "deflate"]
    server.text["httpd"] += directives
    server.start()
    reply = server.get("/index.html", dict(PERSON, **{"Accept-Encoding": "gzip"}))
    assert reply.status == 200 and len(reply.every("set-cookie")) == cookies, reply.headers
    assert sum(value.startswith("_mkto_trk=") for value in reply.every("set-cookie")) == min(cookies, 1)


def test_errors_and_redirects(server, fake):
    """One cookie, however httpd comes to its answer; none where there is no document."""
    server.modules.append("rewrite")
    with open(server.directory + "/www/error.html", "w", encoding="ascii") as file:
        file.write("<title>error</title>\n")
    server.text["httpd"] += 'ErrorDocument 404 /error.html\nRedirect "/away" "/index.html"\nRewriteEngine On\nRewriteRule "^/in$" "/index.html"\n'
    server.start()
    for path, status in (("/nothing", 404), ("/away", 302), ("/in", 200), ("/", 200)):
        reply = server.get(path, PERSON)
        assert reply.status == status and token(reply), path
    etag = server.get("/", PERSON).headers["etag"]
    for headers, status in (({"If-None-Match": etag}, 304), ({"Range": "bytes=0-3"}, 206), ({"X-Requested-With": "XMLHttpRequest"}, 200)):
        reply = server.get("/index.html", dict(PERSON, **headers))
        assert reply.status == status and len(reply.every("set-cookie")) == (status == 200)
    assert server.request("POST", "/index.html", b"", PERSON).every("set-cookie") == []
    assert server.raw(b"GET / HTTP/1.1\r\n\r\n")[0].status == 400


def test_included(server, fake):
    server.modules.append("include")
    with open(server.directory + "/www/all.shtml", "w", encoding="ascii") as file:
        file.write('<!--#include virtual="/index.html" --><!--#include virtual="/index.html?2" -->')
    server.text["httpd"] += "AddType text/html .shtml\nAddOutputFilter INCLUDES .shtml\n"
    server.text["httpd"] += "<Directory %s/www>\nOptions +Includes\n</Directory>\n" % server.directory
    server.start()
    reply = server.get("/all.shtml", PERSON)
    assert reply.body.count(b"A page of the site") == 2 and viewers(fake, 1) == [token(reply)]


def test_calls(server, fake):
    """Of a browser on the site's own page; not of an SDK, which would get another one with each call."""
    server.text["httpd"] = '<Location "/mkto/">\nMarketoCookie mint httponly\n</Location>\n'
    server.start()
    reply = server.post("track", {"event": "x"}, dict(PERSON, Origin="https://www.example.com"))
    assert reply.every("set-cookie")[0].endswith("; SameSite=Lax; HttpOnly") and reply.headers["cache-control"] == "no-store"
    assert re.search("token:([^;]*);", reply.every("set-cookie")[0]).group(1) == viewers(fake, 1)[0]
    assert server.post("track", {"event": "x"}, {"Host": "www.example.com"}).every("set-cookie") == []
    assert "cookie" not in fake.wait(2)[1].fields
    assert len(server.post("track", {"event": "x"}, KNOWN).every("set-cookie")) == 1
    assert server.get("/mkto/marketo.js", KNOWN).every("set-cookie") == []


@pytest.mark.servers("httpd-event", "httpd-worker")
def test_http_2(server, fake):
    server.start()
    reply = http_talk.http2(server.port2, "/index.html", b"", PERSON, method="GET")
    assert reply.status == 200 and viewers(fake, 1) == [token(reply)]


def test_consent_of_the_application(server, fake, app):
    """An expression may look at what the response says."""
    server.modules += ["proxy", "proxy_http"]
    app.answer_headers = {"Content-Type": "text/html", "X-Consent": "denied"}
    server.text["httpd"] += 'ProxyPass "/app/" "%s/"\n<Location "/app/">\nMarketoConsent "%%{resp:X-Consent}"\n</Location>\n' % app.url
    server.start()
    assert server.get("/app/x", KNOWN).every("set-cookie") == []
    fake.wait_counts(consent=1)
    app.answer_headers["X-Consent"] = "granted"
    assert len(server.get("/app/x", KNOWN).every("set-cookie")) == 1
    assert viewers(fake, 1) == [TOKEN]


def test_consent_of_a_cookie(server, fake):
    server.modules.append("setenvif")
    server.text["httpd"] += 'SetEnvIf Cookie "consent=([a-z]+)" consent=$1\n<Location "/">\nMarketoConsent "%{reqenv:consent}"\n</Location>\n'
    server.start()
    for consent, cookies in (("", 0), ("; consent=denied", 0), ("; consent=granted", 1)):
        assert len(server.get("/index.html", dict(KNOWN, Cookie=KNOWN["Cookie"] + consent)).every("set-cookie")) == cookies
    assert viewers(fake, 1) == [TOKEN]
    wait_until(lambda: fake.counts == {"consent": 2}, what="two counts")


def test_email_of_a_login(server, fake):
    """What authentication says of the visitor, for pages and for calls."""
    server.modules.append("setenvif")
    server.text["httpd"] += 'SetEnvIf X-Login "(.+)" login=$1\n<Location "/">\nMarketoEmail "%{reqenv:login}"\n</Location>\n'
    server.start()
    server.get("/index.html", dict(KNOWN, **{"X-Login": "ada@example.com"}))
    fake.wait(1)
    server.post("track", {"event": "x"}, {"X-Login": "b@example.com"})
    server.post("track", {"event": "x"})
    assert [event.fields.get("email") for event in fake.wait(3)] == [b"ada@example.com", b"b@example.com", b""]
