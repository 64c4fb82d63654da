# Each target is one line over the tool that does the work. PORT=8080 make up

.DEFAULT_GOAL := help
.PHONY: help setup demo up test lint bench

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: ## .venv/bin/fieldcoach, the pinned dependencies, and the web page
	@tools/setup

demo: setup ## start everything, play a recorded visit, show it, stop
	@.venv/bin/fieldcoach demo

up: setup ## the whole system until Ctrl-C; PORT=8080
	@PORT=$${PORT:-8080} .venv/bin/fieldcoach up

test: lint ## all tests
	@npm --prefix clients/web run check && .venv/bin/pytest

lint: setup ## style, types, import boundaries
	@.venv/bin/ruff check && .venv/bin/ruff format --check && .venv/bin/mypy libs services tools tests conftest.py && .venv/bin/lint-imports

bench: setup ## the figures of whole visits
	@.venv/bin/fieldcoach bench visit
