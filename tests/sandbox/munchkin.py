"""The Munchkin collector: takes exactly the requests that munchkin.js 164 makes, and says what is wrong with any other."""
import re
from urllib.parse import unquote

# Parameter order of the two forms of a visit, and of those of a click; those in brackets may be absent.
_HEAD = "_mchId _mchTk [mkt_tok] [_mchWs] _mchHo _mchPo"
_TAIL = "_mchPc _mchVr [aip] [_mchEs] [_mchEcid]"
PAGE_ORDER = ("_mchNc _mchCn %s _mchRu %s _mchHa _mchRe _mchQp" % (_HEAD, _TAIL)).split()
API_ORDER = ("_mchNc _mchRu [_mchQp] [_mchCn] %s %s _mchRe" % (_HEAD, _TAIL)).split()
CLICK_ORDER = ("_mchNc _mchHr %s _mchRu %s" % (_HEAD.replace("_mchHo", "_mchCn _mchHo"), _TAIL)).split()
API_CLICK_ORDER = [CLICK_ORDER[0], "_mchLr", *CLICK_ORDER[1:]]
FORMS = {"visit": {"page": PAGE_ORDER, "api": API_ORDER}, "click": {"click": CLICK_ORDER, "api-click": API_CLICK_ORDER}}
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


def parse(op, query):
    """The parameters of a visit or click in order, decoded once, and its form. Raises Refused."""
    pairs = []
    if op == "click":
        if not query.endswith("&"):
            raise Refused("a click's parameters end in '&'")
        query = query[:-1]
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
    for form, order in FORMS[op].items():
        if _in_order(names, order):
            return dict(pairs), form
    raise Refused("parameters are not those of a %s, in their order: %s" % (op, " ".join(names)))


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


def check_link(parameters):
    if not re.match(r"/|https?://[^/]|mailto:|tel:", parameters["_mchHr"], re.I):
        raise Refused("_mchHr is no link")
    if parameters.get("_mchLr", parameters["_mchHr"]) != parameters["_mchHr"]:
        raise Refused("_mchLr is not _mchHr")


def handle(store, op, method, query, headers, body):
    """One visit or click. Returns (status, content type, body, op)."""
    try:
        if method not in ("GET", "POST"):
            raise Refused("method %s" % method)
        if body:
            raise Refused("a visit has no body")
        parameters, form = parse(op, query)
        check(parameters, store.settings["munchkin_id"])
        if op == "click":
            check_link(parameters)
    except Refused as refused:
        store.violation("%s refused: %s" % (op, refused))
        return 400, "text/plain", str(refused).encode()
    with store.doing():
        token = parameters["_mchTk"]
        visit = {
            "token": token, "form": form, "lead": store.cookies.get(token), "parameters": parameters,
            "page": parameters["_mchPc"] + "//" + parameters["_mchHo"] + parameters["_mchRu"],
            "query": parameters.get("_mchQp", ""), "url": query, "link": parameters.get("_mchHr"),
            "headers": {k.lower(): v for k, v in headers.items()},
        }
        store.visits.append(visit)
        store.deed(visit=len(store.visits) - 1)
    return 200, "text/plain", b"OK"
