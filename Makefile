# What a change must pass. `pip install -e '.[dev]'` brings the tools.
.PHONY: check test whole coverage ci

check:  ## style, types, the contract of the rooms: under a minute
	ruff check .
	ruff format --check .
	mypy
	lint-imports --no-cache

test:  ## the suite, on two cores
	pytest -n 2

whole:  ## pages, tutorials, networks, clusters and killed processes, from one end to the other
	pytest -n 2 -m "whole and not slow and not soak"

coverage:  ## the branches that no test takes
	pytest -n 2 -m 'not slow and not soak' --cov=evenhand --cov-branch --cov-report=term:skip-covered

ci:  ## all of it in a fresh environment, from the wheel that is published
	.ci/run
