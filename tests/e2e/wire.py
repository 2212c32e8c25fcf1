"""
The protocol between the web servers and the courier (shared/wire), in Python: a blocking client, and what
fake_courier.py is made of.

    with Client(path, role=PRESENCE, config="/etc/marketo.conf") as client:       # raises Refused
        seq = client.send(call="identify", body=b'{"userId":"u"}', cookie="id:A&token:B")
        verdict = client.verdict(seq)               # .answer "stored", .body, .retry_after
    with Client(path, role=TOOL) as client:
        status = client.ask("status")               # list of the TELL texts, parsed as JSON
"""
import json
import socket
import struct
import time

VERSION = 3
EVENTS, PRESENCE, TOOL = 1, 2, 3
HELLO, WELCOME_FRAME, REFUSED, EVENT, VERDICTS, LOG, ASK, TELL, COUNTS, VIEW = range(1, 11)
ANSWERS = ("stored", "filtered", "bad_request", "unauthorized", "forbidden", "not_found", "bad_method", "too_large",
           "bad_media_type", "rate_limited", "away", "busy", "full", "expired")
CALLS = ("none", "identify", "track", "page", "screen", "group", "alias", "batch", "hash", "status")
FLAGS = {"https": 1, "browser": 2, "keyed": 4, "own": 8, "pixel": 16, "server": 32}
SKIPS = ("none", "consent", "opt_out", "gpc", "dnt", "bot", "prefetch", "no_visitor", "not_stored", "origin", "bad_media_type",
         "too_large", "forbidden")
REASONS = ("", "version", "config", "peer", "leaving", "frame", "crowd")
TAGS = {"call": 1, "flags": 2, "received_ms": 3, "subscription": 4, "remote_addr": 5, "host": 6, "user_agent": 7,
        "accept_language": 8, "referer": 9, "origin": 10, "dnt": 11, "gpc": 12, "cookie": 13, "request_id": 14,
        "body": 15, "defaults": 16, "source": 17, "email": 18, "text_max": 19}
FRAME_MAX = 1048576 + 12288 + 4096


class Refused(Exception):
    """The courier refused: .reason is one of REASONS."""

    def __init__(self, reason, text):
        super().__init__("%s: %s" % (reason, text))
        self.reason = reason


class Broken(Exception):
    """The stream ended, or is no such stream."""


def now_ms():
    return int(time.monotonic() * 1000)


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return struct.pack("<H", len(value)) + value


def frame(kind, payload):
    return struct.pack("<IBxxx", len(payload), kind) + payload


def envelope(call, body, **fields):
    """Encodes an envelope; fields are TAGS, texts as str or bytes."""
    out = b"".join((struct.pack("<BIB", 1, 1, CALLS.index(call)), struct.pack("<BII", 2, 4, fields.pop("flags", 0)),
                    struct.pack("<BIq", 3, 8, fields.pop("received_ms", int(time.time() * 1000)))))
    for name, value in dict(fields, body=body).items():
        value = value.encode() if isinstance(value, str) else value
        out += struct.pack("<BI", TAGS[name], len(value)) + value
    return out


def read_envelope(data):
    """Decodes an envelope into a dict: call as a word, flags and received_ms as numbers, texts as bytes."""
    names = {tag: name for name, tag in TAGS.items()}
    fields, at = {}, 0
    while at < len(data):
        tag, size = struct.unpack_from("<BI", data, at)
        value = data[at + 5:at + 5 + size]
        assert len(value) == size and names[tag] not in fields
        fields[names[tag]] = value
        at += 5 + size
    fields["call"] = CALLS[fields["call"][0]]
    fields["flags"] = struct.unpack("<I", fields["flags"])[0]
    fields["received_ms"] = struct.unpack("<q", fields["received_ms"])[0]
    return fields


