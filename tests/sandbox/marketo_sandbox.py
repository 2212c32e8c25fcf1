#!/usr/bin/env python3
"""
A local Marketo: REST (identity, Sync Leads, Associate Lead, Describe), SOAP (syncLead, syncMultipleLeads, listMObjects) and the
Munchkin collector, on one loopback port, with the strictness, the limits and the failures that the documentation describes.

As a program:  marketo_sandbox.py [--port N] [--set name=value ...] [--tls CERT KEY]
               prints one JSON line {"url": ...} when it listens, runs until SIGTERM or Ctrl-C.
As a module:   s = Sandbox(lead_lock_s=0); s.start(); ... s.url, s.store.leads, s.store.visits, s.store.calls ...; s.stop()

Endpoints of Marketo, for marketo.conf:
    rest_endpoint = URL    munchkin_endpoint = URL    soap_endpoint = URL/soap/mktows/3_1
Questions and orders (JSON), beside the page at /:
    GET  /sandbox/leads /sandbox/cookies /sandbox/visits /sandbox/calls /sandbox/deeds /sandbox/violations /sandbox/settings /sandbox/quota
         /sandbox/fields   (SOAP name -> REST name)
    POST /sandbox/script   [rule, ...]  appends failure rules, see Store.script; DELETE clears them
    POST /sandbox/settings {name: value}    POST /sandbox/reset

A call in /sandbox/calls: {n, at, api, op, method, target, headers, body, status, answer, ms, late, lost}; bodies are text. A call is
only worked on while its client waits. late: it had left before the call was read; lost: it did not read the answer. That is known
when the connection is used again, or ends: with bytes unread it is reset.
Settings and their defaults are DEFAULTS in store.py.
"""
import argparse
import json
import os
import select
import signal
import socket
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import munchkin  # noqa: E402
import rest  # noqa: E402
import soap  # noqa: E402
from store import DEFAULTS, ClientLeft, Store  # noqa: E402

_PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "page.html")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "sandbox"
    sys_version = ""
    disable_nagle_algorithm = True
    told = None  # the call that was answered last on this connection, until it is known whether the answer was read

    def handle_one_request(self):
        reset = False
        try:
            super().handle_one_request()
            reset = self.connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0
        except OSError:
            reset = True
            raise
        finally:
            if reset and self.told:
                self.told["lost"] = True

    def log_message(self, *args):
        pass

    def date_time_string(self, timestamp=None):
        return super().date_time_string(self.server.store.now() if timestamp is None else timestamp)

    def _body(self):
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            parts = []
            while True:
                size = int(self.rfile.readline().split(b";")[0], 16)
                if size == 0:
                    self.rfile.readline()
                    return b"".join(parts)
                parts.append(self.rfile.read(size))
                self.rfile.readline()
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _send(self, status, kind, body, extra=None, part=None):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:part])

    def _json(self, value, status=200):
        self._send(status, "application/json", json.dumps(value, ensure_ascii=False).encode())

    def _handle(self):
        self.told = None
        body = self._body()
        path, _, query = self.path.partition("?")
        if path == "/" or path.startswith("/sandbox/"):
            return self._own(path, body)
        started = time.monotonic()
        api, op = self._classify(path, body)
        if api is None:
            return self._send(404, "text/plain", b"no such place\n")
        store = self.server.store
        at, late = store.now(), self._client_left()
        text = body.decode("utf-8", "replace")
        rule = None if late else store.rule_for(api, op, self.path + "\n" + text)
        call = store.record({"at": at, "api": api, "op": op, "method": self.command, "target": self.path,
                             "headers": dict(self.headers.items()), "body": text, "status": None, "answer": None,
                             "ms": None, "rule": bool(rule), "late": late, "lost": False}, self._client_left)
        try:
            if late:
                raise ClientLeft
            self._answer(api, path, query, body, rule or {}, call)
        except ClientLeft:
            self._cut(call)
        except OSError:
            call["lost"] = True
            raise
        finally:
            call["ms"] = round((time.monotonic() - started) * 1000, 1)

    @staticmethod
    def _classify(path, body):
        if path == "/identity/oauth/token":
            return "identity", "token"
        if path.startswith("/rest/") or path.startswith("//"):
            return "rest", rest.operation(path)[0]
        if path.startswith("/soap/mktows/"):
            return "soap", soap.operation(body)
        if path.startswith("/webevents/"):
            return "munchkin", {"visitWebPage": "visit", "clickLink": "click"}.get(path[len("/webevents/"):])
        return None, None

    def _answer(self, api, path, query, body, rule, call):
        store = self.server.store
        time.sleep(rule.get("delay_s", 0))
        if rule.get("drop") == "before":
            return self._cut(call)
        if "http" in rule:
            status, kind, answer = rule["http"], "text/html", rule.get("body", "scripted").encode()
        elif api == "identity":
            status, kind, answer = rest.token(store, self.command, query, self.headers, body)
        elif api == "rest":
            status, kind, answer = rest.handle(store, self.command, path, query, self.headers, body, rule)
        elif api == "soap":
            status, kind, answer = (soap.handle(store, self.headers, body, rule) if self.command == "POST"
                                    else (405, "text/plain", b""))
        elif call["op"] is None:
            status, kind, answer = 404, "text/plain", b"no such event"
        else:
            status, kind, answer = munchkin.handle(store, call["op"], self.command, query, self.headers, body)
        call["status"], call["answer"] = status, answer.decode("utf-8", "replace")
        time.sleep(rule.get("hang_s", 0))
        if rule.get("drop") == "after" or self._client_left():
            return self._cut(call)
        if rule.get("drop") == "during" and len(answer) > 1:
            self._send(status, kind, answer, rule.get("headers"), part=len(answer) // 2)
            return self._cut(call)
        self._send(status, kind, answer, rule.get("headers"))
        self.told = call

    def _client_left(self):
        """A client that lost patience has closed its end: no answer reaches it any more."""
        if isinstance(self.connection, ssl.SSLSocket) or not select.select([self.connection], [], [], 0)[0]:
            return False
        try:
            return self.connection.recv(1, socket.MSG_PEEK) == b""
        except ConnectionError:
            return True

    def _cut(self, call):
        call["answer"], call["lost"] = call["answer"] or "", True
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def _own(self, path, body):
        store = self.server.store
        try:
            if self.command == "GET" and path == "/":
                with open(_PAGE, "rb") as page:
                    return self._send(200, "text/html; charset=utf-8", page.read())
            if self.command == "GET":
                return self._tell(path[len("/sandbox/"):])
            if self.command == "DELETE" and path == "/sandbox/script":
                store.clear_script()
            elif path == "/sandbox/script":
                store.script(json.loads(body))
            elif path == "/sandbox/reset":
                store.reset()
            elif path == "/sandbox/settings":
                settings = json.loads(body)
                if set(settings) - set(DEFAULTS):
                    raise ValueError("unknown setting")
                store.settings.update(settings)
            else:
                return self._json({"error": "no such order"}, 404)
            return self._json({"ok": True})
        except (ValueError, TypeError) as wrong:
            return self._json({"error": str(wrong)}, 400)

    def _tell(self, what):
        store = self.server.store
        with store.lock:
            answers = {"leads": lambda: list(store.leads.values()), "cookies": lambda: store.cookies,
                       "visits": lambda: store.visits, "calls": lambda: store.calls,
                       "violations": lambda: store.violations, "fields": store.fields, "deeds": lambda: store.deeds,
                        "settings": lambda: store.settings, "quota": store.quota}
            if what not in answers:
                return self._json({"error": "no such question"}, 404)
            return self._json(answers[what]())

    do_GET = do_POST = do_DELETE = do_PUT = do_HEAD = _handle


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, store, *args):
        super().__init__(*args)
        self.store = store
        self.open = set()

    def process_request(self, request, client_address):
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        self.open.discard(request)
        super().shutdown_request(request)

    def close_connections(self):
        """Our end alone, where that is possible: theirs tells whether they had read everything."""
        for request in list(self.open):
            try:
                request.shutdown(socket.SHUT_RDWR if isinstance(request, ssl.SSLSocket) else socket.SHUT_WR)
            except OSError:
                pass

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], (ConnectionError, BrokenPipeError, ValueError, OSError)):
            super().handle_error(request, client_address)


class Sandbox:
    """A sandbox inside this process, on a thread of its own."""

    def __init__(self, port=0, tls=None, **settings):
        self.store = Store(**settings)
        self._server = None
        self._servers = []
        self._port, self._tls = port, tls

    def start(self):
        self._server = _Server(self.store, ("127.0.0.1", self._port), Handler)
        self._servers.append(self._server)
        self._port = self._server.server_address[1]  # a restart comes back on the same port
        if self._tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self._tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True,
                                                      do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def stop(self):
        """Closes its connections and refuses new ones; what it knows stays, and start() goes on with it."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server.close_connections()
            self._server = None

    def is_left(self):
        """All clients are gone: each call's "lost" is known."""
        return not any(server.open for server in self._servers)

    @property
    def url(self):
        return "%s://127.0.0.1:%d" % ("https" if self._tls else "http", self._port)

    def calls(self, api=None, op=None):
        with self.store.lock:
            return [c for c in self.store.calls if (api is None or c["api"] == api) and (op is None or c["op"] == op)]

    def lead(self, email):
        """The lead with that address, or None."""
        return self.store.find(email=email)


def _setting(text):
    name, _, value = text.partition("=")
    if name not in DEFAULTS:
        raise argparse.ArgumentTypeError("unknown setting %s" % name)
    return name, (value if isinstance(DEFAULTS[name], str) else json.loads(value))


def main():
    parser = argparse.ArgumentParser(description="A local Marketo for tests and demonstrations.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--set", type=_setting, action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    options = parser.parse_args()
    sandbox = Sandbox(port=options.port, tls=options.tls, **dict(options.set)).start()
    print(json.dumps({"url": sandbox.url}), flush=True)
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    done.wait()
    sandbox.stop()


if __name__ == "__main__":
    main()
