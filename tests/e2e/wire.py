"""
The protocol between the web servers and the courier (shared/wire), in Python: a blocking client, and a courier that does what a
test tells it.

    with Client(path, role=PRESENCE, config="/etc/marketo.conf") as client:       # raises Refused
        seq = client.send(call="identify", body=b'{"userId":"u"}', cookie="id:A&token:B")
        verdict = client.verdict(seq)               # .answer "stored", .body, .retry_after
    with Client(path, role=TOOL) as client:
        status = client.ask("status")               # list of the TELL texts, parsed as JSON

    fake = FakeCourier(path)                        # answers "stored" to everything
    fake.start()
    fake.rule = lambda event: Answer("bad_request", b'{"success":false}')
    fake.rule = lambda event: Delay(0.5, Answer("stored"))    # or SILENT, or CUT (hangs up)
    fake.greeting = Refuse("leaving", "a newer build")         # or WELCOME, SILENT, CUT
    fake.hold() / fake.release()                    # stops reading, as a stopped process does
    fake.log(4, "MKTO0301 text")                    # to every presence connection
    fake.events, fake.hellos                        # what came; event.seq .call .body .fields .authorization .ack .connection
    fake.wait(3); fake.cut_all(); fake.stop()
"""
import json
import os
import socket
import struct
import threading
import time

VERSION = 1
EVENTS, PRESENCE, TOOL = 1, 2, 3
HELLO, WELCOME_FRAME, REFUSED, EVENT, VERDICTS, LOG, ASK, TELL = range(1, 9)
ANSWERS = ("stored", "filtered", "bad_request", "unauthorized", "forbidden", "not_found", "bad_method", "too_large",
           "bad_media_type", "rate_limited", "away", "busy", "full", "expired")
CALLS = ("none", "identify", "track", "page", "screen", "group", "alias", "batch")
REASONS = ("", "version", "config", "peer", "leaving", "frame", "crowd")
TAGS = {"call": 1, "flags": 2, "received_ms": 3, "subscription": 4, "remote_addr": 5, "host": 6, "user_agent": 7,
        "accept_language": 8, "referer": 9, "origin": 10, "dnt": 11, "gpc": 12, "cookie": 13, "request_id": 14,
        "body": 15, "defaults": 16}
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


class Stream:
    """Frames over a socket."""

    def __init__(self, sock):
        self.sock, self.buffer = sock, b""

    def read(self):
        """The next (type, Reader). Raises Broken at the end of the stream, TimeoutError after the socket's timeout."""
        while True:
            if len(self.buffer) >= 8:
                size, kind = struct.unpack_from("<IBxxx", self.buffer)
                if size > FRAME_MAX or not 1 <= kind <= 8:
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


class Answer:
    def __init__(self, answer, body=b"", retry_after=0):
        self.answer, self.body, self.retry_after = ANSWERS.index(answer), body, retry_after


class Delay:
    def __init__(self, seconds, then):
        self.seconds, self.then = seconds, then


class Refuse:
    def __init__(self, reason, words=""):
        self.reason, self.words = REASONS.index(reason), words


SILENT, CUT, WELCOME = object(), object(), object()


class Event:
    def __init__(self, connection, reader):
        self.connection = connection
        self.seq, self.deadline, self.ack = reader.take("QQB")
        self.authorization = reader.text()
        self.fields = read_envelope(reader.rest())
        self.call, self.body = self.fields["call"], self.fields.get("body")

    @property
    def json(self):
        return json.loads(self.body)


class FakeCourier:
    """A courier that keeps nothing and does as it is told; see the top of this file."""

    def __init__(self, path, build=0):
        self.path, self.build = str(path), build
        self.events, self.hellos, self.errors = [], [], []
        self.rule = lambda event: Answer("stored")
        self.greeting = WELCOME
        self._changed, self._lock = threading.Condition(), threading.Lock()
        self._reading = threading.Event()
        self._reading.set()
        self._streams, self._listener = {}, None

    def start(self, mode=0o666):
        if os.path.exists(self.path):
            os.unlink(self.path)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        os.chmod(self.path, mode)
        self._listener.listen(128)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        return self

    def stop(self):
        """As a process that ends: nobody listens, every connection ends, the socket file goes."""
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
            os.unlink(self.path)
        self._reading.set()
        self.cut_all()

    def hold(self):
        self._reading.clear()

    def release(self):
        self._reading.set()

    def cut_all(self):
        for stream in list(self._streams):
            self._cut(stream)

    def log(self, level, line):
        for stream, role in list(self._streams.items()):
            if role == PRESENCE:
                stream.write(LOG, struct.pack("<B", level) + text(line))

    def wait(self, count, timeout=10, what=None):
        """Waits until that many events (or hellos) came; returns them."""
        got = self.events if what is None else what
        with self._changed:
            assert self._changed.wait_for(lambda: len(got) >= count, timeout), "%d of %d came" % (len(got), count)
        return got

    def _note(self, where, what):
        with self._changed:
            where.append(what)
            self._changed.notify_all()

    def _cut(self, stream):
        self._streams.pop(stream, None)
        try:
            stream.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(Stream(sock),), daemon=True).start()

    def _serve(self, stream):
        self._streams[stream] = 0
        try:
            self._greet(stream)
            while True:
                self._reading.wait()
                kind, reader = stream.read()
                self._reading.wait()
                assert kind == EVENT, "frame of type %d" % kind
                event = Event(stream, reader)
                self._note(self.events, event)
                self._do(stream, event, self.rule(event))
        except (Broken, OSError):
            pass
        except Exception as error:  # pylint: disable=broad-except
            self._note(self.errors, error)
        finally:
            self._cut(stream)
            stream.sock.close()

    def _greet(self, stream):
        self._reading.wait()
        kind, reader = stream.read()
        assert kind == HELLO, "frame of type %d instead of HELLO" % kind
        version, role, build, digest = reader.take("HBQQ")
        self._note(self.hellos, {"version": version, "role": role, "build": build, "digest": digest,
                                 "config": reader.text().decode()})
        self._streams[stream] = role
        if isinstance(self.greeting, Refuse):
            stream.write(REFUSED, struct.pack("<B", self.greeting.reason) + text(self.greeting.words))
            raise Broken("refused")
        if self.greeting is CUT:
            raise Broken("cut")
        if self.greeting is WELCOME:
            stream.write(WELCOME_FRAME, struct.pack("<HQQI", VERSION, self.build, digest, os.getpid()))

    def _do(self, stream, event, action):
        if isinstance(action, Delay):
            timer = threading.Timer(action.seconds, self._do, (stream, event, action.then))
            timer.daemon = True
            timer.start()
        elif isinstance(action, Answer):
            payload = struct.pack("<QBH", event.seq, action.answer, action.retry_after) + text(action.body)
            with self._lock:
                try:
                    stream.write(VERDICTS, payload)
                except OSError:
                    pass
        elif action is CUT:
            self._cut(stream)
