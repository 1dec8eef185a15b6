# One command per habit; CI runs the same. `make demo` and `make test` set everything up themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
# Small runs gain nothing from many threads fighting for few cores.
export OMP_NUM_THREADS ?= 2

.PHONY: help demo test test-all gpu-check check lint types arrows format clean

help:
	@echo "make demo      phantoms through every stage to a report, on this machine (4 to 8 minutes on 2 cores)"
	@echo "make slurm-lab a Slurm cluster of three nodes on this machine (root, Debian packages; tests/slurm/lab down ends it)"
	@echo "make test      linters, types, arrows and the fast suite"
	@echo "make test-all  the same and what is slow: chaos, browser, Slurm, real films (half an hour)"
	@echo "make gpu-check speed, waiting and memory of both trainings on a GPU, where there is one"
	@echo "make format    let ruff tidy the code"
	@echo "make clean     remove the environment and the demo's output"

$(READY): pyproject.toml constraints.txt
	@echo "== environment: $(VENV) (the first time about three minutes)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(READY)
	@echo "== demo: phantoms through every stage"
	@$(BIN)/radmill demo out=runs/demo

.PHONY: slurm-lab
slurm-lab: $(READY)
	@tests/slurm/lab up 3

test: check
	@echo "== fast suite"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 -m "not slow and not browser and not chaos and not slurm"

test-all: check
	@echo "== whole suite: what waits for Slurm beside what computes"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --durations=25 -n 2 --no-loadscope-reorder

gpu-check: $(READY)
	@$(BIN)/python tests/benchmarks/gpu_check.py

check: lint types arrows

lint: $(READY)
	@echo "== ruff"
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(READY)
	@echo "== mypy"
	@$(BIN)/mypy

arrows: $(READY)
	@echo "== import-linter"
	@$(BIN)/lint-imports --no-logo

format: $(READY)
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

clean:
	rm -rf $(VENV) runs/demo
