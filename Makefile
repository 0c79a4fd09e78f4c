# Each target makes what it needs, the virtual environment included. PYTHON chooses the interpreter, VENV the place:
#   make test PYTHON=python3.13 VENV=.venv-3.13

PYTHON ?= python3
VENV ?= .venv
BENCH_VENV ?= .venv-bench
BIN = $(VENV)/bin
PIP = -m pip install --quiet --disable-pip-version-check

.PHONY: demo test check format servers bench docs serve-docs clean

demo: $(VENV)/.package  ## The library at work against a flaky upstream, for 15 seconds
	$(BIN)/python -m benchmarks.demo $(ARGS)

test: $(VENV)/.test  ## The whole test suite; what needs a server that is not there is skipped
	-@$(MAKE) --no-print-directory servers
	$(BIN)/python -m pytest $(ARGS)

servers:  ## Debian's prometheus, chromium and bubblewrap, which some tests use: installed where they are missing
	@scripts/install-servers.sh
	@scripts/install-browser.sh
	@scripts/install-sandbox.sh

check: export PYRESILIENCE_REQUIRE_SERVERS = 1
check: $(VENV)/.check $(VENV)/.docs $(VENV)/.test  ## Format, lint, types, architecture, docs build, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --site-dir site
	$(MAKE) test

format: $(VENV)/.check  ## Put the code into the house's form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(BENCH_VENV)/.bench  ## Ratios against peers, measured in one run
	$(BENCH_VENV)/bin/python -m benchmarks $(ARGS)

docs: $(VENV)/.docs  ## The documentation, into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --site-dir site

serve-docs: $(VENV)/.docs  ## The documentation, at http://127.0.0.1:8000
	$(BIN)/python -m mkdocs serve

clean:  ## Forget all that was made
	rm -rf $(VENV) $(BENCH_VENV) site dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/.package: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP) --upgrade 'pip>=25.1'
	$(BIN)/python $(PIP) --editable .
	touch $@

$(VENV)/.test: $(VENV)/.package
	$(BIN)/python $(PIP) --group test
	touch $@

$(VENV)/.check: $(VENV)/.package
	$(BIN)/python $(PIP) --group check
	touch $@

$(VENV)/.docs: $(VENV)/.package
	$(BIN)/python $(PIP) --group docs
	touch $@

$(BENCH_VENV)/.bench: pyproject.toml
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python $(PIP) --upgrade 'pip>=25.1'
	$(BENCH_VENV)/bin/python $(PIP) --editable . --group bench
	touch $@
