# Two commands: `make run` and `make test`. Everything is installed into .venv, nothing outside it.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check install --quiet --no-input
JOBS ?= 2
export PIP_REQUIRE_VIRTUALENV := 1

.DEFAULT_GOAL := help
.PHONY: help run test check lint types contracts migrations messages screenshots asvs bench bench-smoke bench-timing lock ci-deps clean dev

help:
	@echo 'make run    install, set up on the first time, and serve'
	@echo 'make test   install the test tools and run every test on both stacks'
	@echo 'make check  ruff, mypy, import contracts, migrations, tests, bench-smoke: what CI runs'
	@echo 'make asvs   which security requirements (OWASP ASVS 5.0) are proved by which test'
	@echo 'make bench  how fast is it, and compared with what? (an hour, needs wrk; docs/performance.md)'
	@echo 'make bench-smoke  a little of every measurement: does it run?'
	@echo 'make bench-timing  can known accounts be told from unknown ones by time? (docs/timing.md)'
	@echo 'make messages  keep the translations in step with the source (docs/pages.md)'
	@echo 'make screenshots  each page, light and dark, narrow and wide, into docs/img/pages'
	@echo 'make lock   pin the dependencies anew'

run: $(VENV)/.installed
	@$(PY) -m app serve --first-run

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'Authkeep needs Python 3.11 or newer; set PYTHON=python3.11' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$$($(PYTHON) -c 'import sys; print("Python %d.%d here has no ensurepip: install it with  apt-get install python3.%d-venv" % (*sys.version_info[:2], sys.version_info[1]))')" >&2; exit 1; }
	@echo 'Making .venv …'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt pyproject.toml | $(VENV)/bin/python
	@echo 'Installing the pinned requirements (once) …'
	@$(PIP) --require-hashes -r requirements.txt
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	@echo 'Installing the test tools (once) …'
	@$(PIP) --require-hashes -r requirements-dev.txt
	@touch $@

dev: $(VENV)/.installed-dev

test: dev
	@$(PY) -m pytest -q -n $(JOBS) --dist worksteal $(ARGS)

check: lint types contracts migrations test bench-smoke

lint: dev
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

types: dev
	@$(PY) -m mypy

contracts: dev
	@$(VENV)/bin/lint-imports --no-cache

migrations: dev
	@$(PY) -m scripts.check_migrations

messages: dev
	@$(PY) -m scripts.messages $(ARGS)

# Needs Chromium.
screenshots: dev
	@$(PY) -m scripts.screenshots $(ARGS)

asvs: dev
	@$(PY) -m scripts.asvs

# An hour on an idle machine of two cores; writes bench/results/speed.json, docs/performance.md and docs/img. Needs wrk.
bench: dev
	@$(PY) -m bench.speed $(ARGS)

# A minute; fails if something can't be measured, never for a time, and writes nothing.
bench-smoke: dev
	@$(PY) -m bench.speed --smoke

# Twenty minutes on an idle machine; writes bench/results/timing.json and docs/timing.md.
bench-timing: dev
	@$(PY) -m bench.timing

lock: dev
	@$(VENV)/bin/uv pip compile -q --universal --python-version 3.11.0 --generate-hashes --custom-compile-command 'make lock' -o requirements.txt requirements.in
	@$(VENV)/bin/uv pip compile -q --universal --python-version 3.11.0 --generate-hashes --custom-compile-command 'make lock' -c requirements.txt -o requirements-otel.txt requirements-otel.in
	@$(VENV)/bin/uv pip compile -q --universal --python-version 3.11.0 --generate-hashes --custom-compile-command 'make lock' -o requirements-dev.txt requirements-dev.in

APT = $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends

# Programs that some tests and the speed bench use; without them those tests are skipped, which CI does not accept.
ci-deps:
	@for program in chromium-headless-shell curl nginx promtool wrk; do command -v $$program >/dev/null || missing=1; done; \
	test -z "$$missing" || { $(SUDO) apt-get update -qq && $(APT) curl nginx prometheus wrk && { $(APT) chromium-headless-shell || $(APT) chromium; }; }

clean:
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
