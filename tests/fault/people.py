"""
The input of a campaign: 50 people × 40 events, drawn from a seed, and what they must have come to in the end.

An event knows its fate beforehand, that is what the Marketo of answers.py will say of it as long as it lives:
    None                            it is taken
    ("retry", code, times)          its record is refused that often, then taken
    ("fatal", code)                 its record is refused for good
    ("poison", code)                every call that carries it is refused as a whole
So the events that must arrive, and those that must be dead letters, are known from the input alone.

Lanes, as the audit sees them; within one the order of acceptance holds:
    ("lead", n)   what names the person by e-mail     ("group", n)  groups that only a cookie names
    ("visit", token)
"""
import hashlib
import json
import random

PEOPLE, EVENTS = 50, 40
ACCOUNT, SITE = "561-HYG-937", "www.example.com"
MARKS = ["M%02d" % number for number in range(EVENTS)]  # custom fields: each identify sets one of its own
FATAL = {"rest": {1001: "wrong_type", 1002: "missing_parameter", 1003: "invalid_data", 1007: "multiple_matches", 1008: "partition_denied",
                  701: "blank_field", 714: "record_type"},
         "soap": {20101: "no_key", 20103: "lead_not_found", 20109: "missing_parameter", 20110: "bad_parameter", 20114: "bad_parameter"}}
POISON = {"rest": {609: "invalid_json", "http 413": "too_large", 1011: "unsupported_field"},
          "soap": {20012: "not_understood", 20017: "invalid_request", "http 413": "too_large"}}
RETRIED = {"rest": (713, 719, 611, 502, 1999), "soap": (10001, 20011, 20106, 29999)}
VISIT_FATAL = (400, 404, 410, 414)
LOCK = "lock"  # "Exceeded lock attempts", whatever the code
# Who people are. Over SOAP each sync with a browser's cookie is a call of its own, and the budget would set the pace.
STYLES = {"rest": ("browser", "user id", "nobody", "two browsers", "user id", "nobody") * 2,
          "soap": ("browser", "user id", "nobody", "user id", "user id", "nobody", "two browsers", "user id", "nobody", "user id", "user id", "nobody")}
LEAD_NOT_FOUND = 1004
LINK_FATAL = {1012: "bad_cookie", LEAD_NOT_FOUND: "lead_not_found"}


class Event:
    def __init__(self, person, number, call, lane, body, cookie=None, fields=None, page=None, token=None):
        self.person, self.number, self.call, self.lane, self.body = person, number, call, lane, body
        self.cookie, self.fields, self.page, self.token = cookie, fields, page, token
        self.fate = None
        self.message_id = body["messageId"]

    def __repr__(self):
        return "%s/%s%s" % (self.call, self.message_id, " %s" % (self.fate,) if self.fate else "")


class Person:
    def __init__(self, number, style, rng):
        self.number, self.email, self.user = number, "l%02d@example.com" % number, "u%02d" % number
        self.style = style
        # By a cookie alone only one of people who have one cookie: two of them are two lanes, as long as they are not known to be
        # one person's; and over SOAP they are two leads.
        self.company_by = "cookie" if self.style in ("browser", "user id") and number % 4 == 0 else "email"
        self.tokens = [made_token(self.user)] if self.style in ("user id", "nobody") else \
            ["_mch-example.com-1374552656411-%d%04d" % (device, number) for device in (1, 2)[:1 + (self.style == "two browsers")]]
        self.link_fate = None
        self.rng = rng

    def token(self):
        return self.rng.choice(self.tokens)


def made_token(user):
    return "_mch-example.com-" + hashlib.sha1((ACCOUNT + ":" + user).encode()).hexdigest()[:32]


def as_text(fields):
    """Numbers and booleans as SOAP spells them, so that both APIs compare."""
    return {name: json.dumps(value) if isinstance(value, (bool, int, float)) else value for name, value in fields.items()}


def merged(events):
    """The lead that these events make together: the latest value of each field."""
    fields = {}
    for event in events:
        fields.update(event.fields)
    return fields


