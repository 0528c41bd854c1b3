# The commands of the documentation. All of them run in .venv, which the locks next to this file make up.

PYTHON ?= python3
ENVIRONMENT := .venv/.made-from-the-locks
EMBEDDED := .venv/bin/python -m redraw_airflow.standalone

export PYTHON
# Compiled modules are kept, whatever the caller's shell says: without them importing TensorFlow takes twice as long.
export PYTHONDONTWRITEBYTECODE :=
# The folder that holds tests/ and benchmarks/; Redraw itself is installed into .venv, where it lies.
export PYTHONPATH := $(CURDIR)$(if $(PYTHONPATH),:$(PYTHONPATH))

.PHONY: help setup run status stop clean test test-distributed test-versions packages lint dist release-check bench fuzz mutants screenshots lock docs reference

help:
	@echo "make run     train, export, validate and publish a model on Airflow, only on this machine"
	@echo "make status  what runs, and where"
	@echo "make stop    end what 'make run' started"
	@echo "make clean   the same, and remove its state (.redraw)"
	@echo "make test    every gate: lint, format, types, tests"
	@echo "make test-distributed  several machines: no shared disk, and Celery with PostgreSQL and Redis"
	@echo "make test-versions     the oldest and the newest Airflow that Redraw works with"
	@echo "make dist    the wheel and the source distribution, in dist/"
	@echo "make release-check  both archives: what they hold, and that they install and work in an empty environment"
	@echo "make bench   what it costs, versus doing without: BENCHMARKS=\"dag-parse commands\" picks some"
	@echo "make screenshots  the documentation's pictures of the pages, made again"
	@echo "make docs    the documentation site, in .redraw/site: without network, and with warnings as errors"
	@echo "make reference  the pages of docs/reference that are made from code, made again"
	@echo "make fuzz    damage what every parser reads at random, for as long as is asked: CASES=1000000 a parser, from SEED=1"
	@echo "make mutants  plant small slips in a copy and count those that the nearest tests catch: MUTANTS=40 SEED=1 PACKAGES=web"
	@echo "make lock    compile the locks after a change of a requirements*.in: what is locked stays as long as it fits"

setup: $(ENVIRONMENT)

run: $(ENVIRONMENT)
	@$(EMBEDDED) up

# These need no up-to-date environment, and without one nothing can run.
status stop clean:
	@if [ -x .venv/bin/python ]; then $(EMBEDDED) $@; else echo "Nothing is set up here, so nothing runs."; fi

# Side by side, a module in one process; in their order, for the longest group stands first.
test: lint packages
	.venv/bin/python -m pytest --numprocesses=3 --dist=loadscope --no-loadscope-reorder $(PYTEST_ARGUMENTS)

packages:
	@sh .ci/packages browser

# The documentation's pictures, made by the tests that look at the pages.
PICTURES := model graphs beside backfill reexport

screenshots: $(ENVIRONMENT) packages
	.venv/bin/python -m pytest -q tests/browser
	cp $(PICTURES:%=.redraw/pictures/%.png) docs/pictures/

# A test builds it too, so 'make test' fails on a warning or a broken link.
docs: $(ENVIRONMENT)
	@.venv/bin/python -m documentation site

# Pages of docs/reference; a test says when they are not up to date.
reference: $(ENVIRONMENT)
	.venv/bin/python -m documentation reference

test-distributed: $(ENVIRONMENT)
	@sh .ci/packages servers
	.venv/bin/python -m pytest -m distributed $(PYTEST_ARGUMENTS)

# Two environments in .redraw/versions: minutes the first time, for they download.
test-versions: $(ENVIRONMENT)
	.venv/bin/python -m pytest -m versions tests/versions $(PYTEST_ARGUMENTS)

dist: $(ENVIRONMENT)
	rm -rf dist
	.venv/bin/uv build --quiet --no-build-isolation --out-dir dist .

# TAG=v1.2.3 is compared with the version.
release-check: dist
	@.venv/bin/python -m documentation release $(TAG)

bench: $(ENVIRONMENT)
	@sh .ci/packages servers
	@.venv/bin/python -m benchmarks $(BENCHMARKS)

fuzz: CASES := 100000
fuzz: SEED := 1
fuzz: $(ENVIRONMENT)
	REDRAW_FUZZ_CASES=$(CASES) REDRAW_FUZZ_SEED=$(SEED) \
		.venv/bin/python -m pytest --timeout=0 -q tests/redraw/checkpoint/bundle/test_fuzz.py tests/hostile/test_fuzz.py

# In a copy of the checkout: nothing is changed here. PACKAGES="export web" picks some.
mutants: MUTANTS := 40
mutants: SEED := 1
mutants: $(ENVIRONMENT)
	@.venv/bin/python -m tests.mutants --mutants $(MUTANTS) --seed $(SEED) $(PACKAGES)

lint: $(ENVIRONMENT)
	@sh .ci/locks
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo --no-cache

# The first lock decides the versions of all others.
COMPILE := .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes
lock: $(ENVIRONMENT)
	$(COMPILE) requirements.in -o requirements.txt
	for side in airflow tensorflow; do \
		$(COMPILE) -c requirements.txt requirements-$$side.in -o requirements-$$side.txt || exit 1; \
	done
	$(COMPILE) --exclude-newer 2026-04-09 requirements-airflow-oldest.in -o requirements-airflow-oldest.txt
	$(COMPILE) requirements-dev.in -o requirements-dev.txt
	$(COMPILE) requirements-setup.in -o requirements-setup.txt

$(ENVIRONMENT): requirements-setup.txt requirements.txt requirements-dev.txt pyproject.toml
	@sh .ci/setup
	@touch $@
