"""The published snippet (@segment/snippet): where its load() sets script.src it names our marketo.js, nothing else is changed."""
import json
import os
import subprocess

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))


def published(modules, form, **options):
    done = subprocess.run(["node", os.path.join(HERE, "snippet.js"), form, "/mkto/marketo.js", json.dumps(options)], check=True,
                          stdout=subprocess.PIPE, text=True, timeout=60, env=dict(os.environ, NODE_PATH=modules))
    assert "src=\"/mkto/marketo.js\"" in done.stdout.replace(" ", "")
    return "<script>%s</script>" % done.stdout


@pytest.mark.parametrize("form", ["max", "min"])
def test_every_call(site, context, modules, form):
    """Calls before the script is there, calls on what the page kept of the stubs, and calls after it."""
    url = site.page(head=published(modules, form), body="""<script>
        var kept = analytics;
        analytics.identify('u1', {email: 'ada@example.com', firstName: 'Ada'});
        analytics.track('Early', {n: 1});
        analytics.ready(function () { kept.track('Kept'); window.isReady = true; });</script>""")
    site.start()
    page = context.page(url + "?utm_source=news")
    page.until("window.isReady")
    page.run("void analytics.screen('Home').alias('u2', 'u1').group('g1', {name: 'Acme'})")
    assert sorted(site.visited(4)) == [("http://127.0.0.1/event/Early", "n=1"), ("http://127.0.0.1/event/Kept", ""),
                                       ("http://127.0.0.1/shop.html", "utm_source=news"), ("https://www.example.com/screen/Home", "")]
    assert site.known(1)[0]["email"] == "ada@example.com"
    assert page.said() == []


def test_page_and_options_of_the_package(site, context, modules):
    head = published(modules, "min", page={"category": "Docs", "name": "Home", "properties": {"url": "https://www.example.com/docs"}},
                     load={"integrations": {"All": True}}, globalAnalyticsKey="tracker")
    url = site.page(head=head)
    site.start()
    page = context.page(url)
    assert site.visited(1) == [("https://www.example.com/docs", "")]
    assert page.run("typeof window.analytics + tracker.initialized") == "undefinedtrue"


def test_included_twice(site, context, modules):
    head = published(modules, "min")
    url = site.page(head=head + head)
    site.start()
    page = context.page(url)
    page.until("analytics.initialized")
    page.run("void analytics.track('Last')")
    assert site.visited(2) == [("http://127.0.0.1/shop.html", ""), ("http://127.0.0.1/event/Last", "")]
    assert page.said() == ["error: Segment snippet included twice."]
