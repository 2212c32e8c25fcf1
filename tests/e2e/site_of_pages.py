"""
A site as visitors see it, over both servers: pages from files, from an application, from a cache, behind guards; for the tests of
page views and cookies. Everything below its root has page views on, but /off/ and what the server does not show people.

    site = Site(server); site.start(); site.get("/page.html"); site.counted(lambda ask: ask("/page.html")) == ["/page.html"]
"""
import http.server
import itertools
import os
import threading
import time
from urllib.parse import parse_qs, urlsplit

import http_talk
from nginx_conf import amend
from servers import THERE
from waiting import wait_until

HOST = "www.example.com"
TOKEN = "_mch-example.com-1374552656411-90718"
COOKIE = "_mkto_trk=id:561-HYG-937&token:" + TOKEN
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0"
PERSON = {"Host": HOST, "User-Agent": AGENT, "Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Accept-Language": "de-CH",
          "Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none", "Cookie": COOKIE}
PAGE = b"<!doctype html><title>A page</title>" + b"<p>text</p>" * 200 + b"\n"
MODULES = ["proxy", "proxy_http", "cache", "cache_disk", "filter", "deflate", "include", "rewrite", "headers", "expires"]

NGINX = """
        log_not_found off; gzip on; gzip_min_length 100; sendfile on; ssi_min_file_chunk 1;
        error_page 404 /error.html;
        types { text/html html; image/gif gif; application/json json; }
        location / { index index.html; }
        location /off/ { TRACK off; }
        location /app/ { proxy_pass APP; }
        location /cached/ { proxy_pass APP; proxy_cache pages; proxy_cache_valid 200 1h; }
        location /expires/ { alias ROOT/; expires 1h; }
        location /public/ { alias ROOT/; add_header Cache-Control "public, max-age=60"; }
        location /include.shtml { ssi on; types { text/html shtml; } }
        location /guarded/ { auth_request /guard; alias ROOT/; }
        location /closed/ { auth_request /app/closed; alias ROOT/; }
        location = /guard { internal; proxy_pass APP/app/page; proxy_pass_request_body off; proxy_set_header Content-Length ""; }
        location /spa/ { try_files $uri /page.html; }
        location = /moved { return 302 /page.html; }
"""
HTTPD = """
AddType text/html .html .shtml
AddType image/gif .gif
AddType application/json .json
ErrorDocument 404 /error.html
EnableSendfile On
AddOutputFilterByType DEFLATE text/html
CacheQuickHandler Off
CacheRoot ROOT/../body
CacheEnable disk /cached/
CacheDefaultExpire 3600
CacheIgnoreNoLastMod On
CacheIgnoreQueryString On
ProxyPass /app/ APP/app/
ProxyPass /cached/ APP/cached/
Alias /expires/ ROOT/
Alias /public/ ROOT/
Alias /guarded/ ROOT/
Alias /closed/ ROOT/
Redirect 302 /moved /page.html
RewriteEngine On
RewriteCond %{REQUEST_URI} ^/guarded/
RewriteCond /app/page -U
RewriteRule ^ - [E=SEEN]
<Location "/off/">
TRACK Off
</Location>
<Location "/expires/">
ExpiresActive On
ExpiresDefault "access plus 1 hour"
</Location>
<Location "/public/">
Header set Cache-Control "public, max-age=60"
</Location>
<Location "/closed/">
Require all denied
</Location>
<Location "/include.shtml">
Options +Includes
SetOutputFilter INCLUDES
</Location>
<Directory ROOT/spa>
FallbackResource /page.html
</Directory>
"""


class _App(http.server.BaseHTTPRequestHandler):
    """/app/TYPE, /cached/…: a page unless its name says otherwise; 304 without a type for If-None-Match; more headers in the query: ?h=Name:value&h=…"""
    protocol_version = "HTTP/1.1"
    TYPES = {"json": "application/json", "xhtml": "application/xhtml+xml", "text": "text/plain", "logo.gif": "image/gif"}

    def answer(self):
        url = urlsplit(self.path)
        name = url.path.rsplit("/", 1)[-1]
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append((self.command, self.path))
        if self.headers.get("If-None-Match"):
            self.send_response(304)
            self.end_headers()
            return
        self.send_response({"closed": 403, "missing": 404, "broken": 500}.get(name, 200))
        self.send_header("Content-Type", self.TYPES.get(name, "text/html; charset=utf-8"))
        self.send_header("Content-Length", str(len(PAGE)))
        for header in parse_qs(url.query).get("h", []):
            self.send_header(*header.split(":", 1))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(PAGE)

    do_GET = do_POST = do_HEAD = answer

    def log_message(self, *args):
        pass


