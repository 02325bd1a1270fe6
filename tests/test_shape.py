"""The shape of the house: few doors, few rooms, small files."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOUSE = ROOT / "src" / "evenhand"
MAP = (ROOT / "CONTRIBUTING.md").read_text("utf-8")


def test_few_modules_and_rooms_stand_at_the_root():
    modules = {path.stem for path in HOUSE.glob("*.py")}
    rooms = {path.parent.name for path in HOUSE.glob("*/__init__.py")}
    assert len(modules) <= 7, modules
    assert len(rooms) <= 13, rooms


def test_files_are_short():
    lengths = {
        str(path.relative_to(HOUSE)): len(path.read_text("utf-8").splitlines())
        for path in HOUSE.rglob("*.py")
    }
    long = {name: length for name, length in lengths.items() if length > 300}
    assert len(long) <= 4, long


def test_functions_outside_the_command_line_take_few_arguments():
    many = {}
    for path in HOUSE.rglob("*.py"):
        if path.parent.name == "cli":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef):
                given = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
                named = [one.arg for one in given if one.arg not in ("self", "cls")]
                an_estimator = path.name == "sklearn.py" and node.name == "__init__"
                if len(named) > 8 and not an_estimator:  # scikit-learn wants each setting there
                    many[f"{path.relative_to(HOUSE)}:{node.name}"] = len(named)
    assert not many


def imported(path):
    """The modules that a file imports anywhere in it, beside those for type checkers."""

    def statements(node):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            yield child
            yield from statements(child)

    for node in statements(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_no_imports_run_in_a_circle():
    modules = {
        ".".join(path.relative_to(HOUSE.parent).with_suffix("").parts): path
        for path in HOUSE.rglob("*.py")
        if path.name != "__init__.py"  # faces, which hand names on
    }
    arrows = {name: set(imported(path)) & set(modules) for name, path in modules.items()}
    TopologicalSorter(arrows).prepare()  # raises CycleError with the circle


def test_the_map_names_every_room_and_files_that_are_there():
    table = MAP.partition("## The map")[2].partition("## The road")[0]
    rooms = {path.parent.name for path in HOUSE.glob("*/__init__.py")}
    assert rooms <= set(re.findall(r"^\| `(\w+)/`", table, re.MULTILINE))
    assert {path.stem for path in HOUSE.glob("*.py")} - {"__init__", "__main__"} <= set(
        re.findall(r"`(\w+)`", table)
    )
    named = {name for name in re.findall(r"[\w/]+/\w+\.(?:py|md)\b", MAP) if "LIBRARY" not in name}
    for name in named - {path for path in named if "NAME" in path}:
        assert (HOUSE / name).is_file() or (ROOT / name).is_file(), name


def test_links_of_the_pages_at_the_root_lead_somewhere():
    for page in ("README.md", "CONTRIBUTING.md"):
        for link in re.findall(r"\]\(([^)#]+)[)#]", (ROOT / page).read_text("utf-8")):
            assert link.startswith("https://") or (ROOT / link).exists(), (page, link)
