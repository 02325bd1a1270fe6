"""What to choose by: bounds, a criterion, a confidence, an error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from evenhand._base.arrays import real_number
from evenhand.criteria import Criterion, parse_limit
from evenhand.errors import InputError
from evenhand.metrics.bounds import shortfall
from evenhand.metrics.rates import ErrorMetric, error_metric

CONFIDENCE = 0.90

ROUNDING = 1e-12
"""A level and what it lacks add up to its highest but for this."""


@dataclass(frozen=True)
class Bound:
    """A promise to keep: the gap of ``criterion`` on new rows is at most ``limit``.

    Of a criterion that is a level, such as worst-group accuracy: at least ``limit``.

    Attributes:
        criterion: which gap; equalized odds is |ΔTPR| + |ΔFPR|, as the paper's.
        limit: in (0, 2) for equalized odds, (0, 1) otherwise.

    Example:
        >>> print(eh.Bound("equalized_odds", 0.1))
        equalized_odds<=0.1
        >>> print(eh.Bound.parse("worst_group_accuracy>=0.8"))
        worst_group_accuracy>=0.8
    """

    criterion: Criterion
    limit: float

    def __init__(self, criterion: str | Criterion, limit: float) -> None:
        parsed = Criterion.parse(criterion)
        limit = real_number(limit, f"a bound on {parsed}")
        highest = parsed.highest
        if not 0 < limit < highest:
            raise InputError(f"a bound on {parsed} must lie in (0, {highest:g}), found {limit}")
        object.__setattr__(self, "criterion", parsed)
        object.__setattr__(self, "limit", limit)

    @classmethod
    def parse(cls, text: str) -> Bound:
        """``"equalized_odds=0.10"`` as a bound.

        Raises:
            InputError: it is not written ``criterion=limit``, or with the other sign.
        """  # noqa: DOC502
        return cls(*parse_limit(text))

    @property
    def most(self) -> float:
        """The largest shortfall within it: the limit of a gap, what a level may lack."""
        lacking = float(shortfall(self.limit, self.criterion))
        return lacking if self.criterion.kind == "gap" else lacking + ROUNDING

    def __str__(self) -> str:
        return f"{self.criterion}{self.criterion.sign}{self.limit:g}"


def parse_bounds(bounds: Mapping[str, float] | list[Bound] | Bound | None) -> tuple[Bound, ...]:
    """Any way of giving bounds, as a tuple of them, at most one a criterion.

    Raises:
        InputError: a criterion is bounded twice, or another form.
    """
    if bounds is None:
        return ()
    if isinstance(bounds, Bound):
        return (bounds,)
    listed = [Bound(c, v) for c, v in bounds.items()] if isinstance(bounds, Mapping) else bounds
    if not isinstance(listed, (list, tuple)) or not all(isinstance(b, Bound) for b in listed):
        raise InputError(
            "bounds are a mapping as {'equalized_odds': 0.1}, a Bound or a list of them, "
            f"found {str(bounds)[:80]!r}"
        )
    criteria = [bound.criterion for bound in listed]
    for criterion in criteria:
        if criteria.count(criterion) > 1:
            raise InputError(
                f"{criterion} is bounded {criteria.count(criterion)} times; give it once"
            )
    return tuple(listed)


def make_rule(
    bound: Bound | Mapping[str, float] | list[Bound] | None,
    criterion: str | Criterion,
    confidence: float,
    max_cost: float,
    error: str,
    **more: Any,
) -> Rule:
    """The rule that a user's arguments ask for; ``more`` are further fields of :class:`Rule`."""
    bounds = parse_bounds(bound)
    chosen = bounds[0].criterion if bounds else Criterion.parse(criterion)
    return Rule(bounds, chosen, confidence, max_cost, error, **more)


MAX_COST = 0.5
"""Points of error a fairer model may cost where no bound is promised for it."""


MIN_ROWS = 100
"""A rate of fewer rows is reported, and steers nothing."""


@dataclass(frozen=True)
class Rule:
    """What to choose by.

    Attributes:
        bounds: bounds of gaps and levels to keep; none means the best figure at ``max_cost``.
        criterion: the gap to lessen, or level to raise, where no bound is given.
        confidence: of the bounds, one-sided.
        max_cost: points of error over transfer learning, its threshold tuned by the same counts,
            that may be paid where no bound is promised for them (for log-loss, hundredths of a
            nat).
        error: the error to lower: ``"f1"`` (the paper's), ``"accuracy"``, ``"balanced"``,
            ``"log_loss"`` or a callable on (..., K, K) confusion matrices.
        guard: refuse what would have a larger gap than the old head, and than the bound.
        at_any_cost: where no bound can be promised, take the smallest gap whatever it costs, and
            models that hardly decide too.
        min_rows: rates of fewer rows steer neither the penalty nor the choice nor the promise.
        critical: how far a bound stands above its estimate: ``"quantile"``, the normal one
            and what the choice adds (:mod:`evenhand.heads.selection.promising`);
            ``"resampled"``, found by choosing again on resampled rows where held-out decisions are
            known row by row; ``"small cells"``, the first version's, which was wider where a rate
            has fewer than 500 rows.
        assisted: the error is the mean of the counted one and of what a model of the labels
            expects, for two classes (:mod:`evenhand.heads.selection.assisted`).

    Example:
        >>> rule = eh.Rule((eh.Bound("equalized_odds", 0.1),), confidence=0.95)
        >>> [str(criterion) for criterion in rule.criteria]
        ['equalized_odds']
    """

    bounds: tuple[Bound, ...] = ()
    criterion: Criterion = Criterion.EQUALIZED_ODDS
    confidence: float = CONFIDENCE
    max_cost: float = MAX_COST
    error: str | ErrorMetric = "f1"
    guard: bool = True
    at_any_cost: bool = False
    min_rows: int = MIN_ROWS
    critical: Literal["quantile", "resampled", "small cells"] = "quantile"
    assisted: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "confidence", real_number(self.confidence, "confidence"))
        object.__setattr__(self, "max_cost", real_number(self.max_cost, "max_cost"))
        if not 0.5 < self.confidence < 1:
            raise InputError(f"confidence must lie in (0.5, 1), found {self.confidence}")
        if not self.max_cost >= 0:
            raise InputError(f"max_cost must be at least 0 points of error, found {self.max_cost}")
        if self.min_rows < 1:
            raise InputError(f"min_rows must be at least 1 row, found {self.min_rows}")
        if self.error != "log_loss":
            error_metric(self.error)

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """The criteria that are bounded, or the one to lessen."""
        return tuple(bound.criterion for bound in self.bounds) or (self.criterion,)
