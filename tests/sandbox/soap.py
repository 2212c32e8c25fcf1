"""The SOAP API (mktows): syncLead, syncMultipleLeads, listMObjects. Stricter than the schema where real clients went wrong:
order, case, namespaces and unknown elements are faults."""
import hashlib
import hmac
import json
import re
import time
import xml.etree.ElementTree as ET
from datetime import datetime
from xml.sax.saxutils import escape

ENVELOPE = "{http://schemas.xmlsoap.org/soap/envelope/}"
NS = "{http://www.marketo.com/mktows/}"
BATCH_MAX = 300
_TEXT = {
    10001: "Internal Error", 20011: "Internal Error", 20012: "Request Not Understood", 20013: "Access Denied",
    20014: "Authentication failed", 20015: "Request Limit Exceeded", 20016: "Request Expired", 20023: "Rate Limit Exceeded",
    20024: "Concurrency Limit Exceeded", 20101: "Lead Key Required", 20103: "Lead not found", 20105: "Unknown lead field", 20106: "Lead Sync Failed",
    20109: "Parameter Required", 20110: "Input error",
}
_TIMESTAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d$")
_COOKIE = re.compile(r"^id:([A-Za-z0-9-]+)&token:(_mch-\S+)$")


class Fault(Exception):
    def __init__(self, code, message=None):
        super().__init__(message or _TEXT.get(code, "Error"))
        self.code = code


def _wrap(inner, nil=False):
    xsi = ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"' if nil else ""
    return ('<?xml version="1.0" encoding="UTF-8"?>\n<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/'
            'envelope/"%s xmlns:ns1="http://www.marketo.com/mktows/"><SOAP-ENV:Body>%s</SOAP-ENV:Body></SOAP-ENV:Envelope>\n'
            % (xsi, inner)).encode()


def fault(code, message):
    """Shape (a) of the wild; without a code the shape that PHP's SOAP server gives for what it cannot parse."""
    if code is None:
        return _wrap("<SOAP-ENV:Fault><faultcode>SOAP-ENV:Client</faultcode><faultstring>%s</faultstring></SOAP-ENV:Fault>"
                     % escape(message))
    return _wrap('<SOAP-ENV:Fault><faultcode>SOAP-ENV:Client</faultcode><faultstring>%d - %s</faultstring><detail>'
                 '<ns1:serviceException><name>mktServiceException</name><message>%s (%d)</message><code>%d</code>'
                 '</ns1:serviceException></detail></SOAP-ENV:Fault>'
                 % (code, escape(_TEXT.get(code, "Error")), escape(message), code, code))


def _children(element, allowed, where):
    """The children of a sequence as a dict, after checking names and order. `allowed`: names, '?' optional, '*' repeated."""
    found, position = {}, 0
    names = [a.rstrip("?*") for a in allowed]
    for child in element:
        if child.tag not in names:
            raise Fault(20012, "%s: unexpected element %s" % (where, child.tag))
        index = names.index(child.tag)
        if index < position or (child.tag in found and not allowed[index].endswith("*")):
            raise Fault(20012, "%s: element %s is out of order or repeated" % (where, child.tag))
        position = index
        if allowed[index].endswith("*"):
            found.setdefault(child.tag, []).append(child)
        else:
            found[child.tag] = child
    for name, spec in zip(names, allowed):
        if not spec.endswith(("?", "*")) and name not in found:
            raise Fault(20109, "%s: %s is missing" % (where, name))
    return found


def _text(found, name):
    return None if name not in found else (found[name].text or "")


def _authenticate(store, header):
    found = _children(header, ["mktowsUserId", "requestSignature", "requestTimestamp", "partnerId?"], "AuthenticationHeader")
    user, stamp = _text(found, "mktowsUserId"), _text(found, "requestTimestamp")
    if not _TIMESTAMP.match(stamp):
        raise Fault(20016, "requestTimestamp is not a W3C date with a numeric zone")
    expected = hmac.new(store.settings["soap_key"].encode(), (stamp + user).encode(), hashlib.sha1).hexdigest()
    if user != store.settings["soap_user_id"] or _text(found, "requestSignature") != expected:
        raise Fault(20014)
    if abs(datetime.fromisoformat(stamp).timestamp() - store.now()) > store.settings["signature_s"]:
        raise Fault(20016)


