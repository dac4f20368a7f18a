# `make quickstart` and `make test` need only Python 3.11 or newer and make; they create `.venv`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# A range would let pip pick a CUDA build of several gigabytes; see docs/install.md for GPUs.
TORCH  ?= torch==2.13.0
PIP    := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt

.PHONY: quickstart test test-fast lint format typecheck bench docs clean help

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' Makefile

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "tunekit needs Python 3.11 or newer; call make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.trl: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing torch and the training stack into $(VENV), once; a minute or two ..."
	@$(PIP) "$(TORCH)"
	@$(PIP) --editable '.[trl,plots]'
	@touch $@

$(VENV)/.dev: $(VENV)/.trl
	@echo "Installing what tests and checks need ..."
	@$(PIP) --editable '.[dev]'
	@$(BIN)/python scripts/get_vocabularies.py
	@touch $@

quickstart: $(VENV)/.trl ## Tune a real model on this machine, talk to it, score it (two minutes)
	@$(BIN)/tunekit quickstart

test: $(VENV)/.dev ## Run every test, with real training; some minutes on two cores
	$(BIN)/python -m pytest

test-fast: $(VENV)/.dev ## Run the tests that need no torch
	$(BIN)/python -m pytest -m "not torch and not e2e"

lint: $(VENV)/.dev ## Check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.dev ## Mend style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

typecheck: $(VENV)/.dev ## Check types
	$(BIN)/mypy

bench: $(VENV)/.dev ## Print the ratios that the library promises; about a quarter of an hour
	$(BIN)/python bench/import_time.py
	$(BIN)/python bench/waits.py
	$(BIN)/python bench/data.py
	$(BIN)/python bench/tokens.py
	$(BIN)/python bench/likeness.py
	$(BIN)/python bench/overhead.py

docs: $(VENV)/.dev ## Write the generated pages (commands, capabilities, settings) anew
	$(BIN)/python scripts/make_docs.py

clean: ## Remove the environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache dist
