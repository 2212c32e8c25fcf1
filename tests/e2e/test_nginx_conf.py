"""What nginx -t says of the directives and of marketo.conf: file, line, key and reason; and that it only looks."""
import os

import pytest
from nginx_conf import amend, line_of
from waiting import wait_until

pytestmark = pytest.mark.servers("nginx")
BODY_MAX = 1048576
SOCKET_MAX = 107


@pytest.fixture(autouse=True)
def quiet(server):
    """What is said at -t goes to the terminal; nothing may come into the log."""
    yield
    assert not server.bad_lines()


def refused(server, *words):
    code, said = server.check()
    assert code == 1 and "test failed" in said, said
    for word in words:
        assert word in said, said
    return said


def accepted(server):
    code, said = server.check()
    assert code == 0 and "test is successful" in said, said
    return said


def at(server, words):
    return "%s/nginx.conf:%d" % (server.directory, line_of(server, words))


def tree(directory):
    return sorted((os.path.join(path, name), os.lstat(os.path.join(path, name)).st_mtime_ns)
                  for path, names, files in os.walk(directory) for name in names + files)


def test_it_only_looks(server):
    server.prepare()
    before = tree(server.conf.spool)
    said = accepted(server)
    assert tree(server.conf.spool) == before == [] and "warn" not in said


def test_without_marketo_nothing_is_needed(server):
    amend(server, "marketo_config ", "#")
    amend(server, "marketo_courier ", "#")
    amend(server, "{ marketo;", "{")
    server.location()
    accepted(server)


def test_missing_marketo_config(server):
    amend(server, "    marketo_config ", "    # marketo_config ")
    said = refused(server, "MKTO0127")
    assert at(server, "{ marketo;") in said


def test_second_marketo_config(server):
    amend(server, "    marketo_courier", "    marketo_config /other/marketo.conf;\n    marketo_courier")
    said = refused(server, '"marketo_config" directive is duplicate')
    assert at(server, "/other/marketo.conf") in said


def test_marketo_conf_that_is_not_there(server):
    amend(server, "marketo_config %s" % server.conf.path, "marketo_config /nowhere/marketo.conf")
    refused(server, "MKTO0123 /nowhere/marketo.conf: ")


def test_marketo_conf_beside_nginx_conf(server):
    amend(server, "marketo_config %s" % server.conf.path, "marketo_config marketo.conf")
    accepted(server)


def test_mistake_in_marketo_conf(server):
    server.conf["marketo"]["batch_size"] = "301"
    server.prepare()
    with open(server.conf.path, encoding="utf-8") as file:
        line = 1 + next(number for number, text in enumerate(file) if text.startswith("batch_size"))
    refused(server, "MKTO0123 %s:%d: batch_size: " % (server.conf.path, line))


def test_every_mistake_in_marketo_conf(server):
    server.conf["marketo"]["batch_size"] = "301"
    server.conf["spool"]["keep_free"] = "much"
    said = [line for line in refused(server).splitlines() if "MKTO0123" in line]
    assert len(said) == 2, said
    assert all("[emerg]" in line and "MKTO0123 %s:" % server.conf.path in line for line in said)
    assert ": batch_size: " in said[0] and ": keep_free: " in said[1]


def test_unknown_subscription(server):
    server.location(subscription="brand-b")
    said = refused(server, "MKTO0125 ", "[marketo brand-b]")
    assert at(server, "marketo brand-b;") in said
    server.conf.section("marketo brand-b", **server.conf["marketo"])
    accepted(server)


def test_secrets_belong_to_the_worker(server):
    if not server.user:
        pytest.skip("only root can take the right away")
    server.prepare()
    secret = os.path.join(server.directory, "rest.secret")
    prepare = server.prepare

    def take_away():
        prepare()
        os.chown(secret, 0, 0)
    server.prepare = take_away
    refused(server, "MKTO0123 %s:" % server.conf.path, "rest_client_secret_file: ", "may not read " + secret)
    server.courier = "external"  # then the server need not even see them
    accepted(server)


# ---- directives ----

