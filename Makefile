# Perigee: `make run` is the whole story for a user, `make test` for a developer.
#
#   make run      install what is missing, build, create the database, serve on 127.0.0.1:8080
#   make test     install what is missing, run every test
#   make help     the other targets

BUILD   ?= build
DATA    ?= data
LISTEN  ?= 127.0.0.1:8080
DEMO    ?= $(BUILD)/demo
CC      := gcc
# Debian's own, where apt puts pytest and its friends
PYTHON  := /usr/bin/python3
ROUNDS  ?= 20
PREFIX  ?= /usr/local
SECONDS_EACH ?= 60

# What building and running needs, and what the tests need besides.
PACKAGES := liblua5.4-dev libuv1-dev libsqlite3-dev node-llhttp libcurl4-openssl-dev libsodium-dev zlib1g-dev \
            pkg-config gcc make tzdata python3
TEST_PACKAGES := libcmocka-dev clang libclang-rt-14-dev clang-format sqlite3 chromium fonts-dejavu-core wrk lua-check \
            python3-pytest python3-jsonschema python3-hypothesis python3-aiosmtpd

LIBRARIES := lua5.4 libuv sqlite3 libcurl libsodium zlib
WARNINGS  := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wformat=2 -Wimplicit-fallthrough \
             -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror
# https://best.openssf.org/Compiler-Hardening-Guides/ (the options that gcc 12 knows)
HARDENING := -fstack-protector-strong -fstack-clash-protection -fcf-protection=full \
             -fno-delete-null-pointer-checks -fno-strict-overflow -ftrivial-auto-var-init=zero -fPIE
LINKING   := -pie -Wl,-z,relro,-z,now,-z,noexecstack,-z,nodlopen

ifeq ($(SANITIZE),1)
  OPTIMISE := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
  LINKING  += -fsanitize=address,undefined
  # gcc: with -fsanitize these two warn of what cannot happen; the plain build still has them
  WARNINGS += -Wno-maybe-uninitialized -Wno-format-truncation
else ifeq ($(SANITIZE),fuzz)
  OPTIMISE := -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
  LINKING  += -fsanitize=fuzzer,address,undefined
  WARNINGS :=
  HARDENING :=
else
  OPTIMISE := -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3
endif

CFLAGS   := -std=c11 -D_GNU_SOURCE -g $(OPTIMISE) $(WARNINGS) $(HARDENING) $(EXTRA_CFLAGS)
CPPFLAGS := -Icore -isystem /usr/share/include/llhttp $(shell pkg-config --cflags $(LIBRARIES) 2>/dev/null)
LDLIBS   := $(shell pkg-config --libs $(LIBRARIES) 2>/dev/null) -lpthread -lm

