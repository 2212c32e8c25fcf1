"""
The `marketo` command: check, map, hash, status, and how it is used. No web server takes part.
"""
import hashlib
import hmac
import json
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(ROOT, "tests", "sandbox")]

import wire  # noqa: E402
from waiting import wait_until  # noqa: E402
from marketo_sandbox import Sandbox  # noqa: E402

MARKETO = os.path.join(os.path.abspath(os.environ.get("MKTO_OUT", os.path.join(ROOT, "out"))), "marketo")
COOKIE = "id:561-HYG-937&token:_mch-marketo.com-1374552656411-90718"
TOKEN = "_mch-marketo.com-1374552656411-90718"
NOW = 1767323045000  # 2026-01-02T03:04:05Z
SOAP = "http://www.marketo.com/mktows/"

JAVA = {"type": "identify", "userId": "hj2kf92ds212", "traits": {"email": "tom@example.com", "name": "Tom Smykowski"}}
RUBY = {"type": "identify", "userId": "019mr8mf4r",
        "traits": {"email": "Jake@segment.com", "firstName": "Jake", "lastName": "Peterson"},
        "context": {"Marketo": {"marketoCookie": COOKIE}}}
TRACK = {"type": "track", "userId": "019mr8mf4r", "event": "Update Buying Period",
         "properties": {"newPeriod": "2016-01-01", "lastName": "Peterson", "email": "Jake@segment.com"},
         "context": {"Marketo": {"marketoCookie": COOKIE}}}


class Conf:
    """A marketo.conf with its secrets."""

    def __init__(self, directory, *more, url="http://127.0.0.1:9", munchkin=True):
        self.directory = str(directory)
        self.path = os.path.join(self.directory, "marketo.conf")
        self.spool = os.path.join(self.directory, "spool")
        self.secret("rest.secret", "rest secret")
        self.secret("soap.key", "0123456789ABCDEF0123456789ABCDEF")
        self.secret("munchkin.key", "hunter2")
        lines = ["[marketo]", "munchkin_id = 561-HYG-937", "rest_endpoint = " + url, "munchkin_endpoint = " + url,
                 "rest_client_id = CID", "rest_client_secret_file = " + self.file("rest.secret"),
                 "soap_endpoint = %s/soap/mktows/3_1" % url, "soap_user_id = mktows_demo1_0123456789ABCDEF",
                 "soap_encryption_key_file = " + self.file("soap.key"), "connect_timeout = 2s", "timeout = 5s"]
        if munchkin:
            lines.append("munchkin_private_key_file = " + self.file("munchkin.key"))
        lines += list(more) if more and more[0][:1] != "[" else []
        lines += ["[spool]", "path = " + self.spool]
        lines += list(more) if more and more[0][:1] == "[" else []
        self.write("\n".join(lines) + "\n")

    def file(self, name):
        return os.path.join(self.directory, name)

    def secret(self, name, text, mode=0o600):
        with open(self.file(name), "w", encoding="utf-8") as out:
            out.write(text + "\n")
        os.chmod(self.file(name), mode)

    def make_spool(self, mode=0o700):
        """The spool's directory; root's tests make it somebody else's, for the courier does not run as root."""
        os.mkdir(self.spool)
        os.chmod(self.spool, mode)
        if os.geteuid() == 0:
            for path in [self.directory, self.spool] + [entry.path for entry in os.scandir(self.directory)]:
                os.chown(path, 65534, 65534)

    def write(self, text):
        with open(self.path, "w", encoding="utf-8") as out:
            out.write(text)


def run(*args, given="", code=0, env=None):
    """Runs marketo; returns (stdout, stderr)."""
    done = subprocess.run([MARKETO, *map(str, args)], input=given if isinstance(given, bytes) else given.encode(),
                          capture_output=True, timeout=30, check=False, env=dict(os.environ, **(env or {})))
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done.stdout.decode(), done.stderr.decode()


@pytest.fixture(name="conf")
def new_conf(tmp_path):
    return Conf(tmp_path)


def map_events(conf, events, *args, code=0):
    """`marketo map` of JSON lines, as a list of objects."""
    given = events if isinstance(events, str) else "".join(json.dumps(event) + "\n" for event in events)
    out, _ = run("map", "--config", conf.path, "--now", NOW, *args, given=given, code=code)
    return [json.loads(line) for line in out.splitlines()]


def map_one(conf, event, *args, code=0):
    lines = map_events(conf, [event], *args, code=code)
    assert len(lines) == 1
    return lines[0]


# ---- usage ----

