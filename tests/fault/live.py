"""
A courier of its own before a sandbox of its own, without a web server, with all that `tail` says of it.

    with Live(out, api="soap", settings={"lead_lock_s": 0}, batch_wait="1s") as live:
        live.sandbox.store.script([...])
        live.identify("ada@example.com", firstName="Ada"); live.page("u1", "/pricing")
        line = live.verdict(verdict="retry", reason="lock")     # waits for such a line
        live.settled(); live.paused()
    live.dead                                                   # after the end: the rows of dead letters
"""
import json
import shutil
import signal
import tempfile
import threading
import time

import servers
from ledger import dead_letters
from marketo_sandbox import Sandbox
from waiting import wait_until
from wire import ASK, TELL, TOOL, Broken, Client, Refused, text

NOISE = r"MKTO03(01|02|05|06|07|10) "  # what a Marketo that refuses makes the courier say


class Live:
    def __init__(self, out, api="rest", settings=None, **keys):
        self.directory = tempfile.mkdtemp(prefix="mkto-")
        self.sandbox = Sandbox(**{"lead_lock_s": 0, **(settings or {})}).start()
        self.server = servers.make("nginx", self.directory, out, self.sandbox)  # for its courier alone
        self.server.courier = "external"
        self.server.announce(NOISE)
        self.server.conf["marketo"].update({"api": api, "timeout": "2s", "connect_timeout": "1s", **keys})
        self.lines, self.dead, self.count = [], None, 0

    def __enter__(self):
        self.server.prepare()
        self.start()
        return self

    def __exit__(self, kind, *_):
        try:
            self.stop()
            if kind is None:
                self.dead = dead_letters(self.server.conf.spool, settled=False)
                self.server.end()
        finally:
            self.server.stop_courier()
            self.sandbox.stop()
            shutil.rmtree(self.directory, ignore_errors=True)

    def start(self):
        self.server.start_courier()
        heard = threading.Event()
        threading.Thread(target=self._listen, args=(self.server.courier_process, heard), daemon=True).start()
        heard.wait(10)
        for _ in range(2):
            self.server.status()  # by the second answer the courier has read the question for its tail, too

    def stop(self):
        self.server.stop_courier()

    def restart(self):
        self.stop()
        self.start()

    def _listen(self, process, heard):
        """Keeps what `tail` says, for as long as that courier lives."""
        while not process.ended():
            try:
                with Client(self.server.conf.socket, role=TOOL, timeout=None) as tail:
                    tail.stream.write(ASK, text("tail") + text(""))
                    heard.set()
                    while True:
                        kind, reader = tail.stream.read()
                        if kind == TELL:
                            self.lines.append(json.loads(reader.bytes(reader.take("BI")[1]).decode() or "{}"))
            except (Broken, Refused, OSError):
                time.sleep(0.01)

    # ---- events ----

    def send(self, call, body, cookie=None):
        self.count += 1
        more = {"cookie": cookie} if cookie else {}
        body = dict(body, messageId="m%d" % self.count)
        with Client(self.server.conf.socket) as client:
            seq = client.send(call, json.dumps(body).encode(), host="www.example.com", **more)
            assert client.verdict(seq).answer == "stored"

    def identify(self, email, cookie=None, **traits):
        self.send("identify", {"traits": dict(traits, email=email)}, cookie)

    def page(self, user, path):
        self.send("page", {"userId": user, "properties": {"url": "https://www.example.com" + path}})

    # ---- what came of them ----

    def verdicts(self, **wanted):
        return [line for line in self.lines if all(line.get(name) == value for name, value in wanted.items())]

    def verdict(self, timeout=10, **wanted):
        return wait_until(lambda: self.verdicts(**wanted), timeout=timeout, what=lambda: "%s in %s" % (wanted, self.lines))[-1]

    def delivered(self, api, count):
        """Attempts of each of so many deliveries."""
        return [line["attempts"] for line in wait_until(
            lambda: len(self.verdicts(api=api, verdict="delivered")) >= count and self.verdicts(api=api, verdict="delivered"),
            what=lambda: "%d delivered in %s" % (count, self.lines))]

    def status(self):
        return self.server.status()["dispatch"]["subscriptions"][0]

    def paused(self):
        """{(api, kind): how many seconds it has still to go}"""
        status = self.status()
        now = max([line["time"] for line in self.lines], default=0)
        return {(pause["api"], pause["kind"]): (pause["until"] - now) / 1000 for pause in status["paused"]}

    def settled(self, timeout=20):
        """Until nothing waits."""
        wait_until(lambda: self.server.status()["spool"]["waiting"] == 0, timeout=timeout, what=lambda: "nothing waits; %s" % self.lines)

    def hang_up(self):
        """What an administrator does who has mended the cause of a pause."""
        self.server.courier_process.send(signal.SIGHUP)

    def syncs(self):
        """Sync calls, in order."""
        return [call for call in self.sandbox.calls() if call["op"] in ("sync", "syncLead", "syncMultipleLeads")]
