# Two commands do all the set-up: `make demo` runs the main job, `make test` passes the tests.
PYTHON ?= python3
VENV ?= .venv
NOTEBOOK_VENV ?= .notebook-venv
BIN := $(VENV)/bin
# Two processes; a file's tests stay together, since they share what is slow to make.
PARALLEL ?= --numprocesses 2 --dist loadfile

.PHONY: demo test test-all lint format ui clean

demo: $(VENV)/installed $(NOTEBOOK_VENV)/installed  ## the main job, network cut
	$(BIN)/python -m bundler.demo --python $(abspath $(NOTEBOOK_VENV)/bin/python)

test: lint  ## lint, types and tests
	$(BIN)/python -m pytest $(PARALLEL)

test-all: lint  ## the slow tests, and those that ask a registry, too
	$(BIN)/python -m pytest $(PARALLEL) -m ""

lint: $(VENV)/installed $(NOTEBOOK_VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

ui: $(VENV)/installed  ## the training runs, in MLflow's page
	$(BIN)/mlflow ui --backend-store-uri sqlite:///runs/mlflow.db

clean:  ## what a build leaves, but not the environments
	rm -rf dist build *.egg-info

# The notebook's machine: a bare Python with the pip and kernel of Kaggle's image (2026-10).
$(NOTEBOOK_VENV)/installed: bundler/dependencies.toml
	$(PYTHON) -m venv $(NOTEBOOK_VENV)
	$(NOTEBOOK_VENV)/bin/python -m pip install --quiet $$($(PYTHON) -m bundler.dependencies kernel)
	touch $@

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@
