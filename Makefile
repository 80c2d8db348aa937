# Every target in one line: `make help`. Needs Python 3.11+ and make; everything else it brings itself.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
STAMP := $(VENV)/.complete
DEV_STAMP := $(VENV)/.complete-dev
# Two workers a tier, each with servers of its own: a Spark driver plans on one core. Three where they wait for others.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
LOCKS := requirements.txt requirements-dev.txt overrides.txt

.PHONY: help setup setup-dev run down status test test-unit test-engine test-spark test-dags test-integration test-e2e test-all lint format lock bench kill-matrix chaos thorough clean

help:  ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 20

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $$($(PYTHON) --version) is too old."; echo "  -> Install Python 3.11 or 3.12 and run: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(STAMP): requirements.txt requirements-jdk.txt pyproject.toml | $(BIN)/uv
	@echo "Installing the locked environment into $(VENV) ..."
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --compile-bytecode -r requirements.txt
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --compile-bytecode --no-deps -e .
	@$(BIN)/python -m compileall -q include plugins
	@command -v java >/dev/null || [ -n "$$JAVA_HOME" ] || { echo "No Java found: installing the fall-back runtime ..."; VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --compile-bytecode -r requirements-jdk.txt; }
	@$(BIN)/lakehouse setup
	@touch $@

$(DEV_STAMP): requirements-dev.txt $(STAMP)
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --compile-bytecode -r requirements-dev.txt
	@touch $@

setup: $(STAMP)  ## virtual environment from the lock, Spark jars and an archive of their classes, a Java runtime where there is none

setup-dev: $(DEV_STAMP)  ## setup, plus what lint and tests need

run: $(STAMP)  ## the whole platform and three days of it; ONCE=1 exits after the summary, STREAM=1 has Kafka too
	@$(BIN)/lakehouse demo $(if $(ONCE),--once) $(if $(STREAM),--stream)

down: $(STAMP)  ## end every process of the sandbox
	@$(BIN)/lakehouse sandbox down

status: $(STAMP)  ## every table at a glance
	@$(BIN)/lakehouse status

test: test-unit test-engine test-dags test-spark test-integration test-e2e  ## every tier, under 20 minutes; of the long tests some, others with every commit

test-unit: $(DEV_STAMP)  ## no JVM, no server; seconds
	@$(PYTEST) tests/unit

test-engine: $(DEV_STAMP)  ## the engine on disk and S3, racing and killed processes, longer properties; no JVM
	@$(PYTEST) tests/engine

test-spark: $(DEV_STAMP)  ## against one real Spark Connect server
	@$(PYTEST) tests/spark

test-dags: $(DEV_STAMP)  ## DAG policy
	@$(PYTEST) tests/dags

test-integration: $(DEV_STAMP)  ## real clients against the stand-ins
	@$(PYTEST) -n 3 tests/integration

test-e2e: $(DEV_STAMP)  ## a real Airflow scheduler
	@$(BIN)/python -m pytest tests/e2e

lint: $(DEV_STAMP)  ## ruff, mypy, import walls, SQL, contracts, CloudFormation
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/sqlfluff lint --disable-progress-bar include/tables
	@$(BIN)/lakehouse contracts lint
	@$(BIN)/cfn-lint infra/*.yaml

format: $(DEV_STAMP)  ## ruff and sqlfluff, in place
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format --quiet .
	@$(BIN)/sqlfluff fix --disable-progress-bar --quiet include/tables

kill-matrix: $(DEV_STAMP)  ## death at every step of every kind of source, and its page; half an hour, or some: CASES="silver.products and Spark"
	@LAKEHOUSE_KILL_MATRIX=all LAKEHOUSE_TESTS=all $(BIN)/python -m pytest tests/integration/test_kill_points.py $(if $(CASES),-k "$(CASES)")

chaos: $(DEV_STAMP)  ## the daily run, upkeep, replays and backfills at once while anything dies; MINUTES=60 SEED=7; its log is docs/chaos.jsonl
	@LAKEHOUSE_CHAOS_MINUTES=$(or $(MINUTES),60) LAKEHOUSE_KILL_SEED=$(or $(SEED),7) LAKEHOUSE_CHAOS_LOG=docs/chaos.jsonl $(BIN)/python -m pytest -s tests/integration/test_chaos.py::test_days_of_chaos_are_as_quiet_days

test-all: export LAKEHOUSE_TESTS = all
test-all: test  ## every tier with all of its long tests; an hour

thorough: $(DEV_STAMP)  ## properties with very many examples, longer races, months of random operations, every table in the week of faults, three months without a fault, more deaths of the stream, five days of backfill; hours
	@LAKEHOUSE_TESTS=all LAKEHOUSE_RACE=50 LAKEHOUSE_MONTHS=20 LAKEHOUSE_WEEK=all LAKEHOUSE_BACKFILL_DAYS=5 LAKEHOUSE_DEATHS=3 $(BIN)/python -m pytest --hypothesis-profile=thorough tests/unit tests/engine tests/spark/test_delta_month.py tests/integration/test_week.py tests/integration/test_clean_months.py tests/integration/test_stream.py tests/e2e/test_backfill.py

bench: $(DEV_STAMP)  ## what the promises about speed cost, measured; minutes, on a quiet machine
	@$(BIN)/python -m bench.publish --output docs/benchmarks/publish.json
	@$(BIN)/python -m bench.optimize --output docs/benchmarks/optimize.json
	@$(BIN)/python -m bench.extract --output docs/benchmarks/extract.json
	@$(BIN)/python -m bench.load --output docs/benchmarks/load.json
	@$(BIN)/python -m bench.stream --output docs/benchmarks/stream.json
	@$(BIN)/python -m bench.gate --output docs/benchmarks/gate.json
	@$(BIN)/python -m bench.scd2 --output docs/benchmarks/scd2.json
	@$(BIN)/python -m bench.history --output docs/benchmarks/history.json
	@$(BIN)/python -m bench.skew --output docs/benchmarks/skew.json
	@$(BIN)/python -m bench.backfill --output docs/benchmarks/backfill.json

lock: | $(BIN)/uv  ## compile the .in files into the locks
	@$(BIN)/uv pip compile --quiet requirements.in --override overrides.txt --no-annotate --no-emit-index-url --no-emit-find-links -o requirements.txt
	@$(BIN)/uv pip compile --quiet requirements-dev.in --override overrides.txt --no-annotate --no-emit-index-url --no-emit-find-links -o requirements-dev.txt

clean:  ## remove this checkout's state and environment
	@rm -rf .lakehouse $(VENV) build *.egg-info
