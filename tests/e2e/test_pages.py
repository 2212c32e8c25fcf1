"""
Page views without JavaScript, over both servers: exactly the visits that a person would count, as Marketo gets them. Each case says
what a visitor does and which of it is a page view.
"""
import tempfile
import shutil

import pytest
from marketo_sandbox import Sandbox

import servers
from site_of_pages import AGENT, COOKIE, HOST, PAGE, PERSON, TOKEN, Site
from waiting import wait_until

SCRIPT = {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin", "Accept": "*/*"}
SEC_FETCH = ["Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site"]  # not there on plain http, nor in old browsers


@pytest.fixture(scope="module", name="shared")
def new_shared(request, out):
    """The site, once for this file."""
    marketo, path = Sandbox(lead_lock_s=0), tempfile.mkdtemp(prefix="mkto-")
    marketo.start()
    server = servers.make(request.param, path, out, marketo)
    server.sandbox = marketo
    server.announce("AH01630: client denied by server configuration")
    server.conf["sources"].update(backend="wk_backend")  # of callers; a page view has none
    site = Site(server)
    site.extra = {"nginx": "marketo_consent $http_x_consent absent=granted;\n",
                  "httpd": '<Location "/">\nMarketoConsent "%{HTTP:X-Consent}" absent=granted\n</Location>\n'}
    try:
        yield site.start()
    finally:
        try:
            site.stop()
        finally:
            marketo.stop()
            shutil.rmtree(path, ignore_errors=True)


# What is asked for: (path, more of ask()), …; and what of it is a page view.
ONE_PAGE = {
    "a file": ["/page.html"],
    "the index of a directory": ["/"],
    "an application": ["/app/page"],
    "xhtml": ["/app/xhtml"],
    "a page that a cache may keep": ["/public/page.html"],
    "a page that expires": ["/expires/page.html"],
    "an address that the application is given for any": ["/spa/some/place"],
    "a page behind a subrequest": ["/guarded/page.html"],
    "a page of parts": ["/include.shtml"],
}


@pytest.mark.parametrize("case", ONE_PAGE)
def test_one_page_view(shared, case):
    path = ONE_PAGE[case][0]
    replies = []
    assert shared.counted(lambda ask: replies.append(ask(path))) == [path]
    assert replies[0].status == 200 and b"<title>" in replies[0].body


def test_a_browser_that_says_little(shared):
    """An older one, or any without TLS: no Sec-Fetch-* tells that it is a browser."""
    little = [name for name in PERSON if name.startswith("Sec-")]
    assert little and shared.counted(lambda ask: ask("/page.html", without=little)) == ["/page.html"]


@pytest.mark.parametrize("path", ["/page.html", "/app/page", "/include.shtml"])
def test_http2(shared, path):
    if shared.server.kind == "httpd-prefork":
        pytest.skip("the prefork MPM has no HTTP/2")
    replies = []
    assert shared.counted(lambda ask: replies.append(ask(path, http2=True))) == [path]
    assert replies[0].status == 200


def test_cached_pages(shared):
    """Whether the application is asked or not, a person sees a page."""
    path = "/cached/page"
    assert shared.counted(lambda ask: [ask(path) for _ in range(3)]) == [path] * 3
    asked = [got for got in shared.app.requests if got[1].startswith(path)]
    assert len(asked) == 1, asked


def test_gzip(shared):
    for path in ("/page.html", "/app/page"):
        replies = []
        zipped = {"Accept-Encoding": "gzip"}
        assert shared.counted(lambda ask: replies.append(ask(path, headers=zipped))) == [path]  # pylint: disable=cell-var-from-loop
        assert replies[0].headers["content-encoding"] == "gzip" and len(replies[0].body) < len(PAGE) // 4


def test_not_modified(shared):
    """A browser that has the page still shows it; an image that it has is none."""
    known = {path: shared.get(path).headers["last-modified"] for path in ("/page.html", "/logo.gif")}

    def visit(ask):
        since = {"If-Modified-Since": known["/page.html"]}
        assert ask("/page.html", headers=since).status == 304
        image = {"If-Modified-Since": known["/logo.gif"], "Sec-Fetch-Dest": "image", "Accept": "image/*"}
        assert ask("/logo.gif", headers=image).status == 304
    assert shared.counted(visit) == ["/page.html"]


@pytest.mark.parametrize("path,views", [("/page.html", 1), ("/spa/some/place", 1), ("/app/page", 1), ("/app/page.html", 1), ("/app/script.php", 1),
                                        ("/logo.gif", 0), ("/data.json", 0), ("/app/logo.gif", 0), ("/app/LOGO.GIF", 0)])
def test_not_modified_in_a_tab(shared, path, views):
    """To the browser all of it is a document. The type that the server gives a path tells; the application's 304 has none."""
    headers = {"If-None-Match": '"any"'}
    if not path.startswith("/app/"):
        known = shared.get(path).headers["last-modified"]
        headers = {"If-Modified-Since": known}

    def visit(ask):
        assert ask(path, headers=headers).status == 304
    assert shared.counted(visit) == [path] * views


def test_redirect(shared):
    """The address that the visitor comes to, and it alone."""
    def visit(ask):
        assert ask("/moved").status == 302
        ask("/page.html")
    assert shared.counted(visit) == ["/page.html"]


def test_keep_alive(shared):
    def visit(ask):
        for n in range(20):
            assert ask("/page.html?n=%d" % n).status == 200
    assert shared.counted(visit) == ["/page.html"] * 20


NO_PAGE = {
    "an image": [("/logo.gif", {}, 200)],
    "data": [("/data.json", {}, 200), ("/app/json", {}, 200), ("/app/text", {}, 200)],
    "nothing there": [("/nothing.html", {}, 404), ("/app/missing", {}, 404)],
    "a page that failed": [("/app/broken", {}, 500)],
    "a page that is closed": [("/closed/page.html", {}, 403), ("/app/closed", {}, 403)],
    "HEAD": [("/page.html", {"method": "HEAD"}, 200), ("/app/page", {"method": "HEAD"}, 200)],
    "POST": [("/app/page", {"method": "POST"}, 200)],
    "a part": [("/page.html", {"headers": {"Range": "bytes=0-9"}}, 206)],
    "ahead of time": [("/page.html", {"headers": headers}, 200) for headers in (
        {"Sec-Purpose": "prefetch"}, {"Sec-Purpose": "prefetch;prerender"}, {"Purpose": "prefetch"}, {"X-Purpose": "preview"},
        {"X-Moz": "prefetch"}, {"Sec-Purpose": "a, prefetch"}, {"Purpose": "a", "purpose": "prefetch"})],
    "programs": [(path, {"headers": {"User-Agent": agent}}, 200) for path in ("/page.html", "/app/page") for agent in (
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "curl/8.0", "Wget/1.21", "msnbot/2.0",
        "AdsBot-Google (+http://www.google.com/adsbot.html)", "Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)", "facebookexternalhit/1.1")],
    "without a user agent": [("/page.html", {"without": ["User-Agent"]}, 200)],
    "calls of scripts": [("/page.html", {"headers": SCRIPT}, 200), ("/app/page", {"headers": SCRIPT}, 200),
                         ("/page.html", {"headers": {"X-Requested-With": "XMLHttpRequest"}}, 200),
                         ("/page.html", {"headers": {"Accept": "*/*"}, "without": SEC_FETCH}, 200)],
    "a frame": [("/page.html", {"headers": {"Sec-Fetch-Dest": "iframe"}}, 200)],
    "a visitor without a cookie": [("/page.html", {"without": ["Cookie"]}, 200), ("/page.html", {"headers": {"Cookie": "a=b"}}, 200)],
    "where page views are off": [("/off/page.html", {}, 200)],
    "the tracking location": [("/mkto/marketo.js", {}, 200), ("/mkto/v1/pixel/page", {}, 200), ("/mkto/nothing", {}, 404)],
    "no consent": [("/page.html", {"headers": {"X-Consent": "denied"}}, 200)],
    "opted out": [("/page.html", {"headers": {"Cookie": COOKIE + "; mkto_opt_out=id:true"}}, 200),
                  ("/page.html?marketo_opt_out=true", {}, 200)],
    "asked not to": [("/page.html", {"headers": {"Sec-GPC": "1"}}, 200), ("/page.html", {"headers": {"DNT": "1"}}, 200)],
}


