# Everything starts here. Each target does its own set-up; the second call installs nothing.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
DEV    := $(VENV)/.ready-dev
TORCH  := torch>=2.11,<2.14
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-warn-script-location
RUN    ?= runs/shakespeare
# A model of DATA=some/folder goes to runs/folder.
OWN    := runs/$(basename $(notdir $(patsubst %/,%,$(DATA))))

.PHONY: help quickstart test test-all setup setup-dev format clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

quickstart: $(READY) ## raw text to a model that you can talk to; DATA=folder for your own text, MINUTES=10
ifdef DATA
	@test -e "$(OWN)/recipe.toml" || $(BIN)/groundup new "$(OWN)" --data "$(DATA)" --minutes $(or $(MINUTES),10)
	$(BIN)/groundup build "$(OWN)/recipe.toml" --out "$(OWN)"
else
	$(BIN)/groundup build recipes/shakespeare.toml --out $(RUN)
endif

test: $(DEV) ## style, types, floors, budgets and tests (under 8 minutes on 2 cores)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyrefly check
	$(BIN)/lint-imports
	$(BIN)/python tools/budgets.py
	$(BIN)/pytest -n 2 -m "not slow"

test-all: $(DEV) ## the same and the slow tests
	$(MAKE) test
	$(BIN)/pytest -n 2 -m slow --timeout=1800

format: $(DEV) ## put the code in its usual shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

setup: $(READY) ## install what running needs, into .venv
setup-dev: $(DEV) ## install what testing needs as well

# torch first and alone: by this range an index with a CPU build gives that one, not gigabytes of CUDA.
$(READY): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) '$(TORCH)'
	$(PIP) -e .
	@touch $@

$(DEV): $(READY) pyproject.toml
	$(PIP) -e '.[dev]'
	@touch $@

clean: ## remove the environment and caches (runs stay)
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis
