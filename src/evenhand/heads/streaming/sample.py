"""Where the passes begin: heads fitted on a sample of the rows that fits in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import numpy as np

from evenhand._base.arrays import Float64, FloatArray, release
from evenhand.head import Head
from evenhand.heads.lbfgs import Minimum, minimise
from evenhand.heads.parametrization import Dense, start_or_zero
from evenhand.heads.streaming.atomic_cells import Part
from evenhand.heads.streaming.evaluation import Begun, Evaluation, Linear, evaluate_heads
from evenhand.heads.streaming.fit_requests import FitRequest
from evenhand.heads.streaming.row_arrays import RowArrays
from evenhand.heads.streaming.stream import Stream

SAMPLE_ROWS = 50_000


SAMPLE_BYTES = 512 << 20
"""Of the sample's features, at most."""


SAMPLE_EVALUATIONS = 1000
"""Of a fit of the sample, at most."""


ROUGH_ROWS = 8
"""Rows a feature that are enough to precondition the sample's own first fit."""


class Make(Protocol):
    """Makes the form for a sample of the features and the number of a ridge."""

    def __call__(self, sample: FloatArray, which: int) -> Linear:
        """The form on (n, d) ``sample``."""
        ...


def start_on_sample(
    sample: Stream,
    part: Part,
    requests: Sequence[FitRequest],
    make: Make,
    start: Head | None,
    tolerance: float,
) -> list[Begun]:
    """Every head fitted on the sample, each strength from the one before."""
    rows = sample.rows
    sizes = np.bincount(rows.atoms, rows.masses, rows.number + 1)[: rows.number]
    terms = []
    for term, cells in part.terms:
        inside = np.array([sizes[cells == cell].sum() for cell in range(len(term.sizes))])
        terms.append((replace(term, sizes=np.where(inside > 0, inside, 1.0)), cells))
    total = len(rows) if rows.masses is None else float(rows.masses.sum())
    part = Part(-1, total, tuple(terms))
    known: dict[tuple[int, float], Begun] = {}
    last: dict[int, Begun] = {}
    x = np.asarray(rows.features, dtype=rows.dtype)
    for one in requests:
        key = one.ridge, one.strength
        if key in known:
            continue
        if one.ridge not in last:
            last[one.ridge] = _first(
                sample, x, part, partial(make, which=one.ridge), start, tolerance
            )
        begun = last[one.ridge]
        if one.strength:
            look = Evaluation(
                sample, [part], [one.strength], [begun.form], [begun.theta], curved=True
            )
            begun = look.with_penalty_curvature(0, begun)
        minimum = _settle(sample, part, one.strength, begun, tolerance)
        last[one.ridge] = known[key] = Begun(begun.form, minimum.at)
    return [known[one.ridge, one.strength] for one in requests]


def _first(
    sample: Stream,
    x: FloatArray,
    part: Part,
    make: Callable[[FloatArray], Linear],
    start: Head | None,
    tolerance: float,
) -> Begun:
    """Where a path begins: for two classes transfer learning, preconditioned by its Hessian."""
    few = x[:: _rough(x)] if sample.outputs == 1 else x
    form = make(few)
    if not isinstance(form, Dense):
        form = form if few is x else make(x)
        return Begun(form, form.pack(start))

    def value(at: Float64) -> float:
        return evaluate_heads(sample, [part], [0.0], [form], [at])[0][0]

    theta = start_or_zero(form, start, value)
    if sample.outputs > 1:
        return Begun(form, theta)
    at = _settle(sample, part, 0.0, Begun(form, theta), tolerance).at
    curved = form.with_hessian(at, x)
    return Begun(curved, curved.from_weights(form.plain(at)))


def _rough(x: FloatArray) -> int:
    """The step that leaves enough rows to precondition the first fit of all."""
    return max(1, len(x) // (ROUGH_ROWS * x.shape[1]))


def _settle(sample: Stream, part: Part, strength: float, begun: Begun, tolerance: float) -> Minimum:
    def evaluate(_: list[int], thetas: list[Float64]) -> list[tuple[float, Float64]]:
        return evaluate_heads(sample, [part], [strength], [begun.form], thetas)

    return minimise(
        [begun.theta],
        evaluate,
        tolerance=tolerance,
        max_evaluations=SAMPLE_EVALUATIONS,
        preconditioned=True,
    )[0]


def sample_of(stream: Stream) -> Stream:
    """Evenly spaced rows of all processes, as many as fit in memory; in every process."""
    stream.passes += 1
    world, rows = stream.world, stream.rows
    total = int(world.sum(np.array([len(rows)]))[0])
    most = min(SAMPLE_ROWS, max(1, SAMPLE_BYTES // (4 * rows.width)))
    step = max(1, -(-total // most))
    own = np.arange(0, len(rows), step)
    read = [np.zeros((0, rows.width), dtype=rows.features.dtype)]
    for span in rows.chunks():
        inside = rows.features[span]
        read.append(
            np.array(inside[-span.start % step :: step])
        )  # a copy: a view would stay mapped
        release(inside)

    def gathered(values: Any) -> Any:
        return None if values is None else np.concatenate(world.gather(np.asarray(values)[own]))

    sample = RowArrays(
        np.concatenate(world.gather(np.concatenate(read))),
        gathered(rows.labels),
        gathered(rows.atoms),
        rows.number,
        rows.dtype,
        weights=gathered(rows.weights),
        masses=gathered(rows.masses),
    )
    return Stream(stream.engine.over(sample), max(2, stream.outputs))
