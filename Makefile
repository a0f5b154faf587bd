# The workbook's commands; `make` lists them. The work is done by tools/workbook.py.
# Needs python3 (3.11 to 3.14), git and, for the first set-up, a network.
# Another Python: make PYTHON=/path/to/python3.12 ...   Arguments: make test ARGS="-k scan"

# Once .venv exists, the Python it was made from goes on serving.
PYTHON ?= $(or $(shell .venv/bin/python -c 'import sys; print(sys._base_executable)' 2>/dev/null),python3)
ARGS ?=
TOOL = @"$(PYTHON)" tools/workbook.py

.DEFAULT_GOAL := help
.PHONY: help python setup workbook test check lab figures bench bench-gpu experiments clean

help: ## list these commands
	@echo "Hybrid Mamba workbook. Begin with: make workbook"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

setup: python ## make .venv and install the pinned packages (done once, then skipped)
	$(TOOL) setup

workbook: python ## run every notebook, write the book, say what to open
	$(TOOL) workbook

test: python ## every test, every notebook, widgets in a browser (at most 20 minutes)
	$(TOOL) test $(ARGS)

check: python ## lint, imports, types and the fast tests (a minute), for while you work
	$(TOOL) check $(ARGS)

lab: python ## open JupyterLab on notebook 00
	$(TOOL) lab

figures: python ## draw figures/ again from the numbers kept there (ARGS: names of some)
	$(TOOL) figures $(ARGS)

bench: python ## time the scans and the blocks on this machine (ten minutes)
	$(TOOL) bench $(ARGS)

bench-gpu: python ## the same, episodes and training on a GPU (a few minutes)
	$(TOOL) bench-gpu $(ARGS)

experiments: python ## train and score what notebook 09 has no result of yet (days; ARGS="--list" shows it)
	$(TOOL) experiments $(ARGS)

clean: python ## remove what the commands above made: .venv, build/ and caches (figures/ stays)
	$(TOOL) clean

python:
	@command -v "$(PYTHON)" >/dev/null 2>&1 || { \
	  echo "No $(PYTHON) here. Install Python 3.11 to 3.14, or name one: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null || { \
	  echo "$(PYTHON) is $$("$(PYTHON)" --version 2>&1 | head -n 1), but Python 3.11 to 3.14 is needed. Install one, or name it: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; }
