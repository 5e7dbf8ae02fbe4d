# Everything from a fresh clone, with nothing but Python (3.11 or newer) and make. `make help` lists the targets.
# Paths stay relative, so that the folder may have any name.

PYTHON ?= python3
PIP = .venv/bin/python -m pip --disable-pip-version-check
QUIET ?= --quiet --quiet
INSTALL = $(PIP) install $(QUIET) --constraint constraints.txt
HINT = { echo "Installing failed; to watch every step: make $(MAKECMDGOALS) QUIET="; exit 1; }
WORKERS ?= 2

DEMO = .venv/bin/sightline compare src/sightline/data/reviews.csv --out demo-output --budget 3
BENCH = .venv/bin/python benchmarks/run.py
BENCH_TRAINING = .venv/bin/python benchmarks/finetune.py
PYTEST = .venv/bin/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow bench format clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /make \1 : /p' Makefile | awk -F ' : ' '{ printf "  %-15s %s\n", $$1, $$2 }'

demo: .venv/sightline.stamp ## install into .venv, then compare four kinds of model on 1,020 reviews
	@$(DEMO)

test: .venv/test.stamp ## install, then lint, formatting, types and all tests but the slow ones
	.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .
	.venv/bin/python -m mypy
	$(PYTEST) -n $(WORKERS) --dist worksteal

test-slow: .venv/test.stamp ## the tests marked slow, and wider searches for counterexamples
	$(PYTEST) -m "slow or not slow" --hypothesis-profile=search

bench: .venv/test.stamp ## measure against transformers; the numbers in docs/performance.md
	$(BENCH)
	$(BENCH_TRAINING)

format: .venv/test.stamp ## put imports and layout in order
	.venv/bin/python -m ruff check --fix-only --quiet .
	.venv/bin/python -m ruff format .

clean: ## remove what the tools leave behind; .venv stays
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

# A virtual environment that is missing, half made, or whose Python has gone is made anew; one that works is kept.
.venv/bin/python:
	@command -v "$(PYTHON)" >/dev/null || { echo "Sightline needs Python 3.11 or newer, and there is no $(PYTHON) here; name one: make PYTHON=python3.12"; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Sightline needs Python 3.11 or newer; $(PYTHON) is $$("$(PYTHON)" --version 2>&1). Name another: make PYTHON=python3.12"; exit 1; }
	@echo "Making a virtual environment in .venv"
	@"$(PYTHON)" -m venv --clear .venv || { \
	  rm -rf .venv; echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu install the package python3-venv"; exit 1; }

.venv/sightline.stamp: pyproject.toml constraints.txt .venv/bin/python
	@echo "Installing torch into .venv (the largest part: some minutes the first time)"
	@$(INSTALL) torch || $(HINT)
	@echo "Installing Sightline and the other libraries"
	@$(INSTALL) --editable . || $(HINT)
	@touch $@

.venv/test.stamp: .venv/sightline.stamp
	@echo "Installing what the tests need"
	@$(INSTALL) --editable ".[test]" || $(HINT)
	@touch $@
