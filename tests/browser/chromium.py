"""
A real browser for the tests: Debian's Chromium, driven by playwright-core in a Node process (driver.js).

    browser = Chromium(node_modules); context = browser.context(); page = context.page(url)
    page.run("analytics.user().anonymousId()"); page.click("#buy"); page.until("window.done"); page.said()
    context.offline(True); context.cookies(); context.close(); browser.end()
"""
import fcntl
import json
import os
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
PATIENCE = 20000  # ms


class Missing(Exception):
    """Node, the packages or the browser cannot be had; says why."""


def node_modules(out):
    """The directory of the packages that package-lock.json names; installed when they are not there yet."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise Missing("%s is not installed" % program)
    directory = os.path.join(out, "browser")
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, "lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run side by side
        with open(os.path.join(HERE, "package-lock.json"), encoding="utf-8") as file:
            wanted = file.read()
        stamp = os.path.join(directory, "installed")
        if not os.path.exists(stamp) or open(stamp, encoding="utf-8").read() != wanted:
            _install(directory)
            with open(stamp, "w", encoding="utf-8") as file:
                file.write(wanted)
    return os.path.join(directory, "node_modules")


def _install(directory):
    for name in ("package.json", "package-lock.json"):
        shutil.copy(os.path.join(HERE, name), directory)
    done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"], cwd=directory,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=300)
    if done.returncode != 0:
        lines = [line for line in done.stdout.splitlines() if "error" in line.lower()] or [done.stdout.strip()]
        raise Missing("the npm packages cannot be had: %s" % lines[0])


class _Remote:
    def __init__(self, browser, handle):
        self.browser, self.handle = browser, handle

    def call(self, name, *arguments):
        return self.browser.ask(self.handle, name, *arguments)


class Page(_Remote):
    def goto(self, url):
        """Loads it; returns the HTTP status."""
        return self.call("goto", url, {"timeout": PATIENCE})

    def run(self, expression):
        """The value of a JavaScript expression; a promise is waited for."""
        return self.call("evaluate", expression)

    def until(self, expression):
        """Waits until a JavaScript expression is true."""
        self.call("waitForFunction", expression, None, {"timeout": PATIENCE})

    def click(self, selector, **more):
        self.call("click", selector, dict({"timeout": PATIENCE}, **more))

    def fill(self, selector, text):
        self.call("fill", selector, text)

    def url(self):
        return self.call("url")

    def at(self, path):
        """Waits until the address ends in path."""
        self.call("waitForURL", "**" + path, {"timeout": PATIENCE})

    def said(self):
        """Lines of its console, and errors that nobody caught."""
        return self.call("said")

    def close(self):
        self.call("close")


class Context(_Remote):
    """A browser profile of its own: cookies, storage."""

    def page(self, url=None):
        page = Page(self.browser, self.call("newPage"))
        if url:
            page.goto(url)
        return page

    def cookies(self):
        """name -> {"value", "domain", "expires", "sameSite" …}"""
        return {cookie["name"]: cookie for cookie in self.call("cookies")}

    def offline(self, flag):
        self.call("setOffline", flag)

    def close(self):
        self.call("close")


class Chromium:
    def __init__(self, modules):
        program = shutil.which("chromium")
        if program is None:
            raise Missing("chromium is not installed")
        self.process = subprocess.Popen(["node", os.path.join(HERE, "driver.js"), program], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, env=dict(os.environ, NODE_PATH=modules))
        self.version = self._read()

    def _read(self):
        line = self.process.stdout.readline()
        if not line:
            raise Missing("chromium did not start")
        reply = json.loads(line)
        if "error" in reply:
            raise AssertionError(reply["error"])
        return reply.get("handle", reply.get("value"))

    def ask(self, handle, name, *arguments):
        self.process.stdin.write(json.dumps({"on": handle, "call": name, "args": arguments}) + "\n")
        self.process.stdin.flush()
        return self._read()

    def context(self, **options):
        return Context(self, self.ask(0, "newContext", options))

    def end(self):
        self.process.stdin.close()
        self.process.wait(30)
