# Two commands matter: `make run` shows it at work, `make test` proves it. `make help` lists the rest.
.POSIX:
.SUFFIXES:
.PHONY: all build deps run test bench growth bench-long bench-publish install clean help unit e2e browser fault lint asan asan-e2e tsan valgrind test-deps fuzz coverage crash soak

OUT = out
BUILD = $(OUT)/build
JOBS = 2
PYTHON = /usr/bin/python3
PREFIX = /usr
DESTDIR =
BENCH =

all: deps build ## install what the build needs, build marketo and both modules into out/

deps:
	@build/deps.sh build

build:
	@build/build.sh $(OUT) $(JOBS)

run: ## build, then a demonstration: sandbox Marketo, nginx and httpd on loopback, until Ctrl-C
	@build/deps.sh build run
	@build/build.sh $(OUT) $(JOBS)
	@$(PYTHON) tests/demo/demo.py --out $(OUT)

test-deps:
	@build/deps.sh build run test

test: test-deps ## build and run every test: unit, end to end, browser, fault, sanitizers, valgrind, lint
	@$(PYTHON) tests/run.py --out $(OUT) --jobs $(JOBS)

unit e2e browser fault lint asan asan-e2e tsan valgrind: test-deps ## one layer of `make test`
	@$(PYTHON) tests/run.py --out $(OUT) --jobs $(JOBS) $@

bench growth: test-deps build ## measure against the servers' own numbers; growth: beside many waiting events
	@cmake --build $(OUT)/build --target core_speed disk_clock >$(OUT)/build.log
	@$(PYTHON) tests/bench/bench.py --out $(OUT) $(BENCH) $(@:bench=)

bench-long: ## the same with 15 rounds of 5 s
	@$(MAKE) bench BENCH="--rounds 15 --seconds 5"

bench-publish: ## put the figures of the last `make bench` into BENCH.md
	@$(PYTHON) tests/bench/report.py $(OUT)/bench/bench.json

FUZZ_SECONDS = 60
fuzz: test-deps ## give each fuzz target FUZZ_SECONDS (60) of libFuzzer, from its corpus
	@$(PYTHON) tests/fuzz/run.py --out $(OUT) --jobs $(JOBS) --seconds $(FUZZ_SECONDS)

coverage: test-deps ## line coverage of shared/, file by file; fails under the floor
	@$(PYTHON) tests/coverage.py --out $(OUT) --jobs $(JOBS)

KILLS = 1000
crash: test-deps build ## kill -9 of everything at random moments under load, KILLS times (1000), then the audit
	@MKTO_OUT=$(OUT) MKTO_KILLS=$$(($(KILLS) / 2)) $(PYTHON) -m pytest -p no:cacheprovider -q -n 2 -s tests/fault/test_crash.py

SOAK = 1200
soak: test-deps build ## mixed load for SOAK seconds (1200) with a reload every minute: memory and descriptors stay flat
	@MKTO_OUT=$(OUT) MKTO_SOAK=$(SOAK) $(PYTHON) -m pytest -p no:cacheprovider -q -n 2 -s tests/soak

install: all ## install below $(DESTDIR)$(PREFIX): command, modules, man page, unit, example config
	@build/install.sh $(OUT) "$(DESTDIR)" "$(PREFIX)"

clean: ## remove out/
	rm -rf $(OUT)

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9 -]+:.*## / { printf "  make %-28s %s\n", $$1, $$2 }' Makefile
