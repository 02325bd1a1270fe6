"""The default algorithm: a path of fairer heads, cross-fitted, one of them chosen, refitted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from evenhand._base.distributed import ALONE, World
from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.head import Head
from evenhand.heads.adapter import Adapter, Hidden
from evenhand.heads.head_fit import HeadFit
from evenhand.heads.selection.candidates import Candidates, Criteria
from evenhand.heads.selection.crossfit import OFFSETS, STRENGTHS, crossfit
from evenhand.heads.selection.folds import FOLDS
from evenhand.heads.selection.requirements import require_gap
from evenhand.heads.selection.ridge import choose_ridge, log_loss
from evenhand.heads.selection.rule import Rule
from evenhand.heads.selection.select import Choice, select
from evenhand.metrics.counts import Counts
from evenhand.rows import Rows

ADAPTER_STRENGTHS = (0.0, 0.1, 0.3, 1.0, 3.0)


ADAPTER_BETA = 1.0
"""An adapter's objective is not convex: the smoother penalty leads it to better valleys."""


ADAPTER_RIDGE = 1e-3
"""The least ridge on an adapter: it has more freedom than a head, and over-fits below this."""


@dataclass(frozen=True, eq=False)
class Evened:
    """What the default algorithm chose.

    Attributes:
        choice: which candidate, why, and what is promised.
        fit: the chosen fit; None where the old head is kept.
        head: the chosen head, the old one where it is kept.
        families: every candidate with its cross-fitted counts.
        ridge: the head's ridge.
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
    def setting(self) -> str:
        """The strength and offset chosen, as a short text: ``"4.77 at +0.25"``."""
        if self.choice.family is None or self.choice.index is None:
            return "old head kept"
        family = self.families[self.choice.family]
        strength, offset = (
            family.strengths[self.choice.index[0]],
            family.offsets[self.choice.index[1]],
        )
        name = "adapter " if self.adapter else ""
        shift = f" at {offset:+.2f}" if offset else ""
        return f"{name}{strength:.3g}{shift}"


@dataclass(frozen=True, eq=False)
class HiddenRows:
    """The development rows as the last hidden layer reads them, for an adapter.

    Attributes:
        layer: the hidden layer.
        rows: the same rows, their features the layer's inputs.
        rank: of the adapter.
    """

    layer: Hidden
    rows: Rows
    rank: int = 1


def even_out(
    rows: Rows,
    rule: Rule,
    *,
    old: Head | None = None,
    start: Head | None = None,
    ridge: float | None = None,
    strengths: Sequence[float] = STRENGTHS,
    offsets: Sequence[float] = OFFSETS,
    strength: float | None = None,
    mix: Criteria | None = None,
    rank: int | None = None,
    hidden: HiddenRows | None = None,
    families: Sequence[Candidates] | None = None,
    intercept: bool = True,
    seed: int = 0,
    on_fit: Callable[[], None] | None = None,
    world: World = ALONE,
) -> Evened:
    """Fit, cross-fit, choose and refit: one call from features to a head and what it promises.

    Args:
        rows: all development rows (train and validation together); never test rows.
        rule: what to choose by.
        old: the pre-trained head for the same labels; None for a new label space.
        start: where fits begin; ``old`` by default.
        ridge: of the head; by cross-validation by default.
        strengths, offsets: the candidates.
        strength: take this strength, without choosing; of an adapter's penalty where one is
            asked for.
        mix: criteria and their weights to even out together; by default each criterion of the rule
            has a path of its own, and several have an equal mix too.
        rank: fit low-rank heads, from ``start``'s factors.
        hidden: fit adapters on the last hidden layer as well.
        families: candidates fitted on these rows before, taken instead of fitting heads.
        intercept: the head has a bias.
        seed: of the folds.
        on_fit: called after each fit; :func:`fits_needed` tells how often.
        world: the processes that share the rows, each with a part of them; all get the same.

    Raises:
        InputError: no two groups can be compared by a criterion of the rule, too few rows, or a
            setting out of range.
    """
    require_gap(rows, rule.criteria, world)
    start = old if start is None else start
    force = None
    adapter_strengths: Sequence[float] = ADAPTER_STRENGTHS
    if strength is not None:
        if not 0 <= strength < np.inf:
            raise InputError(f"the strength must be finite and at least 0, found {strength}")
        strengths = adapter_strengths = (0.0, float(strength))
        offsets, force = (0.0,), (0, (1, 0))
    if ridge is None:
        ridge = choose_ridge(rows, seed=seed, start=None if rank else start, world=world)
    fitted = families is not None
    families = list(families or ())
    families += [
        crossfit(
            rows,
            criteria,
            ridge=ridge,
            strengths=strengths,
            offsets=offsets,
            start=start,
            rank=rank,
            intercept=intercept,
            seed=seed,
            on_fit=on_fit,
            world=world,
        )
        for criteria in (() if fitted else paths(rule.criteria, mix))
    ]
    if hidden is not None:
        force = force and (len(families), force[1])
        families += [
            crossfit(
                hidden.rows,
                criteria,
                ridge=max(ridge, ADAPTER_RIDGE),
                strengths=adapter_strengths,
                offsets=offsets,
                start=start,
                rank=hidden.rank,
                hidden=hidden.layer,
                beta=ADAPTER_BETA,
                seed=seed,
                on_fit=on_fit,
            )
            for criteria in paths(rule.criteria, mix)
        ]
    counts, loss = None, None
    if old is not None:
        logits = old.logits(rows.features)
        counts = world.merge(
            Counts.of(rows.labels, logits.argmax(axis=1), rows.groups, rows.classes)
        )
        number = world.sum(np.array([len(rows)]))[0]
        own_loss = log_loss(logits, rows.labels) * len(rows) if len(rows) else 0.0
        loss = float(world.sum(np.array([own_loss]))[0] / number)
    choice = select(
        families, rule, features=rows.features.shape[1], old=counts, old_loss=loss, force=force
    )
    if choice.family is None or choice.index is None:
        return Evened(choice, None, old or families[0].fits[0].head, tuple(families), ridge)
    fit = families[choice.family].fit(choice.index)
    return Evened(choice, fit, fit.head, tuple(families), ridge)


def paths(criteria: Sequence[Criterion], mix: Criteria | None = None) -> tuple[Criteria, ...]:
    """The paths to run: each criterion alone, and their equal mix where there are several."""
    if mix is not None:
        return (mix,)
    alone: tuple[Criteria, ...] = tuple(criteria)
    if len(criteria) < 2:
        return alone
    return (*alone, dict.fromkeys(criteria, 1.0))


def fits_needed(
    rule: Rule, *, strengths: Sequence[float] = STRENGTHS, adapter: bool = False
) -> int:
    """How many fits :func:`even_out` will make, for a progress bar."""
    each = len(strengths) + (len(ADAPTER_STRENGTHS) if adapter else 0)
    return (FOLDS + 1) * each * len(paths(rule.criteria))


def frontier(evened: Evened, rule: Rule) -> list[dict[str, float | bool | str]]:
    """The chosen family's path: for each strength its cross-fitted error, gap and upper bound.

    Offsets are folded away: of each strength the offset with the lowest upper bound among those
    within ``max_cost`` of the strength's lowest error is shown.
    """
    from evenhand.metrics.bounds import upper_bound
    from evenhand.metrics.rates import error_metric, gap

    metric = error_metric("f1" if rule.error == "log_loss" else rule.error)
    criterion = rule.criteria[0]
    points: list[dict[str, float | bool | str]] = []
    for number, family in enumerate(evened.families):
        error = np.asarray(metric(family.totals))
        upper = upper_bound(family.tables, criterion, evened.choice.z)
        gaps = gap(family.tables, criterion)
        for s, strength in enumerate(family.strengths):
            chosen = number == evened.choice.family and s == (evened.choice.index or (-1,))[0]
            near = error[s] <= error[s].min() + rule.max_cost
            o = int(np.where(near, np.nan_to_num(upper[s], nan=np.inf), np.inf).argmin())
            if chosen and evened.choice.index:
                o = evened.choice.index[1]
            points.append(
                {
                    "family": family.family,
                    "strength": strength,
                    "offset": family.offsets[o],
                    "error": float(error[s, o]),
                    "gap": float(gaps[s, o]),
                    "upper": float(upper[s, o]),
                    "chosen": chosen,
                }
            )
    return points