def test_help():
    out, err = run("--help")
    for command in ("courier", "check", "map", "hash", "status", "tail"):
        assert re.search(r"^  %s +\w" % command, out, re.M)
        text, _ = run(command, "--help")
        assert text.startswith("usage: marketo %s " % command) and "--config FILE" in text
        assert max(map(len, text.splitlines())) <= 100
    assert err == ""


def test_every_option_is_in_the_manual():
    with open(os.path.join(ROOT, "build", "marketo.1"), encoding="utf-8") as page:
        manual = page.read()
    for command in ("courier", "check", "map", "hash", "status", "tail"):
        assert ".Cm %s" % command in manual and ".Ss %s" % command in manual
        text, _ = run(command, "--help")
        for option in re.findall(r"^  --([a-z-]+)", text, re.M):
            assert option == "help" or "Fl -%s" % option in manual or "-%s" % option in manual


def test_version():
    out, _ = run("--version")
    assert re.fullmatch(r"marketo \d+\.\d+\.\d+ \(build \d+\)\n", out)


@pytest.mark.parametrize("args, said", [
    ((), "usage: marketo COMMAND"),
    (("polka",), "marketo: there is no command polka; see marketo --help"),
    (("map", "--polka"), "marketo map: --polka is no option of this command"),
    (("map", "--config"), "marketo map: --config needs a value"),
    (("map", "--json=1"), "marketo map: --json=1 is no option of this command"),
    (("check", "x"), "marketo check: x is too much"),
    (("hash", "--config", "/nowhere"), "which e-mail?"),
    (("map", "--config", "/nowhere.conf"), "/nowhere.conf: there is no such file"),
    (("status", "--config", "/nowhere.conf"), "/nowhere.conf: there is no such file"),
])
def test_wrong_usage(args, said):
    out, err = run(*args, code=3)
    assert said in err and out == ""


def test_full_disk_is_no_success(conf):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([MARKETO, "hash", "--config", conf.path, "a@b.c"], stdout=full, stderr=subprocess.PIPE,
                              timeout=30, check=False)
    assert done.returncode == 3 and b"could not be written" in done.stderr


# ---- check ----

def test_check_fine(conf):
    conf.make_spool()
    out, _ = run("check", "--config", conf.path)
    assert "ok       config: %s: 1 subscription, 0 write keys" % conf.path in out
    assert "ok       rest_client_secret_file: %s holds a secret" % conf.file("rest.secret") in out
    assert re.search(r"^ok +spool %s: owner \S+, mode 0700$" % re.escape(conf.spool), out, re.M)
    assert "note     socket %s/courier.sock: no courier answers" % conf.spool in out
    assert os.listdir(conf.spool) == []


def test_check_tells_every_mistake(conf):
    conf.write("[marketo]\nmunchkin_id = 561-HYG-93\nbatchsize = 3\nrest_client_id = x\n[spol]\n")
    out, _ = run("check", "--config", conf.path, code=1)
    for said in (":2: munchkin_id: must be a Munchkin id", ":3: batchsize: unknown key; did you mean batch_size?",
                 ":4: rest_client_id: needs rest_client_secret_file", ":5: unknown section [spol]; did you mean [spool]?"):
        assert conf.path + said in out
    assert out.endswith("4 mistakes, 0 warnings\n")
    found = json.loads(run("check", "--config", conf.path, "--json", code=1)[0])
    assert found["ok"] is False and [f["level"] for f in found["findings"]] == ["mistake"] * 4


def test_check_without_config(tmp_path):
    out, _ = run("check", "--config", tmp_path / "none", code=3)
    assert "there is no such file" in out


def test_check_secret_that_everybody_reads(conf):
    os.chmod(conf.file("rest.secret"), 0o644)
    out, _ = run("check", "--config", conf.path, code=1)
    assert conf.path + ":6: rest_client_secret_file: it is readable by everybody (mode 0644)" in out


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask for another user")
def test_check_for_another_user(conf):
    out, _ = run("check", "--config", conf.path, "--user", "nobody", code=1)
    assert re.search(r"rest_client_secret_file: uid \d+ may not read it \(owner 0, group 0, mode 0600\)", out)
    conf.make_spool()
    os.chown(conf.file("soap.key"), 0, 0)
    out, _ = run("check", "--config", conf.path, code=1)
    assert "uid 65534 may not read it" in out
    assert "there is no user polka" in run("check", "--config", conf.path, "--user", "polka", code=3)[1]


def test_check_open_spool(conf):
    conf.make_spool(0o777)
    out, _ = run("check", "--config", conf.path, code=1)
    assert re.search(r"^warning +spool .*mode 0777: others than its owner", out, re.M)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can own a spool as root")
