# Every target makes .venv by itself; a bare machine needs python3, pip and make.
# PYTHON=python3.12 make test   uses another interpreter.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed
DOCS_STAMP := .venv/installed-docs
# One thread a process: two threads under contention are slower than one.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest
SPHINX := OMP_NUM_THREADS=1 $(BIN)/python -m sphinx

.PHONY: demo test quick slow check bench docs build clean

# The demo: bundled digits, a trained model, samples, bits/dim and a report.
demo: $(STAMP)
	$(BIN)/allegory demo --overwrite

# All tests but those marked slow.
test: $(STAMP)
	$(PYTEST) -n 2 -m "not slow"

# The fast ones: under 90 seconds.
quick: $(STAMP)
	$(PYTEST) -n 2 -m "not slow and not thorough"

# The slow ones alone.
slow: $(STAMP)
	$(PYTEST) -n 2 -m slow

# What must pass before a change is accepted: lint, format, types, floors, tests.
check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict src
	$(BIN)/lint-imports
	$(MAKE) test

bench: $(STAMP)
	$(BIN)/python -m benchmarks

# The site, into docs/_build/html. Its pages are executed; a warning is an error.
docs: $(DOCS_STAMP)
	$(SPHINX) -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

# Wheel and sdist, installed in a new environment; the fast tests from the sdist.
build: $(STAMP)
	$(BIN)/python -m benchmarks release

clean:
	rm -rf .venv build dist docs/_build src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# Made anew only when the pinned environment changes.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[all,test,dev]'
	touch $@

$(DOCS_STAMP): $(STAMP)
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[all,docs]'
	touch $@
