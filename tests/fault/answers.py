"""
A Marketo of many moods: what the sandbox's oracle answers in a campaign.

The fate of an event is its own (people.py). What befalls whole calls is drawn from decks of cards, one for each kind of call: every
mishap that the documentation knows of, shuffled by the seed with calls that go well between them. A deck is bounded, so that the
campaign ends; it is drawn in the order of the calls.
"""
import json
import random
import re
import threading

from people import LOCK

TIMEOUT = 2      # seconds that the courier waits for an answer
HANG = 2 * TIMEOUT        # seconds that an answer is held back, or a call not looked at
BRINK = TIMEOUT - 0.005   # the same: whether the courier still waits is up to the machine
RATE = (606, 20023)  # pauses of 20 s
BIG = 5 << 20    # an answer that no courier reads to its end
PAGE = "<html><title>Somewhere else</title></html>"


def http(status, body=PAGE, **headers):
    return {"http": status, "body": body, "headers": {name.replace("_", "-"): value for name, value in headers.items()}}


BROKEN = [{"drop": "before"}, {"drop": "after"}, {"drop": "during"}, {"hang_s": HANG}, {"hang_s": BRINK}, {"delay_s": HANG}]
DOOM = {"rest": {"code": 612}, "soap": {"code": 20019}}  # fatal for all that are in the call
DOOM_REASON = {"rest": "content_type", "soap": "unsupported"}
EXPIRE = "the token ends"
BAD_REQUEST = ('<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/"><SOAP-ENV:Body><SOAP-ENV:Fault>'
               "<faultcode>SOAP-ENV:Client</faultcode><faultstring>Bad Request</faultstring></SOAP-ENV:Fault></SOAP-ENV:Body>"
               "</SOAP-ENV:Envelope>")

# Cards by kind of call. Rate limits pause an API for 20 s, so there is one of them.
CARDS = {
    ("rest", "sync"): [*({"code": code} for code in (500, 502, 604, 611, 713, 719, 9999, 600, 601, 602, 603, 606, 608, 610, 614, 615, 615)),
                       *map(http, (408, 418, 500, 502, 503, 504, 400, 401, 403, 404, 407, 410)), http(302, Location="/elsewhere"),
                       http(200), http(200, "{}"), http(200, "x" * BIG), EXPIRE, DOOM["rest"], *BROKEN],
    ("rest", "associate"): [*({"code": code} for code in (500, 604, 611, 713, 601, 608, 615)), http(500), http(503), http(200, "[]"), *BROKEN],
    ("soap", "sync"): [*({"code": code} for code in (10001, 20011, 20106, 29999, 20013, 20014, 20016, 20016, 20023, 20024, 20024)),
                       http(500, BAD_REQUEST), *map(http, (408, 500, 502, 503, 504, 401, 403, 404, 407, 410)), http(302, Location="/x"),
                       http(200), http(200, "x" * BIG), DOOM["soap"], *BROKEN],
    ("munchkin", "visit"): [*map(http, (500, 502, 503, 504, 408, 500, 503)), http(302, Location="/x"), *BROKEN, *BROKEN],
    ("identity", "token"): [http(500), http(503), http(200), http(401, '{"error":"invalid_client"}'), http(401, '{"error":"unauthorized"}'),
                            {"drop": "before"}, {"drop": "during"}, {"hang_s": HANG}],
}
# Calls that go well between them, for each card.
FINE = {("rest", "sync"): 0.8, ("soap", "sync"): 1.5, ("munchkin", "visit"): 20, ("rest", "associate"): 1, ("identity", "token"): 0.5}
MERCY = 3  # mishaps in a row of one person or cookie: then something must go well, or backoffs would outgrow the test


