#!/usr/bin/env python3
"""
Runs the layers of `make test` and prints a closing line: how many passed, failed and were skipped, and why.

  build   both modules and the command with gcc, and with clang, at -Werror
  unit    cmocka programs, and the corpus of each fuzz target (tests/fuzz)
  asan    the same, built with ASan and UBSan
  asan-e2e the e2e tests over nginx and httpd (event), with that build
  tsan    the programs of threads (tests/threads) under ThreadSanitizer
  valgrind the unit programs under memcheck
  sandbox the sandbox Marketo's own tests, and our writers against those of others (tests/fuzz)
  e2e     pytest over real nginx and httpd (event, worker, prefork)
  browser pytest: marketo.js and published tracking clients, in Chromium and Node, over nginx and httpd (event)
  fault   pytest: kill -9, SIGSTOP, full disk, Marketo away
  lint    tests/lint/run.py, clang-tidy, cppcheck, gcc -fanalyzer

Naming layers on the command line runs only those. Each layer's full output is kept in out/test/LAYER.log.

Two layers run at a time: one that mostly waits (servers that start, timeouts, reloads) beside one that mostly computes. The
one that computes is nice, so that the other one's servers answer as if they were alone.
"""
import argparse
import glob
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PYTEST = ["/usr/bin/python3", "-m", "pytest", "-p", "no:cacheprovider", "-q", "-rs", "--color=no"]
TSAN_ROUNDS = 5  # threads meet in another order each time
SAID_MAX = 600  # of what a failed case said, in the lines at the end
WORKERS = ["-n", "4", "--dist", "loadfile"]  # most tests wait for something: more of them than cores


class Layer:
    def __init__(self, name, out):
        self.name = name
        self.seconds = 0
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
            nice = ["nice", "-n", "5"] if self.name in BUSY else []
            return subprocess.run([*nice, *command], cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                  env=env, check=False, **more).returncode

    def line(self):
        return "%-9s%5d passed %4d failed %4d skipped  %4.0f s" % (self.name, self.passed, self.failed, self.skipped, self.seconds)

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

    def _why(self, skipped, name):
        """Of a module that is skipped as a whole pytest's message says only that; the reason is in the text: (file, line, 'Skipped: why')."""
        whole = re.search(r"Skipped: (.*)['\"]\)", skipped.text or "")
        if skipped.get("message") == "collection skipped" and whole:
            return whole.group(1)
        return skipped.get("message") or self._said(name)

    def junit(self, path):
        """Adds the cases of a JUnit file, as pytest and cmocka write them. Returns how many there were."""
        cases = 0
        for case in ET.parse(path).iter("testcase"):
            cases += 1
            name = "%s %s" % (case.get("classname", ""), case.get("name"))
            skipped, broken = case.find("skipped"), case.find("failure")
            broken = case.find("error") if broken is None else broken
            if broken is not None:
                self.failed += 1
                said = " ".join((broken.get("message") or broken.text or "").split())
                self.failures.append("%s: %s" % (name.strip(), said[:SAID_MAX]))
            elif skipped is not None:
                self.skipped += 1
                self.reasons.append("%s: %s" % (name.strip(), self._why(skipped, case.get("name"))))
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
    found = [p for room in ("unit", "threads") for p in glob.glob(os.path.join(directory, "build", "tests", room, "test_*"))]
    return sorted(p for p in found if os.access(p, os.X_OK))


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


def replay(layer, directory, env=None):
    """Gives each fuzz target the inputs that are kept for it. The target's last line in the log names the one that broke it."""
    kept, built = os.path.join("tests", "fuzz", "corpus"), os.path.join(directory, "build", "tests", "fuzz")
    targets = {name for name in os.listdir(built) if re.fullmatch(r"fuzz_[a-z]+", name)}
    for name in sorted(targets | {"fuzz_" + noun for noun in os.listdir(os.path.join(ROOT, kept))}):
        code = layer.run([os.path.join(built, name), os.path.join(kept, name[len("fuzz_"):])], timeout=600, env=env)
        layer.check("%s over its corpus ended with %d" % (name, code), code == 0)


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
    replay(layer, out)


