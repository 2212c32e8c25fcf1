"""
The `marketo` command: how it is used, check, hash. No web server takes part.
"""
import hashlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile

import pytest

from command import MARKETO, ROOT, Conf, online, run
from marketo_sandbox import Sandbox

JAVA = {"type": "identify", "userId": "hj2kf92ds212", "traits": {"email": "tom@example.com", "name": "Tom Smykowski"}}


@pytest.fixture(name="tmp_path")
def open_path():
    """Not pytest's own: nobody else may enter what is above that."""
    with tempfile.TemporaryDirectory(prefix="marketo-") as directory:
        os.chmod(directory, 0o755)
        yield pathlib.Path(directory)


@pytest.fixture(name="conf")
def new_conf(tmp_path):
    return Conf(tmp_path)


@pytest.fixture(name="marketo")
def new_marketo():
    it = Sandbox(lead_lock_s=0)
    it.start()
    yield it
    it.stop()


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


@pytest.mark.skipif(os.path.exists("/etc/marketo/marketo.conf"), reason="this machine has a config")
@pytest.mark.parametrize("args", [("map",), ("status",), ("tail",), ("dead", "list"), ("hash", "a@b.c"), ("forget", "a@b.c")])
def test_without_a_config_the_option_is_named(args):
    assert "there is no such file\n    --config FILE names another one" in run(*args, code=3)[1]
    assert "--config FILE names another one" in run("check", code=3)[0]


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
    assert "%s:6: rest_client_secret_file: %s is readable by everybody (mode 0644): chmod 0640 it" % (
        conf.path, conf.file("rest.secret")) in out


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask for another user")
def test_check_for_another_user(conf):
    out, _ = run("check", "--config", conf.path, "--user", "nobody", code=1)
    assert re.search(r"rest_client_secret_file: nobody \(uid \d+\) may not (enter|read) /\S+ \(owner root \(uid 0\), ", out)
    conf.make_spool()
    os.chown(conf.file("soap.key"), 0, 0)
    out, _ = run("check", "--config", conf.path, code=1)
    assert re.search(r"nobody \(uid 65534\) may not (enter|read) /", out)
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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask for another user")
def test_check_of_a_spool_that_cannot_be_made(conf):
    with open(conf.path, encoding="utf-8") as f:
        text = f.read()
    conf.write(re.sub(r"(?m)^path = .*", "path = /var/lib/mkto-none/spool", text))
    for name in ("rest.secret", "soap.key", "munchkin.key"):
        if os.path.exists(conf.file(name)):
            shutil.chown(conf.file(name), "nobody")
    out, _ = run("check", "--config", conf.path, "--user", "nobody", code=1)
    assert "nobody (uid 65534) may not write to /var/lib (owner root " in out
    assert "install -d -o nobody -m 0700 /var/lib/mkto-none/spool" in out
