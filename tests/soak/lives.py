"""
Memory and descriptors of processes over their lives.

Memory is what is resident or swapped out and belongs to no file: it is the same whichever other processes share it.
"""
import os
import statistics
import time

KIB = 1024


def look(pid):
    """(bytes, descriptors); None when it has ended."""
    try:
        with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as file:
            lines = dict(line.split(":", 1) for line in file.read().splitlines()[1:])
        return sum(int(lines[name].split()[0]) * KIB for name in ("Anonymous", "Swap")), len(os.listdir("/proc/%d/fd" % pid))
    except (FileNotFoundError, ProcessLookupError, KeyError):  # KeyError: it ends just now
        return None


class Life:
    """Samples of one process: (seconds on the monotonic clock, bytes, descriptors)."""

    def __init__(self, pid):
        self.pid, self.samples, self.over = pid, [], False

    def sample(self, less=0):
        """less: bytes that it may have, not to be counted."""
        seen = None if self.over else look(self.pid)
        if seen:
            self.samples.append((time.monotonic(), seen[0] - less, seen[1]))

    def growth(self):
        """[bytes, descriptors] of the median sample of the last quarter, less those of the second."""
        size = len(self.samples) // 4
        second, last = ([statistics.median(part) for part in zip(*(one[1:] for one in samples))]
                        for samples in (self.samples[size:2 * size], self.samples[3 * size:]))
        return [after - before for before, after in zip(second, last)]


class Workers:
    """Every worker of a server, each from its start until the next reload: then it is told to go."""

    def __init__(self):
        self.lives = {}

    def sample(self, pids):
        for pid in pids:
            self.lives.setdefault(pid, Life(pid)).sample()

    def reload(self):
        for life in self.lives.values():
            life.over = True

    def growth(self, settled, least):
        """
        Of each life that was seen for `least` seconds after its first `settled`: the last [bytes, descriptors] less those when it had
        settled.
        """
        grown = []
        for life in self.lives.values():
            later = [one for one in life.samples if one[0] >= life.samples[0][0] + settled]
            if later and later[-1][0] - later[0][0] >= least:
                grown.append([last - first for first, last in zip(later[0][1:], later[-1][1:])])
        return grown
