"""A tracking location is the module's, whatever else the site's configuration does with every path: nothing goes to the application."""
import os

import pytest

from fake_courier import FakeCourier

HTTPD = ("httpd-event", "httpd-worker", "httpd-prefork")
WORDPRESS = """\
# BEGIN WordPress
<IfModule mod_rewrite.c>
RewriteEngine On
RewriteRule .* - [E=HTTP_AUTHORIZATION:%{HTTP:Authorization}]
RewriteBase /
RewriteRule ^index\\.php$ - [L]
RewriteCond %{REQUEST_FILENAME} !-f
RewriteCond %{REQUEST_FILENAME} !-d
RewriteRule . /index.php [L]
</IfModule>
# END WordPress
"""


@pytest.fixture
def fake(server):
    server.courier = "external"
    it = FakeCourier(server.conf.socket)
    it.start()
    yield it
    it.stop()
    assert not it.errors, it.errors


def check(server, fake, app=None):
    """Each event arrives; the rest of the site is as it was."""
    for n, call in enumerate(("track", "i", "batch")):
        assert server.post(call, {"n": n}).json == {"success": True}
    assert [event.json["n"] for event in fake.events] == [0, 1, 2]
    assert server.request("POST", "/mkto/v1/nothing", {"n": 3}).status == 404
    assert server.get("/mkto/v1/track").status == 405
    if app is not None:
        assert app.requests == []
        assert server.get("/anything").body == b"the application\n"
        assert len(app.requests) == 1


@pytest.mark.servers("nginx")
def test_proxy_pass(server, fake, app):
    server.text["nginx"] = "location / { proxy_pass %s; }\n" % app.url
    server.start()
    check(server, fake, app)


@pytest.mark.servers("nginx")
def test_regex_location(server, fake, app):
    server.text["nginx"] = """
        location ~ ^/mkto { return 418; }
        location ~* /(track|i|batch)$ { proxy_pass %s; }
        location / { proxy_pass %s; }
""" % (app.url, app.url)
    server.start()
    check(server, fake, app)


@pytest.mark.servers("nginx")
def test_server_rewrite(server, fake):
    server.text["nginx"] = "try_files $uri /index.html; error_page 404 405 = /index.html;\n"
    server.start()
    assert server.post("track", {"n": 1}).json == {"success": True}
    assert len(fake.events) == 1


@pytest.mark.servers(*HTTPD)
@pytest.mark.parametrize("directives", [
    'ProxyPass "/" "{app}/"\n',
    'ProxyPassMatch "^/(.*)$" "{app}/$1"\n',
    '<Location "/">\nProxyPass "{app}/"\n</Location>\n',
    'RewriteEngine On\nRewriteRule "^/(.*)$" "{app}/$1" [P]\n',
    '<Location "/">\nSetHandler "proxy:{app}"\n</Location>\n',
    '<LocationMatch "^/(.*)$">\nProxyPassMatch "{app}/$1"\n</LocationMatch>\n',
], ids=["ProxyPass", "ProxyPassMatch", "ProxyPassInLocation", "RewriteP", "SetHandler", "LocationMatch"])
def test_proxy(server, fake, app, directives):
    server.modules += ["proxy", "proxy_http", "rewrite"]
    server.text["httpd"] = directives.format(app=app.url)
    server.start()
    check(server, fake, app)


@pytest.mark.servers(*HTTPD)
def test_wordpress(server, fake):
    www = os.path.join(server.directory, "www")
    for name, text in ((".htaccess", WORDPRESS), ("index.php", "the blog\n")):
        with open(os.path.join(www, name), "w", encoding="ascii") as file:
            file.write(text)
    server.modules.append("rewrite")
    server.start()
    assert server.get("/some/article").body == b"the blog\n"
    check(server, fake)


@pytest.mark.servers(*HTTPD)
@pytest.mark.parametrize("directives", [
    'RewriteEngine On\nRewriteRule "^" "/index.html" [L]\n',
    'RewriteEngine On\nRewriteRule "^" "/index.html" [PT]\n',
    'RewriteEngine On\nRewriteRule "^" "-" [F]\n',
    '<Location "/">\nRewriteEngine On\nRewriteRule "." "/index.html" [L]\n</Location>\n',
    'Alias "/mkto" "{directory}/www"\n',
    'AliasMatch "^/mkto/(.*)$" "{directory}/www/index.html"\n',
    'RedirectMatch 301 "^/mkto/(.*)$" "http://elsewhere.example/$1"\n',
    'FallbackResource /index.html\n',
    '<Location "/mkto/">\nSetHandler none\n</Location>\n',
], ids=["Rewrite", "RewritePT", "RewriteF", "RewriteInLocation", "Alias", "AliasMatch", "RedirectMatch", "Fallback", "None"])
def test_rewrite(server, fake, directives):
    server.modules.append("rewrite")
    server.text["httpd"] = directives.format(directory=server.directory)
    server.start()
    for n in range(2):
        assert server.post("track", {"n": n}).json == {"success": True}
    assert [event.json["n"] for event in fake.events] == [0, 1]


def test_access_rules_hold(server, fake):
    server.location(text={"nginx": "deny all;", "httpd": "Require ip 10.99.99.99\n"})
    server.announce("access forbidden by rule", "client denied by server configuration")
    server.start()
    assert server.post("track", {"n": 1}).status == 403
    assert not fake.events


def test_near_misses(server, fake):
    """Paths that only look like the location's are the site's."""
    server.announce(r"open\(\) .* failed \(2:")
    server.start()
    for path in ("/mktox/v1/track", "/MKTO/v1/track", "/x/mkto/v1/track", "/mkto%2Fv1/track/x", "/mkto"):
        assert server.request("POST", path, {"n": 1}).status in (301, 404, 405), path
    assert not fake.events
    for path in ("/x/../mkto/v1/track", "/mkto/./v1/track", "/%6Dkto/v1/track"):
        assert server.request("POST", path, {"n": 2}).status == 200, path
    assert len(fake.events) == 3


@pytest.mark.servers("httpd-event")
@pytest.mark.parametrize("configured", [True, False])
def test_names_of_ours_in_vain(server, fake, configured):
    """Handlers and the filter are for MarketoCollect and its like to set; by themselves they do nothing, and harm nobody."""
    server.text["httpd"] = """
<Location "/handled">
SetHandler marketo-collect
</Location>
<Location "/shown">
SetHandler marketo-status
</Location>
<Location "/index.html">
SetOutputFilter MARKETO_COOKIE
</Location>
"""
    if not configured:
        write = server.write_config

        def without():
            write()
            path = os.path.join(server.directory, "httpd.conf")
            with open(path, encoding="utf-8") as file:
                lines = [line for line in file if not line.startswith(("MarketoConfig", "MarketoCourier", "    MarketoCollect"))]
            with open(path, "w", encoding="utf-8") as file:
                file.writelines(lines)
        server.write_config = without
    server.start()
    before = server.children()
    assert [server.get(path).status for path in ("/handled", "/shown", "/index.html")] == [404, 404, 200]
    assert server.children() == before and fake.events == []
