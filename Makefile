# sluice: build, test, demo. `make help` lists the targets.
#
# Everything lands in build/: build/release (LTO), build/debug (ASan and UBSan), build/tsan,
# build/fuzz (clang's libFuzzer, ASan and UBSan). A file
# in its folder is in the build; nothing is listed by hand. Variables worth setting: MODE, BUILD,
# PREFIX, DESTDIR, CC, F (unit tests of one folder), T (black-box tests by name), KEEP (demo).

MAKEFLAGS += --no-builtin-rules --no-print-directory
SHELL     := /bin/bash
BUILD     ?= build
MODE      ?= release
OUT       := $(BUILD)/$(MODE)
PREFIX    ?= /usr/local
VERSION   ?= 0.1.0
PY        ?= /usr/bin/python3

.DEFAULT_GOAL := build
.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: build deps demo test unit sim fuzz-replay docs-check blackbox counts demo-test bench figures \
        fmt lint docs asan tsan install uninstall clean help unit-bins fuzz fuzz-bins bench-programs

# Sub-makes run on every core, unless the caller already said how many.
PARALLEL = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$$(nproc))
SUB      = $(MAKE) $(PARALLEL)

# --- packages: the one place that names them ---------------------------------------------------
PACKAGES := gcc make pkg-config libuv1-dev libcurl4-openssl-dev libjansson-dev libyaml-dev \
            libssl-dev libsqlite3-dev libcmocka-dev curl openssl python3-pytest python3-pytest-xdist \
            clang-format cppcheck git ca-certificates valgrind
# llhttp: the development package where apt has one, else the C sources inside node-llhttp.
LLHTTP_DEV    := libllhttp-dev
LLHTTP_SOURCE := node-llhttp
# For `make bench`: unpacked into build/peers, never installed, so that no service starts.
BENCH_PACKAGES := nginx haproxy h2o liblua5.3-0 libopentracing-c-wrapper0 libopentracing1
# For `make fuzz`, which alone needs clang.
FUZZ_PACKAGES := clang libclang-rt-dev

# build/.deps is a fragment of this file (it says where llhttp is), so make brings it up to date,
# installing what is missing, before it does anything else.
DEPS         := build/.deps
INSTALL_DEPS := tests/tools/install_packages.sh $(DEPS) build/llhttp $(LLHTTP_DEV) $(LLHTTP_SOURCE) \
                $(PACKAGES)

ifneq ($(filter-out help clean uninstall deps,$(or $(MAKECMDGOALS),build)),)
include $(DEPS)
endif

$(DEPS): Makefile tests/tools/install_packages.sh
	@$(INSTALL_DEPS)

deps: ## Install the packages that are missing (Debian, Ubuntu); the other targets do so by themselves
	@$(INSTALL_DEPS)
	@echo "deps: everything is installed"

# --- flags -------------------------------------------------------------------------------------
CC        := $(if $(filter fuzz,$(MODE)),clang,gcc)
WARN      := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wvla -Werror
CPPFLAGS  := -I. $(if $(LLHTTP_DIR),-isystem $(LLHTTP_DIR)/include) -D_GNU_SOURCE \
             -DSLUICE_VERSION='"$(VERSION)"' -DLLHTTP_STRICT_MODE=1
# Instrumented code loses the value ranges that this warning needs; the release build keeps it.
SANITIZE  := -O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=all -Wno-format-truncation
# The release build reads plain heads in one way, all others in every way, to compare (net/head.h).
JUDGE     := -DHEAD_JUDGE_ALL=1
CFLAGS_release  := -O2 -g -flto=auto -fno-plt -DNDEBUG
LDFLAGS_release := -O2 -flto=auto
CFLAGS_debug    := $(SANITIZE) -fsanitize=address,undefined -DFAULTS $(JUDGE)
LDFLAGS_debug   := -fsanitize=address,undefined
CFLAGS_tsan     := $(SANITIZE) -fsanitize=thread $(JUDGE)
LDFLAGS_tsan    := -fsanitize=thread
CFLAGS_fuzz     := -O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=all -w \
                   -fsanitize=fuzzer-no-link,address,undefined $(JUDGE)
LDFLAGS_fuzz    := -fsanitize=fuzzer,address,undefined
CFLAGS    := -std=c11 $(WARN) $(CFLAGS_$(MODE))
LDFLAGS   := $(LDFLAGS_$(MODE))
LIBS      := $(LLHTTP_LIBS) -luv -lcurl -ljansson -lyaml -lssl -lcrypto -lsqlite3 -lm -lpthread

