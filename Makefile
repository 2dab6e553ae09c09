# The commands of this project. Every one of them sets up .venv by itself the first time.
#   make demo     all 18 reports from the sandbox account (or yours), then the Dagster UI
#   make demo ONCE=1   the same without the UI: ends when the tables are there
#   make dev      the Dagster UI on your own account
#   make test     all tests;  make lint  style and types
#   make test-duckdb-1.5   what touches the database, on the older DuckDB
#   make docs     the data dictionary in docs/reports.md
#   make clean    removes everything generated: data/ (the warehouse too!) and .dagster/

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo dev test test-duckdb-1.5 lint format docs clean

demo: .venv/installed
	@"$(BIN)/harvest-pipeline" demo $(if $(ONCE),--once)

dev: .venv/installed
	@"$(BIN)/harvest-pipeline" dev

test: .venv/installed
	@"$(BIN)/python" -m pytest -n 2 --dist loadgroup $(ARGS)

test-duckdb-1.5: .venv-duckdb-1.5/installed
	@".venv-duckdb-1.5/bin/python" -m pytest -n 2 harvest_pipeline_tests/warehouse \
	  harvest_pipeline_tests/dagster_project/test_runs.py $(ARGS)

lint: .venv/installed
	@"$(BIN)/ruff" check .
	@"$(BIN)/ruff" format --check .
	@"$(BIN)/pyright" -p pyproject.toml

docs: .venv/installed
	@"$(BIN)/python" -m harvest_pipeline.dictionary > docs/reports.md

format: .venv/installed
	@"$(BIN)/ruff" check --fix .
	@"$(BIN)/ruff" format .

clean:
	rm -rf data .dagster .pytest_cache .ruff_cache .hypothesis

.venv/installed: setup.py constraints.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name it with: make PYTHON=/path/to/python3.11"; exit 1; }
	@[ -x "$(BIN)/python" ] || "$(PYTHON)" -m venv .venv || \
	  { echo "No virtual environment could be made; on Debian: apt-get install python3-venv"; exit 1; }
	@echo "Installing into .venv (once; a minute or two) ..."
	@"$(BIN)/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch .venv/installed

.venv-duckdb-1.5/installed: .venv/installed
	@"$(BIN)/python" -m venv .venv-duckdb-1.5
	@grep -v '^duckdb==' constraints.txt > .venv-duckdb-1.5/constraints.txt
	@".venv-duckdb-1.5/bin/python" -m pip install --quiet --disable-pip-version-check \
	  -c .venv-duckdb-1.5/constraints.txt -e '.[dev]' 'duckdb>=1.5,<2'
	@touch .venv-duckdb-1.5/installed
