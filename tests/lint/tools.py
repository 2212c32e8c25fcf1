"""What other tools find: clang-format, cppcheck, clang-tidy, gcc's analyzer."""
import concurrent.futures
import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile

from tree import ROOT

# What clang-tidy is asked for, and what it is not, each with its reason; the compilers' own warnings are on already.
TIDY_CHECKS = ",".join((
    "-*", "clang-analyzer-*", "bugprone-*",
    # asks for memcpy_s and the like of C11's Annex K, which glibc does not have
    "-clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling",
    # clang 14 says it of each vsnprintf right after its va_start
    "-clang-analyzer-valist.Uninitialized",
    # one table of constants, whose rows are read by people in that order
    "-clang-analyzer-optin.performance.Padding",
    # any two neighbours of one type, as (data, other) or (len, max): names and tests tell them apart
    "-bugprone-easily-swappable-parameters",
    # only of characters that a ?: made ints of, where -Wconversion sees that the value fits
    "-bugprone-narrowing-conversions",
    # only of products of constants and small counts, and -Woverflow sees the constants
    "-bugprone-implicit-widening-of-multiplication-result",
    # only of arrays of pointers, where the size of a pointer is what is meant
    "-bugprone-sizeof-expression"))
# It gives a function up sooner than by default (225000), so that all of shared/ takes seconds and not minutes.
TIDY_NODES = 20000
# What it says and is not so: how the finding begins.
TIDY_WRONG = {
    # slot_unlink takes the head off the list before slot_give may free it; clang takes the next head for the old one
    "shared/courier/mkto_transport_curl.c": "Use of memory after it is freed",
    # the bytes are hashed with their length, and are no string
    "shared/courier/mkto_lanes_key.c": "the result from calling 'memcpy' is not null-terminated",
    # a request whose body is being read has a request_body
    "ngx_marketo/ngx_http_marketo_body.c": "Access to field 'bufs' results in a dereference of a null pointer",
    # a client that has no connection does not want to write
    "ngx_marketo/ngx_http_marketo_link.c": "Access to field 'write' results in a dereference of a null pointer",
}

