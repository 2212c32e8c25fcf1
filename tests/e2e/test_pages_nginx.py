"""Page views of nginx: what only nginx has, and what its workers do with an event for which nobody waits."""
import os
import re
import time

import pytest

from nginx_conf import amend
from site_of_pages import COOKIE, HOST, PERSON, TOKEN, App
from told_pages import listening, paths, settle
from waiting import wait_until

pytestmark = pytest.mark.servers("nginx")


@pytest.fixture(name="fake")
def new_fake(server):
    with listening(server) as it:
        yield it


@pytest.fixture(name="app")
def new_app():
    it = App()
    yield it
    it.stop()


def test_requests_that_nginx_makes_itself(server, fake, app):
    """One page view for what the visitor asked for, whatever nginx asked for; none for a POST that ends in a page."""
    server.text["nginx"] += """
        proxy_intercept_errors on;
        location = /mirrored { mirror /copy; proxy_pass APP/app/page; }
        location = /copy { internal; proxy_pass APP/app/page; }
        location = /sent { proxy_pass APP/app/page?h=X-Accel-Redirect:/page.html; }
        location = /fallback { error_page 404 = @other; proxy_pass APP/app/missing; }
        location @other { proxy_pass APP; }
        location = /soft { error_page 404 =200 /page.html; proxy_pass APP/app/missing; }
        location = /form { error_page 405 =200 /page.html; return 405; }
        location = /framed { add_before_body /page.html; add_after_body /page.html; proxy_pass APP/app/page; }
        location = /made { default_type text/html; return 200 "<title>made</title>"; }
        location = /changed { sub_filter text words; proxy_pass APP/app/page; }
        location = /if { default_type text/html; if ($arg_x) { return 200 "<title>if</title>"; } return 200 "<title>else</title>"; }
        location = /rewritten { rewrite ^ /page.html?by=rewrite last; }
        location /hidden/ { internal; }
    """.replace("APP", app.url)
    server.start()
    assert server.get("/mirrored", PERSON).status == 200
    wait_until(lambda: paths(fake) == ["/mirrored"], what="a request that ends when its copy does, which may be later")
    wanted = ["/sent", "/fallback", "/soft", "/framed", "/made", "/changed", "/if?x=1", "/if", "/rewritten?q", "/"]
    for path in wanted:
        assert server.get(path, PERSON).status == 200, path
    assert server.request("POST", "/form", b"a=b", PERSON).status == 200
    assert server.get("/hidden/page.html", PERSON).status == 404
    settle(server, fake, "/mirrored", *wanted)


def test_realip_and_two_brands(server, fake):
    """The address that nginx has resolved; each host's subscription, whose cookie among several is the visitor's."""
    server.conf.section("marketo b", **dict(server.conf["marketo"], munchkin_id="111-AAA-222"))
    server.location()
    server.location("/mkto/", host="b.example.com")
    server.location("/direct/", subscription="b")
    amend(server, "    marketo_courier", "    set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP;\n    marketo_courier")
    amend(server, "server_name b.example.com;", "server_name b.example.com; marketo_subscription b; marketo_track_pages on;")
    server.start()
    both = COOKIE + "; _mkto_trk=id:111-AAA-222&token:_mch-b.example.com-1374552656411-11111"
    for host in (HOST, "b.example.com"):
        server.get("/page.html", dict(PERSON, Host=host, Cookie=both, **{"X-Real-IP": "2001:db8::7"}))
    one, two = fake.wait(2)
    assert one.fields["remote_addr"] == two.fields["remote_addr"] == b"2001:db8::7"
    assert not one.fields["subscription"] and two.fields["subscription"] == b"b"
    assert [cookie[-6:] for cookie in one.fields["cookies"]] == [b"-90718", b"-11111"]
    assert server.post("track", b"{}", {"Host": "b.example.com"}).status == 200
    assert server.post("track", b"{}", {"Host": HOST}, prefix="/direct/").status == 200
    assert [event.fields["subscription"] for event in fake.wait(4)[2:]] == [b"b", b"b"]


