"""The closed form against slow oracles, and what must not change it."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from threadpoolctl import ThreadpoolController

from evenhand.errors import ArtefactError, InputError
from evenhand.fisher import closed_form as module
from evenhand.fisher.head_fisher import head_fisher
from evenhand.fisher.sums import GroupFisher
from evenhand.groups import Groups
from evenhand.head import Head
from evenhand.rows import Rows


def per_sample(rows, head, label=None):
    """(N, d, k) each sample's gradient of W, by autograd, one sample at a time."""
    x = torch.tensor(np.asarray(rows.features, dtype=np.float64))
    w = torch.tensor(head.weight, requires_grad=True)
    b = torch.tensor(head.bias)
    gradients = []
    for i in range(len(rows)):
        y = rows.labels[i] if label is None else label
        loss = -torch.log_softmax(x[i] @ w + b, dim=0)[y]
        gradients.append(torch.autograd.grad(loss, w)[0])
    return torch.stack(gradients).numpy()


def oracle(rows, head, kind):
    """(G, d, k) mean Fisher diagonal by group."""
    if kind == "empirical":
        squares = per_sample(rows, head) ** 2
    else:
        p = softmax(head.logits(np.asarray(rows.features, dtype=np.float64)), axis=1)
        squares = sum(
            p[:, j, None, None] * per_sample(rows, head, j) ** 2 for j in range(p.shape[1])
        )
    return np.stack(
        [squares[rows.groups.codes == g].mean(axis=0) for g in range(rows.groups.number)]
    )


@pytest.mark.parametrize("kind", ["empirical", "true"])
@pytest.mark.parametrize(("groups", "classes"), [(2, 2), (3, 4)])
def test_closed_form_is_the_per_sample_gradient_squared(trained, kind, groups, classes):
    rows, head = trained(n=150, groups=groups, classes=classes, unknown=0.1)
    found = head_fisher(rows, head, kind=kind, diagonal=True)
    expected = oracle(rows, head, kind)
    assert np.abs(found.diagonal - expected).max() < 1e-12
    assert np.abs(found.importance - expected.sum(axis=2)).max() < 1e-12
    assert found.unknown == (rows.groups.codes == -1).sum() > 0
    assert found.counts.tolist() == rows.groups.sizes.tolist()


def test_closed_form_is_that_of_torch_func(trained):
    rows, head = trained(n=200, classes=3, groups=3)

    def loss(w, x, y):
        return torch.nn.functional.cross_entropy(x @ w + torch.tensor(head.bias), y)

    gradients = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))(
        torch.tensor(head.weight), torch.tensor(rows.features), torch.tensor(rows.labels)
    )
    squares = (gradients**2).numpy()
    found = head_fisher(rows, head, diagonal=True)
    for g in range(3):
        of = rows.groups.codes == g
        np.testing.assert_allclose(found.diagonal[g], squares[of].mean(axis=0), atol=1e-12)


def test_the_true_fisher_row_sum_is_one_minus_the_sum_of_squares(trained):
    rows, head = trained(n=120, classes=3)
    p = softmax(head.logits(rows.features), axis=1)
    x2 = rows.features**2 * (1 - (p**2).sum(axis=1, keepdims=True))
    found = head_fisher(rows, head, kind="true").importance
    for g in range(2):
        np.testing.assert_allclose(found[g], x2[rows.groups.codes == g].mean(axis=0), atol=1e-14)


def test_kronecker_factors_are_those_of_the_samples(trained):
    rows, head = trained(n=90, classes=3, unknown=0.3)
    found = head_fisher(rows, head, kronecker=True).kronecker
    p = softmax(head.logits(rows.features), axis=1)
    outer = np.mean([np.diag(one) - np.outer(one, one) for one in p], axis=0)
    np.testing.assert_allclose(found.output_factor, outer, atol=1e-14)
    np.testing.assert_allclose(
        found.input_factor, np.mean([np.outer(x, x) for x in rows.features], axis=0), atol=1e-14
    )
    np.testing.assert_allclose(found.mean, rows.features.mean(axis=0), atol=1e-14)


def test_the_square_of_a_batch_gradient_is_another_thing(trained):
    rows, head = trained(n=400)
    found = head_fisher(rows, head).importance
    gradients = per_sample(rows, head)
    for g in range(2):
        of_batch = (gradients[rows.groups.codes == g].mean(axis=0) ** 2).sum(axis=1)
        assert (of_batch < 0.1 * found[g]).all()


