# Two commands: `make run` and `make test`. Each makes its own .venv, pinned by constraints.txt.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run test lint venv clean

# The first Python 3.11 or 3.12 there is; `make PYTHON=/path/to/python3.11 …` chooses another.
IS_RIGHT := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))
PYTHON ?= $(shell for p in python3 python3.12 python3.11 python; do \
	"$$p" -c '$(IS_RIGHT)' 2>/dev/null && echo "$$p" && break; done)
BIN := .venv/bin
# Changes whenever the pins, the dependencies or the Python do; .venv is then made anew.
WANTED := $(shell { cat constraints.txt pyproject.toml; "$(PYTHON)" -VV; pwd; } 2>/dev/null | cksum | tr ' ' -)

help:
	@echo "make run    install, then train SPIRL on Seaquest (quick preset, minutes on a CPU)"
	@echo "make test   install, then run linters, type checks and all tests"
	@echo "make clean  remove .venv"

run: venv
	@env -u RLVIT_HOME -u RLVIT_REGISTRY $(BIN)/rlvit run --plugin spirl --game Seaquest --preset quick

test: venv lint
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

lint: venv
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

venv:
	@if [ -z "$(PYTHON)" ]; then \
		echo "rlvit needs Python 3.11 or 3.12, and found: $$(python3 -V 2>&1 || echo no python3)." >&2; \
		echo "Install one, or name it: make PYTHON=/path/to/python3.12 run" >&2; exit 1; fi
	@"$(PYTHON)" -c '$(IS_RIGHT)' 2>/dev/null || { \
		echo "rlvit needs Python 3.11 or 3.12; $(PYTHON) is $$("$(PYTHON)" -V 2>&1)." >&2; exit 1; }
	@"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "$(PYTHON) has no venv module; on Debian or Ubuntu: apt install python3-venv" >&2; exit 1; }
	@if [ ! -e ".venv/ready-$(WANTED)" ]; then \
		echo "installing into .venv (once; a minute or two)"; \
		rm -rf .venv; \
		"$(PYTHON)" -m venv .venv; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check \
			--constraint constraints.txt --editable '.[dev]'; \
		touch ".venv/ready-$(WANTED)"; fi

clean:
	rm -rf .venv
