"""Fitting heads in few passes over rows that need not fit in memory.

A sample of the rows that does fit is fitted first, strength after strength: its heads are where the
fits of all rows begin, and its derivatives say how the penalty curves there. From then on every
pass over all rows evaluates every unfinished head, of every strength and fold, in lock step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch

from evenhand.atoms import Part, penalties, stiffness
from evenhand.chunks import release
from evenhand.errors import InputError
from evenhand.forms import Dense, Float64, LowRank, near
from evenhand.head import Head
from evenhand.lockstep import CORRECTIONS, MEMORY_BYTES, Minimum, minimise
from evenhand.streaming import Stream

SAMPLE_ROWS = 50_000
SAMPLE_BYTES = 512 << 20
"""Of the sample's features, at most."""
SAMPLE_EVALUATIONS = 1000
"""Of a fit of the sample, at most."""
ROUGH_ROWS = 8
"""Rows a feature that are enough to precondition the sample's own first fit."""
OUTPUTS = 1024
"""Logits of a row in one pass: more heads than have so many take turns."""

Linear = Dense | LowRank


class Make(Protocol):
    """Makes the form for a sample of the features and the number of a ridge."""

    def __call__(self, sample: torch.Tensor, which: int) -> Linear:
        """The form on (n, d) ``sample``."""
        ...


@dataclass(frozen=True)
class Wanted:
    """One head to fit.

    Attributes:
        part: the rows it is fitted on, by number.
        strength: of the penalty.
        ridge: by number.
    """

    part: int
    strength: float
    ridge: int = 0


@dataclass(frozen=True, eq=False)
class Found:
    """A head fitted in passes.

    Attributes:
        head: in float64.
        minimum: how its fit ended; in the first process also where.
    """

    head: Head
    minimum: Minimum


def fit_in_passes(
    stream: Stream,
    parts: Sequence[Part],
    wanted: Sequence[Wanted],
    make: Make,
    start: Head | None,
    *,
    tolerance: float,
    max_evaluations: int,
    on_fit: Callable[[], None] | None = None,
) -> list[Found]:
    """Fit every head wanted; called in every process that shares the rows, with its own stream.

    The first process drives: it alone holds the sample and takes the steps, so that processes can
    never disagree on them. The others sum what it asks for over their rows.

    Args:
        stream: the rows.
        parts: which of them count, and what is to be even; the first leaves no row out.
        wanted: the heads, those of one ridge in ascending strength.
        make: the form for (a sample of the features, number of the ridge).
        start: the head where the first fit begins.
        tolerance, max_evaluations: of each fit on all rows.
        on_fit: called once a head.

    Raises:
        InputError: a feature is not finite.
    """
    sample = _sample(stream)
    with stream.driven() as driving:
        found: list[Found] = []
        if driving:
            if not np.isfinite(sample.features).all():
                refuse(stream)
            driver = _Driver(stream, parts, tolerance, max_evaluations)
            begun = _on_sample(stream, sample, parts[0], wanted, make, start, tolerance)
            for turn in driver.turns(begun):
                found += driver.fit(wanted[len(found) : len(found) + len(turn)], turn)
                for _ in turn if on_fit else ():
                    on_fit()  # type: ignore[misc]
    return _shared(stream, found)


def refuse(stream: Stream) -> None:
    """Raise an error that counts the rows whose features are not finite, over all processes."""
    stream.require_finite()
    raise InputError("a fit came to numbers that are not finite; give a larger ridge")


@dataclass(frozen=True, eq=False)
class _Begun:
    """Where a fit on all rows begins."""

    form: Linear
    theta: Float64


class _Driver:
    """The first process: it takes the steps."""

    def __init__(
        self, stream: Stream, parts: Sequence[Part], tolerance: float, max_evaluations: int
    ) -> None:
        self.stream, self.parts = stream, parts
        self.tolerance, self.max_evaluations = tolerance, max_evaluations

    def turns(self, begun: Sequence[_Begun]) -> list[Sequence[_Begun]]:
        """The fits in groups that are small enough to go together."""
        each = 2 * begun[0].theta.nbytes
        most = min(OUTPUTS // self.stream.outputs, MEMORY_BYTES // (CORRECTIONS * each))
        step = max(1, most)
        return [begun[first : first + step] for first in range(0, len(begun), step)]

    def fit(self, wanted: Sequence[Wanted], begun: Sequence[_Begun]) -> list[Found]:
        """Some heads in lock step."""
        parts = [self.parts[one.part] for one in wanted]
        strengths = [one.strength for one in wanted]
        forms = [one.form for one in begun]
        starts = [one.theta for one in begun]
        # The first pass tells the penalties' curvature on all rows, and is the first evaluation.
        look = _Look(self.stream, parts, strengths, forms, starts, curved=True)
        for number, begin in enumerate(begun):
            again = look.stiffened(number, begin)
            forms[number], starts[number] = again.form, again.theta
        first: _Look | None = look

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
            Found(form.head(minimum.at), minimum)
            for form, minimum in zip(forms, minima, strict=True)
        ]


