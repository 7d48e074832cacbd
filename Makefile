PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test test-slow bench check format clean

demo: $(STAMP)  ## set everything up and restore the example picture
	$(BIN)/dunrestore restore examples/mural.png -o demo/mural-restored.png --overwrite

test: $(STAMP)  ## the quick tests
	$(BIN)/pytest

test-slow: $(STAMP)  ## the long tests
	$(BIN)/pytest -m slow --timeout 1800

check: $(STAMP)  ## what must pass before a commit
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/pytest

bench: $(STAMP)  ## compare speeds with the stored ratios; ACCEPT=1 stores new ones
	$(BIN)/python benchmarks/guard.py $(if $(ACCEPT),--accept)

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $(STAMP)

clean:
	rm -rf $(VENV) build dist demo .pytest_cache .ruff_cache
