"""marketo.js on pages that nginx and httpd serve, against the server's own tracking location; asserted on what Marketo received."""
import os

import pytest

from site_pages import COOKIE_OF_MUNCHKIN, SNIPPET, plain, snippet
from waiting import wait_until


def strict(server):
    """Every page under a policy that allows this site's own files only, and nothing inline."""
    policy = "default-src 'self'; img-src data:"
    server.text["nginx"] += '        add_header Content-Security-Policy "%s";\n' % policy
    server.text["httpd"] += 'Header set Content-Security-Policy "%s"\n' % policy
    server.modules.append("headers")


def test_script(site):
    site.start()
    reply = site.server.get("/mkto/marketo.js")
    assert reply.status == 200 and reply.headers["content-type"] == "text/javascript; charset=utf-8"
    assert reply.headers["cache-control"] == "public, max-age=3600"
    with open(os.path.join(site.server.out, "build", "generated", "web", "marketo.js"), "rb") as file:
        assert reply.body == file.read()
    again = site.server.get("/mkto/marketo.js", {"If-None-Match": reply.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    site.meet_courier()


def test_page_on_load(site, context):
    url = site.page()
    site.start()
    page = context.page(url + "?utm_source=news#top")
    visits = site.visited(1)
    assert visits == [("http://127.0.0.1/shop.html", "utm_source=news")]
    assert page.said() == []


def test_identify_then_reload(site, context):
    """One person, one visitor: before and after the reload, and when scripts may keep no cookie any more."""
    url = site.page()
    site.start()
    page = context.page(url)
    page.run("void analytics.track('Looked', {sku: 'A 1'}).identify('u1', {email: 'ada@example.com', firstName: 'Ada', plan: 'Pro'})")
    person = site.known(1)[0]
    assert (person["email"], person["firstName"], person["plan"]) == ("ada@example.com", "Ada", "Pro")
    anonymous = page.run("analytics.user().anonymousId()")
    page.goto(url)
    assert page.run("[analytics.user().anonymousId(), analytics.user().id()]") == [anonymous, "u1"]
    page.run("void analytics.track('Ordered')")
    visits = site.visited(4)
    assert [place.split("127.0.0.1")[1] for place, _ in visits] == ["/shop.html", "/event/Looked", "/shop.html", "/event/Ordered"]
    assert visits[1][1] == "sku=A%201"
    assert len(site.people) == 1


def test_snippet(site, context):
    url = site.page(head=snippet("analytics.page('Docs', 'Home'); analytics.identify('u1', {email: 'ada@example.com'});"
                                 "analytics.track('Early');"))
    site.start()
    page = context.page(url)
    site.known(1)
    assert [place.split("127.0.0.1")[1] for place, _ in site.visited(2)] == ["/shop.html", "/event/Early"]
    assert page.said() == []


def test_link_and_form(site, context):
    """Both lead away at once, and neither event is lost; the form sends what it would have sent without us."""
    url = site.page(body="""<script>
        analytics.trackLink(document.getElementById('link'), 'Followed', function (a) { return {to: a.pathname}; });
        analytics.trackForm(document.getElementById('form'), function () { return 'Sent'; }, {form: 1});</script>""")
    site.start()
    page = context.page(url)
    page.click("#link")
    page.at("/next.html")
    page.goto(url)
    page.click("#send")
    page.at("/next.html?plan=pro&by=button")
    visits = site.visited(4)
    assert sorted(visit for visit in visits if "/event/" in visit[0]) == [
        ("http://127.0.0.1/event/Followed", "to=%2Fnext.html"), ("http://127.0.0.1/event/Sent", "form=1")]


def test_clicks(site, context):
    """Links that lead away are clicks in Marketo; no navigation waits for them, and none is lost by it."""
    away = "http://other.test:%d/next.html?a=%%20b" % site.server.port
    url = site.page(head=plain("data-clicks"), body='<a id="away" href="%s"><b>Elsewhere</b></a><a id="file" href="/next.html" download>List</a>' % away)
    site.start()
    page = context.page(url)
    page.click("#link")
    page.at("/next.html")
    page.goto(url)
    page.click("#file")
    page.click("#away")
    page.at("/next.html?a=%20b")
    visits = sorted((visit["page"], visit["link"] or "") for visit in site.visited(4) and site.sandbox.store.visits)
    shop = "http://127.0.0.1/shop.html"
    assert visits == [(shop, ""), (shop, ""), (shop, site.url + "/next.html"), (shop, away.replace("%20", " "))]
    assert {visit["form"] for visit in site.sandbox.store.visits} == {"page", "click"}
    assert len(site.tokens) == 1


def test_clicks_without_marketo(site, context):
    """Who leaves Marketo out leaves it out of clicks."""
    body = '<a id="away" href="http://other.test/" onclick="return false">Elsewhere</a>'
    url = site.page(head=snippet("", "{clicks: true, integrations: {Marketo: false}}"), body=body)
    site.start()
    page = context.page(url)
    page.until("analytics.initialized")
    page.click("#away")
    page.run("void analytics.track('Last', {}, {integrations: {Marketo: true}})")
    assert site.visited(1) == [("http://127.0.0.1/event/Last", "")]


def test_offline_then_online(site, context):
    url = site.page()
    site.start()
    page = context.page(url)
    site.visited(1)
    context.offline(True)
    page.until("!navigator.onLine")
    page.run("void analytics.track('One').track('Two')")
    context.offline(False)
    assert [place.split("/event/")[1] for place, _ in site.visited(3)[1:]] == ["One", "Two"]


def test_server_away_then_back(site, context):
    """The courier is down, which the visitor's browser is told; each event arrives once when it is back."""
    url = site.page()
    site.server.courier = "external"
    site.server.location(timeout="300ms")
    site.server.announce("MKTO0106", "MKTO0130")
    site.start()
    page = context.page(url)
    page.run("void analytics.track('One').identify('u1', {email: 'ada@example.com'})")
    page.until("Object.keys(localStorage).some(key => key.startsWith('mkto_outbox.') && JSON.parse(localStorage[key]).q[0].t > 0)")
    site.server.start_courier()
    site.visited(2)
    site.known(1)
    page.until("!Object.keys(localStorage).some(key => key.startsWith('mkto_outbox.'))")
    assert len(site.visits) == 2


def test_what_is_sent_again_counts_once(site, context):
    """The page goes before it hears the answer; the next one sends the same messages again."""
    url = site.page(head=plain('data-page="off"'))
    site.start()
    page = context.page(url)
    page.run("""void (window.real = window.fetch, window.fetch = (to, how) => (real(to, how), new Promise(() => {})),
        analytics.track('Once'))""")
    site.visited(1)
    page.goto(url)
    page.until("Object.keys(localStorage).every(key => !key.startsWith('mkto_outbox.'))")
    page.run("void analytics.track('Last')")
    assert [place.split("/event/")[1] for place, _ in site.visited(2)] == ["Once", "Last"]


def test_strict_policy(site, context):
    strict(site.server)
    site.write("/own.js", "analytics.track('Own', {n: 1}); analytics.trackLink(document.links[0], 'Followed');")
    url = site.page(body='<script src="/own.js"></script>')
    site.start()
    page = context.page(url)
    page.click("#link")
    page.at("/next.html")
    places = [place.split("127.0.0.1")[1] for place, _ in site.visited(3)]
    assert sorted(places) == ["/event/Followed", "/event/Own", "/shop.html"]
    assert not [line for line in page.said() if "Security" in line]


def test_strict_policy_bites(site, context):
    """The same policy stops an inline snippet; that is why the plain script is the way there."""
    strict(site.server)
    url = site.page(head=snippet())
    site.start()
    page = context.page(url)
    wait_until(lambda: any("Content Security Policy" in line for line in page.said()), what=SNIPPET)
    site.meet_courier()


def test_munchkin(site, context):
    """Munchkin records page and track, the server the person; nothing is counted twice."""
    site.server.conf["marketo"]["munchkin_private_key_file"] = site.server.conf.secret("munchkin.key", "fortesting-key-0001")
    site.server.location()
    url = site.page(head=plain('data-munchkin data-munchkin-id="561-HYG-937" data-munchkin-src="/munchkin.js"'))
    site.start()
    page = context.page(url)
    page.run("void analytics.track('Looked').identify('u1', {email: 'lead@example.com', firstName: 'Ada'})")
    page.until("window.calls && calls.length >= 3")
    assert page.run("calls") == [
        ["init", "561-HYG-937", {"asyncOnly": True}],
        ["visitWebPage", {"url": "/event/Looked", "params": ""}, None],
        ["associateLead", {"Email": "lead@example.com", "FirstName": "Ada", "id": "u1", "userId": "u1"},
         "218f23be7219da5437a183a4175f7a7b0ecd5e7c"]]
    assert site.known(1)[0]["email"] == "lead@example.com"
    wait_until(lambda: site.sandbox.store.cookies, what="the cookie of Munchkin is that of the person")
    assert list(site.sandbox.store.cookies) == ["_mch-127.0.0.1-97bf4361ef4433921a6da262e8df45a"]
    page.run("void analytics.track('Unmarked', {}, {integrations: {Marketo: false}})")
    page.until("Object.keys(localStorage).every(key => !key.startsWith('mkto_outbox.'))")
    assert site.visits == []


def test_munchkin_is_blocked(site, context):
    site.server.announce(r"/blocked\.js")  # nginx says so of a file that is not there
    url = site.page(head=plain('data-munchkin data-munchkin-id="561-HYG-937" data-munchkin-src="/blocked.js"'))
    site.start()
    context.page(url)
    assert site.visited(1) == [("http://127.0.0.1/shop.html", "")]


def test_cookies_that_scripts_keep_for_a_week(site, context):
    """As in Safari: whatever a script has written goes after seven days. The visitor's cookie is renewed by the server."""
    site.server.text["nginx"] += "        marketo_cookie refresh;\n"
    site.server.text["httpd"] += "MarketoCookie refresh\n"
    site.page()
    site.page("/other.html")
    site.start()
    url = "http://www.shop.test:%d/shop.html" % site.server.port
    page = context.page(url)
    site.visited(1)
    token = "_mch-shop.test-97bf4361ef4433921a6da262e8df45a"
    page.run("void (document.cookie = '_mkto_trk=id:561-HYG-937&token:%s;path=/;domain=shop.test;max-age=604800')" % token)
    page.goto(url.replace("shop.html", "other.html"))
    cookie = context.cookies()["_mkto_trk"]
    assert cookie["value"] == "id:561-HYG-937&token:" + token
    assert cookie["expires"] - page.run("Date.now()") / 1000 > 300 * 86400  # 730 days; Chromium keeps none over 400
    site.visited(2)
    context.call("clearCookies", {"name": "ajs_anonymous_id"})
    page.run("void localStorage.clear()")
    page.goto(url)
    site.visited(3)
    assert [visit["token"] for visit in site.sandbox.store.visits[1:]] == [token, token]


def test_another_host_of_the_site(site, context):
    """The tracking location is on a host of its own, takes the pages' host in, and lets it identify."""
    site.server.conf["marketo"]["identify"] = "open"
    pages, track = "http://www.shop.test:%d" % site.server.port, "http://track.shop.test:%d" % site.server.port
    site.server.location(text={"nginx": "marketo_allow_origin %s;" % pages, "httpd": "MarketoAllowOrigin %s\n" % pages})
    site.page(head='<script src="%s/mkto/marketo.js"></script>' % track)
    site.start()
    page = context.page(pages + "/shop.html")
    page.run("void analytics.identify('u1', {email: 'ada@example.com'})")
    site.visited(1)
    site.known(1)
    page.until("Object.keys(localStorage).every(key => !key.startsWith('mkto_outbox.'))")
    assert page.said() == []


def test_a_host_that_may_not(site, context):
    site.page(head='<script src="http://track.shop.test:%d/mkto/marketo.js"></script>' % site.server.port)
    site.start()
    page = context.page("http://www.shop.test:%d/shop.html" % site.server.port)
    page.run("void analytics.identify('u1', {email: 'ada@example.com'})")
    wait_until(lambda: any("CORS" in line for line in page.said()), what="a refusal")
    assert site.visits == [] and site.people == []
    site.meet_courier()


@pytest.mark.parametrize("host", ["www.shop.test", "shop.test", "www.shop.co.uk"])
def test_munchkin_keeps_a_cookie_that_we_made(site, context, host):
    """The server makes it, Munchkin's script reads and rewrites it: one cookie, one token, one visitor, as before, so after."""
    site.server.text["nginx"] += "        marketo_cookie mint; marketo_track_pages on;\n"
    site.server.text["httpd"] += "MarketoCookie mint\nMarketoTrackPages On\n"
    url = site.page(head=COOKIE_OF_MUNCHKIN).replace("127.0.0.1", host)
    site.start()
    site.meet_courier()
    page = context.page(url)
    made = page.run("document.cookie")
    assert page.run("kept") and "token:_mch-%s-" % host.replace("www.", "") in made
    for later in ("?2", "?3"):
        page.goto(url + later)  # of the same address the browser may have a fresh copy
        assert page.run("document.cookie") == made and page.run("kept")
    assert [cookie["name"] for cookie in context.call("cookies")] == ["_mkto_trk"], "Munchkin's lies over ours"
    site.visited(3)
    assert site.tokens == {made.partition("token:")[2]}
