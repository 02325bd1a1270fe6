from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

from evenhand.heads.lbfgs import minimise


def test_every_problem_is_solved_and_all_wait_for_each_other():
    targets = [np.full(3, float(i)) for i in range(5)]
    batches = []

    def evaluate(which, points):
        batches.append(list(which))
        return [
            (float(((at - targets[i]) ** 4).sum()), 4 * (at - targets[i]) ** 3)
            for i, at in zip(which, points, strict=True)
        ]

    found = minimise([np.zeros(3)] * 5, evaluate, tolerance=1e-9, max_evaluations=500)
    for one, target in zip(found, targets, strict=True):
        np.testing.assert_allclose(one.at, target, atol=1e-2)
        assert one.converged(1e-9)
    assert batches[0] == [0, 1, 2, 3, 4]
    assert len(batches) == max(one.evaluations for one in found)
    assert all(set(later) <= set(earlier) for earlier, later in pairwise(batches))


@pytest.mark.parametrize("preconditioned", [False, True])
def test_the_end_is_that_of_one_alone(preconditioned):
    starts = [np.array([-1.0, 2.0, 0.5]), np.array([2.0, 0.0, 1.0])]

    def evaluate(which, points):
        return [(float(rosen(at)), rosen_der(at)) for at in points]

    options = {"tolerance": 1e-8, "max_evaluations": 500, "preconditioned": preconditioned}
    for start, one in zip(starts, minimise(starts, evaluate, **options), strict=True):
        alone = minimise([start], evaluate, **options)[0]
        np.testing.assert_array_equal(one.at, alone.at)
        np.testing.assert_allclose(one.at, 1, atol=1e-6)
        assert one.evaluations == alone.evaluations


def test_evaluations_run_out():
    found = minimise(
        [np.array([-1.0, 2.0])],
        lambda which, points: [(float(rosen(points[0])), rosen_der(points[0]))],
        tolerance=1e-9,
        max_evaluations=5,
    )[0]
    assert found.ran_out
    assert not found.converged(1e-9)


def test_an_error_ends_them_all():
    def evaluate(which, points):
        if len(which) < 3:
            raise ZeroDivisionError
        return [(float((at**2).sum() * (i + 1)), 2 * at * (i + 1)) for i, at in enumerate(points)]

    starts = [np.zeros(2), np.ones(2), np.ones(2)]
    with pytest.raises(ZeroDivisionError):
        minimise(starts, evaluate, tolerance=1e-9, max_evaluations=500)
