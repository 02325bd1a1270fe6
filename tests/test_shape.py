"""The shape of the house: few doors, few rooms, small files."""

import ast
from pathlib import Path

HOUSE = Path(__file__).resolve().parents[1] / "src" / "evenhand"


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
