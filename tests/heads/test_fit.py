"""Fits against scikit-learn's optimum, cold starts, the dense optimum and finite differences."""

import numpy as np
import pytest
import torch
from scipy.optimize import check_grad
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from evenhand.errors import InputError
from evenhand.fisher.factorize import factorize
from evenhand.groups import Groups
from evenhand.head import Head
from evenhand.heads import head_fit
from evenhand.heads.adapter import Adapted, Hidden
from evenhand.heads.fit import fit_path
from evenhand.heads.gaps import gap_terms
from evenhand.heads.objective import Objective
from evenhand.heads.parametrization import Dense, LowRank
from evenhand.heads.spec import FitControl, HeadSpec
from evenhand.rows import Rows

pytestmark = pytest.mark.filterwarnings("ignore::evenhand.fisher.factorize.NoSavingWarning")
PATH = (0.0, 0.1, 1.0, 10.0)


def terms_of(rows, criteria="eo"):
    return gap_terms(rows.labels, rows.groups, rows.classes, criteria)


def probabilities(fit, rows):
    return softmax(fit.logits(rows.features), axis=1)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("d", [5, 80])
def test_at_strength_zero_it_is_logistic_regression(make_rows, classes, d):
    rows = make_rows(n=1500, d=d, classes=classes)
    ridge = 0.02
    fit = fit_path(rows, HeadSpec(ridge=ridge))[0]
    peer = LogisticRegression(C=1 / (ridge * len(rows)), tol=1e-10, max_iter=10_000)
    peer.fit(rows.features, rows.labels)
    assert fit.converged
    tolerance = 1e-5 if d <= 64 else 1e-3
    assert np.abs(probabilities(fit, rows) - peer.predict_proba(rows.features)).max() < tolerance
    if classes == 2:
        w = fit.head.weight[:, 1] - fit.head.weight[:, 0]
        np.testing.assert_allclose(w, peer.coef_[0], atol=10 * tolerance)


def test_weights_of_rows_are_those_of_logistic_regression(make_rows):
    rows = make_rows(n=800)
    weights = np.random.default_rng(0).uniform(0.2, 2, 800)
    weights /= weights.mean()
    fit = fit_path(rows, HeadSpec(ridge=0.01), weights=weights)[0]
    peer = LogisticRegression(C=1 / (0.01 * 800), tol=1e-10, max_iter=10_000)
    peer.fit(rows.features, rows.labels, sample_weight=weights)
    assert np.abs(probabilities(fit, rows) - peer.predict_proba(rows.features)).max() < 1e-5


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("criterion", ["eo", "dp", "eopp"])
def test_a_warm_path_ends_where_cold_starts_do(make_rows, classes, criterion):
    rows = make_rows(n=900, classes=classes, groups=3, unknown=0.1)
    terms = terms_of(rows, criterion)
    warm = fit_path(rows, HeadSpec(ridge=1e-2), PATH, terms)
    for fit in warm:
        cold = fit_path(rows, HeadSpec(ridge=1e-2), [fit.strength], terms)[0]
        assert fit.converged
        assert cold.converged
        if fit.strength > 1:  # no longer convex: a cold start may end in a worse valley
            assert fit.value < cold.value + 1e-7
            continue
        assert fit.value == pytest.approx(cold.value, abs=1e-7)
        assert np.abs(probabilities(fit, rows) - probabilities(cold, rows)).max() < 1e-3


def test_stronger_means_smaller_soft_gaps_and_more_loss(make_rows):
    rows = make_rows(n=2000)
    objective = Objective(rows.labels, terms_of(rows))
    losses, gaps = [], []
    for fit in fit_path(rows, HeadSpec(ridge=1e-3), PATH, terms_of(rows)):
        logits = fit.head.logits(rows.features)
        losses.append(objective(logits, 0.0)[0])
        gaps.append(objective(logits, 1.0)[0] - losses[-1])
    assert losses == sorted(losses)
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 0.1 * gaps[0]


