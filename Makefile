# Everything sets itself up: a Python from 3.11 on and make are enough.
PYTHON ?= python3
BIN := .venv/bin
# Two workers; a file's tests share one, so that its fixtures are made once. (--dist loadgroup does nothing with pytest 9.2.)
PYTEST := $(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps
export DAGSTER_EVENT_BATCH_SIZE ?= 1000
# Bytecode is kept on first use, also where the environment says otherwise: compiling it again takes seconds.
export PYTHONDONTWRITEBYTECODE =

.PHONY: run dashboards test test-fast test-all ui lint lint-types lint-rest bench bench-scale cluster test-spark docs dbt-docs setup lock mcp clean
.DEFAULT_GOAL := run

setup: .venv/.ready

.venv/.ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	awk '/^uv==/, !/\\$$/' requirements.lock > .venv/uv.lock
	@# uv installs the lock in a tenth of pip's time. Where it cannot (a platform or an index that only pip can use), pip does.
	$(PIP) --require-hashes -r .venv/uv.lock && $(UV) --require-hashes -r requirements.lock || \
		$(PIP) --require-hashes -r requirements.lock
	$(PIP) --no-build-isolation -e .
	$(BIN)/python -m pipelines.warehouse.dbt
	$(BIN)/python -m pipelines.publish.vega
	touch $@

run: setup
	$(BIN)/tightness run

# Started in the instance's folder: in the project's, Dagster would read .env too and prefer it to the environment.
ui: setup
	home="$$($(BIN)/python -m pipelines.orchestration.instance)" && cd "$$home" && export DAGSTER_HOME="$$home" && \
	PYTHONWARNINGS='ignore:Function `dev_command` is superseded' "$(CURDIR)/$(BIN)/dagster" dev --workspace "$(CURDIR)/workspace.yaml" --host 127.0.0.1 --port 3000

# Apache Superset on 127.0.0.1 with the dashboards of dashboards/superset on the published data; ends with Ctrl+C.
dashboards: setup .venv-superset/.ready
	.venv-superset/bin/python dashboards/superset/serve.py \
		"$$($(BIN)/python -c 'from pipelines.common.settings import load_settings; print(load_settings().data)')" $(PORT)

# Its packages need other versions than the product's, and an older Python than the newest.
.venv-superset/.ready: dashboards/superset/requirements.lock | setup
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13) and "Superset needs Python 3.11 or 3.12: make dashboards PYTHON=python3.12")'
	$(PYTHON) -m venv --clear .venv-superset
	$(BIN)/uv pip install --quiet --python .venv-superset/bin/python --no-deps --require-hashes -r dashboards/superset/requirements.lock || \
		.venv-superset/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r dashboards/superset/requirements.lock
	touch $@

# Apache Spark on 127.0.0.1, until Ctrl+C: a master, two workers and a Spark Connect server (docs/spark.md). Needs a Java.
cluster: .venv-spark/.ready
	.venv-spark/bin/python -m benchmarks.cluster

# The lock, and what the extra `spark` adds to it. An environment of its own: with pyspark installed every start is slower.
.venv-spark/.ready: requirements.lock requirements-spark.lock pyproject.toml | setup
	$(PYTHON) -m venv --clear .venv-spark
	$(BIN)/uv pip install --quiet --python .venv-spark/bin/python --no-deps --require-hashes -r requirements.lock -r requirements-spark.lock || \
		.venv-spark/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock -r requirements-spark.lock
	$(BIN)/uv pip install --quiet --python .venv-spark/bin/python --no-deps --no-build-isolation -e .
	touch $@

# The SQL for Spark by Spark's own parser; with MARK= on a cluster too, for the better part of an hour. Needs a Java and pyspark.
MARK ?= not exhaustive
test-spark: setup
	if command -v java >/dev/null && $(MAKE) --no-print-directory .venv-spark/.ready; then \
		.venv-spark/bin/python -m pytest -q -m "$(MARK)" tests/pipeline/test_spark.py; \
	else echo "NOT CHECKED: the SQL for Spark, for which a Java or pyspark could not be found (docs/spark.md)"; fi

# Fast: a minute. Test: what a change must pass. All: repetition too (more seeds, old drivers, environments).
test-fast: setup
	$(PYTEST) -m "not slow and not exhaustive"

test: lint
	$(PYTEST) -m "not exhaustive"
	$(MAKE) --no-print-directory test-spark

test-all: lint
	$(PYTEST)
	$(MAKE) --no-print-directory test-spark MARK=

lint: setup
	$(MAKE) -j 2 --no-print-directory lint-types lint-rest

lint-types:
	$(BIN)/mypy

lint-rest:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python -m schemas --check
	$(BIN)/sqlfluff lint --processes 1 --disable-progress-bar dbt/models dbt/tests

bench: setup
	$(BIN)/python -m benchmarks

# 158 million rows and 250 daily runs: half an hour, and some 20 GB in the folder for temporary files.
bench-scale: setup
	$(BIN)/python -m benchmarks.scale

docs: setup
	$(BIN)/python -m schemas

# One page, dbt/target/static_index.html: models, columns, tests and lineage. Needs no data and no network.
dbt-docs: setup
	$(BIN)/dbt docs generate --static --project-dir dbt --profiles-dir dbt

# The optional package of `tightness mcp`, in versions that go with the lock.
mcp: setup
	grep -v '^ *--hash' requirements.lock | sed 's/ *\\$$//' > .venv/constraints.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint .venv/constraints.txt -e '.[mcp]' --no-build-isolation

lock: setup
	$(BIN)/uv pip compile pyproject.toml --extra dev --extra postgres --generate-hashes --no-header --no-annotate --no-strip-extras --universal --python-version 3.11 --no-emit-index-url -o requirements.lock
	$(BIN)/uv pip compile pyproject.toml --extra dev --extra postgres --extra spark --constraint requirements.lock --generate-hashes --no-header --no-annotate --no-strip-extras --universal --python-version 3.11 --no-emit-index-url --quiet | grep -vxFf requirements.lock > requirements-spark.lock
	$(BIN)/uv pip compile dashboards/superset/requirements.in --generate-hashes --no-header --no-annotate --no-strip-extras --universal --python-version 3.11 --no-emit-index-url -o dashboards/superset/requirements.lock

clean:
	rm -rf data/raw data/lake data/quarantine data/warehouse data/published data/exports data/instance data/superset dbt/target dbt/logs
