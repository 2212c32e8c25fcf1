"""The visitor's cookie from the server, over both servers: to whom, with which responses, and byte for byte what."""
import re
import shutil
import ssl
import http.client
import tempfile

import pytest
from marketo_sandbox import Sandbox

import http_talk
import servers
from site_of_pages import COOKIE, HOST, PERSON, TOKEN, Site
from waiting import wait_until

LIFE = "Max-Age=63072000; Path=/; "
REFRESHED = COOKIE + "; " + LIFE + "Domain=example.com; SameSite=Lax"
OUT = "mkto_opt_out=id:true; " + LIFE + "Domain=example.com; SameSite=Lax"
ENDED = "_mkto_trk=; Max-Age=0; Path=/; Domain=example.com; SameSite=Lax"
MINTED = re.compile(r"_mkto_trk=id:561-HYG-937&token:(_mch-example\.com-[0-9a-f]{32}); "
                    r"Max-Age=63072000; Path=/; Domain=example\.com; SameSite=Lax")
OWN = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "cors", "Accept": "*/*"}

# Locations below the root, by their cookie; each has the files of the site, and below app/ the application.
PLACES = {"refresh": "refresh", "mint": "mint", "domain": "mint domain=www.example.com", "only": "mint httponly",
          "lent": "refresh domain=.Example.com", "ask": "mint", "none": "off"}


def nginx_places():
    text = ""
    for name, value in PLACES.items():
        ask = "marketo_consent $http_x_consent;" if name == "ask" else ""
        text += "location /%s/ { marketo_cookie %s; %s alias ROOT/; }\n" % (name, value, ask)
        text += "location /%s/app/ { marketo_cookie %s; %s proxy_pass APP/app/; }\n" % (name, value, ask)
    return text + """
        location /proxied/ { marketo_cookie refresh; marketo_scheme $http_x_forwarded_proto; alias ROOT/; }
        location /proxied/never/ { marketo_scheme http; marketo_cookie refresh; alias ROOT/; }
        location /proxied/always/ { marketo_scheme https; alias ROOT/; location /proxied/always/inner/ { marketo_cookie refresh; alias ROOT/; } }
        location /mint/public/ { marketo_cookie mint; alias ROOT/; add_header Cache-Control "public, max-age=60"; }
        location /mint/expires/ { marketo_cookie mint; alias ROOT/; expires 1h; }
        location /mint/cached/ { marketo_cookie mint; proxy_pass APP/cached/; proxy_cache pages; proxy_cache_valid 200 1h; }
        location = /mint/include.shtml { marketo_cookie mint; alias ROOT/include.shtml; ssi on; types { text/html shtml; } }
        location /mint/spa/ { marketo_cookie mint; alias ROOT/spa/; try_files $uri /mint/page.html; }
        location /mint/guarded/ { marketo_cookie mint; alias ROOT/; auth_request /guard; }
"""


def httpd_places():
    text = ""
    for name, value in PLACES.items():
        ask = 'MarketoConsent "%{HTTP:X-Consent}"\n' if name == "ask" else ""
        text += 'ProxyPass /%s/app/ APP/app/\n<Location "/%s/">\nMarketoCookie %s\n%s</Location>\n' % (name, name, value, ask)
    return text + """
ProxyPass /mint/cached/ APP/cached/
CacheEnable disk /mint/cached/
<Location "/proxied/">
MarketoCookie refresh
MarketoScheme "%{HTTP:X-Forwarded-Proto}"
</Location>
<Location "/proxied/never/">
MarketoScheme http
</Location>
<Location "/proxied/always/">
MarketoScheme https
</Location>
Alias /proxied/never/ ROOT/
Alias /proxied/always/inner/ ROOT/
Alias /proxied/ ROOT/
Alias /mint/public/ ROOT/
Alias /mint/expires/ ROOT/
Alias /mint/guarded/ ROOT/
Alias /mint/spa/ ROOT/mint-spa/
<Location "/mint/public/">
Header set Cache-Control "public, max-age=60"
</Location>
<Location "/mint/expires/">
ExpiresActive On
ExpiresDefault "access plus 1 hour"
</Location>
<Location "/mint/include.shtml">
Options +Includes
SetOutputFilter INCLUDES
</Location>
<Directory ROOT/mint-spa>
FallbackResource /mint/page.html
</Directory>
""" + "".join("Alias /%s/ ROOT/\n" % name for name in PLACES)


