"""What marketo.js promises to the pages that load it."""
import gzip
import os
import re

from tools import Missing
from tree import ROOT

SIZE_MAX = 6 * 1024  # bytes, gzipped


def client_size(tree):
    """marketo.js has at most 6 KB, minified and gzipped"""
    path = os.path.join(tree.out, "build", "generated", "web", "marketo.js")
    if not os.path.exists(path):
        raise Missing("%s is not there: build first" % os.path.relpath(path, ROOT))
    with open(path, "rb") as file:
        size = len(gzip.compress(file.read(), 9))
    if size > SIZE_MAX:
        yield "shared/web/marketo.js", 1, "%d bytes gzipped; at most %d" % (size, SIZE_MAX)


def client_policy(tree):
    """marketo.js needs nothing that a strict Content-Security-Policy forbids"""
    for name in tree.some(".js", under="shared/web/"):
        for number, line in tree.lines(name):
            found = re.search(r"\beval\(|new Function\b|innerHTML|document\.write\b|setTimeout\(\s*['\"`]|\.style\b", line)
            if found:
                yield name, number, "%s does not work under a strict policy" % found.group()


RULES = [client_size, client_policy]