def test_check_spool_of_root(conf):
    conf.make_spool()
    os.chown(conf.spool, 0, 0)
    out, _ = run("check", "--config", conf.path, code=1)
    assert re.search(r"^mistake +spool .* belongs to root, and the courier does not run as root", out, re.M)


def test_check_full_disk(tmp_path):
    conf = Conf(tmp_path, "[courier]")
    with open(conf.path, encoding="utf-8") as text:
        conf.write(text.read().replace("path =", "keep_free = 16T\npath ="))
    conf.make_spool()
    out, _ = run("check", "--config", conf.path, code=1)
    assert re.search(r"^warning +spool .* are free and keep_free asks for 16.0 TB: new events are answered 503", out, re.M)


def test_check_keys():
    out, _ = run("check", "--keys")
    assert "[marketo]\n\n| key | value | default | meaning |\n|---|---|---|---|\n| `munchkin_id` | " in out
    assert "| `lead_interval` | duration, 0..1h | `30s` | " in out
    assert "\n[fields]\n" in out and "\n[sources]\n" in out
    assert all(line.count("|") == 5 for line in out.splitlines() if line.startswith("|"))
    keys = json.loads(run("check", "--keys", "--json")[0])
    assert {"section": "spool", "key": "max_size", "value": "size, 1M..16T", "default": "2G",
            "meaning": "size of the spool over which new events are answered 503"} in keys


def test_example_config_names_real_keys(tmp_path):
    with open(os.path.join(ROOT, "build", "marketo.conf.example"), encoding="utf-8") as text:
        example = text.read()
    keys = {key["key"] for key in json.loads(run("check", "--keys", "--json")[0])}
    for key in re.findall(r"^;?([a-z_0-9]+) = ", example, re.M):
        assert key in keys | {"plan", "backend", "trait", "name"}
    conf = Conf(tmp_path)
    conf.write(example.replace("/etc/marketo/", conf.directory + "/"))
    out, _ = run("map", "--config", conf.path, given=json.dumps(JAVA))
    assert json.loads(out)["api"] == "rest"


# ---- check --online ----

@pytest.fixture(name="marketo")
def new_marketo():
    it = Sandbox(lead_lock_s=0)
    it.start()
    yield it
    it.stop()


def online(marketo, directory, *more, secret=None):
    """A config whose Marketo is the sandbox."""
    settings = marketo.store.settings
    conf = Conf(directory, *more, url=marketo.url)
    with open(conf.path, encoding="utf-8") as text:
        conf.write(text.read().replace("CID", settings["client_id"])
                   .replace("mktows_demo1_0123456789ABCDEF", settings["soap_user_id"]))
    conf.secret("rest.secret", secret or settings["client_secret"])
    conf.secret("soap.key", secret or settings["soap_key"])
    conf.make_spool()
    return conf


def test_online_rest(marketo, tmp_path):
    conf = online(marketo, tmp_path, "[fields]", "plan = Plan_Name__c", "secret =")
    out, _ = run("check", "--config", conf.path, "--online")
    assert "ok       rest: client id and secret are good at " + marketo.url in out
    assert re.search(r"^ok +rest: \d+ lead fields$", out, re.M)
    assert "ok       munchkin: %s can be reached; no visit was sent" % marketo.url in out
    assert [call["op"] for call in marketo.store.calls] == ["token", "describe"]
    assert marketo.store.leads == {} and marketo.store.visits == [] and marketo.store.violations == []


def test_online_fields(marketo, tmp_path):
    marketo.store.settings["custom_fields"] = ["Plan_Name__c=Plan_Name__c"]
    conf = online(marketo, tmp_path, "[fields]", "plan = plan_name__c", "seats = Seats__c")
    out, _ = run("check", "--config", conf.path, "--online", code=1)
    assert "plan = plan_name__c: Marketo has no field of that name; did you mean Plan_Name__c?" in out
    assert "seats = Seats__c: Marketo has no field of that name\n" in out
    assert "warning  rest: Marketo has no field userId for userId: create it" in out
    assert out.endswith("2 mistakes, 1 warning\n")


def test_online_wrong_secret(marketo, tmp_path):
    conf = online(marketo, tmp_path, secret="hunter2")
    out, err = run("check", "--config", conf.path, "--online", code=1)
    assert "mistake  rest: client id and secret are not taken: HTTP 401" in out
    assert "hunter2" not in out + err


def test_online_soap(marketo, tmp_path):
    conf = online(marketo, tmp_path, "api = soap")
    out, _ = run("check", "--config", conf.path, "--online")
    assert "ok       soap: user id and encryption key are good at %s/soap/mktows/3_1" % marketo.url in out
    assert marketo.store.violations == []


