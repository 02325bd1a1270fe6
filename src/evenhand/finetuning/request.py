"""What can be asked of ``evenhand finetune``: every option once, for files, flags and Python.

A field of :class:`FinetuneRequest` is a key of a task file, a flag of the command line and a key of
a run's config.yaml. To add an option, add a field, and read it where it is used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenhand._base import option_checks as check
from evenhand._base.devices import PRECISIONS
from evenhand._base.requests import Options, plain
from evenhand._base.requests import option as of_request
from evenhand._base.text import listed
from evenhand._base.weight_kinds import KINDS
from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.finetuning import task_file_checks as of_task
from evenhand.finetuning.task_file_checks import ERRORS, NEEDS_DATA, NEEDS_LABEL, TASKS

if TYPE_CHECKING:
    from evenhand.finetuning.regroup import Regrouping
    from evenhand.heads.selection.rule import Bound, Rule
    from evenhand.models.features.extract import Running
    from evenhand.tasks.task import Task

FILES = ("table", "images", "text")
WITH_MODEL = ("table", "images", "text", "celeba", "lfwa")


def option(
    default: Any,
    reads: Callable[[Any], Any],
    words: str,
    *,
    only: tuple[str, ...] = TASKS,
    flag: str | None = None,
    many: bool = False,
) -> Any:
    """A field, see ``evenhand._base.requests.option``; ``only``: the tasks that know it."""
    return of_request(default, reads, words, only=only, flag=flag, many=many)


@dataclass(frozen=True)
class FinetuneRequest:
    """What is asked of a fine-tuning run, checked; paths are as they are found from here.

    Every field is described by its ``help``, shown by ``evenhand finetune --help``.
    """

    task: str = option("adult", of_task.kind, "adult, celeba, lfwa, table, images or text.")
    data: Path | None = option(
        None, check.path, "The task's data: a file, folder, zip or shards (*.tar).", only=NEEDS_DATA
    )
    label: str | tuple[str, ...] | None = option(
        None,
        of_task.labels,
        "What to predict, where the task has a choice; repeat for a model each of several.",
        many=True,
    )
    positive: Any = option(
        None, of_task.positive, "Value of the label that counts as positive.", only=FILES, many=True
    )
    groups: tuple[str, ...] = option(
        (), check.texts, "Group column; repeat to cross several.", flag="--group", many=True
    )
    bins: tuple[float, ...] = option(
        (), of_task.numbers, "Cut a group column of numbers here, as 25,45,65.", only=FILES
    )
    merge_groups: dict[str, tuple[str, ...]] | None = option(
        None, of_task.merged, "Put groups together, as other=A,B.", many=True
    )
    reference_group: str | None = option(
        None,
        check.text,
        "Group that the report sets every other beside, rate by rate.",
        flag="--reference",
    )
    exclude_groups: tuple[str, ...] = option(
        (), check.words, "Group that enters no gap; repeatable.", flag="--exclude-group", many=True
    )
    rare: str | None = option(
        None,
        check.one_of(("other", "exclude", "error")),
        "Groups with fewer than --min-rows in a rate: other, exclude or error; default: reported.",
    )
    features: tuple[str, ...] | None = option(
        None,
        check.texts,
        "Column to predict from; default: all the others.",
        only=("table",),
        many=True,
    )
    drop: tuple[str, ...] = option(
        (), check.texts, "Column to leave out of those.", only=("table",), many=True
    )
    categorical: tuple[str, ...] = option(
        (), check.texts, "Column whose numbers are codes.", only=("table",), many=True
    )
    decimal: str | None = option(
        None, check.one_of((".", ",")), "What stands before decimals.", only=("table",)
    )
    missing: tuple[str, ...] = option(
        (), check.words, "Further word for a missing value; repeatable.", only=FILES, many=True
    )
    file: str | None = option(None, check.text, "Column of file names.", only=("images",))
    metadata: str | None = option(None, check.text, "CSV beside the images.", only=("images",))
    text: str | None = option(None, check.text, "Column of texts.", only=("text",))
    delimiter: str | None = option(
        None, check.text, "Between columns; found by default.", only=FILES
    )
    encoding: str | None = option(None, check.text, "Of the file; UTF-8 by default.", only=FILES)
    split: str | dict[str, float] | None = option(
        None,
        of_task.split,
        "How rows are parted: a column, or train=.6,valid=.15,test=.25.",
        only=NEEDS_DATA,
    )
    split_by: str | None = option(
        None, check.text, "Column whose values must not be torn apart.", only=FILES
    )
    weight: str | None = option(
        None, check.text, "Column of the rows' weights, in all that is fitted and told.", only=FILES
    )
    weight_kind: str | None = option(
        None,
        check.one_of(KINDS),
        "survey (a row stands for others not seen; default) or frequency (for others seen).",
        only=FILES,
    )
    seed: int = option(0, check.whole(0, 2**32 - 1), "Of the split and every random choice.")
    model: str | None = option(None, check.text, "Model: a name, or a transformers folder.")
    weights: str | None = option(
        None, check.text, "A file of the model's weights.", only=WITH_MODEL
    )
    head: str | None = option(None, check.text, "Path of the model's head; found by default.")
    image_size: int | None = option(
        None,
        check.whole(16, 4096),
        "Side of images in pixels.",
        only=("images", "celeba", "lfwa"),
    )
    max_length: int | None = option(
        None, check.whole(1, 1_000_000), "Tokens kept of a text.", only=("text",)
    )
    from_run: Path | None = option(
        None,
        check.path,
        "A run to carry on from: its model is the one before, its columns are read as it does.",
        flag="--from",
    )
    layers: int = option(2, check.whole(2, 5), "Layers of Adult's MLP.", only=("adult",))
    criterion: str = option(
        Criterion.EQUALIZED_ODDS.value,
        of_task.criterion,
        "Gap to lessen, or level to raise: equalized_odds (default), demographic_parity, "
        "equal_opportunity, worst_group_accuracy …; see docs/reference/criteria.md.",
    )
    bound: float | dict[str, float] | None = option(
        None,
        of_task.limits,
        "Gap to keep below, as equalized_odds=0.10, or level to keep above, as "
        "worst_group_accuracy>=0.8; repeatable.",
        many=True,
    )
    confidence: float = option(
        0.9, check.number(0.5, 0.999), "Of the bounds, one-sided; default 0.9."
    )
    max_cost: float = option(
        0.5,
        check.number(0, 100),
        "Points of error to pay at most where no bound is promised for them; default 0.5.",
    )
    at_any_cost: bool = option(
        False, check.yes, "Where no bound can be promised, the smallest gap whatever it costs."
    )
    allow_unpromised: bool = option(
        False, check.yes, "End well (exit code 0) though a bound asked for is not promised."
    )
    min_rows: int = option(
        100, check.whole(1, 1_000_000_000), "Rates of fewer rows steer nothing; default 100."
    )
    fresh_head: bool = option(
        False, check.yes, "The model's head is new: nothing is compared with it."
    )
    error: str = option(
        "f1", check.one_of(ERRORS), "Error to lower: f1 (default), accuracy, balanced or log_loss."
    )
    strength: float | None = option(
        None, check.number(0, 1e30), "Take this strength of the penalty, without choosing."
    )
    rank: int | str | None = option(
        None, of_task.rank, "Rank of low-rank heads, or auto; default classes - 1, ours dense."
    )
    alpha: float | None = option(
        None, check.number(0, 1), "The first group's weight in the paper's method."
    )
    adapter: int = option(
        0, check.whole(0, 1_000_000), "Rank of an adapter on the last hidden layer to try."
    )
    card: dict[str, Any] | None = option(
        None,
        of_task.card,
        "What the model card says, as license=mit; also language, datasets, base_model, intended.",
        many=True,
    )
    about: dict[str, Any] | None = option(
        None,
        of_task.about,
        "A file of what the report tells of itself, and its readers' words: about.yaml.",
    )
    depth: int | str = option(
        "auto",
        of_task.depth,
        "Stages of the model that a head may read before its own input: auto (default), 0, 1, 2.",
    )
    trained: str = option(
        "head",
        check.one_of(("head", "last-layer", "all")),
        "What of the model may move: head (default), last-layer or all; trained on the rows, in "
        "minutes, and chosen where held-out rows say so.",
        only=WITH_MODEL,
        flag="--train",
    )
    plain: bool = option(
        False, check.yes, "Ship a model of the class that was given; the report says what it costs."
    )
    device: str = option(
        "auto",
        check.text,
        "Where the model runs, and heads on very many rows are fitted: auto (a GPU where there is "
        "one), cpu, cuda, cuda:1 or mps.",
        only=WITH_MODEL,
    )
    precision: str = option(
        "auto",
        check.one_of(PRECISIONS),
        "What it computes in: auto (bfloat16 on a GPU that has it), float32, bfloat16 or float16.",
        only=WITH_MODEL,
    )
    batch_size: int | None = option(
        None,
        check.whole(1, 1_000_000),
        "Inputs a forward pass; default 64, on a GPU as many as its memory holds.",
        only=WITH_MODEL,
    )
    output: Path | None = option(None, check.path, "Run folder; default runs/TASK-seedN.")
    name: str | None = option(
        None, of_task.folder_name, "What the results call the task.", only=FILES
    )

    @property
    def called(self) -> str:
        """What the results call the task."""
        return self.name or self.task

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels to predict, each by a model of its own; none where the task has its own."""
        if self.label is None:
            return ()
        return (self.label,) if isinstance(self.label, str) else self.label

    @property
    def one_label(self) -> str | None:
        """The label to predict; None for the task's own.

        Raises:
            InputError: there are several.
        """
        if len(self.labels) > 1:
            raise InputError(
                f"one label can be predicted here, found {listed(self.labels)}: give one of them "
                "(evenhand finetune and evenhand.finetune_labels take several)"
            )
        return self.labels[0] if self.labels else None

    @property
    def running(self) -> Running:
        """How the model is run for its features."""
        return {
            "device": self.device,
            "precision": self.precision,
            "batch_size": self.batch_size,
        }

    @property
    def bounds(self) -> tuple[Bound, ...]:
        """The bounds asked for.

        Raises:
            InputError: a limit out of range, or a criterion bounded twice.
        """  # noqa: DOC502
        from evenhand.heads.selection.rule import Bound, parse_bounds

        if self.bound is None:
            return ()
        if isinstance(self.bound, Mapping):
            return parse_bounds(self.bound)
        return (Bound(self.criterion, self.bound),)

    def rule(self) -> Rule:
        """What to choose by.

        Raises:
            InputError: a bound or a number out of range.
        """  # noqa: DOC502
        from evenhand.heads.selection.rule import make_rule

        return make_rule(
            list(self.bounds),
            self.criterion,
            self.confidence,
            self.max_cost,
            self.error,
            at_any_cost=self.at_any_cost,
            min_rows=self.min_rows,
        )

    @property
    def regrouping(self) -> Regrouping:
        """What is made of the task's groups."""
        from evenhand.finetuning.regroup import Regrouping

        return Regrouping(
            self.merge_groups or {},
            self.exclude_groups,
            self.rare,
            self.min_rows,
            self.rule().criteria,
        )

    def changed(self, given: Mapping[str, Any]) -> FinetuneRequest:
        """The same request with what is ``given`` in place of its own; None changes nothing.

        Raises:
            InputError: no such option, a value that cannot be, or one that the task does not know.
        """
        named = {
            key: value
            for key, value in given.items()
            if value is not None and value not in ((), [], {})
        }
        read = {key: OPTIONS.checked(key, value) for key, value in named.items()}
        changed = replace(self, **read)
        for key, problem in changed.problems(named):
            raise InputError(f"{FLAGS[key]}: {problem}")
        return changed

    def problems(self, given: Mapping[str, Any]) -> list[tuple[str, str]]:
        """The options among ``given`` that mean nothing for this task, and why."""
        found = [
            (key, f"is for task {' or '.join(known)}, not {self.task}")
            for key in given
            if key != "task" and self.task not in (known := OPTIONS[key].metadata["only"])
        ]
        if self.task == "adult" and "split" in given:
            found = [("split", "adult has the paper's split; only the seed can be chosen")]
        if "from_run" in given and self.model is not None:
            found.append(("from_run", "brings its own model: leave out 'model'"))
        if "layers" in given and self.from_run is not None:
            found.append(("layers", "are those of the run that is carried on"))
        if "weights" in given and self.model is None and "weights" not in dict(found):
            found.append(("weights", "are those of a model: give that too"))
        if len(self.labels) > 1:
            found += _problems_of_several(self)
        return found

    def options(self, *, seed: int | None = None) -> dict[str, Any]:
        """The arguments of the task's function; ``seed`` overrides the request's.

        Raises:
            InputError: several labels.
        """  # noqa: DOC502
        from evenhand.tasks import arguments

        takes = arguments(self.task)
        label = self.one_label
        options: dict[str, Any] = {"seed": self.seed if seed is None else seed}
        face = self.task not in FILES
        if self.groups:
            from evenhand.tasks.labels import GroupColumns

            listed = GroupColumns(self.groups, self.bins) if self.bins else self.groups
            options["group" if face else "groups"] = ",".join(self.groups) if face else listed
        asked = {key: getattr(self, key) for key in OPTIONS if key in takes and key not in options}
        asked |= {"label": label} if "label" in takes else {}
        return options | {key: value for key, value in asked.items() if value not in (None, ())}

    def load(self, *, seed: int | None = None, **more: Any) -> Task:
        """The task itself; ``seed`` overrides the request's, ``more`` goes to its function.

        Raises:
            InputError: the data cannot be read, or hold no such column, class or group.
        """  # noqa: DOC502
        from evenhand.tasks import load

        return load(self.task, **(self.options(seed=seed) | more))

    def to_config(self) -> dict[str, Any]:
        """Everything that was asked, as plain values for config.yaml; defaults are written out."""
        asked = {key: plain(getattr(self, key)) for key in OPTIONS if key != "bound"}
        known = {
            key: value
            for key, value in asked.items()
            if value not in (None, [], {}) and self.task in OPTIONS[key].metadata["only"]
        }
        return known | {"bounds": {str(bound.criterion): bound.limit for bound in self.bounds}}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> FinetuneRequest:
        """The request that :meth:`to_config` wrote; keys that are none of its own are left.

        Raises:
            InputError: a value that cannot be; the message names its key.
        """  # noqa: DOC502
        asked = {key: config[key] for key in OPTIONS if config.get(key) is not None}
        asked.pop("bound", None)
        if config.get("bounds"):
            asked["bound"] = config["bounds"]
        return cls(**{key: OPTIONS.checked(key, value) for key, value in asked.items()})

    @property
    def fingerprint(self) -> str:
        """sha256 of the request."""
        import yaml

        return hashlib.sha256(yaml.safe_dump(self.to_config()).encode()).hexdigest()


def _problems_of_several(request: FinetuneRequest) -> list[tuple[str, str]]:
    """What several labels leave no room for."""
    if request.from_run is not None:
        return [("label", "is several, and the run to carry on from decides one: give that one")]
    read = [label for label in request.labels if label in (request.features or ())]
    return [("features", f"holds {read[0]!r}, which is one of the labels")] if read else []


OPTIONS = Options(FinetuneRequest)
"""Every option by its name."""
FLAGS = OPTIONS.flags
REQUIRED = {"data": NEEDS_DATA, "label": NEEDS_LABEL, "groups": NEEDS_LABEL}
"""Options that tasks cannot do without."""
