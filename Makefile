# Every target installs what it needs. `make help` lists them.

PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 4# twice the cores: tests also wait
PYTEST := $(BIN)/python -m pytest
NONE := 5# pytest's exit code when ARGS leave no test
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check --no-input --require-hashes
UV_COMPILE := .venv-lock/bin/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	--custom-compile-command "make lock" --upgrade

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test screenshots reference matrix conditions soak bench check package deploy destroy format lock clean install install-aws install-bench install-checkov install-clients python chromium dovecot postfix

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: install install-aws ## Start the sandbox, deploy into it and send mail; ONCE=1 ends after the last message, EML=path sends a file
	@exec $(BIN)/python -m sandbox --end-with-parent $(if $(ONCE),--once) $(if $(EML),--eml "$(EML)")

test: export MAILGRANT_LAGGING = $(LAGGING)
test: install install-aws chromium dovecot postfix ## Run all tests but those of the package (make check); ARGS="-k name" for some; LAGGING=1 with late queues and old indexes
	@$(PYTEST) -n $(WORKERS) --dist loadgroup -m "not idle" $(or $(ARGS),--ignore=tests/packaging); parallel=$$?; \
	test $$parallel = 0 -o $$parallel = $(NONE) || exit $$parallel; \
	test -z "$(LAGGING)" || exit $$parallel; \
	echo "Measuring on an idle system"; \
	$(PYTEST) -m idle $(or $(ARGS),tests/flows/test_latency.py); idle=$$?; \
	test $$idle = $(NONE) && exit $$parallel; exit $$idle

