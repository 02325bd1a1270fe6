"""Every candidate's error, gap and upper bound, as the selection compares them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from evenhand._base.arrays import Float64, IntArray
from evenhand.criteria import Criterion
from evenhand.heads.selection.assisted import expected_totals
from evenhand.heads.selection.candidates import Candidates
from evenhand.heads.selection.promising import kept_bounds
from evenhand.heads.selection.rule import Rule
from evenhand.heads.selection.soundness import Mask, decides, gives_enough, sound
from evenhand.metrics.bounds import shortfall, upper_bound
from evenhand.metrics.counts import Counts
from evenhand.metrics.effective import effective_tables
from evenhand.metrics.rates import Array, ErrorMetric, error_metric

Place = tuple[int | None, tuple[int, int] | None]


@dataclass(frozen=True, eq=False)
class Scored:
    """All candidates of all families in one flat list of M, the old head (if any) last.

    Attributes:
        where: (family, (strength, offset)) of each.
        tables: (M, G, K, K) counts of rows of known group.
        totals: (M, K, K) confusion matrices over all rows.
        differing: (M, K) rows of each label decided otherwise than by ``tuned``.
        error: (M,) the rule's.
        gap, upper: (M,) by criterion, over the rates that have the rule's ``min_rows``: the
            figure's shortfall and the smallest it may be promised to keep to, for levels too.
        moved: (M,) the heads of a path that were merged with a group's score.
        unevened: (M,) what was fitted without a penalty and merged with nothing.
        transfer: the place of transfer learning, its threshold where the fit left it.
        tuned: the place of transfer learning with the threshold of the lowest error.
        old: the old head's place.
        z: the critical value of ``upper``.
        rule_error: the error's name, or the callable.
        given: (M, K) how often what would be shipped decides each class on the rows it was fitted
            on; as held out, where that is not known.
        assisted: half of the error is what a model of the labels expects.
        squares: (G, K) sums of the squared weights of weighted rows, whose sums the tables hold.
    """

    where: list[Place]
    tables: IntArray
    totals: IntArray
    differing: Array
    error: Array
    gap: dict[Criterion, Array]
    upper: dict[Criterion, Array]
    moved: Mask
    unevened: Mask
    transfer: int
    tuned: int
    old: int | None
    z: float
    rule_error: str | ErrorMetric
    given: IntArray
    assisted: bool
    squares: Float64 | None = None

    @property
    def deciding(self) -> Mask:
        """What decides every class, both as it was judged and as it would be shipped.

        A head near a constant decides much or little by a hair: fitted on all rows it may do
        otherwise than its parts did.
        """
        references = self.totals[[self.transfer, self.tuned]]
        return decides(self.totals, references) & gives_enough(self.given, references)

    def at(self, z: float, rule: Rule) -> Scored:
        """The same candidates with upper bounds at another critical value."""
        uppers = _uppers(self.tables, rule, z, self.squares, self.moved, self.transfer)
        return replace(self, upper=uppers, z=z)

    def tables_by(self, criterion: Criterion) -> IntArray:
        """(M, G, K, K) the tables as rows that are as sure, for what ``criterion`` compares."""
        return effective_tables(self.tables, criterion, self.squares)

    @property
    def sound(self) -> Mask:
        """What may be chosen unasked: see :func:`~evenhand.heads.selection.soundness.sound`."""
        transfer = self.totals[self.transfer]
        return self.deciding & sound(self.totals, transfer, self.rule_error)


def score_candidates(
    families: Sequence[Candidates],
    rule: Rule,
    old: Counts | None,
    old_loss: float | None,
    z: float,
    probability: Float64 | None = None,
) -> Scored:
    """Every candidate of every family, as the selection compares them.

    Args:
        families: the candidates.
        rule: what they are compared by.
        old, old_loss: the old head's counts and mean log-loss.
        z: the critical value of the upper bounds.
        probability: (N,) of the second class by a model of the labels, which assists the error.
    """
    where: list[Place] = []
    tables, totals, losses = [], [], []
    for number, family in enumerate(families):
        strengths, offsets = family.tables.shape[:2]
        where += [(number, (s, o)) for s in range(strengths) for o in range(offsets)]
        tables.append(np.concatenate(family.tables))
        totals.append(np.concatenate(family.totals))
        at_zero = np.array(family.offsets) == 0
        losses.append(np.where(at_zero, family.log_loss[:, None], np.inf).ravel())
    if old is not None:
        where.append((None, None))
        tables.append(old.table[None])
        totals.append(old.total[None])
        losses.append(np.array([old_loss], dtype=np.float64))
    every, confusions = np.concatenate(tables), np.concatenate(totals)
    squares = families[0].squares
    moved, unevened = (np.zeros(len(where), dtype=bool) for _ in range(2))
    number = len(where) - (old is not None)
    moved[:number], unevened[:number] = np.hstack([_how_made(one) for one in families])
    if rule.error == "log_loss":
        error: Array = 100 * np.concatenate(losses)
    else:
        error = np.concatenate([errors_of(family, rule.error, probability) for family in families])
        if old is not None:
            error = np.append(error, error_metric(rule.error)(old.total))
    transfer = families[0].offsets.index(0.0)
    tuned = tuned_offset(families[0], error[: len(families[0].offsets)], rule.error)
    return Scored(
        where,
        every,
        confusions,
        _differing(families, tuned, old is not None),
        error,
        _gaps(every, rule, squares),
        _uppers(every, rule, z, squares, moved, transfer),
        moved,
        unevened,
        transfer,
        tuned,
        None if old is None else len(where) - 1,
        z,
        rule.error,
        _given(families, confusions),
        probability is not None,
        squares,
    )


def _uppers(
    tables: IntArray,
    rule: Rule,
    z: float,
    squares: Float64 | None,
    moved: Mask,
    transfer: int,
) -> dict[Criterion, Array]:
    return {
        c: kept_bounds(
            effective_tables(tables, c, squares), c, rule, z, moved=moved, transfer=transfer
        )
        for c in rule.criteria
    }


def _gaps(tables: IntArray, rule: Rule, squares: Float64 | None) -> dict[Criterion, Array]:
    least = rule.min_rows
    return {
        c: shortfall(upper_bound(effective_tables(tables, c, squares), c, 0.0, least), c)
        for c in rule.criteria
    }


def _how_made(family: Candidates) -> Mask:
    """(2, S * O) whether each candidate is a merge of a head that evens out, and whether it is
    neither evened out nor merged."""
    merged = np.array(family.merges or np.zeros(len(family.strengths))) != 0
    evened = np.array(family.strengths) > 0
    return np.repeat([merged & evened, ~merged & ~evened], len(family.offsets), axis=1)


def errors_of(
    family: Candidates, error: str | ErrorMetric, probability: Float64 | None = None
) -> Array:
    """(S * O,) the error of each of a family's candidates: counted, or half of it expected.

    Args:
        family: the candidates.
        error: the error's name, or the callable.
        probability: (N,) of the second class by a model of the labels.
    """
    metric = error_metric(error)
    counted = np.asarray(metric(family.totals), dtype=np.float64)
    expected = None if probability is None else expected_totals(family, probability)
    if expected is not None:
        counted = (counted + np.asarray(metric(expected), dtype=np.float64)) / 2
    return counted.ravel()


def _given(families: Sequence[Candidates], totals: IntArray) -> IntArray:
    """(M, K) how often each candidate decides each class as it would be shipped."""
    given = totals.sum(axis=-2)
    first = 0
    for family in families:
        number = family.tables.shape[0] * family.tables.shape[1]
        if family.given is not None:
            given[first : first + number] = family.given.reshape(number, -1)
        first += number
    return np.asarray(given)


def tuned_offset(family: Candidates, error: Array, metric: str | ErrorMetric) -> int:
    """The place among ``offsets`` of transfer learning's threshold with the lowest error.

    Only thresholds that leave it a sound classifier are tried; of equal errors the one nearest to
    where the fit left it.

    Args:
        family: the head's own path; its first strength is transfer learning.
        error: (O,) of transfer learning at each offset.
        metric: the rule's error.
    """
    zero = family.offsets.index(0.0)
    totals = family.totals[0]
    tried = np.flatnonzero(sound(totals, totals[zero], metric) & np.isfinite(error))
    if not tried.size:
        return zero
    distance = np.abs(np.array(family.offsets)[tried])
    return int(tried[np.lexsort((distance, error[tried]))[0]])


def _differing(families: Sequence[Candidates], tuned: int, with_old: bool) -> Array:
    """(M, K) rows decided otherwise than by tuned transfer learning; 0 where not known."""
    reference = families[0].decisions
    plain = None if reference is None else reference.at((0, tuned))
    found = []
    for family in families:
        strengths, offsets, _, _, classes = family.tables.shape
        if family.decisions is None or plain is None:
            found.append(np.zeros((strengths * offsets, classes)))
        else:
            found.append(family.decisions.differing(plain).reshape(-1, classes))
    if with_old:
        found.append(np.zeros((1, families[0].tables.shape[-1])))
    return np.concatenate(found).astype(np.float64)
