"""Option `munchkin`: what a stand-in for Munchkin is told, and what goes to the server. The server is a stand-in, too."""
import pytest

from site_pages import plain, snippet
from waiting import wait_until

ID = "561-HYG-937"
OPTIONS = "{munchkin: true, munchkinId: '%s', munchkinSrc: '/munchkin.js'}" % ID
HASH = "218f23be7219da5437a183a4175f7a7b0ecd5e7c"
BUNDLED = {"bundled": ["Marketo"], "unbundled": []}


def calls_of(page, count):
    page.until("window.calls && calls.length >= %d" % count)
    return page.run("calls")


def open_page(stand, context, calls="analytics.page();", options=OPTIONS, before=""):
    return context.page(stand.page("/shop", head=before + snippet(calls, options)) + "?utm_source=news")


def test_first_page_is_that_of_init(stand, context):
    page = open_page(stand, context, "analytics.page(); analytics.track('Signed Up', {plan: 'Pro Plus', seats: 5});")
    assert calls_of(page, 2) == [["init", ID, {"asyncOnly": True}],
                                 ["visitWebPage", {"url": "/event/Signed-Up", "params": "plan=Pro%20Plus&seats=5"}, None]]
    assert [(m["type"], m["_metadata"]) for m in stand.heard(2)] == [("page", BUNDLED), ("track", BUNDLED)]
    assert page.said() == []


def test_later_pages_are_visits(stand, context):
    page = open_page(stand, context)
    stand.heard(1)
    page.run("void (history.pushState(0, '', '/cart?step=2#x'), analytics.page('Cart'))")
    assert calls_of(page, 2)[1:] == [["visitWebPage", {"url": stand.url + "/cart?step=2", "params": "step=2"}, None]]
    stand.heard(2, type="page", _metadata=BUNDLED)


def test_first_page_of_another_address_is_a_visit(stand, context):
    """init records the address that it finds; a page() that comes after a change of address is not that one."""
    page = open_page(stand, context, calls="")
    calls_of(page, 1)
    page.run("void (history.pushState(0, '', '/cart'), analytics.page())")
    assert calls_of(page, 2)[1][1]["url"] == stand.url + "/cart"


def test_event_names_and_values(stand, context):
    page = open_page(stand, context, calls="""
        analytics.track('/event/as_is', {});
        analytics.track('a_b c', {'a b&': 'x=y', none: null, list: [1, 2], object: {a: 1}, yes: true, day: '2026-01-02'});""")
    first, second = calls_of(page, 3)[1:]
    assert first == ["visitWebPage", {"url": "/event/as_is", "params": ""}, None]
    assert second[1] == {"url": "/event/a-b-c", "params": "a%20b%26=x%3Dy&list=%5B1%2C2%5D&object=%7B%22a%22%3A1%7D&yes=true"
                                                         "&day=2026-01-02"}


def test_identify(stand, context):
    stand.hash = HASH
    page = open_page(stand, context, calls="""
        analytics.identify('1234', {email: 'example@example.com', name: 'Jake Peterson', company: 'Segment', favoriteColor: 'Blue'});""")
    assert calls_of(page, 2)[1] == ["associateLead", {
        "Email": "example@example.com", "FirstName": "Jake", "LastName": "Peterson", "name": "Jake Peterson", "Company": "Segment",
        "favoriteColor": "Blue", "id": "1234", "userId": "1234"}, HASH]
    assert stand.hashed == [({"email": "example@example.com"}, "1")]
    message = stand.heard(1)[0]
    assert (message["type"], message.get("_metadata")) == ("identify", None)  # the server's identify, too
    page.run("void analytics.identify('1234', {plan: 'Pro'})")
    assert calls_of(page, 3)[2][1]["plan"] == "Pro"
    assert len(stand.hashed) == 1


TRAITS = [
    ("'u1', {email: 'a@example.com', first_name: ' Ada ', address: {city: 'Turin', country: 'Italy', postalCode: '1', street: 'x'}}",
     {"Email": "a@example.com", "first_name": " Ada ", "FirstName": "Ada", "City": "Turin", "Country": "Italy", "PostalCode": "1",
      "id": "u1", "userId": "u1"}),
    ("'a@example.com', {name: 'Ada', phones: ['1', '2'], industry: null}",
     {"Email": "a@example.com", "FirstName": "Ada", "name": "Ada", "phones": ["1", "2"], "Phone": "1", "id": "a@example.com",
      "userId": "a@example.com"}),
    ("{EMAIL: 'a@example.com', address: 'Via Po 1', company: {name: 'Acme'}, userId: 'other'}",
     {"EMAIL": "a@example.com", "Email": "a@example.com", "Address": "Via Po 1", "Company": {"name": "Acme"}, "userId": "other"}),
]


@pytest.mark.parametrize("arguments, lead", TRAITS, ids=["address", "id", "spelling"])
def test_traits(stand, context, arguments, lead):
    stand.hash = HASH
    page = open_page(stand, context, calls="analytics.identify(%s);" % arguments)
    assert calls_of(page, 2)[1] == ["associateLead", lead, HASH]


def test_identify_without_a_hash_or_an_email(stand, context):
    """No private key: the server identifies all the same, and nothing is said to Munchkin, nor on the console by us."""
    page = open_page(stand, context, calls="analytics.identify('u1', {email: 'ada@example.com'}).identify('u2', {plan: 'Pro'});")
    stand.heard(2, type="identify")
    wait_until(lambda: stand.hashed)
    assert [call[0] for call in page.run("calls")] == ["init"]
    assert not [line for line in page.said() if "ada" in line or "marketo.js" in line]


