"""Who may include what: the walls of the tree."""
import os
import re

_INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.M)
_LIBRARIES = (("yajl", r"yajl/"), ("libxml2", r"libxml/"), ("openssl", r"openssl/"), ("curl", r"curl/"),
              ("sqlite", r"sqlite3"), ("libevent", r"event2/|event\.h"), ("inih", r"ini\.h"), ("libpsl", r"libpsl\.h"), ("zlib", r"zlib\.h"), ("apr", r"apr_|apr\.h|apu"),
              ("nginx", r"ngx_"), ("httpd", r"httpd\.h|http_|ap_|mpm_|unixd|util_|mod_watchdog|scoreboard"))
_OWNED = {"yajl", "libxml2", "openssl", "curl", "sqlite", "libevent", "libpsl", "zlib"}
# room -> (rooms whose headers it may use, libraries)
_ROOMS = {
    "shared/wire": ({"shared/wire"}, {"libpsl"}),
    "shared/config": ({"shared/wire", "shared/config"}, {"inih"}),
    "shared/web": ({"shared/web"}, set()),
    "shared/core": ({"shared/wire", "shared/config", "shared/core"}, {"apr", "yajl", "libxml2", "openssl", "zlib"}),
    "shared/courier": ({"shared/wire", "shared/config", "shared/core", "shared/courier"}, {"apr", "sqlite", "curl", "libevent"}),
    "shared/cli": ({"shared/wire", "shared/config", "shared/core", "shared/courier", "shared/cli"}, {"apr", "curl", "libevent"}),
    "ngx_marketo": ({"shared/wire", "shared/config", "shared/web", "ngx_marketo"}, {"nginx"}),
    "mod_marketo": ({"shared/wire", "shared/config", "shared/web", "mod_marketo"}, {"apr", "httpd"}),
}


def _library(header):
    for name, pattern in _LIBRARIES:
        if re.match(pattern, header):
            return name
    return None


def _includes(tree):
    """(file, room, line, header) for the rooms"""
    for name in tree.some(".c", ".h"):
        room = next((r for r in _ROOMS if name.startswith(r + "/")), None)
        if room is None:
            continue
        for match in _INCLUDE.finditer(tree.text(name)):
            yield name, room, tree.text(name).count("\n", 0, match.start(1)) + 1, match.group(1)


def rooms(tree):
    """a room includes headers of the rooms below it, and its own libraries, only"""
    home = {os.path.basename(f): os.path.dirname(f) for f in tree.some(".h") if not f.startswith("tests/")}
    for name, room, line, header in _includes(tree):
        allowed, libraries = _ROOMS[room]
        library, owner = _library(header), home.get(os.path.basename(header))
        if owner is not None and owner not in allowed:
            yield name, line, "%s may not include %s of %s" % (room, header, owner)
        elif owner is None and library is not None and library not in libraries:
            yield name, line, "%s may not include %s (%s)" % (room, header, library)


def _noun(name):
    return "_".join(os.path.basename(name).split(".")[0].split("_")[:2])


def library_types(tree):
    """the types of a library stay with the files of the noun that owns them"""
    private = {}
    for name, room, line, header in _includes(tree):
        if name.endswith(".h") and room.startswith("shared/") and _library(header) in _OWNED:
            private[os.path.basename(name)] = (name, line, header)
    for name, _, line, header in _includes(tree):
        owner = private.get(os.path.basename(header))
        if owner and _noun(owner[0]) != _noun(name):
            yield name, line, "brings %s in through %s, which belongs to %s_*" % (owner[2], header, _noun(owner[0]))


RULES = [rooms, library_types]
