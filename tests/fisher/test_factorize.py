"""Eq. 4 to the letter, and the compression that keeps more."""

import tracemalloc
import warnings
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import sklearn.utils.extmath
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import softmax

from evenhand.errors import InputError
from evenhand.fisher import factorize as module
from evenhand.fisher.factorize import NoSavingWarning, compress, factorize
from evenhand.fisher.head_fisher import head_fisher
from evenhand.fisher.neutralize import neutralize
from evenhand.fisher.sums import KroneckerSums
from evenhand.groups import Groups
from evenhand.head import Head
from evenhand.heads.fit import fit_path
from evenhand.heads.spec import HeadSpec
from evenhand.rows import Rows

pytestmark = pytest.mark.filterwarnings("ignore::evenhand.fisher.factorize.NoSavingWarning")


def head_of(d=12, k=6, seed=0):
    rng = np.random.default_rng(seed)
    return Head(rng.normal(size=(d, k)), rng.normal(size=k))


positive = st.floats(1e-3, 1e3)


@given(arrays(np.float64, 12, elements=positive), st.integers(0, 100))
def test_full_rank_gives_the_weight_back_whatever_the_row_weights(importance, seed):
    head = head_of(seed=seed)
    found = factorize(head, importance, rank=6)
    assert np.abs(found.down @ found.up - head.weight).max() < 1e-6
    np.testing.assert_array_equal(found.bias, head.bias)
    assert found.kept == pytest.approx(1)
    assert found.kept <= 1


@given(arrays(np.float64, 12, elements=positive), positive, st.integers(1, 6))
def test_scaling_the_row_weights_changes_nothing(importance, scale, rank):
    head = head_of()
    one = factorize(head, importance, rank=rank)
    other = factorize(head, importance * scale, rank=rank)
    np.testing.assert_allclose(one.down @ one.up, other.down @ other.up, atol=1e-8)
    assert one.kept == pytest.approx(other.kept)


def test_equation_four_to_the_letter():
    head = head_of()
    importance = np.linspace(0.5, 3, 12)
    u, s, vt = np.linalg.svd(np.diag(importance) @ head.weight, full_matrices=False)
    down = np.linalg.inv(np.diag(importance)) @ u[:, :2] @ np.diag(s[:2])
    found = factorize(head, importance, rank=2)
    np.testing.assert_allclose(found.down @ found.up, down @ vt[:2], atol=1e-12)
    np.testing.assert_allclose(np.abs(found.down), np.abs(down), atol=1e-12)
    np.testing.assert_allclose(np.abs(found.up), np.abs(vt[:2]), atol=1e-12)
    np.testing.assert_allclose(found.up @ found.up.T, np.eye(2), atol=1e-12)
    assert found.kept == pytest.approx((s[:2] ** 2).sum() / (s**2).sum())


def test_it_is_the_best_in_the_weighted_norm():
    head, importance = head_of(), np.linspace(0.1, 4, 12)

    def loss(weight):
        return ((importance[:, None] * (head.weight - weight)) ** 2).sum()

    best = factorize(head, importance, rank=3).head.weight
    assert loss(best) < loss(factorize(head, rank=3).head.weight)
    rng = np.random.default_rng(0)
    start = factorize(head, importance, rank=3)
    for _ in range(20):
        nearby = (start.down + 0.01 * rng.normal(size=start.down.shape)) @ (
            start.up + 0.01 * rng.normal(size=start.up.shape)
        )
        assert loss(best) <= loss(nearby)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_centred_the_probabilities_are_kept_at_rank_k_less_one(trained, classes):
    rows, head = trained(n=300, d=8, classes=classes)
    shifted = Head(head.weight + np.arange(8.0)[:, None], head.bias)
    for weights in (None, neutralize(head_fisher(rows, shifted))):
        found = factorize(shifted, weights, rank=classes - 1, centre=True).head
        difference = softmax(found.logits(rows.features), axis=1) - softmax(
            shifted.logits(rows.features), axis=1
        )
        assert np.abs(difference).max() < 1e-5
    assert factorize(shifted, centre=True).rank == max(1, classes - 1)


