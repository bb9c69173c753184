# Femtogate. `make lab` runs the whole ecosystem once or until Ctrl-C; `make test` proves it.
# Both install what they need: npm packages (among them the Node release that runs everything) and Debian packages.
SHELL := /bin/bash
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

.PHONY: lab test bench fmt check setup setup-test

lab: node_modules/.installed
	@scripts/debian-packages lab
	@bin/femtogate lab $(ARGS)

test: node_modules/.installed
	@scripts/debian-packages test
	@$(MAKE) --no-print-directory check
	@scripts/run-tests $(ARGS)

# Formatting, types and the project's own rules (imports point down, no clock or socket in a core, no dead exports).
check: node_modules/.installed
	@biome check --error-on-warnings
	@tsc --noEmit
	@node scripts/tidy.ts

bench: node_modules/.installed
	@scripts/debian-packages test
	@node bench/main.ts $(ARGS)

fmt: node_modules/.installed
	@biome check --write

node_modules/.installed: package.json package-lock.json
	@npm ci --loglevel=error >&2
	@touch $@
