"""What users may rely on, written down: a name that goes, or a parameter renamed, fails here.

After a change that is meant, ``python tests/test_public_api.py`` writes public_api.txt anew; its
diff then says to a reviewer what users will meet, and a file in changes/ says it to them.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import typer

WRITTEN = Path(__file__).with_name("public_api.txt")
DOORS = ("", ".tasks", ".models", ".heads", ".fisher", ".metrics", ".integrations")


def public_api() -> list[str]:
    """A line a name: doors, parameters, fields and methods; commands and flags; task-file keys."""
    return [*_doors(), *_commands(), *_keys()]


def _doors() -> Iterator[str]:
    for door in DOORS:
        module = import_module(f"evenhand{door}")
        for name in sorted(module.__all__):
            yield from _described(f"eh{door}.{name}", getattr(module, name))


def _described(name: str, found: Any) -> Iterator[str]:
    if inspect.ismodule(found):
        yield f"{name} (module)"
    elif inspect.isclass(found):
        yield f"{name} (class)"
        if dataclasses.is_dataclass(found):
            for field in dataclasses.fields(found):
                if not field.name.startswith("_"):
                    yield f"{name}.{field.name}"
        for own, member in sorted(vars(found).items()):
            if not own.startswith("_") and (callable(member) or isinstance(member, _KINDS)):
                called = getattr(found, own)
                told = _parameters(called) if inspect.isroutine(called) else ""
                yield f"{name}.{own}{told}"
    elif callable(found):
        yield f"{name}{_parameters(found)}"
        for keyword in _keywords(found):
            yield f"{name}({keyword}=)"
    else:
        yield name


_KINDS = (property, classmethod, staticmethod)


def _parameters(found: Any) -> str:
    """Its parameters: a star before those given by name only, = after optional ones."""
    try:
        parameters = inspect.signature(found).parameters.values()
    except (TypeError, ValueError):
        return "()"
    told = []
    for one in parameters:
        mark = {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "")
        if one.kind is one.KEYWORD_ONLY and "*" not in "".join(told):
            told.append("*")
        told.append(f"{mark}{one.name}" + ("" if one.default is one.empty else "="))
    return f"({', '.join(told)})"


def _keywords(found: Any) -> list[str]:
    """Keywords that are taken as ``**options`` of a typed dictionary."""
    module = import_module(found.__module__)
    for one in inspect.signature(found).parameters.values():
        if one.kind is one.VAR_KEYWORD and "Unpack[" in str(one.annotation):
            named = str(one.annotation).partition("Unpack[")[2].rstrip("]'\"")
            return sorted(getattr(module, named).__annotations__)
    return []


def _commands() -> Iterator[str]:
    from evenhand.cli.main import app

    def told(path: str, command: Any) -> Iterator[str]:
        if hasattr(command, "commands"):
            for name, one in sorted(command.commands.items()):
                yield from told(f"{path} {name}", one)
            return
        flags = sorted(flag for one in command.params for flag in one.opts if flag[:1] == "-")
        yield path
        yield from (f"{path} {flag}" for flag in flags)

    yield from told("evenhand", typer.main.get_command(app))


def _keys() -> Iterator[str]:
    from evenhand.finetuning.request import OPTIONS

    yield from (f"task file: {name}" for name in sorted(OPTIONS))


def test_nothing_that_users_rely_on_goes_unsaid():
    kept, now = set(WRITTEN.read_text("utf-8").splitlines()), set(public_api())
    gone, new = sorted(kept - now), sorted(now - kept)
    meant = "where this is meant: python tests/test_public_api.py, and a file in changes/"
    assert not gone, f"gone; {meant}"
    assert not new, f"new; {meant}"


def test_a_renamed_parameter_is_seen():
    def before(rows, *, limit=1, **more):
        """A function."""

    def after(rows, *, most=1, **more):
        """The same with another name."""

    assert _parameters(before) == "(rows, *, limit=, **more)"
    assert set(_described("eh.f", before)) != set(_described("eh.f", after))


if __name__ == "__main__":
    WRITTEN.write_text("\n".join(public_api()) + "\n", "utf-8")
