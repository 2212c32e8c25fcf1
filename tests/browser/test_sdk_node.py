"""@segment/analytics-node, as published: only host and path are ours. Asserted on what Marketo received."""
import json
import os
import subprocess

from waiting import wait_until

HERE = os.path.dirname(os.path.abspath(__file__))


def program(site, modules, calls, **options):
    """Starts it; it ends by itself when all its calls have been answered for."""
    process = subprocess.Popen(["node", os.path.join(HERE, "sdk.js")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                               env=dict(os.environ, NODE_PATH=modules))
    options = dict({"writeKey": "site", "host": site.url, "path": "/mkto/v1/batch"}, **options)
    process.stdin.write(json.dumps({"options": options, "calls": calls}))
    process.stdin.close()
    process.stdin = None
    return process


def run(site, modules, calls, **options):
    text, _ = program(site, modules, calls, **options).communicate(timeout=60)
    return json.loads(text)


def test_every_call(site, modules):
    site.start()
    who = {"userId": "019mr8mf4r"}
    done = run(site, modules, [
        ["identify", dict(who, traits={"email": "jake@example.com", "name": "Jake Peterson", "plan": "Pro"})],
        ["page", dict(who, name="Pricing", properties={"url": "https://www.example.com/pricing?utm_source=news"})],
        ["track", dict(who, event="Update Buying Period", properties={"newPeriod": "2016-01-01", "lastName": "Peterson"})],
        ["screen", dict(who, name="Home Screen")],
        ["alias", {"userId": "u2", "previousId": "019mr8mf4r"}]])
    assert done == {"errors": [], "delivered": 5}
    assert site.visited(3) == [("https://www.example.com/pricing", "utm_source=news"),
                               ("https://www.example.com/event/Update-Buying-Period", "newPeriod=2016-01-01&lastName=Peterson"),
                               ("https://www.example.com/screen/Home-Screen", "")]
    wait_until(lambda: site.sandbox.store.cookies, timeout=60, what="the visitor is the person: a group needs one")
    run(site, modules, [["group", dict(who, groupId="g1", traits={"name": "Acme"})]])
    wait_until(lambda: site.people and site.people[0].get("company") == "Acme", timeout=60, what=site.people)
    person = site.people[0]
    assert (person["email"], person["firstName"], person["lastName"], person["plan"]) == ("jake@example.com", "Jake", "Peterson", "Pro")
    assert len(site.tokens) == 1


def test_cookie_in_the_context(site, modules):
    site.start()
    token = "_mch-marketo.com-1374552656411-90718"
    context = {"Marketo": {"marketoCookie": "id:561-HYG-937&token:" + token}}
    run(site, modules, [["track", {"userId": "u1", "event": "Signed Up", "context": context}]])
    site.visited(1)
    assert site.tokens == {token}


def test_big_batches_and_flush_at_exit(site, modules):
    """1000 calls in batches of 250; the program ends as soon as it may."""
    site.start()
    calls = [["track", {"userId": "u%d" % (n % 7), "event": "Counted", "properties": {"n": n, "text": "x" * 400}}] for n in range(1000)]
    assert run(site, modules, calls, flushAt=250) == {"errors": [], "delivered": 1000}
    site.visited(1000)
    assert sorted(int(query.split("&")[0].split("=")[1]) for _, query in site.visits) == list(range(1000))


def test_retries(site, modules):
    """The courier is away: 503. The client tries again by itself, and nothing arrives twice."""
    site.server.courier = "external"
    site.server.location(timeout="200ms")
    site.server.announce("MKTO0106", "MKTO0130")
    site.start()
    client = program(site, modules, [["track", {"userId": "u1", "event": "Late"}]], maxRetries=20, flushAt=1)
    wait_until(lambda: "MKTO0106" in site.server.read(site.server.log) or site.server.family == "nginx", what="the first try")
    site.server.start_courier()
    text, _ = client.communicate(timeout=60)
    assert json.loads(text) == {"errors": [], "delivered": 1}
    assert len(site.visited(1)) == 1


def test_wrong_key(site, modules):
    site.server.conf["sources"]["backend"] = "wk_right"
    site.start()
    call = ["track", {"userId": "u1", "event": "Signed Up"}]
    done = run(site, modules, [call], writeKey="wk_wrong", maxRetries=0)
    assert done["delivered"] == 0 and done["errors"]
    assert run(site, modules, [call], writeKey="wk_right") == {"errors": [], "delivered": 1}
    assert len(site.visited(1)) == 1