class App:
    def __init__(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _App)
        self.server.requests = self.requests = []
        self.url = "http://127.0.0.1:%d" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def write_pages(root, more):
    include = b'<title>Two parts</title><!--#include virtual="/part.html" --><!--#include virtual="/app/part" -->\n'
    files = {"page.html": PAGE, "index.html": PAGE, "part.html": b"<p>a part</p>\n", "error.html": PAGE, "off/page.html": PAGE,
             "include.shtml": include, "logo.gif": b"GIF89a", "data.json": b"{}\n", "spa/readme.txt": b"text\n", **more}
    for name, text in files.items():
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(text)


class Site:
    MARKS = itertools.count(1)

    def __init__(self, server, track=True):
        self.server, self.app, self.track = server, App(), track
        self.root = os.path.join(server.directory, "www")
        self.extra = {"nginx": "", "httpd": ""}  # more lines, in front of these here
        self.more_pages = {}
        server.workers = 1  # what one worker was asked before, it has told before
        server.conf["marketo"].update(rate="0", respect="gpc dnt")
        server.modules += MODULES
        server.location()

    def start(self):
        server = self.server
        write_pages(self.root, self.more_pages)
        switch = {"nginx": "marketo_track_pages on;\n" if self.track else "",
                  "httpd": '<Location "/">\nMarketoTrackPages On\n</Location>\n' if self.track else ""}[server.family]
        text = self.extra[server.family] + {"nginx": NGINX, "httpd": HTTPD}[server.family]
        text = text.replace("ROOT", self.root).replace("APP", self.app.url)
        text = text.replace("TRACK", {"nginx": "marketo_track_pages", "httpd": "MarketoTrackPages"}[server.family])
        server.text[server.family] += switch + text
        if server.family == "nginx":
            amend(server, "    marketo_config ", "    proxy_cache_path %s/body/pages keys_zone=pages:1m;\n    marketo_config " % server.directory)
        server.start()
        if server.family == "nginx" and server.courier == "spawn":  # one that ends before its courier came loses views, and says so
            wait_until(lambda: THERE in server.read(server.log), what="the courier")
        return self

    def stop(self):
        try:
            self.server.end()
        finally:
            self.app.stop()

    def get(self, path, **headers):
        return self.ask(path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def ask(self, path, method="GET", headers=None, without=(), http2=False):
        """One request of a person with a browser, whose headers others join or replace."""
        sent = {name: value for name, value in {**PERSON, **(headers or {})}.items() if name not in without}
        if http2:
            return http_talk.http2(self.server.port2, path, None, dict(sent, **{"Content-Type": ""}), method)
        return self.server.request(method, path, None, sent)

    def counted(self, visit):
        """The paths of the page views that Marketo got of what `visit` did with ask(path, …), in order."""
        mark = "mark=%d" % next(self.MARKS)

        def ask(path, **more):
            return self.ask("%s%s%s" % (path, "&" if "?" in path else "?", mark), **more)
        visit(ask)
        time.sleep(0.05)
        self.ask("/page.html?%s-end" % mark)
        visits = self.server.sandbox.store.visits
        wait_until(lambda: any(mark + "-end" in one["query"] for one in visits), what="the last page view")
        time.sleep(0 if self.server.family == "nginx" else 0.3)  # other children
        prefix = "http://" + HOST
        found = [one for one in visits if mark in one["query"].replace("__-__", "&").split("&")]
        assert all(one["page"].startswith(prefix) for one in found), found
        return [one["page"][len(prefix):] for one in found]

    def kept_away(self):
        """What the server itself kept away, by reason."""
        return dict(self.server.status()["intake"]["filtered_by"])
