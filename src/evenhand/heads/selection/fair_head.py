"""The default algorithm: a path of fairer heads, cross-fitted, one of them chosen, refitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from evenhand.criteria import Criterion
from evenhand.head import Head
from evenhand.heads.adapter import Adapter, Hidden
from evenhand.heads.head_fit import HeadFit
from evenhand.heads.selection.candidates import (
    DEFAULT_GRID,
    CandidateGrid,
    Candidates,
    Criteria,
)
from evenhand.heads.selection.choice import Choice
from evenhand.heads.selection.crossfit import crossfit
from evenhand.heads.selection.folds import FOLDS
from evenhand.heads.selection.requirements import require_gap
from evenhand.heads.selection.ridge import choose_ridge, log_loss
from evenhand.heads.selection.rule import Rule
from evenhand.heads.selection.select import select
from evenhand.heads.spec import DEFAULT_CONTROL, DEFAULT_SPEC, FitControl, HeadSpec
from evenhand.metrics.bounds import upper_bound
from evenhand.metrics.counts import Counts
from evenhand.metrics.rates import error_metric
from evenhand.rows import Rows

ADAPTER_STRENGTHS = (0.0, 0.1, 0.3, 1.0, 3.0)


ADAPTER_BETA = 1.0
"""An adapter's objective is not convex: the smoother penalty leads it to better valleys."""


ADAPTER_RIDGE = 1e-3
"""The least ridge on an adapter: it has more freedom than a head, and over-fits below this."""


@dataclass(frozen=True, eq=False)
class FairHead:
    """What the default algorithm chose.

    Attributes:
        choice: which candidate, why, and what is promised.
        fit: the chosen fit; None where the old head is kept.
        head: the chosen head, the old one where it is kept.
        families: every candidate with its cross-fitted counts.
        ridge: the head's ridge.

    Example:
        >>> grid = eh.heads.CandidateGrid(strengths=(0.0, 1.0, 10.0), offsets=(0.0,))
        >>> fair = eh.heads.fit_fair_head(rows, eh.Rule(), grid=grid)
        >>> fair.head.predict(rows.features[:2]).shape  # no group is needed
        (2,)
    """

    choice: Choice
    fit: HeadFit | None
    head: Head
    families: tuple[Candidates, ...]
    ridge: float

    @property
    def adapter(self) -> Adapter | None:
        """The chosen change to the last hidden layer, if there is one."""
        return self.fit.adapter if self.fit else None

    @property
    def trainable_parameters(self) -> int:
        """What the chosen fit was free to move; 0 where the old head is kept."""
        return self.fit.trainable_parameters if self.fit else 0

    @property
    def strength(self) -> float | None:
        """The chosen strength of the penalty; None where the old head is kept."""
        return self._chosen[0] if self._chosen else None

    @property
    def offset(self) -> float:
        """What is added to the log-odds; 0 where the old head is kept."""
        return self._chosen[1] if self._chosen else 0.0

    @property
    def _chosen(self) -> tuple[float, float] | None:
        if self.choice.family is None or self.choice.index is None:
            return None
        family, (s, o) = self.families[self.choice.family], self.choice.index
        return family.strengths[s], family.offsets[o]

    @property
    def setting(self) -> str:
        """The strength and offset chosen, as a short text: ``"4.77 at +0.25"``."""
        if self.strength is None:
            return "old head kept"
        name = "adapter " if self.adapter else ""
        shift = f" at {self.offset:+.2f}" if self.offset else ""
        return f"{name}{self.strength:.3g}{shift}"


@dataclass(frozen=True, eq=False)
class HiddenRows:
    """The development rows as the last hidden layer reads them, for an adapter.

    Attributes:
        layer: the hidden layer.
        rows: the same rows, their features the layer's inputs.
        rank: of the adapter.
        strengths: of the adapters' penalty.
    """

    layer: Hidden
    rows: Rows
    rank: int = 1
    strengths: tuple[float, ...] = ADAPTER_STRENGTHS


