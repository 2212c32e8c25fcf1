"""The REST API: token, Sync Leads, Associate Lead, Describe. HTTP 200 even for errors, as the real one."""
import json
import re
import time
import uuid
from urllib.parse import parse_qsl, unquote

from store import COMPANY_FIELDS

BATCH_MAX = 300
BODY_MAX = 1000 * 1000
URI_MAX = 8 * 1024
_TEXT = {
    "600": "Access token not specified", "601": "Access token invalid", "602": "Access token expired",
    "603": "Access denied", "605": "HTTP Method not supported", "606": "Max rate limit '100' exceeded with in '20' secs",
    "607": "Daily API Request Limit reached", "608": "API Temporarily Unavailable", "609": "Invalid JSON",
    "610": "Requested resource not found", "611": "System error", "612": "Invalid Content Type",
    "615": "Concurrent access limit reached", "713": "Transient error", "719": "Lock wait timeout exception",
}
_COOKIE = re.compile(r"^id:([A-Za-z0-9-]+)&token:(_mch-[A-Za-z0-9.\-]+-(?:[0-9]{10,}-[0-9]{5}|[0-9a-f]{4,32}))$")
_SYNC_KEYS = {"action", "lookupField", "partitionName", "asyncProcessing", "input"}


class Failed(Exception):
    def __init__(self, code, text=None):
        super().__init__(text or _TEXT.get(code, "Error"))
        self.code = code


def envelope(result=None, errors=None):
    answer = {"requestId": "%s#%s" % (uuid.uuid4().hex[:4], uuid.uuid4().hex[:11]), "success": not errors}
    if errors:
        answer["errors"] = errors
    elif result is not None:
        answer["result"] = result
    return json.dumps(answer).encode()


def _json(status, body):
    return status, "application/json;charset=UTF-8", body


