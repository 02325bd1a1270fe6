"""What the site shows that no page holds: the commands, the API and the tutorials, from the code.

A hook of mkdocs (see mkdocs.yml): pages are made while the site is, so that they cannot be old.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

TUTORIALS = Path(__file__).parent / "tutorials"

DOORS = {
    "evenhand": "The front door: `import evenhand as eh`.",
    "evenhand.tasks": "Labelled examples with groups, split.",
    "evenhand.models": "A frozen backbone and its head, from any library.",
    "evenhand.heads": "Arrays only: fit, judge and choose heads.",
    "evenhand.fisher": "The paper's verbs.",
    "evenhand.metrics": "Counts, rates, gaps, intervals, bounds.",
}
INTEGRATIONS = ("mlflow", "peft", "sklearn", "trackers", "trainer")
REPOSITORY = re.compile(
    r"\]\((?:\.\./)+(?:(?:README|CONTRIBUTING|SECURITY|CHANGELOG)\.md|\.ci/\w+)(?:#[\w-]*)?\)"
)
"""Links to files that lie beside docs, which the site does not have."""


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are made."""
    from mkdocs.structure.files import File

    made = {
        "reference/commands.md": commands(),
        "reference/python.md": api(),
        **{f"tutorials/{path.stem}.md": tutorial(path) for path in TUTORIALS.glob("*.py")},
    }
    for name, content in made.items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Name files of the repository that are no pages, instead of leading nowhere."""
    return REPOSITORY.sub(r"](https://pypi.org/project/evenhand/)", markdown)


def commands() -> str:
    """Every command with its options, as ``--help`` says them."""
    import click
    from typer.main import get_command

    from evenhand.cli.main import app

    program = get_command(app)
    context = click.Context(program, info_name="evenhand")
    parts = ["# Commands\n", "As `evenhand COMMAND --help` says it.\n"]
    for name in program.list_commands(context):  # type: ignore[attr-defined]
        command = program.get_command(context, name)  # type: ignore[attr-defined]
        parts += _command(command, click.Context(command, parent=context, info_name=name), 2)
    return "\n".join(parts)


def _command(command: Any, context: Any, level: int) -> list[str]:
    parts = [f"{'#' * level} {context.command_path}\n", f"{_indented(command.help)}\n"]
    rows = []
    for parameter in command.get_params(context):
        if parameter.param_type_name == "option":
            record = parameter.get_help_record(context)
            if record:
                flags, said = record
                rows.append(f"| `{_cell(flags)}` | {_cell(said)} |")
    if rows:
        parts += ["| option | |", "|---|---|", *rows, ""]
    for name in getattr(command, "commands", {}):
        inner = command.commands[name]
        import click

        parts += _command(inner, click.Context(inner, parent=context, info_name=name), level + 1)
    return parts


def _indented(text: str | None) -> str:
    """Help with the commands in it as blocks of code."""
    said = (text or "").strip()
    paragraphs = [part.strip() for part in said.split("\n\n")]
    shown = [
        f"```text\n{part}\n```" if part.startswith(("evenhand ", "torchrun ")) else part
        for part in paragraphs
    ]
    return "\n\n".join(shown)


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|")


def api() -> str:
    """Every public name of every door, its documentation by mkdocstrings."""
    parts = ["# Python\n"]
    seen: set[str] = set()
    for door, said in DOORS.items():
        parts += [f"## {door}\n", f"{said}\n"]
        module = import_module(door)
        for name in module.__all__:
            found = getattr(module, name)
            home = getattr(found, "__module__", None)
            where = f"{home}.{name}"
            if home is None or where in seen or not home.startswith("evenhand"):
                continue
            seen.add(where)
            parts.append(f"::: {where}\n")
    parts += ["## evenhand.integrations\n"]
    parts += [f"::: evenhand.integrations.{name}\n" for name in INTEGRATIONS]
    parts += ["## Errors\n", "::: evenhand.errors\n"]
    return "\n".join(parts)


def tutorial(path: Path) -> str:
    """A tutorial's script as a page: jupytext's cells, text and code."""
    import jupytext

    notebook = jupytext.read(path)
    parts = []
    for cell in notebook.cells:
        code = cell.cell_type == "code"
        parts.append(f"```python\n{cell.source}\n```" if code else cell.source)
    get = f"\n\nAs a notebook: `jupytext --to notebook docs/tutorials/{path.name}`.\n"
    return "\n\n".join(parts) + get
