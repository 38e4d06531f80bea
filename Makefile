# Every verb explains itself: `make help`.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
.DEFAULT_GOAL := help
.PHONY: help run test lint check integration browser chaos bench soak docs lock clean

help: ## say what each verb does
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

# One stamp for the locked environment: hashes are checked, nothing else is ever installed.
.venv/ok: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed; set PYTHON=/path/to/python3"; exit 1; }
	@echo "installing into .venv (first time only, about a minute)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

run: .venv/ok ## serve the example shop on 127.0.0.1:8080 (CUSTOMHOUSE_PORT, CUSTOMHOUSE_DATA … change that)
	@$(BIN)/customhouse run --open --workspace $${CUSTOMHOUSE_WORKSPACE:-examples/shop}

test: .venv/ok ## unit, golden, contract and law tests
	@$(BIN)/python -m pytest

lint: .venv/ok ## lint, types, floors, sizes
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python tools/budget.py && $(BIN)/python tools/hygiene.py

check: lint ## the same, and unit tests on two workers: about a minute, before every commit
	@$(BIN)/python -m pytest -q -n 2 tests/unit tests/golden

integration: .venv/ok ## official SDKs and real processes against a running customhouse
	@$(BIN)/python -m pytest -n $${WORKERS:-2} --dist loadfile tests/integration

.venv/browser: .venv/ok .ci/browser.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .ci/browser.lock
	@touch $@

browser: .venv/browser ## the console and the browser SDKs in a real Chromium (SCREENSHOTS=folder keeps pictures)
	@$(BIN)/python -m pytest -n $${WORKERS:-2} --dist loadfile tests/browser

chaos: .venv/ok ## kill, fill, stall and lie for four minutes; an outside oracle counts (CHAOS_SECONDS, CHAOS_KILLS for longer)
	@$(BIN)/python -m pytest -p no:randomly -s tests/chaos

bench: .venv/ok ## figures against bench/budget.toml (BENCH_ARGS="--json" …)
	@$(BIN)/python -m bench $(BENCH_ARGS)

soak: .venv/ok ## steady load, watched: memory, handles, disk, books (SOAK_MINUTES=30, SOAK_RATE; figures go to .soak/)
	@$(BIN)/python -m bench.soak --minutes $${SOAK_MINUTES:-5} --rate $${SOAK_RATE:-500}

docs: .venv/ok ## write the generated reference pages
	@$(BIN)/python tools/reference.py

lock: ## renew requirements.lock (maintainers; needs uv)
	@uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 --extra dev --extra sdks pyproject.toml -o requirements.lock
	@uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate --python-version 3.11 .ci/browser.in -o .ci/browser.lock

clean: ## remove the environment and the example's data
	@rm -rf .venv examples/shop/.data