@pytest.fixture(scope="module", name="shared")
def new_shared(request, out):
    marketo, path = Sandbox(lead_lock_s=0), tempfile.mkdtemp(prefix="mkto-")
    marketo.start()
    server = servers.make(request.param, path, out, marketo)
    server.sandbox = marketo
    server.tls = True
    server.announce("AH01873: Init: Session Cache is not configured")
    site = Site(server)
    server.location("/calls/", text={"nginx": "marketo_cookie mint;", "httpd": "MarketoCookie mint\n"})
    server.location("/proxied-calls/", text={"nginx": "marketo_cookie refresh; marketo_scheme $http_x_forwarded_proto;",
                                             "httpd": 'MarketoCookie refresh\nMarketoScheme "%{HTTP:X-Forwarded-Proto}"\n'})
    site.extra = {"nginx": nginx_places(), "httpd": httpd_places()}
    site.more_pages = {"mint-spa/readme.txt": b"text\n"}
    try:
        yield site.start()
    finally:
        try:
            site.stop()
        finally:
            marketo.stop()
            shutil.rmtree(path, ignore_errors=True)


def cookies(reply):
    return reply.every("set-cookie")


def stranger(site, path, **more):
    """A person without a cookie."""
    return site.ask(path, without=["Cookie"], **more)


def minted(reply, pattern=MINTED):
    """The token of the one cookie that was made."""
    assert len(cookies(reply)) == 1, cookies(reply)
    match = pattern.fullmatch(cookies(reply)[0])
    assert match, cookies(reply)
    return match.group(1)


# ---- whose cookie, and what ----

@pytest.mark.parametrize("path", ["/refresh/page.html", "/refresh/app/page", "/mint/page.html", "/mint/app/page", "/lent/page.html"])
def test_it_is_sent_again(shared, path):
    reply = shared.get(path)
    assert cookies(reply) == [REFRESHED] and reply.headers["cache-control"] == "private"


@pytest.mark.parametrize("path", ["/none/page.html", "/page.html", "/app/page"])
def test_off(shared, path):
    assert not cookies(shared.get(path)) and not cookies(stranger(shared, path))
    assert "cache-control" not in shared.get(path).headers


def test_refresh_makes_none(shared):
    assert not cookies(stranger(shared, "/refresh/page.html"))
    reply = shared.get("/refresh/page.html", Cookie="_mkto_trk=garbage")
    assert not cookies(reply) and "cache-control" not in reply.headers


def test_mint(shared):
    """A new visitor gets one of his own, and is known by it from the very page view that brought it."""
    tokens = [minted(stranger(shared, path)) for path in ("/mint/page.html?first", "/mint/app/page?second")]
    assert tokens[0] != tokens[1]
    again = shared.get("/mint/page.html?third", Cookie="_mkto_trk=id:561-HYG-937&token:" + tokens[0])
    assert minted(again) == tokens[0]
    visits = shared.server.sandbox.store.visits
    found = {}

    def seen():
        found.update({v["query"]: v["token"] for v in visits if v["query"] in ("first", "second", "third")})
        return len(found) == 3
    wait_until(seen, what=lambda: "three page views; %s" % found)
    assert found == {"first": tokens[0], "second": tokens[1], "third": tokens[0]}


def test_http2(shared):
    if shared.server.kind == "httpd-prefork":
        pytest.skip("the prefork MPM has no HTTP/2")
    assert cookies(shared.ask("/refresh/page.html", http2=True)) == [REFRESHED]