CORE     := $(wildcard core/*/*.c)
LLHTTP   := api http llhttp
OBJECTS  := $(CORE:%.c=$(BUILD)/%.o) $(LLHTTP:%=$(BUILD)/llhttp/%.o)
LIBRARY  := $(BUILD)/libperigee.a
FUZZERS  := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/*_fuzz.c))
UNIT     := $(patsubst %.c,$(BUILD)/%,$(shell find tests/unit -name '*_test.c' 2>/dev/null))

# One run of pytest for each: their conftest.py have the same name.
BLACK_BOX := $(wildcard tests/cli tests/scripts tests/docs tests/rights tests/http)

.PHONY: node desk all deps test-deps build run demo test check unit units asan bench bench-long fuzz fuzzers crash format lint install clean help rights
.SECONDARY:
.DELETE_ON_ERROR:

all: build

help:
	@sed -n 's/^#   //p' Makefile
	@echo 'make build    compile build/perigee            make check    the quick tests (under a minute)'
	@echo 'make rights   every cell of the matrix of rights over HTTP (a minute)'
	@echo 'make asan     every test under ASan and UBSan  make bench    measure against the limits'
	@echo 'make bench-long  the same with 10,000,000 records'
	@echo 'make crash    kill -9 under load (ROUNDS=20)   make fuzz     libFuzzer (SECONDS_EACH=60)'
	@echo 'make lint     layout, luacheck, perigee check  make format   lay the sources out'
	@echo 'make install  into PREFIX (/usr/local)         make clean    remove build/'

deps:
	@tools/deps $(PACKAGES)

test-deps: deps
	@tools/deps $(TEST_PACKAGES)

build: $(BUILD)/perigee

$(BUILD)/perigee: $(BUILD)/core/main.o $(LIBRARY)
	$(CC) $(LINKING) -o $@ $^ $(LDLIBS)

$(LIBRARY): $(OBJECTS)
	@rm -f $@
	@ar rcs $@ $^

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/llhttp/%.o: /usr/share/llhttp/%.c
	@mkdir -p $(@D)
	@$(CC) -O2 -g -fPIE -w -DLLHTTP_STRICT_MODE=1 -I/usr/share/include/llhttp -c -o $@ $<

# Fills data folders through the store's own code.
$(BUILD)/tests/bench/generate: tests/bench/generate.c $(LIBRARY)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LINKING) -o $@ $< $(LIBRARY) $(LDLIBS)

# The load client and the limits stand on libraries alone: nothing of the product is in them.
$(BUILD)/tests/bench/%: tests/bench/%.c $(LLHTTP:%=$(BUILD)/llhttp/%.o)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LINKING) -o $@ $< $(LLHTTP:%=$(BUILD)/llhttp/%.o) $(LDLIBS)

$(BUILD)/tests/%: tests/%.c $(LIBRARY)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -Itests $(CFLAGS) -MMD -MP $(LINKING) -o $@ $< $(LIBRARY) $(LDLIBS) -lcmocka

# The web workplace: one script and one style sheet, with hashes in their names.
DESK := $(shell find plugins/desk/src plugins/desk/build.mjs plugins/desk/package-lock.json 2>/dev/null)

desk: build/desk/index.html

build/desk/index.html: $(DESK)
	@tools/npm plugins/desk
	@cd plugins/desk && node build.mjs $(abspath build/desk)

# ---- running ----

# Everything a newcomer needs; a second run finds it all in place.
run: deps
	@$(MAKE) --no-print-directory -j2 -s build
	@$(MAKE) --no-print-directory -s desk || echo 'The desk could not be built (npm is needed): the API is served without it.'
	@tools/first-run $(BUILD)/perigee $(DATA) $(LISTEN)

# ---- testing ----

PYTEST  := $(PYTHON) -m pytest -q -p no:cacheprovider
PERIGEE := PERIGEE=$(abspath $(BUILD)/perigee)
QUIET   := $(MAKE) --no-print-directory -s

# Everything: static checks, unit tests plain and under the sanitizers, short turns of the slow targets, black-box tests.
test: test-deps node
	@$(QUIET) -j2 build units desk
	@$(QUIET) lint unit
	@$(BUILD)/perigee test
	@$(QUIET) -j2 SANITIZE=1 BUILD=$(BUILD)/asan build units
	@$(QUIET) SANITIZE=1 BUILD=$(BUILD)/asan unit
	@$(QUIET) fuzz SECONDS_EACH=5
	@$(QUIET) crash ROUNDS=$(ROUNDS)
	@cd plugins/desk && npx tsc --noEmit
	@$(PERIGEE) node --test tests/browser/*.test.mjs
	@PERIGEE=$(abspath $(BUILD)/asan/perigee) $(PYTEST) tests/http
	@for d in $(BLACK_BOX); do $(PERIGEE) $(PYTEST) $$d || exit 1; done

# The quick ones, for before a commit.
check: build
	@$(QUIET) lint unit
	@$(BUILD)/perigee test
	@$(PERIGEE) $(PYTEST) -x tests/http

# Unit and black-box tests against a server built with ASan and UBSan.
asan:
	@$(QUIET) -j2 SANITIZE=1 BUILD=$(BUILD)/asan build units
	@$(QUIET) SANITIZE=1 BUILD=$(BUILD)/asan unit
	@for d in $(BLACK_BOX); do PERIGEE=$(abspath $(BUILD)/asan/perigee) $(PYTEST) $$d || exit 1; done

# The whole matrix of rights over HTTP, role by role, record by record, path by path; `make test` asks a sample.
rights: build
	@$(PERIGEE) RIGHTS=full $(PYTEST) -s tests/rights

# What the black-box tests use from npm.
node:
	@tools/npm tests/node
	@tools/npm tests/browser

units: $(UNIT)

# A line for each program that passed, all of its output for one that failed.
unit: $(UNIT)
	@for t in $(UNIT); do \
	  if $$t >$(BUILD)/unit.log 2>&1; then printf '%s  %s\n' "$$(sed -n 's/.*PASSED *\] *//p' $(BUILD)/unit.log | tail -1)" $${t#$(BUILD)/tests/unit/}; \
	  else cat $(BUILD)/unit.log; exit 1; fi; done

# kill -9 at a random moment under load: every acknowledged write must be there afterwards.
crash: build
	@$(PYTHON) tests/crash/crash.py $(abspath $(BUILD)/perigee) $(ROUNDS)

BENCH := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/bench/*.c tests/bench/limits/*.c))

# Every row as a ratio inside one run (docs/measurements.md); BENCH_ARGS="--only NAME,NAME --rounds 3" for parts of it.
bench: build $(BENCH)
	@$(PYTHON) tests/bench/bench.py $(BUILD) $(BENCH_ARGS)

bench-long: build $(BENCH)
	@$(PYTHON) tests/bench/bench.py $(BUILD) --long $(BENCH_ARGS)

lint:
	@clang-format --dry-run -Werror $(shell find core tests -name '*.[ch]')
	@luacheck -q scripts workflows
	@$(BUILD)/perigee check >/dev/null

format:
	@clang-format -i $(shell find core tests -name '*.[ch]')

# The program finds its scripts above itself (lib/perigee). Workflows and settings that an admin has changed are kept.
install: build desk
	install -D -m 755 $(BUILD)/perigee $(DESTDIR)$(PREFIX)/lib/perigee/bin/perigee
	install -d $(DESTDIR)$(PREFIX)/lib/perigee/plugins
	cp -r scripts masterdata docs $(DESTDIR)$(PREFIX)/lib/perigee/
	[ -e $(DESTDIR)$(PREFIX)/lib/perigee/workflows ] || cp -r workflows $(DESTDIR)$(PREFIX)/lib/perigee/
	for p in plugins/*/plugin.lua; do [ ! -e $$p ] || cp -r $${p%/plugin.lua} $(DESTDIR)$(PREFIX)/lib/perigee/plugins/; done
	cp -r build/desk $(DESTDIR)$(PREFIX)/lib/perigee/
	[ -e $(DESTDIR)$(PREFIX)/lib/perigee/config.lua ] || install -m 644 config.lua $(DESTDIR)$(PREFIX)/lib/perigee/config.lua
	install -D -m 644 tools/perigee.service $(DESTDIR)$(PREFIX)/lib/systemd/system/perigee.service
	sed -i 's|/usr/local|$(PREFIX)|g' $(DESTDIR)$(PREFIX)/lib/systemd/system/perigee.service
	install -d $(DESTDIR)$(PREFIX)/bin
	ln -sf ../lib/perigee/bin/perigee $(DESTDIR)$(PREFIX)/bin/perigee

demo: deps
	@$(MAKE) --no-print-directory -j2 -s build desk
	@tools/run-demo $(BUILD)/perigee $(DEMO) $(LISTEN)

# Each harness tests/fuzz/NAME_fuzz.c starts from tests/fuzz/corpus/NAME, may have words in tests/fuzz/NAME.dict,
# and keeps what it finds in build/fuzz.
fuzz:
	@$(MAKE) -s CC=clang SANITIZE=fuzz BUILD=build/fuzz fuzzers
	@set -e; for c in tests/fuzz/*_fuzz.c; do n=$$(basename $$c _fuzz.c); set --; echo "fuzzing $$n"; mkdir -p build/fuzz/corpus/$$n; \
	  dict=tests/fuzz/$$n.dict; [ ! -f $$dict ] || set -- -dict=$$dict; \
	  build/fuzz/tests/fuzz/$${n}_fuzz -max_total_time=$(SECONDS_EACH) -verbosity=0 -timeout=10 "$$@" \
	    -artifact_prefix=build/fuzz/$$n- build/fuzz/corpus/$$n tests/fuzz/corpus/$$n; done

fuzzers: $(FUZZERS)

clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
