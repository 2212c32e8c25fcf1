"""HTTP as tests speak it: one call, a connection that is kept, raw bytes, curl for HTTP/2."""
import http.client
import json
import socket
import subprocess

TIMEOUT = 20  # seconds


class Reply:
    """An answer: .status, .headers (names in lower case), .every(name), .body (bytes), .json"""

    def __init__(self, status, headers, body):
        self.status, self.body = status, body
        self.fields = [(name.lower(), value) for name, value in headers]
        self.headers = dict(self.fields)

    def every(self, name):
        """The values of a header that may stand there several times."""
        return [value for field, value in self.fields if field == name]

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return "Reply(%d, %r)" % (self.status, self.body[:200])


def encode(body):
    """A body as bytes: JSON of anything that is not text yet."""
    if body is None or isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


class Talk:
    """A kept connection."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)

    def request(self, method, path, body=None, headers=None):
        headers = dict(headers or {})
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
        self.connection.request(method, path, encode(body), headers)
        return self.reply()

    def chunked(self, method, path, chunks, headers=None):
        headers = dict({"Content-Type": "application/json"}, **(headers or {}))
        self.connection.request(method, path, iter(chunks), headers, encode_chunked=True)
        return self.reply()

    def reply(self):
        got = self.connection.getresponse()
        return Reply(got.status, got.getheaders(), got.read())

    def close(self):
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.close()


def talk(port, method, path, body=None, headers=None):
    with Talk(port) as connection:
        return connection.request(method, path, body, headers)


def parse(data):
    """The replies in the bytes of a connection, by Content-Length or to the end."""
    replies = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = [tuple(line.split(": ", 1)) for line in lines[1:]]
        reply = Reply(int(lines[0].split()[1]), headers, b"")
        size = int(reply.headers.get("content-length", len(data)))
        reply.body, data = data[:size], data[size:]
        if reply.status >= 200:
            replies.append(reply)
    return replies


def exchange(port, data, close_write=False):
    """Sends bytes, reads until the server closes (so send Connection: close), returns what came."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as sock:
        sock.sendall(data)
        if close_write:
            sock.shutdown(socket.SHUT_WR)
        got = b""
        while True:
            try:
                part = sock.recv(65536)
            except ConnectionResetError:
                break
            if not part:
                break
            got += part
    return got


def raw(port, data, **more):
    """The same, and returns the replies."""
    return parse(exchange(port, data, **more))


def http2(port, path, body, headers=None, method="POST"):
    """
    One call over HTTP/2 without TLS (prior knowledge), through curl. None when the server cut the call short: an answer that
    comes before all of the body was sent is lost on this curl.
    """
    command = ["curl", "--silent", "--http2-prior-knowledge", "--max-time", str(TIMEOUT), "--include",
               "--request", method, "--data-binary", "@-", "http://127.0.0.1:%d%s" % (port, path)]
    for name, value in dict({"Content-Type": "application/json", "Expect": ""}, **(headers or {})).items():
        command += ["--header", "%s: %s" % (name, value)]
    done = subprocess.run(command, input=encode(body), stdout=subprocess.PIPE, check=False, timeout=TIMEOUT + 5)
    if done.returncode in (18, 92):
        return None
    assert done.returncode == 0 and done.stdout.startswith(b"HTTP/2 "), (done.returncode, done.stdout)
    return parse(done.stdout)[0]
