"""A hidden layer that may move everywhere, held to the weights it has."""

import numpy as np
import pytest
import torch

from evenhand.errors import InputError
from evenhand.head import Head
from evenhand.heads.adapter import Hidden
from evenhand.heads.fit import fit_path
from evenhand.heads.gaps import gap_terms
from evenhand.heads.moved_layer import MOVED_EVALUATIONS, Moved
from evenhand.heads.objective import Objective
from evenhand.heads.spec import FitControl, HeadSpec


def head_on(classes):
    rng = np.random.default_rng(3)
    return Head(rng.normal(size=(8, classes)), rng.normal(size=classes))


@pytest.mark.parametrize("classes", [2, 3])
def test_unmoved_it_gives_the_head_s_logits(make_rows, layer, classes):
    rows = make_rows(n=60, classes=classes)
    head = head_on(classes)
    form = Moved(rows.features, classes, layer, head)
    theta = form.pack(head)
    expected = head.logits(np.maximum(rows.features @ layer.weight + layer.bias, 0))
    if classes == 2:
        expected = expected[:, 1:] - expected[:, :1]
    np.testing.assert_allclose(form.logits(theta), expected, atol=1e-12)
    assert form.ridge(theta)[0] == 0
    again = form.head(theta)
    np.testing.assert_allclose(np.diff(again.weight), np.diff(head.weight), atol=1e-12)


@pytest.mark.parametrize("classes", [2, 3])
def test_value_and_gradient_are_autograd_s_of_the_formula(make_rows, layer, classes):
    rows = make_rows(n=80, classes=classes)
    old = head_on(classes)
    form = Moved(rows.features, classes, layer, old)
    rng = np.random.default_rng(0)
    theta = form.pack(head_on(classes)) + 0.2 * rng.normal(size=sum(form.sizes))
    terms = gap_terms(rows.labels, rows.groups, rows.classes, "eo", beta=1.0)
    value, slope = Objective(rows.labels, terms)(form.logits(theta), 2.0)
    found = form.gradient(theta, slope) + form.ridge(theta)[1]
    merged, head = form.adapter(theta).merged, form.head(theta)

    x = torch.tensor(rows.features)
    v0, c0 = torch.tensor(layer.weight), torch.tensor(layer.bias)
    t = torch.tensor(theta, requires_grad=True)
    u, dc, w, b = torch.split(t, form.sizes)
    gram = x.T @ x / len(x) + 0.01 * torch.eye(5)
    change = torch.linalg.solve_triangular(
        torch.linalg.cholesky(gram).T, u.reshape(5, 8), upper=True
    )
    h = torch.relu(x @ (v0 + change) + c0 + dc)
    w = w.reshape(8, -1)
    z = h @ w + b
    w0 = torch.tensor(old.weight)
    w0 = w0[:, 1:] - w0[:, :1] if classes == 2 else w0
    penalty = 0.05 * (change * (gram @ change)).sum() + 0.05 * (dc**2).sum()
    penalty = penalty + 0.005 * ((w - w0) ** 2).sum()
    assert form.ridge(theta)[0] == pytest.approx(float(penalty.detach()), rel=1e-10)
    z.backward(torch.tensor(slope), retain_graph=True)
    penalty.backward()
    np.testing.assert_allclose(found, t.grad.numpy(), atol=1e-10)
    np.testing.assert_allclose(merged.weight, (v0 + change).detach(), atol=1e-12)
    np.testing.assert_allclose(merged.bias, (c0 + dc).detach(), atol=1e-12)
    logits = head.logits(np.maximum(rows.features @ merged.weight + merged.bias, 0))
    shown = np.diff(logits) if classes == 2 else logits
    np.testing.assert_allclose(shown, z.detach(), atol=1e-10)
    assert np.isfinite(value)


def test_a_path_lowers_the_gap_and_stays_near(make_rows, layer):
    rows = make_rows(n=400)
    terms = gap_terms(rows.labels, rows.groups, rows.classes, "eo", beta=1.0)
    fits = fit_path(
        rows,
        HeadSpec(ridge=1e-3, hidden=layer, full=True, anchor=head_on(2)),
        [0.0, 1.0, 4.0],
        terms,
        control=FitControl(start=head_on(2)),
    )
    objective = Objective(rows.labels, terms)

    def penalty(fit):
        logits = np.diff(fit.logits(rows.features))
        return objective(logits, 1.0)[0] - objective(logits, 0.0)[0]

    assert penalty(fits[0]) > penalty(fits[1]) > penalty(fits[2])
    assert all(fit.evaluations <= MOVED_EVALUATIONS + 20 for fit in fits)
    assert fits[0].trainable_parameters == 5 * 8 + 8 + 8 * 2 + 2


def test_another_width_is_refused(make_rows):
    layer = Hidden(np.zeros((4, 8)), np.zeros(8))
    with pytest.raises(InputError, match="reads 4 inputs, found 5"):
        Moved(make_rows(n=20).features, 2, layer, None)
