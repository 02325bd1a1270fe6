"""Several labels of the same rows: features once, a head each, promises that hold together.

Each label is fine-tuned as any label is (:mod:`evenhand.finetuning.finetune`); what is here is the
loop, and the confidence that its promises share (:mod:`evenhand.metrics.together`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Unpack

from evenhand._base.asked import write_config
from evenhand._base.distributed import ALONE, World
from evenhand._base.processes import spread
from evenhand._base.run_folder import OF_LABELS, run_folder
from evenhand._base.seals import SUMS, names_in_sums, write_sums
from evenhand._base.threads import one_thread
from evenhand.errors import InputError
from evenhand.finetuning.finetune import Asked, finetune_given, finetune_stage
from evenhand.finetuning.given import KEPT_IN, PARTS, backbone_given, read_by
from evenhand.finetuning.label_columns import is_table, label_splits, require_several
from evenhand.finetuning.recipe import Recipe
from evenhand.finetuning.result import Result
from evenhand.heads.selection.rule import CONFIDENCE
from evenhand.metrics.together import each_confidence
from evenhand.report.labels import LabelRuns, label_folders
from evenhand.report.record import Run

if TYPE_CHECKING:
    from torch import nn

    from evenhand.finetuning.request import FinetuneRequest
    from evenhand.models.backbone import Backbone

SUREST = 0.999
"""The highest confidence that can be asked of a run."""


@dataclass(frozen=True, eq=False)
class LabelResults:
    """Fine-tuned models of several labels, and the evidence for all.

    Attributes:
        results: label to its result.
        confidence: at which all promises hold together.
        config: what was asked of all.

    Example:
        >>> import pandas as pd
        >>> table = {"age": [20, 65, 30, 50] * 80, "sex": ["F", "M", "M", "F"] * 80}
        >>> table |= {"tall": ["no", "yes", "no", "no", "yes"] * 64, "fit": ["no", "yes"] * 160}
        >>> found = eh.finetune_labels(None, pd.DataFrame(table), labels=["tall", "fit"],
        ...                            groups="sex", strength=1.0)
        >>> list(found.results), found["fit"].stage.label
        (['tall', 'fit'], 'fit')
        >>> found.save("runs/several").name
        'several'
    """

    results: Mapping[str, Result]
    confidence: float
    config: Mapping[str, Any]

    def __getitem__(self, label: str) -> Result:
        """The result of one label."""
        return self.results[label]

    @cached_property
    def report(self) -> LabelRuns:
        """The evidence for all: ``to_html``, ``to_json``, ``frame``, and a table as text."""
        runs = {label: result.run for label, result in self.results.items()}
        return LabelRuns(runs, self.confidence, self.config)

    @property
    def promised(self) -> bool | None:
        """Whether every bound is promised for every label; None where none was asked."""
        return self.report.promised

    def save(self, folder: str | Path) -> Path:
        """Write config.yaml, results.csv, result.json, report.html, and a run folder a label.

        Raises:
            InputError: the folder cannot be written.
        """  # noqa: DOC502
        with run_folder(folder, OF_LABELS) as target:
            write_config(target, self.config)
            for label, where in self.report.folders.items():
                self.results[label].save(target / where)
            _write(self.report, target)
        return target


class LabelsAsked(Asked, total=False):
    """What :func:`finetune_labels` can be asked for, beside the data."""

    labels: Sequence[str]


def finetune_labels(
    model: nn.Module | Backbone | None,
    *data: Any,
    groups: str = "group",
    head: str | None = None,
    processor: Any = None,
    progress: bool = False,
    **asked: Unpack[LabelsAsked],
) -> LabelResults:
    """Fine-tune a model for each of several labels of the same rows, with promises together.

    The model's features are computed once, and a head is fitted for every label as
    :func:`evenhand.finetune` fits one. A head that the model has is of none of them, and is not
    compared with. All promises of bounds hold together at ``confidence``: each of L labels is
    chosen at 1 - (1 - confidence) / L.

    Args:
        model: as for :func:`evenhand.finetune`.
        data: ``train``, ``valid`` and ``test`` whose labels are a frame or a mapping, a column a
            label, or an (N, L) array; or a table, as for :func:`evenhand.finetune`.
        groups: the groups' column, or key.
        head, processor, progress: as for :func:`evenhand.finetune`.
        asked: ``labels``: the labels' names; of a table their columns, none of which any model
            reads; of an array those of its columns; of a frame or mapping all by default. What
            else :func:`evenhand.finetune` can be asked for, of every label alike.

    Returns:
        A result a label, and a report of all.

    Raises:
        InputError: fewer than two labels, labels that are not there, or whatever
            :func:`evenhand.finetune` refuses; the label is named.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> def split(n):
        ...     inputs, sex = rng.normal(size=(n, 3)), rng.choice(["F", "M"], n)
        ...     return inputs, (inputs[:, :2] > 0).astype(int), sex
        >>> found = eh.finetune_labels(None, split(600), split(200), split(200),
        ...                            labels=["tall", "fit"], groups="sex",
        ...                            bound=eh.Bound("demographic_parity", 0.4))
        >>> found.promised, round(found.report.each, 3)
        (True, 0.95)
    """
    given: dict[str, Any] = dict(asked)
    data = (*data, *(given.pop(part) for part in PARTS if part in given))
    if "label" in given:
        raise InputError("give labels=[…], the names of several; of one use evenhand.finetune")
    named = tuple(given.pop("labels", ()))
    confidence = float(given.pop("confidence", CONFIDENCE))
    backbone = backbone_given(model, head, processor)
    in_table = is_table(data)
    of_splits = {} if in_table else label_splits(data, groups, named)
    labels = named if in_table else tuple(of_splits)
    require_several(labels)
    each = _each(confidence, len(labels), bounded=given.get("bound") is not None)
    results = {}
    with TemporaryDirectory(prefix="evenhand-features-", ignore_cleanup_errors=True) as cache:
        shared = given | {"confidence": each, KEPT_IN: Path(cache)}
        shared |= {} if model is None else {"fresh_head": True}
        how: dict[str, Any] = {"head": head, "processor": processor, "progress": progress}
        for label in labels:
            own = dict(shared)
            if in_table:
                own |= {"label": label}
                if read_by(backbone) == "table" and "features" not in given:
                    own["drop"] = [*given.get("drop", ()), *(one for one in labels if one != label)]
            own_data = of_splits.get(label, data)
            with _named(label):
                result = finetune_given(model, own_data, own, groups=groups, **how)
            results[label] = _one_of(result, len(labels), confidence)
    of_one = ("label", "drop", "confidence")
    config = {k: v for k, v in results[labels[0]].run.config.items() if k not in of_one}
    config |= {"command": "evenhand.finetune_labels", "labels": list(labels)}
    return LabelResults(results, confidence, config | {"confidence": confidence})


def recipes_of_labels(asked: Recipe) -> dict[str, Recipe]:
    """A recipe for each label of one that has several.

    Raises:
        InputError: so many labels that no promise can be as sure as each would have to be.
    """  # noqa: DOC502
    request = asked.config
    each = _each(request.confidence, len(request.labels), bounded=bool(request.bounds))
    return {
        label: replace(asked, config=_of_label(request, label, each)) for label in request.labels
    }


def _of_label(request: FinetuneRequest, label: str, confidence: float) -> FinetuneRequest:
    """The same request of one label; the others are none of its features."""
    more: dict[str, Any] = {"label": label, "confidence": confidence, "output": None}
    if request.task == "table" and request.features is None:
        more["drop"] = (*request.drop, *(one for one in request.labels if one != label))
    if request.model is not None:
        more["fresh_head"] = True
    return replace(request, **more)


def finetune_recipe(
    asked: Recipe,
    folder: Path,
    *,
    jobs: int = 1,
    world: World = ALONE,
    on_done: Callable[[], None] | None = None,
) -> LabelRuns:
    """Fine-tune for every label of a recipe, each in a run folder of its own, and tell of all.

    Args:
        asked: of several labels.
        folder: config.yaml, results.csv, result.json and report.html of all, and ``labels/``.
        jobs: labels at a time, each in a process of its own.
        world: the processes that share the extraction of features; all call.
        on_done: called after each label.

    Raises:
        InputError: whatever a run of one label refuses, or the folder cannot be written.
    """  # noqa: DOC502
    recipes = recipes_of_labels(asked)
    request = asked.config
    together = len(recipes), request.confidence
    places = label_folders(list(recipes))
    if jobs > 1:
        next(iter(recipes.values())).extract(request.seed)
    arguments = [(one, folder / places[label], world, *together) for label, one in recipes.items()]
    config = {"command": OF_LABELS, **request.to_config()}
    with ExitStack() as stack:
        if world.first:
            stack.enter_context(run_folder(folder, OF_LABELS))
            write_config(folder, config)
        found = spread(_run, arguments, jobs=jobs, on_done=on_done)
        runs = LabelRuns(dict(zip(recipes, found, strict=True)), request.confidence, config)
        if world.first:
            _write(runs, folder)
    return runs


def _run(asked: Recipe, folder: Path, world: World, number: int, together: float) -> Run:
    """One label's run, kept in its folder; what is told of it, without its rows."""
    with _named(asked.config.one_label), one_thread():
        result = finetune_stage(asked.stage(asked.config.seed, world), asked.config)
    result = _one_of(result, number, together)
    if world.first:
        result.save(folder)
    return replace(result.run, test=None)


