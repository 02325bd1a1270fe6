"""``.ci/lowest`` runs the tests on the versions that pyproject.toml calls the lowest."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

HERE = Path(__file__).parents[1]
TOOLS = {"dev", "docs"}
RUN_BY_NOBODY = {"ray", "wandb"}
"""Extras that the tests do not install: their tests are skipped."""


def test_every_lower_bound_is_the_version_that_is_tested():
    project = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]
    asked = list(project["dependencies"])
    for extra, requirements in project["optional-dependencies"].items():
        if extra not in TOOLS | RUN_BY_NOBODY:
            asked += requirements
    lower = {}
    for requirement in map(Requirement, asked):
        if requirement.name != "evenhand":
            (bound,) = requirement.specifier
            lower[requirement.name] = Version(bound.version)
    lines = (HERE / ".ci" / "lowest.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line)
    assert {name: Version(pinned.get(name, "0")) for name in lower} == lower
