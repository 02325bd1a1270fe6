"""Fits in passes: the same heads as fits of held rows, in few reads, whatever the rows' storage."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from evenhand.errors import InputError
from evenhand.fisher.factorize import factorize
from evenhand.groups import Groups
from evenhand.heads import head_fit
from evenhand.heads.fit import fit_path
from evenhand.heads.gaps import gap_terms
from evenhand.heads.spec import FitControl, HeadSpec
from evenhand.models.features.disk_array import Stored
from evenhand.rows import Rows

pytestmark = pytest.mark.filterwarnings("ignore::evenhand.fisher.factorize.NoSavingWarning")
PATH = (0.0, 0.3, 3.0, 30.0)


@pytest.fixture
def in_passes(monkeypatch):
    monkeypatch.setattr(head_fit, "IN_PASSES", 0)


def terms_of(rows, criteria="eo"):
    return gap_terms(rows.labels, rows.groups, rows.classes, criteria)


def both(monkeypatch, rows, *arguments, **options):
    held = fit_path(rows, *arguments, **options)
    with monkeypatch.context() as patch:
        patch.setattr(head_fit, "IN_PASSES", 0)
        return held, fit_path(rows, *arguments, **options)


def apart(one, other, rows):
    x = rows.features
    return np.abs(softmax(one.logits(x), axis=1) - softmax(other.logits(x), axis=1)).max()


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("criteria", ["eo", {"eo": 1.0, "dp": 2.0}, "eopp"])
def test_the_same_heads_as_where_rows_are_held(make_rows, monkeypatch, classes, criteria):
    rows = make_rows(n=1500, classes=classes, groups=3, unknown=0.1)
    strengths = PATH if classes == 2 else PATH[:3]
    weights = np.random.default_rng(0).uniform(0.5, 1.5, 1500)
    held, passed = both(
        monkeypatch, rows, HeadSpec(1e-2), strengths, terms_of(rows, criteria), weights=weights
    )
    for one, other in zip(held, passed, strict=True):
        assert other.converged
        assert other.value == pytest.approx(one.value, abs=1e-7)
        assert apart(one, other, rows) < 1e-4


@pytest.mark.parametrize("classes", [2, 4])
def test_low_ranks_and_no_intercept_too(make_rows, monkeypatch, classes):
    rows = make_rows(n=900, d=6, classes=classes)
    start = factorize(fit_path(rows, HeadSpec(ridge=0.1))[0].head, rank=classes - 1).head
    spec, control = HeadSpec(1e-2, classes - 1), FitControl(start)
    (held,), (passed,) = both(monkeypatch, rows, spec, [1.0], terms_of(rows), control=control)
    assert passed.value == pytest.approx(held.value, abs=1e-6)
    down, up = passed.head.factors
    np.testing.assert_allclose(down @ up, passed.head.weight)
    (held,), (passed,) = both(
        monkeypatch, rows, HeadSpec(0.1, intercept=False), [1.0], terms_of(rows)
    )
    assert not passed.head.bias.any()
    assert apart(held, passed, rows) < 1e-4


def test_a_path_takes_few_passes_however_many_its_strengths(in_passes, make_rows, monkeypatch):
    monkeypatch.setattr("evenhand.heads.streaming.sample.SAMPLE_ROWS", 4000)
    rows = make_rows(n=20_000, d=30)
    strengths = (0.0, *np.geomspace(0.03, 100, 9))
    fits = fit_path(rows, HeadSpec(ridge=1e-3), strengths, terms_of(rows))
    assert all(fit.converged for fit in fits)
    assert {fit.passes for fit in fits} == {fits[0].passes}
    assert fits[0].passes <= 25
    assert sum(fit.evaluations for fit in fits) <= 150
    cold = [fit_path(rows, HeadSpec(ridge=1e-3), [s], terms_of(rows))[0] for s in strengths[::4]]
    for one, other in zip(fits[::4], cold, strict=True):
        assert one.value == pytest.approx(other.value, abs=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("d", [5, 80])
def test_features_on_disk_of_any_precision(in_passes, make_rows, tmp_path, dtype, d):
    rows = make_rows(n=3000, d=d, dtype=dtype)
    near = 1e-5 if dtype is np.float64 and d == 5 else 1e-3  # single precision's tolerance
    np.save(tmp_path / "x.npy", rows.features)
    mapped = rows.with_features(np.load(tmp_path / "x.npy", mmap_mode="r"))
    fit = fit_path(mapped, HeadSpec(ridge=0.02))[0]
    shuffled = np.random.default_rng(0).permutation(3000)
    stored = Stored([mapped.features], np.zeros(3000, np.int32), np.arange(3000), dtype)
    again = fit_path(rows.with_features(stored)[shuffled], HeadSpec(ridge=0.02))[0]
    assert apart(fit, again, rows) < near
    peer = LogisticRegression(C=1 / (0.02 * len(rows)), tol=1e-10, max_iter=10_000)
    peer.fit(rows.features.astype(np.float64), rows.labels)
    expected = peer.predict_proba(rows.features.astype(np.float64))
    found = softmax(fit.logits(rows.features.astype(np.float64)), axis=1)
    assert np.abs(found - expected).max() < near


def test_threads_and_chunks_change_nothing_but_rounding(in_passes, make_rows, monkeypatch):
    import torch

    rows = make_rows(n=2000)
    one = fit_path(rows, HeadSpec(ridge=1e-2), PATH, terms_of(rows))
    monkeypatch.setattr("evenhand.heads.streaming.row_arrays.MAX_CHUNK", 97)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        two = fit_path(rows, HeadSpec(ridge=1e-2), PATH, terms_of(rows))
    finally:
        torch.set_num_threads(before)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a.head.weight, b.head.weight, atol=1e-6)


def test_heads_that_are_too_many_take_turns(in_passes, make_rows, monkeypatch):
    rows = make_rows(n=800)
    together = fit_path(rows, HeadSpec(ridge=1e-2), PATH, terms_of(rows))
    monkeypatch.setattr("evenhand.heads.streaming.driver.OUTPUTS", 2)
    told = []
    turns = fit_path(
        rows,
        HeadSpec(ridge=1e-2),
        PATH,
        terms_of(rows),
        control=FitControl(on_fit=lambda: told.append(1)),
    )
    assert len(told) == len(PATH)
    assert turns[0].passes > together[0].passes
    for a, b in zip(together, turns, strict=True):
        np.testing.assert_allclose(a.head.weight, b.head.weight, atol=1e-5)


def test_bad_rows_are_counted_wherever_they_are(in_passes, make_rows, monkeypatch):
    monkeypatch.setattr("evenhand.heads.streaming.sample.SAMPLE_ROWS", 50)
    rows = make_rows(n=1000)
    for row in (500, 501):  # one of the sample's, and not
        bad = rows.features.copy()
        bad[row, 2] = np.inf
        with pytest.raises(InputError, match="NaN or infinity in 1 rows of 1000"):
            fit_path(rows.with_features(bad), HeadSpec(ridge=0.1))
    with pytest.raises(InputError, match="0 rows"):
        fit_path(rows[:0], HeadSpec(ridge=0.1))
    same = Rows(rows.features, np.zeros(1000, int), rows.groups, rows.classes)
    with pytest.raises(InputError, match="all 1000 rows have the label 'c0'"):
        fit_path(same, HeadSpec(ridge=0.1))


def test_unknown_groups_alone_are_transfer_learning(in_passes, make_rows):
    rows = make_rows(n=300)
    nobody = Rows(rows.features, rows.labels, Groups(np.full(300, -1), ("a", "b")), rows.classes)
    fit = fit_path(nobody, HeadSpec(ridge=0.01), [5.0], terms_of(nobody))[0]
    plain = fit_path(rows, HeadSpec(ridge=0.01))[0]
    np.testing.assert_allclose(fit.head.weight, plain.head.weight, atol=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
def test_crossfitting_in_passes_copies_no_fold_and_counts_the_same(make_rows, monkeypatch, classes):
    from evenhand.heads.selection.candidates import CandidateGrid
    from evenhand.heads.selection.crossfit import crossfit
    from evenhand.heads.selection.ridge import choose_ridge

    rows = make_rows(n=600, classes=classes, groups=3, unknown=0.1)
    grid, mix = CandidateGrid((0.0, 0.5, 2.0)), {"eo": 1.0, "dp": 0.5}
    told = []
    held = crossfit(rows, HeadSpec(1e-2), mix, grid=grid)
    ridge = choose_ridge(rows)
    monkeypatch.setattr(head_fit, "IN_PASSES", 0)
    found = crossfit(
        rows,
        HeadSpec(1e-2),
        mix,
        grid=grid,
        control=FitControl(on_fit=lambda: told.append(1)),
    )
    assert choose_ridge(rows) == ridge
    assert len(told) == 6 * 3
    assert np.abs(found.tables - held.tables).max() <= 1  # a score next to a threshold may turn
    assert np.abs(found.unknown - held.unknown).max() <= 1
    plain = held.decisions.at((0, held.offsets.index(0.0)))
    differing = [one.decisions.differing(plain) for one in (found, held)]
    assert np.abs(differing[0] - differing[1]).max() <= 2
    np.testing.assert_allclose(found.log_loss, held.log_loss, atol=1e-6)
    for one, other in zip(found.fits, held.fits, strict=True):
        assert apart(one, other, rows) < 1e-4


@pytest.mark.parametrize(("classes", "kept"), [(2, True), (2, False), (3, True), (3, False)])
def test_a_second_read_gives_the_gradient_of_all(make_rows, monkeypatch, classes, kept):
    """Against the objective of each fold's own rows and its differences, with weights."""
    from evenhand.heads.objective import Objective
    from evenhand.heads.parametrization import Dense
    from evenhand.heads.streaming.atomic_cells import Part, atomic_cells, cells_of_atoms
    from evenhand.heads.streaming.evaluation import evaluate_heads
    from evenhand.heads.streaming.processor import Processor
    from evenhand.heads.streaming.row_arrays import RowArrays
    from evenhand.heads.streaming.stream import Stream

    monkeypatch.setattr("evenhand.heads.streaming.row_arrays.MIN_CHUNK", 50)
    monkeypatch.setattr("evenhand.heads.streaming.row_arrays.CHUNK_BYTES", 50 * 8 * 5)
    if not kept:
        monkeypatch.setattr("evenhand.heads.streaming.processor.KEPT_BYTES", 0)
    rows = make_rows(n=700, classes=classes, groups=3, unknown=0.2)
    folds = np.random.default_rng(1).integers(0, 2, 700).astype(np.int16)
    weights = np.random.default_rng(2).uniform(0.5, 1.5, 700)
    form = Dense(rows.features, classes, 0.1)
    thetas = [np.random.default_rng(s).normal(size=len(form.pack(None))) for s in (3, 4)]
    parts, expected, whole = [], [], terms_of(rows, {"eo": 1.0, "dp": 2.0})
    atoms, number = atomic_cells(whole, 700)
    for fold, theta in zip((-1, 1), thetas, strict=True):
        inside = folds != fold
        some = rows[inside]
        terms = terms_of(some, {"eo": 1.0, "dp": 2.0})
        cells = [cells_of_atoms(term, atoms[inside], number) for term in terms]
        parts.append(Part(fold, len(some), tuple(zip(terms, cells, strict=True))))
        alone = Dense(some.features, classes, 0.1)
        at = alone.from_weights(form.plain(theta))
        objective = Objective(some.labels, terms, weights=weights[inside], dtype=np.float64)
        value, _ = objective(alone.logits(at), 2.0)
        expected.append(value + alone.ridge(at)[0])
    double = np.dtype(np.float64)
    arrays = RowArrays(rows.features, rows.labels, atoms, number, double, folds, weights)
    stream = Stream(Processor(arrays), classes)

    def evaluated(points):
        return evaluate_heads(stream, parts, [2.0, 2.0], [form, form], points)

    found = evaluated(thetas)
    assert stream.passes == 2
    for head, (value, gradient) in enumerate(found):
        assert value == pytest.approx(expected[head], rel=1e-9)
        for number_of, entry in enumerate(gradient):
            step = np.zeros_like(gradient)
            step[number_of] = 1e-5
            above, below = (
                evaluated([t + sign * step for t in thetas])[head][0] for sign in (1, -1)
            )
            assert entry == pytest.approx((above - below) / 2e-5, abs=1e-6)