@contextmanager
def _named(label: str | None) -> Iterator[None]:
    """A block whose errors name the label."""
    try:
        yield
    except InputError as error:
        raise InputError(f"label {label!r}: {error}") from error


def _one_of(result: Result, number: int, together: float) -> Result:
    """The result of a label with a note that its promise is one of several."""
    if not result.run.bounds:
        return result
    note = (
        f"one of {number} labels, whose promises hold together at confidence {together:g}: each is "
        f"made at {each_confidence(together, number):.6g}"
    )
    return replace(result, run=replace(result.run, warnings=(*result.run.warnings, note)))


def _write(runs: LabelRuns, folder: Path) -> None:
    """What is told of all, then the sums: of every label's files too."""
    written = ["config.yaml", *runs.write(folder)]
    for where in runs.folders.values():
        names = (SUMS, *names_in_sums(folder / where))
        written += [f"{where}/{name}" for name in names]
    write_sums(folder, written)


def _each(confidence: float, number: int, *, bounded: bool) -> float:
    """The confidence of each label's promise; as it is where none is asked for."""
    if not bounded:
        return confidence
    each = each_confidence(confidence, number)
    if each > SUREST:
        raise InputError(
            f"{number} promises that hold together at {confidence:g} need each a confidence of "
            f"{each:.6g}, more than {SUREST:g}: give fewer labels, or a lower confidence"
        )
    return each