def run_asan(layer, out, jobs):
    directory = os.path.join(out, "asan")
    if not layer.check("ASan and UBSan build", build(layer, directory, jobs, "-DMARKETO_SANITIZE=address,undefined",
                                                     env={"MARKETO_SANITIZE": "address,undefined"})):
        return
    env = {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0", "UBSAN_OPTIONS": "print_stacktrace=1"}
    unit_programs(layer, directory, env=env)
    replay(layer, directory, env=env)


def run_asan_e2e(layer, out, _jobs):
    pytest(layer, *WORKERS, "tests/e2e", env={"MKTO_OUT": os.path.join(out, "asan"), "MKTO_SANITIZED": "1",
                                              "MKTO_SERVERS": "nginx,httpd-event"})


def run_tsan(layer, out, jobs):
    tree = os.path.join(out, "tsan", "build")
    built = (layer.run(["cmake", "-S", ROOT, "-B", tree, "-DMARKETO_SANITIZE=thread"]) == 0
             and layer.run(["cmake", "--build", tree, "-j%d" % jobs, "--target", "test_link_threads"]) == 0)
    if layer.check("TSan build", built):
        for number in range(TSAN_ROUNDS):
            code = layer.run([os.path.join(tree, "tests", "threads", "test_link_threads")], timeout=300)
            layer.check("test_link_threads under TSan, round %d, ended with %d" % (number, code), code == 0)


def run_valgrind(layer, out, _jobs):
    # Definite leaks only: what is reachable or possibly lost at the end are pools and tables that libraries keep for a process's life.
    unit_programs(layer, out, ["valgrind", "--quiet", "--error-exitcode=99", "--leak-check=full",
                               "--errors-for-leak-kinds=definite", "--child-silent-after-fork=yes"],
                  env={"MKTO_VALGRIND": "1"})


def run_sandbox(layer, out, _jobs):
    pytest(layer, "tests/sandbox", "tests/fuzz", env={"MKTO_OUT": out})


def run_e2e(layer, out, _jobs):
    pytest(layer, *WORKERS, "tests/e2e", env={"MKTO_OUT": out})


def run_browser(layer, out, _jobs):
    pytest(layer, *WORKERS, "tests/browser", env={"MKTO_OUT": out})


def run_fault(layer, out, _jobs):
    pytest(layer, "-n", "4", "tests/fault", env={"MKTO_OUT": out})


def run_lint(layer, out, _jobs):
    layer.run(["/usr/bin/python3", "tests/lint/run.py", "--out", out])
    with open(layer.log, encoding="utf-8") as log:
        text = log.read()
    closing = re.findall(r"^lint: (\d+) passed, (\d+) failed$", text, re.M)
    if not closing:
        layer.check("the linter did not finish", False)
        return
    for rule, why in re.findall(r"^skipped (\S+): (.*)$", text, re.M):
        layer.skipped += 1
        layer.reasons.append("%s: %s" % (rule, why))
    layer.passed += int(closing[-1][0])
    layer.failed += int(closing[-1][1])
    if int(closing[-1][1]):
        layer.failures += [line for line in text.splitlines() if re.match(r"^\S+:\d+: ", line)][:40]


LAYERS = {"build": run_build, "e2e": run_e2e, "browser": run_browser, "fault": run_fault, "asan-e2e": run_asan_e2e,
          "sandbox": run_sandbox, "asan": run_asan, "tsan": run_tsan, "valgrind": run_valgrind, "unit": run_unit, "lint": run_lint}
BUSY = ("asan", "tsan", "valgrind", "unit", "lint")  # these compute; the others wait. Each in the order in which they begin
NEEDS = {"asan-e2e": "asan"}


class Plan:
    """Which layer is next. Both kinds have a lane of their own, that helps the other one when its own layers are through."""

    def __init__(self, names, out, jobs):
        self.waiting, self.out, self.jobs = list(names), out, jobs
        self.under_way, self.done = [], []
        self.changed = threading.Condition()

    def _next(self, busy):
        ready = [n for n in self.waiting if NEEDS.get(n) not in [*self.waiting, *self.under_way]]
        own = [n for n in ready if (n in BUSY) == busy]
        return (own or ready or [None])[0]

    def _lane(self, busy):
        while True:
            with self.changed:
                while self.waiting and self._next(busy) is None:
                    self.changed.wait()
                if not self.waiting:
                    return
                name = self._next(busy)
                self.waiting.remove(name)
                self.under_way.append(name)
            try:
                layer = run_layer(name, self.out, self.jobs)
            finally:
                with self.changed:
                    self.under_way.remove(name)
                    self.changed.notify_all()
            self.done.append(layer)

    def run(self):
        lanes = [threading.Thread(target=self._lane, args=(busy,)) for busy in (False, True)]
        for lane in lanes:
            lane.start()
        try:
            for lane in lanes:
                lane.join()
        except KeyboardInterrupt:
            with self.changed:
                self.waiting.clear()
            raise


def run_layer(name, out, jobs):
    layer = Layer(name, out)
    started = time.monotonic()
    try:
        LAYERS[name](layer, out, jobs)
    except Exception as error:  # a layer that breaks is a failed layer, not the end of the others
        layer.check("%s: %s" % (type(error).__name__, error), False)
    layer.seconds = time.monotonic() - started
    print(layer.line(), flush=True)
    return layer


def report(done, seconds):
    """The lines at the end. Returns how many checks failed."""
    for layer in done:
        for failure in layer.failures:
            print("FAILED %s: %s" % (layer.name, failure))
        if layer.failures:
            print("       full output: %s" % os.path.relpath(layer.log, ROOT))
        for reason in layer.reasons:
            print("skipped %s: %s" % (layer.name, reason))
    longest = max(done, key=lambda layer: layer.seconds)
    failed = sum(layer.failed for layer in done)
    print("longest: %s, %.0f of %.0f s" % (longest.name, longest.seconds, seconds))
    print("%d passed, %d failed, %d skipped" % (sum(layer.passed for layer in done), failed, sum(layer.skipped for layer in done)))
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="out")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("layers", nargs="*", choices=[*LAYERS, []], metavar="LAYER")
    options = parser.parse_args()
    out, started = os.path.abspath(options.out), time.monotonic()
    wanted = {*(options.layers or LAYERS)}
    wanted |= {NEEDS[name] for name in wanted if name in NEEDS}
    done = [run_layer("build", out, options.jobs)]
    if not done[0].failed:
        plan = Plan([n for n in LAYERS if n in wanted and n != "build"], out, options.jobs)
        plan.run()
        done += sorted(plan.done, key=lambda layer: list(LAYERS).index(layer.name))
    return 1 if report(done, time.monotonic() - started) else 0


if __name__ == "__main__":
    sys.exit(main())
