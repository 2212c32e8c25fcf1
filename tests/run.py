#!/usr/bin/env python3
"""
Runs the layers of `make test` and prints a closing line: how many passed, failed and were skipped, and why.

  build   both modules and the command with gcc, and with clang, at -Werror
  unit    cmocka programs
  asan    the same programs, and the e2e tests over nginx and httpd (event), built with ASan and UBSan
  valgrind the unit programs under memcheck
  sandbox the sandbox Marketo's own tests
  e2e     pytest over real nginx and httpd (event, worker, prefork)
  browser pytest: marketo.js and published tracking clients, in Chromium and Node, over nginx and httpd (event)
  fault   pytest: kill -9, SIGSTOP, full disk, Marketo away
  lint    tests/lint/run.py, clang-tidy, cppcheck

Naming layers on the command line runs only those. Each layer's full output is kept in out/test/LAYER.log.
"""
import argparse
import glob
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PYTEST = ["/usr/bin/python3", "-m", "pytest", "-p", "no:cacheprovider", "-q", "-rs", "--color=no"]
WORKERS = ["-n", "3", "--dist", "loadfile"]  # most tests wait for something: more of them than cores


class Layer:
    def __init__(self, name, out):
        self.name = name
        self.directory = os.path.join(out, "test", name)
        shutil.rmtree(self.directory, ignore_errors=True)
        os.makedirs(self.directory)
        self.log = self.directory + ".log"
        self.passed = self.failed = self.skipped = 0
        self.reasons = []
        self.failures = []
        open(self.log, "w").close()

    def run(self, command, **more):
        """Runs a command into the layer's log. Returns its exit code."""
        env = dict(os.environ, **(more.pop("env", None) or {}))
        with open(self.log, "a", encoding="utf-8") as log:
            log.write("$ %s\n" % " ".join(command))
            log.flush()
            return subprocess.run(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                  env=env, check=False, **more).returncode

    def check(self, what, ok):
        if ok:
            self.passed += 1
        else:
            self.failed += 1
            self.failures.append(what)
        return ok

    def _said(self, name):
        """Why a cmocka program skipped a case: it prints "skipped NAME: why", for cmocka keeps no reason."""
        with open(self.log, encoding="utf-8", errors="replace") as log:
            found = re.findall(r"^skipped %s: (.*)$" % re.escape(name), log.read(), re.M)
        return found[-1] if found else "no reason given"

    def junit(self, path):
        """Adds the cases of a JUnit file, as pytest and cmocka write them. Returns how many there were."""
        cases = 0
        for case in ET.parse(path).iter("testcase"):
            cases += 1
            name = "%s %s" % (case.get("classname", ""), case.get("name"))
            skipped = case.find("skipped")
            if case.find("failure") is not None or case.find("error") is not None:
                self.failed += 1
                self.failures.append(name.strip())
            elif skipped is not None:
                self.skipped += 1
                self.reasons.append("%s: %s" % (name.strip(), skipped.get("message") or self._said(case.get("name"))))
            else:
                self.passed += 1
        return cases


def build(layer, directory, jobs, *options, env=None):
    code = layer.run([os.path.join(ROOT, "build", "build.sh"), directory, str(jobs), "-DMARKETO_WERROR=ON", *options],
                     env=env or {})
    if code != 0:
        shutil.copyfileobj(open(os.path.join(directory, "build.log"), encoding="utf-8"), sys.stdout)
    return code == 0


def programs(directory):
    return sorted(p for p in glob.glob(os.path.join(directory, "build", "tests", "unit", "test_*")) if os.access(p, os.X_OK))


def unit_programs(layer, directory, prefix=(), env=None):
    for program in programs(directory):
        name = os.path.basename(program)
        report = os.path.join(layer.directory, name + ".xml")
        code = layer.run([*prefix, program], timeout=600,
                         env=dict(env or {}, CMOCKA_MESSAGE_OUTPUT="xml", CMOCKA_XML_FILE=report))
        cases = layer.junit(report) if os.path.exists(report) else 0
        if code != 0 and not any(name in f for f in layer.failures):
            layer.check("%s ended with %d" % (name, code), False)
        if cases == 0:
            layer.check("%s ran no test" % name, False)