def test_online_soap_refused(marketo, tmp_path):
    conf = online(marketo, tmp_path, "api = soap", secret="hunter2")
    out, _ = run("check", "--config", conf.path, "--online", code=1)
    assert re.search(r"^mistake +soap: refused: HTTP 500, .*20014", out, re.M)


def test_online_soap_is_gone(marketo, tmp_path):
    conf = online(marketo, tmp_path, "api = soap")
    with open(conf.path, encoding="utf-8") as text:
        conf.write(text.read().replace("/soap/mktows/3_1", "/nothing/here"))
    out, _ = run("check", "--config", conf.path, "--online", code=1)
    assert "mistake  soap: HTTP 404, and what came is not SOAP: Marketo removed this API on 2026-07-31" in out


def test_online_nobody_there(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = "http://127.0.0.1:%d" % free.getsockname()[1]
        conf = Conf(tmp_path, url=url)
        out, _ = run("check", "--config", conf.path, "--online", code=1)
    assert "mistake  rest: no answer: " in out
    assert "mistake  munchkin: %s cannot be reached: " % url in out


def test_online_clock(marketo, tmp_path):
    marketo.store.settings["clock_offset_s"] = -200.0
    conf = online(marketo, tmp_path)
    out, _ = run("check", "--config", conf.path, "--online", code=1)
    assert re.search(r"^warning +rest: this host's clock is (199|20[01]) s ahead of the server's$", out, re.M)


# ---- map: the product text's examples ----

def test_java_example(conf):
    soap = map_one(conf, JAVA, "--api", "soap")
    assert soap["kind"] == "lead" and soap["api"] == "soap" and soap["key"]["email"] == "tom@example.com"
    assert soap["fields"] == {"FirstName": "Tom", "LastName": "Smykowski", "UserId": "hj2kf92ds212"}
    rest = map_one(conf, JAVA, "--api", "rest")
    assert rest["kind"] == "lead" and rest["api"] == "rest" and rest["key"]["email"] == "tom@example.com"
    assert rest["fields"] == {"firstName": "Tom", "lastName": "Smykowski", "userId": "hj2kf92ds212"}


def test_ruby_example(conf):
    soap = map_one(conf, RUBY, "--api", "soap")
    assert soap["key"] == {"email": "Jake@segment.com", "cookie": COOKIE}
    assert soap["fields"] == {"FirstName": "Jake", "LastName": "Peterson", "UserId": "019mr8mf4r"}
    rest = map_one(conf, RUBY)
    assert rest["key"] == {"email": "Jake@segment.com", "cookie": COOKIE}
    assert rest["fields"] == {"firstName": "Jake", "lastName": "Peterson", "userId": "019mr8mf4r"}


@pytest.mark.parametrize("trait, soap, rest", [
    ("secondFavoriteColor", "SecondFavoriteColor", "secondFavoriteColor"),
    ("second_favorite_color", "Second_favorite_color", "second_favorite_color"),
    ("someTrait", "SomeTrait", "someTrait"),
])
def test_casing(conf, trait, soap, rest):
    event = {"type": "identify", "userId": "1", "traits": {"email": "tom@example.com", trait: "Blue"}}
    assert map_one(conf, event, "--api", "soap")["fields"][soap] == "Blue"
    assert map_one(conf, event, "--api", "rest")["fields"][rest] == "Blue"


@pytest.mark.parametrize("api", ["soap", "rest"])
def test_track_example(conf, api):
    visit = map_one(conf, TRACK, "--api", api)
    assert visit["kind"] == "visit"
    url = urllib.parse.urlsplit(visit["url"])
    assert url.path == "/webevents/visitWebPage"
    query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
    assert query["_mchRu"] == "/event/Update-Buying-Period"
    assert query["_mchTk"] == TOKEN and query["_mchId"] == "561-HYG-937" and query["_mchNc"] == str(NOW)
    params = dict(urllib.parse.parse_qsl(query["_mchQp"]))
    assert params == {"newPeriod": "2016-01-01", "lastName": "Peterson", "email": "Jake@segment.com"}


def test_rejected_and_filtered(conf):
    no_email = {"type": "identify", "userId": "1", "traits": {"a": 1}}
    line = map_one(conf, no_email, code=1)
    assert line["kind"] == "rejected" and line["reason"] == "no_email" and line["detail"]
    filtered = dict(JAVA, integrations={"Marketo": False})
    line = map_one(conf, filtered)
    assert line["kind"] == "filtered" and line["reason"] == "integrations"


def test_types_of_values(conf):
    event = {"type": "identify", "userId": "1",
             "traits": {"email": "tom@example.com", "seats": 12.50, "paying": True, "tags": ["a"], "x": None}}
    rest = map_one(conf, event)
    assert rest["fields"]["seats"] == 12.5 and rest["fields"]["paying"] is True and rest["dropped"] == 1
    assert "x" not in rest["fields"]
    soap = map_one(conf, event, "--api", "soap")
    assert soap["fields"]["Paying"] == "true" and soap["fields"]["Seats"] == "12.5"


# ---- map: input ----

def test_lines_batch_and_one_document(conf):
    pretty = json.dumps(JAVA, indent=2)
    assert [line["kind"] for line in map_events(conf, pretty)] == ["lead"]
    batch = {"batch": [JAVA, TRACK], "context": {"library": {"name": "x"}}}
    assert [line["kind"] for line in map_events(conf, json.dumps(batch, indent=1))] == ["lead", "visit"]
    lines = "\n" + json.dumps(JAVA) + "\r\n\n" + json.dumps(batch) + "\n" + json.dumps(TRACK)
    assert [line["kind"] for line in map_events(conf, lines)] == ["lead", "lead", "visit", "visit"]


def test_bad_item_does_not_spoil_its_neighbours(conf):
    batch = {"batch": [JAVA, {"type": "track", "userId": "1"}, TRACK]}
    lines = map_events(conf, [batch], code=1)
    assert [line["kind"] for line in lines] == ["lead", "rejected", "visit"]
    assert lines[1]["reason"] == "bad_request" and "event" in lines[1]["detail"]
    lines = map_events(conf, json.dumps(JAVA) + "\n{]\n" + json.dumps(TRACK), code=1)
    assert [line["kind"] for line in lines] == ["lead", "rejected", "visit"]
    assert "at byte 1" in lines[1]["detail"]


@pytest.mark.parametrize("given, detail", [
    ("{", "at byte 1"), ("nonsense", "at byte"), ('{"type":"polka"}', "type: must be identify"), ("[]", ""),
    ('{"userId":"1","event":"x"}', "--type"), ('{"type":"track","event":"x"}', "userId"), ("7", ""),
])
def test_what_is_no_event(conf, given, detail):
    lines = map_events(conf, given, code=1)
    assert len(lines) == 1 and lines[0]["kind"] == "rejected" and lines[0]["reason"] == "bad_request"
    assert detail in lines[0]["detail"]


def test_no_input(conf):
    assert "there is no event on stdin" in run("map", "--config", conf.path, given=" \n\n", code=3)[1]


def test_type_option(conf):
    event = {key: value for key, value in TRACK.items() if key != "type"}
    assert map_one(conf, event, "--type", "track")["kind"] == "visit"
    assert "--type is identify" in run("map", "--config", conf.path, "--type", "batch", given="{}", code=3)[1]


def test_cookie_option(conf):
    event = {"type": "identify", "userId": "1", "traits": {"email": "tom@example.com"}}
    assert map_one(conf, event, "--cookie", COOKIE)["key"]["cookie"] == COOKIE
    assert map_one(conf, event, "--cookie", urllib.parse.quote(COOKIE))["key"]["cookie"] == COOKIE
    assert "--cookie is the value" in run("map", "--config", conf.path, "--cookie", "x", given="{}", code=3)[1]


def test_browser_option(conf):
    event = {"type": "page", "anonymousId": "a", "context": {"userAgent": "Spoofed/1", "ip": "192.0.2.9",
                                                             "page": {"url": "https://www.example.com/a"}}}
    keyed = map_one(conf, event, "--user-agent", "Real/1", "--address", "192.0.2.1")
    assert keyed["headers"]["User-Agent"] == "Spoofed/1" and keyed["headers"]["X-Forwarded-For"] == "192.0.2.9"
    browser = map_one(conf, event, "--browser", "--user-agent", "Real/1", "--address", "192.0.2.1")
    assert browser["headers"]["User-Agent"] == "Real/1" and browser["headers"]["X-Forwarded-For"] == "192.0.2.1"


def test_subscriptions(tmp_path):
    conf = Conf(tmp_path, "[marketo brand-b]", "munchkin_id = AAA-BBB-CCC", "rest_client_id = b",
                "rest_client_secret_file = /nowhere")
    visit = map_one(conf, TRACK, "--subscription", "brand-b")
    assert visit["url"].startswith("https://aaa-bbb-ccc.mktoresp.com/webevents/visitWebPage?")
    out, err = run("map", "--config", conf.path, "--subscription", "polka", given="{}", code=3)
    assert out == "" and "has no [marketo polka] section" in err and "[marketo brand-b] in line" in err


def test_map_needs_no_secret(conf):
    for name in ("rest.secret", "soap.key", "munchkin.key"):
        os.remove(conf.file(name))
    assert map_one(conf, RUBY)["kind"] == "lead"
    out, err = run("map", "--config", conf.path, "--api", "soap", "--wire", given=json.dumps(RUBY), code=3)
    assert out == "" and "soap.key: there is no such file" in err


def test_output_is_reproducible(conf):
    given = "".join(json.dumps(event) + "\n" for event in (JAVA, RUBY, TRACK))
    args = ("map", "--config", conf.path, "--api", "soap", "--wire", "--now", NOW)
    assert run(*args, given=given) == run(*args, given=given)


# ---- map --wire ----

def test_wire_rest(conf):
    requests = map_events(conf, [RUBY], "--wire", "--json")
    assert [(r["method"], r["url"]) for r in requests] == [
        ("POST", "http://127.0.0.1:9/rest/v1/leads.json"),
        ("POST", "http://127.0.0.1:9/rest/v1/leads/<id>/associate.json?cookie=" + urllib.parse.quote(COOKIE, safe=""))]
    assert all(r["headers"]["Authorization"] == "Bearer <token>" for r in requests)
    body = json.loads(requests[0]["body"])
    assert body["action"] == "createOrUpdate" and body["lookupField"] == "email"
    assert body["input"] == [{"email": "Jake@segment.com", "firstName": "Jake", "lastName": "Peterson",
                              "userId": "019mr8mf4r"}]


def test_wire_text(conf):
    out, err = run("map", "--config", conf.path, "--wire", "--now", NOW, given=json.dumps(RUBY))
    head, _, rest = out.partition("\r\n\r\n")
    lines = head.split("\r\n")
    assert lines[0] == "POST /rest/v1/leads.json HTTP/1.1" and lines[1] == "Host: 127.0.0.1:9"
    size = int(dict(line.split(": ", 1) for line in lines[1:])["Content-Length"])
    assert json.loads(rest[:size])["input"][0]["email"] == "Jake@segment.com"
    assert rest[size:].startswith("\n\nPOST /rest/v1/leads/<id>/associate.json?cookie=id%3A561-HYG-937%26token%3A")
    assert err == ""


def test_wire_soap(conf):
    (request,) = map_events(conf, [RUBY], "--api", "soap", "--wire", "--json")
    assert request["url"] == "http://127.0.0.1:9/soap/mktows/3_1"
    assert request["headers"]["SOAPAction"] == '"%ssyncLead"' % SOAP
    stamp = "2026-01-02T03:04:05+00:00"
    signature = hmac.new(b"0123456789ABCDEF0123456789ABCDEF", (stamp + "mktows_demo1_0123456789ABCDEF").encode(),
                         hashlib.sha1).hexdigest()
    assert signature == "76076f22986d648dcdc18cec75df0e812e44a4b0"  # as OpenSSL computes it
    for part in ("<requestTimestamp>%s</requestTimestamp>" % stamp, "<requestSignature>%s</requestSignature>" % signature,
                 "<Email>Jake@segment.com</Email>", "<attrName>FirstName</attrName>",
                 "<marketoCookie>%s</marketoCookie>" % COOKIE.replace("&", "&amp;")):
        assert part in request["body"]


def test_wire_leaves_rejected_out_of_the_requests(conf):
    given = json.dumps({"type": "identify", "userId": "1", "traits": {}}) + "\n" + json.dumps(TRACK)
    out, err = run("map", "--config", conf.path, "--wire", given=given, code=1)
    assert err.startswith("rejected: no_email: ") and out.startswith("POST /webevents/visitWebPage?")


# ---- hash ----

def test_hash(conf):
    want = hashlib.sha1(b"hunter2" + b"Jake@segment.com").hexdigest()
    assert run("hash", "--config", conf.path, "Jake@segment.com")[0] == want + "\n"
    assert run("hash", "--config", conf.path, "-", given="Jake@segment.com\n")[0] == want + "\n"
    assert json.loads(run("hash", "--config", conf.path, "--json", "Jake@segment.com")[0]) == {"hash": want}
    assert "the e-mail is empty" in run("hash", "--config", conf.path, "-", given="", code=3)[1]


def test_hash_needs_the_key(tmp_path):
    conf = Conf(tmp_path, munchkin=False)
    assert "has no munchkin_private_key_file" in run("hash", "--config", conf.path, "a@b.c", code=3)[1]


def test_hash_of_a_service(conf, tmp_path):
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "munchkin.key").write_text("other\n")
    out, _ = run("hash", "--config", conf.path, "a@b.c", env={"CREDENTIALS_DIRECTORY": str(credentials)})
    assert out == hashlib.sha1(b"othera@b.c").hexdigest() + "\n"


