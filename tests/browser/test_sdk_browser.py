"""@segment/analytics-next, as published, in Chromium: its files lie on the site, its settings and its API are our location."""
import os
import shutil

import pytest

from site_pages import SNIPPET
from waiting import wait_until


@pytest.fixture
def sdk(site, modules):
    """Puts the library onto the site."""
    bundles = os.path.join(modules, "@segment", "analytics-next", "dist", "umd")
    target = os.path.join(site.root, "sdk")
    os.makedirs(target)
    for name in os.listdir(bundles):
        if name.endswith(".js"):
            shutil.copy(os.path.join(bundles, name), target)
    return site


def published(calls, options="{}"):
    """The published snippet; changed are the address of the script, and that of the settings (`_cdn`)."""
    text = SNIPPET % (", " + options, calls)
    return text.replace("script.src = '/mkto/marketo.js';", "script.src = '/sdk/standalone.js';").replace(
        "analytics._writeKey", "analytics._cdn = location.origin + '/mkto'; analytics._writeKey")


def outcome(page):
    """Warnings and errors on the console."""
    return [line for line in page.said() if not line.startswith(("log:", "info:"))]


def test_every_call(sdk, context):
    url = sdk.page(head=published("""
        analytics.page('Docs', 'Home');
        analytics.identify('u1', {email: 'ada@example.com', firstName: 'Ada', plan: 'Pro'});
        analytics.track('Signed Up', {plan: 'Pro'});
        analytics.alias('u2');"""))
    sdk.start()
    page = context.page(url + "?utm_source=news")
    assert sorted(sdk.visited(2)) == [("http://127.0.0.1/event/Signed-Up", "plan=Pro"), ("http://127.0.0.1/shop.html", "utm_source=news")]
    wait_until(lambda: sdk.sandbox.store.cookies, timeout=60, what="the visitor is the person: a group needs one")
    page.run("void analytics.group('g1', {name: 'Acme'})")
    wait_until(lambda: sdk.people and sdk.people[0].get("company") == "Acme", timeout=60, what=sdk.people)
    person = sdk.people[0]
    assert (person["email"], person["firstName"], person["plan"]) == ("ada@example.com", "Ada", "Pro")
    assert outcome(page) == []


def test_api_host_as_an_option(sdk, context):
    host = "{integrations: {'Segment.io': {apiHost: location.host + '/mkto/v1', protocol: 'http'}}}"
    url = sdk.page(head=published("analytics.page();", host))
    sdk.start()
    context.page(url)
    assert sdk.visited(1) == [("http://127.0.0.1/shop.html", "")]


def test_batching(sdk, context):
    options = """{integrations: {'Segment.io': {apiHost: location.host + '/mkto/v1', protocol: 'http',
        deliveryStrategy: {strategy: 'batching', config: {size: 3, timeout: 500}}}}}"""
    url = sdk.page(head=published("analytics.page(); analytics.track('One'); analytics.track('Two'); analytics.track('Three');", options))
    sdk.start()
    context.page(url)
    assert sorted(place.split("127.0.0.1")[1] for place, _ in sdk.visited(4)) == [
        "/event/One", "/event/Three", "/event/Two", "/shop.html"]


def test_another_host_asks_first(sdk, context):
    """Settings and API are on another host of the site; its Authorization header makes the browser ask before each kind of call."""
    sdk.server.conf["marketo"]["identify"] = "open"
    pages, track = "http://www.shop.test:%d" % sdk.server.port, "http://track.shop.test:%d" % sdk.server.port
    sdk.server.location(text={"nginx": "marketo_allow_origin %s;" % pages, "httpd": "MarketoAllowOrigin %s\n" % pages})
    sdk.page(head=published("analytics.page(); analytics.identify('u1', {email: 'ada@example.com'});").replace(
        "location.origin + '/mkto'", "'%s/mkto'" % track))
    sdk.start()
    page = context.page(pages + "/shop.html")
    sdk.visited(1)
    sdk.known(1)
    assert outcome(page) == []


def test_retries(sdk, context):
    """The courier is away; the library tries again by itself, and each event arrives once."""
    sdk.server.courier = "external"
    sdk.server.location(timeout="200ms")
    sdk.server.announce("MKTO0106", "MKTO0130")
    url = sdk.page(head=published("analytics.track('Late');"))
    sdk.start()
    page = context.page(url)
    wait_until(lambda: any("503" in line for line in page.said()), what="a refusal")
    sdk.server.start_courier()
    assert [place.split("/event/")[1] for place, _ in sdk.visited(1)] == ["Late"]


def test_a_visitor_moves_to_marketo_js_and_back(sdk, context):
    """Both keep the same ids under the same names, so that a switch makes nobody a new person."""
    old = sdk.page("/old.html", head=published("analytics.identify('u1', {email: 'ada@example.com', plan: 'Pro'});"))
    new = sdk.page("/new.html")
    again = sdk.page("/again.html", head=published(""))
    sdk.start()
    script = "[analytics.user().id(), analytics.user().anonymousId(), analytics.user().traits()]"
    page = context.page(old)
    page.until("analytics.initialized")
    sdk.known(1)
    first = page.run(script)
    page.goto(new)
    assert page.run(script) == first and first[0] == "u1"
    page.run("void analytics.identify('u2', {email: 'bob@example.com'})")
    second = page.run(script)
    sdk.known(2)
    page.goto(again)
    page.until("analytics.initialized")
    assert page.run(script) == second and second[:2] != first[:2]
