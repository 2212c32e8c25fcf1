"""marketo.conf: the key table, `marketo check --keys`, README and the example file agree."""
import json
import os
import re
import subprocess

from tree import line_of

README = "README.md"
EXAMPLE = "build/marketo.conf.example"
OPEN_SECTIONS = {"fields", "sources"}  # their keys are the administrator's own


def table_keys(tree):
    """(section, key) -> (file, line), of the C table"""
    found = {}
    for name in tree.some(".c", under="shared/config/"):
        code = tree.code(name, strings=True)
        for table in re.finditer(r"struct mkto_config_key \w+\[\]\s*=\s*\{(.*?)\n\};", code, re.S):
            for row in re.finditer(r'\{\s*"(\w+)",\s*"(\w+)",', table.group(1)):
                found[row.groups()] = (name, line_of(code, table.start(1) + row.start()))
    return found


def _objects(value):
    if isinstance(value, dict):
        if "section" in value and "key" in value:
            yield value["section"], value["key"]
        for inner in value.values():
            yield from _objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _objects(inner)


def command_keys(tree):
    """What the built command prints; None when it is not built."""
    command = os.path.join(tree.out, "marketo")
    if not os.access(command, os.X_OK):
        return None
    text = subprocess.run([command, "check", "--keys", "--json"], capture_output=True, text=True, timeout=30, check=False).stdout
    try:
        return set(_objects(json.loads(text)))
    except ValueError:
        return {pair for line in text.splitlines() if line.startswith("{") for pair in _objects(json.loads(line))}


def command_agrees(tree):
    """`marketo check --keys --json` prints the key table"""
    table, printed = table_keys(tree), command_keys(tree)
    if not table:
        yield "shared/config", 1, "no key table found"
    if printed is None:
        return
    for pair in sorted(set(table) - printed):
        yield (*table[pair], "[%s] %s is not printed by marketo check --keys --json" % pair)
    for section, key in sorted(printed - set(table)):
        if section not in OPEN_SECTIONS:
            yield "shared/config", 1, "[%s] %s is printed by marketo check --keys, but is not in the table" % (section, key)


def readme_table(tree):
    """README has a row for every key of marketo.conf, and for no other"""
    table = table_keys(tree)
    names, shown = {key for _, key in table}, set()
    sections = OPEN_SECTIONS | {section for section, _ in table}
    for number, line in tree.section(README, "## marketo.conf"):
        cells = [cell.strip() for cell in line.split("|")[1:3]]  # the key is in the first cell, or behind its section's
        words = [cell[1:-1] for cell in cells if re.fullmatch(r"`\w+`", cell) and cell[1:-1] not in sections]
        if not words or (cells[0].strip("`[]") not in sections and cells[0] != "`%s`" % words[0]):
            continue
        shown.add(words[0])
        if words[0] not in names and not words[0].isupper():  # TRAIT and NAME stand for any name
            yield README, number, "%s is no key of marketo.conf" % words[0]
    for (section, key), (file, line) in sorted(table.items()):
        if key not in shown:
            yield file, line, "[%s] %s is not in the table of README, \"marketo.conf\"" % (section, key)


def example(tree):
    """the example marketo.conf uses keys that exist, each in its section"""
    if EXAMPLE not in tree.files:
        yield EXAMPLE, 1, "is missing"
        return
    table, section = set(table_keys(tree)), ""
    for number, line in tree.lines(EXAMPLE):
        head = re.match(r";?\[(\w+)[^]]*\]", line)
        row = re.match(r";?(\w+)\s*=", line)
        if head:
            section = head.group(1)
        elif row and section not in OPEN_SECTIONS and (section, row.group(1)) not in table:
            yield EXAMPLE, number, "[%s] has no key %s" % (section, row.group(1))


RULES = [command_agrees, readme_table, example]
