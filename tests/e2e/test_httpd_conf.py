"""What apachectl configtest says of the directives and of marketo.conf: file, line and reason; and that it only looks."""
import os

import pytest

from waiting import wait_until

pytestmark = pytest.mark.servers("httpd-event")
BODY_MAX = 1048576
SOCKET_MAX = 107


@pytest.fixture(autouse=True)
def quiet(server):
    """What is said at configtest goes to the terminal; nothing may come into the log."""
    yield
    assert not [line for line in server.bad_lines() if "MarketoCollect not allowed here" not in line]


def amend(server, *changes):
    """Replaces words of httpd.conf once it is written; (old, new) pairs."""
    write = server.write_config

    def amended():
        write()
        path = os.path.join(server.directory, "httpd.conf")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    server.write_config = amended


def line_of(server, words):
    with open(os.path.join(server.directory, "httpd.conf"), encoding="utf-8") as file:
        return next(number for number, line in enumerate(file, 1) if words in line)


def refused(server, *words):
    code, said = server.check()
    assert code == 1 and "Syntax OK" not in said, said
    for word in words:
        assert word in said, said
    return said


def accepted(server):
    code, said = server.check()
    assert code == 0 and "Syntax OK" in said, said
    return said


def at(server, words):
    return "%s/httpd.conf:%d: " % (server.directory, line_of(server, words))


def tree(directory):
    return sorted((os.path.join(path, name), os.lstat(os.path.join(path, name)).st_mtime_ns)
                  for path, names, files in os.walk(directory) for name in names + files)


def test_it_only_looks(server):
    server.prepare()
    before = tree(server.conf.spool)
    said = accepted(server)
    assert tree(server.conf.spool) == before == [] and "warn" not in said


def test_without_marketo_nothing_is_needed(server):
    amend(server, ("MarketoConfig ", "#"), ("MarketoCourier ", "#"), ("    MarketoCollect On\n", ""))
    accepted(server)


def test_missing_config(server):
    amend(server, ("MarketoConfig ", "#"))
    said = refused(server, "MKTO0101", "MarketoCollect: needs MarketoConfig")
    assert at(server, "MarketoCollect On") in said


def test_config_that_is_not_there(server):
    amend(server, (server.conf.path, "/nonexistent/marketo.conf"))
    said = refused(server, "MKTO0101", "/nonexistent/marketo.conf", "there is no such file")
    assert at(server, "MarketoConfig") in said


def test_every_mistake_of_marketo_conf(server):
    server.conf["marketo"]["api"] = "carrier pigeon"
    server.conf["spool"]["keep_free"] = "much"
    said = refused(server)
    lines = [line for line in said.splitlines() if "MKTO0101" in line]
    assert len(lines) == 2, said
    for line, key in zip(lines, ("api", "keep_free")):
        assert "%sMarketoConfig: %s:" % (at(server, "MarketoConfig"), server.conf.path) in line and ": %s: " % key in line


def test_unknown_subscription(server):
    server.location(subscription="brand-x")
    said = refused(server, "there is no [marketo brand-x] in " + server.conf.path)
    assert at(server, "MarketoSubscription") in said


@pytest.mark.parametrize("directive", ["MarketoTrackPages On", "MarketoCookie mint"])
def test_no_subscription_for_pages(server, directive):
    server.conf.section("marketo a", **server.conf["marketo"])
    server.conf.section("marketo b", **server.conf["marketo"])
    del server.conf.sections["marketo"]
    amend(server, ("MarketoCollect On", directive))
    said = refused(server, "MarketoSubscription must say which")
    assert at(server, directive) in said


def test_several_subscriptions_and_none_named(server):
    server.conf.section("marketo a", **server.conf["marketo"])
    server.conf.section("marketo b", **server.conf["marketo"])
    del server.conf.sections["marketo"]
    refused(server, "MarketoSubscription must say which")
    amend(server, ("MarketoCollect On", "MarketoCollect On\nMarketoSubscription b"))
    accepted(server)


def test_subscription_of_a_host(server):
    server.conf.section("marketo b", **server.conf["marketo"])
    server.text["httpd"] = "MarketoSubscription b\n"
    accepted(server)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to read what the server's user cannot")
def test_secret_of_another_user(server):
    server.prepare()
    os.chown(os.path.join(server.directory, "rest.secret"), 0, 0)
    prepare, server.prepare = server.prepare, lambda: None
    refused(server, "rest_client_secret_file: ", "may not read %s" % os.path.join(server.directory, "rest.secret"))
    server.prepare = prepare
    server.courier = "external"
    server.prepare()
    os.chown(os.path.join(server.directory, "rest.secret"), 0, 0)
    server.prepare = lambda: None
    accepted(server)


@pytest.mark.parametrize("size, good", [(SOCKET_MAX, True), (SOCKET_MAX + 1, False)])
def test_length_of_the_socket(server, size, good):
    path = "/" + "s" * (size - 1)
    amend(server, ("MarketoCourier ", "MarketoSocket %s\nMarketoCourier " % path))
    if good:
        accepted(server)
    else:
        refused(server, "of at most 107 bytes", "httpd.conf")


