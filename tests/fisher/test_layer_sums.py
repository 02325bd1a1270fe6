"""One layer's sums against each sample's gradient, in every precision and for positions."""

import numpy as np
import pytest
import torch
from torch import nn

from evenhand.errors import InputError
from evenhand.fisher import layer_sums
from evenhand.fisher.layer_sums import LayerSums, Members

CODES = ["a", None, "b", "a", "b", "b", -1, "a"]


def numbers(*shape, dtype=torch.float64, seed=0):
    return torch.randn(8, *shape, dtype=torch.float64, generator=torch.manual_seed(seed)).to(dtype)


def sums_of(x, g, diagonal=True, weight=None):
    one = LayerSums(nn.Linear(x.shape[-1], g.shape[-1]), diagonal)
    members = Members(CODES)
    one.count(members)
    one.add(x, g, members, torch.ones(len(x)) if weight is None else weight)
    return one.finish("empirical")


def oracle(x, g, weight=None):
    """(G, in, out) sums of each sample's own gradient squared."""
    x, g = x.double(), g.double()
    squares = [
        (a.reshape(-1, x.shape[-1]).T @ b.reshape(-1, g.shape[-1])) ** 2
        for a, b in zip(x, g, strict=True)
    ]
    weights = torch.ones(len(x)) if weight is None else weight
    total = {"a": 0, "b": 0}
    for code, square, w in zip(CODES, squares, weights, strict=True):
        if code in total:
            total[code] = total[code] + w * square
    return torch.stack(list(total.values())).numpy()


@pytest.mark.parametrize("positions", [(), (3,), (2, 3), (40,)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_sums_are_those_of_each_samples_gradient(positions, dtype):
    x, g = numbers(*positions, 12, dtype=dtype), numbers(*positions, 15, dtype=dtype, seed=1)
    weight = torch.rand(8, generator=torch.manual_seed(2), dtype=torch.float64)
    expected = oracle(x, g, weight)
    tolerance = {"rtol": 1e-12} if dtype == torch.float64 else {"rtol": 1e-4, "atol": 1e-4}
    for diagonal in (True, False):
        found = sums_of(x, g, diagonal, weight)
        assert found.row_sums.dtype == np.float64
        np.testing.assert_allclose(found.row_sums, expected.sum(axis=2), **tolerance)
        if diagonal:
            np.testing.assert_allclose(found.diagonal_sums, expected, **tolerance)
    assert found.group_names == ("a", "b")
    assert found.counts.tolist() == [3, 3]
    assert found.unknown == 2


def test_few_gradients_at_a_time_are_the_same(monkeypatch):
    x, g = numbers(5, 12), numbers(5, 15, seed=1)
    whole = sums_of(x, g)
    monkeypatch.setattr(layer_sums, "GRADIENTS", 200)
    np.testing.assert_allclose(sums_of(x, g).diagonal_sums, whole.diagonal_sums, rtol=1e-12)


@pytest.mark.parametrize("positions", [(), (4,)])
@pytest.mark.parametrize(("small", "large"), [(1e-25, 1.0), (1e-25, 1e25), (1e-12, 1e20)])
def test_squares_that_leave_float32_are_kept(positions, small, large):
    x = (large * numbers(*positions, 6)).float()
    g = (small * numbers(*positions, 5, seed=1)).float()
    np.testing.assert_allclose(sums_of(x, g).diagonal_sums, oracle(x, g), rtol=1e-3)


def test_a_batch_without_known_groups_or_samples_adds_nothing():
    x, g = numbers(6), numbers(5, seed=1)
    one = LayerSums(nn.Linear(6, 5), True)
    for codes in ([None] * 8, []):
        members = Members(codes)
        one.count(members)
        one.add(x[: len(codes)], g[: len(codes)], members, torch.ones(len(codes)))
    found = one.finish("true")
    assert (found.unknown, found.row_sums.shape, found.kind) == (8, (0, 6), "true")


def test_numbers_that_are_not_finite_are_counted():
    x, g = numbers(3, 6), numbers(3, 5, seed=1)
    g[1, 2, 0], g[6, 0, 0] = torch.nan, torch.inf
    with pytest.raises(InputError, match=r"2 of 8 samples of a batch have NaN or infinity"):
        sums_of(x, g)
