import sys

import numpy as np
import pytest
import torch
from peer_problems import make_problem, measured
from scipy.optimize import minimize
from scipy.special import expit

from evenhand.errors import InputError, MissingExtraError
from evenhand.experiments.methods.fairret import fairret
from evenhand.experiments.methods.logistic import fit_head


def test_no_strength_is_transfer_learning():
    problem, test = make_problem()
    ((_, fitted),) = fairret(["eo"], [0])(problem)
    head = fit_head(problem.train, problem.ridge)
    ours, theirs = fitted.head.logits(test.features), head.logits(test.features)
    assert np.allclose(ours, theirs, atol=0.02)


@pytest.mark.parametrize("criterion", ["eo", "dp", "eopp"])
def test_more_strength_lowers_the_gap(criterion):
    problem, _ = make_problem(n=1800)
    fits = fairret([criterion], [0.001, 0.1, 0.5])(problem)
    gaps = [measured(fitted, problem.train, criterion)[1] for _, fitted in fits]
    assert gaps[2] < 0.5 * gaps[0]
    assert gaps[1] <= gaps[0]
    assert [str(name) for name, _ in fits] == [
        f"{criterion} strength={each}" for each in ("0.001", "0.1", "0.5")
    ]
    assert all(fitted.notes == () for _, fitted in fits)


def test_the_minimum_is_that_of_the_formula():
    problem, _ = make_problem(n=600, unknown=0.2)
    rows, ridge, strength = problem.train, problem.ridge, 0.05
    known = rows.groups.known

    def loss(point):
        z = rows.features @ point[:-1] + point[-1]
        p = expit(z)
        everyone = p[known].mean()
        apart = sum(abs(p[rows.groups.codes == g].mean() / everyone - 1) for g in (0, 1))
        plain = np.logaddexp(0, z).mean() - (z * rows.labels).mean()
        return plain + ridge / 2 * (point[:-1] ** 2).sum() + strength * apart

    ((_, fitted),) = fairret(["dp"], [strength])(problem)
    weight, bias = fitted.head.weight, fitted.head.bias
    ours = loss(np.append(weight[:, 1] - weight[:, 0], bias[1] - bias[0]))
    oracle = minimize(loss, np.zeros(6), method="Powell", options={"xtol": 1e-6, "ftol": 1e-10})
    assert ours < oracle.fun + 1e-5


def test_threads_are_given_back():
    before = torch.get_num_threads()
    fairret(["dp"], [0.1])(make_problem(n=200)[0])
    assert torch.get_num_threads() == before


def test_three_classes_and_a_missing_library_are_refused(monkeypatch):
    with pytest.raises(InputError, match="two classes"):
        fairret()(make_problem(classes=3, n=300)[0])
    monkeypatch.setitem(sys.modules, "fairret.loss", None)
    with pytest.raises(MissingExtraError, match=r"fairret.*evenhand\[baselines\]"):
        fairret()(make_problem(n=300)[0])