def pytest(layer, *arguments, env=None):
    report = os.path.join(layer.directory, "junit.xml")
    code = layer.run([*PYTEST, "--junitxml=" + report, *arguments], env=env)
    if os.path.exists(report):
        if layer.junit(report) == 0:
            layer.check("pytest found no test", False)
        os.remove(report)
    if code not in (0, 1):
        layer.check("pytest ended with %d" % code, False)


def run_build(layer, out, jobs):
    if not layer.check("gcc build", build(layer, out, jobs)):
        return
    layer.check("clang build", build(layer, os.path.join(out, "clang"), jobs, "-DCMAKE_C_COMPILER=clang",
                                     env={"CC": "clang"}))


def run_unit(layer, out, _jobs):
    unit_programs(layer, out)


def run_asan(layer, out, jobs):
    directory = os.path.join(out, "asan")
    if not layer.check("ASan and UBSan build", build(layer, directory, jobs, "-DMARKETO_SANITIZE=address,undefined",
                                                     env={"MARKETO_SANITIZE": "address,undefined"})):
        return
    env = {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0", "UBSAN_OPTIONS": "print_stacktrace=1"}
    unit_programs(layer, directory, env=env)
    pytest(layer, *WORKERS, "tests/e2e", env={"MKTO_OUT": directory, "MKTO_SANITIZED": "1", "MKTO_SERVERS": "nginx,httpd-event"})


def run_valgrind(layer, out, _jobs):
    unit_programs(layer, out, ["valgrind", "--quiet", "--error-exitcode=99", "--leak-check=full",
                               "--errors-for-leak-kinds=definite", "--child-silent-after-fork=yes"],
                  env={"MKTO_VALGRIND": "1"})


def run_sandbox(layer, _out, _jobs):
    pytest(layer, "tests/sandbox")


def run_e2e(layer, out, _jobs):
    pytest(layer, *WORKERS, "tests/e2e", env={"MKTO_OUT": out})


def run_browser(layer, out, _jobs):
    pytest(layer, *WORKERS, "tests/browser", env={"MKTO_OUT": out})


def run_fault(layer, out, _jobs):
    pytest(layer, "-n", "3", "tests/fault", env={"MKTO_OUT": out})


def run_lint(layer, out, _jobs):
    layer.run(["/usr/bin/python3", "tests/lint/run.py", "--out", out])
    with open(layer.log, encoding="utf-8") as log:
        text = log.read()
    closing = re.findall(r"^lint: (\d+) passed, (\d+) failed$", text, re.M)
    if not closing:
        layer.check("the linter did not finish", False)
        return
    layer.passed += int(closing[-1][0])
    layer.failed += int(closing[-1][1])
    if int(closing[-1][1]):
        layer.failures += [line for line in text.splitlines() if re.match(r"^\S+:\d+: ", line)][:40]


LAYERS = {"build": run_build, "unit": run_unit, "sandbox": run_sandbox, "lint": run_lint, "e2e": run_e2e,
          "browser": run_browser, "fault": run_fault, "asan": run_asan, "valgrind": run_valgrind}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="out")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("layers", nargs="*", choices=[*LAYERS, []], metavar="LAYER")
    options = parser.parse_args()
    out = os.path.abspath(options.out)
    names = list(LAYERS) if not options.layers else ["build", *[n for n in options.layers if n != "build"]]
    done = []
    for name in names:
        layer = Layer(name, out)
        started = time.monotonic()
        print("%-9s" % name, end="", flush=True)
        LAYERS[name](layer, out, options.jobs)
        print("%5d passed %4d failed %4d skipped  %4.0f s" % (layer.passed, layer.failed, layer.skipped,
                                                              time.monotonic() - started), flush=True)
        done.append((layer, time.monotonic() - started))
        if name == "build" and layer.failed:
            break
    for layer, _ in done:
        for failure in layer.failures:
            print("FAILED %s: %s" % (layer.name, failure))
        if layer.failures:
            print("       full output: %s" % os.path.relpath(layer.log, ROOT))
        for reason in layer.reasons:
            print("skipped %s: %s" % (layer.name, reason))
    longest = max(done, key=lambda d: d[1])
    print("longest: %s, %.0f of %.0f s" % (longest[0].name, longest[1], sum(d[1] for d in done)))
    failed = sum(l.failed for l, _ in done)
    print("%d passed, %d failed, %d skipped" % (sum(l.passed for l, _ in done), failed, sum(l.skipped for l, _ in done)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
