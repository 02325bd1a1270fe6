# What a change must pass. `pip install -e '.[dev]'` brings the tools.
.PHONY: check test whole cuda coverage ci

check:  ## style, types, the contract of the rooms: under a minute
	ruff check .
	ruff format --check .
	mypy
	lint-imports --no-cache

test:  ## the suite, on two cores
	pytest -n 2

whole:  ## pages, tutorials, networks, clusters and killed processes, from one end to the other
	pytest -n 2 -m "whole and not slow and not soak and not cuda"

cuda:  ## what needs a GPU; each test says so where there is none
	pytest -m cuda

coverage:  ## the branches that no test takes
	pytest -n 2 -m 'not slow and not soak and not cuda' --cov=evenhand --cov-branch --cov-report=term:skip-covered

ci:  ## all of it in a fresh environment, from the wheel that is published
	.ci/run