@given(st.floats(0.01, 0.99), st.integers(0, 50))
def test_a_float_rank_keeps_the_energy_asked_and_no_more_than_needed(share, seed):
    head = head_of(seed=seed)
    found = factorize(head, np.linspace(0.2, 2, 12), rank=share)
    assert found.kept >= share - 1e-9
    if found.rank > 1:
        fewer = factorize(head, np.linspace(0.2, 2, 12), rank=found.rank - 1)
        assert fewer.kept < share


@pytest.mark.parametrize("seed", range(3))
def test_a_share_that_a_rank_keeps_exactly_takes_that_rank_in_spite_of_rounding(seed):
    rng = np.random.default_rng(seed)
    ten_equal = np.linalg.qr(rng.normal(size=(10, 10)))[0]
    for rank in range(1, 10):
        assert factorize(Head(ten_equal, np.zeros(10)), rank=rank / 10).rank == rank


@pytest.mark.parametrize("size", [1e-200, -1e-200, 1e200, -1e200])
def test_kept_does_not_depend_on_the_size_of_the_weight(size):
    weight = np.random.default_rng(0).uniform(0.1, 1, (12, 6))
    weight[3] = 0
    one = factorize(Head(weight, np.zeros(6)), rank=2)
    found = factorize(Head(weight * size, np.zeros(6)), rank=2)
    assert found.kept == pytest.approx(one.kept)
    assert 0 < found.kept < 1
    np.testing.assert_allclose(found.head.weight / size, one.head.weight, atol=1e-12)
    assert factorize(Head(weight * size, np.zeros(6)), rank=0.999).rank == (
        factorize(Head(weight, np.zeros(6)), rank=0.999).rank
    )


def test_dead_units_give_finite_factors(trained):
    rows, head = trained(n=100, d=6)
    x = rows.features.copy()
    x[:, 2] = 0
    weights = neutralize(head_fisher(rows.with_features(x), head))
    found = factorize(head, weights, rank=1)
    assert np.isfinite(found.down).all()
    assert np.isfinite(found.up).all()
    zero = factorize(Head(np.zeros((4, 3)), np.zeros(3)), rank=0.9)
    assert zero.rank == 1
    assert not zero.head.weight.any()
    assert zero.kept == 1


def test_the_refitted_bias_keeps_the_mean_logit(trained):
    rows, head = trained(n=300, d=8, classes=4)
    mean = rows.features.mean(axis=0)
    found = factorize(head, rank=1, mean=mean).head
    np.testing.assert_allclose(
        found.logits(rows.features).mean(axis=0), head.logits(rows.features).mean(axis=0)
    )


def kl(rows, one, other):
    p, q = softmax(one.logits(rows.features), axis=1), softmax(other.logits(rows.features), axis=1)
    return float((p * np.log(p / q)).sum(axis=1).mean())


def test_kronecker_with_refit_keeps_more_of_the_probabilities():
    """METHOD 2: plain SVD < the paper's < bias refit < Kronecker, centred and refitted."""
    rng = np.random.default_rng(0)
    x = np.maximum(rng.normal(size=(4000, 24)) @ rng.normal(size=(24, 24)) + 1, 0)
    x *= np.geomspace(0.05, 3, 24)
    truth = rng.normal(size=(24, 8)) / np.geomspace(0.3, 4, 24)[:, None]
    labels = (x @ truth + 2 * rng.gumbel(size=(4000, 8))).argmax(axis=1)
    from evenhand.groups import Groups

    groups = Groups(rng.integers(0, 2, 4000), ("a", "b"))
    rows = Rows(x, labels, groups, tuple("abcdefgh"))
    head = fit_path(rows, HeadSpec(ridge=1e-3))[0].head
    sums = head_fisher(rows, head, kronecker=True)
    for rank in (2, 3, 4):
        plain = kl(rows, head, factorize(head, rank=rank).head)
        paper = kl(rows, head, factorize(head, neutralize(sums), rank=rank).head)
        refit = kl(rows, head, factorize(head, rank=rank, mean=sums.kronecker.mean).head)
        best = kl(rows, head, compress(head, sums.kronecker, rank=rank).head)
        assert best < 0.7 * min(plain, paper)
        assert best < refit
    exact = compress(head, sums.kronecker, rank=7).head
    assert kl(rows, head, exact) < 1e-8


