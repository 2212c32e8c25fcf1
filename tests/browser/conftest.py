"""
The browser tests use the fixtures of the end-to-end tests, over nginx and httpd (event).

    chromium  the browser, once for all tests
    context   a profile of its own in it
    site      a server with pages, not started yet: site.write(path, html), then site.start()
    stand     a server that stands for ours, where a test is about marketo.js alone
    modules   the directory of the npm packages

Where Node, the packages or the browser cannot be had, the tests are skipped, and say why.
"""
import importlib.util
import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
_PATH = os.path.join(os.path.dirname(HERE), "e2e", "conftest.py")
_SPEC = importlib.util.spec_from_file_location("e2e_conftest", _PATH)
_MODULE = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_MODULE)
globals().update({name: value for name, value in vars(_MODULE).items() if not name.startswith("_")})
sys.path.insert(0, HERE)

from chromium import Chromium, Missing, node_modules  # noqa: E402
from site_pages import Site  # noqa: E402
from stand import Stand  # noqa: E402

SERVERS = ("nginx", "httpd-event")


def pytest_generate_tests(metafunc):  # pylint: disable=function-redefined
    if "server" in metafunc.fixturenames:
        wanted = os.environ.get("MKTO_SERVERS", ",".join(SERVERS)).split(",")
        metafunc.parametrize("server", [kind for kind in SERVERS if kind in wanted], indirect=True, scope="function")


@pytest.fixture(scope="session")
def modules(out):  # pylint: disable=redefined-outer-name
    try:
        return node_modules(out)
    except Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def chromium(modules):  # pylint: disable=redefined-outer-name
    try:
        it = Chromium(modules)
    except Missing as missing:
        pytest.skip(str(missing))
    yield it
    it.end()


@pytest.fixture
def context(chromium):  # pylint: disable=redefined-outer-name
    it = chromium.context()
    yield it
    it.close()


@pytest.fixture
def site(server, sandbox):  # pylint: disable=redefined-outer-name
    return Site(server, sandbox)


@pytest.fixture
def stand(out):  # pylint: disable=redefined-outer-name
    it = Stand(out)
    yield it
    it.end()
