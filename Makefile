# Needs Python 3.11 or newer and make, nothing else (uv is used when it is there, and is faster).
# What each target does is written in Python: workbench/launch/environment.py makes the environment
# and then runs the rest of the line with its interpreter.

PYTHON ?= python3
IN = $(PYTHON) workbench/launch/environment.py
FAST = -m "not slow and not browser and not parity and not bench"

.PHONY: help lab test test-full test-browser test-browser-full test-parity bench bench-smoke lint clean-notebooks constraints

help:
	@echo "make lab             JupyterLab on a copy of the notebooks"
	@echo "make test            the fast tests (under 10 minutes on 2 cores)"
	@echo "make test-full       the slow ones too"
	@echo "make test-browser    drive JupyterLab with Chromium"
	@echo "make test-browser-full  the long browser tests too"
	@echo "make test-parity     against torch and diffusers, in an environment of its own"
	@echo "make bench-smoke     each benchmark in a tiny form"
	@echo "make bench           the benchmarks in full (hours)"
	@echo "make lint            ruff, mypy, layer contract"
	@echo "make clean-notebooks remove outputs from the shipped notebooks"
	@echo "make constraints     write constraints.txt anew (needs uv)"

lab:
	@$(IN) lab -m workbench lab

test:
	@$(IN) test -m pytest $(FAST) $(PYTEST_ARGS)

test-full:
	@$(IN) test -m pytest -m "not browser and not parity" $(PYTEST_ARGS)

test-browser:
	@$(IN) test -m pytest -m "browser and not slow" tests/panels $(PYTEST_ARGS)
	@$(IN) test -m pytest -m "browser and not slow" tests/browser $(PYTEST_ARGS)

test-browser-full:
	@$(IN) test -m pytest -m browser tests/panels $(PYTEST_ARGS)
	@$(IN) test -m pytest -m browser tests/browser $(PYTEST_ARGS)

test-parity:
	@$(IN) parity -m pytest -m parity $(PYTEST_ARGS)

bench-smoke:
	@$(IN) test -m pytest -m bench $(PYTEST_ARGS)

bench:
	@$(IN) test -m workbench bench

lint:
	@$(IN) test -m ruff check .
	@$(IN) test -m ruff format --check .
	@$(IN) test -m mypy
	@$(IN) test -c "from importlinter.cli import lint_imports_command as lint; lint()"

clean-notebooks:
	@$(IN) test -m workbench.launch.notebooks

constraints:
	uv pip compile pyproject.toml --extra test --universal --python-version 3.11 --fork-strategy fewest \
	  --no-header --no-emit-index-url --no-annotate --no-emit-find-links --upgrade --quiet -o constraints.txt
