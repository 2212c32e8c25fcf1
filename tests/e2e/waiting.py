"""Waiting for something to become true, never longer than told."""
import time

PATIENCE = 20  # seconds; for things that take milliseconds on a machine that is not overloaded


def wait_until(predicate, timeout=PATIENCE, what="", every=0.01):
    """Polls until predicate() is true, and returns what it returned. `what` is a text, or a function that makes one when it is too late."""
    end = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("after %g s still not: %s" % (timeout, (what() if callable(what) else what) or predicate))
        time.sleep(every)
