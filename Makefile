# The two commands of the README are `make figures` and `make test`.
PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python
READY  := $(VENV)/.ready
OUT    ?= out
QWEN   ?= Qwen/Qwen2.5-0.5B-Instruct@7ae557604adf67be50417f59c2c2f167def9a775

.PHONY: help figures gallery site qwen bench portability oldest seeds proofs test quick check install clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

figures: $(READY)  ## regenerate every figure into out/ (OUT=folder for another place)
	@$(RUN) -m figures --jobs -1 --out $(OUT)

gallery: $(READY)  ## the figures and one page of them, out/index.html
	@$(RUN) -m figures gallery --jobs -1 --out $(OUT)

site: gallery  ## course, guides, ledger, gallery and reference as pages that need no network, out/site/index.html
	@$(RUN) -m notebooks.site --out $(OUT)

qwen: $(READY)  ## Qwen2.5-0.5B-Instruct, fetched once: kernel, drives, one step and the probe of 11 x 12
	@mkdir -p $(OUT)/qwen
	@$(RUN) -m toy_models.multiplication kernel --model $(QWEN) --out $(OUT)/qwen/kernel.json
	@$(RUN) -m toy_models.multiplication probe --model $(QWEN)
	@echo "The checks of the figures say what our own small model shows; another model may differ."
	-@$(RUN) -m figures jian2025-2a jian2025-2b new-theorem-1-lm --model $(QWEN) --out $(OUT)/qwen

# About a minute of tests on one core, chosen by cost and by how much of the mathematics passes through them.
QUICK := tests/test_architecture.py tests/references tests/hostile/test_numerics.py \
  tests/dynamics/finite tests/dynamics/test_losses.py tests/dynamics/test_losses_relations.py \
  tests/dynamics/test_policies.py tests/dynamics/test_preferences.py tests/dynamics/test_gradient.py \
  tests/dynamics/language_model/kernel tests/dynamics/language_model/prediction \
  tests/theory/test_claim.py tests/theory/test_evidence.py tests/theory/test_worlds.py dynamics

quick: check  ## lint, static types and a minute of tests that see most mistakes
	@OMP_NUM_THREADS=1 $(RUN) -m pytest -q $(QUICK)

test: check  ## lint, static types and the whole test suite
	@OMP_NUM_THREADS=1 $(RUN) -m pytest -n auto -q  # a process for every core, so one thread in each

bench: $(READY)  ## speed, side by side: tables, JSON with the environment and a picture, out/benchmarks/
	@$(RUN) tests/benchmarks/trajectory.py --out $(OUT)/benchmarks/trajectory.json
	@$(RUN) tests/benchmarks/language_model_kernel.py --out $(OUT)/benchmarks/language_model_kernel.json
	@$(RUN) tests/benchmarks/language_model_kernel.py --large --out $(OUT)/benchmarks/language_model_kernel_large.json
	@$(RUN) tests/benchmarks/language_model_pairs.py --out $(OUT)/benchmarks/language_model_pairs.json
	@$(RUN) tests/benchmarks/wall_times.py --out $(OUT)/benchmarks/wall_times.json
	@$(RUN) tests/benchmarks/picture.py --folder $(OUT)/benchmarks
	@$(RUN) tests/benchmarks/targets.py --folder $(OUT)/benchmarks

portability: $(READY)  ## the figures as other processors compute them: checks, accuracy, pictures, references (twenty minutes)
	@$(RUN) -m tests.portability --tests

oldest: $(READY)  ## the callback beside the oldest TRL that it works with, fetched for the occasion (two minutes)
	@OMP_NUM_THREADS=1 $(RUN) -m tests.oldest_trl

seeds: $(READY)  ## the searches of the ledger with 60 seeds: none may change a verdict (two minutes)
	@$(RUN) -m tests.theory.seeds

proofs: $(READY)  ## every question behind a proof, put to two solvers other than the prover's own (a quarter of an hour)
	@$(RUN) -m tests.theory.proof.second_solver

check: $(READY)  ## lint and static types only
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy

install: $(READY)  ## make .venv with the pinned versions and install the project editable

clean:  ## remove .venv, caches and out/
	rm -rf $(VENV) $(OUT) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

# The stamp is written last, so an interrupted installation starts again.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else \
	  "Preference Dynamics needs Python 3.11 to 3.13, but $(PYTHON) is %d.%d; try: make PYTHON=python3.12 ..." % v)'
	@echo "Installing the pinned versions into $(VENV) (once; a few minutes)"
	@$(PYTHON) -m venv $(VENV)
	@$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,lm,notebooks,site,trl]'
	@touch $@
