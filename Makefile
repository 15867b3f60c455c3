# Requires python3 (3.10 or later) and make; everything else is installed into .venv.
#   PYTHON     interpreter that creates .venv
#   PIP_FLAGS  extra arguments for pip, such as the index of torch's CPU builds
PYTHON ?= python3
PIP_FLAGS ?=
WORKERS ?= 2
INPUTS_TRIED ?= 100000

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt
INPUTS := pyproject.toml constraints.txt
CODE := $(wildcard src tests examples benchmarks recipes docs/_hooks .ci)

.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-portable fuzz check format docs bench release clean

help:  ## List targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.demo  ## Paint a photograph and print where the result is
	$(BIN)/python examples/demo.py

# mkdocs-material prints a notice about its successor on every build.
export NO_MKDOCS_2_WARNING := 1

# Two test workers with one thread each are faster than two that compete for the cores.
test test-all test-portable fuzz check: export OMP_NUM_THREADS ?= 1

test: $(VENV)/.dev  ## Run the fast tests
	$(BIN)/python -m pytest -n $(WORKERS) -m "not slow"

test-all: $(VENV)/.dev  ## Run all tests, including slow ones
	$(BIN)/python -m pytest -n $(WORKERS)

test-portable: $(VENV)/.dev  ## Run the tests as on other processors
	$(BIN)/python tests/support/portable.py --workers $(WORKERS)

fuzz: $(VENV)/.dev  ## Feed 100,000 damaged files to every reader
	$(BIN)/python tests/support/hostile --inputs $(INPUTS_TRIED) --workers $(WORKERS)

check: $(VENV)/.dev  ## Run all checks; tests must cover 90% of the lines
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/codespell $(CODE) docs README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n $(WORKERS) -m "not slow" --cov --cov-report=term:skip-covered
	$(BIN)/mkdocs build --strict --quiet

format: $(VENV)/.dev  ## Format the code and apply lint fixes
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

docs: $(VENV)/.dev  ## Build the documentation into site/
	$(BIN)/mkdocs build --strict

bench: $(VENV)/.dev  ## Measure speed and quality; print JSON
	@for script in benchmarks/bench_*.py; do $(BIN)/python "$$script" || exit 1; done

release: $(VENV)/.dev  ## Check, build and tag VERSION=x.y.z; pushing the tag publishes
	$(BIN)/python .ci/release.py check $(VERSION)
	$(PIP) -e '.[release]'
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/python -m twine check --strict dist/*
	git tag -a v$(VERSION) -m "impasto $(VERSION)"
	$(BIN)/python .ci/release.py notes $(VERSION)

clean:  ## Remove .venv and all build outputs
	rm -rf $(VENV) build dist site out .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made:
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.demo: $(VENV)/.made $(INPUTS)
	$(PIP) -e '.[examples]'
	@touch $@

$(VENV)/.dev: $(VENV)/.made $(INPUTS)
	$(PIP) -e '.[dev]'
	@touch $@ $(VENV)/.demo