def test_domain(shared):
    """domain= where the host is below it; else what Munchkin picks; an address and a name without dots have none."""
    made = re.compile(r"_mkto_trk=id:561-HYG-937&token:_mch-([a-z0-9.-]+)-[0-9a-f]{32}; Max-Age=63072000; Path=/"
                      r"(?:; Domain=([a-z0-9.-]+))?; SameSite=Lax")
    for host, domain, sent in (("www.example.com", "www.example.com", "www.example.com"),
                               ("a.www.example.com:8080", "www.example.com", "www.example.com"),
                               ("shop.example.com", "example.com", "example.com"), ("www.other.co.uk", "other.co.uk", "other.co.uk"),
                               ("127.0.0.1", "127.0.0.1", None), ("intranet", "intranet", None)):
        match = made.fullmatch(cookies(stranger(shared, "/domain/page.html", headers={"Host": host}))[0])
        assert match and match.groups() == (domain, sent), host
    # A token's own domain wins where the host is below it.
    own = "_mkto_trk=id:561-HYG-937&token:_mch-example.com-1374552656411-90718"
    assert "; Domain=example.com;" in cookies(shared.get("/domain/page.html", Cookie=own))[0]


def test_httponly(shared):
    assert cookies(shared.get("/only/page.html")) == [REFRESHED + "; HttpOnly"]


def test_another_brands_cookie_keeps_its_token(shared):
    """As Munchkin does it: the token stays, the id becomes this subscription's."""
    reply = shared.get("/refresh/page.html", Cookie="_mkto_trk=id:111-AAA-222&token:" + TOKEN)
    assert cookies(reply) == [REFRESHED]


# ---- with which responses ----

@pytest.mark.parametrize("path,more", [
    ("/mint/logo.gif", {}), ("/mint/data.json", {}), ("/mint/app/json", {}), ("/mint/page.html", {"method": "HEAD"}),
    ("/mint/app/page", {"method": "POST"}), ("/mint/page.html", {"headers": {"Range": "bytes=0-9"}}),
    ("/mint/public/page.html", {}), ("/mint/expires/page.html", {}),
    ("/mint/app/page?h=Cache-Control:public", {}), ("/mint/app/page?h=Cache-Control:max-age%3D60", {}),
    ("/mint/app/page?h=Cache-Control:no-cache&h=Cache-Control:s-maxage%3D60", {}),
    ("/mint/app/page?h=Cache-Control:no-cache&h=CDN-Cache-Control:max-age%3D60", {}),
    ("/mint/app/page?h=Surrogate-Control:max-age%3D60", {}),
    ("/mint/app/page?h=Expires:Fri,%2001%20Jan%202100%2000:00:00%20GMT", {}),
])
def test_responses_without(shared, path, more):
    for reply in (stranger(shared, path, **more), shared.ask(path, **more)):
        assert reply.status in (200, 206) and not cookies(reply)
        assert "private" not in reply.headers.get("cache-control", "")


def test_not_modified(shared):
    since = shared.get("/mint/page.html").headers["last-modified"]
    reply = shared.ask("/mint/page.html", headers={"If-Modified-Since": since})
    assert reply.status == 304 and not cookies(reply)


@pytest.mark.parametrize("said,becomes", [
    ("", "private"), ("no-cache", "no-cache, private"), ("max-age=0", "max-age=0, private"), ("no-store", "no-store"),
    ("private, max-age=60", "private, max-age=60"), ("public, no-store", "public, no-store")])
def test_cache_control(shared, said, becomes):
    path = "/mint/app/page" + ("?h=Cache-Control:" + said.replace(" ", "%20").replace("=", "%3D") if said else "")
    reply = shared.get(path)
    assert cookies(reply) == [REFRESHED] and ", ".join(reply.every("cache-control")) == becomes


def test_the_applications_own_wins(shared):
    reply = shared.get("/mint/app/page?h=Set-Cookie:_mkto_trk%3Dits-own")
    assert cookies(reply) == ["_mkto_trk=its-own"] and "cache-control" not in reply.headers
    reply = shared.get("/mint/app/page?h=Set-Cookie:session%3D1")
    assert sorted(cookies(reply)) == sorted(["session=1", REFRESHED])


def test_no_cache_of_ours_keeps_it(shared):
    """Two visitors of a page in the server's own cache have two cookies."""
    path = "/mint/cached/page"
    tokens = {minted(stranger(shared, path)) for _ in range(3)}
    assert len(tokens) == 3
    assert len([got for got in shared.app.requests if got[1].startswith("/cached/page")]) == 1


