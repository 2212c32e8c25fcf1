"""What other tools find: clang-format, cppcheck, clang-tidy, gcc's analyzer."""
import concurrent.futures
import json
import os
import re
import shlex
import shutil
import subprocess

from tree import ROOT

# What clang-tidy is asked for; the compilers' own warnings are on already. Left out: what is a matter of taste; valist, which clang 14
# gets wrong after every va_start; and unix.Malloc, which takes a list that is emptied for one freed twice (ASan and valgrind run).
TIDY_CHECKS = ",".join((
    "-*", "clang-analyzer-*", "-clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling",
    "-clang-analyzer-valist.Uninitialized", "-clang-analyzer-unix.Malloc", "-clang-analyzer-optin.performance.Padding", "bugprone-*",
    "-bugprone-easily-swappable-parameters", "-bugprone-narrowing-conversions", "-bugprone-assignment-in-if-condition",
    "-bugprone-reserved-identifier", "-bugprone-macro-parentheses", "-bugprone-implicit-widening-of-multiplication-result",
    "-bugprone-sizeof-expression", "-bugprone-suspicious-string-compare", "-bugprone-not-null-terminated-result"))

# What gcc 12's -fanalyzer says and is not so: it loses memory out of sight that a struct keeps which it reaches through a pointer.
ANALYZER_WRONG = {
    "shared/cli/mkto_inquiry.c": "leak of",  # (*inquiry)->buffer: inquiry_close frees it, registered with the pool in the next line
    "shared/courier/mkto_dispatch_answer.c": "leak of 'strdup(*hearing.result.token)'",  # channel->token: mkto_dispatch_token_drop
    "shared/courier/mkto_lanes.c": "leak of",  # slab->chunks[]: the pool's cleanup walks them; a test looks that all comes back
    "shared/courier/mkto_transport_curl.c": "leak of 'strdup(ca_file)'",  # slot->ca_file: set_ca and the end of the slot free it
}


class Missing(Exception):
    """The tool, or what it needs, is not there."""


def _run(command, **more):
    if shutil.which(command[0]) is None:
        raise Missing("%s is not installed" % command[0])
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, **more)


def _database(tree):
    path = os.path.join(tree.out, "build", "compile_commands.json")
    if not os.path.exists(path):
        raise Missing("%s is not there: build first" % os.path.relpath(path, ROOT))
    return path


def _relative(path):
    return os.path.relpath(os.path.join(ROOT, path), ROOT)


def clang_format(tree):
    """C files are as clang-format would write them"""
    seen = set()
    done = _run(["clang-format", "--dry-run", "-Werror", *tree.some(".c", ".h")])
    for name, line in re.findall(r"^(\S+?):(\d+):\d+: error: code should be clang-formatted", done.stderr, re.M):
        if name not in seen:
            seen.add(name)
            yield name, int(line), "clang-format would write this another way"


def cppcheck(tree):
    """cppcheck finds nothing outside the tests, where it does not know that a cmocka assertion ends the function"""
    done = _run(["cppcheck", "--project=" + _database(tree), "--enable=warning,performance,portability", "--inline-suppr",
                 "--quiet", "-j2", "--template={file}:{line}: {message} ({id})", "--suppress=missingIncludeSystem", "--suppress=unknownMacro"])
    for name, line, reason in re.findall(r"^([^:\n]+):(\d+): (.*)$", done.stderr, re.M):
        if not _relative(name).startswith(("..", "tests/")):
            yield _relative(name), int(line), reason


def clang_tidy(tree):
    """clang-tidy's analyzer and its bug-prone patterns find nothing"""
    files = tree.some(".c", under="shared/")
    command = ["xargs", "-P2", "-n6", "clang-tidy", "-p", os.path.dirname(_database(tree)), "--quiet", "-checks=" + TIDY_CHECKS]
    if shutil.which("clang-tidy") is None:
        raise Missing("clang-tidy is not installed")
    done = _run(command, input="\n".join(files))
    seen = set()
    for name, line, reason in re.findall(r"^(\S+?):(\d+):\d+: (?:warning|error): (.*)$", done.stdout, re.M):
        finding = (_relative(name), int(line), reason)
        if finding not in seen and not finding[0].startswith(".."):
            seen.add(finding)
            yield finding


def _analyze(entry):
    words = shlex.split(entry["command"])
    words[words.index("-o") + 1] = os.devnull
    done = subprocess.run([*words, "-fanalyzer", "-Wno-error", "-fdiagnostics-plain-output"], cwd=entry["directory"], capture_output=True,
                          text=True, check=False, env=dict(os.environ, LC_ALL="C"))
    return re.findall(r"^(\S+?):(\d+):\d+: warning: (.*-Wanalyzer.*)$", done.stderr, re.M)


def gcc_analyzer(tree):
    """gcc -fanalyzer finds nothing in shared/ and mod_marketo/ but what it is known to get wrong"""
    with open(_database(tree), encoding="utf-8") as file:
        entries = [e for e in json.load(file) if _relative(e["file"]).startswith(("shared/", "mod_marketo/"))]
    if shutil.which("gcc") is None or "clang" in shlex.split(entries[0]["command"])[0]:
        raise Missing("the build is not gcc's")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for found in pool.map(_analyze, entries):
            for name, line, reason in found:
                if not reason.startswith(ANALYZER_WRONG.get(_relative(name), "\0")):
                    yield _relative(name), int(line), reason


RULES = [clang_format, cppcheck, clang_tidy, gcc_analyzer]
