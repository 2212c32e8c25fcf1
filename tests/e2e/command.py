"""
The `marketo` command under test: how it is run, and a config for it.

    conf = Conf(directory, "[fields]", "plan = Plan__c")     conf.path, conf.spool, conf.secret("rest.secret", "…")
    out, err = run("check", "--config", conf.path, code=1)
    courier = Running(conf); ...; assert courier.stop() == 0
"""
import os
import subprocess
import time

import wire

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
MARKETO = os.path.join(os.path.abspath(os.environ.get("MKTO_OUT", os.path.join(ROOT, "out"))), "marketo")
NOW = 1767323045000  # 2026-01-02T03:04:05Z


class Conf:
    """A marketo.conf with its secrets."""

    def __init__(self, directory, *more, url="http://127.0.0.1:9", munchkin=True):
        self.directory = str(directory)
        self.path = os.path.join(self.directory, "marketo.conf")
        self.spool = os.path.join(self.directory, "spool")
        self.secret("rest.secret", "rest secret")
        self.secret("soap.key", "0123456789ABCDEF0123456789ABCDEF")
        self.secret("munchkin.key", "hunter2")
        lines = ["[marketo]", "munchkin_id = 561-HYG-937", "rest_endpoint = " + url, "munchkin_endpoint = " + url,
                 "rest_client_id = CID", "rest_client_secret_file = " + self.file("rest.secret"),
                 "soap_endpoint = %s/soap/mktows/3_1" % url, "soap_user_id = mktows_demo1_0123456789ABCDEF",
                 "soap_encryption_key_file = " + self.file("soap.key"), "connect_timeout = 2s", "timeout = 5s"]
        if munchkin:
            lines.append("munchkin_private_key_file = " + self.file("munchkin.key"))
        lines += list(more) if more and more[0][:1] != "[" else []
        lines += ["[spool]", "path = " + self.spool]
        lines += list(more) if more and more[0][:1] == "[" else []
        self.write("\n".join(lines) + "\n")

    def file(self, name):
        return os.path.join(self.directory, name)

    def secret(self, name, text, mode=0o600):
        with open(self.file(name), "w", encoding="utf-8") as out:
            out.write(text + "\n")
        os.chmod(self.file(name), mode)

    def make_spool(self, mode=0o700):
        """The spool's directory; root's tests make it somebody else's, for the courier does not run as root."""
        os.mkdir(self.spool)
        os.chmod(self.spool, mode)
        if os.geteuid() == 0:
            for path in [self.directory, self.spool] + [entry.path for entry in os.scandir(self.directory)]:
                os.chown(path, 65534, 65534)

    def write(self, text):
        with open(self.path, "w", encoding="utf-8") as out:
            out.write(text)


def run(*args, given="", code=0, env=None):
    """Runs marketo; returns (stdout, stderr)."""
    done = subprocess.run([MARKETO, *map(str, args)], input=given if isinstance(given, bytes) else given.encode(),
                          capture_output=True, timeout=30, check=False, env=dict(os.environ, **(env or {})))
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done.stdout.decode(), done.stderr.decode()


def online(marketo, directory, *more, secret=None):
    """A config whose Marketo is the sandbox."""
    settings = marketo.store.settings
    conf = Conf(directory, *more, url=marketo.url)
    with open(conf.path, encoding="utf-8") as text:
        conf.write(text.read().replace("CID", settings["client_id"])
                   .replace("mktows_demo1_0123456789ABCDEF", settings["soap_user_id"]))
    conf.secret("rest.secret", secret or settings["client_secret"])
    conf.secret("soap.key", secret or settings["soap_key"])
    conf.make_spool()
    return conf


class Running:
    """`marketo courier` of a config."""

    def __init__(self, conf, *args):
        self.conf = conf
        self.process = subprocess.Popen([MARKETO, "courier", "--config", conf.path, *args], stdin=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE)
        self.path = os.path.join(conf.spool, "courier.sock")
        end = time.monotonic() + 10
        while not self._answers():
            assert self.process.poll() is None and time.monotonic() < end, self.process.stderr.read()
            time.sleep(0.01)

    def _answers(self):
        try:
            wire.Client(self.path, role=wire.TOOL).close()
            return True
        except OSError:
            return False

    def stop(self):
        """SIGTERM; returns the exit code."""
        self.process.terminate()
        code = self.process.wait(10)
        self.process.stderr.close()
        return code
