# Every target works from a clean clone: it first creates .venv and installs what is needed, once.
.DEFAULT_GOAL := help
.PHONY: help setup lint types test test-tasks-api test-system-ffmpeg demo bench clean distclean
SHELL := /bin/sh

VENV := .venv
PY   := $(VENV)/bin/python
DEMO := avatarkit-demo

# The first interpreter that runs, has a right version and can make a virtual environment.
SUPPORTED := import ensurepip, sys, venv; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 14))
ifndef PYTHON
PYTHON := $(shell for python in python3.11 python3.12 python3.10 python3.13 python3; do \
    $$python -c '$(SUPPORTED)' >/dev/null 2>&1 && echo $$python && break; done)
endif

# Named after the dependencies, not after pyproject.toml: other edits must not start an installation.
KEY   := $(if $(PYTHON),$(shell $(PYTHON) .ci/dependency_key.py))
STAMP := $(VENV)/.installed-$(KEY)

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP)  ## Create .venv and install avatarkit with all it needs (once per set of dependencies)

$(STAMP):
	@"$(PYTHON)" -c '$(SUPPORTED)' >/dev/null 2>&1 || { echo "error: no Python 3.10 to 3.13 that has" \
	    "venv; install one, or say make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PY) -c '' 2>/dev/null || { echo "Creating $(VENV) with $$("$(PYTHON)" -V)"; "$(PYTHON)" -m venv $(VENV); }
	@echo "Installing dependencies (the first time some minutes and gigabytes: torch is among them)"
	@$(PY) -m pip install -qq --disable-pip-version-check --editable '.[dev]'
	@rm -f $(VENV)/.installed-*
	@touch $@

lint: $(STAMP)  ## Check style and common mistakes (ruff)
	@$(PY) -m ruff check .

# mypy does not follow the install-time folder mapping, so it gets the package tree as links.
types: $(STAMP)  ## Check types (mypy, strict)
	@rm -rf build/types && mkdir -p build/types/avatarkit
	@cd build/types/avatarkit && ln -s ../../../avatarkit/* ../../../cli ../../../pipelines .
	@MYPYPATH=build/types $(PY) -m mypy > build/types.log; status=$$?; \
	sed -e 's#^build/types/avatarkit/cli/#cli/#' -e 's#^build/types/avatarkit/pipelines/#pipelines/#' \
	    -e 's#^build/types/##' build/types.log; exit $$status

# Files are shared out over up to four processes; each then computes with one thread.
test: $(STAMP)  ## Run the tests
	@OMP_NUM_THREADS=1 $(PY) -m pytest -q -n logical --maxprocesses 4 --dist loadfile

# A second environment with a MediaPipe that has Tasks only, without torch: what Python 3.13 and numpy 2 bring.
# TASKS_PYTHON may be any supported one; 3.13 where it runs.
TASKS_VENV := .venv-tasks
TASKS_PY   := $(TASKS_VENV)/bin/python
TASKS_PYTHON ?= $(shell python3.13 -c '$(SUPPORTED)' >/dev/null 2>&1 && echo python3.13 || echo $(PYTHON))
TASKS_STAMP := $(TASKS_VENV)/.installed-$(KEY)

$(TASKS_STAMP): .ci/tasks_requirements.py
	@"$(TASKS_PYTHON)" -c '$(SUPPORTED)'
	@$(TASKS_PY) -c '' 2>/dev/null || "$(TASKS_PYTHON)" -m venv $(TASKS_VENV)
	@"$(TASKS_PYTHON)" .ci/tasks_requirements.py > $(TASKS_VENV)/requirements.txt
	@$(TASKS_PY) -m pip install -qq --disable-pip-version-check -r $(TASKS_VENV)/requirements.txt
	@$(TASKS_PY) -m pip install -qq --disable-pip-version-check --no-deps --editable .
	@rm -f $(TASKS_VENV)/.installed-*
	@touch $@

test-tasks-api: $(TASKS_STAMP)  ## Run the tests of faces and what follows with MediaPipe Tasks alone
	@.ci/test-tasks-api $(TASKS_PY)

test-system-ffmpeg: $(STAMP)  ## Run the tests of media with the distribution's ffmpeg (fetched with apt, not installed)
	@.ci/test-system-ffmpeg $(PY)

demo: $(STAMP)  ## Render the bundled example and say where the video is
	@$(PY) -m avatarkit demo -o $(DEMO) --overwrite

bench: $(STAMP)  ## Measure speeds on this machine, then memory and sound's sync, on the demo's driver
	@$(PY) -m avatarkit bench
	@$(PY) benchmarks/run.py memory sync

clean:  ## Remove what was built or rendered; keep .venv
	@rm -rf build dist *.egg-info $(DEMO) .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	@find avatarkit cli pipelines tests examples -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean  ## Remove .venv as well
	@rm -rf $(VENV) $(TASKS_VENV)
