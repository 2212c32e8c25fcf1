"""
The recipes of build/recipes, as they are but for ports, paths and the addresses of Marketo: what a visitor does arrives as README says.
And the blocks of README itself.
"""
import http.server
import os
import re
import threading

import pytest

import readme
from http_talk import Talk
from nginx_conf import amend
from servers import free_port
from waiting import wait_until

RECIPES = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "build", "recipes")
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
COOKIE = "_mkto_trk=id:561-HYG-937&token:_mch-example.com-1374552656411-90718"

LANGUAGES = {"nginx": "nginx", "httpd": "apache"}

pytestmark = pytest.mark.servers("nginx", "httpd-event")


class Site:
    """A server with one recipe, on a port of its own."""

    def __init__(self, server, name, modules=(), **replaced):
        self.server, self.port = server, free_port()
        with open(os.path.join(RECIPES, server.family, name + ".conf"), encoding="utf-8") as file:
            text = file.read()
        text = text.replace("listen 80;", "listen 127.0.0.1:%d;" % self.port).replace("<VirtualHost *:80>", "<VirtualHost 127.0.0.1:%d>" % self.port)
        text = text.replace("/var/www/html", os.path.join(server.directory, "www"))
        for before, after in replaced.values():
            assert before in text, before
            text = text.replace(before, after)
        if server.family == "nginx":
            # The harness' own server stays the one of its own port.
            amend(server, "    access_log off;\n", "    access_log off;\n" + text)
        else:
            server.modules += [it for it in modules if it not in server.modules]
            amend(server, "MarketoCourier ", "Listen 127.0.0.1:%d\nAddType text/html .html\n%sMarketoCourier " % (self.port, text))
        server.start()

    def ask(self, method, path, body=None, host="www.example.com", **headers):
        with Talk(self.port) as talk:
            given = {"Host": host, "User-Agent": AGENT, "Accept": "text/html"}
            given.update({name.replace("_", "-"): value for name, value in headers.items()})
            return talk.request(method, path, body, given)

    def page(self, path="/index.html", **more):
        reply = self.ask("GET", path, **more)
        assert reply.status == 200, reply
        return reply

    def visits(self, sandbox, count):
        wait_until(lambda: len(sandbox.store.visits) >= count, what=lambda: "%d visits: %s" % (count, sandbox.store.visits))
        return [visit["page"] for visit in sandbox.store.visits]


class App(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):  # pylint: disable=invalid-name
        body, kind = (self.server.pages.get(self.path.partition("?")[0]) or (b"<title>App</title>", "text/html"))
        self.server.seen.append((self.path, dict(self.headers)))
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):  # pylint: disable=invalid-name
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.do_GET()

    def log_message(self, *args):
        pass


@pytest.fixture(name="upstream")
def an_upstream():
    it = http.server.ThreadingHTTPServer(("127.0.0.1", 0), App)
    it.seen, it.pages = [], {}
    threading.Thread(target=it.serve_forever, daemon=True).start()
    yield it
    it.shutdown()
    it.server_close()


def test_reverse_proxy(server, sandbox, upstream):
    site = Site(server, "reverse-proxy", ["proxy", "proxy_http"], app=("127.0.0.1:3000", "127.0.0.1:%d" % upstream.server_port))
    reply = site.page("/pricing?plan=pro")
    assert reply.body == b"<title>App</title>"
    cookie = reply.headers["set-cookie"].partition(";")[0]
    site.page("/contact", Cookie=cookie)
    assert site.ask("POST", "/mkto/v1/track", {"event": "Asked", "anonymousId": "a"}, Cookie=cookie, Sec_Fetch_Site="same-origin").status == 200
    assert sorted(page.partition("://")[2] for page in site.visits(sandbox, 3)) == [
        "www.example.com/contact", "www.example.com/event/Asked", "www.example.com/pricing"]
    assert len({visit["token"] for visit in sandbox.store.visits}) == 1, "one visitor"


def test_static_site(server, sandbox):
    site = Site(server, "static-site", ["setenvif"])
    assert "set-cookie" not in site.page().headers
    assert "set-cookie" not in site.page(Cookie="consent=no; " + COOKIE).headers
    reply = site.page(Cookie="consent=yes")
    assert "_mkto_trk=" in reply.headers["set-cookie"]
    site.page(Cookie="consent=yes; " + reply.headers["set-cookie"].partition(";")[0])
    site.visits(sandbox, 2)
    assert len(sandbox.store.visits) == 2 and len({visit["token"] for visit in sandbox.store.visits}) == 1


def test_single_page_app(server, sandbox):
    site = Site(server, "single-page-app")
    reply = site.page("/some/route")
    assert b"A page of the site" in reply.body
    cookie = reply.headers["set-cookie"].partition(";")[0]
    body = {"anonymousId": "a", "properties": {"url": "https://www.example.com/some/route"}}
    assert site.ask("POST", "/mkto/v1/p", body, Cookie=cookie, Sec_Fetch_Site="same-origin").status == 200
    site.visits(sandbox, 1)
    assert len(sandbox.store.visits) == 1, "the page call only"
    assert site.ask("GET", "/mkto/marketo.js").status == 200


def test_behind_cdn(server, sandbox, upstream):
    site = Site(server, "behind-cdn", ["remoteip", "proxy", "proxy_http"], app=("127.0.0.1:3000", "127.0.0.1:%d" % upstream.server_port))
    site.page("/", Cookie=COOKIE, X_Forwarded_For="203.0.113.7, 192.0.2.9")
    site.visits(sandbox, 1)
    assert sandbox.store.visits[0]["headers"]["x-forwarded-for"] == "203.0.113.7"
    reply = site.page("/paid", Cookie=COOKIE, X_Forwarded_For="203.0.113.7", X_Forwarded_Proto="https")
    assert reply.headers["set-cookie"].endswith("; SameSite=Lax; Secure")
    assert sorted(site.visits(sandbox, 2)) == ["http://www.example.com/", "https://www.example.com/paid"]