def _head(store, envelope, op):
    parts = list(envelope)
    if [p.tag for p in parts] != [ENVELOPE + "Header", ENVELOPE + "Body"]:
        raise Fault(20012, "envelope has no header and body")
    headers = _children(parts[0], [NS + "AuthenticationHeader", NS + "MktowsContextHeader?"], "Header")
    _authenticate(store, headers[NS + "AuthenticationHeader"])
    context = headers.get(NS + "MktowsContextHeader")
    if context is not None:
        workspace = _text(_children(context, ["targetWorkspace"], "MktowsContextHeader"), "targetWorkspace")
        if op != "syncLead":
            raise Fault(20012, "MktowsContextHeader goes with syncLead only")
        if workspace not in store.settings["workspaces"]:
            raise Fault(20110, "workspace %s does not exist" % workspace)


def _record(element):
    found = _children(element, ["Id?", "Email?", "ForeignSysPersonId?", "ForeignSysType?", "leadAttributeList?"], "leadRecord")
    if "ForeignSysPersonId" in found and "ForeignSysType" not in found:
        raise Fault(20109, "leadRecord: ForeignSysType is missing")
    attributes = {}
    if "leadAttributeList" in found:
        for attribute in _children(found["leadAttributeList"], ["attribute*"], "leadAttributeList").get("attribute", []):
            parts = _children(attribute, ["attrName", "attrType?", "attrValue"], "attribute")
            name = _text(parts, "attrName")
            if name in attributes:
                raise Fault(20110, "attribute %s is repeated" % name)
            attributes[name] = _text(parts, "attrValue")
    lead_id = _text(found, "Id")
    return {"id": int(lead_id) if lead_id else None, "email": _text(found, "Email"),
            "foreign": _text(found, "ForeignSysPersonId"), "attributes": attributes}


def _check_fields(store, record, op):
    names = store.fields()
    unknown = [n for n in record["attributes"] if n not in names]
    if unknown:
        raise Fault(20105, "%s operation failed: unknown fields for import: %s" % (op, ", ".join(unknown)))


def _write(store, record, token):
    """Upserts one checked record; returns (lead, status) or (lead, None) when the lead is locked."""
    lead = store.find(record["id"], record["foreign"], token, record["email"])
    if record["id"] is not None and lead is None:
        raise Fault(20103, "No lead found with IDNUM = %d" % record["id"])
    if store.locked(lead, store.settings["lead_lock_s"]):
        return lead, None
    status = "UPDATED"
    if lead is None:
        lead, status = store.create("soap"), "CREATED"
    names = store.fields()
    fields = {names[n]: v for n, v in record["attributes"].items()}
    if record["email"]:
        fields["email"] = record["email"]
    if record["foreign"]:
        lead["foreign_id"] = record["foreign"]
    store.update(lead, fields)
    if token:
        store.associate(token, lead["id"])
    return lead, status


def _sync_status(lead_id, status, error=None):
    tail = "<error>%s</error>" % escape(error) if error else '<error xsi:nil="true"/>'
    return "<syncStatus><leadId>%d</leadId><status>%s</status>%s</syncStatus>" % (lead_id, status, tail)


def _flag(found, name, required):
    value = _text(found, name)
    if value is None and not required:
        return None
    if value not in ("true", "false", "1", "0"):
        raise Fault(20110, "%s is no boolean" % name)
    return value in ("true", "1")


def _sync_lead(store, body, rule):
    found = _children(body, ["leadRecord", "returnLead", "marketoCookie?"], "paramsSyncLead")
    _flag(found, "returnLead", True)
    record, cookie, token = _record(found["leadRecord"]), _text(found, "marketoCookie"), None
    if cookie is not None:
        match = _COOKIE.match(cookie)
        if not match or match.group(1) != store.settings["munchkin_id"]:
            raise Fault(20110, "marketoCookie is not a cookie of this subscription")
        token = match.group(2)
    if record["id"] is None and not record["email"] and not record["foreign"] and not token:
        raise Fault(20101, "Lead Key Required")
    _check_fields(store, record, "syncLead")
    wanted = store.wanted(rule, "soap", _record_text(record))
    if wanted:
        lead_id, inner = 0, _sync_status(0, wanted.get("status", "FAILED"), wanted.get("error", "scripted"))
    else:
        with store.doing():
            lead, status = _write(store, record, token)
        if status is None:
            raise Fault(20106, "Exceeded lock attempts")
        lead_id, inner = lead["id"], _sync_status(lead["id"], status)
    return _wrap('<ns1:successSyncLead><result><leadId>%d</leadId>%s<leadRecord xsi:nil="true"/></result>'
                 '</ns1:successSyncLead>' % (lead_id, inner), nil=True)