def test_integrations_that_leave_marketo_out(stand, context):
    page = open_page(stand, context, calls="""
        analytics.track('a', {}, {integrations: {Marketo: false}});
        analytics.track('b', {}, {integrations: {All: false}});
        analytics.track('c', {}, {integrations: {All: false, Marketo: true}});
        analytics.track('d', {}, {integrations: {marketo: false}});""")
    assert [call[1]["url"] for call in calls_of(page, 3)[1:]] == ["/event/c", "/event/d"]
    assert [m["event"] for m in stand.heard(4) if "_metadata" not in m] == ["a", "b"]


def test_blocked(stand, context):
    """The server records where Munchkin is not to be had."""
    page = open_page(stand, context, "analytics.page(); analytics.track('a');", OPTIONS.replace("/munchkin.js", "/blocked.js"))
    assert [(m["type"], m.get("_metadata")) for m in stand.heard(2)] == [("page", None), ("track", None)]
    assert "warning: marketo.js: no Munchkin; the server records" in page.said()


def test_page_goes_before_munchkin_is_there(stand, context):
    page = open_page(stand, context, "analytics.page(); analytics.track('a');", before="<script>window.munchkinDelay = 9e6;</script>")
    calls_of(page, 1)
    assert not stand.bodies
    page.goto(stand.url + "/next.html")
    assert [(m["type"], m.get("_metadata")) for m in stand.heard(2)] == [("page", None), ("track", None)]


@pytest.mark.parametrize("leaves", [False, True], ids=["stays", "leaves"])
def test_opt_out_before_munchkin_is_there(stand, context, leaves):
    """The calls that were held for it are told to nobody, nor is the server asked for a hash."""
    stand.hash = HASH
    before = "<script>window.munchkinDelay = 9e6;</script>"
    page = open_page(stand, context, "analytics.page(); analytics.identify('u1', {email: 'ada@example.com'});", before=before)
    calls_of(page, 1)
    page.run("void (document.cookie = 'mkto_opt_out=id:true; path=/')")
    if leaves:
        page.goto(stand.url + "/shop")
        page.run("void (document.cookie = 'mkto_opt_out=; path=/; max-age=0', analytics.track('Last'))")
    else:
        page.run("""void (window.MunchkinTracker = {}, setTimeout(() => {
            document.cookie = 'mkto_opt_out=; path=/; max-age=0';
            analytics.track('Last');
        }, 1000))""")
    stand.heard(1, event="Last")
    assert [m.get("event") for m in stand.messages] == ["Last"] and stand.hashed == []
    assert page.run("window.calls && calls.map(call => call[0])") == (None if leaves else ["init", "visitWebPage"])


AWAY = '<a id="away" href="https://other.test/">Elsewhere</a>'
CLICKS = OPTIONS.replace("{", "{clicks: true, ")
PRESS = "void (document.getElementById('away').addEventListener('click', event => event.preventDefault()), away.click())"


def test_clicks_are_munchkins_own(stand, context):
    page = context.page(stand.page("/shop", head=snippet("", CLICKS), body=AWAY))
    page.until("window.MunchkinTracker")
    page.run(PRESS)
    page.run("void analytics.track('Last')")
    assert [call[0] for call in calls_of(page, 2)] == ["init", "visitWebPage"]
    assert [m["event"] for m in stand.heard(1)] == ["Last"]


def test_clicks_before_munchkin_is_there(stand, context):
    """Munchkin has not seen it, so the server records it."""
    before = "<script>window.munchkinDelay = 9e6;</script>"
    page = context.page(stand.page("/shop", head=before + snippet("", CLICKS), body=AWAY))
    page.until("window.calls")
    page.run(PRESS)
    page.run("void (window.MunchkinTracker = {}, analytics.track('Last'))")
    assert [(m["event"], m.get("_metadata")) for m in stand.heard(2)] == [("Clicked Link", None), ("Last", BUNDLED)]
    assert [call[1]["url"] for call in calls_of(page, 2)[1:]] == ["/event/Last"]


def test_plain_script_with_attributes(stand, context):
    head = plain('data-munchkin data-munchkin-id="%s" data-munchkin-src="/munchkin.js"' % ID)
    page = context.page(stand.page("/shop", head=head))
    assert calls_of(page, 1) == [["init", ID, {"asyncOnly": True}]]
    assert stand.heard(1)[0]["_metadata"] == BUNDLED


def test_plain_script_that_is_loaded_by_hand(stand, context):
    head = plain('data-load="off" data-munchkin data-munchkin-id="%s" data-munchkin-src="/munchkin.js"' % ID)
    page = context.page(stand.page("/shop", head=head))
    page.run("void analytics.page()")
    assert not page.run("!!document.querySelector('script[src*=munchkin]')")
    page.run("void analytics.load()")
    assert calls_of(page, 1) == [["init", ID, {"asyncOnly": True}]]
    assert stand.heard(1)[0]["_metadata"] == BUNDLED


def test_id_is_missing(stand, context):
    page = context.page(stand.page("/shop", head=plain("data-munchkin")))
    assert "_metadata" not in stand.heard(1)[0]
    assert page.said() == ["warning: marketo.js: munchkin needs munchkinId"]