# --- sources -----------------------------------------------------------------------------------
FOLDERS := base net policies analysis health proxy controller admin cli
objects  = $(patsubst %.c,$(OUT)/obj/%.o,$(wildcard $(1)/*.c))
of       = $(foreach d,$(1),$(call objects,$(d)))
LLHTTP_OBJ  := $(if $(LLHTTP_DIR),$(patsubst %,$(OUT)/obj/llhttp/%.o,api http llhttp))
PROGRAM_OBJ := $(call of,$(FOLDERS)) $(LLHTTP_OBJ)

SLUICE       := $(OUT)/sluice
MODEL_SERVER := $(OUT)/model-server
TRAFFIC      := $(OUT)/traffic

build: ## Build sluice, the example model server and the traffic generator into build/release
	+@$(SUB) $(SLUICE) $(MODEL_SERVER) $(TRAFFIC)

asan: ## Build the programs with AddressSanitizer and UBSan into build/debug
	+@$(SUB) MODE=debug $(patsubst $(OUT)/%,$(BUILD)/debug/%,$(SLUICE) $(MODEL_SERVER) $(TRAFFIC))

tsan: ## Build with ThreadSanitizer into build/tsan and run the unit tests with it
	+@$(SUB) MODE=tsan $(patsubst $(OUT)/%,$(BUILD)/tsan/%,$(SLUICE) $(MODEL_SERVER) $(TRAFFIC))
	@$(MAKE) UNIT_MODE=tsan unit

# --- objects and programs ----------------------------------------------------------------------
$(OUT)/obj/llhttp/%.o: $(LLHTTP_DIR)/src/%.c Makefile
	@mkdir -p $(@D)
	@echo "  cc  llhttp/$*.c"
	@$(CC) -std=c11 $(CPPFLAGS) $(CFLAGS_$(MODE)) -c $< -o $@

$(OUT)/obj/%.o: %.c Makefile $(DEPS)
	@mkdir -p $(@D)
	@echo "  cc  $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

define link
@mkdir -p $(@D)
@echo "  ld  $@"
@$(CC) $(LDFLAGS) $(filter %.o,$^) $(1) $(LIBS) -o $@
endef

$(SLUICE): $(PROGRAM_OBJ)
	$(call link)

EXAMPLE_OBJ := $(call of,base net) $(LLHTTP_OBJ)
$(MODEL_SERVER): $(call objects,examples/model-server) $(EXAMPLE_OBJ)
	$(call link)

$(TRAFFIC): $(call objects,examples/traffic) $(EXAMPLE_OBJ)
	$(call link)

# --- tests -------------------------------------------------------------------------------------
# Each part writes "N passed, N failed" into its file in RESULTS; `make test` adds them up.
RESULTS := $(BUILD)/test-results
PARTS   := unit fuzz-replay sim docs-check blackbox counts demo-test

test: ## Run every test: unit, fuzz corpora, simulations, docs, black-box, counts, demo (under ten minutes)
	@rm -rf $(RESULTS); mkdir -p $(RESULTS)
	@for part in $(PARTS); do \
	    echo "== $$part"; \
	    $(MAKE) $$part || echo "== $$part failed"; \
	    [ -s $(RESULTS)/$$part ] || echo "0 passed, 1 failed" >$(RESULTS)/$$part; \
	done
	@for part in $(PARTS); do printf '%-12s %s\n' $$part "$$(cat $(RESULTS)/$$part)"; done
	@cd $(RESULTS) && cat $(PARTS) | awk '{ p += $$1; f += $$3 } \
	    END { printf "%d passed, %d failed\n", p, f; exit !(p > 0 && f == 0) }'

# A unit test of folder F links F and the folders it may include, nothing above: that keeps the
# arrows honest.
NEEDS_base       := base
NEEDS_net        := base net
NEEDS_policies   := base policies
NEEDS_analysis   := base policies analysis
NEEDS_health     := base net policies health
NEEDS_proxy      := base net policies analysis health proxy
NEEDS_controller := base net policies analysis health controller
NEEDS_admin      := base net policies analysis health controller admin
NEEDS_cli        := $(FOLDERS)
F ?= $(FOLDERS)
UNIT_MODE    ?= debug
SUPPORT_OBJ  := $(filter-out %/fuzz_replay.o,$(call objects,tests/support))
unit_bins     = $(patsubst %.c,$(OUT)/%,$(wildcard tests/unit/$(1)/test_*.c))
UNIT_BINS    := $(foreach d,$(F),$(call unit_bins,$(d)))

define unit_rule
$(OUT)/tests/unit/$(1)/%: $(OUT)/obj/tests/unit/$(1)/%.o $(SUPPORT_OBJ) \
        $(filter-out %/cli/main.o,$(call of,$(NEEDS_$(1)))) $(LLHTTP_OBJ)
	$$(call link,-lcmocka)
endef
$(foreach d,$(FOLDERS),$(eval $(call unit_rule,$(d))))

unit-bins: $(UNIT_BINS)

unit: ## Run the unit tests under ASan and UBSan (F=policies: one folder)
	+@$(SUB) MODE=$(UNIT_MODE) F="$(F)" unit-bins
	@tests/tools/run_units.sh $(RESULTS)/unit $(patsubst $(OUT)/%,$(BUILD)/$(UNIT_MODE)/%,$(UNIT_BINS))

# A fuzzer is one function, LLVMFuzzerTestOneInput; fuzz-replay runs it over the files of its corpus,
# fuzz lets clang's libFuzzer look for more.
FUZZ_NAMES := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_OBJ   := $(if $(filter fuzz,$(MODE)),,$(OUT)/obj/tests/support/fuzz_replay.o) \
              $(OUT)/obj/tests/fuzz/strict.o $(LLHTTP_OBJ) \
              $(call of,base net policies analysis health proxy controller)
$(OUT)/tests/fuzz/fuzz_%: $(OUT)/obj/tests/fuzz/fuzz_%.o $(FUZZ_OBJ)
	$(call link)

fuzz-bins: $(patsubst %,$(OUT)/tests/fuzz/fuzz_%,$(FUZZ_NAMES))

fuzz-replay: ## Run every fuzzer over its corpus under ASan and UBSan
	+@$(SUB) MODE=debug fuzz-bins
	@tests/tools/run_part.sh $(RESULTS)/fuzz-replay fuzz-replay \
	    tests/tools/run_fuzz.sh $(BUILD)/debug/tests/fuzz $(FUZZ_NAMES)

FUZZ         ?= $(FUZZ_NAMES)
FUZZ_SECONDS ?= 60
fuzz: ## Let libFuzzer look for inputs that break a promise (FUZZ_SECONDS=60 each, FUZZ=request: one)
	@$(INSTALL_DEPS) $(FUZZ_PACKAGES)
	+@$(SUB) MODE=fuzz $(patsubst %,$(BUILD)/fuzz/tests/fuzz/fuzz_%,$(FUZZ))
	@tests/tools/fuzz.sh $(BUILD)/fuzz $(FUZZ_SECONDS) $(FUZZ)

SIM_OBJ := $(call of,tests/sim base policies analysis controller)
$(OUT)/sim: $(SIM_OBJ)
	$(call link)

sim: ## Run thousands of rollouts in virtual time and check their error rates against the promises
	+@$(SUB) $(OUT)/sim
	@tests/tools/run_part.sh $(RESULTS)/sim sim $(OUT)/sim

BLACKBOX_MODE ?= debug
T ?=
blackbox: ## Drive the real binary (ASan build) from outside with pytest (T=name narrows)
	+@$(SUB) MODE=$(BLACKBOX_MODE) build bench-programs
	@mkdir -p $(RESULTS)
	@SLUICE_BIN_DIR=$(abspath $(BUILD))/$(BLACKBOX_MODE) SLUICE_RESULT=$(abspath $(RESULTS))/blackbox \
	    $(PY) -m pytest -q -n 4 -p no:cacheprovider tests/blackbox $(if $(T),-k "$(T)")

counts: ## Check instructions, system calls and allocations per request against their ceilings
	+@$(SUB) MODE=release build
	@tests/tools/run_part.sh $(RESULTS)/counts counts \
	    $(PY) tests/counts/check.py $(BUILD)/release

demo-test: build
	@tests/tools/run_part.sh $(RESULTS)/demo-test demo-test examples/demo/run.sh $(OUT)

# --- docs --------------------------------------------------------------------------------------
GENERATED_DOCS := policy.md policy.schema.json configuration.md config.schema.json
$(OUT)/gen-docs: $(OUT)/obj/tests/tools/gen_docs.o $(call of,base policies)
	$(call link)

docs: ## Write the reference pages and JSON Schemas in docs/ from the table of keys
	+@$(SUB) $(OUT)/gen-docs
	@$(OUT)/gen-docs docs

docs-check: ## Check that docs/ is what `make docs` writes
	+@$(SUB) $(OUT)/gen-docs
	@rm -rf $(BUILD)/docs-check; mkdir -p $(BUILD)/docs-check
	@tests/tools/run_part.sh $(RESULTS)/docs-check docs-check tests/tools/check_docs.sh \
	    $(OUT)/gen-docs $(BUILD)/docs-check $(GENERATED_DOCS)

# --- quality -----------------------------------------------------------------------------------
C_FILES = $(shell git ls-files -co --exclude-standard '*.[ch]' 2>/dev/null || find . -name '*.[ch]' -not -path './build/*')

fmt: ## Format every C file in place
	@clang-format -i $(C_FILES)

lint: ## Check formatting, include arrows, that headers compile alone, cppcheck, and the scripts
	@tests/tools/check_arrows.sh
	@CC="$(CC)" CPPFLAGS='$(CPPFLAGS)' WARN="$(WARN)" tests/tools/lint.sh

# --- showing and measuring ---------------------------------------------------------------------
demo: build ## Watch a healthy version roll out and a failing one be taken back (KEEP=1 leaves it up)
	@KEEP=$(KEEP) examples/demo/run.sh $(OUT)

# The generator, the origin and the forwarder of the bench: C of ours, no part of `make build`.
bench_objects = $(patsubst %,$(OUT)/obj/tests/bench/%.o,$(1))
BENCH_PROGRAMS := $(patsubst %,$(OUT)/bench-%,load origin forward fold)
$(OUT)/bench-load: $(call bench_objects,load connection histogram common)
	$(call link)

$(OUT)/bench-origin $(OUT)/bench-forward: $(OUT)/bench-%: $(call bench_objects,% common)
	$(call link)

$(OUT)/bench-fold: $(call bench_objects,fold) $(call of,base policies analysis controller)
	$(call link)

bench-programs: $(BENCH_PROGRAMS)

bench: build ## Measure CPU per request, rate and latency beside HAProxy, nginx and h2o (CASES="b256 tls")
	+@$(SUB) bench-programs
	@tests/tools/unpack_peers.sh $(BUILD)/peers $(BENCH_PACKAGES)
	@$(PY) tests/bench/run.py --bin $(OUT) --peers $(BUILD)/peers --out $(BUILD)/bench \
	    $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SECONDS),--seconds $(SECONDS)) $(CASES)

STORM := $(OUT)/storm
$(STORM): $(call objects,tests/figures/storm)
	$(call link)

figures: build $(STORM) ## Print the figures of the promises: detection times, split accuracy, lost requests
	@SLUICE_BIN_DIR=$(abspath $(OUT)) $(PY) tests/figures/run_all.py $(FIGURES_ARGS)

# --- installing --------------------------------------------------------------------------------
DOC := $(DESTDIR)$(PREFIX)/share/doc/sluice
install: build ## Install the program, its docs, schemas and examples under PREFIX (DESTDIR is honoured)
	install -D -m 755 $(SLUICE) $(DESTDIR)$(PREFIX)/bin/sluice
	@set -e; for f in README.md $(wildcard docs/*.md docs/*/*.md); do \
	    [ ! -e $$f ] || install -D -m 644 $$f $(DOC)/$$f; done
	@set -e; for f in $(wildcard docs/*.schema.json); do \
	    install -D -m 644 $$f $(DESTDIR)$(PREFIX)/share/sluice/$${f#docs/}; done
	@set -e; for f in $(wildcard examples/quickstart/* examples/systemd/*); do install -D -m 644 $$f $(DOC)/$$f; done

uninstall: ## Remove what install installed
	rm -rf $(DESTDIR)$(PREFIX)/bin/sluice $(DOC) $(DESTDIR)$(PREFIX)/share/sluice

clean: ## Remove everything that was built (the unpacked llhttp sources stay)
	@rm -rf $(filter-out $(BUILD)/llhttp,$(wildcard $(BUILD)/*)) build/.deps

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

-include $(shell find $(OUT)/obj -name '*.d' 2>/dev/null)
