"""Flipped labels are found where they show; people who are hard to predict are no noise."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.special import expit

from evenhand.heads.selection import label_noise
from evenhand.heads.selection.label_noise import flipped_share


def drawn(seed, n=6000, scale=1.5, offset=-0.5, flips=0.0):
    draw = np.random.default_rng(seed)
    z = scale * draw.normal(size=n) * 2 + offset
    labels = draw.random(n) < expit(z)
    return z, np.where(draw.random(n) < flips, ~labels, labels).astype(int)


@pytest.mark.parametrize("flips", [0.1, 0.2, 0.3])
def test_the_share_of_flips_is_found(flips):
    share, chance = flipped_share(*drawn(0, n=20_000, flips=flips))
    assert share == pytest.approx(flips, abs=0.02)
    assert chance < 1e-10


def test_a_model_that_is_twice_as_sure_or_half_is_no_noise():
    z, labels = drawn(1)
    for times in (0.5, 1, 2, -1):
        share, chance = flipped_share(times * z + 1, labels)
        assert chance > 0.01 or share < 0.01
    assert flipped_share(z, labels) == pytest.approx(flipped_share(3 * z, labels), abs=1e-4)


@pytest.mark.parametrize("scale", [0.1, 0.3, 1.0, 2.0])
def test_the_p_value_is_that_of_no_flips(scale):
    """Of 100 calibrated draws about 5 % have p below .05, whatever their accuracy, none .001."""
    found = [flipped_share(*drawn(seed, n=1500, scale=scale))[1] for seed in range(100)]
    assert np.mean(np.array(found) < 0.05) <= 0.1
    assert min(found) > 0.001


def test_the_gradients_are_those_of_the_losses():
    z, labels = drawn(2, n=300, flips=0.1)
    data = z, labels.astype(float), np.ones(300)
    for loss, at in (
        (label_noise._without, [0.7, 0.2]),
        (label_noise._with_flips, [0.7, 0.2, -1.0]),
    ):
        slow = approx_fprime(np.array(at), lambda x, loss=loss: loss(x, *data)[0], 1e-7)
        assert loss(np.array(at), *data)[1] == pytest.approx(slow, rel=1e-4, abs=1e-3)


def test_bins_change_little():
    z, labels = drawn(3, flips=0.15)
    exact = flipped_share(z, labels, bins=len(z))
    assert flipped_share(z, labels)[0] == pytest.approx(exact[0], abs=0.005)


def test_nothing_to_tell_it_by_is_no_noise():
    assert flipped_share(np.zeros(50), np.arange(50) % 2) == (0.0, 1.0)
    assert flipped_share(np.arange(50.0), np.zeros(50)) == (0.0, 1.0)
    share, chance = flipped_share(np.arange(4.0), np.array([0, 0, 1, 1]))
    assert share < 0.01 or chance > 0.1
