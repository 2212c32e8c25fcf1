"""What README has its readers copy."""
import os
import re

README = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "README.md")


def _text():
    with open(README, encoding="utf-8") as file:
        return file.read()


def blocks(language):
    """Its blocks in that language, from top to bottom."""
    return re.findall(r"^```%s\n(.*?)^```" % language, _text(), re.S | re.M)


def block(language, words):
    """The one with these words."""
    found = [it for it in blocks(language) if words in it]
    assert len(found) == 1, (language, words, len(found))
    return found[0]


def cell(first, start):
    """In the row of a table that begins with `first`, the code that begins with `start`."""
    row = re.search(r"^\| %s \|(.*)$" % re.escape(first), _text(), re.M).group(1)
    return re.search(r"`(%s[^`]*)`" % re.escape(start), row).group(1)


def mentions(words):
    return words in _text()
