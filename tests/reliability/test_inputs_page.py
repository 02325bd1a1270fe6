"""The page of inputs that once went wrong: every row names tests, and they are there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
PAGE = TOP / "docs" / "reference" / "inputs.md"
pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason="the page is not part of a wheel")


def rows():
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:2] == "| "]
    found = [line.strip("| ").split(" | ") for line in lines]
    return [row for row in found if row[0] != "input"]


@cache
def names_in(file):
    path = TOP / "tests" / f"{file}.py"
    tree = ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else ast.Module([], [])
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_kind_is_there_once():
    kinds = [row[0] for row in rows()]
    assert len(kinds) > 50
    assert len(set(kinds)) == len(kinds)
    assert all(len(row) == 3 and all(row) for row in rows())


@pytest.mark.parametrize("row", rows() if PAGE.is_file() else [], ids=lambda row: row[0][:40])
def test_every_kind_has_tests_that_are_there(row):
    named = re.findall(r"`([\w/]+)::(\w+)`", row[-1])
    assert named
    assert len(named) == row[-1].count("`") // 2
    for file, name in named:
        assert f"test_{name}" in names_in(file), f"{file}::{name}"


def test_no_page_starts_one_process_for_several():
    """``accelerate launch --cpu`` starts one process, whatever is asked for."""
    for page in (TOP / "docs").rglob("*.md"):
        for block in re.findall(r"```.*?```", page.read_text(encoding="utf-8"), re.DOTALL):
            assert not re.search(r"accelerate launch[^\n]*--cpu", block), page
