"""`make run` as somebody sees it: its shop, the courier's page and the sandbox Marketo's, on a desk and in a hand."""
import os
import re
import subprocess
import sys
import urllib.request

import pytest

from waiting import wait_until

DEMO = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "demo", "demo.py")
SIZES = {"desk": {"width": 1280, "height": 900}, "hand": {"width": 400, "height": 800}}


@pytest.fixture(name="demo", scope="module")
def running_demo(chromium, out):  # pylint: disable=unused-argument
    """Addresses by the name that it prints."""
    process = subprocess.Popen([sys.executable, DEMO, "--out", out], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = []
    try:
        for line in process.stdout:
            said.append(line)
            if "Ctrl-C" in line:
                break
        found = dict(re.findall(r"^  (sandbox Marketo|nginx|httpd|the courier) +(http://\S+)", "".join(said), re.M))
        assert len(found) == 4, "".join(said)
        yield found
    finally:
        process.terminate()
        rest = process.communicate(timeout=60)[0]
    assert process.returncode == 0 and not rest.strip(), rest


@pytest.fixture(name="screen", params=SIZES)
def a_screen(request, chromium):
    it = chromium.context(viewport=SIZES[request.param])
    it.name = request.param
    yield it
    it.close()


def until(page, expression):
    """As page.until, which a policy without 'unsafe-eval' does not let run; a page that goes cannot answer."""
    def holds():
        try:
            return page.run(expression)
        except AssertionError:
            return False
    wait_until(holds, timeout=20, what=expression)


def look(page, screen, out, name):
    """Nothing hangs out of the window, nothing complains; the picture is kept for whoever wants to see it."""
    assert page.run("document.documentElement.scrollWidth - innerWidth") <= 0
    assert page.said() == []
    directory = os.path.join(out, "test", "pictures")
    os.makedirs(directory, exist_ok=True)
    page.call("screenshot", {"path": os.path.join(directory, "%s-%s.png" % (name, screen.name)), "fullPage": True})


def received(demo, what):
    with urllib.request.urlopen(demo["sandbox Marketo"] + "sandbox/" + what, timeout=10) as reply:
        return reply.read().decode()


@pytest.mark.parametrize("family", ["nginx", "httpd"])
def test_the_shop(demo, screen, out, family):
    """Somebody looks, buys, subscribes, and goes to the other page: Marketo has it all, and the page shows that."""
    email = "ada-%s-%s@example.com" % (family, screen.name)
    page = screen.page(demo[family])
    page.click("[data-item=Lighthouse]")
    page.fill("#first-name", "Ada")
    page.fill("#email", email)
    look(page, screen, out, "shop-" + family)
    page.click("#letter button")
    until(page, "location.pathname === '/visit.html' && window.analytics")
    until(page, "document.querySelector('#people').textContent.includes('%s')" % email)
    until(page, "['/event/Added-to-Basket?item=Lighthouse&price=12', '/event/Subscribed?letter=harbour', '/visit.html'].every(place => "
               "[...document.querySelectorAll('#visits code')].some(code => code.textContent === place))")
    assert page.run("document.getElementById('you').textContent") == email
    look(page, screen, out, "visit-" + family)
    assert email not in received(demo, "visits"), "what is typed into the form stands in no address"


def test_the_sandbox(demo, screen, out):
    page = screen.page(demo["sandbox Marketo"])
    until(page, "['tom@example.com', 'secondFavoriteColor', 'plan=Pro'].every(text => document.body.textContent.includes(text))")
    look(page, screen, out, "sandbox")


def test_the_courier(demo, screen, out):
    page = screen.page(demo["the courier"])
    until(page, "/running/.test(document.body.innerText) && /delivered/.test(document.body.innerText)")
    look(page, screen, out, "courier")


def test_curl_lines(demo):
    """The address of each server takes what the printed curl lines send."""
    for family in ("nginx", "httpd"):
        request = urllib.request.Request(demo[family] + "mkto/v1/identify", data=b'{"userId":"u1","traits":{"email":"%s@example.com"}}' % family.encode(),
                                         headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as reply:
            assert reply.read() == b'{"success":true}'
    wait_until(lambda: all(family + "@example.com" in received(demo, "leads") for family in ("nginx", "httpd")), timeout=60, what="both people")
