"""
Fixtures of the end-to-end tests.

    server    a server that is ready to be configured and started, once each for nginx and httpd with its three MPMs
              (@pytest.mark.servers("nginx", ...) picks some; MKTO_SERVERS=nginx,httpd-event in the environment, too)
    shared    the same, started once for all tests of a file that only ask things of it
    sandbox   a local Marketo
    app       an application that a server can pass requests to, and that remembers them

MKTO_OUT names the directory of the build (default: out/). A missing build is a failure, not a skip.
"""
import http.server
import os
import shutil
import sys
import tempfile
import threading

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(ROOT, "tests", "sandbox")]

import servers  # noqa: E402
from marketo_sandbox import Sandbox  # noqa: E402

OUT = os.path.abspath(os.environ.get("MKTO_OUT", os.path.join(ROOT, "out")))


def pytest_configure(config):
    config.addinivalue_line("markers", "servers(kind, ...): the servers that a test runs over")


def pytest_generate_tests(metafunc):
    for name in ("server", "shared"):
        if name in metafunc.fixturenames:
            mark = metafunc.definition.get_closest_marker("servers")
            wanted = os.environ.get("MKTO_SERVERS", ",".join(servers.KINDS)).split(",")
            kinds = [kind for kind in (mark.args if mark else servers.KINDS) if kind in wanted]
            metafunc.parametrize(name, kinds, indirect=True, scope="module" if name == "shared" else "function")


@pytest.fixture(scope="session")
def out():
    """The directory of the build."""
    for name in ("marketo", "mod_marketo.so", "ngx_http_marketo_module.so"):
        if not os.path.exists(os.path.join(OUT, name)):
            pytest.fail("%s/%s is missing: run make, or set MKTO_OUT" % (OUT, name))
    return OUT


@pytest.fixture(name="directory")
def new_directory():
    # Not pytest's own: a socket's path may have 107 bytes at most.
    path = tempfile.mkdtemp(prefix="mkto-")
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def sandbox():
    marketo = Sandbox(lead_lock_s=0)
    marketo.start()
    yield marketo
    marketo.stop()


@pytest.fixture
def server(request, directory, sandbox, out):  # pylint: disable=redefined-outer-name
    it = servers.make(request.param, directory, out, sandbox)
    yield it
    it.end()


@pytest.fixture(scope="module")
def shared(request, out):  # pylint: disable=redefined-outer-name
    marketo = Sandbox(lead_lock_s=0)
    marketo.start()
    path = tempfile.mkdtemp(prefix="mkto-")
    it = servers.make(request.param, path, out, marketo)
    it.sandbox = marketo
    try:
        it.start()
        yield it
    finally:
        try:
            it.end()
        finally:
            marketo.stop()
            shutil.rmtree(path, ignore_errors=True)


class _App(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append((self.command, self.path))
        body = b"the application\n"
        self.send_response(200)
        for item in self.server.answer_headers.items():
            self.send_header(*item)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer

    def log_message(self, *args):
        pass


@pytest.fixture
def app():
    it = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _App)
    it.requests, it.answer_headers = [], {}
    it.url = "http://127.0.0.1:%d" % it.server_port
    threading.Thread(target=it.serve_forever, daemon=True).start()
    yield it
    it.shutdown()
    it.server_close()


@pytest.fixture(name="say")
def say_fixture(record_property):
    """Keeps a line that is printed at the end although the test passes, whichever process ran it."""
    def it(text):
        record_property("said", text)
    return it


def pytest_terminal_summary(terminalreporter):
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) == "call":
                for name, text in report.user_properties:
                    if name == "said":
                        terminalreporter.write_line(text)