class Input:
    def __init__(self, seed, api):
        self.seed, self.api = seed, api
        self.rng = random.Random("input/%s" % seed)
        self.people = [Person(number, STYLES[api][number % 12], self.rng) for number in range(PEOPLE)]
        self.by_email = {person.email: person for person in self.people}
        self.by_token = {token: person for person in self.people for token in person.tokens}
        self.rounds = []
        for number in range(EVENTS):
            order = self.rng.sample(self.people, PEOPLE)
            self.rounds.append([self._event(person, number) for person in order])
        self.events = [event for one in self.rounds for event in one]
        self.by_id = {event.message_id: event for event in self.events}
        self.by_company = {event.fields["company"]: event for event in self.events if event.call == "group"}
        self.resent = self.rng.sample(self.events, len(self.events) // 40)
        self._choose_fates()

    # ---- events ----

    def _event(self, person, number):
        call = self.rng.choices(("identify", "page", "track", "group"), (9, 6, 5, 2))[0]
        body = {"messageId": "%02d-%02d" % (person.number, number)}
        if person.style != "nobody":
            body["userId"] = person.user
        elif call in ("page", "track"):
            body["anonymousId"] = person.user
        token, cookie = person.token(), None
        if "browser" in person.style:
            cookie = "id:%s&token:%s" % (ACCOUNT, token)
            if self.rng.random() < 0.2:  # the body may carry it, too, and goes before the request's
                body["integrations"] = {"Marketo": {"marketoCookie": cookie}}
                cookie = "id:%s&token:_mch-example.com-1374552656411-99999" % ACCOUNT
        event = getattr(self, "_" + call)(person, number, body)
        event.cookie, event.token = cookie, None if person.style == "nobody" else token
        if event.lane is None:
            event.lane = ("visit", token)
        return event

    def _identify(self, person, number, body):
        values = {"firstName": "F%d" % self.rng.randrange(9), "plan": self.rng.choice(("free", "Größe M", "a&b <c>")),
                  "seats": self.rng.randrange(1000), "newsletter": self.rng.random() < 0.5, "title": "T%d" % number}
        traits = {name: values[name] for name in self.rng.sample(sorted(values), self.rng.randrange(1, 5))}
        traits["m%02d" % number] = number
        fields = as_text(dict(traits, email=person.email))
        if "userId" in body:
            fields["userId"] = person.user
        if self.rng.random() < 0.06:
            traits["pants"] = "blue"  # no such field in Marketo: left out, the rest arrives
        body["traits"] = dict(traits, email=person.email)
        return Event(person, number, "identify", ("lead", person.number), body, fields=fields)

    def _group(self, person, number, body):
        fields = {"company": "Company %02d of %02d" % (number, person.number)}
        body.update(groupId="g", traits={"name": fields["company"]})
        if self.rng.random() < 0.5:
            body["traits"]["industry"] = fields["industry"] = "I%d" % self.rng.randrange(5)
        if person.company_by == "email":
            body["context"] = {"traits": {"email": person.email}}
            fields["email"] = person.email
        return Event(person, number, "group", ("lead" if person.company_by == "email" else "group", person.number), body,
                     fields=fields)

    def _page(self, person, number, body):
        page = "/p/%02d/%02d" % (person.number, number)
        body["properties"] = {"url": "https://%s%s" % (SITE, page)}
        return Event(person, number, "page", None, body, page=page)

    def _track(self, person, number, body):
        page = "/event/Step-%02d-of-%02d" % (number, person.number)
        body.update(event=page[len("/event/"):].replace("-", " "), properties={"n": number})
        return Event(person, number, "track", None, body, page=page)

    # ---- fates ----

    def _choose_fates(self):
        identifies = [event for event in self.events if event.call == "identify"]
        self.rng.shuffle(identifies)
        visits = self.rng.sample([event for event in self.events if event.page], 12)
        for event in visits:
            event.fate = ("fatal", self.rng.choice(VISIT_FATAL))
        for code in self.rng.sample(sorted(POISON[self.api], key=str), 2):
            identifies.pop().fate = ("poison", code)
        for code in self.rng.sample(sorted(FATAL[self.api]), 5):
            identifies.pop().fate = ("fatal", code)
        for code in RETRIED[self.api] * 2:
            identifies.pop().fate = ("retry", code, self.rng.randrange(1, 3))
        early = [event for event in identifies if event.number < 2 and event.person.company_by == "email"]
        for event in early[:2]:
            event.fate = ("retry", LOCK, 1)
        linkable = [person for person in self.people if person.company_by == "email" and person.style != "nobody"]
        if self.api == "rest":
            for person, code in zip(self.rng.sample(linkable, len(LINK_FATAL)), LINK_FATAL):
                person.link_fate = code

    def doomed(self, event):
        """Whether it must end as a dead letter."""
        return event.fate is not None and event.fate[0] in ("fatal", "poison")

    def reason(self, event):
        if event.page:
            return "http_4xx"
        return {"fatal": FATAL, "poison": POISON}[event.fate[0]][self.api][event.fate[1]]