# ---- status ----

class Courier:
    """Answers one connection: HELLO, then ASK, as told."""

    def __init__(self, path, told=(), refuse=None, silent=False):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        self.socket.listen(1)
        self.told, self.refuse, self.silent, self.asked, self.hello = told, refuse, silent, None, None
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        sock, _ = self.socket.accept()
        with sock:
            stream = wire.Stream(sock)
            _, hello = stream.read()
            self.hello = hello.take("HBQQ") + (hello.text().decode(),)
            if self.refuse:
                stream.write(wire.REFUSED, struct.pack("<B", 3) + wire.text(self.refuse))
                return
            stream.write(wire.WELCOME_FRAME, struct.pack("<HQQI", 1, 1, 7, 4711))
            try:
                _, ask = stream.read()
            except wire.Broken:
                return
            self.asked = ask.text().decode()
            for i, text in enumerate(self.told):
                data = text.encode()
                stream.write(wire.TELL, struct.pack("<BI", i == len(self.told) - 1, len(data)) + data)

    def end(self):
        self.thread.join(10)
        self.socket.close()


@pytest.fixture(name="short")
def new_short():
    with tempfile.TemporaryDirectory(prefix="mkto-") as path:
        yield path


STATUS = {"waiting": 12, "oldest_ms": 11105000, "started_at_ms": NOW, "spool_bytes": 1610612736, "held": False, "up_s": 90, "size_bytes": 0,
          "marketo": [{"name": "", "api": "rest", "paused": None, "recent": [1, 2], "last": "a\u001b[2Jb"}], "dead": {}}


