"""What a look at the text of a file can tell."""
import ast
import os
import re
import subprocess

from tree import ROOT, line_of

LINES_MAX = 600
FUNCTION_MAX = 50  # lines; nine in ten functions of a room
FUNCTION_MEDIAN = 20
_BANNED = re.compile(r"(?<![\w.>])(strcpy|strcat|sprintf|vsprintf|strtok|gets|atoi|alloca|system|popen)\s*\(")
_HARMLESS_IN_TESTS = ("atoi", "system")  # a test reads numbers that it wrote itself, and runs rm and openssl
_LATER = re.compile(r"\b(%s)\b" % "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK")))
_DRAWER = re.compile(r"(^|/|_)(utils?|common|misc|helpers?)\.(c|h|py|js|sh)$")
_CODE = (".c", ".h", ".py", ".js", ".sh")


def banned_functions(tree):
    """functions that cannot be used safely are not used"""
    for name in tree.some(".c", ".h"):
        code = tree.code(name)
        for match in _BANNED.finditer(code):
            if name.startswith("tests/") and match.group(1) in _HARMLESS_IN_TESTS:
                continue
            yield name, line_of(code, match.start()), "%s is banned" % match.group(1)


def nothing_left_for_later(tree):
    """no word that puts work off stands in code"""
    for name in tree.files:
        if name.endswith(".md") or name == "LICENSE":
            continue
        for number, line in tree.lines(name):
            if _LATER.search(line):
                yield name, number, "left for later: %s" % line.strip()[:60]


def no_placeholder(tree):
    """no document has a part that was to be filled in"""
    for name in tree.some(".md", ".1", ".example", ".service"):
        for number, line in tree.lines(name):
            if re.search(r"@@\w+@@", line):
                yield name, number, "a part is missing: %s" % line.strip()


def file_size(tree):
    """a file of code has at most 600 lines"""
    for name in tree.some(*_CODE):
        count = len(tree.lines(name))
        if count > LINES_MAX:
            yield name, LINES_MAX + 1, "%d lines; at most %d" % (count, LINES_MAX)


def file_names(tree):
    """a file is named by a noun, not a drawer"""
    for name in tree.some(*_CODE):
        if _DRAWER.search(name):
            yield name, 1, "name the noun"


def _functions(tree, name):
    """Lines of each function's body, braces included: they stand in the first column."""
    start = None
    for number, line in enumerate(tree.code(name).splitlines(), 1):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            yield start, number - start + 1
            start = None


def function_size(tree):
    """functions of a room: half of them up to 20 lines, nine in ten up to 50"""
    rooms = {}
    for name in tree.some(".c"):
        if not name.startswith("tests/"):
            rooms.setdefault(os.path.dirname(name), []).extend((n, name, at) for at, n in _functions(tree, name))
    for room, found in sorted(rooms.items()):
        found.sort()
        median, tenth = found[len(found) // 2][0], found[len(found) * 9 // 10]
        if median > FUNCTION_MEDIAN:
            yield room, 1, "the median function has %d lines; at most %d" % (median, FUNCTION_MEDIAN)
        if tenth[0] > FUNCTION_MAX:
            yield tenth[1], tenth[2], "more than one in ten functions of %s is over %d lines, as this one" % (room, FUNCTION_MAX)


def _shebang(tree, name):
    first = tree.text(name).split("\n", 1)[0]
    return re.match(r"#!\s*(?:/usr/bin/env\s+)?(?:\S*/)?(\w+)", first)


def scripts_parse(tree):
    """shell scripts and Python files parse"""
    for name in tree.files:
        bang = _shebang(tree, name)
        if name.endswith(".py") or (bang and bang.group(1).startswith("python")):
            try:
                ast.parse(tree.text(name), name)
            except SyntaxError as error:
                yield name, error.lineno or 1, error.msg
        elif name.endswith(".sh") or (bang and bang.group(1) in ("sh", "bash", "dash")):
            shell = bang.group(1) if bang else "sh"
            done = subprocess.run([shell, "-n", os.path.join(ROOT, name)], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                found = re.search(r"(?:line )?(\d+):\s*(.*)", done.stderr.replace(name, ""))
                yield name, int(found.group(1)) if found else 1, found.group(2) if found else done.stderr.strip()


RULES = [banned_functions, nothing_left_for_later, no_placeholder, file_size, file_names, function_size, scripts_parse]
