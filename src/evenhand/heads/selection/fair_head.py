"""The default algorithm: a path of fairer heads, cross-fitted, one of them chosen, refitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from evenhand.head import Head
from evenhand.heads.adapter import Adapter, Hidden
from evenhand.heads.head_fit import HeadFit
from evenhand.heads.selection.adapters import judged_adapters
from evenhand.heads.selection.blocks import log_losses
from evenhand.heads.selection.candidates import (
    DEFAULT_GRID,
    CandidateGrid,
    Candidates,
    Refitted,
)
from evenhand.heads.selection.choice import Choice
from evenhand.heads.selection.folds import FOLDS
from evenhand.heads.selection.menu import fits_needed as head_fits_needed
from evenhand.heads.selection.menu import head_families, paths, with_ridge
from evenhand.heads.selection.requirements import require_gap
from evenhand.heads.selection.rule import Rule
from evenhand.heads.selection.select import Selection
from evenhand.heads.selection.worst_cells import TILTED
from evenhand.heads.spec import DEFAULT_CONTROL, DEFAULT_SPEC, FitControl, HeadSpec
from evenhand.metrics.counts import Counts
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
        selection: what it was chosen among.

    Example:
        >>> grid = eh.heads.CandidateGrid(strengths=(0.0, 1.0, 10.0), offsets=(0.0,))
        >>> fair = eh.heads.fit_fair_head(rows, eh.Rule(), grid=grid)
        >>> fair.head.predict(rows.features[:2]).shape  # no group is needed
        (2,)
    """

    choice: Choice
    fit: Refitted | None
    head: Head
    selection: Selection

    @property
    def families(self) -> tuple[Candidates, ...]:
        """Every candidate with its cross-fitted counts."""
        return self.selection.families

    @property
    def ridge(self) -> float:
        """The head's ridge."""
        return self.families[0].ridge or 0.0

    @property
    def adapter(self) -> Adapter | None:
        """The chosen change to the last hidden layer, if there is one."""
        return self.fit.adapter if isinstance(self.fit, HeadFit) else None

    @property
    def merge(self) -> float:
        """What of a group's score was added to the chosen head; 0 where nothing was."""
        if self.choice.family is None or self.choice.index is None:
            return 0.0
        merges = self.families[self.choice.family].merges
        return merges[self.choice.index[0]] if merges else 0.0

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
    def tilted(self) -> bool:
        """Whether the chosen head is one tilted to the worst group or cell, by its strength."""
        return self.choice.family is not None and TILTED in self.families[self.choice.family].family

    @property
    def setting(self) -> str:
        """The strength and offset chosen, as a short text: ``"4.77 at +0.25"``."""
        if self.strength is None:
            return "old head kept"
        name = "adapter " if self.adapter else "tilt " if self.tilted else ""
        merge = f" merged {self.merge:+.2g}" if self.merge else ""
        shift = f" at {self.offset:+.2f}" if self.offset else ""
        return f"{name}{self.strength:.3g}{merge}{shift}"


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
    families: Sequence[Candidates] = (),
    adapter: HiddenRows | None = None,
    control: FitControl = DEFAULT_CONTROL,
) -> FairHead:
    """Fit, cross-fit, choose and refit: one call from features to a head and what it promises.

    What is chosen among is the menu of :func:`head_families`: the paths of all criteria, merges
    with groups' scores, every offset; and whatever families were made elsewhere.

    Args:
        rows: all development rows (train and validation together); never test rows. In a world each
            process gives its part, and all get the same.
        rule: what to choose by.
        spec: what is fitted; the ridge is chosen by cross-validation where none is given.
        old: the pre-trained head for the same labels; None for a new label space.
        grid: the candidates' strengths and offsets; :meth:`CandidateGrid.only` takes one strength
            (of an adapter's penalty where one is asked for) without choosing.
        families: further families to choose among, judged on these rows by the same folds or
            otherwise without the rows they are judged on: of a deeper readout, of whole networks.
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
    """  # noqa: DOC502
    require_gap(rows, rule.criteria)
    if control.start is None:
        control = replace(control, start=old)
    spec = with_ridge(rows, spec, control)
    found = head_families(rows, rule, spec, grid=grid, control=control)
    taken = 0
    if adapter is not None:
        taken = len(found)
        found += adapter_families(adapter, rule, spec.require_ridge(), grid=grid, control=control)
    forced = (taken, (1, found[taken].offsets.index(0.0))) if grid.forced else None
    return choose_head(rows, rule, [*found, *families], old=old, force=forced)