screenshots: install chromium ## Take the pictures in docs/screenshots anew
	@$(PYTEST) -q tests/pages/test_pages.py -k has_its_picture
	@mkdir -p docs/screenshots
	@cp .sandbox/screenshots/docs/*.png docs/screenshots/

reference: install ## Write anew what the docs take from the code: api.md, message.schema.json, tables of operations.md
	@$(BIN)/python -m cli.reference
	@$(BIN)/python -m cli.manual

matrix: install ## Print which promise is shown by which test; fails for a gap
	@$(BIN)/python -m tests.matrix

conditions: install install-aws ## Take the condition of each write away in turn: a test must fail
	@$(BIN)/python -m tests.conditions

bench: install install-aws install-bench ## Measure calls to AWS, throughput and cold starts; writes bench/results.json
	@$(BIN)/python -m bench

soak: install install-aws ## Crash and kill thousands of times, and count what is lost or doubled; N=100 for fewer times
	@for run in tests/soak/[a-z]*.py; do $(BIN)/python -m tests.soak.$$(basename $$run .py) $(N) || exit 1; done

check: install install-aws install-checkov install-clients ## Lint, types and packaging: what must pass besides the tests
	@echo "Linting"
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@echo "Checking types"
	@$(BIN)/mypy
	@echo "Building and checking the package"
	@$(BIN)/python -m pytest tests/packaging
	@$(BIN)/python -m cli.package build
	@.venv-checkov/bin/checkov --config-file tests/packaging/checkov.yaml --file build/template.json build/data-stack.yaml
	@.venv-checkov/bin/python tests/packaging/bill.py build/sbom.cdx.json

package: install ## Build what is deployed into build/: zip, templates, bill of materials, licences
	@$(BIN)/python -m cli.package build

deploy: install ## Deploy a stage into your AWS account: STAGE=prod ARGS="--region eu-west-1"
	@./mailgrant deploy --stage "$(STAGE)" $(ARGS)

destroy: install ## Delete a stage's application and keep its data: STAGE=prod; ARGS=--with-data deletes that too
	@./mailgrant destroy --stage "$(STAGE)" $(ARGS)

format: install ## Format the code and sort the imports
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

lock: python ## Update the locks from requirements*.in
	@test -x .venv-lock/bin/uv || { $(PYTHON) -m venv .venv-lock && .venv-lock/bin/pip install --quiet uv; }
	@$(UV_COMPILE) requirements.in --output-file requirements.txt
	@$(UV_COMPILE) requirements-dev.in --output-file requirements-dev.txt
	@$(UV_COMPILE) sandbox/aws/requirements.in --output-file sandbox/aws/requirements.txt
	@$(UV_COMPILE) bench/requirements.in --output-file bench/requirements.txt
	@$(UV_COMPILE) tests/packaging/checkov.in --output-file tests/packaging/checkov.txt
	@$(UV_COMPILE) tests/packaging/clients/requirements.in --output-file tests/packaging/clients/requirements.txt
	@cd tests/packaging/clients && npm update --package-lock-only --silent --no-fund --no-audit

clean: ## Remove the environments and everything that a run made
	rm -rf .venv .venv-aws .venv-bench .venv-checkov .venv-clients .venv-lock .sandbox build .mypy_cache .pytest_cache .ruff_cache .hypothesis

install: .venv/.installed
install-aws: .venv-aws/.installed
install-bench: .venv-bench/.installed
install-checkov: .venv-checkov/.installed
install-clients: .venv-clients/.installed

.venv/.installed: requirements.txt requirements-dev.txt | python
	@echo "Installing libraries and tools into .venv (once, a minute or two)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python $(PIP_INSTALL) -r requirements.txt -r requirements-dev.txt
	@$(BIN)/python -m cli.package --fetch
	@touch $@

.venv-aws/.installed: sandbox/aws/requirements.txt | python
	@echo "Installing the sandbox's AWS into .venv-aws (once, half a minute)"
	@test -x .venv-aws/bin/python || $(PYTHON) -m venv .venv-aws
	@.venv-aws/bin/python $(PIP_INSTALL) -r sandbox/aws/requirements.txt
	@touch $@

.venv-bench/.installed: bench/requirements.txt bench/emulator.txt | python
	@echo "Installing Lambda's runtime client and emulator into .venv-bench (once, half a minute)"
	@test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/python $(PIP_INSTALL) -r bench/requirements.txt
	@.venv-bench/bin/python $(PIP_INSTALL) --no-deps -r bench/emulator.txt
	@touch $@

.venv-checkov/.installed: tests/packaging/checkov.txt | python
	@echo "Installing the check of the templates into .venv-checkov (once, a minute)"
	@test -x .venv-checkov/bin/python || $(PYTHON) -m venv .venv-checkov
	@.venv-checkov/bin/python $(PIP_INSTALL) -r tests/packaging/checkov.txt
	@touch $@

# REQUIRE_NPM=1 makes its absence an error; otherwise the test of TypeScript types says that it is skipped.
.venv-clients/.installed: tests/packaging/clients/requirements.txt tests/packaging/clients/package-lock.json | python
	@echo "Installing what makes clients of the API's description into .venv-clients (once, half a minute)"
	@test -x .venv-clients/bin/python || $(PYTHON) -m venv .venv-clients
	@.venv-clients/bin/python $(PIP_INSTALL) -r tests/packaging/clients/requirements.txt
	@mkdir -p .venv-clients/node && cp tests/packaging/clients/package*.json .venv-clients/node/
	@if command -v npm >/dev/null; then npm ci --prefix .venv-clients/node --silent --no-fund --no-audit; else \
		echo "npm is not installed, so the test of TypeScript types is skipped (apt-get install npm)."; \
		test -z "$(REQUIRE_NPM)"; fi
	@touch $@

python:
	@command -v $(PYTHON) >/dev/null || { echo "Mailgrant needs Python 3.11 or newer: there is no $(PYTHON)." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Mailgrant needs Python 3.11 or newer, but $$($(PYTHON) --version 2>&1) was found. Try make PYTHON=python3.11 …" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "Python's venv is missing. On Debian: apt-get install python3-venv" >&2; exit 1; }

CHINESE := /usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf

# REQUIRE_CHROMIUM=1 makes its absence an error; otherwise the tests of the pages say that they are skipped.
chromium:
	@{ command -v chromium && test -e $(CHINESE); } >/dev/null || if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing Chromium, for the tests of the pages"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-droid-fallback >/dev/null; \
	fi || true
	@command -v chromium >/dev/null || { \
		echo "Chromium is not installed, so the tests of the pages are skipped (apt-get install chromium)."; \
		test -z "$(REQUIRE_CHROMIUM)"; }

# Installs Debian packages without starting their services: a policy-rc.d that exits 101 is there meanwhile, where
# the system has none of its own.
POLICY := /usr/sbin/policy-rc.d
define apt_install
test -e $(POLICY) || { trap 'rm -f $(POLICY)' EXIT; printf '#!/bin/sh\nexit 101\n' >$(POLICY); chmod 755 $(POLICY); }; \
apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(1) >/dev/null
endef

# The tests that read mail by IMAP and POP3 say that they are skipped where it is absent.
dovecot:
	@command -v dovecot >/dev/null || if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing Dovecot, for the tests of IMAP and POP3"; \
		$(call apt_install,dovecot-imapd dovecot-pop3d); \
	fi || true
	@command -v dovecot >/dev/null || test -x /usr/sbin/dovecot || \
		echo "Dovecot is not installed, so the tests of IMAP and POP3 are skipped (apt-get install dovecot-imapd dovecot-pop3d)."

SUBMISSION := test -x /usr/sbin/postfix && test -e /usr/lib/dovecot/submission

# So do the tests of what other servers take of our mail; Postfix needs root besides.
postfix: dovecot
	@{ $(SUBMISSION); } || if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing Postfix and Dovecot's submission service, for the tests of what other servers take"; \
		$(call apt_install,dovecot-submissiond postfix); \
	fi || true
	@{ $(SUBMISSION); } || \
		echo "Postfix or Dovecot's submission service is not installed, so their tests are skipped (apt-get install postfix dovecot-submissiond)."