@pytest.mark.parametrize("case", NO_PAGE)
def test_no_page_view(shared, case):
    def visit(ask):
        for path, more, status in NO_PAGE[case]:
            assert ask(path, **more).status == status, path
    assert not shared.counted(visit)


COUNTED = {"ahead of time": "prefetch", "programs": "bot", "without a user agent": "bot", "a visitor without a cookie": "no_visitor",
           "no consent": "consent", "opted out": "opt_out"}


@pytest.mark.parametrize("case", COUNTED)
def test_nothing_goes_uncounted(shared, case):
    """What would have been a page view, and is kept away, is counted by its reason."""
    reason, before = COUNTED[case], shared.kept_away().get(COUNTED[case], 0)
    for path, more, _ in NO_PAGE[case]:
        shared.ask(path, **more)
    wanted = before + len(NO_PAGE[case])
    wait_until(lambda: shared.kept_away().get(reason, 0) == wanted,
               what=lambda: "%d of %s; %s" % (wanted, reason, shared.kept_away()))


def test_nobody_who_names_no_host(shared):
    """No browser does; and whose page should it be?"""
    before = shared.kept_away().get("bot", 0)
    head = "".join("%s: %s\r\n" % item for item in PERSON.items() if item[0] != "Host")
    assert shared.server.raw(("GET /page.html HTTP/1.0\r\n%s\r\n" % head).encode())[0].status == 200
    wait_until(lambda: shared.kept_away().get("bot", 0) == before + 1, what=lambda: "one of bot; %s" % shared.kept_away())