SAID_OF_COURIER = {
    "external now": 'MKTO0132 "marketo_courier": "now" must not follow "external"',
    "start": 'MKTO0132 "marketo_courier": "start" must be spawn, spawn PROGRAM or external',
    "spawn a b": '"marketo_courier" directive', "": '"marketo_courier" directive',
}


@pytest.mark.parametrize("words", SAID_OF_COURIER)
def test_bad_courier(server, words):
    amend(server, "marketo_courier spawn %s/marketo" % server.out, "marketo_courier " + words)
    said = refused(server, SAID_OF_COURIER[words])
    assert at(server, "marketo_courier ") in said


def test_program(server):
    amend(server, "spawn %s/marketo" % server.out, "spawn ./marketo")
    refused(server, 'MKTO0120 "./marketo" must be an absolute path')


@pytest.mark.parametrize("program", ["/nowhere/marketo", "/etc/passwd", "/bin/"])
def test_program_that_cannot_run_is_a_warning(server, program):
    amend(server, "spawn %s/marketo" % server.out, "spawn " + program)
    said = accepted(server)
    assert "[warn]" in said and "MKTO0126 %s: %s cannot be run" % (at(server, "marketo_courier "), program) in said


@pytest.mark.parametrize("prefix,warned", [("/noslash", True), ("/slash/", False)])
def test_location_without_a_slash_is_a_warning(server, prefix, warned):
    server.text["nginx"] = "location ^~ %s { marketo; }\n" % prefix
    said = accepted(server)
    assert ("MKTO0128" in said) == warned
    if warned:
        assert at(server, "location ^~ /noslash") in said


@pytest.mark.parametrize("limit,size,warned", [("999", "1000", True), ("1000", "1000", False), ("0", "1000", False), ("499k", None, True)])
def test_lower_limit_of_nginx_is_a_warning(server, limit, size, warned):
    own = "marketo_max_body %s;" % size if size else ""
    server.text["nginx"] = "client_max_body_size %s;\nlocation /t/ { marketo; %s }\n" % (limit, own)
    if size:
        amend(server, "    marketo_courier", "    marketo_max_body %s;\n    marketo_courier" % size)
    said = accepted(server)
    assert ("MKTO0129" in said) == warned
    if warned:
        assert at(server, "location /t/") in said


def test_spawn_is_the_default(server):
    amend(server, "    marketo_courier spawn %s/marketo;" % server.out, "")
    code, said = server.check()
    assert code == 0 and ("MKTO0126" not in said or "/bin/marketo cannot be run" in said)


@pytest.mark.parametrize("size,ok", [(SOCKET_MAX, True), (SOCKET_MAX + 1, False)])
def test_socket_path(server, size, ok):
    path = "/run/" + "s" * (size - 5)
    amend(server, "    marketo_courier", "    marketo_socket %s;\n    marketo_courier" % path)
    if ok:
        accepted(server)
    else:
        refused(server, "MKTO0121 the path of the socket has 108 bytes; at most 107 fit")


def test_relative_socket(server):
    amend(server, "    marketo_courier", "    marketo_socket s.sock;\n    marketo_courier")
    refused(server, 'MKTO0120 "s.sock" must be an absolute path')


@pytest.mark.parametrize("line,ok", [
    ("marketo_max_body 0", False), ("marketo_max_body 1", True), ("marketo_max_body %d" % BODY_MAX, True),
    ("marketo_max_body %d" % (BODY_MAX + 1), False), ("marketo_timeout 0", False), ("marketo_timeout 1ms", True),
    ("marketo_timeout 60s", True), ("marketo_timeout 60001ms", False), ("marketo_ack disk", True),
    ("marketo_ack memory", True), ("marketo_ack none", False)])
@pytest.mark.parametrize("place", ["http", "server", "location"])
def test_values(server, line, ok, place):
    server.location()
    if place == "http":
        amend(server, "    marketo_courier", "    %s;\n    marketo_courier" % line)
    elif place == "server":
        server.text["nginx"] = "%s;\n" % line
    else:
        amend(server, "{ marketo;", "{ marketo; %s;" % line)
    if ok:
        accepted(server)
    else:
        said = refused(server, line.split()[0] if "ack" not in line else 'MKTO0132 "marketo_ack": "none" must be disk or memory')
        assert at(server, line + ";") in said