class Reader:
    """Takes a payload apart."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        values = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return values[0] if len(values) == 1 else values

    def bytes(self, size):
        value = self.data[self.at:self.at + size]
        assert len(value) == size, "payload is cut off"
        self.at += size
        return value

    def text(self):
        return self.bytes(self.take("H"))

    def rest(self):
        return self.bytes(len(self.data) - self.at)

    def more(self):
        return self.at < len(self.data)


VIEW_TEXTS = ("subscription", "email", "remote_addr", "host", "uri", "referer", "user_agent", "accept_language", "dnt", "gpc", "origin",
              "sec_fetch_site")


def read_view(reader):
    """The next view of a VIEW frame as a dict: texts as bytes or None, cookies as a list of them."""
    fields = {"received_ms": reader.take("q"), "request_id": reader.bytes(16).hex().encode()}
    fields["https"], cookies = reader.take("BB")

    def one():
        size = reader.take("H")
        return reader.bytes(size - 1) if size else None
    fields.update((name, one()) for name in VIEW_TEXTS)
    fields["cookies"] = [one() for _ in range(cookies)]
    return fields


def write_view(cookies=(), https=False, received_ms=None, request_id=b"\x01" * 16, **texts):
    """One view of a VIEW frame."""
    def one(value):
        value = value.encode() if isinstance(value, str) else value
        return struct.pack("<H", 0) if value is None else struct.pack("<H", len(value) + 1) + value
    received = int(time.time() * 1000) if received_ms is None else received_ms
    return (struct.pack("<q", received) + request_id + struct.pack("<BB", https, len(cookies)) +
            b"".join(one(texts.pop(name, None)) for name in VIEW_TEXTS) + b"".join(map(one, cookies)))


class Stream:
    """Frames over a socket."""

    def __init__(self, sock):
        self.sock, self.buffer = sock, b""

    def read(self):
        """The next (type, Reader). Raises Broken at the end of the stream, TimeoutError after the socket's timeout."""
        while True:
            if len(self.buffer) >= 8:
                size, kind = struct.unpack_from("<IBxxx", self.buffer)
                if size > FRAME_MAX or not 1 <= kind <= VIEW:
                    raise Broken("bad frame: type %d, %d bytes" % (kind, size))
                if len(self.buffer) >= 8 + size:
                    payload, self.buffer = self.buffer[8:8 + size], self.buffer[8 + size:]
                    return kind, Reader(payload)
            try:
                data = self.sock.recv(262144)
            except (ConnectionError, BrokenPipeError) as error:
                raise Broken(str(error)) from error
            if not data:
                raise Broken("end of stream")
            self.buffer += data

    def write(self, kind, payload):
        self.sock.sendall(frame(kind, payload))


class Verdict:
    def __init__(self, seq, answer, retry_after, body):
        self.seq, self.answer, self.retry_after, self.body = seq, ANSWERS[answer], retry_after, body

    def __repr__(self):
        return "Verdict(%d, %s, %r)" % (self.seq, self.answer, self.body)


class Client:
    """A web server worker, or the command."""

    def __init__(self, path, role=EVENTS, config="", digest=0, build=0, version=VERSION, timeout=10, greet=True):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(timeout)
        sock.connect(str(path))
        self.stream, self.seq, self.verdicts, self.logs = Stream(sock), 0, {}, []
        if greet:
            self.stream.write(HELLO, struct.pack("<HBQQ", version, role, build, digest) + text(str(config)))
            try:
                self._greeted()
            except BaseException:
                sock.close()
                raise

    def _greeted(self):
        kind, reader = self.stream.read()
        if kind == REFUSED:
            raise Refused(REASONS[reader.take("B")], reader.text().decode())
        if kind != WELCOME_FRAME:
            raise Broken("frame of type %d instead of WELCOME" % kind)
        self.version, self.build, self.digest, self.pid = reader.take("HQQI")

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.close()

    def close(self):
        self.stream.sock.close()

    def send(self, call="track", body=b"{}", ack=0, authorization="", deadline=None, seq=None, timeout_ms=5000, **fields):
        """Sends one event; returns its seq."""
        self.seq = self.seq + 1 if seq is None else seq
        if deadline is None:
            deadline = now_ms() + timeout_ms
        self.stream.write(EVENT, struct.pack("<QQB", self.seq, deadline, ack) + text(authorization) +
                          envelope(call, body, **fields))
        return self.seq

    def verdict(self, seq):
        """Waits for the verdict of a seq."""
        while seq not in self.verdicts:
            kind, reader = self.stream.read()
            if kind == VERDICTS:
                while reader.more():
                    got = Verdict(*reader.take("QBH"), reader.text())
                    self.verdicts[got.seq] = got
            elif kind == LOG:
                self.logs.append((reader.take("B"), reader.text().decode()))
            elif kind == REFUSED:
                raise Refused(REASONS[reader.take("B")], reader.text().decode())
            else:
                raise Broken("unexpected frame of type %d" % kind)
        return self.verdicts.pop(seq)

    def ask(self, what, args=None, parse=True):
        """Asks as the command does; returns what was told, up to the last."""
        self.stream.write(ASK, text(what) + text(json.dumps(args) if args is not None else ""))
        told, last = [], False
        while not last:
            kind, reader = self.stream.read()
            if kind == REFUSED:
                raise Refused(REASONS[reader.take("B")], reader.text().decode())
            if kind != TELL:
                raise Broken("frame of type %d instead of TELL" % kind)
            last, size = reader.take("BI")
            got = reader.bytes(size).decode()
            if got:
                told.append(json.loads(got) if parse else got)
        return told
