# `make demo` and `make test` need Python >= 3.11 and git, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
BIN_PATH := $(CURDIR)/$(BIN)
TRM := $(BIN_PATH)/trm

.PHONY: demo test soak fuzz bench-gpu check format lint types coverage docs package clean

# Writes to ./demo: the data to demo/data, the runs to demo/runs.
demo: $(INSTALLED)
	@mkdir -p demo
	cd demo && $(TRM) build-data sudoku --preset mini --overwrite
	cd demo && $(TRM) train sudoku --preset mini
	cd demo && $(TRM) eval
	cd demo && $(TRM) inspect-data data/sudoku --split test --boards 1 --text | $(TRM) solve -

test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal

# Kill and resume a run twenty times.
soak: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/system/test_faults.py --soak

# Damage N inputs and run the commands that read them. The smallest input of each kind of failure
# goes to a folder below ./fuzz.
N ?= 10000
SEED ?= 1
START ?= 0
fuzz: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz $(N) --seed $(SEED) --start $(START)

# Measure on one CUDA device, into benchmarks/results. Run it again to resume.
#   REFERENCE=FOLDER        a checkout of the published code, which is measured too
#   KERNELS="plain triton"  also measure all rows with TRM_KERNELS=triton
MINUTES ?= 7
bench-gpu: $(INSTALLED)
	$(BIN)/python benchmarks/gpu.py --minutes $(MINUTES) \
		$(if $(REFERENCE),--reference "$(REFERENCE)") $(if $(KERNELS),--kernels $(KERNELS))

# All but the tests on two cores, then the tests.
check: $(INSTALLED)
	$(MAKE) --jobs=2 --output-sync=target lint types docs package
	$(MAKE) coverage

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(INSTALLED)
	$(BIN)/mypy

coverage: $(INSTALLED)
	$(BIN)/python -m coverage erase
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal --cov --cov-report=term --durations=10

docs: $(INSTALLED)
	$(BIN)/python docs/generate.py --check
	$(BIN)/python docs/pictures.py --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Build the distributions, and try the wheel where the checkout is not.
package: $(INSTALLED)
	rm -rf dist build/installed
	$(BIN)/python -m build --no-isolation >/dev/null
	$(BIN)/twine check --strict dist/*
	$(BIN)/python -m pip install --quiet --no-deps --target build/installed dist/*.whl
	cd build && export PYTHONPATH=$(CURDIR)/build/installed && \
		test "$$($(BIN_PATH)/python -c 'import trm; print(trm.__file__)')" \
			= $(CURDIR)/build/installed/trm/__init__.py && \
		$(BIN_PATH)/python -m trm build-data sudoku --preset mini --out mini --overwrite && \
		$(BIN_PATH)/python -m trm train sudoku --preset mini --data mini --dry-run >/dev/null
	$(BIN)/python examples/rented-gpus/check.py

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) build dist demo site .coverage* .pytest_cache .mypy_cache .ruff_cache
