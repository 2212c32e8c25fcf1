"""The surface of the classic analytics.js: argument forms, what a message holds, who the visitor is, and where that is kept."""
import re

import pytest

import readme
from site_pages import plain, snippet
from waiting import wait_until

UUID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
SILENT = plain('data-page="off"')


@pytest.fixture
def page(stand, context):
    return context.page(stand.page("/shop", head=SILENT))


def said_of(stand, page, *calls):
    """The messages of some calls."""
    before = len(stand.messages)
    for call in calls:
        page.run("void (%s)" % call)
    stand.heard(before + len(calls))
    return stand.messages[before:]


FORMS = [
    ("page()", {"type": "page"}, {}),
    ("page('Home')", {"type": "page", "name": "Home"}, {"name": "Home"}),
    ("page('Docs', 'Home')", {"category": "Docs", "name": "Home"}, {"name": "Home", "category": "Docs"}),
    ("page('Docs', 'Home', {a: 1})", {"category": "Docs", "name": "Home"}, {"a": 1}),
    ("page('Home', {a: 1})", {"name": "Home"}, {"a": 1}),
    ("page({a: 1, url: 'https://www.example.com/x'})", {"type": "page"}, {"a": 1, "url": "https://www.example.com/x"}),
    ("page(null, 'Home', {a: 1})", {"name": "Home"}, {"a": 1}),
    ("page('Home', () => {})", {"name": "Home"}, {}),
    ("page(() => {})", {"type": "page"}, {}),
    ("pageview('/virtual')", {"type": "page"}, {"path": "/virtual"}),
    ("screen('Home', {a: 1})", {"type": "screen", "name": "Home"}, {"a": 1}),
    ("track('Signed Up')", {"type": "track", "event": "Signed Up", "properties": {}}, {}),
    ("track('Signed Up', {plan: 'Pro'})", {"event": "Signed Up"}, {"plan": "Pro"}),
    ("track('Signed Up', () => {})", {"event": "Signed Up", "properties": {}}, {}),
    ("track('Signed Up', {plan: 'Pro'}, {integrations: {Marketo: false}}, () => {})",
     {"event": "Signed Up", "integrations": {"Marketo": False}}, {"plan": "Pro"}),
    ("track('Signed Up', {}, {timestamp: '2026-01-02T03:04:05.000Z', anonymousId: 'anon-1'})",
     {"timestamp": "2026-01-02T03:04:05.000Z", "anonymousId": "anon-1"}, {}),
]


def test_forms(stand, page):
    for call, fields, properties in FORMS:
        message = said_of(stand, page, "analytics." + call)[0]
        assert {key: message.get(key) for key in fields} == fields, call
        assert {key: message["properties"].get(key) for key in properties} == properties, call


def test_forms_of_identify(stand, page):
    one, two, three, four, five = said_of(
        stand, page, "analytics.identify({a: 1})", "analytics.identify('u1', {b: 2})", "analytics.identify({c: 3}, () => {})",
        "analytics.identify('u1')", "analytics.identify(7, {d: 4})")
    assert one["traits"] == {"a": 1} and "userId" not in one or one["userId"] is None
    assert (two["userId"], two["traits"]) == ("u1", {"a": 1, "b": 2})
    assert (three["userId"], three["traits"]) == ("u1", {"a": 1, "b": 2, "c": 3})
    assert (four["userId"], four["traits"]) == ("u1", {"a": 1, "b": 2, "c": 3})
    assert (five["userId"], five["traits"]) == ("7", {"d": 4})
    assert one["anonymousId"] == two["anonymousId"] == four["anonymousId"] != five["anonymousId"]


def test_forms_of_group_and_alias(stand, page):
    said_of(stand, page, "analytics.identify('u1')")
    one, two, three, four = said_of(
        stand, page, "analytics.group('g1', {company: 'Acme'})", "analytics.group({seats: 3})", "analytics.alias('u2')",
        "analytics.alias('u2', 'u0', {}, () => {})")
    assert (one["groupId"], one["traits"], one["userId"]) == ("g1", {"company": "Acme"}, "u1")
    assert (two["groupId"], two["traits"]) == ("g1", {"company": "Acme", "seats": 3})
    assert (three["userId"], three["previousId"]) == ("u2", "u1")
    assert (four["userId"], four["previousId"]) == ("u2", "u0")
    assert page.run("analytics.group().id()") == "g1"
    assert page.run("analytics.group().properties()") == {"company": "Acme", "seats": 3}