def test_badly_scaled_features_converge_too(make_rows):
    rows = make_rows(n=800, d=6)
    scaled = rows.with_features(rows.features * np.geomspace(1e-3, 1e4, 6) + 50)
    fit = fit_path(scaled, HeadSpec(ridge=0.0))[0]
    plain = fit_path(rows, HeadSpec(ridge=0.0))[0]
    assert fit.converged
    assert fit.value == pytest.approx(plain.value, abs=1e-5)
    constant = rows.with_features(np.hstack([rows.features, np.zeros((800, 1)), np.ones((800, 1))]))
    assert fit_path(constant, HeadSpec(ridge=1e-4))[0].converged


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_rank_one_of_two_classes_reaches_the_dense_optimum(make_rows, strength):
    rows = make_rows(n=1000)
    terms = terms_of(rows)
    dense = fit_path(rows, HeadSpec(ridge=1e-2), [strength], terms)[0]
    rng = np.random.default_rng(0)
    start = factorize(Head(rng.normal(size=(5, 2)), np.zeros(2)), rank=1).head
    low = fit_path(
        rows, HeadSpec(ridge=1e-2, rank=1), [strength], terms, control=FitControl(start=start)
    )[0]
    assert low.value == pytest.approx(dense.value, abs=1e-6)
    assert np.abs(probabilities(low, rows) - probabilities(dense, rows)).max() < 2e-3
    down, up = low.head.factors
    np.testing.assert_allclose(down @ up, low.head.weight)
    assert low.trainable_parameters == 1 * (5 + 2) + 2
    assert dense.trainable_parameters == 12


def test_full_centred_rank_of_several_classes_reaches_the_dense_optimum(make_rows):
    rows = make_rows(n=1200, classes=4, d=6)
    dense = fit_path(rows, HeadSpec(ridge=1e-2))[0]
    start = factorize(dense.head.__class__(np.eye(6)[:, :4], np.zeros(4)), rank=3).head
    low = fit_path(rows, HeadSpec(ridge=1e-2, rank=3), control=FitControl(start=start))[0]
    assert low.value == pytest.approx(dense.value, abs=1e-5)


@pytest.mark.parametrize("classes", [2, 3])
def test_gradients_of_every_form_are_those_of_finite_differences(make_rows, classes):
    rows = make_rows(n=120, d=4, classes=classes, unknown=0.1)
    x = rows.features
    rng = np.random.default_rng(5)
    hidden = Hidden(rng.normal(size=(4, 6)), rng.normal(size=6))
    objective = Objective(
        rows.labels, gap_terms(rows.labels, rows.groups, rows.classes, {"eo": 1.0, "dp": 2.0})
    )
    forms = {
        "dense": (Dense(x, classes, 0.1), Head(rng.normal(size=(4, classes)), np.zeros(classes))),
        "low rank": (
            LowRank(x, classes, 0.1, 1),
            factorize(Head(rng.normal(size=(4, classes)), np.ones(classes)), rank=1).head,
        ),
        "adapter": (
            Adapted(x, classes, 0.1, hidden, 2, 0),
            Head(rng.normal(size=(6, classes)), np.zeros(classes)),
        ),
    }
    for name, (form, start) in forms.items():
        theta = form.pack(start)
        theta = theta + 0.1 * rng.normal(size=theta.shape)

        def value(at, form=form):
            return objective(form.logits(at), 1.5)[0] + form.ridge(at)[0]

        def gradient(at, form=form):
            slope = objective(form.logits(at), 1.5)[1]
            return form.gradient(at, slope) + form.ridge(at)[1]

        error = check_grad(value, gradient, theta, epsilon=1e-7)
        assert error < 1e-5 * max(1, np.linalg.norm(gradient(theta))), name


@pytest.mark.parametrize("classes", [2, 3])
def test_packing_a_head_and_unpacking_it_gives_its_logits(make_rows, classes):
    rows = make_rows(n=50, d=4, classes=classes)
    x = rows.features
    rng = np.random.default_rng(0)
    head = Head(rng.normal(size=(4, classes)), rng.normal(size=classes))
    low = factorize(head, rank=2).head
    for form, start in ((Dense(x, classes, 0.1), head), (LowRank(x, classes, 0.1, 2), low)):
        back = form.head(form.pack(start))
        np.testing.assert_allclose(
            softmax(back.logits(rows.features), axis=1),
            softmax(start.logits(rows.features), axis=1),
            atol=1e-10,
        )