def test_sums_are_float64_whatever_the_features(trained):
    rows, head = trained(n=300)
    low = head_fisher(rows.with_features(rows.features.astype(np.float32)), head)
    assert low.row_sums.dtype == np.float64
    np.testing.assert_allclose(low.importance, head_fisher(rows, head).importance, rtol=1e-5)


def wide(dtype, n=300, d=100, k=5, scale=1.0, seed=0):
    """More features than are computed in float64 whatever their dtype."""
    rng = np.random.default_rng(seed)
    rows = Rows(
        (scale * rng.normal(size=(n, d))).astype(dtype),
        rng.integers(0, k, n),
        Groups(rng.integers(-1, 3, n), ("a", "b", "c")),
        tuple("klmnopq"[:k]),
    )
    return rows, Head(rng.normal(size=(d, k)) / scale, rng.normal(size=k))


@pytest.mark.parametrize("kind", ["empirical", "true"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_wide_features_of_few_digits_lose_only_rounding(kind, dtype):
    rows, head = wide(dtype)
    double = rows.with_features(rows.features.astype(np.float64))
    exact = head_fisher(double, head, kind=kind, diagonal=True, kronecker=True)
    for kronecker in (False, True):
        found = head_fisher(rows, head, kind=kind, diagonal=True, kronecker=kronecker)
        tolerance = 1e-12 if kronecker else 1e-4
        assert found.row_sums.dtype == found.diagonal_sums.dtype == np.float64
        np.testing.assert_allclose(found.row_sums, exact.row_sums, rtol=tolerance)
        np.testing.assert_allclose(found.diagonal_sums, exact.diagonal_sums, rtol=tolerance)


def test_a_row_that_is_all_but_certain_keeps_its_digits():
    x = np.zeros((1, 100), dtype=np.float32)
    x[0, 0] = 30
    rows = Rows(x, np.array([1]), Groups(np.array([0]), ("a",)), ("no", "yes"))
    weight = np.zeros((100, 2))
    weight[0, 1] = 1
    found = head_fisher(rows, Head(weight, np.zeros(2))).row_sums[0, 0]
    p = 1 / (1 + np.exp(-30.0))
    other = np.exp(-30.0) * p
    np.testing.assert_allclose(found, 900 * 2 * other**2, rtol=1e-5)


@pytest.mark.parametrize("diagonal", [False, True])
def test_what_overflows_float32_is_computed_in_float64(diagonal):
    rows, head = wide(np.float32, scale=1e20)
    double = rows.with_features(rows.features.astype(np.float64))
    exact = head_fisher(double, head, diagonal=diagonal)
    found = head_fisher(rows, head, diagonal=diagonal)
    np.testing.assert_array_equal(found.row_sums, exact.row_sums)
    assert np.isfinite(found.row_sums).all()
    large = rows.with_features(np.full(rows.features.shape, 1e200))
    with pytest.raises(InputError, match=r"overflow float64; scale the features"):
        head_fisher(large, head, diagonal=diagonal)


def test_threads_do_not_change_the_sums_and_are_given_back(monkeypatch):
    rows, head = wide(np.float32, n=2000)
    one = head_fisher(rows, head, diagonal=True)
    monkeypatch.setattr(module, "CHUNK_BYTES", 50_000)
    blas = ThreadpoolController().select(user_api="blas")
    with blas.limit(limits=1):
        chunked = head_fisher(rows, head, diagonal=True)
    monkeypatch.setattr(module, "SMALL", 0)
    with blas.limit(limits=2):
        before = blas.info()
        threaded = head_fisher(rows, head, diagonal=True)
        assert blas.info() == before
        bad = rows.features.copy()
        bad[1500, 3] = np.nan
        with pytest.raises(InputError, match=r"NaN or infinity in 1 rows"):
            head_fisher(rows.with_features(bad), head)
        assert blas.info() == before
    np.testing.assert_allclose(chunked.diagonal_sums, one.diagonal_sums, rtol=1e-4)
    np.testing.assert_array_equal(threaded.diagonal_sums, chunked.diagonal_sums)
    np.testing.assert_array_equal(threaded.row_sums, chunked.row_sums)


seeds = st.integers(0, 2**16)


def case(seed, n=40, groups=3, classes=3, d=4):
    rng = np.random.default_rng(seed)
    rows = Rows(
        rng.normal(size=(n, d)),
        rng.integers(0, classes, n),
        Groups(rng.integers(-1, groups, n), tuple("abcdef"[:groups])),
        tuple("klmnop"[:classes]),
    )
    return rows, Head(rng.normal(size=(d, classes)), rng.normal(size=classes))


def collect(rows, head):
    return head_fisher(rows, head, diagonal=True, kronecker=True)


def assert_equal(one, other, tolerance=1e-13):
    assert one.group_names == other.group_names
    assert one.counts.tolist() == other.counts.tolist()
    assert one.unknown == other.unknown
    scale = 1 + np.abs(one.row_sums).max()
    for name in ("row_sums", "diagonal_sums"):
        assert np.abs(getattr(one, name) - getattr(other, name)).max() <= tolerance * scale
    for name in ("inputs", "outputs", "total", "samples"):
        mine, theirs = getattr(one.kronecker, name), getattr(other.kronecker, name)
        assert np.abs(mine - theirs).max() <= tolerance * (1 + np.abs(mine).max())


@given(seeds, st.randoms())
def test_order_of_the_rows_does_not_matter(seed, random):
    rows, head = case(seed)
    order = random.sample(range(len(rows)), len(rows))
    assert_equal(collect(rows, head), collect(rows[order], head))


@given(seeds, st.lists(st.integers(0, 40), min_size=2, max_size=4))
def test_any_split_into_parts_merges_to_the_same(seed, cuts):
    rows, head = case(seed)
    edges = sorted(cuts)
    bounds = zip([0, *edges], [*edges, len(rows)], strict=True)
    parts = [collect(rows[a:b], head) for a, b in bounds]
    whole = collect(rows, head)
    left = parts[0]
    for part in parts[1:]:
        left = left + part
    right = parts[-1]
    for part in reversed(parts[:-1]):
        right = part + right
    assert_equal(left, whole)
    assert_equal(right, whole)
    assert_equal((parts[0] + parts[1]) + parts[2], parts[0] + (parts[1] + parts[2]))


@given(seeds, st.integers(1, 4000))
def test_size_of_the_chunks_does_not_matter(seed, size):
    rows, head = case(seed)
    whole = collect(rows, head)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK_BYTES", size)
        assert_equal(collect(rows, head), whole)


@given(seeds, st.permutations([0, 1, 2]))
def test_renumbering_the_groups_renumbers_the_result(seed, new):
    rows, head = case(seed)
    codes = np.append(np.array(new), -1)[rows.groups.codes]
    names = [""] * 3
    for old, code in enumerate(new):
        names[code] = rows.groups.names[old]
    other = Rows(rows.features, rows.labels, Groups(codes, tuple(names)), rows.classes)
    one, two = collect(rows, head), collect(other, head)
    assert two.group_names == tuple(names)
    np.testing.assert_array_equal(one.counts, two.counts[new])
    np.testing.assert_allclose(one.row_sums, two.row_sums[new], atol=1e-12)


@given(seeds, st.booleans(), st.booleans(), st.sampled_from(["empirical", "true"]))
def test_saved_and_loaded_is_equal(tmp_path_factory, seed, diagonal, kronecker, kind):
    path = tmp_path_factory.mktemp("fisher") / "sums.safetensors"
    rows, head = case(seed)
    one = head_fisher(rows, head, kind=kind, diagonal=diagonal, kronecker=kronecker)
    one.save(path)
    two = GroupFisher.load(path)
    assert (two.group_names, two.unknown, two.kind) == (one.group_names, one.unknown, kind)
    np.testing.assert_array_equal(one.row_sums, two.row_sums)
    np.testing.assert_array_equal(one.counts, two.counts)
    assert (two.diagonal_sums is not None, two.kronecker is not None) == (diagonal, kronecker)
    if diagonal:
        np.testing.assert_array_equal(one.diagonal_sums, two.diagonal_sums)
    if kronecker:
        np.testing.assert_array_equal(one.kronecker.inputs, two.kronecker.inputs)
        assert two.kronecker.samples == len(rows)
        assert_equal((two + two), (one + one)) if diagonal else None


def test_what_is_no_saved_fisher_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    with pytest.raises(ArtefactError, match=r"x\.safetensors"):
        GroupFisher.load(path)
    path.write_bytes(b"not a safetensors file")
    with pytest.raises(ArtefactError, match=r"x\.safetensors is damaged"):
        GroupFisher.load(path)
    rows, head = case(0)
    collect(rows, head).save(path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ArtefactError):
        GroupFisher.load(path)


def test_a_group_without_rows_has_no_importance(trained):
    rows, head = trained(n=50, groups=2)
    none = Rows(rows.features, rows.labels, Groups(np.zeros(50, int), ("a", "b")), rows.classes)
    importance = head_fisher(none, head).importance
    assert np.isnan(importance[1]).all()
    assert np.isfinite(importance[0]).all()


def test_no_rows_give_zero_sums():
    rows, head = case(0)
    empty = collect(rows[:0], head)
    assert not empty.row_sums.any()
    assert empty.counts.tolist() == [0, 0, 0]
    assert_equal(empty + collect(rows, head), collect(rows, head))


def test_parts_with_other_groups_merge_by_name_and_numbers_count_as_numbers():
    rows, head = case(0, n=80)
    values = np.array(["9", "10", "x", "-3", None])[np.random.default_rng(0).integers(0, 5, 80)]
    order = ("-3", "9", "10", "x")
    codes = np.array([order.index(one) if one else -1 for one in values])
    whole = Rows(rows.features, rows.labels, Groups(codes, order), rows.classes)
    first = np.isin(codes, (-1, 1)) | ((codes == 2) & (np.arange(80) < 40))

    def part(of, collect):
        groups = Groups.from_values(values[of])
        return collect(Rows(rows.features[of], rows.labels[of], groups, rows.classes), head)

    one, two = part(first, collect), part(~first, collect)
    assert one.group_names == ("10", "9")
    assert two.group_names == ("-3", "10", "x")
    for merged in (one + two, two + one):
        assert_equal(merged, collect(whole, head))
    merged = part(first, head_fisher) + part(~first, head_fisher)
    np.testing.assert_allclose(merged.row_sums, head_fisher(whole, head).row_sums, atol=1e-12)
    assert merged.diagonal_sums is None
    assert merged.kronecker is None


def test_importance_is_a_mean_over_each_group_and_pooled_over_all_samples():
    sums = np.array([[6.0, 9.0], [1.0, 2.0], [0.0, 0.0]])
    found = GroupFisher(sums, np.array([3, 1, 0]), ("a", "b", "c"), diagonal_sums=sums[:, :, None])
    expected = np.array([[2, 3], [1, 2], [np.nan, np.nan]])
    np.testing.assert_array_equal(found.importance, expected)
    np.testing.assert_array_equal(found.diagonal, expected[:, :, None])
    np.testing.assert_array_equal(found.pooled, [7 / 4, 11 / 4])
    assert (found.unknown, found.kind) == (0, "empirical")


def test_only_row_sums_of_the_labels_given_are_collected_unless_more_is_asked_for(trained):
    rows, head = trained(n=50)
    found = head_fisher(rows, head)
    assert (found.kind, found.diagonal_sums, found.kronecker) == ("empirical", None, None)
    named = head_fisher(rows, head, kind="empirical", diagonal=False, kronecker=False)
    np.testing.assert_array_equal(found.row_sums, named.row_sums)


def test_sums_cannot_be_reassigned_and_are_compared_as_objects():
    one, two = collect(*case(0)), collect(*case(0))
    with pytest.raises(FrozenInstanceError):
        one.counts = two.counts
    with pytest.raises(FrozenInstanceError):
        one.kronecker.samples = two.kronecker.samples
    assert one != two
    assert one.kronecker != two.kronecker
    assert len({one, two, one.kronecker, two.kronecker}) == 4


def test_bad_input_is_named(trained):
    rows, head = trained(n=50)
    with pytest.raises(InputError, match=r"'empirical' or 'true', not 'exact'"):
        head_fisher(rows, head, kind="exact")
    bad = rows.features.copy()
    bad[3, 0], bad[7, 1] = np.nan, np.inf
    with pytest.raises(InputError, match=r"NaN or infinity in 2 rows"):
        head_fisher(rows.with_features(bad), head)
    with pytest.raises(InputError, match=r"reads features of shape \(N, 5\), found \(50, 2\)"):
        head_fisher(rows.with_features(np.ones((50, 2))), head)
    narrow = Head(head.weight[:, :1], head.bias[:1])
    with pytest.raises(InputError, match=r"tells 1 classes apart, found a label 1"):
        head_fisher(rows, narrow)
    with pytest.raises(InputError, match=r"different things"):
        head_fisher(rows, head) + head_fisher(rows, head, kind="true")
    with pytest.raises(InputError, match=r"only one of these Fisher sums holds diagonal_sums"):
        head_fisher(rows, head) + head_fisher(rows, head, diagonal=True)
    with pytest.raises(InputError, match=r"only one of these Fisher sums holds kronecker"):
        head_fisher(rows, head, kronecker=True) + head_fisher(rows, head)
    with pytest.raises(InputError, match=r"diagonal=True"):
        _ = head_fisher(rows, head).diagonal