def test_kronecker_with_a_dead_feature_and_an_unused_class_is_finite(trained):
    rows, head = trained(n=200, d=6, classes=4)
    x = rows.features.copy()
    x[:, 3] = 0
    sums = head_fisher(rows.with_features(x), head, kronecker=True).kronecker
    found = compress(head, sums, rank=2)
    assert np.isfinite(found.head.weight).all()
    full = compress(head, sums, rank=3).head
    p, q = (softmax(h.logits(x), axis=1) for h in (head, full))
    assert np.abs(p - q).max() < 1e-5


def kronecker_case(d=7, k=5, seed=0):
    """A head, its factors' sums and 9 samples' features, of which the last is dead."""
    rng = np.random.default_rng(seed)
    x = np.hstack([rng.normal(size=(9, d - 1)) * np.geomspace(0.1, 10, d - 1), np.zeros((9, 1))])
    p = softmax(rng.normal(size=(9, k)), axis=1)
    outputs = np.diag(p.sum(axis=0)) - p.T @ p
    sums = KroneckerSums(x.T @ x, outputs, x.sum(axis=0), np.array(9))
    weight = rng.normal(size=(d, k)) + 3
    weight[-1] *= 100
    return Head(weight, rng.normal(size=k)), sums, x


@pytest.mark.parametrize("centre", [False, True])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_it_is_the_best_in_the_kronecker_norm(rank, centre):
    """Eckart and Young: what is lost, tr C E G Eᵀ, is the sum of the eigenvalues left out."""
    head, sums, _ = kronecker_case()
    c, g = sums.inputs / 9, sums.outputs / 9
    found = factorize(head, rank=rank, centre=centre, kronecker=sums)
    error = head.weight - found.down @ found.up
    energies = np.sort(np.linalg.eigvals(c @ head.weight @ g @ head.weight.T).real)[::-1]
    assert np.trace(c @ error @ g @ error.T) == pytest.approx(energies[rank:].sum(), rel=1e-9)
    assert found.kept == pytest.approx(energies[:rank].sum() / energies.sum())


def test_a_compression_is_of_the_rank_asked_and_keeps_the_mean_logits():
    head, sums, x = kronecker_case()
    for rank in (1, 2, 3):
        found = compress(head, sums, rank=rank)
        assert found.rank == rank
        before, after = (h.logits(x).mean(axis=0) for h in (head, found.head))
        np.testing.assert_allclose(after - after.mean(), before - before.mean(), atol=1e-10)
    assert compress(head, sums).rank == 4
    assert compress(head, sums, rank=0.5).kept >= 0.5


def test_a_compression_loses_the_column_that_all_classes_share():
    """Centred, k - 1 is exact also where the output factor does not know the softmax."""
    head, sums, _ = kronecker_case()
    for outputs in (np.eye(5), np.diag(np.arange(1.0, 6))):
        other = KroneckerSums(np.eye(7), outputs, sums.total, sums.samples)
        found = compress(head, other).head.weight
        centred = head.weight - head.weight.mean(axis=1, keepdims=True)
        np.testing.assert_allclose(found, centred, atol=1e-11 * np.abs(centred).max())


def test_directions_that_only_rounding_gives_the_output_factor_are_none():
    head, sums, _ = kronecker_case()
    one = np.array([1.0, -2, 1, 3, -3])
    outputs = np.outer(one, one) + 1e-15 * np.eye(5)
    noisy = KroneckerSums(sums.inputs, outputs, sums.total, sums.samples)
    found = factorize(head, rank=4, kronecker=noisy)
    others = np.linalg.svd(one[None])[2][1:]
    assert np.abs(found.up @ others.T).max() < 1e-9
    exact = factorize(head, rank=1, kronecker=noisy).head.weight
    np.testing.assert_allclose(found.head.weight, exact, atol=1e-9 * np.abs(exact).max())