@pytest.mark.parametrize("path", ["/mint/include.shtml", "/mint/spa/some/place", "/mint/guarded/page.html", "/mint/app/missing"])
def test_never_twice(shared, path):
    assert cookies(shared.get(path)) == [REFRESHED]


@pytest.mark.servers("nginx", "httpd-event")
@pytest.mark.parametrize("bad", ["X-Large: " + "z" * 9000, "No Header: 1"], ids=["large", "malformed"])
def test_headers_that_are_not_read_to_their_end(server, bad):
    """Nobody knows who asks, nor whether he has opted out: a new cookie would take the place of his own."""
    server.courier = "external"  # none: cookies need no courier
    server.announce("MKTO0130 no courier: ")
    server.text["nginx"] = "marketo_cookie mint; error_page 400 494 /index.html;\n"
    server.text["httpd"] = 'AddType text/html .html\n<Location "/">\nMarketoCookie mint\n</Location>\nErrorDocument 400 /index.html\n'
    server.start()
    for lines in ([bad, "Cookie: " + COOKIE], ["Cookie: " + COOKIE, bad], [bad, "Cookie: mkto_opt_out=id:true"], ["Cookie: " + COOKIE]):
        text = "GET /index.html HTTP/1.1\r\nHost: %s\r\n%s\r\nConnection: close\r\n\r\n" % (HOST, "\r\n".join(lines))
        reply = server.raw(text.encode())[0]
        assert (reply.status, reply.every("set-cookie")) == ((400, []) if bad in lines else (200, [REFRESHED])), lines


# ---- privacy ----

@pytest.mark.parametrize("headers", [{"X-Consent": "denied"}, {}, {"X-Consent": "granted", "Sec-GPC": "1"},
                                     {"X-Consent": "granted", "DNT": "1"}])
def test_without_consent(shared, headers):
    for path in ("/ask/page.html", "/ask/app/page"):
        assert not cookies(shared.ask(path, headers=headers))


def test_with_consent(shared):
    assert cookies(shared.get("/ask/page.html", X_Consent="granted")) == [REFRESHED]
    minted(stranger(shared, "/ask/app/page", headers={"X-Consent": "yes"}))


def test_opting_out_and_in(shared):
    out = shared.get("/mint/page.html?marketo_opt_out=true")
    assert cookies(out) == [OUT, ENDED]
    assert out.headers["cache-control"] == "private"
    back = shared.get("/mint/page.html?marketo_opt_out=false", Cookie=COOKIE + "; mkto_opt_out=id:true")
    assert cookies(back) == ["mkto_opt_out=; Max-Age=0; Path=/; Domain=example.com; SameSite=Lax", REFRESHED]


def test_the_opt_out_lasts(shared):
    """As long as tracking would: whoever is out gets it again with each page, and loses the visitor's cookie."""
    for path in ("/refresh/page.html", "/mint/app/page", "/ask/page.html"):
        reply = shared.get(path, Cookie=COOKIE + "; mkto_opt_out=true")
        assert cookies(reply) == [OUT, ENDED] and reply.headers["cache-control"] == "private", path
        assert cookies(shared.get(path, Cookie="mkto_opt_out=id:true")) == [OUT], path
    assert not cookies(shared.get("/mint/public/page.html", Cookie="mkto_opt_out=id:true"))
    assert not cookies(shared.get("/none/page.html", Cookie="mkto_opt_out=id:true"))
    assert cookies(call(shared, {**PERSON, **OWN, "Cookie": "mkto_opt_out=id:true"})) == [OUT]
    own = shared.get("/mint/app/page?h=Set-Cookie:mkto_opt_out%3D", Cookie="mkto_opt_out=id:true")
    assert cookies(own) == ["mkto_opt_out="]


@pytest.mark.parametrize("path", [
    "/mint/public/page.html?", "/mint/expires/page.html?", "/mint/app/page?h=Cache-Control:public&",
    "/mint/app/page?h=CDN-Cache-Control:max-age%3D60&h=Surrogate-Control:max-age%3D60&",
    "/mint/app/page?h=Expires:Fri,%2001%20Jan%202100%2000:00:00%20GMT&"])