def test_status(short):
    conf = Conf(short)
    courier = Courier(os.path.join(short, "c.sock"), [json.dumps(STATUS)])
    out, _ = run("status", "--config", conf.path, "--socket", os.path.join(short, "c.sock"))
    courier.end()
    assert courier.asked == "status"
    assert courier.hello[1] == wire.TOOL and courier.hello[3:] == (0, os.path.realpath(conf.path))
    assert re.search(r"^waiting +12$", out, re.M) and re.search(r"^oldest +3 h 5 min$", out, re.M)
    assert re.search(r"^started_at +2026-01-02 03:04:05 UTC$", out, re.M)
    assert re.search(r"^spool +1.5 GB$", out, re.M) and re.search(r"^held +no$", out, re.M)
    assert re.search(r"^up +1 min 30 s$", out, re.M) and re.search(r"^size +0 bytes$", out, re.M)
    assert re.search(r"^    api +rest$", out, re.M) and re.search(r"^    recent +1, 2$", out, re.M)
    assert re.search(r"^    last +a\?\[2Jb$", out, re.M) and re.search(r"^dead +none$", out, re.M)


def test_status_json_is_what_the_courier_said(short):
    conf = Conf(short)
    courier = Courier(os.path.join(short, "c.sock"), [json.dumps(STATUS)])
    out, _ = run("status", "--config", conf.path, "--socket", os.path.join(short, "c.sock"), "--json")
    courier.end()
    assert out == json.dumps(STATUS) + "\n"


