"""What is fitted, and how: the two bundles that every fit takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evenhand.errors import InputError
from evenhand.head import Head
from evenhand.heads.adapter import Hidden
from evenhand.heads.head_fit import MAX_EVALUATIONS

HEAVIEST = 1e30
"""No ridge or strength weighs more: their squares overflow."""


@dataclass(frozen=True, eq=False)
class HeadSpec:
    """What is fitted.

    Attributes:
        ridge: of 1/2 ridge ||w||²; for two classes w is the difference of W's columns. None: chosen
            by cross-validation where heads are cross-fitted; a single fit needs one.
        rank: fit W = A B at this rank instead of a dense W; with ``hidden``, the adapter's rank.
        hidden: the last hidden layer; given, the rows' features are *its* inputs, and a low-rank
            adapter on it is fitted together with a dense head.
        full: with ``hidden``, the layer may move in every direction, held to the weights it has
            (:mod:`evenhand.heads.moved_layer`), and the head to the anchor.
        intercept: fit a bias; without one it stays 0 (an adapter's head always has one).
        beta: steepness of the soft decisions; the criterion's own by default.
        left_out: the numbers of groups that no penalty looks at.
        anchor: the ridge draws towards this head instead of towards 0, as for the labels the old
            head was trained on; of the features' width.
        name: how candidates fitted so are called; by what they are where none is given.

    Raises:
        InputError: a ridge or rank out of range.

    Example:
        >>> eh.heads.HeadSpec(ridge=1e-3, rank=2).intercept
        True
    """

    ridge: float | None = None
    rank: int | None = None
    hidden: Hidden | None = None
    full: bool = False
    intercept: bool = True
    beta: float | None = None
    left_out: tuple[int, ...] = ()
    anchor: Head | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        if self.ridge is not None and not 0 <= self.ridge <= HEAVIEST:
            raise InputError(f"the ridge must be finite and at least 0, found {self.ridge}")
        if self.rank is not None and self.rank < 1:
            raise InputError(f"the rank must be at least 1, found {self.rank}")
        if self.full and (self.hidden is None or self.rank is not None):
            raise InputError("a layer that moves in full is hidden, and has no rank")

    def require_ridge(self) -> float:
        """The ridge.

        Raises:
            InputError: none was given.
        """
        if self.ridge is None:
            raise InputError("a fit needs a ridge: HeadSpec(ridge=...), or choose_ridge's")
        return self.ridge


@dataclass(frozen=True, eq=False)
class FitControl:
    """How heads are fitted.

    Attributes:
        start: the head to begin from; zero by default. A low-rank head starts a low-rank fit.
        seed: of the folds, and of an adapter's first directions.
        max_evaluations: passes over the features at which a fit is stopped, converged or not.
        on_fit: called after each fit, for a progress bar.

    Raises:
        InputError: fewer than one evaluation.

    Example:
        >>> eh.heads.FitControl(seed=1, max_evaluations=50).seed
        1
    """

    start: Head | None = None
    seed: int = 0
    max_evaluations: int = MAX_EVALUATIONS
    on_fit: Callable[[], None] | None = None

    def __post_init__(self) -> None:
        if self.max_evaluations < 1:
            raise InputError(f"a fit takes at least 1 evaluation, found {self.max_evaluations}")


DEFAULT_SPEC, DEFAULT_CONTROL = HeadSpec(), FitControl()
