"""What the sandbox Marketo knows: leads, cookies, visits, the calls it got, its limits and the script of its failures."""
import contextlib
import threading
import time

# SOAP name of each standard field and its REST name where that is not the SOAP name with its first letter lowered.
# Source: Adobe's list of standard fields, the last revision that had both columns.
_STANDARD = """
Address AnnualRevenue AnonymousIP BillingCity BillingCountry BillingPostalCode BillingState BillingStreet City Company
Country DateofBirth=dateOfBirth Department DoNotCall DoNotCallReason Email Fax FirstName Industry InferredCompany
InferredCountry LastName LeadRole LeadScore LeadSource LeadStatus MainPhone MiddleName MobilePhone NumberOfEmployees
Phone PostalCode Rating Salutation SICCode=sicCode Site State Title Unsubscribed UnsubscribedReason Website
MarketoSocialGender=gender MarketoSocialTwitterId=twitterId MarketoSocialLinkedInId=linkedInId
MarketoSocialFacebookId=facebookId
"""
_READ_ONLY = {"createdAt", "updatedAt", "inferredCity", "isAnonymous", "priority", "relativeScore", "urgency"}
COMPANY_FIELDS = {"company", "site", "website", "mainPhone", "annualRevenue", "numberOfEmployees", "industry", "sicCode",
                  "billingCity", "billingCountry", "billingPostalCode", "billingState", "billingStreet"}

DEFAULTS = {
    "munchkin_id": "561-HYG-937",
    "client_id": "sandbox-client",
    "client_secret": "sandbox-secret",
    "soap_user_id": "sandbox1_461839624B16E06BA2D663",
    "soap_key": "899756834129871744AAEE88DDCC77CDEEDEC1AAAD66",
    "workspaces": ["Default"],
    # Custom fields of this subscription: a SOAP name (the REST name is the same with its first letter lowered), or SOAP=REST.
    "custom_fields": ["UserId", "AnonymousId", "FavoriteColor", "SecondFavoriteColor", "Second_favorite_color", "SomeTrait",
                      "Plan", "Seats", "Newsletter", "CreatedAt=signupAt", "Plan_Name__c=Plan_Name__c"],
    "lead_lock_s": 30.0,         # SOAP: one sync per lead in this time, else "Exceeded lock attempts"
    "rest_lead_lock_s": 0.0,     # the same for REST records (719); 0: REST does not lock
    "company_locked": False,     # REST: updating a company field of an existing lead is 1021
    "rate_calls": 100,           # calls in rate_window_s over all APIs that are counted
    "rate_window_s": 20.0,
    "concurrency": 10,
    "daily_calls": 50000,
    "token_s": 3600.0,
    "signature_s": 300.0,        # age in either direction of a SOAP timestamp
    "latency_s": 0.0,            # of every API call
    "clock_offset_s": 0.0,       # this Marketo's clock against ours
}


def _stays():
    return False


class ClientLeft(Exception):
    """Whoever made the call did not wait for its answer, and it has not been worked on yet."""


