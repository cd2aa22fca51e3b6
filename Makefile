# The commands of daily work; `.ci/run` calls the same ones in a fresh environment.
.PHONY: install test quick coverage lint format types docs bench

install:  ## editable, with all tools
	pip install -e '.[dev]'

test:  ## the whole test suite
	pytest

quick:  ## without the tests that run nnU-Net or a compiler
	pytest -m "not slow"

coverage:  ## which lines the quick tests reach
	pytest -m "not slow" --cov=anl_seg --cov-report=term:skip-covered

lint:
	ruff check .
	ruff format --check .

format:
	ruff check --fix .
	ruff format .

types:  ## mypy on the package as it is installed
	bash .ci/types

docs:
	mkdocs build --strict

bench:  ## the short benchmarks; benchmarks/README.md tells how to read them
	python benchmarks/losses.py
	python benchmarks/evaluation.py
	python benchmarks/noise.py
