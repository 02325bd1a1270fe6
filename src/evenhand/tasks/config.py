"""task.yaml: the user's task, model, criterion and bound in one file, checked key by key.

Every error names the file, the line and the key.
"""

from __future__ import annotations

import difflib
import hashlib
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from evenhand.criteria import Criterion
from evenhand.errors import InputError

if TYPE_CHECKING:
    from evenhand.tasks.base import Task

ERRORS = ("f1", "accuracy", "balanced", "log_loss")
PARTS = ("pretrain", "train", "valid", "test")
NEEDS_DATA = ("table", "images", "text", "celeba", "lfwa")
NEEDS_LABEL = ("table", "images", "text")
TASKS = ("adult", *NEEDS_DATA)
REFUSED = {
    "augment": "augmentation gives an image other features each time, and features are extracted "
    "once: train inside the model instead (see the how-to on images)",
    "augmentation": "see 'augment': features are extracted once, without augmentation",
}
ONLY: dict[str, tuple[str, ...]] = {
    "features": ("table",),
    "drop": ("table",),
    "file": ("images",),
    "metadata": ("images",),
    "text": ("text",),
    "delimiter": ("table", "images", "text"),
    "encoding": ("table", "images", "text"),
    "positive": ("table", "images", "text"),
    "split_by": ("table", "images", "text"),
}
"""Keys that only some tasks know."""
DEEPEST, LARGEST = 8, 1_000_000
SHORT = reprlib.Repr(maxstring=80, maxother=80, maxlong=80)
"""Shows a value of any size in a line."""


@dataclass(frozen=True)
class TaskConfig:
    """What a task.yaml says, checked; relative paths are relative to its folder.

    Attributes:
        task: adult, celeba, lfwa, table, images or text.
        data: the file or folder; None for adult.
        label, positive, groups: the column to predict, its positive value(s), the group columns.
        features, drop, file, metadata, text, delimiter, encoding: of the data; see the tasks.
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
    """
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


def _text(value: Any) -> str:
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return str(value)
    raise InputError(f"expected a text, found {SHORT.repr(value)}")


def _path(value: Any) -> Path:
    return Path(_text(value))


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, list) and value:
        return tuple(_text(part) for part in value)
    raise InputError(f"expected a list of texts, such as [sex, race], found {SHORT.repr(value)}")


def _one_of(options: tuple[str, ...]) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in options:
            near = difflib.get_close_matches(str(value)[:80], options, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise InputError(f"{SHORT.repr(value)} is not one of {', '.join(options)}{hint}")
        return str(value)

    return check


def _number(low: float, high: float) -> Callable[[Any], float]:
    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InputError(f"expected a number, found {SHORT.repr(value)}")
        if not low <= value <= high:
            raise InputError(
                f"expected a number from {low:g} to {high:g}, found {SHORT.repr(value)}"
            )
        return float(value)

    return check


def _whole(low: int, high: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise InputError(
                f"expected a whole number from {low} to {high}, found {SHORT.repr(value)}"
            )
        return value

    return check


def _split(value: Any) -> str | dict[str, float]:
    if isinstance(value, str):
        return value
    if not isinstance(value, Mapping):
        raise InputError(
            f"expected a column's name or fractions such as {{train: .6, valid: .15, test: .25}}, "
            f"found {SHORT.repr(value)}"
        )
    shares = {str(part): _number(0, 1)(share) for part, share in value.items()}
    unknown = [part for part in shares if part not in PARTS]
    if unknown:
        raise InputError(f"unknown part {unknown[0]!r}; the parts are {', '.join(PARTS)}")
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise InputError(f"the fractions must sum to 1, found {sum(shares.values()):g}")
    return shares


def _positive(value: Any) -> Any:
    if isinstance(value, (list, str, int, float)):
        return value
    raise InputError(f"expected a value of the label or a list of them, found {SHORT.repr(value)}")


CHECKS: dict[str, Callable[[Any], Any]] = {
    "task": _one_of(TASKS),
    "data": _path,
    "label": _text,
    "positive": _positive,
    "groups": _texts,
    "features": _texts,
    "drop": _texts,
    "file": _text,
    "metadata": _text,
    "text": _text,
    "delimiter": _text,
    "encoding": _text,
    "split": _split,
    "split_by": _text,
    "seed": _whole(0, 2**32 - 1),
    "model": _text,
    "weights": _text,
    "head": _text,
    "image_size": _whole(16, 4096),
    "max_length": _whole(1, 1_000_000),
    "criterion": lambda value: Criterion.parse(_text(value)).value,
    "bound": _number(0, 2),
    "confidence": _number(0.5, 0.999),
    "error": _one_of(ERRORS),
    "output": _path,
    "name": _text,
}
