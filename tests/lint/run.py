#!/usr/bin/env python3
"""
Checks what no compiler does: that tables which must agree do, that walls hold, that texts have no holes. Prints one line for each
finding, `file:line: reason`, and at the end how many rules passed and failed. Needs Python's standard library only; cppcheck
and clang-tidy run when there is a build (--out) to look at.
"""
import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import bots  # noqa: E402
import client  # noqa: E402
import config_keys  # noqa: E402
import directives  # noqa: E402
import messages  # noqa: E402
import texts  # noqa: E402
import tools  # noqa: E402
import walls  # noqa: E402
from tree import ROOT, Tree  # noqa: E402

MODULES = (directives, config_keys, messages, walls, texts, client, bots, tools)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default=os.path.join(ROOT, "out"), help="where the build is")
    parser.add_argument("--list", action="store_true", help="print the rules and end")
    parser.add_argument("rules", nargs="*", help="only these, as --list names them")
    options = parser.parse_args()
    rules = {"%s.%s" % (m.__name__, rule.__name__): rule for m in MODULES for rule in m.RULES}
    if options.list:
        for name, rule in rules.items():
            print("%-32s %s" % (name, rule.__doc__))
        return 0
    unknown = [name for name in options.rules if name not in rules]
    if unknown:
        parser.error("no rule " + unknown[0])
    tree, passed, failed = Tree(os.path.abspath(options.out)), 0, 0
    for name, rule in rules.items():
        if options.rules and name not in options.rules:
            continue
        try:
            findings = list(rule(tree))
        except tools.Missing as missing:
            print("skipped %s: %s" % (name, missing))
            continue
        for file, line, reason in findings:
            print("%s:%d: %s [%s]" % (file, line, reason, name))
        passed += not findings
        failed += bool(findings)
    print("lint: %d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