class _Look:
    """The objectives of several heads at some points, and their gradients in the weights.

    One pass over the rows, or two where the features are in memory or classes more than two and
    there is a penalty.

    Args:
        curved: the penalties' curvature is wanted too; for two classes.
    """

    def __init__(
        self,
        stream: Stream,
        parts: Sequence[Part],
        strengths: Sequence[float],
        forms: Sequence[Linear],
        thetas: Sequence[Float64],
        curved: bool = False,
    ) -> None:
        self.parts, self.strengths = parts, strengths
        heads = np.stack([f.plain(theta).T for f, theta in zip(forms, thetas, strict=True)])
        folds = [part.fold for part in parts]
        betas = steepnesses(parts, strengths)
        once = not betas or (stream.outputs == 1 and (curved or not stream.held))
        self.sums = sums = stream.sums(heads, folds, betas, whole=once)
        if not (np.isfinite(sums.loss).all() and np.isfinite(sums.slope).all()):
            refuse(stream)
        share = 1 / np.array([part.rows for part in parts], dtype=np.float64)
        self.values = sums.loss * share
        pulled = {beta: np.zeros_like(soft) for beta, soft in sums.soft.items()}
        for number, (part, strength) in enumerate(zip(parts, strengths, strict=True)):
            if strength:
                value, slopes = penalties(part, sums, number, strength)
                self.values[number] += value
                for beta, by_atom in slopes.items():
                    pulled[beta][:, number] = by_atom
        if once:
            self.slope = sums.slope * share[:, None, None]
            for beta, by_atom in pulled.items():
                self.slope[:, 0] += np.einsum("ac,acd->cd", by_atom[:, :, 0], sums.lean[beta])
        else:
            self.slope = stream.gradient(share, pulled)

    def answer(self, number: int, form: Linear, theta: Float64) -> tuple[float, Float64]:
        """One head's objective, and its gradient in the parameters ``theta`` of ``form``."""
        ridge, ridge_slope = form.ridge(theta)
        gradient = form.pull(theta, self.slope[number].T.copy()) + ridge_slope
        return float(self.values[number]) + ridge, gradient

    def stiffened(self, number: int, begun: _Begun) -> _Begun:
        """The same point, preconditioned by how the penalty curves there."""
        part, strength, form = self.parts[number], self.strengths[number], begun.form
        if not (isinstance(form, Dense) and form.outputs == 1 and strength and part.terms):
            return begun
        plain = form.plain(begun.theta)
        form = form.stiffened(stiffness(part, self.sums, number, strength))
        return _Begun(form, form.of_plain(plain))


def evaluate_heads(
    stream: Stream,
    parts: Sequence[Part],
    strengths: Sequence[float],
    forms: Sequence[Linear],
    thetas: Sequence[Float64],
) -> list[tuple[float, Float64]]:
    """The objectives of several heads and their gradients, in one pass or two."""
    look = _Look(stream, parts, strengths, forms, thetas)
    pairs = zip(forms, thetas, strict=True)
    return [look.answer(number, form, theta) for number, (form, theta) in enumerate(pairs)]


def steepnesses(parts: Sequence[Part], strengths: Sequence[float]) -> list[float]:
    """The betas that the penalties in force need."""
    needed = [part.betas() for part, strength in zip(parts, strengths, strict=True) if strength]
    return sorted(set().union(*needed))


