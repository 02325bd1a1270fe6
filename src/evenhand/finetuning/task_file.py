"""task.yaml: the user's task, model, criterion and bound in one file, checked key by key.

Every error names the file, the line and the key.
"""

from __future__ import annotations

import difflib
import hashlib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.finetuning.task_file_checks import CHECKS, NEEDS_DATA, NEEDS_LABEL, TASKS

if TYPE_CHECKING:
    from evenhand.tasks.task import Task


REFUSED = {
    "augment": "augmentation gives an image other features each time, and features are extracted "
    "once: train inside the model instead (see the how-to on images)",
    "augmentation": "see 'augment': features are extracted once, without augmentation",
}


ONLY: dict[str, tuple[str, ...]] = {
    "features": ("table",),
    "drop": ("table",),
    "categorical": ("table",),
    "decimal": ("table",),
    "file": ("images",),
    "metadata": ("images",),
    "text": ("text",),
    "delimiter": ("table", "images", "text"),
    "encoding": ("table", "images", "text"),
    "missing": ("table", "images", "text"),
    "positive": ("table", "images", "text"),
    "split_by": ("table", "images", "text"),
}
"""Keys that only some tasks know."""


DEEPEST, LARGEST = 8, 1_000_000


@dataclass(frozen=True)
class TaskConfig:
    """What a task.yaml says, checked; relative paths are relative to its folder.

    Attributes:
        task: adult, celeba, lfwa, table, images or text.
        data: the file or folder; None for adult.
        label, positive, groups: the column to predict, its positive value(s), the group columns.
        features, drop, categorical, decimal, missing, file, metadata, text, delimiter, encoding:
            of the data; see the tasks.
        split, split_by, seed: how rows are parted.
        model, weights, head, image_size, max_length: the pre-trained model; see ``models.load``.
        criterion, bound, confidence, error: what is asked of the result.
        output: the folder of the results.
        name: what the results call the task.
    """

    task: str
    data: Path | None = None
    label: str | None = None
    positive: Any = None
    groups: tuple[str, ...] = ()
    features: tuple[str, ...] | None = None
    drop: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    decimal: str | None = None
    missing: tuple[str, ...] = ()
    file: str | None = None
    metadata: str | None = None
    text: str | None = None
    delimiter: str | None = None
    encoding: str | None = None
    split: str | dict[str, float] | None = None
    split_by: str | None = None
    seed: int = 0
    model: str | None = None
    weights: str | None = None
    head: str | None = None
    image_size: int | None = None
    max_length: int | None = None
    criterion: str = Criterion.EQUALIZED_ODDS.value
    bound: float | None = None
    confidence: float = 0.9
    error: str = "f1"
    output: Path | None = None
    name: str | None = None

    def options(self, *, seed: int | None = None) -> dict[str, Any]:
        """The arguments of the task's function; ``seed`` overrides the file's."""
        options: dict[str, Any] = {"seed": self.seed if seed is None else seed}
        if self.data is not None:
            options["data"] = self.data
        if self.label is not None:
            options["label"] = self.label
        if self.groups:
            face = self.task in ("adult", "celeba", "lfwa")
            options["group" if face else "groups"] = ",".join(self.groups) if face else self.groups
        if self.split is not None:
            options["split"] = self.split
        for key, tasks in ONLY.items():
            value = getattr(self, key)
            if self.task in tasks and value not in (None, ()):
                options[key] = value
        if self.name is not None and self.task in NEEDS_LABEL:
            options["name"] = self.name
        return options

    def load(self, *, seed: int | None = None) -> Task:
        """The task itself; ``seed`` overrides the file's."""
        from evenhand.tasks import load

        return load(self.task, **self.options(seed=seed))

    def resolved(self) -> dict[str, Any]:
        """Every key that has a value, as plain YAML types, for a run's config.yaml."""
        plain = {key: _plain(value) for key, value in asdict(self).items()}
        return {key: value for key, value in plain.items() if value not in (None, (), [])}

    @property
    def fingerprint(self) -> str:
        """sha256 of the resolved configuration."""
        return hashlib.sha256(yaml.safe_dump(self.resolved()).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return list(value)
    return value


def read_config(path: str | Path) -> TaskConfig:
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


def parse_config(text: str, *, source: str = "task.yaml", folder: Path = Path()) -> TaskConfig:
    """Check the text of a task.yaml; see ``read_config``.

    Args:
        text: YAML.
        source: what errors call it.
        folder: what relative paths are relative to.

    Raises:
        InputError: a line that is no setting, or a value out of range; the line and key are named.
    """  # noqa: DOC501 - ``fail`` makes an InputError
    values, lines = _mapping(text, source)

    def fail(key: str, problem: str) -> InputError:
        return InputError(f"{source}, line {lines.get(key, 1)}, {key}: {problem}")

    known = {field.name for field in fields(TaskConfig)}
    for key in values:
        if key in REFUSED:
            raise fail(key, REFUSED[key])
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise fail(key, f"no such key{hint} The keys are {', '.join(sorted(known))}")
    checked: dict[str, Any] = {}
    for key, value in values.items():
        if value is None:
            continue
        try:
            checked[key] = CHECKS[key](value)
        except InputError as error:
            raise fail(key, str(error)) from error
    task = checked.get("task")
    if task is None:
        raise fail("task", f"is missing; one of {', '.join(TASKS)}")
    required = {"data": NEEDS_DATA, "label": NEEDS_LABEL, "groups": NEEDS_LABEL}
    for key, tasks in required.items():
        if task in tasks and key not in checked:
            raise fail(key, f"is missing; task {task} needs it")
    for key, tasks in ONLY.items():
        if key in checked and task not in tasks:
            raise fail(key, f"is for task {' or '.join(tasks)}, not {task}")
    if task == "adult" and "split" in checked:
        raise fail("split", "adult has the paper's split; only the seed can be chosen")
    for key in ("data", "output"):
        if key in checked:
            checked[key] = folder / checked[key].expanduser()
    for key in ("weights", "model"):
        if key in checked and (folder / checked[key]).exists():
            checked[key] = str(folder / checked[key])
    return TaskConfig(**checked)


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
