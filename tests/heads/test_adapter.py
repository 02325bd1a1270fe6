import numpy as np
import pytest
import torch

from evenhand.errors import InputError
from evenhand.head import Head
from evenhand.heads.adapter import Adapted, Adapter, Hidden
from evenhand.heads.fit import fit_path
from evenhand.heads.gaps import gap_terms
from evenhand.heads.objective import Objective
from evenhand.heads.spec import FitControl, HeadSpec


def head_on(classes):
    rng = np.random.default_rng(3)
    return Head(rng.normal(size=(8, classes)), rng.normal(size=classes))


def relu(layer, x):
    return np.maximum(x @ layer.weight + layer.bias, 0)


@pytest.mark.parametrize("classes", [2, 3])
def test_with_no_change_yet_it_gives_the_heads_logits(make_rows, layer, classes):
    rows = make_rows(n=60, classes=classes)
    head = head_on(classes)
    form = Adapted(rows.features, classes, 0.1, layer, 2, seed=0)
    theta = form.pack(head)
    expected = head.logits(relu(layer, rows.features))
    found = form.logits(theta)
    if classes == 2:
        expected = expected[:, 1:] - expected[:, :1]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert not form.adapter(theta).up.any()
    assert form.adapter(theta).down.any()


@pytest.mark.parametrize("classes", [2, 3])
def test_gradient_is_that_of_autograd(make_rows, layer, classes):
    rows = make_rows(n=80, classes=classes)
    form = Adapted(rows.features, classes, 0.3, layer, 2, seed=0)
    rng = np.random.default_rng(0)
    theta = form.pack(head_on(classes)) + 0.2 * rng.normal(size=sum(form.sizes))
    objective = Objective(rows.labels, gap_terms(rows.labels, rows.groups, rows.classes, "eo"))
    logits = form.logits(theta)
    value, slope = objective(logits, 2.0)
    found = form.gradient(theta, slope) + form.ridge(theta)[1]

    t = torch.tensor(theta, requires_grad=True)
    down, up, weight, bias = torch.split(t, form.sizes)
    factor = torch.tensor(form.factor)
    plain = torch.linalg.solve_triangular(factor.T, down.reshape(5, 2), upper=True)
    change = plain @ up.reshape(2, 8)
    x = torch.tensor(rows.features)
    h = torch.relu(x @ (torch.tensor(layer.weight) + change) + torch.tensor(layer.bias))
    w = weight.reshape(8, -1)
    z = h @ w + bias
    z.backward(torch.tensor(slope), retain_graph=True)
    (0.15 * ((w**2).sum() + (change**2).sum())).backward()
    np.testing.assert_allclose(z.detach(), logits, atol=1e-11, rtol=0)
    np.testing.assert_allclose(found, t.grad.numpy(), atol=1e-11)
    assert np.isfinite(value)


def test_what_is_fitted_is_what_is_used(make_rows, layer):
    rows = make_rows(n=200)
    terms = gap_terms(rows.labels, rows.groups, rows.classes, "eo")
    fits = fit_path(
        rows,
        HeadSpec(ridge=1e-1, rank=2, hidden=layer),
        [0.0, 1.0],
        terms,
        control=FitControl(start=head_on(2)),
    )
    for fit in fits:
        assert fit.adapter is not None
        assert fit.trainable_parameters == 2 * (5 + 8) + 8 * 2 + 2
        merged = fit.adapter.merged
        np.testing.assert_allclose(
            fit.logits(rows.features), fit.head.logits(relu(merged, rows.features)), atol=1e-9
        )
        logits = fit.logits(rows.features)
        objective, _ = Objective(rows.labels, terms)(logits, fit.strength)
        change = fit.adapter.down @ fit.adapter.up
        w = fit.head.weight[:, 1] - fit.head.weight[:, 0]
        ridge = 0.5e-1 * ((w**2).sum() + (change**2).sum())
        assert fit.value == pytest.approx(objective + ridge, abs=1e-9)
    dense = fit_path(
        rows.with_features(relu(layer, rows.features)), HeadSpec(ridge=1e-1), [0.0, 1.0], terms
    )
    for adapted, plain in zip(fits, dense, strict=True):
        assert adapted.value < plain.value + 1e-6


def test_the_seed_decides_the_first_directions(make_rows, layer):
    rows = make_rows(n=60)
    forms = [Adapted(rows.features, 2, 0.1, layer, 1, seed=s) for s in (0, 0, 1)]
    one, same, other = (form.pack(None) for form in forms)
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_bad_input_is_named(make_rows, layer):
    rows = make_rows(n=60)
    x = rows.features
    for rank in (0, 6):
        with pytest.raises(InputError, match=rf"\[1, 5\], found {rank}"):
            Adapted(x, 2, 0.1, layer, rank, seed=0)
    with pytest.raises(InputError, match="reads 5 inputs, found 2"):
        Adapted(x[:, :2], 2, 0.1, layer, 1, seed=0)
    with pytest.raises(InputError, match=r"found \(5, 8\) and \(3,\)"):
        Hidden(np.zeros((5, 8)), np.zeros(3))
    adapter = Adapter(layer, np.zeros((5, 1)), np.zeros((1, 8)))
    assert adapter.trainable_parameters == 13
    np.testing.assert_array_equal(adapter(rows.features), relu(layer, rows.features))
