# Every target makes .venv by itself; a bare machine needs python3, pip and make.
# PYTHON=python3.12 make test   uses another interpreter.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed

.PHONY: demo test check bench docs clean

# The demo: bundled digits, a trained model, samples, bits/dim and a report.
demo: $(STAMP)
	$(BIN)/allegory demo --overwrite

# One thread a process: two threads under contention are slower than one.
test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict src
	$(BIN)/lint-imports
	$(MAKE) test

bench: $(STAMP)
	$(BIN)/python -m benchmarks

# What the README and the tutorials print is run.
docs: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/docs

clean:
	rm -rf .venv build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# Made anew only when the pinned environment changes.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[all,test,dev]'
	touch $@
