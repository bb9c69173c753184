# Femtogate. `make lab` runs the whole ecosystem once or until Ctrl-C; `make test` proves it.
# Both install what they need: npm packages (among them the Node release that runs everything) and Debian packages.
SHELL := /bin/bash
# npm itself runs on the machine's own Node, because it replaces the one in node_modules.
MACHINE_PATH := $(PATH)
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
# npm writes it as the last step of an install.
INSTALLED := node_modules/.package-lock.json

.PHONY: help lab test check bench fmt reference

help:
	@echo "make lab        bring up a SeGW, a PKI and H(e)NBs, and attach (ARGS=\"--once --json\", ARGS=--help)"
	@echo "make test       check the tree and run all tests (ARGS=\"test/ike/sa/*.test.ts\", ARGS=--test-name-pattern=rekey)"
	@echo "make check      formatting, types and the project's own rules"
	@echo "make bench      measure against other implementations (ARGS=--json, ARGS=handshakes)"
	@echo "make fmt        format the tree"
	@echo "make reference  write docs/reference from the code"

lab: $(INSTALLED)
	@scripts/debian-packages lab
	@bin/femtogate lab $(ARGS)

test: $(INSTALLED)
	@scripts/debian-packages test
	@scripts/pkits-data >/dev/null
	@$(MAKE) --no-print-directory check
	@scripts/run-tests $(ARGS)

# The last: imports point down, no clock or socket in a core, no dead exports, ... (scripts/tidy.ts).
check: $(INSTALLED)
	@biome check --error-on-warnings
	@tsc --noEmit
	@node scripts/tidy.ts

bench: $(INSTALLED)
	@scripts/debian-packages test
	@node bench/main.ts $(ARGS)

fmt: $(INSTALLED)
	@biome check --write

# Configuration keys, commands, refusal reasons: test/docs tells when the code has changed since.
reference: $(INSTALLED)
	@node scripts/reference.ts

$(INSTALLED): package.json package-lock.json
	@PATH="$(MACHINE_PATH)" npm ci --loglevel=error >&2
	@touch $@