def fit_fair_head(
    rows: Rows,
    rule: Rule,
    spec: HeadSpec = DEFAULT_SPEC,
    *,
    old: Head | None = None,
    grid: CandidateGrid = DEFAULT_GRID,
    families: Sequence[Candidates] | None = None,
    adapter: HiddenRows | None = None,
    control: FitControl = DEFAULT_CONTROL,
) -> FairHead:
    """Fit, cross-fit, choose and refit: one call from features to a head and what it promises.

    Each criterion of the rule has a path of its own, and several have an equal mix too.

    Args:
        rows: all development rows (train and validation together); never test rows. In a world each
            process gives its part, and all get the same.
        rule: what to choose by.
        spec: what is fitted; the ridge is chosen by cross-validation where none is given.
        old: the pre-trained head for the same labels; None for a new label space.
        grid: the candidates' strengths and offsets; :meth:`CandidateGrid.only` takes one strength
            (of an adapter's penalty where one is asked for) without choosing.
        families: candidates fitted on these rows before, taken instead of fitting heads.
        adapter: fit adapters on the last hidden layer as well.
        control: how to fit; fits begin at ``old`` unless it says otherwise.

    Returns:
        The choice, its head, and every candidate. :func:`fits_needed` tells how many fits it takes.

    Raises:
        InputError: no two groups can be compared by a criterion of the rule, too few rows, or a
            setting out of range.

    Example:
        >>> grid = eh.heads.CandidateGrid(strengths=(0.0, 1.0, 10.0), offsets=(0.0,))
        >>> rule = eh.Rule((eh.Bound("equalized_odds", 0.4),))
        >>> fair = eh.heads.fit_fair_head(rows, rule, grid=grid)
        >>> fair.choice.promised
        True
    """
    require_gap(rows, rule.criteria)
    if control.start is None:
        control = replace(control, start=old)
    ridge = spec.ridge
    if ridge is None:
        begin = replace(control, start=None) if spec.rank else control
        ridge = choose_ridge(rows, control=replace(begin, on_fit=None))
    spec = replace(spec, ridge=ridge)
    taken = 0
    candidates = list(families or ())
    if families is None:
        candidates += [
            crossfit(rows, spec, criteria, grid=grid, control=control, min_rows=rule.min_rows)
            for criteria in paths(rule.criteria)
        ]
    if adapter is not None:
        taken = len(candidates)
        of_adapters = grid if grid.forced else replace(grid, strengths=adapter.strengths)
        adapter_spec = HeadSpec(
            max(ridge, ADAPTER_RIDGE), adapter.rank, adapter.layer, beta=ADAPTER_BETA
        )
        candidates += [
            crossfit(
                adapter.rows,
                adapter_spec,
                criteria,
                grid=of_adapters,
                control=control,
                min_rows=rule.min_rows,
            )
            for criteria in paths(rule.criteria)
        ]
    forced = (taken, (1, candidates[taken].offsets.index(0.0))) if grid.forced else None
    counts, loss = (None, None) if old is None else _as_it_is(old, rows)
    choice = select(
        candidates,
        rule,
        features=rows.features.shape[1],
        old=counts,
        old_loss=loss,
        force=forced,
    )
    if choice.family is None or choice.index is None:
        head = old or candidates[0].fits[0].head
        return FairHead(choice, None, head, tuple(candidates), ridge)
    fit = candidates[choice.family].fit(choice.index)
    return FairHead(choice, fit, fit.head, tuple(candidates), ridge)


def _as_it_is(old: Head, rows: Rows) -> tuple[Counts, float]:
    """The old head's counts and mean log-loss over all rows of the world."""
    logits = old.logits(rows.features)
    counts = Counts.of(rows.labels, logits.argmax(axis=1), rows.groups, rows.classes)
    number = rows.world.sum(np.array([len(rows)]))[0]
    own_loss = log_loss(logits, rows.labels) * len(rows) if len(rows) else 0.0
    return rows.world.merge(counts), float(rows.world.sum(np.array([own_loss]))[0] / number)


def paths(criteria: Sequence[Criterion]) -> tuple[Criteria, ...]:
    """The paths to run: each criterion alone, and their equal mix where there are several."""
    alone: tuple[Criteria, ...] = tuple(criteria)
    if len(criteria) < 2:
        return alone
    return (*alone, dict.fromkeys(criteria, 1.0))


def fits_needed(rule: Rule, grid: CandidateGrid = DEFAULT_GRID, *, adapter: bool = False) -> int:
    """How many fits :func:`fit_fair_head` will make, for a progress bar."""
    each = len(grid.strengths) + (len(ADAPTER_STRENGTHS) if adapter else 0)
    return (FOLDS + 1) * each * len(paths(rule.criteria))


@dataclass(frozen=True)
class PathEstimate:
    """One strength of a family, as cross-fitting sees it.

    Attributes:
        family: its number.
        index: (strength, offset), by number.
        error: in the rule's metric, in %.
        gap, upper: of the rule's first criterion, and its upper bound.
        chosen: it was.
    """

    family: int
    index: tuple[int, int]
    error: float
    gap: float
    upper: float
    chosen: bool


def frontier(fair: FairHead, rule: Rule) -> list[PathEstimate]:
    """Every family's path: for each strength its cross-fitted error, gap and upper bound.

    Offsets are folded away: of each strength the offset with the lowest upper bound among those
    within ``max_cost`` of the strength's lowest error is shown.
    """
    metric = error_metric("f1" if rule.error == "log_loss" else rule.error)
    criterion = rule.criteria[0]
    points = []
    for number, family in enumerate(fair.families):
        error = np.asarray(metric(family.totals))
        upper = upper_bound(family.tables, criterion, fair.choice.z, rule.min_rows)
        gaps = upper_bound(family.tables, criterion, 0.0, rule.min_rows)
        for s in range(len(family.strengths)):
            chosen = number == fair.choice.family and s == (fair.choice.index or (-1,))[0]
            near = error[s] <= error[s].min() + rule.max_cost
            o = int(np.where(near, np.nan_to_num(upper[s], nan=np.inf), np.inf).argmin())
            if chosen and fair.choice.index:
                o = fair.choice.index[1]
            figures = float(error[s, o]), float(gaps[s, o]), float(upper[s, o])
            points.append(PathEstimate(number, (s, o), *figures, chosen))
    return points
