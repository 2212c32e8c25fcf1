"""
A web server that stands for ours where a test is about marketo.js alone: it serves pages and the built marketo.js, remembers what
was posted, and answers as the test wants.

    stand.pages["/"] = html                     stand.answers = [(503, {"Retry-After": "1"}), ...] then 200
    stand.messages                              of all batches that were answered 200, in order
    stand.bodies                                every batch: {"batch": [...], "sentAt": ..., "at": time, "status": ...}
    stand.text = b'{"success":true}'             the body of those answers
    stand.hash = "0123…" | None                 what the hash endpoint gives; None: 404
"""
import http.server
import json
import os
import threading
import time

from site_pages import MUNCHKIN, page_text
from waiting import wait_until


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _send(self, status, body=b"", kind="application/json", headers=None):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        path = self.path.split("?")[0]
        text = self.server.stand.pages.get(path)
        if text is None:
            self._send(404)
        else:
            self._send(200, text.encode(), "application/javascript" if path.endswith(".js") else "text/html; charset=utf-8")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._send(*self.server.stand.take(self.path, body, self.headers))

    def log_message(self, *args):
        pass


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        pass  # a page that goes cuts its connections off


class Stand:
    def __init__(self, out):
        with open(os.path.join(out, "build", "generated", "web", "marketo.js"), encoding="utf-8") as file:
            script = file.read()
        self.pages = {"/mkto/marketo.js": script, "/munchkin.js": MUNCHKIN, "/next.html": page_text(title="Next")}
        self.answers, self.bodies, self.hashed = [], [], []
        self.hash = None
        self.text = b'{"success":true}'
        self.hold = threading.Event()
        self.hold.set()  # cleared: answers wait
        self.server = _Server(("127.0.0.1", 0), _Handler)
        self.server.stand = self
        self.port = self.server.server_port
        self.url = "http://127.0.0.1:%d" % self.port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, path, body, headers):
        if path == "/mkto/hash":
            self.hashed.append((json.loads(body), headers["X-Marketo-Hash"]))
            return (200, json.dumps({"success": True, "hash": self.hash}).encode()) if self.hash else (404,)
        status, more = self.answers.pop(0) if self.answers else (200, {})
        self.bodies.append(dict(json.loads(body), at=time.monotonic(), status=status, path=path, size=len(body),
                                agent=headers.get("User-Agent")))
        self.hold.wait(20)
        return status, self.text, "application/json", more

    @property
    def messages(self):
        return [message for body in self.bodies if body["status"] == 200 for message in body["batch"]]

    def page(self, path="/", **more):
        self.pages[path] = page_text(**more)
        return self.url + path

    def heard(self, count, **wanted):
        """Waits for so many messages with these fields; returns them."""
        def found():
            return [m for m in self.messages if all(m.get(key) == value for key, value in wanted.items())]
        wait_until(lambda: len(found()) >= count, what=lambda: "%d messages %s; there are %s" % (count, wanted, self.messages))
        return found()

    def end(self):
        self.hold.set()
        self.server.shutdown()
        self.server.server_close()