LINE = {"time": NOW + 5, "subscription": "", "type": "lead", "lead": "1a2b3c4d", "event": 7, "events": 2, "attempts": 3,
        "api": "rest", "verdict": "retry", "reason": "lock", "code": 719, "text": "Lock wait\u0007", "ms": 35}


def test_tail(short):
    conf = Conf(short)
    path = os.path.join(short, "c.sock")
    courier = Courier(path, [json.dumps(LINE), '{"other":1}', json.dumps(dict(LINE, events=1, attempts=1, code=0))])
    out, _ = run("tail", "--config", conf.path, "--socket", path)
    courier.end()
    assert courier.asked == "tail"
    assert out == ("2026-01-02T03:04:05.005Z lead 1a2b3c4d rest retry lock 719 Lock wait? (2 events, attempt 3, 35 ms)\n"
                   '{"other":1}\n'
                   "2026-01-02T03:04:05.005Z lead 1a2b3c4d rest retry lock Lock wait? (35 ms)\n")


def test_tail_count(short):
    conf = Conf(short)
    path = os.path.join(short, "c.sock")
    courier = Courier(path, [json.dumps(LINE)] * 3)
    out, _ = run("tail", "--config", conf.path, "--socket", path, "--count", 2, "--json")
    courier.end()
    assert out == (json.dumps(LINE) + "\n") * 2
    assert "--count is a whole number" in run("tail", "--config", conf.path, "--count", 0, code=3)[1]
    assert "no courier answers at" in run("tail", "--config", conf.path, code=3)[1]