def test_opting_out_where_caches_store(shared, path):
    """The opt-out is the visitor's own; so this one answer is no cache's."""
    for word, wanted in (("true", [OUT, ENDED]), ("false", ["mkto_opt_out=; Max-Age=0; Path=/; Domain=example.com; SameSite=Lax"])):
        reply = shared.get(path + "marketo_opt_out=" + word, Cookie=COOKIE)
        assert cookies(reply) == wanted and reply.every("cache-control") == ["private, no-cache"]
        assert not {"expires", "cdn-cache-control", "surrogate-control"} & set(reply.headers)


def test_opting_out_of_a_page_that_the_browser_has(shared):
    since = shared.get("/mint/page.html").headers["last-modified"]
    reply = shared.ask("/mint/page.html?marketo_opt_out=true", headers={"If-Modified-Since": since})
    assert reply.status == 304 and cookies(reply) == [OUT, ENDED] and reply.headers["cache-control"] == "private, no-cache"


# ---- headers in several lines ----

@pytest.mark.parametrize("http2", [False, True])
@pytest.mark.parametrize("first,second,wanted", [
    ({"Sec-GPC": "1"}, {"sec-gpc": "1"}, []), ({"Sec-GPC": "0"}, {"sec-gpc": "1"}, []), ({"Sec-GPC": "1"}, {"sec-gpc": "0"}, []),
    ({"DNT": "1"}, {"dnt": "1"}, []), ({"DNT": "0"}, {"dnt": "1"}, []),
    ({"Cookie": COOKIE}, {"cookie": "mkto_opt_out=id:true"}, [OUT, ENDED]), ({"Cookie": "mkto_opt_out=id:true"}, {"cookie": COOKIE}, [OUT, ENDED])])
def test_privacy_in_two_lines(shared, first, second, wanted, http2):
    if http2 and shared.server.kind == "httpd-prefork":
        pytest.skip("the prefork MPM has no HTTP/2")
    replies = []
    assert not shared.counted(lambda ask: replies.append(ask("/mint/page.html", headers={**first, **second}, http2=http2)))
    assert cookies(replies[0]) == wanted


def test_a_visitor_in_two_lines(shared):
    for first, second in (("a=b", COOKIE), (COOKIE, "a=b"), ("a=b; c=d", "e=f; " + COOKIE + "; g=h")):
        assert cookies(shared.ask("/mint/page.html", headers={"Cookie": first, "cookie": second})) == [REFRESHED]


@pytest.mark.parametrize("junk", ["_mkto_trk=junk", "_mkto_trk=id:OTHER&token:_mch-other.org-abcd"])
def test_a_visitor_behind_junk(shared, junk):
    """A neighbour's cookies of longer paths stand in front, and hide nobody."""
    for count in (8, 9, 40):
        assert cookies(shared.get("/mint/page.html", Cookie="; ".join([junk] * count + [COOKIE] + [junk] * count))) == [REFRESHED]


# ---- below the tracking location ----

def call(site, headers, path="/calls/v1/track", body=None):
    return site.server.request("POST", path, body or {"event": "E", "anonymousId": "a-1"}, {"Host": HOST, **headers})


def test_calls_of_our_pages(shared):
    """The event is of the visitor that the cookie in its answer makes."""
    browser = {**PERSON, **OWN, "Cookie": "a=b"}
    reply = call(shared, browser, body={"event": "First call", "anonymousId": "a-1"})
    token = minted(reply)
    assert reply.headers["cache-control"] == "no-store"
    visits = shared.server.sandbox.store.visits
    one = wait_until(lambda: [v for v in visits if v["page"].endswith("/event/First-call")], what="the visit")[0]
    assert one["token"] == token
    assert cookies(call(shared, {**browser, "Cookie": COOKIE})) == [REFRESHED]
    gif = shared.ask("/calls/v1/pixel/track?event=Pixel&anonymousId=a", headers=OWN, without=["Cookie"])
    assert gif.body.startswith(b"GIF89a") and minted(gif)


def test_calls_of_servers(shared):
    """An SDK keeps no cookies: a new one each time would make a new person of each event."""
    assert not cookies(call(shared, {"User-Agent": "analytics-node/2"}))
    assert not cookies(call(shared, {**PERSON, "Sec-Fetch-Site": "cross-site", "Cookie": "a=b"}))
    assert cookies(call(shared, {"Cookie": COOKIE})) == [REFRESHED]


