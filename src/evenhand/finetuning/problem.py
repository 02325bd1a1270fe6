"""What a method is given, and what it gives back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from evenhand._base.arrays import FloatArray, IntArray
from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.fisher.head_fisher import head_fisher
from evenhand.fisher.sums import GroupFisher
from evenhand.groups import Groups
from evenhand.head import Head
from evenhand.heads.fit import fit_path
from evenhand.heads.head_fit import HeadFit
from evenhand.heads.selection.candidates import Candidates
from evenhand.heads.selection.crossfit import crossfit
from evenhand.heads.selection.ridge import choose_ridge
from evenhand.heads.spec import FitControl, HeadSpec
from evenhand.rows import Rows


@dataclass(frozen=True, eq=False)
class Problem:
    """One fine-tuning problem: a pre-trained model, and the new task's rows as features.

    Attributes:
        train: the rows to fit on.
        valid: the rows to choose knobs on; test rows are never here.
        head: the head the pre-trained model came with, or one fitted on ``train`` for a new
            label space.
        seed: every random choice of a method comes from it.
        network: the whole pre-trained model and the rows as its inputs, for methods that move
            more than the head; None where only features are at hand.
        fresh: the label space is new, so that ``head`` is transfer learning's own start and no
            model from before can be compared with.
        intercept: the model's head has a bias. One without stays without: the model's library would
            drop a bias when it loads the model again.
        known_ridge: the head's ridge, where it was chosen before; None: it is chosen when needed.
        deep_features: (N, D) of the train and of the valid rows, what a head reads that reads
            several depths of the model, its own features first; None where no depth is read.
    """

    train: Rows
    valid: Rows
    head: Head
    seed: int = 0
    network: Network | None = None
    fresh: bool = False
    intercept: bool = True
    known_ridge: float | None = None
    deep_features: tuple[FloatArray, FloatArray] | None = None
    _paths: dict[Criterion, tuple[Candidates, float]] = field(
        default_factory=dict, init=False, repr=False
    )

    @cached_property
    def development(self) -> Rows:
        """The train rows followed by the valid rows: what cross-fitting uses."""
        return self.train + self.valid

    @cached_property
    def deep(self) -> Problem | None:
        """The same problem with the features of several depths; None where none is read."""
        if self.deep_features is None:
            return None
        return replace(self.on(*self.deep_features), intercept=True)

    def on(self, train: FloatArray, valid: FloatArray) -> Problem:
        """The same problem on other features, which begin with what its head reads."""
        return replace(
            self,
            train=self.train.with_features(train),
            valid=self.valid.with_features(valid),
            head=self.head.padded(train.shape[1]),
            network=None,
            known_ridge=None,
            deep_features=None,
        )

    @cached_property
    def ridge(self) -> float:
        """The head's ridge, chosen once by cross-validated log-loss on the development rows."""
        if self.known_ridge is not None:
            return self.known_ridge
        return choose_ridge(self.development, control=FitControl(start=self.head, seed=self.seed))

    @cached_property
    def dense(self) -> HeadFit:
        """Transfer learning's fit: the dense head on the train rows, without any penalty."""
        return fit_path(
            self.train,
            HeadSpec(ridge=self.ridge, intercept=self.intercept),
            control=FitControl(start=self.head),
        )[0]

    def path(self, criterion: Criterion) -> Candidates:
        """The cross-fitted path that evens out ``criterion``, fitted once for all who read it."""
        if criterion not in self._paths:
            began = time.perf_counter()
            candidates = crossfit(
                self.development,
                HeadSpec(ridge=self.ridge, intercept=self.intercept),
                criterion,
                control=FitControl(start=self.head, seed=self.seed),
            )
            self._paths[criterion] = candidates, time.perf_counter() - began
        return self._paths[criterion][0]

    def path_seconds(self, criterion: Criterion) -> float:
        """What fitting that path took, for all who read it to count; 0 where nobody has yet."""
        return self._paths[criterion][1] if criterion in self._paths else 0.0

    @cached_property
    def fisher(self) -> GroupFisher:
        """The head's group Fisher on the train rows, with the Kronecker factors."""
        return head_fisher(self.train, self.head, kronecker=True)


@dataclass(frozen=True, eq=False)
class Network:
    """The whole model, and what it reads.

    Attributes:
        model: a ``torch.nn.Module`` whose ``head`` is the last linear layer; never changed.
        train, valid: (N, inputs) what the model reads for the problem's rows.
    """

    model: Any
    train: FloatArray
    valid: FloatArray


@dataclass(frozen=True, eq=False)
class Queries:
    """What a fitted method may read to predict; the groups only if it says so."""

    features: FloatArray
    inputs: FloatArray | None = None
    groups: Groups | None = None
    deep: FloatArray | None = None
    trained: FloatArray | None = None


Predict = Callable[[Queries], npt.NDArray[np.floating[Any]]]
"""(N, K) class probabilities or scores; the prediction is the largest.

A randomised classifier returns its expected probabilities of *deciding* each class and sets
``Fitted.randomised``."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """A method fitted at one setting.

    Attributes:
        predict: scores of new rows.
        trainable_parameters: how many numbers the fit was free to move.
        head: the linear head, where the method is one on the problem's features.
        randomised: the scores are probabilities of deciding, to be scored by expectation.
        needs_group: the group must be known when predicting.
        notes: what a reader of the numbers should know (unconverged, not promised, …).
        gives_logits: the scores are logits, though not of one head.
        shared_seconds: of work done before, which this fit needed too.
    """

    predict: Predict
    trainable_parameters: int
    head: Head | None = None
    randomised: bool = False
    needs_group: bool = False
    notes: tuple[str, ...] = ()
    gives_logits: bool = False
    shared_seconds: float = 0.0


def fitted_head(head: Head, trainable: int | None = None, **more: Any) -> Fitted:
    """A fitted linear head as a ``Fitted``."""

    def predict(queries: Queries) -> npt.NDArray[np.floating[Any]]:
        return head.logits(queries.features)

    return Fitted(
        predict, head.trainable_parameters if trainable is None else trainable, head, **more
    )


NONE_READ = {
    "deep": "a deep head reads several depths of the model, and there are none",
    "trained": "this head reads a model that was trained below it, and there is none",
}
"""What is said where rows lack the features, other than its model's own, that a head reads."""


def fitted_on(reading: str, head: Head, trainable: int, **more: Any) -> Fitted:
    """A fitted linear head on other features than its model's own as a ``Fitted``.

    Args:
        reading: which: ``"deep"`` or ``"trained"``, as :class:`Queries` calls them.
        head: on those features.
        trainable: how many numbers the fit was free to move.
        more: of the ``Fitted``.
    """

    def predict(queries: Queries) -> npt.NDArray[np.floating[Any]]:
        features: FloatArray | None = getattr(queries, reading)
        if features is None:
            raise InputError(NONE_READ[reading])
        return head.logits(features)

    return Fitted(predict, trainable, gives_logits=True, **more)


def decide(scores: npt.NDArray[np.floating[Any]]) -> IntArray:
    """(N,) the class of the largest score.

    Raises:
        InputError: a score is not a number.
    """
    if np.isnan(scores).any():
        raise InputError(f"{int(np.isnan(scores).any(axis=1).sum())} rows have scores of NaN")
    return scores.argmax(axis=1).astype(np.int64)