def test_two_brands(server, sandbox):
    second = type(sandbox)(munchkin_id="999-BBB-999", lead_lock_s=0)
    second.start()
    try:
        server.conf.section("marketo brand-b", **server.conf["marketo"])
        server.conf.use(second, "marketo brand-b")
        site = Site(server, "two-brands")
        site.page(Cookie=COOKIE)
        reply = site.page(host="www.brand-b.example")
        assert "id:999-BBB-999&token:_mch-brand-b.example-" in reply.headers["set-cookie"]
        site.visits(sandbox, 1)
        wait_until(lambda: second.store.visits, what="the other brand's visit")
        assert len(sandbox.store.visits) == len(second.store.visits) == 1
    finally:
        second.stop()


def test_first_party_munchkin(server, sandbox, upstream):
    upstream.pages["/munchkin.js"] = (b'load("//munchkin.marketo.net/" + version + "/munchkin.js")', "application/javascript")
    there = "http://127.0.0.1:%d" % upstream.server_port
    server.announce("AH01873: Init: Session Cache is not configured")
    site = Site(server, "first-party-munchkin", ["proxy", "proxy_http", "substitute", "filter", "headers", "ssl"],
                script=("https://munchkin.marketo.net", there), events=("https://561-HYG-937.mktoresp.com", there))
    script = site.ask("GET", "/munchkin/munchkin.js", Cookie="session=secret").body
    assert script == b'load("//www.example.com/munchkin/" + version + "/munchkin.js")'
    assert site.ask("POST", "/munchkin/to/webevents/visitWebPage?_mchNc=1", "", Cookie="session=secret").status == 200
    assert [path for path, _ in upstream.seen] == ["/munchkin.js", "/webevents/visitWebPage?_mchNc=1"]
    assert not any("secret" in str(headers) for _, headers in upstream.seen), "the site's cookies stay at the site"
    assert "set-cookie" in site.page(Cookie=COOKIE).headers
    assert not sandbox.store.visits


def test_munchkin_of_a_stranger(server):
    """Its script would run in the site's pages: what shows no certificate that is Marketo's is not passed on."""
    server.tls = True
    server.announce("AH01873: Init: Session Cache is not configured", r"AH0\d+: .*(Hint: |certificate|SSL|Remote|during|pass request body failed)",
                    r"upstream SSL certificate verify error: \(18:self.signed certificate\)")
    there = "https://localhost:%d" % server.port3
    site = Site(server, "first-party-munchkin", ["proxy", "proxy_http", "substitute", "filter", "headers"],
                script=("https://munchkin.marketo.net", there), events=("https://561-HYG-937.mktoresp.com", there))
    for path in ("/munchkin/index.html", "/munchkin/to/index.html"):
        reply = site.ask("GET", path)
        assert reply.status in (500, 502) and b"A page of the site" not in reply.body
    assert b"A page of the site" in site.page().body


def test_every_recipe_is_tested():
    here = globals()
    for family in ("nginx", "httpd"):
        names = {name[:-len(".conf")] for name in os.listdir(os.path.join(RECIPES, family))}
        assert names == {"reverse-proxy", "static-site", "single-page-app", "behind-cdn", "two-brands", "first-party-munchkin"}
        assert all("test_" + name.replace("-", "_") in here for name in names)
        assert all(readme.mentions("| `%s.conf` |" % name) for name in names)


# ---- README's own blocks ----

def test_blocks_of_readme():
    """What is tested is all that there is: installation, the tag that the server puts in (tests/browser), page views."""
    for language in LANGUAGES.values():
        assert ["marketo_config" in it.lower() or "MarketoConfig" in it or "</head>" in it or re.search("track_?pages", it, re.I) is not None
                for it in readme.blocks(language)] == [True] * 3


def test_installation(server, sandbox):
    """The lines that load the module and name marketo.conf are as those of the harness; the location is README's own."""
    text = readme.block(LANGUAGES[server.family], "external")
    if server.family == "nginx":
        amend(server, "location ^~ /mkto/ { marketo;", "location /unused/ {")
        text = re.search(r"location .*}\n", text).group(0)
    else:
        amend(server, "<Location \"/mkto/\">", "<Location \"/unused/\">")
        text = re.search(r"<Location .*</Location>\n", text, re.S).group(0)
    server.location()
    server.text[server.family] = text
    server.start()
    assert server.post("track", {"event": "E", "userId": "u"}).status == 200
    wait_until(lambda: sandbox.store.visits, what="the visit")


def test_page_views(server, sandbox, upstream):
    server.modules += ["proxy", "proxy_http"]
    app = "http://127.0.0.1:%d" % upstream.server_port
    server.text["nginx"] = readme.block("nginx", "marketo_track_pages on").replace("http://app", app)
    server.text["httpd"] = readme.block("apache", "MarketoTrackPages On") + 'ProxyPass "/" "%s/"\n' % app
    server.start()
    for path in ("/pricing", "/contact"):
        reply = server.get(path, {"Host": "www.example.com", "User-Agent": AGENT, "Accept": "text/html"})
        assert reply.body == b"<title>App</title>" and "_mkto_trk=" in reply.headers["set-cookie"]
    wait_until(lambda: len(sandbox.store.visits) >= 2, what="two visits")
    assert sorted(visit["page"] for visit in sandbox.store.visits) == ["http://www.example.com/contact", "http://www.example.com/pricing"]