def test_what_a_message_holds(stand, context):
    page = context.page(stand.page("/shop", head=SILENT) + "?a=1&b=2#top")
    message = said_of(stand, page, "analytics.track('Ordered')")[0]
    assert re.match(r"^mkto-[0-9a-f-]{36}$", message["messageId"])
    assert re.match(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", message["timestamp"])
    assert UUID.match(message["anonymousId"])
    assert message["context"]["page"] == {"path": "/shop", "referrer": "", "search": "?a=1&b=2", "title": "Shop",
                                          "url": stand.url + "/shop?a=1&b=2"}
    assert message["context"]["library"]["name"] == "marketo.js"
    assert stand.bodies[-1]["path"] == "/mkto/v1/batch" and stand.bodies[-1]["sentAt"] >= message["timestamp"]


def test_canonical_link(stand, context):
    canonical = '<link rel="canonical" href="https://www.example.com/canonical">'
    page = context.page(stand.page("/shop", head=canonical + SILENT) + "?a=1")
    message = said_of(stand, page, "analytics.page()")[0]
    assert message["properties"]["url"] == "https://www.example.com/canonical?a=1"
    assert message["properties"]["path"] == "/canonical"


def test_options_of_old_stand_for_the_context(stand, page):
    one, two = said_of(stand, page, "analytics.track('a', {}, {ip: '0.0.0.0'})",
                       "analytics.track('b', {}, {context: {page: {title: 'Other'}, traits: {email: 'a@example.com'}}})")
    assert one["context"]["ip"] == "0.0.0.0"
    assert two["context"]["page"]["title"] == "Other" and two["context"]["page"]["path"] == "/shop"
    assert two["context"]["traits"] == {"email": "a@example.com"}


def test_a_message_is_as_at_its_call(stand, page):
    page.run("(() => { const p = {plan: 'a'}; analytics.track('Ordered', p); p.plan = 'b'; })()")
    assert stand.heard(1)[0]["properties"] == {"plan": "a"}


def test_half_a_character(stand, page):
    """What is left of a character that was cut is replaced; the server would refuse the whole call."""
    message, = said_of(stand, page, r"analytics.track('Cut', {text: '\ud83d\ude00 \ud83d \ude00 \\ud83d'})")
    assert message["properties"]["text"] == "\U0001f600 \ufffd \ufffd \\ud83d"


def test_callbacks_and_listeners(stand, page):
    page.run("""void (window.seen = [], analytics
        .on('track', (event, properties) => seen.push(['on', event, properties.a]))
        .once('track', (event) => seen.push(['once', event]))
        .timeout(1).track('a', {a: 1}, () => seen.push('done')).track('b', {a: 2}))""")
    page.until("seen.length === 4")
    assert page.run("seen") == [["on", "a", 1], ["once", "a"], ["on", "b", 2], "done"]
    page.run("void analytics.off('track').track('c')")
    stand.heard(3)
    assert page.run("seen.length") == 4


def test_a_listener_that_throws(stand, page):
    page.run("void analytics.on('track', () => { throw new Error('mine'); }).track('a')")
    stand.heard(1)
    wait_until(lambda: page.said() == ["uncaught: mine"], what=page.said())


def test_what_has_no_effect_says_so(page):
    assert page.run("analytics.addSourceMiddleware(() => {}) === analytics && analytics.register() === analytics")
    assert page.said() == ["warning: marketo.js: addSourceMiddleware has no effect", "warning: marketo.js: register has no effect"]


# ---- who the visitor is, and where that is kept ----

def test_storage_is_that_of_analytics_js_2(stand, page, context):
    said_of(stand, page, "analytics.identify('u 1', {email: 'ada@example.com'})", "analytics.group('g1', {company: 'Acme'})")
    anonymous = page.run("analytics.user().anonymousId()")
    cookies = context.cookies()
    assert UUID.match(anonymous)
    assert {name: cookie["value"] for name, cookie in cookies.items()} == {
        "ajs_anonymous_id": anonymous, "ajs_user_id": "u%201", "ajs_group_id": "g1"}
    for cookie in cookies.values():
        assert (cookie["path"], cookie["sameSite"], cookie["httpOnly"]) == ("/", "Lax", False)
    assert page.run("localStorage.ajs_user_traits") == '{"email":"ada@example.com"}'
    assert page.run("localStorage.ajs_group_properties") == '{"company":"Acme"}'
    assert page.run("localStorage.ajs_anonymous_id") == '"%s"' % anonymous


def test_cookie_for_a_year_of_the_top_domain(stand, context):
    stand.page("/shop", head=SILENT)
    for host, domain in (("www.shop.test", ".shop.test"), ("a.b.shop.test", ".shop.test"), ("www.shop.co.uk", ".shop.co.uk")):
        page = context.page("http://%s:%d/shop" % (host, stand.port))
        assert page.run("analytics.user().id('u1')") == "u1"
        cookies = [c for c in context.call("cookies") if c["domain"].endswith(domain.lstrip("."))]
        assert {(c["name"], c["domain"]) for c in cookies} == {("ajs_anonymous_id", domain), ("ajs_user_id", domain)}
        assert all(abs(c["expires"] - page.run("Date.now()") / 1000 - 365 * 86400) < 60 for c in cookies)
        context.call("clearCookies")


def test_cookies_of_analytics_js_1(stand, context):
    url = stand.page("/shop", head=SILENT)
    uuid = "3e9b6f2e-5f2c-4d0c-8a3b-0c6b8a1f7f10"
    context.call("addCookies", [{"url": url, "name": "ajs_anonymous_id", "value": "%22" + uuid + "%22"},
                                {"url": url, "name": "ajs_user_id", "value": "null"}])
    page = context.page(url)
    assert page.run("analytics.user().anonymousId()") == uuid
    assert page.run("analytics.user().id()") is None
    assert context.cookies()["ajs_anonymous_id"]["value"] == uuid


def test_a_visitor_comes_back(stand, page, context):
    said_of(stand, page, "analytics.identify('u1', {plan: 'Pro'})")
    anonymous = page.run("analytics.user().anonymousId()")
    page.goto(stand.url + "/shop")
    message = said_of(stand, page, "analytics.track('Ordered')")[0]
    assert (message["anonymousId"], message["userId"]) == (anonymous, "u1")
    assert page.run("analytics.user().traits()") == {"plan": "Pro"}
    context.call("clearCookies")  # as browsers do that let no script keep one for long
    page.goto(stand.url + "/shop")
    assert page.run("analytics.user().anonymousId()") == anonymous


def test_reset_and_set_anonymous_id(stand, page, context):
    said_of(stand, page, "analytics.identify('u1', {plan: 'Pro'})", "analytics.group('g1', {company: 'Acme'})")
    before = page.run("analytics.user().anonymousId()")
    page.run("void analytics.reset()")
    assert "ajs_user_id" not in context.cookies() and "ajs_group_id" not in context.cookies()
    assert page.run("[analytics.user().id(), analytics.user().traits(), analytics.group().traits()]") == [None, {}, {}]
    assert page.run("analytics.user().anonymousId()") not in (before, None)
    assert page.run("analytics.setAnonymousId('anon-7')") == "anon-7"
    assert said_of(stand, page, "analytics.track('a')")[0]["anonymousId"] == "anon-7"


def test_nothing_may_be_kept(stand, chromium):
    """A page in a sandbox without an origin has neither cookies nor storage; the calls work all the same."""
    stand.page("/shop", head=SILENT)
    url = stand.page("/frame", body='<iframe sandbox="allow-scripts" srcdoc="&lt;script src=&quot;%s/mkto/marketo.js&quot; '
                     'data-page=&quot;off&quot;>&lt;/script>&lt;script>analytics.identify(&apos;u1&apos;).track(&apos;a&apos;)'
                     '&lt;/script>"></iframe>' % stand.url)
    context = chromium.context()
    try:
        context.page(url)
        identify, track = stand.heard(2)[:2]  # it may not read the answer, and sends them again
        assert identify["userId"] == track["userId"] == "u1" and identify["anonymousId"] == track["anonymousId"]
    finally:
        context.close()


# ---- how it starts ----

def test_snippet(stand, context):
    calls = ("analytics.page(); analytics.identify('u1', {a: 1}); analytics.track('Early').track('Chained');"
             "history.replaceState(0, '', '/later'); analytics.ready(function () { window.isReady = true; });")
    page = context.page(stand.page("/shop", head=snippet(calls)))
    messages = stand.heard(4)
    assert [m["type"] for m in messages] == ["page", "identify", "track", "track"]
    assert messages[0]["properties"]["path"] == "/shop"  # where it was called, not where the page is by now
    assert stand.bodies[0]["writeKey"] == "site"
    page.until("window.isReady")
    assert said_of(stand, page, "analytics.track('Late')")[0]["context"]["page"]["path"] == "/later"
    assert page.said() == []


def test_snippet_options(stand, context):
    head = snippet("analytics.page();", "{endpoint: '/mkto', integrations: {All: false}}")
    context.page(stand.page("/shop", head=head))
    assert stand.heard(1)[0]["integrations"] == {"All": False}


def test_stubs_of_the_readme(stand, context):
    head = readme.block("html", "!function (w, n)")
    page = context.page(stand.page("/shop", head=head, body="<script>analytics.track('a').identify('u1');</script>"))
    assert [m["type"] for m in stand.heard(3)] == ["page", "track", "identify"]
    assert said_of(stand, page, "analytics.track('b')")[0]["userId"] == "u1"


def test_stubs_that_were_kept(stand, context):
    """Code that took `window.analytics` before the script came goes on working with the array."""
    page = context.page(stand.page("/shop", head="<script>window.analytics = []; window.kept = window.analytics;</script>" + plain()))
    page.run("void kept.push(['track', 'Old', {a: 1}])")
    assert stand.heard(1, type="track")[0]["event"] == "Old"
    page.run("void analytics.push(['track', 'New'])")
    stand.heard(1, event="New")


def test_loaded_by_hand(stand, context):
    """Calls before load() wait for it: until then nothing is kept of the visitor, who may not have agreed yet."""
    page = context.page(stand.page("/shop", head=plain('data-load="off"')))
    page.run("void (analytics.identify('u1', {a: 1}).track('a').reset().ready(() => { window.isReady = true; }))")
    assert context.cookies() == {} and page.run("localStorage.length") == 0
    page.run("void (analytics.load('site', {debug: true}), analytics.load('other'), analytics.track('b'))")
    assert [(m["type"], m["userId"]) for m in stand.heard(3)] == [("identify", "u1"), ("track", "u1"), ("track", None)]
    assert stand.bodies[0]["writeKey"] == "site"
    assert page.run("isReady")
    assert page.said()[0] == "log: marketo.js: identify"


HELD = plain('data-load="off" data-key="tag" data-endpoint="/there" data-clicks data-debug')
AWAY = '<a id="away" href="https://other.test/" onclick="return false">Elsewhere</a>'


@pytest.mark.parametrize("given, key, path, events", [
    ("", "tag", "/there/v1/batch", ["Clicked Link", "Last"]),
    ("'', {}", "tag", "/there/v1/batch", ["Clicked Link", "Last"]),
    ("'own'", "own", "/there/v1/batch", ["Clicked Link", "Last"]),
    ("'own', {endpoint: '/here/', clicks: false, debug: false}", "own", "/here/v1/batch", ["Last"]),
])
def test_attributes_hold_for_a_load_by_hand(stand, context, given, key, path, events):
    """Options of load() win over them."""
    page = context.page(stand.page("/shop", head=HELD, body=AWAY))
    page.run("void (away.click(), analytics.load(%s), away.click(), analytics.track('Last'))" % given)
    assert [m["event"] for m in stand.heard(len(events))] == events
    assert {(body["writeKey"], body["path"]) for body in stand.bodies} == {(key, path)}
    assert bool(page.said()) == ("debug" not in given)


EMPTY = 'data-key="" data-endpoint="" data-munchkin-id="" data-munchkin-src="" data-page="" data-load=""'


def test_attributes_without_a_value(stand, context):
    """They are as if they were not there; only switches are turned on."""
    page = context.page(stand.page("/shop", head=plain(EMPTY + " data-debug")))
    stand.heard(1, type="page")
    assert stand.bodies[0]["path"] == "/mkto/v1/batch" and "writeKey" not in stand.bodies[0]
    assert page.said()[0] == "log: marketo.js: page"


@pytest.mark.parametrize("endpoint", ["https://", "http://[", "//"])
@pytest.mark.parametrize("attribute", [True, False], ids=["attribute", "option"])
def test_an_endpoint_that_is_no_url(stand, context, endpoint, attribute):
    """The page is told, and what it calls goes where the script came from."""
    stubs = snippet("analytics.track('Early');", "{endpoint: '%s'}" % endpoint)
    page = context.page(stand.page("/shop", head=plain('data-endpoint="%s"' % endpoint) if attribute else stubs))
    page.run("void analytics.track('Late')")
    assert [m.get("event") for m in stand.heard(2)] == [None if attribute else "Early", "Late"]
    assert {body["path"] for body in stand.bodies} == {"/mkto/v1/batch"}
    assert page.said() == ["warning: marketo.js: endpoint is no URL"]


def test_an_endpoint_that_is_no_text(stand, context):
    page = context.page(stand.page("/shop", head=snippet("analytics.track('a');", "{endpoint: 7}")))
    stand.heard(1, event="a")
    assert page.said() == ["warning: marketo.js: endpoint is no URL"]


def kept(page, context):
    return sorted(context.cookies()), page.run("Object.keys(localStorage)")


@pytest.mark.parametrize("value", ["id:true", ""])
def test_who_has_opted_out(stand, context, value):
    """Nothing is kept of him and nothing sent, but the page's own code goes on as ever."""
    out = "<script>document.cookie = 'mkto_opt_out=%s; path=/';</script>" % value
    stand.hash = "0" * 40
    calls = """analytics.page(); analytics.identify('ada@example.com', {a: 1}, function () { window.called = true; });
        analytics.group('g1').track('a', {}, function () { window.tracked = true; }).ready(function () { window.isReady = true; });
        analytics.on('track', function (name) { window.emitted = name; });"""
    options = "{munchkin: true, munchkinId: '561-HYG-937', munchkinSrc: '/munchkin.js', clicks: true}"
    page = context.page(stand.page("/shop", head=out + snippet(calls, options), body=AWAY))
    page.until("window.called && window.tracked && window.isReady")
    page.run("void (away.click(), analytics.alias('u2'), analytics.reset(), analytics.track('Later'))")
    page.run("void (analytics.trackLink(away, 'Link'), away.click())")
    page.until("window.emitted === 'Link'")
    assert kept(page, context) == (["mkto_opt_out"], [])
    assert page.run("typeof window.Munchkin") == "undefined"
    page.goto(stand.url + "/next.html")
    assert kept(page, context) == (["mkto_opt_out"], [])
    assert stand.bodies == stand.hashed == [] and page.said() == []


def test_who_opts_out_in_the_page(stand, context):
    page = context.page(stand.page("/shop", head=SILENT))
    page.run("void analytics.track('Before')")
    stand.heard(1, event="Before")
    page.until("!Object.keys(localStorage).some(key => key.startsWith('mkto_outbox.'))")
    page.run("void (document.cookie = 'mkto_opt_out=id:true; path=/', analytics.identify('u1', {a: 1}).track('After'))")
    page.goto(stand.url + "/next.html")
    assert [m["event"] for m in stand.messages] == ["Before"]
    assert kept(page, context) == (["ajs_anonymous_id", "mkto_opt_out"], ["ajs_anonymous_id"])
    page.goto(stand.url + "/shop")
    page.run("void analytics.reset()")
    assert kept(page, context) == (["mkto_opt_out"], [])


def test_element_of_that_name(stand, context):
    """An id makes an element a property of the window."""
    context.page(stand.page("/shop", head="", body='<div id="analytics"></div>' + plain()))
    stand.heard(1, type="page")


def test_page_that_is_only_prepared(stand, context):
    """Nothing is sent of a page before anybody sees it."""
    prepared = "<script>Object.defineProperty(document, 'prerendering', {value: true, writable: true});</script>"
    page = context.page(stand.page("/shop", head=prepared + plain()))
    page.run("void analytics.track('a')")
    assert not page.run("Object.keys(localStorage).some(key => key.startsWith('mkto_outbox.'))")
    page.run("void (document.prerendering = false, document.dispatchEvent(new Event('prerenderingchange')))")
    assert [m["type"] for m in stand.heard(2)] == ["page", "track"]


def test_nonsense(stand, page):
    """What is no object is none; calls of a wrong form say so and throw nothing."""
    one, two, three = said_of(stand, page, "analytics.track('a', 'text')", "analytics.identify('u1', 7)", "analytics.page('a', 'b', 'c')")
    assert (one["properties"], two["traits"], three["name"]) == ({}, {}, "b")
    page.run("void (analytics.track(), analytics.push(['nothing']), analytics.ready())")
    assert page.said() == ["warning: marketo.js: track needs a name"]


def test_included_twice(stand, context):
    page = context.page(stand.page("/shop", head=plain() + plain()))
    stand.heard(1, type="page")
    assert page.said() == ["warning: marketo.js: included twice"]
    assert len(stand.messages) == 1


def test_another_global_name(stand, context):
    page = context.page(stand.page("/shop", head=plain('data-global-segment-analytics-key="tracker"')))
    stand.heard(1, type="page")
    assert page.run("typeof tracker.track + typeof window.analytics") == "functionundefined"