def test_consent_that_is_there(shared):
    assert shared.counted(lambda ask: ask("/page.html", headers={"X-Consent": "granted"})) == ["/page.html"]
    again = {"Cookie": COOKIE + "; mkto_opt_out=id:true"}
    assert shared.counted(lambda ask: ask("/page.html?marketo_opt_out=false", headers=again)) == ["/page.html"]


def test_a_browser_without_sec_fetch(shared):
    assert shared.counted(lambda ask: ask("/page.html", without=SEC_FETCH)) == ["/page.html"]


def test_a_navigation_through_a_service_worker(shared):
    passed_on = {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "navigate"}
    assert shared.counted(lambda ask: ask("/page.html", headers=passed_on)) == ["/page.html"]


def test_a_document_in_two_lines(shared):
    twice = {"Sec-Fetch-Dest": "document", "sec-fetch-dest": "document"}
    assert shared.counted(lambda ask: ask("/page.html", headers=twice)) == ["/page.html"]


def test_bytes_of_a_visit(shared):
    """The request that Marketo gets is the one that Munchkin in this browser would have made."""
    headers = dict(PERSON, Referer="https://other.example/from?a=b")
    path = "/app/page?q=%C3%A9&utm=1&quoted=\"<>"
    assert shared.server.request("GET", path, None, headers).status == 200
    visits = shared.server.sandbox.store.visits
    one = wait_until(lambda: [v for v in visits if "utm=1" in v["query"]], what="the visit")[0]
    assert one["form"] == "page" and one["token"] == TOKEN
    parameters = one["parameters"]
    assert {name: parameters[name] for name in ("_mchId", "_mchTk", "_mchHo", "_mchPo", "_mchRu", "_mchPc", "_mchVr", "_mchHa",
                                                "_mchRe")} == {
        "_mchId": "561-HYG-937", "_mchTk": TOKEN, "_mchHo": HOST, "_mchPo": "", "_mchRu": "/app/page", "_mchPc": "http:",
        "_mchVr": "164", "_mchHa": "", "_mchRe": "https://other.example/from?a=b"}
    assert one["url"].endswith("&_mchQp=q%3D%C3%A9__-__utm%3D1__-__quoted%3D%22%3C%3E")
    assert one["headers"]["user-agent"] == AGENT and one["headers"]["accept-language"] == "de-CH"
    assert one["headers"]["x-forwarded-for"] == "127.0.0.1"
