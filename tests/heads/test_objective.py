"""The log-loss part; the gaps' part is tested with the formula in test_gaps."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evenhand.heads.objective import Objective


@given(st.integers(0, 1000), st.integers(2, 5), st.booleans())
def test_log_loss_and_its_gradient(seed, classes, weighted):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, 30)
    weights = rng.uniform(0, 2, 30) if weighted else None
    logits = torch.tensor(5 * rng.normal(size=(30, classes)), requires_grad=True)
    value, gradient = Objective(labels, weights=weights)(logits.detach().numpy(), 0.0)
    losses = torch.nn.functional.cross_entropy(logits, torch.tensor(labels), reduction="none")
    expected = (losses if weights is None else losses * torch.tensor(weights)).mean()
    expected.backward()
    assert value == pytest.approx(float(expected.detach()), abs=1e-12)
    np.testing.assert_allclose(gradient, logits.grad, atol=1e-14, rtol=0)


@given(st.integers(0, 1000))
def test_one_logit_is_the_log_odds(seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, 30)
    z = 5 * rng.normal(size=(30, 1))
    one, slope = Objective(labels)(z, 0.0)
    two, slopes = Objective(labels)(np.hstack([np.zeros_like(z), z]), 0.0)
    assert one == pytest.approx(two, abs=1e-12)
    np.testing.assert_allclose(slope[:, 0], slopes[:, 1], atol=1e-15, rtol=0)


def test_huge_logits_stay_finite():
    labels = np.array([0, 1])
    for logits in (np.array([[1e4], [-1e4]]), np.array([[-1e4, 1e4], [1e4, -1e4]])):
        value, gradient = Objective(labels)(logits, 0.0)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()
