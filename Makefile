# `make test` and `make demo` work on a fresh machine: each first makes .venv ready (scripts/bootstrap).
SHELL := /bin/bash
.NOTPARALLEL:
.DEFAULT_GOAL := help

BIN := .venv/bin
ARGS ?=
export PYTHON

.PHONY: help setup test lint format demo sample docs figures bench clean

help: ## list what can be made
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 10

setup: ## make .venv ready: Python packages, Qt, system libraries
	@bash scripts/bootstrap

# One process per core, each with one thread: they must not wait for each other's threads.
test: setup ## run all tests; ARGS="-k facets" passes arguments to pytest
	@OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(ARGS)

lint: setup ## check style and types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

format: setup ## bring the code into shape
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

demo: setup ## open the window with the sample reconstructed; without a display leave pictures and numbers in demo_output/
	@bash scripts/demo

sample: setup ## make the bundled sample again
	@$(BIN)/python sample_data/make_sample.py
	@$(BIN)/python sample_data/make_movie.py

docs: setup ## make the pictures of the guide again from the running program
	@bash scripts/with_display $(BIN)/python docs/make_screenshots.py
	@bash scripts/with_display $(BIN)/python docs/make_calibration_pictures.py

figures: setup ## make the figures of the pages on physics and reconstruction again, some minutes
	@$(BIN)/python docs/make_physics_figures.py
	@$(BIN)/python docs/make_reconstruction_figures.py
	@$(BIN)/python docs/make_architecture_figure.py

bench: setup ## measure speed and accuracy
	@$(BIN)/python -m benchmarks $(ARGS)

clean: ## remove what was built, the environment apart
	rm -rf build dist demo_output .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find src tests benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} +