@pytest.mark.parametrize("location", ["~ ^/t/", "~* t", "= /t", "@t"])
def test_locations_without_a_prefix(server, location):
    server.text["nginx"] = "location %s { marketo; }\n" % location
    said = refused(server, 'MKTO0122 "marketo" needs a location with a prefix')
    assert at(server, "location %s {" % location) in said


@pytest.mark.parametrize("block", ["if ($arg_x) { marketo; }", "limit_except GET { marketo; }"])
def test_not_in_blocks(server, block):
    server.text["nginx"] = "location /t/ { %s }\n" % block
    refused(server, '"marketo" directive is not allowed here')


def test_not_in_a_server(server):
    server.text["nginx"] = "marketo;\n"
    refused(server, '"marketo" directive is not allowed here')


def test_twice(server):
    server.text["nginx"] = "location /t/ { marketo; marketo; }\n"
    refused(server, '"marketo" directive is duplicate')


def test_another_handler_in_the_location(server):
    server.text["nginx"] = "location /t/ { marketo; proxy_pass http://127.0.0.1:1; }\n"
    said = refused(server, 'MKTO0124 another directive takes the location "/t/"')
    assert at(server, "location /t/") in said


MISTAKES = [  # (line, what nginx -t says of it; None: fine)
    ("marketo_cookie", "invalid number of arguments"), ("marketo_cookie on", 'MKTO0132 "marketo_cookie": "on" must be off, refresh or mint'),
    ("marketo_cookie mint secure", 'MKTO0132 "marketo_cookie": "secure" must be domain=DOMAIN or httponly'),
    ("marketo_cookie mint domain=", 'MKTO0132 "marketo_cookie": "domain=" must be a domain like example.com'),
    ("marketo_cookie mint domain=10.0.0.1", "must be a domain like example.com"),
    ("marketo_cookie refresh domain=co.uk", "is a domain that many sites share"), ("marketo_cookie refresh domain=.Example.COM httponly", None),
    ("marketo_cookie mint httponly", None), ("marketo_cookie off", None),
    ("marketo_cookie off httponly", 'MKTO0132 "marketo_cookie": "httponly" has no place behind off'),
    ("marketo_cookie mint httponly httponly", '"httponly" stands there twice'),
    ("marketo_cookie mint domain=example.com domain=b.example", '"domain=b.example" stands there twice'),
    ("marketo_track_pages yes", 'invalid value "yes"'), ("marketo_track_pages on", None), ("marketo_track_pages off", None),
    ("marketo_consent $cookie_consent present=granted", 'MKTO0133 "marketo_consent": "present=granted" must be absent=granted'),
    ("marketo_consent $nobody", 'unknown "nobody" variable'), ("marketo_consent $cookie_consent absent=granted", None),
    ("marketo_consent granted", None), ("marketo_email $nobody", 'unknown "nobody" variable'), ("marketo_email $http_x_email", None),
    ('marketo_email ""', None),
    ("marketo_scheme on", 'MKTO0135 "marketo_scheme": "on" must be http, https or a variable'), ('marketo_scheme ""', "MKTO0135 "),
    ("marketo_scheme $nobody", 'unknown "nobody" variable'), ("marketo_scheme HTTPS", None), ("marketo_scheme http", None),
    ("marketo_scheme $http_x_forwarded_proto", None), ("marketo_scheme a b", "invalid number of arguments"),
    ("marketo_allow_origin https://a.example/path", 'MKTO0134 "marketo_allow_origin": "https://a.example/path" must be'),
    ("marketo_allow_origin https://a.example *", 'MKTO0134 "marketo_allow_origin": "*" must name one host'),
    ("marketo_allow_origin off https://a.example", 'MKTO0134 "marketo_allow_origin": "off" must stand alone'),
    ("marketo_allow_origin " + " ".join("h%d.example" % n for n in range(64)), None),
    ("marketo_allow_origin " + " ".join("h%d.example" % n for n in range(65)), 'MKTO0134 "marketo_allow_origin": "h64.example" is one too many'),
    ("marketo_allow_origin off", None), ("marketo_allow_origin https://a.example http://localhost:3000", None),
    ("marketo_subscription nobody", "MKTO0125 "), ("marketo_subscription other", None),
]


