"""
What a run of load cost: CPU and context switches of processes, the idle share of the machine, the courier's waits for its disk.
"""
import glob
import os
import re
import struct

TICK_US = 1e6 / os.sysconf("SC_CLK_TCK")
COUNTED = ("cpu", "courier_cpu", "switches", "courier_switches", "queued", "courier_queued")  # a request
SYNCS = struct.Struct("@QQQ")  # of disk_clock.c: calls, ns, the longest in ns


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as file:
        return [int(p) for p in file.read().split()]


def _read(path):
    with open(path, encoding="ascii") as file:
        return file.read()


def _texts(pid, name):
    """That file of each thread; one that ends meanwhile is left out."""
    for path in glob.glob("/proc/%d/task/*/%s" % (pid, name)):
        try:
            yield _read(path)
        except (FileNotFoundError, ProcessLookupError):
            continue


def cpu_us(pid):
    """User and system, of all threads: from the scheduler's nanoseconds, or from ticks where the kernel does not count those."""
    spent = [int(text.split()[0]) for text in _texts(pid, "schedstat")]
    if spent:
        return sum(spent) / 1e3
    fields = _read("/proc/%d/stat" % pid).rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * TICK_US


def queued_us(pid):
    """How long its threads could have run but had no core; nothing where the kernel does not say."""
    return sum(int(text.split()[1]) for text in _texts(pid, "schedstat")) / 1e3


def switches(pid):
    """Context switches of all threads, wanted or not."""
    return sum(int(number) for text in _texts(pid, "status") for number in re.findall(r"ctxt_switches:\s+(\d+)", text))


def machine():
    """Microseconds of all cores: idle, and busy."""
    fields = [int(field) for field in _read("/proc/stat").split("\n", 1)[0].split()[1:9]]
    idle = fields[3] + fields[4]
    return idle * TICK_US, (sum(fields) - idle) * TICK_US


def syncs(path):
    """Calls of fsync, microseconds in them, the longest, as disk_clock.c counts them."""
    with open(path, "rb") as file:
        calls, spent, longest = SYNCS.unpack(file.read(SYNCS.size))
    return calls, spent / 1e3, longest / 1e3


class Usage:
    """From when it was made to cost(): of a server's children, and of the courier if there is one."""

    def __init__(self, server, courier, clock):
        self.workers, self.courier, self.clock = children(server), [courier] if courier else [], clock
        self.before = self._now()

    def _now(self):
        idle, busy = machine()
        calls, spent, _ = syncs(self.clock)
        return {"cpu": sum(map(cpu_us, self.workers)), "courier_cpu": sum(map(cpu_us, self.courier)),
                "switches": sum(map(switches, self.workers)), "courier_switches": sum(map(switches, self.courier)),
                "queued": sum(map(queued_us, self.workers)), "courier_queued": sum(map(queued_us, self.courier)),
                "idle": idle, "busy": busy, "syncs": calls, "sync_us": spent}

    def cost(self, requests, load_us):
        """A request's share; load_us is the CPU of who sent them."""
        now = self._now()
        spent = {key: now[key] - self.before[key] for key in now}
        found = {key: spent[key] / requests for key in COUNTED}
        cores = os.cpu_count() * spent["busy"] / max(spent["busy"] + spent["idle"], 1)
        rest = spent["busy"] - spent["cpu"] - spent["courier_cpu"] - load_us
        return dict(found, load_cpu=load_us / requests, rest_cpu=rest / requests, cores=cores,
                    idle=spent["idle"] / max(spent["busy"] + spent["idle"], 1), syncs=spent["syncs"],
                    sync_ms=spent["sync_us"] / max(spent["syncs"], 1) / 1e3, sync_us=spent["sync_us"],
                    longest_sync_ms=syncs(self.clock)[2] / 1e3 if spent["syncs"] else 0)
