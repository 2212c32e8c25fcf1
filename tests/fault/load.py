"""
Load with a ledger: identifies of people of their own, sent over kept connections, each with its answer written down.

    with Load(server, people=10000) as load:
        load.wait_sent(2000); ...kill something...
    load.accepted         e-mails whose identify was answered 200
    audit(sandbox, load)  every one of them has arrived
"""
import http.client
import itertools
import threading
import time

from waiting import wait_until

THREADS = 8
RESEND_PAUSE = 0.02  # seconds


class Load:
    """`people` identifies. An identify that is not answered 200 is sent again, with its message id, until it is."""

    def __init__(self, server, people, prefix="p", resend=True, threads=THREADS):
        self.server, self.people, self.prefix, self.resend = server, people, prefix, resend
        self.accepted, self.refused = [], []
        self.statuses = {}
        self.sent = 0
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            self._stop.set()
        self.join()

    def join(self, timeout=240):
        end = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
            if thread.is_alive():
                self._stop.set()
                raise AssertionError("the load did not end: %d of %d sent, answers %s" % (self.sent, self.people,
                                                                                          self.statuses))

    def wait_sent(self, count):
        wait_until(lambda: self.sent >= count or not any(t.is_alive() for t in self._threads), timeout=120,
                   what="%d identifies sent" % count)

    def _run(self):
        connection = None
        while not self._stop.is_set():
            with self._lock:
                number = next(self._numbers)
            if number >= self.people:
                return
            email = "%s%d@example.com" % (self.prefix, number)
            # No userId: it would make a cookie, and each new pair of person and cookie costs a call of its own.
            body = {"messageId": "%s-%d" % (self.prefix, number), "traits": {"email": email, "firstName": "P%d" % number}}
            while not self._stop.is_set():
                connection, status = self._post(connection, body)
                with self._lock:
                    self.statuses[status] = self.statuses.get(status, 0) + 1
                if status == 200:
                    with self._lock:
                        self.accepted.append(email)
                        self.sent += 1
                    break
                if not self.resend:
                    with self._lock:
                        self.refused.append(email)
                        self.sent += 1
                    break
                time.sleep(RESEND_PAUSE)

    def _post(self, talk, body):
        """One attempt. Returns (connection, status); status 0 is a connection that broke."""
        try:
            talk = talk or self.server.talk()
            return talk, talk.request("POST", "/mkto/v1/identify", body).status
        except (OSError, http.client.HTTPException):
            if talk:
                talk.close()
            return None, 0


def arrived(sandbox):
    """e-mail -> how often it was synced."""
    with sandbox.store.lock:
        return {lead["fields"]["email"]: lead["syncs"] for lead in sandbox.store.leads.values() if "email" in lead["fields"]}


def audit(sandbox, load, timeout=180):
    """Waits until everything that was answered 200 is there. Returns e-mail -> syncs."""
    def missing():
        there = arrived(sandbox)
        return [email for email in load.accepted if email not in there]
    wait_until(lambda: not missing(), timeout=timeout, every=0.2, what="all acknowledged identifies reach Marketo")
    return arrived(sandbox)


def mentions(sandbox, email):
    """The Sync Leads calls that carried the address: their records, in order."""
    return [call for call in sandbox.calls("rest", "sync") if '"%s"' % email in call["body"]]
