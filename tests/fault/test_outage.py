"""
A server comes, goes and is replaced while Marketo refuses connections, or while the courier that it has started is stopped: pages
are served, its processes end on their own and without an alert, nothing of it stays in the courier, which stays the only one,
and what was answered 200 is kept.
"""
import os
import signal

import pytest

from load import Load, arrived
from nginx_conf import amend
from nginx_daemon import Daemon, gone, launch, upgrade
from servers import files_of
from waiting import wait_until

PEOPLE = 8
NOISE = (r"MKTO03\d\d", r"MKTO0106 no answer from the courier", r"MKTO01(08|30) ")
LEAVING = {"quit": signal.SIGQUIT, "graceful-stop": signal.SIGWINCH, "stop": signal.SIGTERM}


# ---- what is out ----

class Marketo:
    """Refuses connections, and the courier knows. It asks again much later (test_kill waits for that); all is in the spool."""

    def __init__(self, server, sandbox):
        self.server, self.sandbox = server, sandbox

    def begin(self):
        self.sandbox.stop()
        identify(self.server, "refused")
        wait_until(lambda: "MKTO0301" in self.server.read(self.server.log),
                   what=lambda: "the courier has asked: %s; %s" % (self.server.read(self.server.log), self.sandbox.calls()))

    def end(self):
        self.sandbox.start()

    def check(self, people):
        """Those whose answer was cut off wait there, too."""
        assert self.server.status()["spool"]["waiting"] >= len(people) + 1  # "refused"


class Courier:
    """Is stopped."""

    def __init__(self, server, sandbox):
        self.sandbox, self.pid = sandbox, server.couriers()[0]

    def begin(self):
        os.kill(self.pid, signal.SIGSTOP)

    def end(self):
        os.kill(self.pid, signal.SIGCONT)

    def check(self, people):
        wait_until(lambda: people <= set(arrived(self.sandbox)), what="all that was answered 200 arrives")


OUTAGES = {"Marketo": Marketo, "courier": Courier}


# ---- what happens to the server ----

def act(server, what):
    """Does it, and waits until it is done: what must end does so on its own."""
    old, children = server.process, server.children()
    if what in LEAVING:
        old.send(LEAVING[what])
        old.wait()
        server.process = None
    elif what == "upgrade":
        server.process = Daemon(upgrade(server))
        old.send(signal.SIGQUIT)
        old.wait()
    else:
        old.send(signal.SIGHUP if what == "restart" else server.RELOAD)
    wait_until(lambda: all(map(gone, children)), what="the old processes end on their own")


def start(server, what):
    if what != "upgrade":
        server.start()
    else:
        launch(server)


def identify(server, name):
    body = {"traits": {"email": name + "@example.com"}}
    wait_until(lambda: server.post("identify", body).status == 200, what="the courier takes " + name)


def begin(server, sandbox, what):
    sandbox.store.settings.update(rate_calls=1000000, concurrency=10)
    server.conf["courier"]["linger"] = "3s"  # httpd may be without a child for a second
    server.announce(*NOISE)
    server.location(timeout="60s" if what == "shutdown timeout" else "1500ms")
    start(server, what)
    identify(server, "first")
    wait_until(lambda: "first@example.com" in arrived(sandbox) and not server.status()["spool"]["waiting"], what="the first person")
    wait_until(lambda: len(server.couriers()) == 1, what="one courier")


def shared_files(server):
    servers = [] if server.process is None else [server.process.pid, *server.children()]
    return [files_of(pid) & files_of(courier) for pid in servers for courier in server.couriers()]


def go_through(server, sandbox, outage, what):
    begin(server, sandbox, what)
    out, courier = OUTAGES[outage](server, sandbox), server.couriers()
    out.begin()
    try:
        with Load(server, PEOPLE, resend=False) as load:
            assert server.get("/").status == 200
            act(server, what)
            assert server.process is None or server.get("/").status == 200
        assert set(load.statuses) <= {0, 200, 503}
        assert server.couriers() == courier
        assert not any(shared_files(server))
    finally:
        out.end()
    if server.process is None:
        start(server, what)
    identify(server, "last")
    out.check({"last@example.com", *load.accepted})
    wait_until(lambda: len(server.couriers()) == 1, what="one courier")


@pytest.mark.servers("nginx")
@pytest.mark.parametrize("what", ["quit", "stop", "reload", "upgrade", "shutdown timeout"])
@pytest.mark.parametrize("outage", OUTAGES)
def test_nginx(server, sandbox, outage, what):
    if what == "shutdown timeout":
        amend(server, "daemon off;", "daemon off; worker_shutdown_timeout 300ms;")
    elif what == "upgrade":
        amend(server, "daemon off;", "daemon on;")
    go_through(server, sandbox, outage, what)


@pytest.mark.servers("httpd-event", "httpd-worker", "httpd-prefork")
@pytest.mark.parametrize("what", ["graceful-stop", "stop", "graceful", "restart"])
@pytest.mark.parametrize("outage", OUTAGES)
def test_httpd(server, sandbox, outage, what):
    go_through(server, sandbox, outage, what)
