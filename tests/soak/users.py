"""
Users of a site, each over a kept connection of its own: pages, calls, batches, nonsense. Everything that is to reach Marketo carries
an id, and each answer is written down.

    users = Users(server); ...; users.end()
    users.accepted    ids that were answered 200: they must arrive, and nothing else
    users.again       those of them that were asked for twice, for the connection broke
    users.breaks      kept connections that were closed as they were to be used: normal now and then, at a reload
    users.wrong       (call, what came in place of the wanted status) -> how often
    users.arrived(sandbox)   id -> how often it came
"""
import collections
import random
import threading

from site_of_pages import PERSON, TOKEN

THREADS = 4
PACE = 0.02     # seconds between two calls of a thread
PATIENCE = 60   # seconds until a call has failed: no measure of speed
PEOPLE = 128    # of each thread
MARKS = ["Soak%02d" % number for number in range(16)]  # custom fields, in turn: one sync that merges calls hides none of them
NEW_EVERY = 50  # calls; visitors leave, and others come


class User(threading.Thread):
    def __init__(self, server, number, stop):
        super().__init__(daemon=True)
        self.server, self.number, self.stop = server, number, stop
        self.rng, self.talk = random.Random(number), None
        self.done, self.breaks = 0, 0
        self.accepted, self.again, self.wrong = [], set(), collections.Counter()

    def run(self):
        while not self.stop.wait(PACE):
            self.done += 1
            if self.done % 10 == 0:
                self.look()
            else:
                self.call()
            if self.done % NEW_EVERY == 0:
                self.leave()
        self.leave()

    def leave(self):
        if self.talk:
            self.talk.close()
        self.talk = None

    # ---- asking ----

    def ask(self, ids, method, path, body=None, headers=None):
        """
        One call; None when it failed. Who closes a kept connection may do so just when a request is under way: a browser then asks
        once more on a new one, and so does this. A new connection that is refused or breaks is a failure, and so is half an answer.
        """
        while True:
            kept = self.talk is not None and self.talk.connection.sock is not None
            try:
                if self.talk is None:
                    self.talk = self.server.talk()
                    self.talk.connection.timeout = PATIENCE
                return self.talk.request(method, path, body, headers)
            except Exception as error:  # pylint: disable=broad-except
                self.leave()
                if not kept or not isinstance(error, (ConnectionResetError, BrokenPipeError)):
                    self.wrong[(path.partition("?")[0], repr(error))] += 1
                    return None
                self.breaks += 1
                self.again.update(ids)

    def judge(self, ids, call, got, wanted):
        if got is not None and got != wanted:
            self.wrong[(call, got)] += 1
        elif got == 200:
            self.accepted += ids

    def look(self):
        """A page, as a visitor's browser asks for it; the server itself reports the view."""
        ids = ["view-%d-%d" % (self.number, self.done)]
        reply = self.ask(ids, "GET", "/index.html?id=" + ids[0], None, PERSON)
        if reply:
            cookie = TOKEN in reply.headers.get("set-cookie", "")
            self.judge(ids, "a page", reply.status if cookie else "%d without cookie" % reply.status, 200)

    def call(self):
        ids, call, body, wanted = self.draw()
        reply = self.ask(ids, "POST", "/mkto/v1/" + call, body)
        self.judge(ids, call, reply and reply.status, wanted)

    # ---- what a site sends: many visits, some people, now and then a batch, and nonsense ----

    def draw(self):
        kind = self.rng.random()
        if kind < 0.95:
            call = "page" if kind < 0.5 else "track" if kind < 0.75 else "identify" if kind < 0.9 else "batch"
            events = [self.event(each) for each in (("page", "track", "identify") if call == "batch" else (call,))]
            return [event["messageId"] for event in events], call, {"batch": events} if call == "batch" else events[0], 200
        return [], "track", self.rng.choice([b"{", b'{"event":"x","userId":"\xff"}', b"[]", {"userId": "u"}]), 400

    def event(self, call):
        name, visitor = "%s-%d-%d" % (call, self.number, self.done), "v%d-%d" % (self.number, self.rng.randrange(PEOPLE))
        if call == "page":
            more = {"anonymousId": visitor, "properties": {"url": "https://www.example.com/p/%d?id=%s" % (self.done % 97, name)}}
        elif call == "track":
            more = {"anonymousId": visitor, "event": "Soak", "properties": {"id": name}}
        else:
            person = "soak%d-%d@example.com" % (self.number, self.done % PEOPLE)
            more = {"traits": {"email": person, MARKS[self.done // PEOPLE % len(MARKS)]: name}}
        return dict(more, type=call, messageId=name)


class Users:
    def __init__(self, server):
        self.stop = threading.Event()
        self.users = [User(server, number, self.stop) for number in range(THREADS)]
        for user in self.users:
            user.start()

    def end(self):
        self.stop.set()
        for user in self.users:
            user.join(2 * PATIENCE)
            assert not user.is_alive(), "a call has no end"

    @property
    def done(self):
        return sum(user.done for user in self.users)

    @property
    def breaks(self):
        return sum(user.breaks for user in self.users)

    @property
    def accepted(self):
        return [name for user in self.users for name in user.accepted]

    def accepted_count(self):
        return sum(len(user.accepted) for user in self.users)

    @property
    def again(self):
        return set().union(*(user.again for user in self.users))

    @property
    def wrong(self):
        return sum((user.wrong for user in self.users), collections.Counter())

    @staticmethod
    def arrived(sandbox):
        with sandbox.store.lock:
            visits = [visit["query"].partition("id=")[2] for visit in sandbox.store.visits]
            people = [str(value) for deed in sandbox.store.deeds for value in deed.get("fields", {}).values()]
        return collections.Counter(name for name in visits + people if name.startswith(("view-", "page-", "track-", "identify-")))
