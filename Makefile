# Every target sets up what it needs. `make` alone lists them.
SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := $(CURDIR)/.venv/bin
# Tools call each other by name, and without bytecode every start of ansible takes 2.5 times as long.
export PATH := $(BIN):$(PATH)
unexport PYTHONDONTWRITEBYTECODE
export MOLECULE_EPHEMERAL_DIRECTORY := $(CURDIR)/.molecule
export HYPOTHESIS_STORAGE_DIRECTORY := $(CURDIR)/.cache/hypothesis

# The reference pipeline and what breaks it are part of the collection.
PYTHON := PYTHONPATH=$(CURDIR)/.collections $(BIN)/python
PIPELINE := ansible_collections.scout.drills.plugins.plugin_utils.reference

# What `make reference` builds, and where: make reference DSN=postgresql://… VARIANT=deployed EVENTS=1000000 SEED=7;
# VARIANT is faithful, repaired or deployed, also for make demo
export DSN ?=
export VARIANT ?= faithful
export EVENTS ?= 20000
export SEED ?= 1
# What `make check` runs of the tests, and the files that ansible-lint reads: it runs again if one of them has changed.
QUICK := tests/unit 'tests/e2e/test_reset.py::test_left_paused_as_told_and_given_back[faithful]' \
	tests/e2e/test_rollback.py::test_a_rollback_from_check_to_the_second_run_and_the_release_again
PLAYBOOKS := playbooks roles drills extensions inventories library plugins meta galaxy.yml requirements.yml ansible.cfg .ansible-lint
# What runs beside the tests shows all it said once it has ended. The tests show theirs as they go, which make grants to
# lines with a + alone; and it runs those for `make -n`, too.
LIVE := $(if $(findstring n,$(firstword -$(MAKEFLAGS))),,+)
SYNC := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)
# Of the others, those of the real pg_cron run after the scenarios of Molecule, those of ansible-rulebook beside it.
HERE := 'not docker and not pg_cron and not eda'
# What the tests leave out: nothing, but for `make test`.
SAMPLE ?=
# More words for pytest, molecule or the benchmark: make unit ARGS="-k plan -x"
ARGS ?=

.PHONY: tests quick-tests molecule-where-possible eda-where-possible oldest-and-newest lint-code lint-playbooks lint-archives sanity docs lint-changed-playbooks
.PHONY: help setup demo demo-moves demo-window demo-rollback drill test test-all check lint format unit integration e2e molecule eda matrix bench psql reference faults lock build clean distclean

help: ## Show this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1	\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 22

setup: ## Make .venv ready: find a Python >= 3.12, install, compile
	@scripts/setup

demo: setup ## Watch a broken pipeline being stopped, cleaned, checked and resumed [VARIANT=]
	@$(BIN)/python -m tests.scout.demo $(ARGS)

demo-moves: setup ## Watch rows being moved out of a running pipeline and restored, with nothing lost
	@$(BIN)/python -m tests.scout.demo_moves $(ARGS)

demo-window: setup ## Watch two hours of damaged silver being recovered, with the gate before and after
	@$(BIN)/python -m tests.scout.demo_window $(ARGS)

demo-rollback: setup ## Watch a bad release being rolled back on a running pipeline, and the rollback undone
	@$(BIN)/python -m tests.scout.demo_rollback $(ARGS)

drill: setup ## Break throwaway pipelines and recover each against the clock; ARGS="-e scout_scenario=poison_event" for one
	@$(BIN)/ansible-playbook scout.drills.drill $(ARGS)

test: setup ## Run the tests, but of the widest only today's share, and the checks of code; about 12 minutes on two cores
	@$(MAKE) -k -j2 $(SYNC) tests lint-code SAMPLE=--sampled

test-all: setup ## Run every test and check; alerts where Java can be had, Molecule where Docker answers; SETUP=docker installs and starts it (as root)
	@$(MAKE) -k -j2 $(SYNC) tests lint molecule-where-possible eda-where-possible oldest-and-newest

check: setup ## Run what is quick, before each commit: lint, unit tests, one reset, one rollback; ARGS=tests/… for more
	@$(MAKE) -k -j3 $(SYNC) quick-tests lint-changed-playbooks lint-code

tests: setup
	$(LIVE)@base=$$(mktemp -d); trap 'rm -rf "$$base"' EXIT; \
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder --basetemp "$$base/t" -m $(HERE) $(SAMPLE) $(ARGS)

quick-tests: setup
	$(LIVE)@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m $(HERE) $(QUICK) $(ARGS)

molecule-where-possible: setup
	@if why=$$($(PYTHON) -m $(PIPELINE).server.docker ready 2>&1); then exec $(BIN)/python extensions/molecule/run.py; \
	else printf '\nmolecule: left out, for Docker cannot be had here: %s\n' "$$(printf '%s\n' "$$why" | tail -n 1)"; fi