def test_log_format(server, fake):
    server.location()
    amend(server, "access_log off;", 'log_format ours "$uri $marketo_verdict $marketo_event_id $marketo_visitor"; access_log %s/access.log ours;'
          % server.directory)
    server.start()
    server.get("/page.html", PERSON)
    server.get("/page.html", dict(PERSON, **{"User-Agent": "curl/8.0"}))
    server.get("/page.html", dict(PERSON, Cookie="a=b"))
    server.get("/index.html", dict(PERSON, **{"Sec-Fetch-Dest": "image"}))
    assert server.post("track", b"{}", {"Cookie": COOKIE}).status == 200
    assert server.get("/mkto/marketo.js").status == 200
    ids = [event.fields["request_id"].decode() for event in fake.wait(2)]
    log = os.path.join(server.directory, "access.log")
    wait_until(lambda: server.read(log).count("\n") == 6, what="six lines")
    assert server.read(log).splitlines()[:5] == [
        "/page.html queued %s %s" % (ids[0], TOKEN), "/page.html bot - " + TOKEN, "/page.html no_visitor - -", "/index.html - - " + TOKEN,
        "/mkto/v1/track stored %s %s" % (ids[1], TOKEN)]


def test_minted_visitor_in_the_log(server, fake):
    server.text["nginx"] += "marketo_cookie mint;\n"
    amend(server, "access_log off;", 'log_format ours "$marketo_visitor"; access_log %s/access.log ours;' % server.directory)
    server.start()
    reply = server.get("/page.html", dict(PERSON, Cookie="a=b"))
    token = re.search("token:([^;]+);", reply.headers["set-cookie"]).group(1)
    assert fake.wait(1)[0].fields["cookies"] == [("id:561-HYG-937&token:" + token).encode()]
    wait_until(lambda: server.read(os.path.join(server.directory, "access.log")) == token + "\n", what="a line")


def test_views_that_gather(server, fake):
    """For a tenth of a second, whatever the courier reads and answers meanwhile; then they go in one frame."""
    server.start()
    settle(server, fake)
    begun = time.monotonic()
    with server.talk() as visitor:
        for number in range(300):
            assert visitor.request("GET", "/page.html?%d" % number, headers=PERSON).status == 200
    tenths = (time.monotonic() - begun) * 10
    views = fake.wait(301)[1:]
    assert [view.path for view in views] == ["/page.html?%d" % number for number in range(300)]
    assert len({view.seq for view in views}) <= 3 + tenths  # each frame is full, or has had its time


def test_consent_of_the_application(server, fake, app):
    """What the response says is known when the page view is recorded."""
    server.text["nginx"] += "marketo_consent $upstream_http_x_consent;\nlocation /app/ { proxy_pass %s; }\n" % app.url
    server.start()
    for said in ("granted", "denied"):
        server.get("/app/page?h=X-Consent:" + said, PERSON)
    server.get("/app/page?last&h=X-Consent:granted", PERSON)
    wait_until(lambda: len(paths(fake)) == 2, what="two page views")
    assert [path for path in paths(fake) if "denied" in path] == []
    fake.wait_counts(consent=1)


# ---- nobody waits ----

@pytest.mark.parametrize("how", ["stop", "quit", "reload"])
def test_a_worker_that_ends_takes_none_with_it(server, fake, how):
    server.start()
    fake.wait(1, what=fake.hellos)
    server.get("/page.html", PERSON)
    fake.wait(1)
    with server.talk() as talk:
        for n in range(200):
            talk.request("GET", "/page.html?%d" % n, None, PERSON)
        if how == "reload":
            server.reload()
        else:
            server.stop(graceful=how == "quit")
    wait_until(lambda: len(fake.events) >= 201, what="all page views")
    assert paths(fake)[1:] == ["/page.html?%d" % n for n in range(200)]


def test_many_go_together(server, fake):
    """Frames that nobody waits for gather: a burst costs far fewer writes than it has page views."""
    server.start()
    fake.wait(1, what=fake.hellos)
    burst = b"".join(b"GET /page.html?%d HTTP/1.1\r\nHost: %s\r\nUser-Agent: Mozilla/5.0 Firefox/150.0\r\nCookie: %s\r\n%s\r\n" % (
        n, HOST.encode(), COOKIE.encode(), b"Connection: close\r\n" if n == 999 else b"") for n in range(1000))
    before = written(server)
    assert len(server.raw(burst)) == 1000
    fake.wait(1000)
    # Each response is a write as well; what is over that went to the courier, and to the log.
    assert written(server) - before < 1000 + 100


def written(server):
    """Write calls of the one worker so far."""
    with open("/proc/%d/io" % server.children()[0], encoding="ascii") as file:
        return int(re.search(r"syscw: (\d+)", file.read()).group(1))
