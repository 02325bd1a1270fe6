"""What a run shows beside its choice: tuned transfer learning, the path, how it was made."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from evenhand._base.text import listed
from evenhand.errors import InputError
from evenhand.finetuning.baselines import TUNED, as_fitted
from evenhand.finetuning.fitting import (
    DEEP,
    TRAINED,
    family_of,
    reads_deep,
    reads_trained,
    seen_by,
)
from evenhand.finetuning.mlp_adapter import adapted_fit, hidden_inputs_of, network_of
from evenhand.finetuning.problem import (
    Fitted,
    Problem,
    fitted_head,
    fitted_on,
)
from evenhand.finetuning.score import score
from evenhand.finetuning.stage import Stage
from evenhand.head import Head
from evenhand.heads.head_fit import HeadFit
from evenhand.heads.moved_layer import MovedLayer
from evenhand.heads.selection.fair_head import FairHead
from evenhand.heads.selection.frontier import frontier
from evenhand.heads.selection.rule import Rule
from evenhand.metrics.counts import Counts
from evenhand.report.comparisons import all_pairs, said, to_reference
from evenhand.report.record import UNCONVERGED, PathPoint, Record

if TYPE_CHECKING:
    import pandas as pd

    from evenhand.rows import Rows


def tuned_record(stage: Stage, fair: FairHead) -> Record:
    """Transfer learning with its threshold tuned by the choice's own counts."""
    began = time.perf_counter()
    fit = fair.families[0].head_fit(fair.choice.tuned)
    stored = replace(fit, head=stage.backbone.as_stored(fit.head))
    offset = fair.families[0].offsets[fair.choice.tuned[1]]
    setting = f"dense at {offset:+.2f}" if offset else "dense"
    return score(stage, TUNED, setting, as_fitted(stored), time.perf_counter() - began)


def setting_of(fair: FairHead) -> str:
    """The strength and offset chosen, and of which family where that is not the head alone."""
    if isinstance(fair.adapter, MovedLayer):
        return fair.setting.replace("adapter", "hidden layer +", 1)
    family = family_of(fair)
    below = TRAINED if reads_trained(family) else ""
    return below + (DEEP if reads_deep(family) else "") + fair.setting


def as_chosen(stage: Stage, fair: FairHead) -> Fitted:
    """What was chosen as it decides rows, its numbers as the model holds them."""
    return chosen_fit(stage.problem, fair, seen_by(stage, family_of(fair)).backbone.as_stored)


def chosen_fit(
    problem: Problem, fair: FairHead, stored: Callable[[Head], Head] = lambda head: head
) -> Fitted:
    """What was chosen as it decides rows: the old head, a head, a deep one, or with an adapter.

    Args:
        problem: what it was fitted on.
        fair: the choice.
        stored: a head with the numbers that the model can hold.
    """
    if isinstance(fair.fit, HeadFit) and fair.fit.adapter is not None:
        return adapted_fit(fair.fit, network_of(problem))
    notes = (UNCONVERGED,) if fair.fit is not None and not fair.fit.converged else ()
    family = family_of(fair)
    head, moved = stored(fair.head), fair.trainable_parameters
    if reads_trained(family):
        return fitted_on("trained", head, moved, notes=notes)
    if reads_deep(family):
        return fitted_on("deep", head, moved, notes=notes)
    return fitted_head(head, moved, notes=notes)


def path_on_test(stage: Stage, fair: FairHead, rule: Rule) -> Iterator[PathPoint]:
    """The path for the report: cross-fitted figures, and each point's counts on the test rows."""
    for point in frontier(fair, rule):
        family = fair.families[point.family]
        fit = family.fit(point.index)
        features = seen_by(stage, family.family).test.features
        if isinstance(fit, HeadFit) and fit.adapter:
            features = hidden_inputs_of(network_of(stage.problem), stage.test_inputs)
        decisions = fit.logits(features).argmax(axis=1)
        yield PathPoint(
            family.strengths[point.index[0]],
            point.error,
            point.gap,
            point.upper,
            point.chosen,
            Counts.of(
                stage.test.labels,
                decisions,
                stage.test.groups,
                stage.test.classes,
                stage.test.counting,
            ),
            family.family,
            family.offsets[point.index[1]],
        )


def provenance_of(stage: Stage, seconds: Mapping[str, float], fair: FairHead) -> dict[str, Any]:
    """How a run was made."""
    problem = stage.problem
    packages = ("evenhand", "torch", "numpy", "scipy", "scikit-learn")
    return {
        "seed": problem.seed,
        "rows": {
            "train": len(problem.train),
            "valid": len(problem.valid),
            "test": len(stage.test),
        },
        "fingerprints": stage.fingerprints,
        "versions": {name: version(name) for name in packages}
        | {"python": platform.python_version()},
        "machine": f"{platform.machine()} {platform.system()}",
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        **_where_fitted(fair),
    }


def _where_fitted(fair: FairHead) -> dict[str, Any]:
    """Where heads were fitted that a device was asked to fit; nothing where that is all the same.

    On the processor, as all are where none is asked for or rows are few, nothing is told.
    """
    fits = [fit for family in fair.families for fit in family.fits if isinstance(fit, HeadFit)]
    places = sorted({fit.where for fit in fits} - {""})
    return {"heads fitted on": ", ".join(places)} if places else {}


def require_reference(test: Rows, reference: str | None) -> None:
    """Refuse a reference that is no group of the rows.

    Raises:
        InputError: there is no such group.
    """
    if reference is not None and reference not in test.groups.names:
        raise InputError(
            f"reference {reference!r} is no group of {test.groups.attribute}; the groups are "
            f"{listed(test.groups.names)}"
        )


def beside_reference(
    before: Record, after: Record, reference: str | None
) -> tuple[tuple[str, str, pd.DataFrame], ...]:
    """Tables of every group beside the reference, before and after, and of all pairs after."""
    if reference is None:
        return ()
    at = after.counts.group_names.index(reference)
    found = []
    for title, record in (("transfer learning, its threshold tuned", before), ("evenhand", after)):
        beside = to_reference(record.counts, at)
        found.append((f"Groups beside {reference}: {title}", said(beside.number), beside.frame))
    every = all_pairs(after.counts)
    found.append(("All pairs of groups: evenhand", said(every.number), every.frame))
    return tuple(found)