@pytest.mark.parametrize("value, good", [("1", True), (str(BODY_MAX), True), (str(BODY_MAX + 1), False), ("0", False), ("-1", False),
                                         ("1k", True), ("500K", True), ("1024k", True), ("1025k", False), ("1m", True), ("2m", False),
                                         ("0k", False), ("k", False), ("1kb", False), ("1g", False), ("9223372036854775807k", False)])
def test_max_body(server, value, good):
    server.location(max_body='"%s"' % value)
    accepted(server) if good else refused(server, "MarketoMaxBody", "from 1 to 1048576")


@pytest.mark.parametrize("value, good", [("5", True), ("1ms", True), ("60s", True), ("61s", False), ("60001ms", False), ("0", False),
                                         ("soon", False)])
def test_timeout(server, value, good):
    server.location(timeout=value)
    accepted(server) if good else refused(server, "MarketoTimeout", "from 1ms to 60s")


@pytest.mark.parametrize("value, good", [("disk", True), ("memory", True), ("tape", False)])
def test_ack(server, value, good):
    server.location(ack=value)
    accepted(server) if good else refused(server, "MarketoAck", "'disk' or 'memory'")


@pytest.mark.parametrize("value, words", [
    ("external", None), ("external /bin/true", "takes no program"), ("spawn /bin/true", None),
    ("spawn bin/true", "absolute path"),
    ("hire", "must be 'spawn [program]' or 'external'"),
])
def test_courier(server, value, words):
    amend(server, ("MarketoCourier spawn %s/marketo" % server.out, "MarketoCourier " + value))
    if words is None:
        accepted(server)
    else:
        refused(server, words, "httpd.conf")


@pytest.mark.parametrize("program", ["/nonexistent/marketo", "/etc/passwd", "/bin/"])
def test_program_that_cannot_run_is_a_warning(server, program):
    amend(server, ("MarketoCourier spawn %s/marketo" % server.out, "MarketoCourier spawn " + program))
    said = accepted(server)
    assert "[marketo:warn]" in said and "MKTO0126 %s%s cannot be run" % (at(server, "MarketoCourier "), program) in said


COLLECT = "MarketoCollect On\n"


@pytest.mark.parametrize("text, where", [
    (COLLECT, "not into <VirtualHost 127.0.0.1"),
    ("<Directory />\n%s</Directory>\n" % COLLECT, "Directory"),
    ("<Files x>\n%s</Files>\n" % COLLECT, "Files"),
    ('<LocationMatch "^/x">\n%s</LocationMatch>\n' % COLLECT, "LocationMatch"),
    ('<Location ~ "^/x">\n%s</Location>\n' % COLLECT, "not into <Location ~ \"^/x\">"),
    ('<Location "/x*">\n%s</Location>\n' % COLLECT, "not into <Location \"/x*\">"),
    ('<Location "http://x/">\n%s</Location>\n' % COLLECT, "http://x/"),
    ('<Location "/x">\n<If true>\n%s</If>\n</Location>\n' % COLLECT, "If"),
    ('<Location "/x">\n<Limit POST>\n%s</Limit>\n</Location>\n' % COLLECT, "Limit"),
], ids=["host", "Directory", "Files", "LocationMatch", "Location~", "wildcard", "URL", "If", "Limit"])
@pytest.mark.parametrize("name", ["MarketoCollect", "MarketoStatus"])
def test_place_of_collect(server, text, where, name):
    server.text["httpd"] = text.replace("MarketoCollect", name)
    refused(server, name + " belongs right into a <Location \"/path/\">", where)


def test_two_in_one_place(server):
    server.text["httpd"] = '<Location "/x">\nMarketoStatus On\nMarketoCollect On\n</Location>\n'
    refused(server, "MarketoCollect cannot stand in one <Location> with")
    server.text["httpd"] = '<Location "/x">\nMarketoStatus On\nMarketoCollect Off\n</Location>\n<Location "/mkto/status">\nMarketoStatus On\n</Location>\n'
    accepted(server)


@pytest.mark.parametrize("text", [
    '<Location "/">\n%s</Location>\n' % COLLECT,
    '<IfModule marketo_module>\n<Location "/x/y">\n%s</Location>\n</IfModule>\n' % COLLECT,
    '<Location "/x">\n<IfModule marketo_module>\n%s</IfModule>\n</Location>\n' % COLLECT,
    '<Location "/mkto/private">\nMarketoCollect Off\n</Location>\n',
    '<LocationMatch "^/mkto/">\nMarketoAck memory\n</LocationMatch>\n',
])
def test_good_places(server, text):
    server.text["httpd"] = text
    accepted(server)


def within(section, directive):
    return "<%s /x>\n%s\n</%s>\n" % (section, directive, section)


@pytest.mark.parametrize("directive", ["MarketoAck disk", "MarketoTimeout 5s", "MarketoMaxBody 5", "MarketoAllowOrigin off"])
@pytest.mark.parametrize("section", ["Directory", "Files"])
def test_places_where_it_would_do_nothing(server, directive, section):
    server.text["httpd"] = within(section, directive)
    refused(server, "cannot occur within", "httpd.conf")


