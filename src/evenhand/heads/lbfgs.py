"""Several minimisations in lock step, so that one pass over the data serves them all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread
from typing import Any

import numpy as np
import scipy.optimize

from evenhand._base.arrays import Float64

CORRECTIONS = 20
"""Points and gradients L-BFGS remembers where there is room."""


MEMORY_BYTES = 512 << 20
"""Of those points and gradients."""


TRIES, FEW_TRIES = 20, 5
"""Points a line search tries, at most; few where the first is good, so that only rounding can fail
it, and each is a pass over the data."""


NEGLIGIBLE = 1e-6
"""A fit that rounding keeps from its tolerance has converged where no more than this is left of the
objective, in nats, by the solver's own model of its curvature (within a factor of 100 of what is
left in truth: an error in the fourth decimal of the log-loss at the very worst)."""


Evaluate = Callable[[list[int], list[Float64]], list[tuple[float, Float64]]]
"""Values and gradients of the problems numbered, each at its own point."""


@dataclass(frozen=True, eq=False)
class Minimum:
    """Where a minimisation ended.

    Attributes:
        at: the point.
        value: of the objective there.
        evaluations: how many times it was evaluated.
        steepest: the largest entry of its gradient there.
        left: what is left to gain, by the solver's own model of the curvature.
        ran_out: whether the evaluations did.
    """

    at: Float64
    value: float
    evaluations: int
    steepest: float
    left: float
    ran_out: bool

    def converged(self, tolerance: float) -> bool:
        """Whether the gradient fell below the tolerance, or rounding ended a fit as good."""
        good = not self.ran_out and 0 <= self.left <= NEGLIGIBLE
        return bool(self.steepest <= tolerance or good)


def minimise(
    starts: Sequence[Float64],
    evaluate: Evaluate,
    *,
    tolerance: float,
    max_evaluations: int,
    preconditioned: bool = False,
    flat: float = 0.0,
) -> list[Minimum]:
    """L-BFGS-B from every start; each call of ``evaluate`` has one point of every unfinished one.

    Args:
        starts: one point for each problem.
        evaluate: see :data:`Evaluate`; called from this thread only.
        tolerance: the largest entry of the gradient at which a problem is solved.
        max_evaluations: of each problem.
        flat: a problem has come to its end, too, where a step lowers its value by no more than
            this; for one with kinks, whose gradient need not vanish.
        preconditioned: the Hessian is near 1, so that the gradient is a good first step. (The
            library's first step is of length 1, which from a good start is far too long.)
    """

    def solve(start: Float64, function: Callable[[Float64], tuple[float, Float64]]) -> Minimum:
        calls, unit = 0, 1.0
        first: tuple[float, Float64] | None = None
        if preconditioned:
            first = function(start)
            unit = float(np.linalg.norm(first[1])) or 1.0

        def counted(at: Float64) -> tuple[float, Float64]:
            nonlocal calls
            calls += 1
            value, gradient = first if first and calls == 1 else function(unit * at)
            return value, unit * gradient

        found = scipy.optimize.minimize(
            counted,
            start / unit,
            jac=True,
            method="L-BFGS-B",
            options={
                "maxcor": corrections_for(start),
                "gtol": unit * tolerance,
                "ftol": flat,
                "maxls": FEW_TRIES if preconditioned else TRIES,
                "maxfun": max_evaluations,
                "maxiter": max_evaluations,
            },
        )
        return Minimum(
            unit * found.x,
            float(found.fun),
            calls,
            float(np.abs(found.jac).max(initial=0)) / unit,
            float(found.jac @ (found.hess_inv @ found.jac)) / 2,
            found.status == 1,
        )

    if len(starts) == 1:
        return [solve(starts[0], lambda at: evaluate([0], [at])[0])]
    return _Parallel(starts, evaluate, solve).run()


def corrections_for(point: Float64) -> int:
    """How many points and gradients of this size L-BFGS may remember."""
    return int(np.clip(MEMORY_BYTES // (2 * point.nbytes + 1), 5, CORRECTIONS))


class _Cancelled(Exception):
    """Off: another problem failed."""


class _Parallel:
    """One thread a problem, each waiting while this one evaluates all their points at once."""

    def __init__(self, starts: Sequence[Float64], evaluate: Evaluate, solve: Any) -> None:
        self.starts, self.evaluate, self.solve = starts, evaluate, solve
        self.asked: SimpleQueue[tuple[int, Any]] = SimpleQueue()
        self.answers: list[SimpleQueue[Any]] = [SimpleQueue() for _ in starts]
        self.found: dict[int, Minimum] = {}

    def run(self) -> list[Minimum]:
        numbers = range(len(self.starts))
        threads = [Thread(target=self._work, args=(number,), daemon=True) for number in numbers]
        for thread in threads:
            thread.start()
        waiting: dict[int, Float64] = {}
        try:
            while len(self.found) < len(self.starts):
                number, said = self.asked.get()
                if isinstance(said, BaseException):
                    raise said
                if isinstance(said, Minimum):
                    self.found[number] = said
                else:
                    waiting[number] = said
                if waiting and len(waiting) + len(self.found) == len(self.starts):
                    order = sorted(waiting)
                    answers = self.evaluate(order, [waiting[number] for number in order])
                    waiting.clear()
                    for number, answer in zip(order, answers, strict=True):
                        self.answers[number].put(answer)
        finally:
            for queue in self.answers:
                queue.put(None)
            for thread in threads:
                thread.join()
        return [self.found[number] for number in numbers]

    def _work(self, number: int) -> None:
        def function(at: Float64) -> tuple[float, Float64]:
            self.asked.put((number, at.copy()))
            answer: tuple[float, Float64] | None = self.answers[number].get()
            if answer is None:
                raise _Cancelled
            return answer

        try:
            self.asked.put((number, self.solve(self.starts[number], function)))
        except _Cancelled:
            return
        except BaseException as error:
            self.asked.put((number, error))
