"""The names users import: all there, lazily, and nothing deeper in any page or example."""

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
DOORS = {
    "evenhand",
    "evenhand.tasks",
    "evenhand.models",
    "evenhand.heads",
    "evenhand.metrics",
    "evenhand.integrations",
    "evenhand.integrations.sklearn",
    "evenhand.integrations.trainer",
    "evenhand.integrations.peft",
    "evenhand.integrations.mlflow",
    "evenhand.integrations.trackers",
}
"""What a page or an example may import from."""

LAZY = [
    "evenhand",
    "evenhand.fisher",
    "evenhand.heads",
    "evenhand.integrations",
    "evenhand.tasks",
]
"""Packages with a table of names that are imported when first used."""

PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs" / "how-to").glob("*.md")),
    *sorted((ROOT / "examples").glob("*.py")),
]


def imports_when_checked(package):
    """Name to module, of the ``TYPE_CHECKING`` block."""
    file = SOURCE.joinpath(*package.split("."), "__init__.py")
    block = next(node for node in ast.parse(file.read_text("utf-8")).body if is_typing(node))
    return {
        alias.name: f"{package}.{alias.name}" if line.module == package else line.module
        for line in block.body
        for alias in line.names
    }


def is_typing(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


@pytest.mark.parametrize("package", LAZY)
def test_the_table_says_what_the_type_checker_reads(package):
    assert imports_when_checked(package) == import_module(package)._HOMES


@pytest.mark.parametrize("package", LAZY)
def test_every_name_is_there_and_none_is_hidden_by_a_file(package):
    module = import_module(package)
    assert set(module._HOMES) <= set(module.__all__)
    assert len(module.__all__) == len(set(module.__all__))
    for name, home in module._HOMES.items():
        found = getattr(module, name)
        if home != f"{package}.{name}":
            assert found is getattr(import_module(home), name)
            # Importing such a file would put it in the place of the name.
            here = SOURCE.joinpath(*package.split("."), name)
            assert not here.is_dir()
            assert not here.with_suffix(".py").exists()
    with pytest.raises(AttributeError, match=f"{package}' has no attribute 'no_such_name'"):
        module.no_such_name  # noqa: B018


@pytest.mark.parametrize("room", ["evenhand.metrics", "evenhand.tasks"])
def test_no_name_of_a_room_is_a_file_of_it(room):
    files = {path.stem for path in SOURCE.joinpath(*room.split(".")).glob("*.py")}
    assert files.isdisjoint(import_module(room).__all__)


def test_importing_evenhand_loads_itself_and_the_standard_library():
    code = (
        "import sys; before = set(sys.modules); import evenhand\n"
        "loaded = {name for name in set(sys.modules) - before if name.startswith('evenhand')}\n"
        "other = {name.split('.')[0] for name in set(sys.modules) - before} - {'evenhand'}\n"
        "print(sorted(loaded), sorted(other - sys.stdlib_module_names))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(SOURCE)!r})\n{code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "['evenhand', 'evenhand._base', 'evenhand._base.lazy'] []\n"


def python_of(page):
    """The Python of a page, or of an example."""
    text = page.read_text("utf-8")
    if page.suffix == ".py":
        return text
    return "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))


def doors_used(code):
    """The modules of evenhand that the code imports from, and the rooms it reaches through eh."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_and_examples_import_nothing_deeper(page):
    used = {name for name in doors_used(python_of(page)) if name.split(".")[0] == "evenhand"}
    assert used <= DOORS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_names_that_pages_mention_are_there(page):
    text = page.read_text("utf-8")
    for path in re.findall(r"\b(?:eh|evenhand)((?:\.[A-Za-z]\w*)+)", text):
        if path.split(".")[-1] in ("com", "json", "csv", "safetensors", "txt", "prom"):
            continue
        found = import_module("evenhand")
        for name in path.split(".")[1:]:
            if isinstance(found, type(sys)):
                found = getattr(found, name)


def test_a_deeper_import_is_seen():
    assert set(doors_used("from evenhand.heads.fit import fit_path\nimport evenhand as eh")) == {
        "evenhand.heads.fit",
        "evenhand",
    }
