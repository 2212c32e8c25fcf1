"""The Munchkin collector: takes exactly the requests that munchkin.js 164 makes, and says what is wrong with any other."""
import re
from urllib.parse import unquote

# Parameter order of the two forms of a visit; those in brackets may be absent.
_HEAD = "_mchId _mchTk [mkt_tok] [_mchWs] _mchHo _mchPo"
_TAIL = "_mchPc _mchVr [aip] [_mchEs] [_mchEcid]"
PAGE_ORDER = ("_mchNc _mchCn %s _mchRu %s _mchHa _mchRe _mchQp" % (_HEAD, _TAIL)).split()
API_ORDER = ("_mchNc _mchRu [_mchQp] [_mchCn] %s %s _mchRe" % (_HEAD, _TAIL)).split()
_ESCAPED = re.compile(r"^(?:[A-Za-z0-9\-_.!~*'()]|%[0-9A-F]{2})*$")
_TOKEN = re.compile(r"^_mch-[A-Za-z0-9.\-]+-(?:[0-9]{10,}-[0-9]{5}|[0-9a-f]{4,32})$")


class Refused(Exception):
    pass


def _in_order(names, order):
    position = 0
    for part in order:
        optional = part.startswith("[")
        name = part.strip("[]")
        if position < len(names) and names[position] == name:
            position += 1
        elif not optional:
            return False
    return position == len(names)


def parse(query):
    """The parameters of a visit in order, decoded once. Raises Refused."""
    pairs = []
    for part in query.split("&"):
        name, equals, value = part.partition("=")
        if not equals:
            raise Refused("parameter without '=': %r" % part)
        if not _ESCAPED.match(name) or not _ESCAPED.match(value):
            raise Refused("%s is not encoded as encodeURIComponent does" % name)
        try:
            pairs.append((unquote(name), unquote(value, errors="strict")))
        except UnicodeDecodeError:
            raise Refused("%s is not UTF-8" % name) from None
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise Refused("a parameter is repeated")
    if not _in_order(names, PAGE_ORDER) and not _in_order(names, API_ORDER):
        raise Refused("parameters are not those of a visit, in their order: %s" % " ".join(names))
    return dict(pairs), ("page" if "_mchHa" in names else "api")


def check(parameters, munchkin_id):
    if parameters["_mchId"] != munchkin_id:
        raise Refused("_mchId is not this subscription's")
    if not _TOKEN.match(parameters["_mchTk"]):
        raise Refused("_mchTk is no token")
    if not re.match(r"^[0-9]{13}$", parameters["_mchNc"]):
        raise Refused("_mchNc is no time in milliseconds")
    if parameters["_mchPc"] not in ("https:", "http:"):
        raise Refused("_mchPc is no scheme with its colon")
    if parameters["_mchVr"] != "164":
        raise Refused("_mchVr is not 164")
    if not re.match(r"^[0-9]*$", parameters["_mchPo"]):
        raise Refused("_mchPo is no port")
    if not parameters["_mchHo"] or re.search(r"[:/\s]", parameters["_mchHo"]):
        raise Refused("_mchHo is no host name")
    if not parameters["_mchRu"].startswith("/"):
        raise Refused("_mchRu is no path")


def handle(store, method, query, headers, body):
    """One visit. Returns (status, content type, body, op)."""
    try:
        if method not in ("GET", "POST"):
            raise Refused("method %s" % method)
        if body:
            raise Refused("a visit has no body")
        parameters, form = parse(query)
        check(parameters, store.settings["munchkin_id"])
    except Refused as refused:
        store.violation("visit refused: %s" % refused)
        return 400, "text/plain", str(refused).encode()
    with store.lock:
        token = parameters["_mchTk"]
        visit = {
            "token": token, "form": form, "lead": store.cookies.get(token), "parameters": parameters,
            "page": parameters["_mchPc"] + "//" + parameters["_mchHo"] + parameters["_mchRu"],
            "query": parameters.get("_mchQp", ""), "url": query,
            "headers": {k.lower(): v for k, v in headers.items()},
        }
        store.visits.append(visit)
        store.deed(visit=len(store.visits) - 1)
    return 200, "text/plain", b"OK"
