"""task.yaml: the user's task, model, criterion and bound in one file, checked key by key.

Every error names the file, the line and the key.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from evenhand.errors import InputError
from evenhand.finetuning.request import OPTIONS, REQUIRED, FinetuneRequest
from evenhand.finetuning.task_file_checks import TASKS

if TYPE_CHECKING:
    pass


REFUSED = {
    "augment": "augmentation gives an image other features each time, and features are extracted "
    "once: train inside the model instead (see the how-to on images)",
    "augmentation": "see 'augment': features are extracted once, without augmentation",
}


DEEPEST, LARGEST = 8, 1_000_000


def read_config(path: str | Path) -> FinetuneRequest:
    """Read and check a task.yaml.

    Raises:
        InputError: no such file, not YAML, or a key or value that cannot be; the message names the
            line and the key.
    """
    path = Path(path)
    try:
        if path.is_file() and path.stat().st_size > LARGEST:
            raise InputError(f"{path} has {path.stat().st_size:,} bytes: a task file is small")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"no task file at {path}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text") from error
    return parse_config(text, source=path.name, folder=path.parent)


def parse_config(text: str, *, source: str = "task.yaml", folder: Path = Path()) -> FinetuneRequest:
    """Check the text of a task.yaml; see ``read_config``.

    Args:
        text: YAML.
        source: what errors call it.
        folder: what relative paths are relative to.

    Raises:
        InputError: a line that is no setting, or a value out of range; the line and key are named.
    """  # noqa: DOC501, DOC502 - ``fail`` makes an InputError
    values, lines = _mapping(text, source)

    def fail(key: str, problem: str) -> InputError:
        return InputError(f"{source}, line {lines.get(key, 1)}, {key}: {problem}")

    for key in values:
        if key in REFUSED:
            raise fail(key, REFUSED[key])
        if key not in OPTIONS:
            near = difflib.get_close_matches(key, OPTIONS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise fail(key, f"no such key{hint} The keys are {', '.join(sorted(OPTIONS))}")
    read: dict[str, Any] = {}
    for key, value in values.items():
        if value is None:
            continue
        if key == "about" and isinstance(value, str):
            value = str(folder / value)
        try:
            read[key] = OPTIONS[key].metadata["reads"](value)
        except InputError as error:
            raise fail(key, str(error)) from error
    task = read.get("task")
    if task is None:
        raise fail("task", f"is missing; one of {', '.join(TASKS)}")
    for key, tasks in REQUIRED.items():
        if task in tasks and key not in read:
            raise fail(key, f"is missing; task {task} needs it")
    for key in ("data", "output", "from_run"):
        if key in read:
            read[key] = folder / read[key].expanduser()
    for key in ("weights", "model"):
        if key in read and (folder / read[key]).exists():
            read[key] = str(folder / read[key])
    request = FinetuneRequest(**read)
    for key, problem in request.problems(read):
        raise fail(key, problem)
    return request


def _mapping(text: str, source: str) -> tuple[dict[str, Any], dict[str, int]]:
    """The top-level keys with their values, and with their lines; a key twice is refused."""
    try:
        _refuse_bombs(text, source)
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            raise InputError(f"{source} is empty: evenhand init writes an example")
        if not isinstance(node, yaml.MappingNode):
            raise InputError(f"{source}, line 1: expected keys with values, such as `task: table`")
        values: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            key, line = str(key_node.value)[:80], key_node.start_mark.line + 1
            if key in lines:
                raise InputError(
                    f"{source}, line {line}, {key}: already given in line {lines[key]}"
                )
            lines[key] = line
            values[key] = loader.construct_object(value_node, deep=True)
        return values, lines
    except (yaml.YAMLError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise InputError(f"{source}{where}: not valid YAML: {problem}") from error


def _refuse_bombs(text: str, source: str) -> None:
    """Refuse what takes no time to write and for ever to read.

    Raises:
        InputError: an alias (aliases of aliases stand for more than memory holds), or nesting that
            no task file needs.
    """
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        mark = event.start_mark
        where = source if mark is None else f"{source}, line {mark.line + 1}"
        if isinstance(event, yaml.AliasEvent):
            raise InputError(
                f"{where}: write the value again; aliases (*{event.anchor}) are refused"
            )
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise InputError(f"{where}: nested deeper than {DEEPEST} levels")
