"""One evaluation of many heads at once: a pass over the rows, values and gradients out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evenhand._base.arrays import Float64
from evenhand.errors import InputError
from evenhand.heads.parametrization import Dense, LowRank
from evenhand.heads.streaming.atomic_cells import Part, penalties, stiffness
from evenhand.heads.streaming.stream import Stream

Linear = Dense | LowRank


def refuse(stream: Stream) -> None:
    """Raise an error that counts the rows whose features are not finite, over all processes.

    Raises:
        InputError: always.
    """
    stream.require_finite()
    raise InputError("a fit came to numbers that are not finite; give a larger ridge")


@dataclass(frozen=True, eq=False)
class Begun:
    """Where a fit on all rows begins."""

    form: Linear
    theta: Float64


class Evaluation:
    """The objectives of several heads at some points, and their gradients in the weights.

    One pass over the rows, or two where reading them again is cheap or classes more than two and
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
        once = not betas or (stream.outputs == 1 and (curved or not stream.engine.rereads))
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
        gradient = form.gradient_from_weights(theta, self.slope[number].T.copy()) + ridge_slope
        return float(self.values[number]) + ridge, gradient

    def with_penalty_curvature(self, number: int, begun: Begun) -> Begun:
        """The same point, preconditioned by how the penalty curves there."""
        part, strength, form = self.parts[number], self.strengths[number], begun.form
        if not (isinstance(form, Dense) and form.outputs == 1 and strength and part.terms):
            return begun
        plain = form.plain(begun.theta)
        form = form.with_penalty_curvature(stiffness(part, self.sums, number, strength))
        return Begun(form, form.from_weights(plain))


def evaluate_heads(
    stream: Stream,
    parts: Sequence[Part],
    strengths: Sequence[float],
    forms: Sequence[Linear],
    thetas: Sequence[Float64],
) -> list[tuple[float, Float64]]:
    """The objectives of several heads and their gradients, in one pass or two."""
    look = Evaluation(stream, parts, strengths, forms, thetas)
    pairs = zip(forms, thetas, strict=True)
    return [look.answer(number, form, theta) for number, (form, theta) in enumerate(pairs)]


def steepnesses(parts: Sequence[Part], strengths: Sequence[float]) -> list[float]:
    """The betas that the penalties in force need."""
    needed = [part.betas() for part, strength in zip(parts, strengths, strict=True) if strength]
    return sorted(set().union(*needed))
