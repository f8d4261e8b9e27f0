# `make` lists the targets. Everything is installed by `setup`, which every other target asks for first.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 2
# Last on PATH: what set-up brought serves where the machine has nothing of its own.
export PATH := $(PATH):$(CURDIR)/$(VENV)/bin

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sort | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: .tools/.installed $(STAMP) ## apt packages, the Python environment in .venv, kubectl: all that the rest needs

.tools/.installed: scripts/setup-system.sh requirements-tools.lock
	@PYTHON=$(PYTHON) scripts/setup-system.sh

$(STAMP): requirements.lock pyproject.toml lab/pyproject.toml scripts/setup-python.sh .tools/.installed
	@PYTHON=$(PYTHON) scripts/setup-python.sh $(VENV)
	@touch $@

demo: setup ## the main job, told step by step in the lab (KEEP=1 leaves it running)
	@$(BIN)/python -m scripts.demo $(if $(KEEP),--keep)

test: setup lint types imports pytest ## everything that must be green

lint: $(STAMP)
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(STAMP)
	@$(BIN)/mypy

imports: $(STAMP)
	@$(BIN)/lint-imports

pytest: setup
	@$(BIN)/python -m compileall -q src lab/src # pods see the tree read-only: each would compile for itself
	@$(BIN)/pytest -n $(WORKERS) --dist loadgroup

format: $(STAMP) ## reformat and fix what can be fixed
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

generate: $(STAMP) ## rewrite what is generated: CRDs, manifests, goldens
	@$(BIN)/python -m scripts.generate
	@$(BIN)/python -m scripts.install
	@$(BIN)/python -m scripts.olm
	@$(BIN)/pytest -q --update tests/unit

bundle: $(STAMP) ## write packaging/: the OLM bundle, the catalog and the list of images (IMAGES="operator=... speaker=...")
	@$(BIN)/python -m scripts.olm $(addprefix --image ,$(IMAGES))

chart: $(STAMP) ## write what is installed without OLM: the Helm chart's templates, the single manifest
	@$(BIN)/python -m scripts.install

release: setup ## all that is published, into dist/release, of a clean tree; the same commit gives the same bytes
	@$(BIN)/python -m scripts.release

images: setup ## build the container images into dist/images (ARCHS="amd64 arm64" IMAGES="operator=... speaker=..." OUTPUT=json)
	@$(BIN)/python -m scripts.images $(addprefix --arch ,$(ARCHS)) $(addprefix --image ,$(IMAGES)) $(addprefix --output ,$(OUTPUT))

bench: setup ## run the benchmarks, one JSON line each
	@for b in lab_start lab_services assign memory operator_work arp_answer speaker_process config_build webhook_decision allocator spread; do $(BIN)/python bench/$$b.py || exit 1; done

soak: setup ## the long tests, on a machine that does nothing else (ONLY="failover members chaos updown fuzz", SOAK_MINUTES=10 for each)
	@$(BIN)/python -m tests.soak --minutes $(or $(SOAK_MINUTES),10) $(ONLY)

lock: $(STAMP) ## compile the dependency locks anew
	@$(BIN)/uv --version >/dev/null 2>&1 || $(BIN)/pip install -q uv
	@$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header \
		--group pyproject.toml:dev pyproject.toml lab/pyproject.toml -o requirements.lock

clean: ## remove what setup installed under the project
	rm -rf $(VENV) .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.PHONY: help setup demo test lint types imports pytest format generate bundle chart release images bench soak lock clean
