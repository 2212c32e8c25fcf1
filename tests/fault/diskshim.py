"""
A courier whose disk is watched: diskshim.c writes down what it does to its spool's directory, or makes it fail.

    disk = Disk(tools, directory, out, sandbox, records=32 << 20)     # room for that many bytes of records; 0: none
    disk.start()                                    # a courier, as www-data when we are root
    with disk.client() as client: ...               # wire.Client
    disk["count"]                                   # records so far; the names are those of struct disk_head
    disk.fail(errno.EIO, after=3)                   # the fourth call from now on and all behind it, until disk.mend()
    disk.stop(); disk.kill(); disk.end()
"""
import mmap
import os
import pwd
import re
import shutil
import signal
import struct
import subprocess

from marketo_conf import MarketoConf
from servers import USER, Process, processes_of
from waiting import wait_until
from wire import TOOL, Client, Refused

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
HEAD = ("capacity", "size", "count", "lost", "calls", "fail_from", "fail_to", "fail_errno", "fail_kinds", "fail_files", "failed")
RECORD = struct.Struct("<IIQQ40s")
KINDS = ("write", "truncate", "sync", "sync_dir", "create", "unlink", "rename")
CHANGING = sum(1 << KINDS.index(kind) for kind in ("write", "truncate", "sync", "sync_dir", "create"))
FOREVER = (1 << 64) - 1
PACKAGES = ("apr-1", "apr-util-1", "yajl", "libxml-2.0", "libcrypto", "sqlite3", "libcurl", "libevent_core", "inih", "libpsl", "zlib")
ROOMS = ("courier", "core", "config", "wire")
MEMORY = "/dev/shm"


def _cc(*arguments):
    subprocess.run([os.environ.get("CC", "cc"), "-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", *arguments], check=True, cwd=HERE)


def compile_tools(directory, out):
    """Makes diskshim.so and powercut in the directory; powercut links the libraries of the build."""
    _cc("-fPIC", "-shared", "-o", os.path.join(directory, "diskshim.so"), "diskshim.c")
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", *PACKAGES], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    _cc(*("-I%s/shared/%s" % (ROOT, room) for room in ROOMS), "-o", os.path.join(directory, "powercut"), "powercut.c", "cut_disk.c",
        "-L" + os.path.join(out, "build", "shared"), *("-lmkto_" + room for room in ROOMS), "-Wl,--as-needed", *flags, "-lm")


class Disk:
    def __init__(self, tools, directory, out, sandbox, records=0, **settings):
        self.directory, self.out, self.sandbox, self.tools = directory, out, sandbox, tools
        self.conf = MarketoConf(directory, sandbox)
        self.conf["marketo"].update(settings)
        self.socket = os.path.join(directory, "courier.sock")
        self.log = os.path.join(directory, "courier.log")
        self.journal = os.path.join(directory, "journal")
        self.process = None
        self.user = USER if os.getuid() == 0 else None
        os.mkdir(self.conf.spool, 0o700)
        self.conf.write()
        self._map(records)
        os.chmod(directory, 0o755)
        if self.user:
            entry = pwd.getpwnam(self.user)
            for name in (".", *os.listdir(directory)):
                os.chown(os.path.join(directory, name), entry.pw_uid, entry.pw_gid)

    def _map(self, records):
        size = 8 * len(HEAD) + records
        with open(self.journal, "w+b") as file:
            os.ftruncate(file.fileno(), size)
            self._head = mmap.mmap(file.fileno(), size)
        self["capacity"], self["fail_kinds"] = records, CHANGING
        self.mend()

    def __getitem__(self, name):
        return struct.unpack_from("<Q", self._head, 8 * HEAD.index(name))[0]

    def __setitem__(self, name, value):
        struct.pack_into("<Q", self._head, 8 * HEAD.index(name), value)

    def fail(self, error, after=0, count=FOREVER):
        """`count` calls fail, or all of them, but the next `after` calls do not."""
        first = self["calls"] + after
        self["failed"], self["fail_errno"] = 0, error
        self["fail_to"], self["fail_from"] = min(first + count, FOREVER), first

    def mend(self):
        self["fail_from"] = self["fail_to"] = FOREVER

    def records(self):
        """The journal: (number, kind, name, offset), the first is number 1."""
        at = 8 * len(HEAD)
        for number in range(1, self["count"] + 1):
            kind, size, _, offset, name = RECORD.unpack_from(self._head, at)
            yield number, KINDS[kind], name.split(b"\0")[0].decode(), offset
            at += RECORD.size + (size + 7 & ~7)

    # ---- the courier ----

    def start(self, *arguments, wait=True):
        command = [os.path.join(self.out, "marketo"), "courier", "--config", self.conf.path, "--socket", self.socket, *arguments]
        self.process = Process(command, self.directory, self.log, user=self.user, env={
            "LD_PRELOAD": os.path.join(self.tools, "diskshim.so"), "MKTO_SHIM_DIR": self.conf.spool, "MKTO_SHIM_JOURNAL": self.journal})
        if wait:
            wait_until(self.answers, what=lambda: "a courier; " + self.text())
        return self.process

    def answers(self):
        assert not self.process.ended(), "the courier ended: " + self.text()
        try:
            self.status()
            return True
        except (OSError, Refused):
            return False

    def client(self):
        return Client(self.socket)

    def status(self):
        with Client(self.socket, role=TOOL) as tool:
            return tool.ask("status")[0]

    def stop(self):
        """Returns its exit code."""
        self.process.send(signal.SIGTERM)
        return self.process.wait()

    def kill(self):
        self.process.send(signal.SIGKILL)
        self.process.wait()

    def text(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def ids(self):
        """The ids of what it logged."""
        return set(re.findall(r"\bMKTO\d{4}\b", self.text()))

    def end(self):
        if self.process is not None and not self.process.ended():
            self.kill()
        left = processes_of(self.directory)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        self._head.close()
        shutil.rmtree(self.directory, ignore_errors=True)
        assert not left, "processes are left"
