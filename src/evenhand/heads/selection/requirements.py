"""What rows must hold for a gap to be lessened, and how small a bound they can support."""

from __future__ import annotations

import numpy as np

from evenhand._base.text import listed
from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.heads.selection.rule import Rule
from evenhand.metrics.bounds import critical_value, noise_floor
from evenhand.metrics.counts import Counts
from evenhand.metrics.rates import gap
from evenhand.rows import Rows


def require_groups(rows: Rows, split: str) -> None:
    """Refuse rows on which no gap is defined.

    Raises:
        InputError: fewer than two groups have rows.
    """
    sizes = rows.groups.sizes
    if rows.groups.number < 2:
        only = f"one group only, {rows.groups.names[0]!r}" if rows.groups.number else "no group"
        raise InputError(
            f"{split} has {only} of {rows.groups.attribute}: a gap needs two; "
            "give another group column"
        )
    for name, size in zip(rows.groups.names, sizes, strict=True):
        if not size:
            raise InputError(
                f"group {name!r} has 0 rows in {split}; give rows of it, or leave it out of the "
                "groups"
            )


def require_gap(rows: Rows, criteria: tuple[Criterion, ...]) -> None:
    """Refuse criteria by which no two groups of the rows (of all processes) can be compared.

    Raises:
        InputError: each rate is defined in one group at most, so that there is nothing to even out
            and whatever is fitted would look even.
    """
    counts = counts_of(rows)
    for criterion in criteria:
        if np.isnan(gap(counts.table, criterion)):
            parts = (
                f"{name}: " + listed(f"{n} {c!r}" for n, c in zip(row, rows.classes, strict=True))
                for name, row in zip(rows.groups.names, counts.cells, strict=True)
            )
            cells = listed(parts, between="; ")
            raise InputError(
                f"no two groups of {rows.groups.attribute} can be compared by {criterion}: each "
                f"needs rows with the same labels, found {cells or 'no group'}; give more rows or "
                "other groups, or use demographic_parity"
            )


def has_gap(rows: Rows, criterion: Criterion) -> bool:
    """Whether two groups of the rows (of all processes) can be compared by ``criterion``."""
    counts = counts_of(rows)
    return not bool(np.isnan(gap(counts.table, criterion)))


def smallest_bounds(rows: Rows, rule: Rule) -> dict[Criterion, float]:
    """The smallest bound the rows could support by each criterion, before anything is fitted.

    The upper bound of decisions that are right at the base rates and have no gap: the noise floor.
    """
    counts = counts_of(rows)
    z = critical_value(rule.confidence, len(counts), rows.features.shape[1])
    return {
        c: noise_floor(_base_rate_table(counts.effective_cells(c)), c, z, rule.min_rows)
        for c in rule.criteria
    }


def counts_of(rows: Rows) -> Counts:
    """The counts of the rows' labels, decided as they are: how many rows there are of each."""
    return rows.world.merge(
        Counts.of(rows.labels, rows.labels, rows.groups, rows.classes, rows.counting)
    )


def _base_rate_table(cells: np.ndarray) -> np.ndarray:
    """(G, K, K) counts were decisions drawn at each label's overall confusion of 3 in 4."""
    k = cells.shape[1]
    confusion = np.full((k, k), 0.25 / max(k - 1, 1))
    np.fill_diagonal(confusion, 0.75)
    return np.asarray(np.round(cells[..., None] * confusion)).astype(np.int64)
