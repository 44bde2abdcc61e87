# `make demo` and `make test` do their own set-up; they need Python 3.11 or newer and make, nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Two threads at most, which sleep while they wait: a busy machine makes spinning ones ten times slower.
export OMP_NUM_THREADS ?= 2
export OMP_WAIT_POLICY ?= passive
export MPLBACKEND := Agg
# Processes that share the tests.
JOBS ?= 2

.DEFAULT_GOAL := help
.PHONY: help install demo picture test quick lint format bench evidence models clean

help:
	@echo "make demo     set up, then simulate, retrieve and check a farmed landscape"
	@echo "make test     set up, then run every test"
	@echo "make quick    the tests that take less than ten seconds"
	@echo "make lint     style, types and direction of imports"
	@echo "make format   let ruff put the code in order"
	@echo "make bench    the figures of the README"
	@echo "make evidence write docs/evidence.md from the development data"
	@echo "make models   train the shipped models anew, into ./models, with the intervals that they state"
	@echo "make install  only the set-up: $(VENV), pinned by constraints.txt"
	@echo "make clean    remove what the above left behind, but not $(VENV)"

install: $(STAMP)

# torch comes first and alone, so that the range in pyproject.toml is met before pip looks at the rest.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "error: PYTHON: expected 3.11 or newer, got $$($(PYTHON) --version 2>&1)"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q "$$(grep -m1 '^torch==' constraints.txt)" -c constraints.txt
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[train,dev]'
	@touch $@

demo: $(STAMP)
	$(BIN)/python examples/demo.py

# The picture of the README: that of the demonstration in 256 colours, rare ones kept.
picture: demo
	$(BIN)/python -c "from PIL import Image; Image.open('demo/quicklook.png').convert('RGB')\
	.quantize(256, method=1, kmeans=2, dither=0).save('docs/images/demo.png', optimize=True)"

# The tests work on small tensors: two processes of one thread are quicker than one of two.
test quick: export OMP_NUM_THREADS = 1

test: $(STAMP)
	$(BIN)/python -m pytest -n $(JOBS)

quick: $(STAMP)
	$(BIN)/python -m pytest -n $(JOBS) -m "not slow"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright --project pyproject.toml

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)
	@for script in $(wildcard benchmarks/*.py); do \
		echo "== $$script"; $(BIN)/python "$$script" || exit 1; \
	done

evidence: $(STAMP)
	$(BIN)/python benchmarks/evidence.py --write

# Every shipped model by its preset, then its intervals for measurements. It takes about an hour, and goes on where it was stopped.
SHIPPED := hyperspectral-10nm landsat-8 sentinel-2 sentinel-2-crops
PHYSVAE_DATA ?= ../shared/data

models: $(STAMP)
	@for name in $(SHIPPED); do \
		$(BIN)/physvae train $$name --data $(PHYSVAE_DATA) -o models/$$name \
		$$(test -e models/$$name/checkpoint.safetensors && echo --resume) \
		&& $(BIN)/python benchmarks/field_intervals.py models/$$name --data $(PHYSVAE_DATA) --write || exit 1; \
	done

clean:
	rm -rf demo report dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find rtm physvae inversion validation tests examples -name __pycache__ -prune -exec rm -rf {} +
