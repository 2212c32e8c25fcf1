"""nginx and httpd of one host with one courier: what comes to either is one stream of events."""
import tempfile
import shutil

import pytest

import servers
from waiting import wait_until


@pytest.fixture(name="other")
def other_server(server, sandbox, out):
    directory = tempfile.mkdtemp(prefix="mkto-")
    it = servers.make("httpd-event", directory, out, sandbox)
    it.conf = server.conf
    it.courier = server.courier = "external"
    yield it
    try:
        it.end()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def visit(message_id=None):
    body = {"userId": "u", "event": "Sent again"}
    return dict(body, messageId=message_id) if message_id else body


def post(server, body):
    reply = server.post("track", body)
    assert reply.status == 200 and reply.json == {"success": True}


@pytest.mark.servers("nginx")
def test_a_message_is_taken_once(server, other, sandbox):
    """Whichever server it comes to, and whatever courier runs by then. Without an id of its own each request is an event."""
    server.prepare()
    server.start_courier()
    server.start()
    other.start()
    for _ in range(2):
        post(server, visit("m-1"))
        post(other, visit("m-1"))
    wait_until(lambda: len(sandbox.store.visits) == 1, what="the visit")
    assert server.status()["intake"]["duplicates"] == 3
    server.stop_courier()
    server.start_courier()
    for one in (server, other):
        wait_until(lambda one=one: one.post("track", visit("m-1")).status == 200, what="%s has found the new courier" % one.kind)
    post(other, visit("m-2"))
    post(server, visit("m-2"))
    post(server, visit())
    post(other, visit())
    wait_until(lambda: server.status()["spool"]["waiting"] == 0 and len(sandbox.store.visits) >= 4, what="all visits")
    assert len(sandbox.store.visits) == 4 and not sandbox.store.violations
    assert server.status()["intake"]["duplicates"] == 3