@pytest.mark.parametrize("line,said", MISTAKES, ids=[line[:50] for line, _ in MISTAKES])
@pytest.mark.parametrize("place", ["http", "server", "location"])
def test_values_of_the_surface(server, line, said, place):
    server.conf.section("marketo other", **server.conf["marketo"])
    if place == "http":
        amend(server, "    marketo_courier", "    %s;\n    marketo_courier" % line)
    else:
        server.text["nginx"] = {"server": "%s;\n", "location": "location /t/ { %s; }\n"}[place] % line
    if said is None:
        accepted(server)
    else:
        told = refused(server, said)
        assert "variable" in said or at(server, line + ";") in told  # nginx does not say where that is


@pytest.mark.parametrize("line", ["marketo_cookie off", "marketo_consent a", "marketo_email a", "marketo_allow_origin off", "marketo_scheme http",
                                  "marketo_subscription a", "marketo_track_pages off"])
def test_values_that_stand_twice(server, line):
    server.text["nginx"] = "%s;\n%s;\n" % (line, line)
    refused(server, '"%s" directive is duplicate' % line.split()[0])


@pytest.mark.parametrize("line", ["marketo_track_pages on", "marketo_cookie refresh", "marketo_subscription a", "location /s { marketo_status; }"])
def test_what_needs_marketo_config(server, line):
    """Each of them; those that turn something off do not."""
    amend(server, "    marketo_config ", "    # marketo_config ")
    amend(server, "{ marketo;", "{")
    server.location()
    server.text["nginx"] = "marketo_track_pages off; marketo_cookie off;\n"
    accepted(server)
    server.text["nginx"] = line + ("\n" if line.endswith("}") else ";\n")
    name = "marketo_status" if "status" in line else line.split()[0]
    said = refused(server, 'MKTO0127 "%s" in ' % name)
    assert at(server, line) in said


def test_subscription_that_is_not_there(server):
    """Without [marketo] each server must say whose its pages are; the argument of marketo wins."""
    server.conf.sections["marketo a"] = server.conf.sections.pop("marketo")
    server.conf.section("marketo b", **server.conf["marketo a"])
    server.location(subscription="a")
    server.text["nginx"] = "location /pages/ { marketo_track_pages on; }\n"
    said = refused(server, "MKTO0125 ", 'no section [marketo], which "marketo_track_pages" asks for')
    assert at(server, "location /pages/") in said
    server.text["nginx"] = "marketo_subscription b;\n" + server.text["nginx"]
    accepted(server)
    server.text["nginx"] = "location /s { marketo_status; }\n"
    accepted(server)


def test_status_and_marketo_in_one_location(server):
    server.text["nginx"] = "location /t/ { marketo; marketo_status; }\n"
    refused(server, 'MKTO0124 another directive takes the location "/t/" away from "marketo"')
    server.text["nginx"] = "location /t/ { marketo_status; marketo_status; }\n"
    refused(server, '"marketo_status" directive is duplicate')


def test_a_bad_reload_keeps_the_old_configuration(server):
    server.start()
    wait_until(lambda: server.post("track", {"event": "e", "userId": "u"}).status == 200, what="the courier is up")
    with open(server.conf.path, "a", encoding="utf-8") as file:
        file.write("[nonsense]\nkey = value\n")
    server.announce("MKTO0123 ")
    server.reload()
    wait_until(lambda: "MKTO0123" in server.read(server.log), what="the reason")
    assert server.get("/").status == 200 and server.post("track", {"event": "e", "userId": "u"}).status == 200
    with open(server.log, "w", encoding="utf-8"):
        pass
