"""The smallest rank within the tolerance, on rows whose head needs a known one."""

import numpy as np
import pytest

from evenhand.fisher.factorize import compressed_head
from evenhand.groups import Groups
from evenhand.heads.fit import fit_path
from evenhand.heads.selection.rank import choose_rank
from evenhand.heads.spec import HeadSpec
from evenhand.rows import Rows


@pytest.fixture
def of_rank_two():
    """Five classes whose log-odds span two directions."""
    draw = np.random.default_rng(3)
    x = draw.normal(size=(700, 6))
    weight = draw.normal(size=(6, 2)) @ draw.normal(size=(2, 5)) * 2
    labels = (x @ weight + draw.gumbel(size=(700, 5))).argmax(axis=1)
    groups = Groups(draw.integers(0, 2, 700), ("a", "b"))
    return Rows(x, labels, groups, tuple("abcde"))


def test_the_rank_that_the_labels_need_is_found(of_rank_two):
    head = fit_path(of_rank_two, HeadSpec(ridge=1e-3))[0].head
    assert choose_rank(of_rank_two, head, ridge=1e-3, tolerance=2.0) == 2


def test_a_wide_tolerance_takes_rank_one(of_rank_two):
    head = fit_path(of_rank_two, HeadSpec(ridge=1e-3))[0].head
    assert choose_rank(of_rank_two, head, ridge=1e-3, tolerance=100) == 1


def test_compression_is_exact_at_one_less_than_the_classes(of_rank_two):
    head = fit_path(of_rank_two, HeadSpec(ridge=1e-3))[0].head
    low = compressed_head(of_rank_two, head, 4)
    difference = low.logits(of_rank_two.features) - head.logits(of_rank_two.features)
    np.testing.assert_allclose(difference - difference.mean(axis=1, keepdims=True), 0, atol=1e-8)