def test_the_caller_keeps_its_threads(make_rows):
    rows = make_rows(n=200)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        fit_path(rows, HeadSpec(ridge=0.1))
        assert torch.get_num_threads() == 2
        with pytest.raises(RuntimeError):
            fit_path(
                rows,
                HeadSpec(ridge=0.1),
                control=FitControl(on_fit=lambda: (_ for _ in ()).throw(RuntimeError)),
            )
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_every_fit_of_the_path_is_told(make_rows):
    told = []
    fits = fit_path(
        make_rows(n=200),
        HeadSpec(ridge=0.1),
        PATH,
        control=FitControl(on_fit=lambda: told.append(1)),
    )
    assert len(told) == len(fits) == len(PATH)
    assert [fit.strength for fit in fits] == list(PATH)


def test_memory_mapped_and_read_only_features_do(make_rows, tmp_path):
    rows = make_rows(n=300, dtype=np.float32)
    np.save(tmp_path / "x.npy", rows.features)
    mapped = rows.with_features(np.load(tmp_path / "x.npy", mmap_mode="r"))
    one, two = fit_path(rows, HeadSpec(ridge=0.1))[0], fit_path(mapped, HeadSpec(ridge=0.1))[0]
    np.testing.assert_array_equal(one.head.weight, two.head.weight)


def test_bad_input_is_named(make_rows):
    rows = make_rows(n=40)
    one_class = Rows(rows.features, np.zeros(40, int), rows.groups, ("no", "yes"))
    with pytest.raises(InputError, match="all 40 rows have the label 'no'"):
        fit_path(one_class, HeadSpec(ridge=0.1))
    bad = rows.features.copy()
    bad[:2, 0] = np.nan, np.inf
    with pytest.raises(InputError, match="NaN or infinity in 2 rows"):
        fit_path(rows.with_features(bad), HeadSpec(ridge=0.1))
    with pytest.raises(InputError, match="0 rows"):
        fit_path(rows[:0], HeadSpec(ridge=0.1))
    with pytest.raises(InputError, match="starts from factors of that rank"):
        fit_path(rows, HeadSpec(ridge=0.1, rank=1))
    with pytest.raises(InputError, match=r"weight \(3, 2\), the rows need \(5, 2\)"):
        fit_path(
            rows, HeadSpec(ridge=0.1), control=FitControl(start=Head(np.zeros((3, 2)), np.zeros(2)))
        )


def test_the_path_of_the_adult_head_takes_few_evaluations(adult):
    rows = adult.problem.development
    terms = terms_of(rows)
    fits = fit_path(
        rows,
        HeadSpec(ridge=1e-4),
        np.geomspace(0.03, 100, 10),
        terms,
        control=FitControl(start=adult.problem.head),
    )
    assert sum(fit.evaluations for fit in fits) <= 300
    assert all(fit.converged for fit in fits)


