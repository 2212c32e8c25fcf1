"""A site whose pages load marketo.js, and what a sandbox Marketo heard of it."""
import json
import os

from waiting import wait_until

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>%s</title><link rel="icon" href="data:,">
%s
</head><body>
<a id="link" href="/next.html">Next</a>
<form id="form" action="/next.html"><input name="plan" value="pro"><button id="send" name="by" value="button">Send</button></form>
%s
</body></html>
"""

# The stubs of the published snippet in their plain form: an array that queues [method, ...arguments, page], and load().
SNIPPET = """<script>
(function () {
  var analytics = window.analytics = window.analytics || [];
  if (analytics.initialize) { return; }
  if (analytics.invoked) { console.error('Segment snippet included twice.'); return; }
  analytics.invoked = true;
  analytics.methods = ['trackSubmit', 'trackClick', 'trackLink', 'trackForm', 'pageview', 'identify', 'reset', 'group', 'track',
    'ready', 'alias', 'debug', 'page', 'screen', 'once', 'off', 'on', 'addSourceMiddleware', 'addIntegrationMiddleware',
    'setAnonymousId', 'addDestinationMiddleware', 'register'];
  analytics.factory = function (method) {
    return function () {
      if (window.analytics.initialized) { return window.analytics[method].apply(window.analytics, arguments); }
      var call = Array.prototype.slice.call(arguments);
      if (['track', 'screen', 'alias', 'group', 'page', 'identify'].indexOf(method) > -1) {
        var link = document.querySelector("link[rel='canonical']");
        call.push({ __t: 'bpc', c: link && link.getAttribute('href') || undefined, p: location.pathname, u: location.href,
          s: location.search, t: document.title, r: document.referrer });
      }
      call.unshift(method);
      analytics.push(call);
      return analytics;
    };
  };
  analytics.methods.forEach(function (method) { analytics[method] = analytics.factory(method); });
  analytics.load = function (key, options) {
    var script = document.createElement('script');
    script.async = true;
    script.setAttribute('data-global-segment-analytics-key', 'analytics');
    script.src = '/mkto/marketo.js';
    var first = document.getElementsByTagName('script')[0];
    first.parentNode.insertBefore(script, first);
    analytics._loadOptions = options;
  };
  analytics._writeKey = 'site';
  analytics.load('site'%s);
  %s
})();
</script>"""

# As Google Tag Manager puts a Custom HTML tag into a page, once it is loaded: each script of it becomes a new element, which has text
# and address of the old one, and none of its other attributes.
TAG_MANAGER = """<script>
window.addEventListener('load', function () {
  var held = document.createElement('div');
  held.innerHTML = %s;
  Array.from(held.childNodes).forEach(function (node) {
    var script = document.createElement('script');
    if (node.nodeName !== 'SCRIPT') { document.body.appendChild(node); return; }
    script.async = false;
    script.text = node.text;
    if (node.hasAttribute('src')) { script.src = node.getAttribute('src'); }
    document.body.appendChild(script);
  });
});
</script>"""

# Stands for Munchkin: records its calls, and sets the visitor's cookie as Munchkin does.
MUNCHKIN = """
window.calls = [];
window.Munchkin = {
  init: function (id, options) {
    calls.push(['init', id, options]);
    if (!/_mkto_trk=/.test(document.cookie)) {
      document.cookie = '_mkto_trk=id:' + id + '&token:_mch-127.0.0.1-97bf4361ef4433921a6da262e8df45a;path=/';
    }
    setTimeout(function () { window.MunchkinTracker = {}; }, window.munchkinDelay || 0);
  },
  munchkinFunction: function () { calls.push([].slice.call(arguments)); }
};
"""

# Reads and rewrites the visitor's cookie as Munchkin 164 does at its init: the first _mkto_trk counts, "id" and "token" in either order,
# with ':' or '=', each part percent-decoded; without a token a new one is made. The cookie is of the domain that Munchkin picks.
COOKIE_OF_MUNCHKIN = """<script>
(function (id) {
  var piece = document.cookie.split(';').map(function (it) { return it.trim(); }).filter(function (it) {
    return it.indexOf('_mkto_trk=') === 0; })[0] || '';
  var value = piece.slice('_mkto_trk='.length), token;
  ['=', ':'].some(function (separator) {
    var found = {};
    value.split('&').forEach(function (pair) {
      var parts = pair.split(separator);
      found[decodeURIComponent(parts.shift())] = decodeURIComponent(parts.join(separator));
    });
    token = 'id' in found && 'token' in found ? found.token : undefined;
    return token !== undefined;
  });
  var labels = location.hostname.split('.'), last = labels[labels.length - 1].length;
  var level = last > 2 ? 2 : last === 2 ? 3 : labels.length;
  var domain = labels.slice(-Math.max(level, 2)).join('.');
  window.kept = token !== undefined;
  token = token === undefined ? '_mch-' + domain + '-made-by-munchkin' : token;
  document.cookie = '_mkto_trk=id:' + encodeURIComponent(id) + '&token:' + encodeURIComponent(token) + '; expires=' +
    new Date(Date.now() + 730 * 86400000).toGMTString() + '; path=/; domain=' + domain;
})('561-HYG-937');
</script>"""


def plain(attributes=""):
    return '<script src="/mkto/marketo.js" %s></script>' % attributes


def snippet(calls="analytics.page();", options=""):
    """The published snippet with one line changed; `options` is the second argument of its load()."""
    return SNIPPET % (options and ", " + options, calls)


def tag_manager(tag):
    return TAG_MANAGER % json.dumps(tag).replace("</", "<\\/")


def page_text(head=None, body="", title="Shop"):
    return PAGE % (title, head or "", body)


class Site:
    def __init__(self, server, sandbox):
        self.server, self.sandbox = server, sandbox
        self.root = os.path.join(server.directory, "www")
        self.url = "http://127.0.0.1:%d" % server.port
        server.text["httpd"] += "AddType text/html .html\nAddType text/javascript .js\n"  # it knows no types otherwise
        self.write("/next.html", page_text(title="Next"))
        self.write("/munchkin.js", MUNCHKIN)

    def write(self, path, text):
        file = os.path.join(self.root, path.lstrip("/"))
        os.makedirs(os.path.dirname(file), exist_ok=True)
        with open(file, "w", encoding="utf-8") as out:
            out.write(text)

    def page(self, path="/shop.html", head=None, body="", title="Shop"):
        """Writes a page that loads marketo.js, plainly unless `head` says how. Returns its address."""
        self.write(path, page_text(plain() if head is None else head, body, title))
        return self.url + path

    def start(self):
        self.server.start()
        return self

    def meet_courier(self):
        """A server that stops before its courier knows it leaves it waiting for a first caller."""
        assert self.server.post("alias", {"userId": "u1", "previousId": "u0"}).status == 200

    # ---- what Marketo received ----

    @property
    def visits(self):
        return [(visit["page"], visit["query"].replace("__-__", "&")) for visit in self.sandbox.store.visits]

    @property
    def tokens(self):
        return {visit["token"] for visit in self.sandbox.store.visits}

    @property
    def people(self):
        return [lead["fields"] for lead in self.sandbox.store.leads.values()]

    def visited(self, count):
        wait_until(lambda: len(self.visits) >= count, what=lambda: "%d visits; there are %s" % (count, self.visits))
        return self.visits

    def known(self, count):
        wait_until(lambda: len(self.people) >= count, what=lambda: "%d people; there are %s" % (count, self.people))
        return self.people