def test_errors_of_calls(shared):
    """No visitor begins with a call that was not taken."""
    browser = {**PERSON, **OWN, "Cookie": "a=b"}
    for path, body, status in (("/calls/v1/track", b"{", 400), ("/calls/v1/nothing", b"{}", 404), ("/calls/v1/track", b"<a/>", 415)):
        kind = {"Content-Type": "text/xml" if status == 415 else "application/json"}
        reply = call(shared, {**browser, **kind}, path, body)
        assert (reply.status, cookies(reply)) == (status, []), path
    reply = shared.ask("/calls/v1/track", headers=OWN, without=["Cookie"])
    assert (reply.status, cookies(reply)) == (405, [])


def test_other_answers(shared):
    for path in ("/calls/marketo.js", "/mkto/marketo.js", "/mkto/v1/projects/key/settings"):
        assert not cookies(shared.get(path)), path
    assert cookies(call(shared, {"Cookie": COOKIE, "DNT": "1"})) == []


def secure(site, method, path, body=None, **headers):
    """One request over TLS."""
    context = ssl._create_unverified_context()  # pylint: disable=protected-access
    connection = http.client.HTTPSConnection("127.0.0.1", site.server.port3, timeout=20, context=context)
    connection.request(method, path, body, {**PERSON, "Content-Type": "application/json", **headers})
    got = connection.getresponse()
    reply = http_talk.Reply(got.status, got.getheaders(), got.read())
    connection.close()
    return reply


def test_secure(shared):
    reply = secure(shared, "POST", "/calls/v1/track", b'{"event":"E","anonymousId":"a"}')
    assert cookies(reply) == [REFRESHED + "; Secure"]


def test_a_forwarded_scheme_is_not_believed(shared):
    for name in ("X-Forwarded-Proto", "X-Forwarded-Ssl", "Front-End-Https", "Forwarded"):
        assert cookies(shared.ask("/refresh/page.html", headers={name: "proto=https" if name == "Forwarded" else "https"})) == [REFRESHED]


@pytest.mark.parametrize("path,said,is_secure", [
    ("/proxied/", {"X-Forwarded-Proto": "https"}, True), ("/proxied/", {"X-Forwarded-Proto": "HTTPS"}, True),
    ("/proxied/", {"X-Forwarded-Proto": "http"}, False), ("/proxied/", {"X-Forwarded-Proto": "on"}, False), ("/proxied/", {}, False),
    ("/proxied/always/inner/", {"X-Forwarded-Proto": "http"}, True), ("/proxied/never/", {"X-Forwarded-Proto": "https"}, False)])
def test_scheme(shared, path, said, is_secure):
    """marketo_scheme decides on Secure and on the address of the page alike."""
    query = "scheme=" + "".join(char if char.isalnum() else "-" for char in path + str(said))
    reply = shared.ask(path + "page.html?" + query, headers=said)
    assert cookies(reply) == [REFRESHED + ("; Secure" if is_secure else "")]
    visits = shared.server.sandbox.store.visits
    one = wait_until(lambda: [v for v in visits if v["query"] == query], what="the visit")[0]
    assert one["page"] == "%s://%s%spage.html" % ("https" if is_secure else "http", HOST, path)


def test_scheme_over_tls(shared):
    """What says nothing leaves it to the connection; http is said."""
    body = b'{"event":"E","anonymousId":"a"}'
    for said, more in (({}, "; Secure"), ({"X-Forwarded-Proto": "on"}, "; Secure"), ({"X-Forwarded-Proto": "http"}, "")):
        assert cookies(secure(shared, "POST", "/proxied-calls/v1/track", body, **said)) == [REFRESHED + more]


def test_scheme_in_the_settings(shared):
    """Where TLS ends in front of us, analytics.js 2 is told to call by https."""
    for said, protocol in (("https", "https"), ("http", "http"), ("", "http")):
        reply = shared.server.get("/proxied-calls/v1/projects/key/settings", {"Host": HOST, "X-Forwarded-Proto": said})
        assert reply.json["integrations"]["Segment.io"]["protocol"] == protocol