def token(store, method, query, headers, body):
    """Identity. The same token with its remaining seconds until it expires."""
    if method == "POST" and body:
        kind = headers.get("Content-Type", "").split(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            return _json(400, json.dumps({"error": "invalid_request", "error_description": "form body expected"}).encode())
        given = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    else:
        given = dict(parse_qsl(query, keep_blank_values=True))
    if given.get("grant_type") != "client_credentials":
        return _json(400, json.dumps({"error": "unsupported_grant_type", "error_description": "grant_type"}).encode())
    if (given.get("client_id"), given.get("client_secret")) != (store.settings["client_id"], store.settings["client_secret"]):
        return _json(401, json.dumps({"error": "invalid_client", "error_description": "Bad client credentials"}).encode())
    with store.lock:
        now = store.now()
        live = [t for t, info in store.tokens.items() if info["expires"] > now]
        name = live[0] if live else "%s:int" % uuid.uuid4()
        if not live:
            store.tokens[name] = {"expires": now + store.settings["token_s"], "said_expired": False}
        left = int(store.tokens[name]["expires"] - now)
    return _json(200, json.dumps({"access_token": name, "token_type": "bearer", "expires_in": left,
                                  "scope": "sandbox@example.com"}).encode())


def _authorize(store, headers, query):
    if any(name == "access_token" for name, _ in parse_qsl(query)):
        raise Failed("603", "access_token as a parameter is not supported any more")
    scheme, _, name = headers.get("Authorization", "").partition(" ")
    if not name:
        raise Failed("603")
    if scheme != "Bearer":
        raise Failed("601")
    with store.lock:
        info = store.tokens.get(name)
        if info is None:
            raise Failed("601")
        if info["expires"] <= store.now():
            code = "601" if info["said_expired"] else "602"
            info["said_expired"] = True
            raise Failed(code)


def _check_record(store, record, lookup, names, seen):
    """Returns a reason, or None."""
    if not isinstance(record, dict) or not record:
        return {"code": "1003", "message": "Record is not an object"}
    key = record.get(lookup)
    if not key:
        return {"code": "1002", "message": "Missing value for required parameter '%s'" % lookup}
    if type(key) is not (int if lookup == "id" else str) or (lookup == "email" and not key.isascii()):
        return {"code": "1003", "message": "Value for '%s' is invalid" % lookup}
    if str(key).lower() in seen:
        return {"code": "1036", "message": "Duplicate object found in input"}
    seen.add(str(key).lower())
    for name, value in record.items():
        if name not in names and not name == lookup == "id":
            return {"code": "1006", "message": "Field '%s' not found" % name}
        if store.read_only(name):
            return {"code": "1003", "message": "Field '%s' is read only" % name}
        if isinstance(value, (dict, list)):
            return {"code": "1001", "message": "Invalid value '%s'. Required of type 'String'" % name}
    return None


def _find(store, record, lookup):
    if lookup == "id":
        return store.leads.get(record["id"])
    if lookup == "email":
        return store.find(email=str(record.get("email", "")))
    return next((l for l in store.leads.values()
                 if str(l["fields"].get(lookup, "")).lower() == str(record.get(lookup, "")).lower()), None)


def _key(store, record, lookup):
    """What two calls at once may not name: a lead by its id is also the lead of its e-mail."""
    lead = _find(store, record, lookup) if lookup == "id" and record.get("id") else None
    return str((lead["fields"] if lead else record).get("email", record.get(lookup, ""))).lower()


def _upsert(store, record, lookup, action):
    lead = _find(store, record, lookup)
    if lead is None:
        if action == "updateOnly":
            return {"status": "skipped", "reasons": [{"code": "1004", "message": "Lead not found"}]}
        lead = store.create("rest")
        status = "created"
    else:
        if action == "createOnly":
            return {"status": "skipped", "reasons": [{"code": "1005", "message": "Lead already exists"}]}
        if store.locked(lead, store.settings["rest_lead_lock_s"]):
            return {"id": lead["id"], "status": "skipped",
                    "reasons": [{"code": "719", "message": "Exceeded lock attempts"}]}
        if store.settings["company_locked"] and COMPANY_FIELDS & set(record):
            return {"id": lead["id"], "status": "skipped",
                    "reasons": [{"code": "1021", "message": "Company update not allowed"}]}
        status = "updated"
    store.update(lead, {k: v for k, v in record.items() if v is not None and k != "id"})
    return {"id": lead["id"], "status": status}


def sync(store, headers, body, rule):
    if headers.get("Content-Type", "").split(";")[0].strip().lower() != "application/json":
        raise Failed("612")
    try:
        call = json.loads(body.decode("utf-8"))
    except (ValueError, UnicodeDecodeError):
        raise Failed("609") from None
    if not isinstance(call, dict) or not isinstance(call.get("input"), list):
        raise Failed("609")
    unknown = set(call) - _SYNC_KEYS
    if unknown:
        raise Failed("1003", "Unknown parameter %s" % ", ".join(sorted(unknown)))
    if not 1 <= len(call["input"]) <= BATCH_MAX:
        raise Failed("1003", "Max Input Size Exceeded: %d" % len(call["input"]))
    action = call.get("action", "createOrUpdate")
    if action not in ("createOrUpdate", "createOnly", "updateOnly"):
        raise Failed("1003", "Action '%s' is invalid" % action)
    lookup = call.get("lookupField", "email")
    if lookup not in ("email", "userId", "id"):
        raise Failed("1011", "Lookup field '%s' is not supported" % lookup)
    if lookup == "id" and action != "updateOnly":
        raise Failed("1003", "Lookup by id is for updateOnly")
    if action == "updateOnly" and "partitionName" in call:
        raise Failed("1003", "partitionName is for new leads")
    names, seen, results = store.rest_names(), set(), []
    keys = [_key(store, r, lookup) for r in call["input"] if isinstance(r, dict)]
    store.claim(keys)
    try:
        time.sleep(store.settings["latency_s"])
        with store.doing():
            for record in call["input"]:
                wanted = store.wanted(rule, "rest", json.dumps(record, ensure_ascii=False))
                if wanted:
                    results.append({"status": wanted.get("status", "skipped"), "reasons": [
                        {"code": str(wanted.get("code", "1003")), "message": wanted.get("error", "scripted")}]})
                    continue
                reason = _check_record(store, record, lookup, names, seen)
                results.append({"status": "skipped", "reasons": [reason]} if reason
                               else _upsert(store, record, lookup, action))
    finally:
        store.release(keys)
    return envelope(results)


def associate(store, lead_id, query, body):
    time.sleep(store.settings["latency_s"])
    if body:
        raise Failed("609", "Associate Lead takes no body")
    given = {}
    for part in query.split("&"):
        name, _, value = part.partition("=")
        given[name] = unquote(value)
    if set(given) != {"cookie"}:
        raise Failed("1002" if "cookie" not in given else "1012", "cookie")
    match = _COOKIE.match(given["cookie"])
    if not match or match.group(1) != store.settings["munchkin_id"]:
        raise Failed("1012", "Invalid cookie value '%s'" % given["cookie"][:40])
    with store.doing():
        if lead_id not in store.leads:
            raise Failed("1004", "Lead with id %d not found" % lead_id)
        store.associate(match.group(2), lead_id)
    return envelope()


def describe(store, _):
    fields = [{"name": name, "displayName": name, "dataType": "string", "updateable": not store.read_only(name)}
              for name in sorted(store.rest_names())]
    return envelope([{"name": "API Lead", "searchableFields": [["email"], ["userId"]], "fields": fields}])


def operation(path):
    """(op, lead id) of a path, or (None, None)."""
    if path == "/rest/v1/leads.json":
        return "sync", None
    if path == "/rest/v1/leads/describe2.json":
        return "describe", None
    match = re.match(r"^/rest/v1/leads/(\d+)/associate\.json$", path)
    if match:
        return "associate", int(match.group(1))
    return None, None


def handle(store, method, path, query, headers, body, rule):
    if len(path) + len(query) > URI_MAX:
        return _json(414, b"")
    if len(body) > BODY_MAX:
        return _json(413, b"")
    entered = False
    try:
        if "//" in path:
            raise Failed("610")
        op, lead_id = operation(path)
        if op is None:
            raise Failed("610")
        _authorize(store, headers, query)
        broken = store.enter()
        if broken:
            raise Failed({"rate": "606", "concurrency": "615", "quota": "607"}[broken])
        entered = True
        if rule and "code" in rule:
            raise Failed(str(rule["code"]), rule.get("text"))
        if method != ("GET" if op == "describe" else "POST"):
            raise Failed("605")
        if op == "sync":
            return _json(200, sync(store, headers, body, rule))
        if op == "associate":
            return _json(200, associate(store, lead_id, query, body))
        return _json(200, describe(store, query))
    except Failed as failed:
        return _json(200, envelope(errors=[{"code": failed.code, "message": str(failed)}]))
    finally:
        if entered:
            store.leave()