def test_an_output_factor_of_nothing_gives_finite_factors():
    head, sums, _ = kronecker_case()
    certain = KroneckerSums(sums.inputs, np.zeros((5, 5)), sums.total, sums.samples)
    found = compress(head, certain, rank=2)
    assert not found.up.any()
    assert np.isfinite(found.down).all()
    assert np.isfinite(found.bias).all()
    assert found.kept == 1


def test_large_matrices_at_a_small_rank_are_randomised_within_the_tolerance(monkeypatch):
    rng = np.random.default_rng(0)
    low = rng.normal(size=(2400, 20)) * np.geomspace(1, 0.01, 20)
    weight = low @ rng.normal(size=(20, 1800)) + 1e-4 * rng.normal(size=(2400, 1800))
    head, importance = Head(weight, np.zeros(1800)), rng.uniform(0.5, 2, 2400)
    assert weight.size >= module.RANDOMISED_SIZE
    calls = []
    full_svd = np.linalg.svd
    monkeypatch.setattr(
        np.linalg, "svd", lambda *a, **k: calls.append(a[0].shape) or full_svd(*a, **k)
    )
    found = factorize(head, importance, rank=6)
    assert (2400, 1800) not in calls, "the full SVD ran"
    scaled = importance[:, None] * weight
    s = np.sqrt(np.maximum(np.linalg.eigvalsh(scaled.T @ scaled)[::-1], 0))
    left = importance[:, None] * (weight - found.down @ found.up)
    assert np.linalg.norm(left) <= np.linalg.norm(s[6:]) * (1 + 1e-4)
    assert found.kept == pytest.approx((s[:6] ** 2).sum() / (s**2).sum(), rel=1e-6)
    assert found.kept < 0.999


def test_where_the_randomised_svd_does_not_settle_the_full_one_decides(monkeypatch):
    monkeypatch.setattr(module, "RANDOMISED_SIZE", 1)
    rng = np.random.default_rng(0)
    head = Head(rng.normal(size=(300, 200)), np.zeros(200))
    found = factorize(head, rank=5)
    u, s, vt = np.linalg.svd(head.weight, full_matrices=False)
    np.testing.assert_allclose(found.down @ found.up, (u[:, :5] * s[:5]) @ vt[:5], atol=1e-2)
    assert found.kept == pytest.approx((s[:5] ** 2).sum() / (s**2).sum(), rel=1e-3)


def with_spectrum(values, d=400, k=300, seed=0):
    rng = np.random.default_rng(seed)
    left, right = (np.linalg.qr(rng.normal(size=(n, len(values))))[0] for n in (d, k))
    return Head((left * np.asarray(values)) @ right.T, np.zeros(k))


@pytest.fixture
def svds(monkeypatch):
    """The decompositions run, in order."""
    calls = []

    def record(place, function, name):
        real = getattr(place, function)
        monkeypatch.setattr(place, function, lambda *a, **k: calls.append(name) or real(*a, **k))

    record(np.linalg, "svd", "full")
    record(sklearn.utils.extmath, "randomized_svd", "randomised")
    return calls


@pytest.mark.parametrize(
    ("shape", "rank", "expected"),
    [
        ((80, 40), 5, "randomised"),
        ((80, 40), 6, "full"),
        ((40, 80), 6, "full"),
        ((79, 40), 5, "full"),
        ((80, 40), 0.5, "full"),
    ],
)
def test_randomised_from_a_size_on_and_up_to_an_eighth_of_the_rank(
    shape, rank, expected, svds, monkeypatch
):
    monkeypatch.setattr(module, "RANDOMISED_SIZE", 3200)
    assert factorize(with_spectrum(0.1 ** np.arange(10), *shape), rank=rank).kept > 0.98
    assert svds == [expected]


