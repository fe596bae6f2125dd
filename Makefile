# Needs Python 3.11 or newer and make, nothing else (uv is used when it is there, and is faster).
# What each target does is written in Python: workbench/launch/environment.py makes the environment
# and then runs the rest of the line with its interpreter.

PYTHON ?= python3
IN = $(PYTHON) workbench/launch/environment.py
FAST = -m "not slow and not browser and not parity and not bench"
SLOW = -m "slow and not long and not browser and not parity and not bench"
LONG = -m long
DRIVEN = -m browser
QUICK = QUICK_COMPILES=1  # many small programs: see tests/conftest.py
# Files go to two to four processes; the tests of one file stay together, with what they share.
PARALLEL = --numprocesses=logical --maxprocesses=4 --dist=loadfile
CHECKS = ruff format types floors figures
# With REPORTS=FOLDER each suite that a skip must not empty leaves a JUnit report of its own there.
report = $(if $(REPORTS),--junitxml=$(REPORTS)/$(1).xml)

.PHONY: help lab test test-slow test-long test-full test-browser test-browser-panels test-browser-lab \
  test-parity test-gpu kernels-report bench bench-smoke lint $(CHECKS) clean-notebooks constraints

help:
	@echo "make lab             JupyterLab on a copy of the notebooks"
	@echo "make test            the fast tests (under 10 minutes on 2 cores)"
	@echo "make test-slow       the slow ones, of some seconds each"
	@echo "make test-long       those of a quarter of a minute to some minutes each"
	@echo "make test-full       all three, and each benchmark in a tiny form"
	@echo "make test-browser    drive JupyterLab with Chromium"
	@echo "make test-parity     against torch and diffusers, in an environment of its own"
	@echo "make test-gpu        the kernels on a Hopper GPU that is here, in this Python's jax"
	@echo "make kernels-report  compile each kernel for TPU v5e, v6e, H200 and B200, without one"
	@echo "make bench-smoke     each benchmark in a tiny form"
	@echo "make bench           the benchmarks in full (hours)"
	@echo "make lint            ruff, mypy, layer contract, the README's figures"
	@echo "make clean-notebooks remove outputs from the shipped notebooks"
	@echo "make constraints     write constraints.txt anew (needs uv)"

lab:
	@$(IN) lab -m workbench lab

test:
	@$(QUICK) $(IN) test -m pytest $(FAST) $(PARALLEL) $(PYTEST_ARGS)

test-slow:
	@$(QUICK) $(IN) test -m pytest $(SLOW) $(PARALLEL) $(PYTEST_ARGS)

test-long:
	@$(IN) test -m pytest $(LONG) $(PARALLEL) $(PYTEST_ARGS)

test-full:
	@$(IN) test -m pytest -m "not browser and not parity and not bench" $(PARALLEL) $(PYTEST_ARGS)
	@$(IN) test -m pytest -m bench $(PARALLEL) --dist=load $(PYTEST_ARGS)

# Two suites, each in a process of its own.
test-browser: test-browser-panels test-browser-lab

test-browser-panels:
	@$(IN) test -m pytest $(DRIVEN) tests/panels tests/labs $(call report,panels) $(PYTEST_ARGS)

test-browser-lab:
	@$(IN) test -m pytest $(DRIVEN) tests/browser $(call report,lab) $(PYTEST_ARGS)

test-parity:
	@$(IN) parity -m pytest -m parity $(PARALLEL) $(call report,parity) $(PYTEST_ARGS)

# In the Python at hand, whose jax knows the GPU: .venv has the CPU's.
test-gpu:
	@JAX_PLATFORMS=cuda $(PYTHON) -m pytest tests/kernels_pallas/test_on_gpu.py $(PYTEST_ARGS)

kernels-report:
	@$(IN) kernels -m kernels_pallas.report --out data/kernels --page docs/kernels-report.md

bench-smoke:
	@$(QUICK) $(IN) test -m pytest -m bench $(PARALLEL) --dist=load $(PYTEST_ARGS)

bench:
	@$(IN) test -m workbench bench

lint: $(CHECKS)

ruff:
	@$(IN) test -m ruff check .

format:
	@$(IN) test -m ruff format --check .

types:
	@$(IN) test -m mypy

floors:
	@$(IN) test -c "from importlinter.cli import lint_imports_command as lint; lint()"

figures:
	@$(IN) test benchmarks/readme_table.py --check

clean-notebooks:
	@$(IN) test -m workbench.launch.notebooks

constraints:
	uv pip compile pyproject.toml --extra test --universal --python-version 3.11 --fork-strategy fewest \
	  --no-header --no-emit-index-url --no-annotate --no-emit-find-links --upgrade --quiet -o constraints.txt
