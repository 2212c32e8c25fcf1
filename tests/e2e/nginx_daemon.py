"""nginx with its master in the background, which is the only one that takes SIGUSR2; and who its workers are."""
import os
import signal
import subprocess

from nginx_conf import amend
from waiting import wait_until


def stat(pid):
    """(parent, state) of a process, or (0, "") when it is gone."""
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8") as file:
            fields = file.read().rpartition(")")[2].split()
        return int(fields[1]), fields[0]
    except (OSError, IndexError):
        return 0, ""


def gone(pid):
    return stat(pid)[1] in ("", "Z", "X")


def workers(master):
    found = []
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        if stat(pid)[0] == master and not gone(pid):
            with open("/proc/%d/cmdline" % pid, "rb") as file:
                if b"worker process" in file.read():
                    found.append(pid)
    return found


def master_of(server):
    with open(os.path.join(server.directory, "nginx.pid"), encoding="utf-8") as file:
        return int(file.read())


class Daemon:
    """A master in the background, which is the only one that takes SIGUSR2: in the shape of servers.Process."""

    def __init__(self, pid):
        self.pid = pid

    def ended(self):
        return gone(self.pid)

    def send(self, number):
        os.kill(self.pid, number)

    def wait(self):
        wait_until(self.ended, what="the master ends on its own")
        return 0


def start_daemon(server):
    amend(server, "daemon off;", "daemon on;")
    launch(server)


def launch(server):
    """Once more, when it is gone."""
    server.prepare()
    subprocess.run(server.command(), cwd=server.directory, env=dict(os.environ, **server.env), check=True, timeout=20)
    pid_file = server.directory + "/nginx.pid"
    wait_until(lambda: server.read(pid_file).strip(), what="a pid")
    server.process = Daemon(master_of(server))
    wait_until(server.listens, what="it listens")


def upgrade(server):
    """Starts a new binary beside the old one; returns its pid when its workers are up."""
    os.kill(server.process.pid, signal.SIGUSR2)
    wait_until(lambda: os.path.exists(server.directory + "/nginx.pid.oldbin"), what="a new binary")
    wait_until(lambda: server.read(server.directory + "/nginx.pid").strip(), what="its pid")
    new = master_of(server)
    wait_until(lambda: len(workers(new)) == server.workers, what="its workers")
    return new