def _on_sample(
    stream: Stream,
    sample: Stream,
    part: Part,
    wanted: Sequence[Wanted],
    make: Make,
    start: Head | None,
    tolerance: float,
) -> list[_Begun]:
    """Every head fitted on the sample, each strength from the one before."""
    sizes = np.bincount(sample.atoms, minlength=sample.number + 1)[: sample.number]
    terms = []
    for term, cells in part.terms:
        inside = np.array([sizes[cells == cell].sum() for cell in range(len(term.sizes))])
        terms.append((replace(term, sizes=np.maximum(inside, 1)), cells))
    part = Part(-1, len(sample.labels), tuple(terms))
    known: dict[tuple[int, float], _Begun] = {}
    last: dict[int, _Begun] = {}
    x = torch.as_tensor(np.asarray(sample.features, dtype=sample.dtype))
    for one in wanted:
        key = one.ridge, one.strength
        if key in known:
            continue
        if one.ridge not in last:
            last[one.ridge] = _first(
                sample, x, part, partial(make, which=one.ridge), start, tolerance
            )
        begun = last[one.ridge]
        if one.strength:
            look = _Look(sample, [part], [one.strength], [begun.form], [begun.theta], curved=True)
            begun = look.stiffened(0, begun)
        minimum = _settle(sample, part, one.strength, begun, tolerance)
        last[one.ridge] = known[key] = _Begun(begun.form, minimum.at)
    return [known[one.ridge, one.strength] for one in wanted]


def _first(
    sample: Stream,
    x: torch.Tensor,
    part: Part,
    make: Callable[[torch.Tensor], Linear],
    start: Head | None,
    tolerance: float,
) -> _Begun:
    """Where a path begins: for two classes transfer learning, preconditioned by its Hessian."""
    few = x[:: _rough(x)] if sample.outputs == 1 else x
    form = make(few)
    if not isinstance(form, Dense):
        form = form if few is x else make(x)
        return _Begun(form, form.pack(start))

    def value(at: Float64) -> float:
        return evaluate_heads(sample, [part], [0.0], [form], [at])[0][0]

    theta = near(form, start, value)
    if sample.outputs > 1:
        return _Begun(form, theta)
    at = _settle(sample, part, 0.0, _Begun(form, theta), tolerance).at
    curved = form.curved_at(at, x)
    return _Begun(curved, curved.of_plain(form.plain(at)))


def _rough(x: torch.Tensor) -> int:
    """The step that leaves enough rows to precondition the first fit of all."""
    return max(1, len(x) // (ROUGH_ROWS * x.shape[1]))


def _settle(
    sample: Stream, part: Part, strength: float, begun: _Begun, tolerance: float
) -> Minimum:
    def evaluate(_: list[int], thetas: list[Float64]) -> list[tuple[float, Float64]]:
        return evaluate_heads(sample, [part], [strength], [begun.form], thetas)

    return minimise(
        [begun.theta],
        evaluate,
        tolerance=tolerance,
        max_evaluations=SAMPLE_EVALUATIONS,
        preconditioned=True,
    )[0]


def _sample(stream: Stream) -> Stream:
    """Evenly spaced rows of all processes, as many as fit in memory; in every process."""
    stream.passes += 1
    world = stream.world
    total = int(world.sum(np.array([len(stream.labels)]))[0])
    most = min(SAMPLE_ROWS, max(1, SAMPLE_BYTES // (4 * stream.width)))
    step = max(1, -(-total // most))
    own = np.arange(0, len(stream.labels), step)
    read = [np.zeros((0, stream.width), dtype=stream.features.dtype)]
    for span in stream.chunks():
        inside = stream.features[span]
        read.append(
            np.array(inside[-span.start % step :: step])
        )  # a copy: a view would stay mapped
        release(inside)

    def gathered(values: Any) -> Any:
        return np.concatenate(world.gather(values))

    return Stream(
        gathered(np.concatenate(read)),
        gathered(stream.labels[own]),
        max(2, stream.outputs),
        atoms=gathered(stream.atoms[own]),
        number=stream.number,
        weights=None if stream.weights is None else gathered(np.asarray(stream.weights)[own]),
        dtype=stream.dtype,
    )


def _shared(stream: Stream, found: Sequence[Found]) -> list[Found]:
    """What the first process found, in every process."""
    world = stream.world
    if world.size == 1:
        return list(found)

    def stacked(values: Callable[[Found], Any]) -> Any:
        return world.broadcast(np.stack([values(f) for f in found]) if world.first else None)

    def ends(one: Found) -> Float64:
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
            Found(
                head,
                Minimum(np.zeros(0), value, int(evaluations), steepest, left, bool(ran_out)),
            )
        )
    return shared
