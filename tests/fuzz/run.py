#!/usr/bin/env python3
"""
Builds the fuzz targets with libFuzzer, ASan and UBSan, and runs each for a while, one after the other, from its corpus. Prints a
line for each and a closing line; exits with 1 when one of them found something. The input that did it is in
out/fuzz/found: mend the bug and keep the input in tests/fuzz/corpus, where `make test` replays it.

What libFuzzer learns on the way stays in out/fuzz/corpus, so that the next run goes on from there.
"""
import argparse
import glob
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SANITIZE = "address,undefined,fuzzer-no-link"
# A target that takes longer, or more memory, for one input has found something, too.
LIMITS = ["-timeout=10", "-rss_limit_mb=2048"]
LARGEST = {"batch": 65536, "event": 34000, "visit": 16384, "pixel": 17000, "request": 40000}  # bytes; others: as libFuzzer grows them


def build(out, jobs):
    directory = os.path.join(out, "build")
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(out, "build.log"), "w", encoding="utf-8") as log:
        for command in (["cmake", "-S", ROOT, "-B", directory, "-DCMAKE_C_COMPILER=clang", "-DMARKETO_FUZZ=ON",
                         "-DMARKETO_SANITIZE=" + SANITIZE],
                        ["cmake", "--build", directory, "-j%d" % jobs, "--target", "fuzzers"]):
            if subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False).returncode != 0:
                sys.exit("The fuzz targets cannot be built; see %s" % log.name)
    return os.path.join(directory, "tests", "fuzz")


def target(noun, program, out, seconds, number):
    """Runs one target. Returns the line that says how it went, and whether it found something."""
    learnt, found = os.path.join(out, "corpus", noun), os.path.join(out, "found")
    for directory in (learnt, found):
        os.makedirs(directory, exist_ok=True)
    command = [program, "-max_total_time=%d" % seconds, "-print_final_stats=1", "-artifact_prefix=%s/%s-" % (found, noun), *LIMITS]
    if noun in LARGEST:
        command.append("-max_len=%d" % LARGEST[noun])
    if number:
        command.append("-seed=%d" % number)
    log_name = os.path.join(out, noun + ".log")
    with open(log_name, "w", encoding="utf-8") as log:
        code = subprocess.run([*command, learnt, os.path.join(HERE, "corpus", noun)], stdout=log, stderr=subprocess.STDOUT,
                              stdin=subprocess.DEVNULL, check=False, env=dict(os.environ, UBSAN_OPTIONS="print_stacktrace=1")).returncode
    with open(log_name, encoding="utf-8", errors="replace") as log:
        text = log.read()
    runs = re.findall(r"number_of_executed_units: *(\d+)", text)
    covered = re.findall(r"cov: (\d+)", text)
    line = "%-8s %10s inputs %6s places covered" % (noun, runs[-1] if runs else "?", covered[-1] if covered else "?")
    if code == 0:
        return line, False
    why = re.findall(r"does not hold: .*|runtime error: .*|ERROR: .*", text)
    kept = re.findall(r"Test unit written to (\S+)", text)
    return "%s  FOUND: %s\n         input: %s\n         output: %s" % (
        line, why[0] if why else "ended with %d" % code, kept[-1] if kept else "none was kept", log_name), True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="out")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--seed", type=int, default=0, help="libFuzzer's; 0: another one each time, see the log")
    parser.add_argument("targets", nargs="*", help="only these, as event or cookie")
    options = parser.parse_args()
    out = os.path.join(os.path.abspath(options.out), "fuzz")
    if shutil.which("clang") is None:
        sys.exit("libFuzzer comes with clang, which is not installed")
    nouns = sorted(os.path.basename(path)[5:-2] for path in glob.glob(os.path.join(HERE, "fuzz_*.c")))
    unknown = [noun for noun in options.targets if noun not in nouns]
    if unknown:
        parser.error("no target %s; there are %s" % (unknown[0], ", ".join(nouns)))
    programs, findings = build(out, options.jobs), 0
    wanted = options.targets or nouns
    for noun in wanted:
        line, found = target(noun, os.path.join(programs, "fuzz_" + noun), out, options.seconds, options.seed)
        print(line, flush=True)
        findings += found
    print("%d targets, %d s each, %d findings" % (len(wanted), options.seconds, findings))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
