import numpy as np
import pytest

from evenhand.errors import InputError
from evenhand.head import Head

HEAD = Head(np.array([[1.0, -1.0], [0.0, 2.0], [3.0, 0.5]]), np.array([0.1, -0.2]))
X = np.random.default_rng(0).normal(size=(40, 3))


def test_logits_and_decisions():
    np.testing.assert_allclose(HEAD.logits(X), X @ HEAD.weight + HEAD.bias)
    assert np.array_equal(HEAD.predict(X), HEAD.logits(X).argmax(axis=1))


def test_an_offset_moves_the_log_odds_only():
    margin = np.diff(HEAD.logits(X), axis=1)
    np.testing.assert_allclose(np.diff(HEAD.shifted(0.7).logits(X), axis=1), margin + 0.7)
    with pytest.raises(InputError, match="two classes, this head has 3"):
        Head(np.zeros((2, 3)), np.zeros(3)).shifted(1.0)


def test_parameters_that_train():
    assert HEAD.trainable_parameters == 8
    low = Head(np.zeros((20, 6)), np.zeros(6), (np.zeros((20, 2)), np.zeros((2, 6))))
    assert low.trainable_parameters == 2 * 26 + 6
    assert low.shifted if low.out_features == 2 else True


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(InputError, match=r"found \(3, 2\) and \(3,\)"):
        Head(np.zeros((3, 2)), np.zeros(3))
    with pytest.raises(InputError, match=r"\(N, 3\), found \(4, 2\)"):
        HEAD.logits(np.zeros((4, 2)))
    with pytest.raises(InputError, match=r"\(N, 3\), found \(3,\)"):
        HEAD.logits(np.zeros(3))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_head_holds_numbers_only(bad):
    with pytest.raises(InputError, match=r"weight of shape \(3, 2\) holds NaN or infinity in 1 pl"):
        Head(np.array([[0, 0], [0, bad], [0, 0]]), np.zeros(2))
    with pytest.raises(InputError, match=r"bias of shape \(2,\) holds NaN or infinity in 2 places"):
        Head(np.zeros((3, 2)), np.array([bad, bad]))
