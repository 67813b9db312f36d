# make study   set up, run the small study on all cores in small_study/, print its numbers and where everything is
# make swissprot SOURCE=FASTA  set up, run the study of Swiss-Prot in swissprot_study/ (hours)
# make plan    set up, write the compute plan of the paper's study
# make test    set up, run every check and test
# make docs    set up, build the documentation into site/
# make dist    set up, build sdist and wheel into dist/
# make container  build the container with Docker, Podman or Buildah
# make recipe  set up, check the conda recipe of the core
# make locks   set up, make locks/ after a change of the dependencies
# make versions  set up, test the lowest and the newest versions of the dependencies (downloads several GB)
# make clean   remove results
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV ?= .venv
BIN := $(abspath $(VENV))/bin
CORES ?= all
CONFIG ?= config/toy.yaml
# A folder of results belongs to one study. The small one has its own, so that results/ here is the paper's, or yours.
STUDY_FOLDER ?= $(if $(filter config/toy.yaml,$(CONFIG)),small_study,.)
export PATH := $(BIN):$(PATH)

.PHONY: help setup study swissprot plan test packages lint docs unit dist container tag upload recipe locks versions clean

help:
	@sed -n 's/^# //p' Makefile

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml locks/develop.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "plmscale needs Python 3.11 or later; found " + sys.version.split()[0] + ". Name another one: make PYTHON=python3.12")'
	echo "Setting up $(VENV); this takes a minute or two."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.9,<1" || true
	# Bytecode is compiled now: without it every training process would spend 10 s on it where PYTHONDONTWRITEBYTECODE is set.
	# uv checks the hashes of the lock. pip would refuse a lock with hashes beside a project, so it takes the versions alone.
	if [ -x $(BIN)/uv ]; then
	  UV_FIND_LINKS="$${PIP_FIND_LINKS:-}" $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -c locks/develop.txt -e '.[all,test,docs]'
	else
	  sed -E '/^ +--hash/d; s/ \\$$//' locks/develop.txt > $(VENV)/versions.txt
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(VENV)/versions.txt -e '.[all,test,docs]'
	fi
	touch $@

# An older version ran the small study in results/ here: there it goes on.
study: setup
	@folder=$(STUDY_FOLDER)
	run="plmscale run --configfile $(CONFIG) --cores $(CORES)"
	if [ ! -e $$folder ] && [ -d results/runs ] && $$run -n >/dev/null 2>&1; then folder=.; fi
	$$run --directory $$folder

swissprot: setup
	@source=$$(realpath -e -- "$${SOURCE:?Name the proteins: make swissprot SOURCE=swissprot.fasta.gz}")
	mkdir -p swissprot_study
	cp -R studies/swissprot/configuration swissprot_study/
	plmscale run --configfile swissprot_study/configuration/study.yaml --directory swissprot_study --cores $(CORES) --config "source=$$source"

plan: setup
	@plmscale plan

test: setup packages lint unit

# A SLURM cluster and a browser for the tests that need them, where they can be installed; else those tests skip.
packages:
	@tests/system_packages.sh

lint: setup
	@ruff check .
	ruff format --check .
	lint-imports --no-cache | tail -n 8
	snakefmt --check Snakefile workflow
	pyright --pythonpath $(BIN)/python
	snakemake --lint
	hadolint container/Dockerfile
	zizmor --offline --quiet .github
	$(MAKE) --no-print-directory docs

# Links that lead nowhere are errors. Pages need no server; only their search does: python -m http.server -d site
docs: setup
	@NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet

# Three workers for two cores: the one with the tests on SLURM mostly waits. It has to begin with them (tests/conftest.py),
# where pytest-xdist would take the groups of most tests first. Bytecode is kept, also where the environment forbids it:
# each of some hundred processes would compile the package anew.
unit: setup
	@OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= python -m pytest -n 3 --dist loadgroup --no-loadscope-reorder

dist: setup
	@rm -rf dist
	uv build --quiet --no-build-isolation --python $(BIN)/python --out-dir dist
	ls -l dist

ENGINE ?= $(firstword $(foreach one,docker podman buildah,$(if $(shell command -v $(one)),$(one))))
CUDA ?= no

container:
	@$(ENGINE) build --file container/Dockerfile --build-arg CUDA=$(CUDA) --tag plmscale .

# Of a release: whether the tag is that of the version, and the upload by a workflow that the index trusts.
tag: setup
	@test "$(TAG)" = "v$$(python -c 'import plmscale; print(plmscale.__version__)')"

upload: dist
	@uv publish --trusted-publishing always dist/*

recipe: setup
	@uv run --quiet --no-project --with py-rattler-build==0.73.0 python recipe/check.py

locks: setup
	@python locks/make_locks.py $(if $(UPGRADE),--upgrade)

versions: setup
	@python tests/versions.py $(if $(TORCH),--torch $(TORCH))

clean:
	rm -rf results small_study .snakemake
