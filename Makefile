# `make demo` and `make test` are the two commands of the README; both first run `make install`.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# Whole files side by side: most of a test's time is waiting for a started service.
PARALLEL := -n 3 --dist loadfile

.PHONY: install demo test test-long lint format clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	# torch first and exactly: asked for by another package, pip takes several GB of CUDA builds.
	$(BIN)/pip install --disable-pip-version-check -q torch==2.13.0 -c constraints.txt
	$(BIN)/pip install --disable-pip-version-check -q -c constraints.txt -e '.[train,tracking,local,documents,report,langchain,dev]'
	touch $@

demo: install
	$(BIN)/malmoi demo

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/pytest $(PARALLEL)

test-long: install
	$(BIN)/pytest -m long -n 2 --dist loadfile --timeout=1800

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache build *.egg-info
