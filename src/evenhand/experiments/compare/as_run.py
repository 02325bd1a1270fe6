"""A comparison as the report shows it."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from importlib.metadata import version
from operator import add

import numpy as np
import pandas as pd

from evenhand._base.text import plain_number
from evenhand.criteria import Criterion
from evenhand.experiments.compare.comparison import REFERENCE, Comparison
from evenhand.groups import Groups
from evenhand.heads.selection.warnings import COINCIDENCE, coincidence, row_warnings
from evenhand.metrics.rates import false_positive_rate
from evenhand.report.record import Record, Run
from evenhand.rows import Rows


def pooled(records: Sequence[Record]) -> Record:
    """The records of one method and setting as one: counts added over seeds."""
    counts = reduce(add, (record.counts for record in records))
    seconds = sum(record.seconds for record in records) / len(records)
    notes = tuple(dict.fromkeys(note for record in records for note in record.notes))
    return replace(records[0], counts=counts, seconds=seconds, scores=None, notes=notes)


def as_run(comparison: Comparison) -> Run:
    """The comparison as the report shows it."""
    by_key: dict[tuple[str, str], list[Record]] = {}
    for record in comparison.shown:
        by_key.setdefault(record.key, []).append(record)
    before = by_key.get(REFERENCE) or next(iter(by_key.values()))
    after_key = next((key for key in by_key if key[0] == "evenhand"), None)
    after = pooled(by_key[after_key]) if after_key else None
    seeds = comparison.config["seeds"]
    first = comparison.records[0]
    notes = [f"{name} was not run: {why}" for name, why in comparison.skipped.items()]
    notes += sorted({f"{r.method}: {note}" for r in comparison.shown for note in r.notes})
    notes += _coinciding(pooled(before), after)
    criterion = Criterion.EQUALIZED_ODDS
    return Run(
        "compare",
        f"Compare {len(comparison.config['methods'])} methods on {first.task}, each on the same "
        f"features and splits, over {len(seeds)} seeds with a split of their own.",
        _decided(pooled(before), after, criterion),
        tuple(comparison.shown),
        pooled(before),
        after,
        criterion,
        warnings=tuple(notes),
        provenance={
            "seeds": seeds,
            "versions": {name: version(name) for name in ("evenhand", "torch", "scikit-learn")}
            | {"python": platform.python_version()},
            "machine": f"{platform.machine()} {platform.system()}",
        },
        config=comparison.config,
        tables=(
            (
                "Paired differences to transfer learning",
                "Means over seeds with 95 % t intervals; Holm-corrected over all rows.",
                _without_levels(comparison.paired, comparison).round(4),
            ),
            (
                "Error at levels of the gap",
                "Interpolated along each method's frontier; intervals by bootstrapping the seeds.",
                comparison.frontier.round(4),
            ),
        ),
    )


def _coinciding(before: Record, after: Record | None) -> list[str]:
    """A warning where label and group nearly coincide, and then the gaps that still say something.

    What the rows were is told by the counts: the labels of every group.
    """
    cells = before.counts.cells
    groups, classes = cells.shape
    each = cells.ravel().astype(int)
    known = Rows(
        np.zeros((int(each.sum()), 0)),
        np.repeat(np.tile(np.arange(classes), groups), each),
        Groups(
            np.repeat(np.repeat(np.arange(groups), classes), each),
            before.counts.group_names,
            before.counts.attribute,
        ),
        before.counts.class_names,
    )
    if coincidence(known) <= COINCIDENCE:
        return []
    told = [warning for warning in row_warnings(known, ()) if "coincide" in warning]
    if classes == 2:
        shown = [("transfer learning", before), *([("evenhand", after)] if after else [])]
        told += [
            f"the gap of the false-positive rates is {plain_number(_spread(record))} for {name}"
            for name, record in shown
        ]
    return told


def _spread(record: Record) -> float:
    """The largest difference of the groups' false-positive rates; NaN where none is defined."""
    rates = false_positive_rate(record.counts.table)[..., 1]
    defined = rates[~np.isnan(rates)]
    return float(np.ptp(defined)) if len(defined) > 1 else float("nan")


def _decided(before: Record, after: Record | None, criterion: Criterion) -> str:
    was = plain_number(before.gap(criterion))
    if after is None:
        return f"Transfer learning: {criterion.symbol} {was}."
    return (
        f"evenhand's choice has {criterion.symbol} {plain_number(after.gap(criterion))} over all "
        f"seeds together, against {was} for transfer learning, and the error "
        f"{after.error:.2f} against {before.error:.2f}."
    )


def _without_levels(frame: pd.DataFrame, comparison: Comparison) -> pd.DataFrame:
    """The rows of settings that are no levels of the frontier."""
    levels = {str(r.setting) for r in comparison.records if r.setting.kind == "level"}
    return frame[~frame["setting"].isin(levels)] if "setting" in frame else frame