class Store:
    """All state, behind one lock. Times are seconds of this Marketo's clock."""

    def __init__(self, **settings):
        unknown = set(settings) - set(DEFAULTS)
        if unknown:
            raise ValueError("unknown settings: %s" % ", ".join(sorted(unknown)))
        self.lock = threading.RLock()
        self.settings = dict(DEFAULTS, **settings)
        self.oracle = None
        self._here = threading.local()  # the call that this thread answers
        self.reset()

    def reset(self):
        with self.lock:
            self.leads = {}         # id -> {"id", "fields": {REST name: value}, "created_by", "syncs", "synced_at", "foreign_id"}
            self._by_email = {}     # lower-case e-mail -> id of the first lead that has it
            self.cookies = {}       # token -> lead id
            self.visits = []        # one dict each: token, page, parameters, headers, lead; link: of a click on that page
            self.calls = []         # every request with its answer, in order of arrival
            self.deeds = []         # what each call changed, in order: {"call", "lead", "fields"}, {"call", "token", "lead"}, {"call", "visit"}
            self.violations = []    # what no careful client does, although it was answered
            self.rules = []         # script of failures, see script()
            self.tokens = {}        # access token -> {"expires", "said_expired"}
            self._next_lead = 318594
            self._recent = []       # times of counted calls
            self._active = []       # of each running call: has its client left?
            self._day = {"start": self.now(), "used": 0}
            self._busy_keys = {}    # lookup key -> the same of each running call that upserts it

    def now(self):
        return time.time() + self.settings["clock_offset_s"]

    # ---- field names ----

    def fields(self):
        """SOAP name -> REST name of everything that can be written."""
        names = {}
        for entry in _STANDARD.split() + list(self.settings["custom_fields"]):
            soap, _, rest = entry.partition("=")
            names[soap] = rest or soap[0].lower() + soap[1:]
        return names

    def rest_names(self):
        return set(self.fields().values())

    @staticmethod
    def read_only(name):
        return name in _READ_ONLY

    # ---- limits, shared by REST and SOAP; calls whose clients have left do not count as running: no client can know of them ----

    def enter(self):
        """A call starts. Returns None, or which limit it breaks: "rate", "concurrency" or "quota"."""
        with self.doing():
            now = self.now()
            self._recent = [t for t in self._recent if t > now - self.settings["rate_window_s"]]
            if sum(not left() for left in self._active) >= self.settings["concurrency"]:
                return "concurrency"
            if len(self._recent) >= self.settings["rate_calls"]:
                return "rate"
            if self._day["used"] >= self.settings["daily_calls"]:
                return "quota"
            self._recent.append(now)
            self._day["used"] += 1
            self._active.append(self._left())
            return None

    def leave(self):
        with self.lock:
            self._active.remove(self._left())

    def quota(self):
        with self.lock:
            return {"used": self._day["used"], "limit": self.settings["daily_calls"]}

    # ---- leads ----

    def violation(self, text):
        with self.lock:
            self.violations.append(text)

    def claim(self, keys):
        """Marks lookup keys as being upserted; two calls at once on one key make duplicates in the real Marketo."""
        with self.lock:
            for key in keys:
                busy = self._busy_keys.setdefault(key, [])
                if any(not left() for left in busy):
                    self.violations.append("two calls upserted one key at the same time")
                busy.append(self._left())

    def release(self, keys):
        with self.lock:
            for key in keys:
                self._busy_keys[key].remove(self._left())

    def find(self, lead_id=None, foreign_id=None, cookie=None, email=None):
        """Precedence of the SOAP keys: id, foreign id, cookie, e-mail."""
        with self.lock:
            if lead_id is not None:
                return self.leads.get(lead_id)
            if foreign_id:
                return next((l for l in self.leads.values() if l["foreign_id"] == foreign_id), None)
            if cookie and cookie in self.cookies:
                return self.leads.get(self.cookies[cookie])
            if email:
                return self.leads.get(self._by_email.get(email.lower()))
            return None

    def create(self, by):
        with self.lock:
            lead = {"id": self._next_lead, "fields": {}, "created_by": by, "syncs": 0, "synced_at": None, "foreign_id": None,
                    "history": []}
            self.leads[lead["id"]] = lead
            self._next_lead += 1
            return lead

    def update(self, lead, fields):
        with self.lock:
            before = str(lead["fields"].get("email", "")).lower()
            lead["fields"].update(fields)
            after = str(lead["fields"].get("email", "")).lower()
            if after != before and self._by_email.get(before) == lead["id"]:
                del self._by_email[before]
            if after:
                self._by_email.setdefault(after, lead["id"])
            lead["syncs"] += 1
            lead["synced_at"] = self.now()
            lead["history"].append(dict(fields))
            self.deed(lead=lead["id"], fields=dict(fields))

    def locked(self, lead, seconds):
        return lead is not None and lead["synced_at"] is not None and self.now() - lead["synced_at"] < seconds

    def associate(self, token, lead_id):
        with self.lock:
            self.cookies[token] = lead_id
            self.deed(token=token, lead=lead_id)
            for visit in self.visits:
                if visit["token"] == token and visit["lead"] is None:
                    visit["lead"] = lead_id

    # ---- record and script ----

    def record(self, call, left=None):
        """left: a function that tells whether the client has gone by now."""
        with self.lock:
            call["n"] = len(self.calls) + 1
            self.calls.append(call)
            self._here.call, self._here.left = call, left or _stays
            return call

    def _left(self):
        return getattr(self._here, "left", _stays)

    @contextlib.contextmanager
    def doing(self):
        """
        The call at hand is worked on, unless its client has left. The two are one step: a client that asks again because it was not
        answered in time is never overtaken by what it gave up.
        """
        with self.lock:
            if self._left()():
                raise ClientLeft
            yield

    def deed(self, **what):
        """The call at hand has changed something."""
        with self.lock:
            call = getattr(self._here, "call", None)
            self.deeds.append(dict(what, call=call["n"] if call else None))

    def wanted(self, rule, api, text):
        """What is to be said of one record, instead of taking it: from the call's rule, or from the oracle."""
        record = (rule or {}).get("record")
        if record and record.get("match", "") in text:
            return record
        return self.oracle.record(api, text) if self.oracle else None

    def script(self, rules):
        """
        Appends failure rules. Each is a dict; the first that matches a call is used:
          api     "rest" | "identity" | "soap" | "munchkin" (required)
          op      "sync", "associate", "describe", "token", "syncLead", "syncMultipleLeads", "visit", "click" … (any when left out)
          match   text that must occur in the body or the URL (any when left out)
          skip    how many matching calls go by first (0)
          times   how often it applies (1); 0: until the script is cleared
        and one or more of:
          http    status, with optional "body", "headers"      answers that instead of doing anything
          code    REST or SOAP code, with optional "text"      response-level error or fault
          record  {"code"|"error"|"status", "match"}           that answer for each record that holds the text
          drop    "before" | "after" | "during"                cuts the connection without answering (after: having done it; during:
                                                               in the middle of the answer)
          delay_s seconds to wait first; hang_s seconds to hold the answer back after it was done
        A test in the same process may set .oracle instead, an object that is asked when no rule matches: call(api, op, text) returns a
        rule without api, op, match, skip and times, or None; record(api, text) what a rule has under "record", or None.
        """
        with self.lock:
            for rule in rules:
                if rule.get("api") not in ("rest", "identity", "soap", "munchkin"):
                    raise ValueError("rule without a known api: %r" % (rule,))
                self.rules.append(dict(rule, left=rule.get("times", 1), passed=0))

    def clear_script(self):
        with self.lock:
            self.rules = []

    def rule_for(self, api, op, text):
        with self.lock:
            for rule in self.rules:
                if rule["api"] != api or rule.get("op", op) != op or rule.get("match", "") not in text:
                    continue
                if rule["passed"] < rule.get("skip", 0):
                    rule["passed"] += 1
                    continue
                if rule.get("times", 1) and rule["left"] <= 0:
                    continue
                rule["left"] -= 1
                return rule
            return self.oracle.call(api, op, text) if self.oracle else None
