"""Each row left out of one fit, against fits without it."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.optimize
import torch
from hypothesis import given
from hypothesis import strategies as st

from evenhand.groups import Groups
from evenhand.heads.adapter import Adapted, Adapter, Hidden
from evenhand.heads.adapter_slopes import AdapterSlopes
from evenhand.heads.gaps import gap_terms
from evenhand.heads.leave_one_out import Cells, left_out_log_odds, second_derivative
from evenhand.heads.objective import Objective
from evenhand.rows import Rows

RIDGE = 1e-2


def some_rows(n, seed=0, groups=2, unknown=0.0):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, groups, n)
    x = rng.normal(size=(n, 5)) + 0.6 * codes[:, None] * np.arange(5) / 5
    odds = x @ rng.normal(size=5) + 0.8 * np.sin(2 * x[:, 0]) - 0.5
    labels = (rng.random(n) < 1 / (1 + np.exp(-odds))).astype(np.int64)
    codes = np.where(rng.random(n) < unknown, -1, codes)
    return Rows(x, labels, Groups(codes, tuple("abc"[:groups])), ("no", "yes"))


def some_slopes(rank=1, seed=0, dead=False):
    rng = np.random.default_rng(seed)
    layer = Hidden(rng.normal(size=(5, 4)), rng.normal(size=4))
    if dead:
        layer.bias[1] = -1e3
    adapter = Adapter(layer, rng.normal(size=(5, rank)), rng.normal(size=(rank, 4)))
    return AdapterSlopes(adapter, rng.normal(size=4), RIDGE)


def flat(slopes):
    adapter = slopes.adapter
    return np.concatenate([adapter.down.ravel(), adapter.up.ravel(), slopes.weight, [0.3]])


def network(slopes, theta, x):
    """(n,) the log-odds in torch, at the flat parameters, and the change D E."""
    rank = slopes.adapter.down.shape[1]
    down, up, weight, bias = torch.split(theta, [5 * rank, 4 * rank, 4, 1])
    change = down.reshape(5, rank) @ up.reshape(rank, 4)
    layer = slopes.adapter.hidden
    hidden = torch.relu(x @ (torch.tensor(layer.weight) + change) + torch.tensor(layer.bias))
    return hidden @ weight + bias, change, weight


@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("dead", [False, True])
def test_the_jacobian_is_autograd_s(rank, dead):
    slopes = some_slopes(rank, dead=dead)
    x = some_rows(40).features
    theta = torch.tensor(flat(slopes))
    expected = torch.func.jacrev(lambda t: network(slopes, t, torch.tensor(x))[0])(theta)
    assert slopes.parameters == len(theta)
    np.testing.assert_allclose(slopes.jacobian(x), expected, atol=1e-12)
    assert slopes.jacobian(x.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("criteria", ["eo", "dp", {"eo": 0.5, "dp": 2.0}])
@pytest.mark.parametrize("rank", [1, 2])
def test_the_second_derivative_is_autograd_s_of_the_log_odds_and_change_made_linear(criteria, rank):
    slopes = some_slopes(rank)
    rows = some_rows(300, groups=3, unknown=0.1)
    x, y = torch.tensor(rows.features), torch.tensor(rows.labels, dtype=torch.float64)
    terms = gap_terms(rows.labels, rows.groups, rows.classes, criteria, beta=2.0)
    at = torch.tensor(flat(slopes))
    z0, change0, weight0 = (part.detach() for part in network(slopes, at, x))
    jacobian = torch.func.jacrev(lambda t: network(slopes, t, x)[0])(at)
    of_change = torch.func.jacrev(lambda t: network(slopes, t, x)[1])(at)

    def objective(step):
        z = z0 + jacobian @ step
        loss = torch.nn.functional.binary_cross_entropy_with_logits(z, y)
        change = change0 + of_change @ step
        first = slopes.adapter.trainable_parameters
        weight = weight0 + step[first:-1]
        value = loss + 0.5 * RIDGE * ((change**2).sum() + (weight**2).sum())
        for term in terms:
            soft = torch.sigmoid(term.beta * z)
            means = torch.stack(
                [soft[torch.tensor(term.cell == c)].mean() for c in range(len(term.sizes))]
            )
            value = value + 1.5 * term.weight * ((torch.tensor(term.contrast) @ means) ** 2).sum()
        return value

    expected = torch.autograd.functional.hessian(objective, torch.zeros_like(at))
    odds = z0.numpy()
    cells = [Cells.of(term, odds) for term in terms]
    found, _ = second_derivative(slopes, rows.features, odds, cells, 1.5)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def fitted(form, objective, strength, theta):
    """The minimum near theta, far beyond what a fit stops at."""

    def function(at):
        value, slope = objective(form.logits(at), strength)
        ridge, by_ridge = form.ridge(at)
        return value + ridge, form.gradient(at, slope) + by_ridge

    options = {"maxcor": 50, "gtol": 1e-9, "ftol": 0, "maxiter": 20_000, "maxfun": 20_000}
    for _ in range(2):  # begun anew where a kink ended the line search
        found = scipy.optimize.minimize(
            function, theta, jac=True, method="L-BFGS-B", options=options
        )
        theta = found.x
    return theta


def parts(rows, layer, criterion):
    form = Adapted(rows.features, 2, RIDGE, layer, 1, seed=0)
    terms = gap_terms(rows.labels, rows.groups, rows.classes, criterion, beta=1.0)
    return form, terms, Objective(rows.labels, terms)


def left_out(layer, criterion, strength, picked=12, n=1_000):
    """How far the log-odds of some rows move when each is left out: by fits, and as is told."""
    rows = some_rows(n)
    form, terms, objective = parts(rows, layer, criterion)
    theta = fitted(form, objective, strength, fitted(form, objective, 0.0, form.pack(None)))
    odds = form.logits(theta)[:, 0]
    weight = np.diff(form.head(theta).weight)[:, 0]
    slopes = AdapterSlopes(form.adapter(theta), weight, RIDGE)
    found = left_out_log_odds(slopes, rows.features, rows.labels, odds, terms, strength)
    assert found is not None
    exact, which = [], np.random.default_rng(1).choice(n, picked, replace=False)
    for row in which:
        kept = rows[np.delete(np.arange(n), row)]
        other, _, without = parts(kept, layer, criterion)
        begin = theta.copy()  # the same D, as this form whitens it
        begin[:5] = other.factor.T @ np.linalg.solve(form.factor.T, theta[:5])
        at = fitted(other, without, strength, begin)
        inputs = other.adapter(at)(rows.features[row : row + 1])
        exact.append(np.diff(other.head(at).logits(inputs))[0, 0])
    return np.array(exact) - odds[which], found[which] - odds[which]


CASES = pytest.mark.parametrize(
    ("criterion", "strength"), [("eo", 0.0), ("eo", 1.0), ("dp", 1.0), ("eo", 4.0)]
)


@CASES
def test_left_out_rows_get_what_a_fit_without_them_gives(layer, criterion, strength):
    smooth = Hidden(layer.weight, np.where(np.arange(8) % 2, 15.0, -30.0))  # no row near a kink
    true, told = left_out(smooth, criterion, strength)
    np.testing.assert_allclose(told, true, atol=0.03 * np.abs(true).max())
    assert np.corrcoef(true, told)[0, 1] > 0.999


@CASES
def test_where_rows_lie_at_kinks_most_are_near(layer, criterion, strength):
    true, told = left_out(layer, criterion, strength)  # a fit may fall over a kink, further away
    assert np.corrcoef(true, told)[0, 1] > 0.9
    assert np.median(np.abs(true - told)) < 0.1 * np.sqrt(np.mean(true**2))


@given(st.integers(0, 1_000), st.integers(60, 200), st.sampled_from([0.0, 0.5]))
def test_a_row_left_out_is_less_sure_of_its_label_where_nothing_is_evened(seed, n, unknown):
    rows = some_rows(n, seed, groups=3, unknown=unknown)
    slopes = some_slopes(seed=seed)
    odds = slopes.jacobian(rows.features)[:, -5:-1] @ slopes.weight
    terms = gap_terms(rows.labels, rows.groups, rows.classes, "eo", beta=1.0)
    found = left_out_log_odds(slopes, rows.features, rows.labels, odds, terms, 0.0)
    assert found is not None
    toward = np.where(rows.labels == 1, 1, -1)
    assert (toward * (found - odds) <= 0).all()


def test_slopes_are_held_for_some_rows_at_a_time(monkeypatch):
    rows = some_rows(500)
    slopes = some_slopes()
    odds = slopes.jacobian(rows.features)[:, -5:-1] @ slopes.weight
    terms = gap_terms(rows.labels, rows.groups, rows.classes, "eo", beta=1.0)
    whole = left_out_log_odds(slopes, rows.features, rows.labels, odds, terms, 0.3)
    monkeypatch.setattr("evenhand.heads.leave_one_out.HELD", 7 * slopes.parameters)
    chunked = left_out_log_odds(slopes, rows.features, rows.labels, odds, terms, 0.3)
    np.testing.assert_allclose(chunked, whole, atol=1e-10)


def test_where_there_is_no_minimum_nothing_is_told():
    rows = some_rows(200)
    slopes = replace(some_slopes(), ridge=0.0)
    odds = np.where(rows.labels == 1, 4.0, 3.0)  # flat in the loss, bent down by the penalty
    terms = gap_terms(rows.labels, rows.groups, rows.classes, "dp", beta=1.0)
    terms = [replace(term, contrast=-term.contrast) for term in terms]
    codes = rows.groups.codes
    odds = np.where(codes == 0, 3.0, -3.0)
    assert left_out_log_odds(slopes, rows.features, rows.labels, odds, terms, 1e6) is None
