"""
A machine that stands where Marketo should be, and does something else; then it passes calls on to a sandbox, and all is well.

    with Front(sandbox, directory, tls=True) as front:
        front.url, front.ca_file
        front.does(front.never, "token", "visit")   # to these CALLS, or to all, from the next one on; others are passed on
        front.cert = "expired"        # of TLS: good, expired, wrong_host, self_signed, old (TLS 1.0)
        front.mend()
        front.met                     # CALLS -> how often the hostile treatment came to its end
        front.shaken                  # connections with a bad certificate
        front.heard                   # calls that came over one
        front.fed                     # bytes that huge has got rid of
"""
import collections
import email.policy
import http.client
import os
import socket
import ssl
import subprocess
import threading
import warnings

KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
HUGE = 100 << 20  # bytes
SLOW = 400  # bytes, and seconds
WIRE = email.policy.HTTP.clone(max_line_length=None)
CALLS = {"token": b"/identity/", "leads": b"/rest/v1/leads", "visit": b"/webevents/", "soap": b"/soap/"}  # and how their paths begin


class Front:
    def __init__(self, sandbox, directory, tls=False):
        self.sandbox, self.directory, self.tls = sandbox, str(directory), tls
        self.cert, self.behaviour, self.victims = "good", None, ()
        self.met, self.shaken, self.heard, self.fed = collections.Counter(), 0, 0, 0
        self._stop = threading.Event()
        self._contexts = {}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = "%s://127.0.0.1:%d" % ("https" if tls else "http", self._listener.getsockname()[1])
        self.ca_file = os.path.join(self.directory, "front-ca.crt")
        if tls:
            self._make_certificates()

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._listener.close()

    def does(self, behaviour, *victims):
        self.behaviour, self.victims = behaviour, victims or tuple(CALLS)

    def mend(self):
        self.behaviour, self.victims, self.cert = None, (), "good"

    # ---- what it may do: each gets a connection whose request has been read ----

    def slow(self, conn):
        """One byte a second: nobody's patience lasts until the end."""
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SLOW + b" " * SLOW:
            conn.sendall(bytes([byte]))
            if self._stop.wait(1):
                return

    @staticmethod
    def never(conn):
        conn.settimeout(60)
        conn.recv(1)  # until the other side gives up

    def huge(self, conn):
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % HUGE)
        for _ in range(HUGE >> 16):
            conn.sendall(b" " * 65536)
            self.fed += 65536

    @staticmethod
    def page(conn):
        answer(conn, b"<!DOCTYPE html><html><title>Welcome to nginx!</title><h1>It works", "text/html")

    @staticmethod
    def garbage(conn):
        conn.sendall(bytes(range(256)) * 64)

    @staticmethod
    def deep(conn):
        answer(conn, b"[" * 10000 + b"]" * 10000)

    @staticmethod
    def deep_xml(conn):
        answer(conn, b"<a>" * 10000 + b"</a>" * 10000, "text/xml")

    @staticmethod
    def entities(conn):
        bomb = "".join('<!ENTITY e%d "%s">' % (n, "&e%d;" % (n - 1) * 10) for n in range(1, 12))
        answer(conn, ('<?xml version="1.0"?><!DOCTYPE a [<!ENTITY e0 "0123456789">%s<!ENTITY f SYSTEM "file:///etc/passwd">]>'
                      "<a>&e11;&f;</a>" % bomb).encode(), "text/xml")

    def redirects_to(self, url):
        def redirect(conn):
            conn.sendall(("HTTP/1.1 307 Temporary Redirect\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % url).encode())
        return redirect

    # ---- the work ----

    def _accept(self):
        while not self._stop.is_set():
            try:
                conn, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn):
        bad = self.cert != "good"
        try:
            with conn:
                if self.tls:
                    conn = self._contexts[self.cert].wrap_socket(conn, server_side=True)
                with conn.makefile("rb") as stream:
                    while self._call(conn, stream, bad):
                        pass
        except OSError:
            pass
        finally:
            self.shaken += bad

    def _call(self, conn, stream, bad):
        """One request. Whether another one may follow."""
        line, head = stream.readline(), http.client.parse_headers(stream)
        if not line:
            return False
        body = stream.read(int(head.get("Content-Length") or 0))
        self.heard += bad
        call = next((name for name, path in CALLS.items() if line.split()[1].startswith(path)), None)
        behaviour = self.behaviour
        if behaviour is not None and call in self.victims:
            try:
                behaviour(conn)
            finally:
                self.met[call] += 1
            return False
        conn.sendall(self._pass_on(line, head, body))
        return True

    def _pass_on(self, line, head, body):
        """The sandbox's answer."""
        host, _, port = self.sandbox.url.rpartition("/")[2].partition(":")
        with socket.create_connection((host, int(port))) as marketo:
            marketo.sendall(line + head.as_bytes(policy=WIRE) + body)
            with http.client.HTTPResponse(marketo) as reply:
                reply.begin()
                text = reply.read()
                return b"HTTP/1.1 %d %s\r\n%s" % (reply.status, reply.reason.encode(), reply.headers.as_bytes(policy=WIRE)) + text

    def _run(self, *command):
        subprocess.run(["openssl", *command], cwd=self.directory, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _make_certificates(self):
        self._run("req", "-x509", *KEY, "-subj", "/CN=a test's authority", "-keyout", "front-ca.pem", "-out", "front-ca.crt")
        for name, address, days in (("good", "127.0.0.1", "2"), ("expired", "127.0.0.1", "-1"), ("wrong_host", "127.0.0.9", "2")):
            self._run("req", *KEY, "-subj", "/CN=front", "-addext", "subjectAltName=IP:" + address, "-keyout", name + ".pem", "-out", name + ".csr")
            self._run("x509", "-req", "-in", name + ".csr", "-CA", "front-ca.crt", "-CAkey", "front-ca.pem", "-copy_extensions", "copyall",
                      "-days", days, "-out", name + ".crt")
        self._run("req", "-x509", *KEY, "-subj", "/CN=front", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "self_signed.pem",
                  "-out", "self_signed.crt")
        for name, chain in (("good", "good"), ("expired", "expired"), ("wrong_host", "wrong_host"), ("self_signed", "self_signed"), ("old", "good")):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(os.path.join(self.directory, chain + ".crt"), os.path.join(self.directory, chain + ".pem"))
            if name == "old":
                context.set_ciphers("ALL:@SECLEVEL=0")
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)
                    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1
            self._contexts[name] = context


def answer(conn, body, kind="application/json"):
    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (kind.encode(), len(body)) + body)
