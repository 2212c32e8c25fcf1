"""
The audit of a campaign: what the input (people.py) demands against what the sandbox did and said, and the spool's dead letters.

Each lane is followed deed by deed. A sync must be exactly the next events of its lane, merged: the latest value of each field. If
its answer reached the courier, the lane has moved on for good; if the answer was lost, the same events must come again. That is all
that "at least once" allows: in order, nothing left out, and twice only after an answer that was lost.

Which answers were lost is no guess from times: the sandbox sees whether its client read them (marketo_sandbox.py), and it works on no
call whose client has left. So each deed has one meaning, however slow the machine.
"""
import contextlib
import os
import re
import sqlite3

from people import LEAD_NOT_FOUND, LINK_FATAL, as_text, merged

COMPANY = ("company", "industry")  # what a group sets


class Ledger:
    def __init__(self, events, answers, sandbox):
        self.input, self.answers, self.store = events, answers, sandbox.store
        self.lost = {call["n"] for call in self.store.calls if call["lost"]}
        self.lanes = {}
        for event in events.events:
            if not events.doomed(event) and event.message_id not in answers.burned:
                self.lanes.setdefault(event.lane, []).append(event)
        self.at = dict.fromkeys(self.lanes, 0)
        self.people = {}  # lead id -> Person
        self.links = {}   # token -> [answer lost?]

    def follow(self):
        """Goes through all deeds; fails at the first that should not have been."""
        for deed in self.store.deeds:
            if "visit" in deed:
                self._visit(deed)
            elif "token" in deed:
                self._link(deed)
            else:
                self._sync(deed)
        missing = {lane: events[self.at[lane]:] for lane, events in self.lanes.items() if self.at[lane] < len(events)}
        assert not missing, "never delivered: %s" % missing

    # ---- deeds ----

    def _next(self, lane, deed, fits):
        """Takes the events that the deed must stand for; they stay at the head of the lane when its answer was lost."""
        waiting = self.lanes.get(lane, [])[self.at.get(lane, 0):]
        count = next((count for count in range(1, len(waiting) + 1) if fits(waiting[:count])), None)
        assert count, "lane %s, call %d: %s is not what comes next: %s; before it came %s" % (
            lane, deed["call"], {k: v for k, v in deed.items() if k != "call"}, waiting[:5],
            self.lanes.get(lane, [])[:self.at.get(lane, 0)][-3:])
        if deed["call"] not in self.lost:
            self.at[lane] += count

    def _sync(self, deed):
        """What names the person by e-mail, and groups that a cookie names, where these have joined that person's lane or not."""
        fields = as_text(deed["fields"])
        company = {name: fields.pop(name) for name in COMPANY if name in fields}
        person = self.input.by_company[company["company"]].person if company else self.input.by_email[fields["email"]]
        self._known(deed["lead"], person)
        if not company and fields == {"email": person.email} and person.link_fate == LEAD_NOT_FOUND:
            return  # the courier asks for the id of a lead that Associate Lead did not find
        if person.company_by == "email":
            fields.update(company)
        elif company:
            self._next(("group", person.number), deed, lambda events: merged(events) == company)
        if fields:
            self._next(("lead", person.number), deed, lambda events: merged(events) == fields)

    def _known(self, lead, person):
        assert self.people.setdefault(lead, person) is person, "lead %d is two people" % lead

    def _visit(self, deed):
        visit = self.store.visits[deed["visit"]]
        self._next(("visit", visit["token"]), dict(deed, page=visit["parameters"]["_mchRu"]), lambda events: len(events) == 1 and events[0].page == visit["parameters"]["_mchRu"])

    def _link(self, deed):
        assert self.people[deed["lead"]] is self.input.by_token[deed["token"]], "cookie %s given to a stranger" % deed["token"]
        self.links.setdefault(deed["token"], []).append(deed["call"] in self.lost)

    # ---- the end ----

    def check_leads(self):
        assert len(self.store.leads) == len(self.people) == len({id(person) for person in self.people.values()}), "a person became two leads"
        for lead_id, person in self.people.items():
            lanes = [self.lanes.get((kind, person.number), []) for kind in ("lead", "group")]
            want = dict(merged(lanes[0]), **merged(lanes[1]))
            assert as_text(self.store.leads[lead_id]["fields"]) == want, "%s is not what the input makes of them" % person.email
        arrived = {person.number for person in self.people.values()}
        assert arrived == {lane[1] for lane, events in self.lanes.items() if lane[0] != "visit" and events}

    def check_links(self):
        leads = {person.number: lead for lead, person in self.people.items()}
        told = {event.token for lane, events in self.lanes.items() if lane[0] == "lead" for event in events if event.token}
        for token in sorted(told):
            person = self.input.by_token[token]
            if not person.link_fate:
                assert self.store.cookies.get(token) == leads[person.number], "cookie %s of %s" % (token, person.email)
        if self.input.api == "rest":
            for token, lost in self.links.items():
                assert lost[-1] is False and all(lost[:-1]), "cookie %s was associated more than once: %s" % (token, lost)

    def check_dead(self, dead):
        links = [row for row in dead if row["kind"] == "associate"]
        rows = {row["message_id"]: row for row in dead if row["kind"] != "associate"}
        want = {event.message_id: self.input.reason(event) for event in self.input.events if self.input.doomed(event)}
        want.update(self.answers.burned)
        assert {key: row["reason"] for key, row in rows.items()} == want
        assert len(rows) + len(links) == len(dead), "a dead letter twice"
        for key, row in rows.items():
            assert row["kind"] == ("visit" if self.input.by_id[key].page else "lead") and row["attempts"] >= 1 and row["answer"], row
        self._check_dead_links(links)
        return want

    def _check_dead_links(self, links):
        for row in links:
            person = self.input.by_id[row["message_id"]].person
            assert row["reason"] == LINK_FATAL[person.link_fate], row
        people = {self.input.by_id[row["message_id"]].person.number for row in links}
        assert people == {person.number for person in self.input.people if person.link_fate and self.lanes.get(("lead", person.number))}

    def check_manners(self, per_window, at_once):
        """
        Marketo's limits were kept (the sandbox's are set to the courier's), and nothing was sent that a careful client does not send.
        The courier counts a call when it sends it, the sandbox when it comes. What comes within 20 s was sent in them, or was under
        way when they began: per_window + at_once calls at most, however slow the machine. Calls that the sandbox read when the
        courier no longer waited say nothing: they were sent any time before.
        """
        assert not self.store.violations
        calls = [call for call in self.store.calls if call["api"] in ("rest", "soap") and not call["late"]]
        times = sorted(call["at"] for call in calls)
        for first, last in zip(times, times[per_window + at_once:]):
            assert last - first > 19.99, "%d calls in %.1f s" % (per_window + at_once + 1, last - first)
        unasked = [call["answer"] for call in calls if not call["rule"] and re.search(r'"6(06|07|15)"|2002[34]|20015', call["answer"] or "")]
        assert not unasked, "a limit was broken: %s" % unasked[0]


def dead_letters(spool, settled=True):
    """The rows of the spool's dead table, each with its event's message id. The courier must not run. settled: nothing else may wait."""
    with contextlib.closing(sqlite3.connect("file:%s?mode=ro" % os.path.join(spool, "spool.db"), uri=True)) as database:
        database.row_factory = sqlite3.Row
        rows = [dict(row) for row in database.execute("SELECT * FROM dead ORDER BY id")]
        assert not settled or database.execute("SELECT count(*) FROM event").fetchone()[0] == 0, "events are left in the spool"
    for row in rows:
        row["message_id"] = re.search(rb'"messageId": ?"([^"]*)"', row["envelope"]).group(1).decode()
    return rows