def test_status_refused(short):
    conf = Conf(short)
    courier = Courier(os.path.join(short, "c.sock"), refuse="serves /etc/other.conf")
    err = run("status", "--config", conf.path, "--socket", os.path.join(short, "c.sock"), code=3)[1]
    courier.end()
    assert "the courier refuses: serves /etc/other.conf" in err


def test_status_of_a_courier_that_goes(short):
    conf = Conf(short)
    courier = Courier(os.path.join(short, "c.sock"))
    err = run("status", "--config", conf.path, "--socket", os.path.join(short, "c.sock"), code=3)[1]
    courier.end()
    assert "the courier has closed the connection" in err


def test_status_without_courier_or_spool(conf):
    err = run("status", "--config", conf.path, code=3)[1]
    assert "no courier answers at %s/courier.sock, and the spool cannot be read" % conf.spool in err
    assert not os.path.exists(conf.spool)


def test_check_asks_the_courier(short):
    conf = Conf(short, "[courier]", "socket = %s/c.sock" % short)
    courier = Courier(os.path.join(short, "c.sock"))
    out, _ = run("check", "--config", conf.path, code=1)
    courier.end()
    assert "the courier (pid 4711) runs on an older reading of the config; reload it" in out


# ---- a real courier ----

class Running:
    """`marketo courier` of a config."""

    def __init__(self, conf, *args):
        self.conf = conf
        self.process = subprocess.Popen([MARKETO, "courier", "--config", conf.path, *args], stdin=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE)
        self.path = os.path.join(conf.spool, "courier.sock")
        end = time.monotonic() + 10
        while not self._answers():
            assert self.process.poll() is None and time.monotonic() < end, self.process.stderr.read()
            time.sleep(0.01)

    def _answers(self):
        try:
            wire.Client(self.path, role=wire.TOOL).close()
            return True
        except OSError:
            return False

    def stop(self):
        """SIGTERM; returns the exit code."""
        self.process.terminate()
        code = self.process.wait(10)
        self.process.stderr.close()
        return code


def test_courier_and_its_tools(marketo, short):
    conf = online(marketo, short, "batch_wait = 0")
    courier = Running(conf)
    tail = subprocess.Popen([MARKETO, "tail", "--config", conf.path, "--count", "2"], stdout=subprocess.PIPE)
    try:
        wait_until(lambda: len(os.listdir("/proc/%d/fd" % tail.pid)) > 3)
        with wire.Client(courier.path) as client:
            seq = client.send("identify", json.dumps(RUBY))
            assert client.verdict(seq).answer == "stored"
        out, _ = tail.communicate(timeout=20)
        lines = out.decode().splitlines()
        assert re.fullmatch(r"\S+Z lead [0-9a-f]{8} rest delivered .*\(\d+ ms\)", lines[0]), lines
        assert " associate " in lines[1]
        wait_until(lambda: json.loads(run("status", "--config", conf.path, "--json")[0])["spool"]["waiting"] == 0)
        text, _ = run("status", "--config", conf.path)
        assert re.search(r"^spool:\n  path +%s\n  waiting +0\n" % re.escape(conf.spool), text, re.M)
        text, _ = run("check", "--config", conf.path)
        assert "the courier answers (pid %d)" % courier.process.pid in text
    finally:
        tail.kill()
        tail.wait()
        tail.stdout.close()
        code = courier.stop()
    assert code == 0
    text, _ = run("status", "--config", conf.path, code=1)
    assert text.startswith("No courier answers at ") and re.search(r"^waiting +0$", text, re.M)
    away = json.loads(run("status", "--config", conf.path, "--json", code=1)[0])
    assert away["running"] is False and away["spool"]["waiting"] == 0 and away["spool"]["dead"] == 0


def test_second_courier_ends_at_once(short):
    conf = Conf(short)
    conf.make_spool()
    courier = Running(conf)
    try:
        run("courier", "--config", conf.path)
    finally:
        assert courier.stop() == 0


def test_courier_with_bad_config(conf):
    conf.write("[marketo]\nbatchsize = 1\n")
    assert conf.path + ":1: munchkin_id: missing" in run("courier", "--config", conf.path, code=3)[1]
    assert not os.path.exists(conf.spool)
