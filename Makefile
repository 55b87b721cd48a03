# Everything cleverer than a line or two is Python under dev/. Works with POSIX sh and make 3.81.
.POSIX:
.SUFFIXES:
.PHONY: help setup demo test chaos check fmt cluster-up cluster-down bench lock clean

PY = .venv/bin/python
NAME = dev

help: ## Show this list
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-20s %s\n", $$1, $$2 }'

setup: ## Make .venv from the lock file, if it is not already whole and current
	@sh dev/bootstrap.sh

demo: setup ## Start a server on this machine and run "Hello World" in it
	@$(PY) -m dev.demo

test: setup ## Run all tests, real Kubernetes included; says what could not run here (ARGS=… goes to pytest)
	@$(PY) -m dev.test $(ARGS)

chaos: setup ## Break everything around Spark for two minutes while jobs flow (ARGS='--seed 7' repeats a run)
	@$(PY) -m tests.chaos $(ARGS)

check: setup ## Format, lint, types, layers, size budgets, lock files, generated pages
	@$(PY) -m dev.check

fmt: setup ## Format and fix what can be fixed
	@$(PY) -m ruff check --fix --quiet . ; $(PY) -m ruff format . && $(PY) -m dev.docs

cluster-up: setup ## Start a real one-node Kubernetes and print its kubeconfig (NAME=dev)
	@$(PY) -m dev.cluster up --name $(NAME)

cluster-down: setup ## Stop it again (NAME=dev)
	@$(PY) -m dev.cluster down --name $(NAME)

bench: setup ## Run the benchmarks (ARGS=… goes to them)
	@$(PY) -m bench $(ARGS)

lock: setup ## Compile requirements/*.lock anew from pyproject.toml (UPGRADE=1 takes newer versions)
	@$(PY) -m dev.lock $(if $(UPGRADE),--upgrade)

clean: ## Remove everything that can be made again, .venv included (the cluster's build cache stays)
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist
	@rm -rf src/spark_jobs/api/static/swagger
	@find src tests dev bench -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
