"""What README has people put into their pages, copied from there, on pages that nginx and httpd serve."""
import readme
from site_pages import snippet, tag_manager
from waiting import wait_until

EXAMPLE = "https://www.example.com"
STUBS = "!function (w, n)"
SHOP = ("http://127.0.0.1/shop.html", "")


def no_more(site, page):
    """All that the page had to send is there."""
    page.run("void analytics.track('Last')")
    wait_until(lambda: any(place.endswith("/event/Last") for place, _ in site.visits), what="the last event")


def test_plain_script(site, context):
    url = site.page(head=readme.cell("nothing yet", "<script"))
    site.start()
    page = context.page(url)
    assert site.visited(1) == [SHOP]
    assert page.said() == []


def test_stubs(site, context):
    url = site.page(head=readme.block("html", STUBS), body="<script>analytics.track('Early');</script>")
    site.start()
    page = context.page(url)
    assert site.visited(2) == [SHOP, ("http://127.0.0.1/event/Early", "")]
    assert page.said() == []


def test_tag_manager(site, context):
    url = site.page(head="", body=tag_manager(readme.cell("Google Tag Manager", "<script").replace(EXAMPLE, site.url)))
    site.start()
    page = context.page(url)
    assert site.visited(1) == [SHOP]
    no_more(site, page)
    assert len(site.visits) == 2 and page.said() == []


def test_tag_manager_with_options(site, context):
    """Its attribute says that the page is no call of ours."""
    url = site.page(head="", body=tag_manager(readme.block("html", "createElement").replace(EXAMPLE, site.url)))
    site.start()
    page = context.page(url)
    page.until("window.analytics && analytics.initialized")
    no_more(site, page)
    assert site.visits == [("http://127.0.0.1/event/Last", "")] and page.said() == []


def test_tag_that_the_server_puts_in(site, context):
    """sub_filter, and mod_substitute."""
    text = readme.block({"nginx": "nginx", "httpd": "apache"}[site.server.family], "</head>")
    site.server.text["nginx"] += text.replace("    proxy_pass http://app;\n", "")
    site.server.text["httpd"] += text
    site.server.modules += ["headers", "filter", "substitute"]
    url = site.page(head="")
    site.start()
    context.page(url)
    assert site.visited(1) == [SHOP]


def test_options_of_the_snippet(site, context):
    """`analytics.load(key, options)`, and options that stand in the way of Marketo for all calls."""
    url = site.page(head=snippet("analytics.track('Kept');", "{integrations: {Marketo: false}}"))
    site.start()
    page = context.page(url)
    page.until("analytics.initialized && Object.keys(localStorage).every(key => !key.startsWith('mkto_outbox.'))")
    page.run("void analytics.track('Last', {}, {integrations: {Marketo: true}})")
    assert site.visited(1) == [("http://127.0.0.1/event/Last", "")]


def test_analytics_js_2_from_npm(site, context, modules):
    """AnalyticsBrowser of @segment/analytics-next, loaded as README says."""
    line = readme.cell("analytics.js 2 from npm", "AnalyticsBrowser.load").replace(EXAMPLE, site.url)
    with open(modules + "/@segment/analytics-next/dist/umd/index.js", encoding="utf-8") as file:
        site.write("/sdk.js", file.read())
    url = site.page(head='<script src="/sdk.js"></script>', body="""<script>
        var analytics = AnalyticsNext.%s;
        analytics.page(); analytics.identify('u1', {email: 'ada@example.com'}); analytics.track('Signed Up', {plan: 'Pro'});</script>""" % line)
    site.start()
    page = context.page(url)
    assert sorted(site.visited(2)) == [("http://127.0.0.1/event/Signed-Up", "plan=Pro"), SHOP]
    assert site.known(1)[0]["email"] == "ada@example.com"
    assert [said for said in page.said() if not said.startswith(("log:", "info:"))] == []