class Answers:
    def __init__(self, events, store):
        self.input, self.store = events, store
        self._lock = threading.RLock()
        self.decks = {kind: self._shuffled(kind) for kind in CARDS if kind[0] in (events.api, "munchkin")
                      or events.api == "rest" and kind[0] == "identity"}
        self._left = {}            # message id -> refusals that are still to come
        self._hits = {}            # who -> mishaps since something went well
        self._seen = 0             # deeds that _hits knows of
        self.burned = {}           # message id -> reason, of what was in a call that a DOOM card hit

    def _shuffled(self, kind):
        rng = random.Random("%s/%s/%s" % (self.input.seed, *kind))
        deck = list(CARDS[kind])
        deck += [None] * int(len(deck) * FINE[kind])
        rng.shuffle(deck)
        deck += [None, None]  # it is drawn from the end
        for card in CARDS[kind]:
            if card in DOOM.values() or isinstance(card, dict) and card.get("code") in RATE:
                deck.remove(card)
                # while records hold one event; and when the budget's window is used up anyway
                deck.insert(len(deck) - 6 if card in DOOM.values() else len(deck) * 6 // 10, card)
        return deck

    def left(self):
        """Cards that nobody drew, by kind of call."""
        return {kind: [card for card in deck if card is not None] for kind, deck in self.decks.items()}

    # ---- the oracle ----

    def call(self, api, op, text):
        kind = (api, "sync" if api == "soap" else op)
        with self._lock:
            rule = self._by_content(kind, text)
            if rule is None and self.decks.get(kind):
                rule = self._draw(kind, text)
            return rule

    def record(self, api, text):
        email = re.search(r'"[eE]mail": "(l\d\d)@', text)
        marks = re.findall(r'"[mM](\d\d)": ', text)
        with self._lock:
            for number in marks if email else ():
                event = self.input.by_id["%s-%s" % (email.group(1)[1:], number)]
                if event.fate and self._refuses(event):
                    return self._refusal(api, event.fate[1])
        return None

    # ---- inside ----

    def _refuses(self, event):
        if event.fate[0] == "retry":
            left = self._left.setdefault(event.message_id, event.fate[2])
            self._left[event.message_id] = max(0, left - 1)
            return left > 0 and self._may_hit([event.person.email])
        return event.fate[0] == "fatal"

    @staticmethod
    def _refusal(api, code):
        if code == LOCK:
            return {"code": 719, "error": "Exceeded lock attempts"}
        return {"code": code, "error": "Not so" if api == "rest" else "Not so (%s)" % code}

    def _by_content(self, kind, text):
        if kind == ("munchkin", "visit"):
            event = self._visit(text)
            return http(event.fate[1]) if event.fate else None
        if kind == ("rest", "associate"):
            person = self._linked(text)
            return {"code": person.link_fate} if person.link_fate else None
        for event in self.identifies(text) if kind[1] == "sync" else ():
            if event.fate and event.fate[0] == "poison":
                code = event.fate[1]
                return http(413) if code == "http 413" else {"code": code}
        return None

    def _draw(self, kind, text):
        deck = self.decks[kind]
        card = deck.pop()
        if card is not None and not (self._may_hit(self._whom(kind, text)) and (card not in DOOM.values() or self._doom(text))):
            deck.insert(len(deck) // 2, card)
            card = None
        if card is EXPIRE:
            for token in self.store.tokens.values():
                token["expires"] = 0
            card = None
        return card

    def _doom(self, text):
        """
        All that is alone in its record dies, if the card is played. It is not, where that could not be told for sure, or where an
        event would be both delivered (by a call whose answer was lost) and dead.
        """
        records = self.records(text)
        done = {(deed["fields"].get("email"), name) for deed in self.store.deeds if "fields" in deed for name in deed["fields"]}
        if any(company or any((email, "m" + mark) in done for mark in marks) for email, marks, company in records):
            return False
        for email, marks, _ in records:
            if len(marks) == 1:
                self.burned["%s-%s" % (email[1:3], marks[0])] = DOOM_REASON[self.input.api]
        return True

    # ---- what is in a call ----

    @staticmethod
    def records(text):
        """[(e-mail, marks, company)] of a sync call, target and body as the oracle gets them."""
        body = text.partition("\n")[2]
        if body.startswith("{"):
            return [(record.get("email", ""), re.findall(r'"m(\d\d)"', json.dumps(record)), record.get("company"))
                    for record in json.loads(body)["input"]]
        return [((re.findall(r"<Email>([^<]*)", record) or [""])[0], re.findall(r"<attrName>M(\d\d)<", record),
                 "<attrName>Company<" in record) for record in re.findall(r"<leadRecord>.*?</leadRecord>", body, re.S)]

    def identifies(self, text):
        return [self.input.by_id["%s-%s" % (email[1:3], number)] for email, marks, _ in self.records(text) for number in marks]

    @staticmethod
    def _whom(kind, text):
        """The lanes that a call is for, by e-mail or cookie."""
        if kind[1] == "sync":
            return {email for email, _, _ in Answers.records(text)}
        return re.findall(r"(?:_mchTk=|token%3A)([^&\s%]+)", text)

    def _may_hit(self, whom):
        for deed in self.store.deeds[self._seen:]:
            self._seen += 1
            self._hits[self.store.visits[deed["visit"]]["token"] if "visit" in deed else
                       deed["token"] if "token" in deed else deed["fields"].get("email")] = 0
        if any(self._hits.get(who, 0) == MERCY for who in whom):
            return False
        self._hits.update({who: self._hits.get(who, 0) + 1 for who in whom})
        return True

    def _visit(self, text):
        page = re.search(r"%2F(?:p%2F(\d\d)%2F(\d\d)|event%2FStep-(\d\d)-of-(\d\d))&", text)
        person, number, step, of = page.groups()
        return self.input.by_id["%s-%s" % ((person, number) if person else (of, step))]

    def _linked(self, text):
        return self.input.by_token[re.search(r"token%3A([^&\s%]+)", text).group(1)]

