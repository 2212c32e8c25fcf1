#!/usr/bin/env python3
"""
Line coverage of shared/: builds with gcov's counters, runs the unit programs, the corpora of the fuzz targets and the e2e tests that
drive the command and the courier (over nginx alone: the modules are the ordinary ones), and prints what gcovr says of each file.

The floor stands in tests/coverage.floor, in percent. It only rises: whoever adds tests raises it, nobody lowers it. Exits with 1
under the floor, or when a test failed on the way.
"""
import argparse
import glob
import json
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FLOOR = os.path.join(ROOT, "tests", "coverage.floor")
E2E = ["tests/e2e/test_command*.py", "tests/e2e/test_courier.py", "tests/e2e/test_dead.py", "tests/e2e/test_verdicts.py",
       "tests/e2e/test_http.py", "tests/e2e/test_bad_input.py", "tests/e2e/test_lifecycle_nginx.py"]
MODULES = ("mod_marketo.so", "ngx_http_marketo_module.so")


def run(log, command, **env):
    log.write("$ %s\n" % " ".join(command))
    log.flush()
    return subprocess.run(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False,
                          env=dict(os.environ, **env)).returncode


def build(log, out, jobs):
    """The counters are in `marketo` and the test programs; servers load the modules that the ordinary build made."""
    directory = os.path.join(out, "coverage")
    tree = os.path.join(directory, "build")
    for command in ([os.path.join(ROOT, "build", "build.sh"), out, str(jobs)],
                    ["cmake", "-S", ROOT, "-B", tree, "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_C_FLAGS=--coverage -O0"],
                    ["cmake", "--build", tree, "-j%d" % jobs]):
        if run(log, command) != 0:
            sys.exit("The build with counters failed; see %s" % log.name)
    for name in glob.glob(os.path.join(tree, "**", "*.gcda"), recursive=True):
        os.remove(name)
    for name in MODULES:
        shutil.copy(os.path.join(out, name), directory)
    shutil.copy(os.path.join(tree, "shared", "marketo"), directory)
    return directory


def open_to_all(tree):
    """A courier counts as the user of the workers; root's counters must be his to add to."""
    for directory, _, files in os.walk(tree):
        os.chmod(directory, 0o777)
        for name in files:
            if name.endswith(".gcda"):
                os.chmod(os.path.join(directory, name), 0o666)


def measure(log, directory):
    """Runs everything that counts. Returns what failed."""
    tree, failed = os.path.join(directory, "build"), []
    for program in sorted(glob.glob(os.path.join(tree, "tests", "unit", "test_*"))):
        if os.access(program, os.X_OK) and run(log, [program]) != 0:
            failed.append(os.path.basename(program))
    for corpus in sorted(glob.glob(os.path.join(ROOT, "tests", "fuzz", "corpus", "*"))):
        name = "fuzz_" + os.path.basename(corpus)
        if run(log, [os.path.join(tree, "tests", "fuzz", name), corpus]) != 0:
            failed.append(name)
    run(log, [os.path.join(directory, "marketo"), "check", "--keys"])  # makes the files of its counters
    open_to_all(tree)
    files = sorted(f for pattern in E2E for f in glob.glob(os.path.join(ROOT, pattern)))
    if run(log, [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--color=no", "-n", "4", "--dist", "loadfile", *files],
           MKTO_OUT=directory, MKTO_SERVERS="nginx") != 0:
        failed.append("e2e")
    return failed


def table(directory):
    """Prints a line for each file. Returns the percentage of all lines."""
    summary = os.path.join(directory, "summary.json")
    subprocess.run(["gcovr", "--root", ROOT, "--filter", "shared/", "--json-summary", summary, "--exclude-throw-branches",
                    os.path.join(directory, "build")], cwd=ROOT, check=True)
    with open(summary, encoding="utf-8") as file:
        found = json.load(file)
    for row in sorted(found["files"], key=lambda row: row["line_percent"] or 0):
        print("%6.1f %%  %5d of %5d lines  %s" % (row["line_percent"] or 0, row["line_covered"], row["line_total"], row["filename"]))
    print("%6.1f %%  %5d of %5d lines  all of shared/" % (found["line_percent"], found["line_covered"], found["line_total"]))
    return found["line_percent"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="out")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    out = os.path.abspath(options.out)
    os.makedirs(os.path.join(out, "test"), exist_ok=True)
    with open(os.path.join(out, "test", "coverage.log"), "w", encoding="utf-8") as log:
        directory = build(log, out, options.jobs)
        failed = measure(log, directory)
    percent = table(directory)
    with open(FLOOR, encoding="utf-8") as file:
        floor = float(file.read())
    for name in failed:
        print("FAILED %s: see %s" % (name, log.name))
    if percent < floor:
        print("coverage: %.1f %% is under the floor of %.1f %%" % (percent, floor))
        return 1
    print("coverage: %.1f %%, floor %.1f %%%s" % (percent, floor, ": raise it" if percent >= floor + 1 else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
