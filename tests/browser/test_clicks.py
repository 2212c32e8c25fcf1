"""Option `clicks`: which links are told of, and what is told."""
import pytest

from site_pages import plain, snippet

LINKS = """
<a id="away" href="https://other.test/a%%20b?q=1#x"> <b id="inner">Else</b>where\n</a>
<a id="port" href="//127.0.0.1:1/x">Another port</a>
<a id="pdf" href="/files/List.PDF?v=2">List</a>
<a id="saved" href="/report" download>Report</a>
<a id="mail" href="mailto:ada@example.com">Mail</a>
<a id="phone" href="tel:+4312345">Phone</a>
<a id="same" href="/next.html?to=https://other.test/">Next</a>
<a id="hash" href="#below">Below</a>
<a id="script" href="javascript:void 0">Script</a>
<a id="none">None</a>
<svg><a href="https://other.test/svg"><text id="svg">x</text></a></svg>
<my-button id="own">Own</my-button>
<map name="map"><area id="area" href="https://other.test/area"></map>
<a id="stopped" href="https://other.test/stopped">Stopped</a>
<a id="long" href="https://other.test/long">%s</a>
<div id="host"></div>
<script>
addEventListener("click", function (event) { event.preventDefault(); });
document.getElementById("stopped").addEventListener("click", function (event) { event.stopPropagation(); event.preventDefault(); });
document.getElementById("own").href = location.origin + "/next.html";
document.getElementById("host").attachShadow({mode: "open"}).innerHTML = '<a href="https://other.test/shadow">In the shadow</a>';
</script>""" % ("x" * 201)


def links(stand, context, head=plain('data-clicks data-page="off"')):
    return context.page(stand.page("/shop", head=head, body=LINKS))


def press(page, name, button=0):
    event = ["click", "auxclick", "auxclick"][button]
    page.run("void document.getElementById(%r).dispatchEvent(new MouseEvent(%r, {button: %d, bubbles: true, composed: true, "
             "cancelable: true}))" % (name, event, button))


@pytest.mark.parametrize("name, href, text", [
    ("away", "https://other.test/a%20b?q=1#x", "Elsewhere"), ("inner", "https://other.test/a%20b?q=1#x", "Elsewhere"),
    ("port", "http://127.0.0.1:1/x", "Another port"), ("pdf", "/files/List.PDF?v=2", "List"), ("saved", "/report", "Report"),
    ("mail", "mailto:ada@example.com", "Mail"), ("phone", "tel:+4312345", "Phone"),
    ("stopped", "https://other.test/stopped", "Stopped"), ("long", "https://other.test/long", "x" * 200),
    ("area", "https://other.test/area", ""),
])
def test_told(stand, context, name, href, text):
    page = links(stand, context)
    press(page, name)
    message, = stand.heard(1)
    href = stand.url + href if href.startswith("/") else href
    assert (message["type"], message["event"]) == ("track", "Clicked Link")
    assert message["properties"] == {"href": href, "text": text}
    assert message["integrations"] == {"Marketo": {"clickLink": href}}
    assert message["context"]["page"]["path"] == "/shop"


def test_in_the_shadow(stand, context):
    page = links(stand, context)
    page.run("void document.getElementById('host').shadowRoot.querySelector('a').click()")
    assert stand.heard(1)[0]["properties"] == {"href": "https://other.test/shadow", "text": "In the shadow"}


def test_middle_button_opens_a_link_and_the_right_one_a_menu(stand, context):
    page = links(stand, context)
    press(page, "port", button=2)
    press(page, "away", button=1)
    page.run("void analytics.track('Last')")
    assert [m["event"] for m in stand.heard(2)] == ["Clicked Link", "Last"]


def test_not_told(stand, context):
    page = links(stand, context)
    for name in ("same", "hash", "script", "none", "svg", "own"):
        press(page, name)
    page.run("void analytics.track('Last')")
    assert [m["event"] for m in stand.heard(1)] == ["Last"]


def test_off_by_default(stand, context):
    page = links(stand, context, plain('data-page="off"'))
    press(page, "away")
    page.run("void analytics.track('Last')")
    assert [m["event"] for m in stand.heard(1)] == ["Last"]


def test_option_of_load(stand, context):
    page = links(stand, context, snippet(calls="", options="{clicks: true}"))
    page.until("analytics.initialized")
    press(page, "away")
    assert stand.heard(1)[0]["event"] == "Clicked Link"


def test_as_other_tracks(stand, context):
    """Listeners hear of it."""
    page = links(stand, context)
    page.run("void (window.seen = [], analytics.on('track', (event, properties) => seen.push([event, properties.text])))")
    press(page, "away")
    stand.heard(1)
    assert page.run("seen") == [["Clicked Link", "Elsewhere"]]


LINK = {"clickLink": "https://other.test/a%20b?q=1#x"}


@pytest.mark.parametrize("given, sent", [
    ("{Marketo: false}", {"Marketo": False}),
    ("{All: false}", {"All": False}),
    ("{all: false, Marketo: undefined}", {"all": False}),
    ("{All: true, Marketo: false}", {"All": True, "Marketo": False}),
    ("{Marketo: {marketoCookie: 'id:1'}}", {"Marketo": dict(LINK, marketoCookie="id:1")}),
    ("{All: false, Marketo: {a: 1}}", {"All": False, "Marketo": dict(LINK, a=1)}),
    ("{All: false, Marketo: true}", {"All": False, "Marketo": LINK}),
    ("{Marketo: true}", {"Marketo": LINK}),
    ("{All: true, Other: false}", {"All": True, "Other": False, "Marketo": LINK}),
    ("{All: 'false'}", {"All": "false", "Marketo": LINK}),
    ("null", {"Marketo": LINK}),
])
def test_integrations_of_the_page(stand, context, given, sent):
    """Who leaves Marketo out has left it out of clicks, too: the server filters them as any track. Otherwise they gain a member."""
    page = links(stand, context, snippet(calls="", options="{clicks: true, integrations: %s}" % given))
    page.until("analytics.initialized")
    press(page, "away")
    message, = stand.heard(1)
    assert (message["event"], message["integrations"]) == ("Clicked Link", sent)


def test_integrations_that_change(stand, context):
    """The page may change its mind in the object that it gave, as all calls see."""
    page = links(stand, context, "<script>window.choice = {};</script>" + snippet(calls="", options="{clicks: true, integrations: choice}"))
    page.until("analytics.initialized")
    page.run("void (choice.Marketo = false)")
    press(page, "away")
    assert stand.heard(1)[0]["integrations"] == {"Marketo": False}
    page.run("void (choice.Marketo = true)")
    press(page, "away")
    assert stand.heard(2)[1]["integrations"] == {"Marketo": LINK}
