# Everything works from a clean checkout with Python ≥ 3.11 and make; each target makes what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=python3.12, for instance."; exit 1; }
	@echo "Installing into $(VENV), which takes a minute the first time ..."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) "$$(sed -nE 's/^(uv==[0-9.]+).*/\1/p' requirements.lock)" 2>/dev/null || true
	@# uv is ten times as fast; where it cannot reach the index that pip is set up for, pip does it.
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes --no-deps -r requirements.lock 2>/dev/null \
		|| $(PIP) --require-hashes --no-deps -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $(READY)

.PHONY: help install demo dev test test-all lint bench lock clean
help:          ## what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## */\t/' | expand -t 12

install: $(READY)  ## the virtual environment

demo: $(READY)     ## simulate a business, load 60 days as one backfill, then two daily runs
	@$(BIN)/oms demo

dev: $(READY)      ## Dagster's web UI and daemon on http://localhost:3000
	@$(BIN)/oms dev

test: $(READY)     ## the fast suite: real parts, nothing slow
	@$(BIN)/python -m pytest -q -m "not slow" --numprocesses 2 --dist loadfile

test-all: test     ## every test, the browser and the long properties included
	@$(BIN)/python -m pytest -q -m slow

lint: $(READY)     ## style, types, SQL, which room imports which, and what is deployed
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/sqlfluff lint --processes 2 oms_dbt
	@$(BIN)/cfn-lint deploy/aws/*.yml
	@$(BIN)/shellcheck .ci/run deploy/aws/oms-host deploy/docker/*.sh
	@$(BIN)/zizmor --offline --quiet --persona auditor .github
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
	@$(BIN)/hadolint Dockerfile
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec docker-compose.yml

bench: $(READY)    ## speed, side by side with the limit and with other tools
	@$(BIN)/python -m oms_pipeline_tests.bench

lock: $(READY)     ## pin every dependency anew
	@$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --quiet --upgrade -o requirements.lock
	@# Tools that the tests run each in an environment of its own.
	@for tools in oms_pipeline_tests/*/*.in; do \
		$(BIN)/uv pip compile $$tools --universal --python-version 3.11 \
			--generate-hashes --no-emit-index-url --no-header --quiet --upgrade -o $${tools%.in}.txt || exit 1; \
	done

clean:             ## forget the demo's data; the virtual environment stays
	rm -rf .oms
