# make demo: the main job on shipped data.   make test: what every change must pass.
# PYTHON=python3.12 takes another interpreter, TORCH="torch==2.13.0 --index-url URL" another build of torch.

PYTHON ?= python3
TORCH ?= torch==2.13.0
PYTEST_ARGS ?= -n 2 --dist loadfile

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
ENGINE := $(wildcard engine/src/*.[ch]pp engine/include/*/*.hpp engine/include/*/*/*.hpp) engine/src/CMakeLists.txt
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-all lint docs clean

help:
	@echo "make venv      install caloforge and its tools into $(VENV)"
	@echo "make demo      generate showers with a shipped model and compare them with Geant4"
	@echo "make lint      style and types"
	@echo "make test      lint and tests (under ten minutes on two cores, after the installation)"
	@echo "make test-all  lint and all tests, the slow ones too"
	@echo "make docs      the pages as a site, site/index.html: notebooks and examples are executed, links checked"
	@echo "make clean     remove what the commands above made"

venv: $(READY)

$(READY): pyproject.toml $(ENGINE)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "caloforge needs Python 3.11 or newer as $(PYTHON): name one, as in  make PYTHON=python3.12 venv" >&2; exit 1; }
	@echo "Installing into $(VENV) (some minutes the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade "pip>=25.1"
	@$(PIP) install $(TORCH)
	@$(PIP) install --group dev --editable ".[all]"
	@touch $@

demo: venv
	@$(BIN)/caloforge demo --out demo --force

lint: venv
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet || { echo "Run $(BIN)/ruff format" >&2; exit 1; }
	@$(BIN)/mypy --no-error-summary

test: lint
	@$(ONE_THREAD) $(BIN)/python -m pytest -q $(PYTEST_ARGS) -m "not slow"

test-all: lint
	@$(ONE_THREAD) $(BIN)/python -m pytest -q $(PYTEST_ARGS)

docs: venv
	@$(PIP) install --group docs
	@$(ONE_THREAD) $(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going docs site
	@$(BIN)/python docs/_ext/check_site.py site
	@echo "site/index.html"

clean:
	rm -rf $(VENV) demo dist site jupyter_execute docs/cards docs/commands docs/_build .mypy_cache .ruff_cache .pytest_cache .hypothesis src/caloforge/_engine.*.so src/caloforge/_engine.*.pyd
	find engine/src -mindepth 1 -maxdepth 1 ! -name '*.cpp' ! -name '*.hpp' ! -name CMakeLists.txt -exec rm -rf {} +