eda-where-possible: setup
	@if why=$$($(BIN)/python -m tests.rulebook --ready 2>&1); then exec $(BIN)/python -m tests.rulebook; \
	else printf '\neda: left out, for ansible-rulebook cannot be had here: %s\n' "$$(printf '%s\n' "$$why" | tail -n 1)"; fi

oldest-and-newest: setup
	@$(BIN)/python scripts/matrix --ends

eda: setup ## Answer alerts with the real ansible-rulebook, on Java 17 or newer, found or Debian's unpacked into .cache
	@$(BIN)/python -m tests.rulebook $(ARGS)

matrix: setup ## Run a chosen part of the tests on each PostgreSQL, Ansible and Python; write the table of docs/support.md [ARGS="'Python 3.12'"]
	@$(BIN)/python scripts/matrix $(ARGS)

lint: lint-code lint-playbooks lint-archives sanity docs ## Check style, types, documentation, playbooks and archives

lint-code: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	PYTHONPATH=$(CURDIR)/.collections $(BIN)/lint-imports --no-logo --cache-dir .cache/import-linter
	$(BIN)/yamllint --strict .
	$(BIN)/python scripts/docs --check
	$(BIN)/python scripts/validate-modules
	$(BIN)/antsibull-changelog lint
	cd drills && $(BIN)/antsibull-changelog lint
	$(BIN)/zizmor --offline --quiet --no-progress .github/workflows deploy/github-actions.yml deploy/drill.yml deploy/dependency-audit.yml

lint-playbooks: setup
	@mkdir -p .cache && touch .cache/ansible-lint.began
	PYTHONPATH=$(CURDIR)/.collections $(BIN)/python -m tests.door $(BIN)/ansible-lint
	@mv .cache/ansible-lint.began .cache/ansible-lint.passed

lint-archives: setup
	@$(BIN)/python scripts/lint-archives

sanity: setup
	@$(BIN)/python scripts/sanity

lint-changed-playbooks: setup
	@[ -e .cache/ansible-lint.passed ] && \
	[ -z "$$(find $(PLAYBOOKS) -name __pycache__ -prune -o -newer .cache/ansible-lint.passed -print | head -n 1)" ] \
	|| $(MAKE) lint-playbooks

# Whoever writes the theme speaks of what comes after it at each start.
docs: setup ## Build the site of the documentation into .cache/site; a link that leads nowhere is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

format: setup ## Rewrite the Python files in the house's style
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

unit: setup ## Run the tests that need no database
	@$(BIN)/python -m pytest tests/unit $(ARGS)

integration: setup ## Run the tests of modules and of the reference pipeline on a real PostgreSQL
	@$(BIN)/python -m pytest tests/integration $(ARGS)

e2e: setup ## Run the tests of whole playbooks
	@$(BIN)/python -m pytest tests/e2e $(ARGS)

molecule: setup ## Run the scenarios on a container with the real pg_cron
	@$(BIN)/python extensions/molecule/run.py $(ARGS)

bench: setup ## Measure, side by side with the runbook's script
	@$(BIN)/python -m benchmarks $(ARGS)

psql: setup ## Open a shell on the demo database
	@$(BIN)/python -m tests.scout.demo psql $(ARGS)

reference: setup ## Build the reference pipeline [DSN= VARIANT= EVENTS= SEED=]; last lines: FAULTS_DSN=..., SCOUT_DSN=...
	@set -- --variant "$$VARIANT" --events "$$EVENTS" --seed "$$SEED"; \
	if [ -n "$$DSN" ]; then set -- "$$@" --dsn "$$DSN"; fi; \
	$(PYTHON) -m $(PIPELINE).builder "$$@" $(ARGS)

faults: setup ## Break a reference: ARGS="--dsn postgresql://… poison_event kind=bad_ts"; without ARGS: list the faults
	@$(PYTHON) -m $(PIPELINE).faults.cli $(ARGS)

lock: setup ## Pin requirements/*.in, with hashes; ARGS=--upgrade takes the newest
	@scripts/lock $(ARGS)

build: setup ## Build the archives of both collections into dist/
	@$(BIN)/python scripts/build

clean: ## Stop the embedded servers and remove all that running left behind
	@if [ -x $(BIN)/python ] && [ -e drills/plugins/plugin_utils/reference/server/local.py ]; then $(PYTHON) -m $(PIPELINE).server.local stop; fi
	@rm -rf .scout .cache .molecule .ansible .hypothesis dist .venv/compiled
	@find . -path ./.venv -prune -o -path ./.git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## As clean, and remove .venv too
	@rm -rf .venv .deps