def test_a_matrix_of_ordinary_size_is_decomposed_in_full(svds):
    assert module.RANDOMISED_SIZE == 4 * 1024**2
    factorize(with_spectrum(0.1 ** np.arange(10)), rank=5)
    assert svds == ["full"]


def test_a_slow_spectrum_settles_with_more_iterations(svds, monkeypatch):
    monkeypatch.setattr(module, "RANDOMISED_SIZE", 1)
    values = 0.97 ** np.arange(300)
    found = factorize(with_spectrum(values), rank=10)
    assert set(svds) == {"randomised"}
    assert len(svds) > 1
    assert found.kept == pytest.approx((values[:10] ** 2).sum() / (values**2).sum(), rel=1e-5)


def test_a_rank_that_cuts_through_near_equal_values_settles(svds, monkeypatch):
    """As many directions again as the rank are carried along: 30 + 30 hold all 50."""
    monkeypatch.setattr(module, "RANDOMISED_SIZE", 1)
    values = np.concatenate([np.linspace(1, 0.9, 50), np.full(100, 1e-6)])
    found = factorize(with_spectrum(values), rank=30)
    assert svds == ["randomised"]
    assert found.kept == pytest.approx((values[:30] ** 2).sum() / (values**2).sum(), rel=1e-6)


@pytest.mark.parametrize(("off", "settled"), [(0.9, True), (1.1, False)])
def test_settled_is_within_a_thousandth_of_the_values(off, settled, monkeypatch):
    monkeypatch.setattr(module, "RANDOMISED_SIZE", 1)
    full = np.linalg.svd
    calls = []

    def inexact(matrix, rank, **_):
        u, s, vt = full(matrix, full_matrices=False)
        calls.append(rank)
        return u[:, :rank] + off * 1e-3 * u[:, -rank:], s[:rank], vt[:rank]

    monkeypatch.setattr(sklearn.utils.extmath, "randomized_svd", inexact)
    factorize(with_spectrum(np.linspace(20, 10, 40), 80, 40), rank=5)
    assert (len(calls) == 1) == settled
    calls.clear()
    factorize(Head(np.zeros((80, 40)), np.zeros(40)), rank=5)
    assert len(calls) == 1, "zeros are settled at once"


def test_the_randomised_svd_follows_its_seed(monkeypatch):
    monkeypatch.setattr(module, "RANDOMISED_SIZE", 1)
    head = with_spectrum(0.9 ** np.arange(100))
    one, same, other, default = (
        factorize(head, rank=5, **options).up
        for options in ({"seed": 0}, {"seed": 0}, {"seed": 1}, {})
    )
    np.testing.assert_array_equal(one, same)
    np.testing.assert_array_equal(one, default)
    assert not np.array_equal(one, other)
    np.testing.assert_allclose(one, other, atol=1e-2)


def test_memory_is_that_of_the_weight_not_of_its_larger_side_squared():
    head = with_spectrum(np.ones(2), 3000, 4)
    tracemalloc.start()
    factorize(head, rank=1)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 20 * head.weight.nbytes < 3000**2


@pytest.mark.parametrize("rank", [0, -1, 7, 100])
def test_a_rank_that_cannot_be_is_refused(rank):
    with pytest.raises(
        InputError, match=rf"\[1, 6\] for a weight of shape \(12, 6\), found {rank}"
    ):
        factorize(head_of(), rank=rank)


def test_bad_input_is_named():
    head = head_of()
    for share in (0.0, 1.0, -0.5, float("nan")):
        with pytest.raises(InputError, match=r"share of weighted energy"):
            factorize(head, rank=share)
    with pytest.raises(InputError, match=r"shape \(12,\) for a weight .* found \(3,\)"):
        factorize(head, np.ones(3))
    for bad in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(InputError, match=r"positive and finite"):
            factorize(head, np.append(np.ones(11), bad))
    with pytest.raises(InputError, match=r"weight of shape \(2, 2\) holds NaN"):
        factorize(Head(np.full((2, 2), np.nan), np.zeros(2)))