# What gcc 12's -fanalyzer says and is not so, and in which function. Leaks: it loses memory out of sight that a struct keeps which it
# reaches through a pointer.
ANALYZER_WRONG = {
    # (*inquiry)->buffer: inquiry_close frees it, registered with the pool in the next line
    "shared/cli/mkto_inquiry.c": ("mkto_inquiry_open", "leak of '<unknown>'"),
    # channel->token: mkto_dispatch_token_drop
    "shared/courier/mkto_dispatch_answer.c": ("keep_token", "leak of 'strdup(*hearing.result.token)'"),
    # slab->chunks[]: the pool's cleanup walks them; a test looks that all comes back
    "shared/courier/mkto_lanes.c": ("slab_take", "leak of '<unknown>'"),
    # slot->ca_file: set_ca and the end of the slot free it
    "shared/courier/mkto_transport_curl.c": ("set_ca", "leak of 'strdup(ca_file)'"),
    # ctx->gathered: the cleanup of the request's pool frees it
    "ngx_marketo/ngx_http_marketo_body.c": ("ngx_http_marketo_take", "leak of '<unknown>'"),
    # NULL is for a configuration without http {}, and there nothing watches over a courier
    "ngx_marketo/ngx_http_marketo_presence.c": ("ngx_http_marketo_presence_nobody", "dereference of NULL 'mmcf'"),
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


def _nginx_entries(tree):
    """nginx's make knows how the files of ngx_marketo/ are compiled."""
    directory = os.path.join(tree.out, "nginx")
    makefile = os.path.join("objs", "Makefile")
    if not os.path.exists(os.path.join(directory, makefile)):
        raise Missing("the nginx module is not built")
    said = _run(["make", "-C", directory, "--no-print-directory", "-n", "-B", "-f", makefile, "modules"]).stdout.replace("\\\n", " ")
    for command in said.splitlines():
        source = re.search(r"\s(\S*ngx_marketo/\S+\.c)\b", command)
        if source and " -c " in command:
            yield {"directory": directory, "command": shlex.join(shlex.split(command)), "file": source.group(1)}


def _entries(tree):
    """How each file of shared/ and of both modules is compiled, as in a compile_commands.json"""
    with open(_database(tree), encoding="utf-8") as file:
        entries = [e for e in json.load(file) if _relative(e["file"]).startswith(("shared/", "mod_marketo/"))]
    return [*entries, *_nginx_entries(tree)]


@contextlib.contextmanager
def _compile_commands(entries):
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "compile_commands.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(entries, file)
        yield path


def clang_format(tree):
    """C files are as clang-format would write them"""
    seen = set()
    done = _run(["clang-format", "--dry-run", "-Werror", *tree.some(".c", ".h")])
    for name, line in re.findall(r"^(\S+?):(\d+):\d+: error: code should be clang-formatted", done.stderr, re.M):
        if name not in seen:
            seen.add(name)
            yield name, int(line), "clang-format would write this another way"


def cppcheck(tree):
    """cppcheck finds nothing in shared/ and both modules; in the tests it does not know that a cmocka assertion ends the function"""
    with _compile_commands(_entries(tree)) as path:
        done = _run(["cppcheck", "--project=" + path, "--enable=warning,performance,portability", "--inline-suppr",
                     "--quiet", "-j2", "--template={file}:{line}: {message} ({id})",
                     "-DAPR_STRINGIFY(n)=#n"])  # it looks into no header of the system
    for name, line, reason in re.findall(r"^([^:\n]+):(\d+): (.*)$", done.stderr, re.M):
        if not _relative(name).startswith(".."):
            yield _relative(name), int(line), reason


def clang_tidy(tree):
    """clang-tidy's analyzer and its bug-prone patterns find nothing in shared/ and both modules"""
    if shutil.which("clang-tidy") is None:
        raise Missing("clang-tidy is not installed")
    entries = _entries(tree)
    nodes = [word for part in ("-Xclang", "-analyzer-config", "-Xclang", "max-nodes=%d" % TIDY_NODES) for word in ("--extra-arg", part)]
    with _compile_commands(entries) as path:
        # A warning option of gcc's is an error with -Werror, and after an error clang's analyzer does not run.
        done = _run(["xargs", "-P2", "-n6", "clang-tidy", "-p", os.path.dirname(path), "--quiet", "-checks=" + TIDY_CHECKS,
                     "--extra-arg=-Wno-unknown-warning-option", *nodes], input="\n".join(entry["file"] for entry in entries))
    seen = set()
    for name in re.findall(r"^Error while processing (\S+)\.$", done.stderr, re.M):
        yield _relative(name), 1, "clang-tidy cannot read it"
    for name, line, reason in re.findall(r"^(\S+?):(\d+):\d+: (?:warning|error): (.*)$", done.stdout, re.M):
        finding = (_relative(name), int(line), reason)
        known = reason.startswith(TIDY_WRONG.get(finding[0], "\0"))
        if not known and finding not in seen and not finding[0].startswith(".."):
            seen.add(finding)
            yield finding


def _analyze(entry):
    """(file, line, function, what it says) of each finding"""
    words = shlex.split(entry["command"])
    words[words.index("-o") + 1] = os.devnull
    done = subprocess.run([*words, "-fanalyzer", "-Wno-error", "-fdiagnostics-plain-output"], cwd=entry["directory"], capture_output=True,
                          text=True, check=False, env=dict(os.environ, LC_ALL="C"))
    if done.returncode != 0:
        return [(entry["file"], 1, "", "gcc cannot read it")]
    found, function = [], ""
    for line in done.stderr.splitlines():
        inside = re.match(r"\S+: In function '(\w+)':$", line)
        finding = re.match(r"(\S+?):(\d+):\d+: warning: (.*-Wanalyzer.*)$", line)
        function = inside.group(1) if inside else function
        if finding:
            found.append((finding.group(1), int(finding.group(2)), function, finding.group(3)))
    return found


def gcc_analyzer(tree):
    """gcc -fanalyzer finds nothing in shared/ and both modules but what it is known to get wrong"""
    entries = _entries(tree)
    if shutil.which("gcc") is None or "clang" in shlex.split(entries[0]["command"])[0]:
        raise Missing("the build is not gcc's")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for found in pool.map(_analyze, entries):
            for name, line, function, reason in found:
                known, text = ANALYZER_WRONG.get(_relative(name), ("", "\0"))
                if function != known or not reason.startswith(text):
                    yield _relative(name), line, "%s: %s" % (function, reason)


RULES = [clang_format, cppcheck, clang_tidy, gcc_analyzer]
