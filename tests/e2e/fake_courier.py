"""
A courier that keeps nothing and does what a test tells it. It speaks shared/wire over a unix socket.

    fake = FakeCourier(path)                        # answers "stored" to everything
    fake.start()
    fake.rule = lambda event: Answer("bad_request", b'{"success":false}')
    fake.rule = lambda event: Delay(0.5, Answer("stored"))    # or SILENT, or CUT (hangs up)
    fake.greeting = Refuse("leaving", "a newer build")         # or WELCOME, SILENT, CUT
    fake.answer(fake.events[0], Answer("stored"))               # later, after SILENT
    fake.hold() / fake.release()                    # stops reading, as a stopped process does
    fake.log(4, "MKTO0301 text")                    # to every presence connection
    fake.events, fake.hellos                        # what came; event.seq .call .body .fields .flags .authorization .ack .connection;
                                                    # of a page view .seq .call ("view") .path .fields .connection
    fake.counts                                     # what the server kept away itself: {"consent": 2}
    fake.wait(3); fake.cut_all(); fake.stop()
"""
import json
import os
import socket
import struct
import threading

from wire import (ANSWERS, COUNTS, EVENT, FLAGS, HELLO, LOG, PRESENCE, REASONS, REFUSED, SKIPS, VERDICTS, VERSION, VIEW,
                  WELCOME_FRAME, Broken, Stream, read_envelope, read_view, text)


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

    @property
    def flags(self):
        return {name for name, bit in FLAGS.items() if self.fields["flags"] & bit}


class View:
    """A page view, as the server passes it on: .call is "view", .path what the visitor asked for."""
    call, authorization, body = "view", b"", None

    def __init__(self, connection, seq, reader):
        self.connection, self.seq = connection, seq
        self.fields = read_view(reader)
        self.path = self.fields["uri"].decode()


class FakeCourier:
    """A courier that keeps nothing and does as it is told; see the top of this file."""

    def __init__(self, path, build=0):
        self.path, self.build = str(path), build
        self.events, self.hellos, self.errors = [], [], []
        self.counts = {}
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

    def _count(self, reader):
        with self._changed:
            for _ in range(reader.take("B")):
                reason, number = reader.take("BI")
                self.counts[SKIPS[reason]] = self.counts.get(SKIPS[reason], 0) + number
            self._changed.notify_all()

    def wait_counts(self, timeout=10, **wanted):
        """Waits for these numbers of what the server kept away, and for no others."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.counts == wanted, timeout), "%s came" % self.counts

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
                if kind == COUNTS:
                    self._count(reader)
                    continue
                assert kind in (EVENT, VIEW), "frame of type %d" % kind
                event = self._views(stream, reader) if kind == VIEW else Event(stream, reader)
                self._note(self.events, event)
                self._do(stream, event, self.rule(event))
        except (Broken, OSError):
            pass
        except Exception as error:  # pylint: disable=broad-except
            self._note(self.errors, error)
        finally:
            self._cut(stream)
            stream.sock.close()

    def _views(self, stream, reader):
        """Those of one frame, which share a verdict; returns the last."""
        seq, _ = reader.take("QQ")
        view = View(stream, seq, reader)
        while reader.more():
            self._note(self.events, view)
            view = View(stream, seq, reader)
        return view

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

    def answer(self, event, action):
        """Does something about an event that was left alone (SILENT)."""
        self._do(event.connection, event, action)

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
