"""Log lines: a stable id on each of warning and worse, one id one message, each in README's table."""
import re

from tree import call_at, line_of

README = "README.md"
_ID = re.compile(r"MKTO\d{4}")
_STRING = re.compile(r'"((?:\\.|[^"\\])*)"')
_CALL = re.compile(r"\b(ngx_log_error|ngx_conf_log_error|ap_log_\w*error|mkto_\w*_log)\s*\(")
_LOUD = re.compile(r"\b(NGX_LOG|APLOG|LOG)_(EMERG|ALERT|CRIT|ERR|WARN|WARNING)\b")
# Which hundred belongs to whom.
_ROOMS = (("ngx_marketo/", "01"), ("mod_marketo/", "01"), ("shared/courier/mkto_dispatch", "03"),
          ("shared/courier/mkto_transport", "03"), ("shared/courier/", "02"), ("shared/config/", "04"))


def _sources(tree):
    return [f for f in tree.some(".c", ".h") if not f.startswith("tests/")]


def _messages(tree):
    """(id, text behind it, file, line) of every string that begins with an id"""
    for name in _sources(tree):
        code = tree.code(name, strings=True)
        for match in re.finditer(r'(?:"(?:\\.|[^"\\\n])*"\s*)+', code):
            text = "".join(_STRING.findall(match.group()))
            if _ID.match(text):
                yield text[:8], text[8:].strip(), name, line_of(code, match.start())


def loud_lines_have_ids(tree):
    """a log call of warning or worse begins with a stable id"""
    for name in _sources(tree):
        code = tree.code(name, strings=True)
        for match in _CALL.finditer(code):
            call = call_at(code, match.end() - 1)
            head = re.split(r'"', call, maxsplit=1)
            text = _STRING.search(call)
            if text and _LOUD.search(head[0]) and not _ID.match(text.group(1)):
                yield name, line_of(code, match.start()), "log line without an id: \"%s\"" % text.group(1)[:50]


def unique(tree):
    """an id belongs to one message, and to the room that it is of"""
    seen = {}
    for message, text, name, line in _messages(tree):
        if text and seen.setdefault(message, (text, name, line))[0] != text:
            yield name, line, "%s is another message at %s:%d already" % (message, *seen[message][1:])
        for under, hundred in _ROOMS:
            if name.startswith(under):
                if message[4:6] != hundred:
                    yield name, line, "%s should begin with MKTO%s here" % (message, hundred)
                break


def readme_table(tree):
    """README, "Messages", has a row for every id, and for no other"""
    known, shown = {}, set()
    for message, _, name, line in _messages(tree):
        known.setdefault(message, (name, line))
    for number, line in tree.section(README, "### Messages"):
        for message in _ID.findall(line):
            shown.add(message)
            if message not in known:
                yield README, number, "%s is not in the code" % message
    for message, (name, line) in sorted(known.items()):
        if message not in shown:
            yield name, line, "%s is not in README, \"Messages\"" % message


RULES = [loud_lines_have_ids, unique, readme_table]