OF_PAGES = ["MarketoTrackPages On", "MarketoCookie mint", 'MarketoConsent "%{reqenv:consent}"', 'MarketoEmail "%{REMOTE_USER}"',
            "MarketoScheme https", "MarketoSubscription b"]


@pytest.mark.parametrize("directive", OF_PAGES)
def test_places_of_pages(server, directive):
    server.conf.section("marketo b", **server.conf["marketo"])
    sections = ("Directory", "Files", "Location", "LocationMatch")
    server.text["httpd"] = "".join([directive + "\n"] + [within(section, directive) for section in sections])
    accepted(server)
    server.text["httpd"] = within("Location", "<Limit GET>\n%s\n</Limit>" % directive)
    refused(server, "cannot occur within", "httpd.conf")


@pytest.mark.parametrize("directive, words", [
    ("MarketoCookie", "must be 'off', 'refresh' or 'mint'"), ("MarketoCookie maybe", "must be 'off', 'refresh' or 'mint'"),
    ("MarketoCookie off httponly", "off takes nothing"), ("MarketoCookie mint for=ever", "'for=ever' is neither"),
    ("MarketoCookie mint httponly httponly", "stands there twice"), ("MarketoCookie mint domain=example.com domain=example.com", "twice"),
    ("MarketoCookie mint domain=", "MarketoCookie domain"), ("MarketoCookie mint domain=a;b", "MarketoCookie domain"),
    ("MarketoCookie mint domain=" + "d" * 201, "MarketoCookie domain"),
    ("MarketoConsent", "takes"), ('MarketoConsent "%{HTTP:x"', "MarketoConsent: cannot read '%{HTTP:x'"),
    ('MarketoConsent "%{HTTP:x}" absent=denied', "absent=granted"), ('MarketoConsent "x" granted', "must be absent=granted"),
    ('MarketoEmail "%{nothing:x}"', "MarketoEmail: cannot read '%{nothing:x}'"), ("MarketoTrackPages maybe", "must be On or Off"),
    ("MarketoScheme on", "MarketoScheme must be http, https or an expression"),
    ('MarketoScheme "%{nothing:x}"', "MarketoScheme: cannot read '%{nothing:x}'"), ("MarketoScheme http https", "takes one argument"),
])
def test_mistakes_of_pages(server, directive, words):
    server.text["httpd"] = '<Location "/">\n%s\n</Location>\n' % directive
    refused(server, words, "httpd.conf")


@pytest.mark.parametrize("directive", [
    "MarketoCookie off", "MarketoCookie REFRESH", "MarketoCookie mint domain=Example.com httponly", "MarketoCookie mint HttpOnly",
    'MarketoConsent "%{HTTP:x}" absent=granted', 'MarketoEmail "%{REMOTE_USER}"',
    "MarketoScheme HTTPS", "MarketoScheme http", 'MarketoScheme "%{HTTP:X-Forwarded-Proto}"',
])
def test_good_pages(server, directive):
    server.text["httpd"] = '<Location "/">\n%s\n</Location>\n' % directive
    accepted(server)


@pytest.mark.parametrize("values, words", [
    ("", "requires at least"), ("https://a.example.com off", "must not have 'off'"), ("off https://a.example.com", "must not have 'off'"),
    ("*", "MarketoAllowOrigin: '*'"), ("https://*.example.com", "MarketoAllowOrigin: 'https://*.example.com'"), ("https://a.example.com/x", "must be an origin"), ("ftp://a.example.com", "must be an origin"),
    ("a.example.com " * 65, "at most 64"), ("https://" + "a" * 300 + ".example", "MarketoAllowOrigin"),
    ("off", None), ("https://app.example.com http://localhost:3000 app.example.com", None), ("a.example.com " * 64, None),
])
def test_allow_origin(server, values, words):
    server.location(text={"httpd": "MarketoAllowOrigin %s\n" % values})
    accepted(server) if words is None else refused(server, words, "httpd.conf")


@pytest.mark.parametrize("directive", ["MarketoTrackPages On", "MarketoCookie refresh", "MarketoStatus On"])
def test_what_needs_the_config(server, directive):
    amend(server, ("MarketoConfig ", "#"), ("    MarketoCollect On\n", ""))
    server.text["httpd"] = '<Location "/x">\n%s\n</Location>\n' % directive
    said = refused(server, "MKTO0101", directive.split()[0] + ": needs MarketoConfig")
    assert at(server, directive) in said


@pytest.mark.parametrize("directive", ["MarketoConfig /x", "MarketoCourier external", "MarketoSocket /x"])
def test_what_is_global(server, directive):
    server.text["httpd"] = directive + "\n"
    refused(server, "cannot occur within <VirtualHost> section")


def test_htaccess(server):
    """configtest does not read it; the request says what is wrong, and takes no event."""
    server.courier = "external"
    server.announce("MarketoCollect not allowed here")
    server.start()
    with open(os.path.join(server.directory, "www", ".htaccess"), "w", encoding="ascii") as file:
        file.write(COLLECT)
    assert server.get("/").status == 500
    wait_until(lambda: "MarketoCollect not allowed here" in server.read(server.log))
