"""Fitting heads in few passes over rows that need not fit in memory.

A sample of the rows that does fit is fitted first, strength after strength: its heads are where the
fits of all rows begin, and its derivatives say how the penalty curves there. From then on every
pass over all rows evaluates every unfinished head, of every strength and fold, in lock step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from evenhand._base.arrays import Float64
from evenhand.head import Head
from evenhand.heads.lbfgs import CORRECTIONS, MEMORY_BYTES, Minimum, minimise
from evenhand.heads.spec import FitControl
from evenhand.heads.streaming.atomic_cells import Part
from evenhand.heads.streaming.evaluation import Begun, Evaluation, evaluate_heads, refuse
from evenhand.heads.streaming.fit_requests import FitOutcome, FitRequest
from evenhand.heads.streaming.sample import Make, sample_of, start_on_sample
from evenhand.heads.streaming.stream import Stream

OUTPUTS = 1024
"""Logits of a row in one pass: more heads than have so many take turns."""


def fit_in_passes(
    stream: Stream,
    parts: Sequence[Part],
    requests: Sequence[FitRequest],
    make: Make,
    tolerance: float,
    control: FitControl,
) -> list[FitOutcome]:
    """Fit every head requested; called in every process that shares the rows, with its own stream.

    The first process drives: it alone holds the sample and takes the steps, so that processes can
    never disagree on them. The others sum what it asks for over their rows.

    Args:
        stream: the rows.
        parts: which of them count, and what is to be even; the first leaves no row out.
        requests: the heads, those of one ridge in ascending strength.
        make: the form for (a sample of the features, number of the ridge).
        tolerance: of each fit on all rows.
        control: where the first fit begins, when fits on all rows stop, what is called once a head.

    Raises:
        InputError: a feature is not finite.
    """  # noqa: DOC502
    sample = sample_of(stream)
    with stream.driven() as driving:
        outcomes: list[FitOutcome] = []
        if driving:
            if not np.isfinite(sample.rows.features).all():
                refuse(stream)
            driver = _Driver(stream, parts, tolerance, control.max_evaluations)
            begun = start_on_sample(sample, parts[0], requests, make, control.start, tolerance)
            for turn in driver.turns(begun):
                done = len(outcomes)
                outcomes += driver.fit(requests[done : done + len(turn)], turn)
                for _ in turn:
                    if control.on_fit:
                        control.on_fit()
    return _shared(stream, outcomes)


class _Driver:
    """The first process: it takes the steps."""

    def __init__(
        self, stream: Stream, parts: Sequence[Part], tolerance: float, max_evaluations: int
    ) -> None:
        self.stream, self.parts = stream, parts
        self.tolerance, self.max_evaluations = tolerance, max_evaluations

    def turns(self, begun: Sequence[Begun]) -> list[Sequence[Begun]]:
        """The fits in groups that are small enough to go together."""
        each = 2 * begun[0].theta.nbytes
        most = min(OUTPUTS // self.stream.outputs, MEMORY_BYTES // (CORRECTIONS * each))
        step = max(1, most)
        return [begun[first : first + step] for first in range(0, len(begun), step)]

    def fit(self, requests: Sequence[FitRequest], begun: Sequence[Begun]) -> list[FitOutcome]:
        """Some heads in lock step."""
        parts = [self.parts[request.part] for request in requests]
        strengths = [request.strength for request in requests]
        forms = [one.form for one in begun]
        starts = [one.theta for one in begun]
        # The first pass tells the penalties' curvature on all rows, and is the first evaluation.
        look = Evaluation(self.stream, parts, strengths, forms, starts, curved=True)
        for number, begin in enumerate(begun):
            again = look.with_penalty_curvature(number, begin)
            forms[number], starts[number] = again.form, again.theta
        first: Evaluation | None = look

        def evaluate(which: list[int], thetas: list[Float64]) -> list[tuple[float, Float64]]:
            nonlocal first
            if first is not None:
                seen, first = first, None
                return [seen.answer(number, forms[number], starts[number]) for number in which]
            return evaluate_heads(
                self.stream,
                [parts[number] for number in which],
                [strengths[number] for number in which],
                [forms[number] for number in which],
                thetas,
            )

        minima = minimise(
            starts,
            evaluate,
            tolerance=self.tolerance,
            max_evaluations=self.max_evaluations,
            preconditioned=True,
        )
        return [
            FitOutcome(form.head(minimum.at), minimum)
            for form, minimum in zip(forms, minima, strict=True)
        ]


def _shared(stream: Stream, found: Sequence[FitOutcome]) -> list[FitOutcome]:
    """What the first process found, in every process."""
    world = stream.world
    if world.size == 1:
        return list(found)

    def stacked(values: Callable[[FitOutcome], Any]) -> Any:
        return world.broadcast(np.stack([values(f) for f in found]) if world.first else None)

    def ends(one: FitOutcome) -> Float64:
        end = one.minimum
        return np.array([end.value, end.evaluations, end.steepest, end.left, end.ran_out])

    weight, bias = stacked(lambda f: f.head.weight), stacked(lambda f: f.head.bias)
    numbers = stacked(ends)
    low = bool(world.broadcast(np.array([bool(found) and found[0].head.factors is not None]))[0])
    factors: list[Any] = [None] * len(numbers)
    if low:
        downs = stacked(lambda f: f.head.factors[0] if f.head.factors else None)
        ups = stacked(lambda f: f.head.factors[1] if f.head.factors else None)
        factors = list(zip(downs, ups, strict=True))
    shared = []
    for number, (value, evaluations, steepest, left, ran_out) in enumerate(numbers):
        head = Head(weight[number], bias[number], factors[number])
        shared.append(
            FitOutcome(
                head,
                Minimum(np.zeros(0), value, int(evaluations), steepest, left, bool(ran_out)),
            )
        )
    return shared
