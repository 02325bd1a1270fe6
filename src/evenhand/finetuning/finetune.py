"""The main job: fine-tune, choose, compare with what a user would have done, show the evidence."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np

from evenhand._base.events import OnEvent, Telling
from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.finetuning.baselines import TRANSFER, baselines
from evenhand.finetuning.evidence import (
    as_chosen,
    beside_reference,
    path_on_test,
    provenance_of,
    require_reference,
    setting_of,
    tuned_record,
)
from evenhand.finetuning.fitting import Fitting, family_of, seen_by
from evenhand.finetuning.given import COLUMNS, stage_given
from evenhand.finetuning.problem import fitted_head
from evenhand.finetuning.request import FinetuneRequest
from evenhand.finetuning.result import Result
from evenhand.finetuning.score import score
from evenhand.finetuning.sentences import (
    asked,
    class_notes,
    counted_names,
    decided,
    empty_cells,
    floor_notes,
    notes_on_rows,
)
from evenhand.finetuning.shipped_check import require_same_decisions
from evenhand.finetuning.stage import Stage
from evenhand.finetuning.telling import tell_asked, tell_result
from evenhand.finetuning.trained import with_trained
from evenhand.fisher.factorize import rank_of
from evenhand.fisher.neutralize import alpha_weights
from evenhand.heads.selection.fair_head import FairHead
from evenhand.heads.selection.requirements import require_gap, require_groups
from evenhand.heads.selection.rule import Bound, Rule
from evenhand.heads.selection.warnings import result_warnings
from evenhand.report.record import Run

if TYPE_CHECKING:
    from torch import nn

    from evenhand.models.backbone import Backbone


CHOICE = "evenhand"
DEFAULT = FinetuneRequest()


class Asked(TypedDict, total=False):
    """What :func:`finetune` can be asked for, beside the data."""

    train: Any
    valid: Any
    test: Any
    bound: Bound | Mapping[str, float] | list[Bound] | None
    criterion: str | Criterion
    confidence: float
    max_cost: float
    error: str
    at_any_cost: bool
    min_rows: int
    reference_group: str
    fresh_head: bool
    merge_groups: Mapping[str, Sequence[str]]
    exclude_groups: Sequence[str]
    rare: str | None
    strength: float | None
    adapter: int
    depth: int | str
    trained: str
    plain: bool
    device: str
    precision: str
    batch_size: int
    seed: int
    name: str
    card: Mapping[str, Any]
    about: str | Mapping[str, Any]
    label: str
    positive: Any
    features: Sequence[str]
    drop: Sequence[str]
    text: str
    file: str
    split: str | Mapping[str, float]
    weight: str
    weight_kind: str
    sample_weight: Mapping[str, Any] | Sequence[Any]
    on_event: OnEvent | None


def finetune(
    model: nn.Module | Backbone | None,
    *data: Any,
    groups: str = "group",
    classes: Sequence[str] | None = None,
    head: str | None = None,
    processor: Any = None,
    progress: bool = False,
    **asked: Unpack[Asked],
) -> Result:
    """Fine-tune the head of any module so that its decisions fall evenly on the groups.

    ``finetune(model, task)`` takes a task (:mod:`evenhand.tasks`), ``finetune(model, train, valid,
    test)`` three splits.

    Args:
        model: returns logits (B, K); it is not changed. Or what :func:`evenhand.models.load` or
            :func:`evenhand.models.wrap` gave, whose features of a task's files are cached. None,
            for a task of numbers (a table): a linear model on them.
        data: a :class:`evenhand.Task`; or train, valid and test, each ``(inputs, labels,
            groups)``, a mapping with ``inputs``, ``labels`` and the groups under the name given by
            ``groups``, or :class:`evenhand.tasks.Examples`. Inputs are N rows of what the model
            reads; labels are of any kind; groups any labels, None where unknown. A split may also
            be a DataLoader that gives such batches, or ``(ImageFolder, groups)``. Or a table whose
            column ``label`` is to be predicted: a file, a frame of pandas, polars or Arrow, a
            ``datasets.Dataset`` (a streamed one too), WebDataset shards of images or texts;
            whole, in three splits, or as a mapping of splits.
        groups: what the groups are groups of, and their key in mappings.
        classes: the class names; the second of two is the positive one.
        head: the path of the head; the last linear layer by default.
        processor: the tokenizer or image processor of a transformers model.
        progress: show a bar while features are extracted.
        asked: of a table, ``label``, ``positive``, ``features``, ``drop``, ``text`` and ``file``
            (columns), ``split``, ``weight`` and ``weight_kind``, as :mod:`evenhand.tasks` takes
            them. ``sample_weight``: the weights of the rows of train, valid and test, three arrays
            or a mapping, where no column has them. ``bound``: gaps to keep
            below, see :class:`evenhand.Bound`; without one the smallest gap at a cost of at most
            ``max_cost`` (.5) points of error. ``criterion``: the gap to lessen where no bound is
            given. ``confidence``: of the bounds (.9). ``error``: ``"f1"``, ``"accuracy"``,
            ``"balanced"`` or ``"log_loss"``. ``at_any_cost``: where no bound can be promised, the
            smallest gap whatever it costs. ``min_rows``: rates of fewer rows (100) steer nothing.
            ``reference_group``: the group that the report sets every other beside, at simultaneous
            intervals. ``fresh_head``: the model's head is new, and nothing to compare with.
            ``merge_groups``: new group to those it is made of. ``exclude_groups``: those that enter
            no gap. ``rare``: ``"other"``, ``"exclude"`` or ``"error"`` for groups with fewer than
            ``min_rows``. ``strength``: take this one, without choosing. ``adapter``: rank of an
            adapter to try, for evenhand's MLPs. ``depth``: stages of the model that a head may read
            before its own input, in the same pass: ``"auto"`` (two), 0, 1 or 2. ``trained``: what
            of the model may move: ``"head"``, ``"last-layer"`` or ``"all"``. ``plain``: keep to
            a model of the class that was given. ``device``, ``precision``, ``batch_size``: how the
            model is run for its features: on a GPU where there is one (heads on very many rows
            too), in bfloat16 where that has it, as many inputs at a time as its memory holds.
            ``seed``: of every random choice. ``name``: of the task, in the results. ``card``: what
            the model card says of ``license``, ``language``, ``datasets``, ``base_model`` and
            ``intended``. ``about``: what the report tells of itself, a mapping or the path of an
            about.yaml: ``title``, ``author``, ``purpose``, ``period``, ``model``, ``date``,
            ``version``, and its readers' words for ``groups`` and decisions. ``on_event``: told
            what is asked, measured and chosen; see :mod:`evenhand.integrations.trackers`.

    Returns:
        The model with its new head, and the evidence.

    Raises:
        InputError: data of another form, one class or group only, features that are not finite, or
            an option that cannot be.
        ModelError: no head, an ambiguous one, or one whose decisions the whole model changes.

    Example:
        >>> task = eh.tasks.table("people.csv", label="income", groups="sex", positive=">50K")
        >>> result = eh.finetune(None, task, bound=eh.Bound("demographic_parity", 0.3))
        >>> result.promised
        True
    """  # noqa: DOC502
    how = {"classes": classes, "head": head, "processor": processor, "progress": progress}
    return finetune_given(model, data, asked, groups=groups, **how)


def finetune_given(
    model: nn.Module | Backbone | None,
    data: tuple[Any, ...],
    asked: Mapping[str, Any],
    *,
    groups: str,
    **how: Any,
) -> Result:
    """What :func:`finetune` does, with ``how`` the stage is made: see ``stage_given``.

    Raises:
        InputError: several labels.
    """
    label = asked.get("label")
    if label is not None and not isinstance(label, str):
        raise InputError(
            f"label is the name of one column, found {str(label)[:80]}: for several use "
            "evenhand.finetune_labels(..., labels=[…])"
        )
    stage, request = stage_given(model, data, asked, groups=groups, **how)
    result = finetune_stage(stage, request, on_event=asked.get("on_event"))
    config = {**result.run.config, "command": "evenhand.finetune", "task": stage.task}
    config |= {"groups": groups, **{k: v for k, v in asked.items() if k in COLUMNS}}
    return replace(result, run=replace(result.run, config=config))


def finetune_stage(
    stage: Stage,
    request: FinetuneRequest = DEFAULT,
    *,
    rule: Rule | None = None,
    on_fit: Callable[[], None] | None = None,
    on_event: OnEvent | None = None,
) -> Result:
    """Fine-tune on a stage: the baselines and evenhand's choice, scored on the test rows.

    Args:
        stage: see :mod:`evenhand.finetuning.stage`.
        request: what is asked: the rank of f+SVD, of the paper's method and, for more than two
            classes, of evenhand's own head; the paper's alpha; a strength; an adapter's rank.
        rule: what to choose by; the request's by default.
        on_fit: called after each fit of the default algorithm.
        on_event: told what was asked, measured and chosen.

    Returns:
        The model with its new head, and the evidence.

    Raises:
        InputError: one class or group only, or a setting out of range.
    """
    rule = request.rule() if rule is None else rule
    rank, alpha, strength = request.rank, request.alpha, request.strength
    problem = stage.problem
    for split, rows in {"train": problem.train, "valid": problem.valid, "test": stage.test}.items():
        require_groups(rows, split)
    require_gap(problem.development, rule.criteria)
    if strength is not None and not 0 <= strength < np.inf:
        raise InputError(f"the strength must be finite and at least 0, found {strength}")
    if not isinstance(rank, str):
        rank_of(rank, problem.head)
    if not problem.fresh:  # before any work; what is shipped is tried below
        own = stage.backbone.with_head(problem.head)
        require_same_decisions(stage, own, fitted_head(problem.head))
    began = time.perf_counter()
    stage = with_trained(stage, request, rule, on_fit)
    tell = Telling("finetune", on_event)
    tell_asked(tell, stage, request)
    require_reference(stage.test, request.reference_group)
    weights = "mean" if alpha is None else alpha_weights(problem.fisher, alpha)
    fitting = Fitting.of(problem, request, stage.trained)
    records = baselines(stage, fitting.rank, weights)
    started = time.perf_counter()
    fair = fitting.fit(rule, on_fit=on_fit)
    fitted = as_chosen(stage, fair)
    after = score(stage, CHOICE, setting_of(fair), fitted, time.perf_counter() - started)
    records.append(after)
    before = tuned_record(stage, fair)
    records.insert(1 + [record.method for record in records].index(TRANSFER), before)
    seen = seen_by(stage, family_of(fair))
    model = _model(seen, fair)
    other = fitting.other(rule, fair, on_fit)
    notes = [
        *notes_on_rows(stage, request, rule),
        *class_notes(fair, other, rule, stage.backbone.name, plain=request.plain),
        *empty_cells(stage.test),
        *result_warnings(problem.development, fair.families, fair.choice, rule),
        *floor_notes(fair, rule),
        *require_same_decisions(stage, model, fitted, seen.backbone),
    ]
    seconds = stage.seconds | {"fine-tuning": time.perf_counter() - began}
    run = Run(
        "finetune",
        asked(stage, rule, strength),
        decided(fair, before, after, rule, [] if seen is stage else seen.reads),
        tuple(records),
        before,
        after,
        rule.criteria[0],
        test=stage.test,
        warnings=tuple(dict.fromkeys(notes)),
        provenance=provenance_of(stage, seconds, fair),
        config={"command": "finetune", **request.to_config()},
        bounds={bound.criterion: bound.limit for bound in rule.bounds},
        promised=fair.choice.promised,
        counted=counted_names(fair, after, rule.criteria[0]),
        frontier=tuple(path_on_test(stage, fair, rule)),
        tables=beside_reference(before, after, request.reference_group),
    )
    result = Result(model, fair, run, seen)
    tell_result(tell, result, time.perf_counter() - began)
    return result


def _model(stage: Stage, fair: FairHead) -> nn.Module:
    if fair.adapter is not None and stage.problem.network is not None:
        from evenhand.finetuning.mlp_adapter import with_parts

        return with_parts(stage.problem.network.model, fair.head, fair.adapter)
    return stage.backbone.with_head(fair.head, stage.problem.train.classes)
