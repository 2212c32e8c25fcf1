"""The fault tests use the fixtures of the end-to-end tests, and tools in C that are made on the way."""
import importlib.util
import os
import shutil
import tempfile

import pytest

_PATH = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e", "conftest.py")
_SPEC = importlib.util.spec_from_file_location("e2e_conftest", _PATH)
_MODULE = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_MODULE)
globals().update({name: value for name, value in vars(_MODULE).items() if not name.startswith("_")})

import diskshim  # noqa: E402


@pytest.fixture(scope="session")
def tools(out):  # pylint: disable=redefined-outer-name
    """The directory of diskshim.so and powercut."""
    if os.environ.get("MKTO_SANITIZED"):
        pytest.skip("diskshim and a sanitizer would both come first by LD_PRELOAD")
    path = tempfile.mkdtemp(prefix="mkto-")
    os.chmod(path, 0o755)
    diskshim.compile_tools(path, out)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def memory():
    """A directory in memory, where there is one: for thousands of copies of a spool."""
    path = tempfile.mkdtemp(prefix="mkto-", dir=diskshim.MEMORY if os.access(diskshim.MEMORY, os.W_OK) else None)
    yield path
    shutil.rmtree(path, ignore_errors=True)