def _record_text(record):
    return json.dumps(dict(record["attributes"], Email=record["email"]), ensure_ascii=False)


def _sync_one_of_many(store, record, rule, seen):
    key = (record["email"] or record["foreign"] or str(record["id"])).lower()
    if key == "none":
        return _sync_status(0, "FAILED", "Lead Key Required")
    if key in seen:
        store.violation("one lead twice in a batch")
    seen.add(key)
    wanted = store.wanted(rule, "soap", _record_text(record))
    if wanted:
        return _sync_status(0, wanted.get("status", "FAILED"), wanted.get("error", "scripted"))
    lead, status = _write(store, record, None)
    return _sync_status(lead["id"], status) if status else _sync_status(0, "FAILED", "Exceeded lock attempts")


def _sync_multiple(store, body, rule):
    found = _children(body, ["leadRecordList", "dedupEnabled?"], "paramsSyncMultipleLeads")
    if not _flag(found, "dedupEnabled", False):
        store.violation("syncMultipleLeads without dedupEnabled makes duplicates")
    elements = _children(found["leadRecordList"], ["leadRecord*"], "leadRecordList").get("leadRecord", [])
    if not 1 <= len(elements) <= BATCH_MAX:
        raise Fault(20110, "%d lead records; at most %d" % (len(elements), BATCH_MAX))
    records = [_record(e) for e in elements]
    for record in records:
        _check_fields(store, record, "syncMultipleLeads")
    seen = set()
    with store.doing():
        statuses = [_sync_one_of_many(store, r, rule, seen) for r in records]
    return _wrap("<ns1:successSyncMultipleLeads><result><syncStatusList>%s</syncStatusList></result>"
                 "</ns1:successSyncMultipleLeads>" % "".join(statuses), nil=True)


def _list_mobjects(_store, _body, _rule):
    return _wrap("<ns1:successListMObjects><result><objects>ActivityRecord</objects><objects>LeadRecord</objects></result>"
                 "</ns1:successListMObjects>")


_OPERATIONS = {"paramsSyncLead": ("syncLead", _sync_lead), "paramsSyncMultipleLeads": ("syncMultipleLeads", _sync_multiple),
               "paramsListMObjects": ("listMObjects", _list_mobjects)}


def operation(body):
    match = re.search(rb"<(?:[A-Za-z0-9_.-]+:)?(params\w+)", body)
    return _OPERATIONS.get(match.group(1).decode(), (None, None))[0] if match else None


def _run(store, headers, body, rule):
    kind = headers.get("Content-Type", "").replace(" ", "").lower()
    if kind not in ("text/xml;charset=utf-8", 'text/xml;charset="utf-8"'):
        raise Fault(None, "Bad Request")
    if b"<!DOCTYPE" in body:
        raise Fault(None, "Bad Request")
    try:
        envelope = ET.fromstring(body)
    except ET.ParseError:
        raise Fault(None, "Bad Request") from None
    if envelope.tag != ENVELOPE + "Envelope":
        raise Fault(None, "Bad Request")
    inner = envelope.find(ENVELOPE + "Body")
    if inner is None or len(inner) != 1 or not inner[0].tag.startswith(NS) or inner[0].tag[len(NS):] not in _OPERATIONS:
        raise Fault(20012)
    op, run = _OPERATIONS[inner[0].tag[len(NS):]]
    action = headers.get("SOAPAction")
    if action is None or action not in ('""', '"http://www.marketo.com/mktows/%s"' % op):
        raise Fault(20012, "SOAPAction is not that of %s, in quotes" % op)
    _head(store, envelope, op)
    broken = store.enter()
    if broken:
        raise Fault({"rate": 20023, "concurrency": 20024, "quota": 20015}[broken])
    try:
        if rule and "code" in rule:
            raise Fault(int(rule["code"]), rule.get("text"))
        emails = [e.text.lower() for e in inner[0].iter("Email") if e.text]
        store.claim(emails)
        try:
            time.sleep(store.settings["latency_s"])
            return run(store, inner[0], rule)
        finally:
            store.release(emails)
    finally:
        store.leave()


def handle(store, headers, body, rule):
    try:
        return 200, "text/xml; charset=utf-8", _run(store, headers, body, rule)
    except Fault as failed:
        return 500, "text/xml; charset=utf-8", fault(failed.code, str(failed))