def test_groups_unknown_to_the_last_row_are_transfer_learning(make_rows):
    rows = make_rows(n=300)
    nobody = Rows(
        rows.features, rows.labels, Groups(np.full(300, -1), rows.groups.names), rows.classes
    )
    fit = fit_path(nobody, HeadSpec(ridge=0.01), [5.0], terms_of(nobody))[0]
    plain = fit_path(rows, HeadSpec(ridge=0.01))[0]
    np.testing.assert_allclose(fit.head.weight, plain.head.weight, atol=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
def test_without_an_intercept_the_bias_stays_nought(classes):
    rng = np.random.default_rng(classes)
    features = rng.normal(size=(400, 5)) + 0.5
    labels = (features @ rng.normal(size=(5, classes)) + rng.normal(size=(400, classes))).argmax(1)
    names = tuple("abc"[:classes])
    rows = Rows(features, labels, Groups(np.zeros(400, int), ("g",), "group"), names)
    fit = fit_path(rows, HeadSpec(ridge=0.01, intercept=False))[0]
    oracle = LogisticRegression(C=1 / 4, fit_intercept=False, tol=1e-8, max_iter=5000)
    expected = oracle.fit(features, labels).predict_proba(features)
    assert not fit.head.bias.any()
    assert np.allclose(probabilities(fit, rows), expected, atol=1e-5)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_start_far_worse_than_none_is_left(make_rows, monkeypatch, classes):
    rows = make_rows(n=200, classes=classes)
    rows = rows.with_features(rows.features * 1e10)
    cold = fit_path(rows, HeadSpec(ridge=1e-3))[0]
    wrong = Head(np.random.default_rng(0).normal(size=(5, classes)), np.zeros(classes))
    for most in (head_fit.IN_PASSES, 0):
        monkeypatch.setattr(head_fit, "IN_PASSES", most)
        warm = fit_path(rows, HeadSpec(ridge=1e-3), control=FitControl(start=wrong))[0]
        assert warm.converged
        assert warm.evaluations <= 2 * cold.evaluations
        assert warm.value == pytest.approx(cold.value, abs=1e-6)
    near = fit_path(rows, HeadSpec(ridge=1e-3), control=FitControl(start=cold.head))[0]
    assert near.evaluations < cold.evaluations


@pytest.mark.parametrize(("classes", "rank"), [(2, None), (3, None), (3, 2), (2, 1)])
def test_an_anchored_ridge_draws_towards_the_old_head(make_rows, classes, rank):
    """At a ridge that outweighs everything it is the anchor, at a light one it is not felt."""
    rows = make_rows(n=300, classes=classes)
    draw = np.random.default_rng(1)
    d = rows.features.shape[1]
    down, up = draw.normal(size=(d, rank or 1)), draw.normal(size=(rank or 1, classes))
    up -= up.mean(axis=1, keepdims=True)
    anchor = Head(down @ up, np.zeros(classes), (down, up))

    def weights(ridge, anchor):
        spec = HeadSpec(ridge=ridge, rank=rank, anchor=anchor)
        control = FitControl(start=anchor_start)
        weight = fit_path(rows, spec, control=control)[0].head.weight
        return weight - weight.mean(axis=1, keepdims=True)

    anchor_start = anchor
    np.testing.assert_allclose(weights(1e4, anchor), anchor.weight, atol=1e-3)
    light = weights(1e-6, None)
    np.testing.assert_allclose(weights(1e-6, anchor), light, atol=1e-2 * np.abs(light).max())


def test_an_anchored_ridge_is_its_value_and_its_gradient():
    """Against differences, for every form."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(40, 3))
    for classes in (2, 3):
        anchor = Head(draw.normal(size=(3, classes)), np.zeros(classes))
        forms = [
            Dense(x, classes, 0.7, anchor=anchor),
            LowRank(x, classes, 0.7, 2, anchor=anchor),
            Adapted(x, classes, 0.7, Hidden(draw.normal(size=(3, 3)), np.zeros(3)), 1, 0, anchor),
        ]
        for form in forms:
            start = Head(
                np.zeros((3, classes)),
                np.zeros(classes),
                (np.zeros((3, 2)), np.zeros((2, classes))),
            )
            theta = form.pack(start)
            theta = theta + draw.normal(size=theta.shape)
            value, slope = form.ridge(theta)
            assert value > 0
            for at in range(0, len(theta), 2):
                step = np.zeros_like(theta)
                step[at] = 1e-5
                ahead, behind = form.ridge(theta + step)[0], form.ridge(theta - step)[0]
                assert slope[at] == pytest.approx((ahead - behind) / 2e-5, abs=1e-6)


def test_an_anchor_of_another_shape_is_named(make_rows):
    anchor = Head(np.zeros((9, 2)), np.zeros(2))
    with pytest.raises(InputError, match="the head to anchor to has weight"):
        fit_path(make_rows(n=50), HeadSpec(ridge=1e-2, anchor=anchor))