def test_not_both_ways_of_weighing(trained):
    rows, head = trained(n=50)
    sums = head_fisher(rows, head, kronecker=True)
    with pytest.raises(InputError, match=r"not by both"):
        factorize(head, neutralize(sums), kronecker=sums.kronecker)


def test_a_rank_that_saves_nothing_is_told():
    with pytest.warns(
        NoSavingWarning, match=r"rank 4 of a 12 × 6 weight trains 72 .* dense one 72"
    ):
        factorize(head_of(), rank=4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        factorize(head_of(), rank=3)


@pytest.mark.parametrize("spread", [1e-30, 1e-300, 1e300])
def test_weights_of_any_size_lose_nothing(spread):
    rng = np.random.default_rng(0)
    head = Head(rng.normal(size=(6, 4)), np.zeros(4))
    weights = np.array([spread, 1.0, 1.0, 1 / spread, 1e-5, 1.0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoSavingWarning)
        full = factorize(head, weights, rank=4)
    assert np.allclose(full.head.weight, head.weight, rtol=0, atol=1e-12)
    low = factorize(head, weights, rank=2)
    heaviest = int(weights.argmax())
    assert np.allclose(low.head.weight[heaviest], head.weight[heaviest], atol=1e-12)
    assert np.isfinite(low.down).all()
    assert 0 < low.kept <= 1


def test_a_kronecker_factor_without_a_direction_keeps_the_weight_there():
    rng = np.random.default_rng(0)
    x = np.hstack([rng.normal(size=(50, 3)), np.zeros((50, 1))])
    head = Head(rng.normal(size=(4, 3)), np.zeros(3))
    rows = Rows(x, rng.integers(0, 3, 50), Groups(np.zeros(50, int), ("a",)), ("x", "y", "z"))
    sums = head_fisher(rows, head, kronecker=True).kronecker
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoSavingWarning)
        found = compress(head, sums, rank=2).head
    centred = head.weight - head.weight.mean(axis=1, keepdims=True)
    assert np.allclose(found.weight, centred, atol=1e-8)


def _sums(d=4, k=3, samples=9, size=1.0):
    return KroneckerSums(np.full((d, d), size), np.eye(k), np.zeros(d), np.array(samples))


def _one_bad(where):
    sums = _sums()
    getattr(sums, where)[0, 0] = np.nan
    return sums


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mean": np.zeros(3)}, r"shape \(4,\), found shape \(3,\)"),
        ({"mean": np.array([0, np.nan, 0, 0])}, "with 1 that are not finite"),
        ({"kronecker": _sums(samples=0)}, "sums over 0 samples"),
        ({"kronecker": _sums(d=3)}, r"shapes \(3, 3\) and \(3, 3\) do not fit"),
        ({"kronecker": _sums(size=np.inf)}, "factors hold NaN or infinity"),
        ({"kronecker": _one_bad("inputs")}, "factors hold NaN or infinity"),
        ({"kronecker": _one_bad("outputs")}, "factors hold NaN or infinity"),
    ],
)
def test_statistics_that_do_not_fit_are_named(options, message):
    with pytest.raises(InputError, match=message):
        factorize(Head(np.ones((4, 3)), np.zeros(3)), rank=1, **options)
    with pytest.raises(InputError, match="nothing to factorise"):
        factorize(Head(np.ones((0, 3)), np.zeros(3)))


def test_statistics_of_a_single_sample_are_enough():
    head = Head(np.arange(12.0).reshape(4, 3) ** 2, np.zeros(3))
    one, nine = (factorize(head, rank=1, kronecker=_sums(samples=n)).head for n in (1, 9))
    np.testing.assert_allclose(one.weight, nine.weight)


def test_factors_are_a_value_that_does_not_change():
    found = factorize(head_of(), rank=2)
    assert len({found, factorize(head_of(), rank=2)}) == 2
    with pytest.raises(FrozenInstanceError):
        found.kept = 0.5
