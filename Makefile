# sluice: build, test, demo. `make help` lists the targets.
#
# Everything lands in build/: build/release (LTO), build/debug (ASan and UBSan), build/llhttp.

MAKEFLAGS += --no-builtin-rules
SHELL     := /bin/bash
BUILD     ?= build
MODE      ?= release
OUT       := $(BUILD)/$(MODE)
PREFIX    ?= /usr/local
VERSION   ?= 0.1.0
PY        := /usr/bin/python3

# --- packages: the one place that names them ---------------------------------------------------
PACKAGES := gcc make pkg-config libuv1-dev libcurl4-openssl-dev libjansson-dev libyaml-dev \
            libssl-dev libsqlite3-dev libcmocka-dev curl python3-pytest clang-format cppcheck
LLHTTP_PACKAGE := node-llhttp
LLHTTP := $(BUILD)/llhttp

.DEFAULT_GOAL := build
.DELETE_ON_ERROR:

# --- flags -------------------------------------------------------------------------------------
CC        := gcc
WARN      := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wvla -Werror
CPPFLAGS  := -I. -isystem $(LLHTTP)/include -D_GNU_SOURCE -DSLUICE_VERSION='"$(VERSION)"'
CFLAGS_release := -O2 -g -flto=auto -fno-plt -DNDEBUG
LDFLAGS_release := -O2 -flto=auto
CFLAGS_debug := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -DFAULTS
LDFLAGS_debug := -fsanitize=address,undefined
CFLAGS_tsan := -O1 -g -fsanitize=thread -fno-omit-frame-pointer
LDFLAGS_tsan := -fsanitize=thread
CFLAGS    := -std=c11 $(WARN) $(CFLAGS_$(MODE))
LDFLAGS   := $(LDFLAGS_$(MODE))
LIBS      := -luv -lcurl -ljansson -lyaml -lssl -lcrypto -lsqlite3 -lm -lpthread

# --- sources: a file in its folder is in the build ---------------------------------------------
FOLDERS := base net policies analysis health proxy controller admin cli
lib_src  = $(wildcard $(1)/*.c)
lib_obj  = $(patsubst %.c,$(OUT)/obj/%.o,$(call lib_src,$(1)))
LLHTTP_OBJ := $(OUT)/obj/llhttp/api.o $(OUT)/obj/llhttp/http.o $(OUT)/obj/llhttp/llhttp.o
SLUICE_OBJ := $(foreach d,$(FOLDERS),$(call lib_obj,$(d))) $(LLHTTP_OBJ)
ALL_C := $(foreach d,$(FOLDERS) examples examples/* tests/unit/* tests/support tests/sim tests/tools,$(wildcard $(d)/*.c))
ALL_H := $(foreach d,$(FOLDERS) examples examples/* tests/unit/* tests/support tests/sim tests/tools,$(wildcard $(d)/*.h))

SLUICE       := $(OUT)/sluice
MODEL_SERVER := $(OUT)/model-server
TRAFFIC      := $(OUT)/traffic

.PHONY: deps build all demo test unit sim blackbox bench fmt lint docs docs-check install uninstall clean help asan tsan

build: ## Build sluice, the example model server and the traffic generator (release: build/release)
	@$(MAKE) --no-print-directory -j$$(nproc) $(SLUICE) $(MODEL_SERVER) $(TRAFFIC)

asan: ## Build everything with AddressSanitizer and UBSan (build/debug)
	@$(MAKE) --no-print-directory MODE=debug build

tsan: ## Build everything with ThreadSanitizer (build/tsan)
	@$(MAKE) --no-print-directory MODE=tsan build

# --- llhttp: the distribution's development package, else the C sources of node-llhttp -----------
$(LLHTTP)/include/llhttp.h:
	@$(MAKE) --no-print-directory deps

$(OUT)/obj/llhttp/%.o: $(LLHTTP)/src/%.c $(LLHTTP)/include/llhttp.h
	@mkdir -p $(@D)
	@echo "  cc  llhttp/$*.c"
	@$(CC) -std=c11 -I$(LLHTTP)/include $(CFLAGS_$(MODE)) -c $< -o $@

$(LLHTTP)/src/%.c: $(LLHTTP)/include/llhttp.h ;

# --- objects and programs ----------------------------------------------------------------------
$(OUT)/obj/%.o: %.c $(LLHTTP)/include/llhttp.h Makefile
	@mkdir -p $(@D)
	@echo "  cc  $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

$(SLUICE): $(SLUICE_OBJ)
	@echo "  ld  $@"
	@$(CC) $(LDFLAGS) $^ $(LIBS) -o $@

EXAMPLE_BASE = $(call lib_obj,base) $(call lib_obj,net) $(LLHTTP_OBJ)
$(MODEL_SERVER): $(call lib_obj,examples/model-server) $(EXAMPLE_BASE)
	@echo "  ld  $@"
	@$(CC) $(LDFLAGS) $^ $(LIBS) -o $@

$(TRAFFIC): $(call lib_obj,examples/traffic) $(EXAMPLE_BASE)
	@echo "  ld  $@"
	@$(CC) $(LDFLAGS) $^ $(LIBS) -o $@

# --- tests -------------------------------------------------------------------------------------
# A unit test of folder F links F and the folders it may include, nothing above: that keeps the
# arrows honest. `make unit F=policies` runs one folder's.
NEEDS_base       := base
NEEDS_net        := base net
NEEDS_policies   := base policies
NEEDS_analysis   := base policies analysis
NEEDS_health     := base net policies health
NEEDS_proxy      := base net policies analysis health proxy
NEEDS_controller := base net policies analysis health controller
NEEDS_admin      := base net policies analysis controller admin
NEEDS_cli        := $(FOLDERS)
F ?= $(FOLDERS)
unit_bins = $(patsubst tests/unit/$(1)/%.c,$(OUT)/tests/unit/$(1)/%,$(wildcard tests/unit/$(1)/test_*.c))
UNIT_BINS := $(foreach d,$(F),$(call unit_bins,$(d)))
SUPPORT_OBJ := $(call lib_obj,tests/support)

define unit_rule
$(OUT)/tests/unit/$(1)/%: $(OUT)/obj/tests/unit/$(1)/%.o $(SUPPORT_OBJ) $(foreach d,$(NEEDS_$(1)),$(call lib_obj,$(d))) $(LLHTTP_OBJ)
	@mkdir -p $$(@D)
	@$(CC) $(LDFLAGS) $$(filter-out %/cli/main.o,$$^) -lcmocka $(LIBS) -o $$@
endef
$(foreach d,$(FOLDERS),$(eval $(call unit_rule,$(d))))

unit-bins: $(UNIT_BINS)
.PHONY: unit-bins
.SECONDARY:

unit: ## Run the unit tests under ASan and UBSan (F=folder narrows)
	@$(MAKE) --no-print-directory -j$$(nproc) MODE=debug F="$(F)" unit-bins
	@set -e; for t in $(patsubst $(OUT)/%,$(BUILD)/debug/%,$(UNIT_BINS)); do \
	  echo "unit $${t#$(BUILD)/debug/tests/unit/}"; $$t 2>$$t.log || { cat $$t.log; exit 1; }; \
	  grep -E 'PASSED|FAILED' $$t.log || true; done

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