def adapter_families(
    adapter: HiddenRows,
    rule: Rule,
    ridge: float,
    *,
    grid: CandidateGrid = DEFAULT_GRID,
    control: FitControl = DEFAULT_CONTROL,
) -> list[Candidates]:
    """The families of low-rank adapters on the last hidden layer, a path a criterion of the rule.

    Args:
        adapter: the layer, its inputs and the strengths.
        rule: what will be chosen by.
        ridge: the head's.
        grid: the offsets, and the strength where one is forced.
        control: how to fit.
    """
    strengths = grid.strengths if grid.forced else adapter.strengths
    spec = HeadSpec(max(ridge, ADAPTER_RIDGE), adapter.rank, adapter.layer, beta=ADAPTER_BETA)
    return [
        judged_adapters(
            adapter.rows,
            spec,
            criteria,
            grid=replace(grid, strengths=strengths),
            control=control,
            min_rows=rule.min_rows,
        )
        for criteria in paths(rule.criteria)
    ]


def choose_head(
    rows: Rows,
    rule: Rule,
    families: Sequence[Candidates],
    *,
    old: Head | None = None,
    force: tuple[int, tuple[int, int]] | None = None,
) -> FairHead:
    """Choose among families that were judged on these rows before.

    Args:
        rows: all development rows, as the heads of the first family read them.
        rule: what to choose by.
        families: what to choose among; the first begins with transfer learning.
        old: the pre-trained head for the same labels; None for a new label space.
        force: (family, (strength, offset)) to describe instead of choosing.

    Raises:
        InputError: there are no candidates, or the rule's error is undefined for all of them.

    Example:
        >>> grid = eh.heads.CandidateGrid(strengths=(0.0, 1.0, 10.0), offsets=(0.0,))
        >>> path = eh.heads.crossfit(rows, eh.heads.HeadSpec(ridge=1e-3), "eo", grid=grid)
        >>> eh.heads.choose_head(rows, eh.Rule((eh.Bound("eo", 0.4),)), [path]).choice.promised
        True
    """  # noqa: DOC502
    counts, loss = (None, None) if old is None else _as_it_is(old, rows)
    selection = Selection(tuple(families), rows.features.shape[1], counts, loss)
    choice = selection.choose(rule, force=force)
    if choice.family is None or choice.index is None:
        head = old or families[0].fits[0].head
        return FairHead(choice, None, head, selection)
    fit = families[choice.family].fit(choice.index)
    return FairHead(choice, fit, fit.head, selection)


def _as_it_is(old: Head, rows: Rows) -> tuple[Counts, float]:
    """The old head's counts and mean log-loss over all rows of the world."""
    logits = old.logits(rows.features)
    counts = Counts.of(rows.labels, logits.argmax(axis=1), rows.groups, rows.classes, rows.counting)
    losses = log_losses(logits, rows.labels)
    own_loss = losses.sum() if rows.weights is None else losses @ rows.weights.values
    loss = float(rows.world.sum(np.array([own_loss]))[0]) / rows.total_weight
    return rows.world.merge(counts), loss


def fits_needed(rule: Rule, grid: CandidateGrid = DEFAULT_GRID, *, adapter: bool = False) -> int:
    """How many fits :func:`fit_fair_head` will make, for a progress bar."""
    of_adapters = (FOLDS + 1) * len(ADAPTER_STRENGTHS) * len(paths(rule.criteria))
    return head_fits_needed(rule, grid) + (of_adapters if adapter else 0)
