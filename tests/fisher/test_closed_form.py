"""The closed form's chunks: their size, their dtype, and the threads that compute them."""

import contextlib
import threading
import tracemalloc
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
import torch  # noqa: F401 - its OpenMP runtime is one that must be left alone
from threadpoolctl import ThreadpoolController

from evenhand.errors import InputError
from evenhand.fisher import closed_form as module
from evenhand.fisher.closed_form import ClosedForm, summed
from evenhand.groups import Groups
from evenhand.rows import Rows


def made(n, d, k=3, groups=3, dtype=np.float64, scale=1.0, seed=0, **asked):
    """Random rows, and the closed form of a random head on them."""
    rng = np.random.default_rng(seed)
    rows = Rows(
        (scale * rng.normal(size=(n, d))).astype(dtype),
        rng.integers(0, k, n),
        Groups(rng.integers(-1, groups, n), tuple("abcdef"[:groups])),
        tuple(map(str, range(k))),
    )
    asked = {"expected": False, "diagonal": False, "kronecker": False} | asked
    weight, bias = rng.normal(size=(d, k)) / scale, rng.normal(size=k)
    return rows, ClosedForm(weight, bias, groups, **asked)


def in_double(rows):
    return rows.with_features(rows.features.astype(np.float64))


def of_chunk(rows, form):
    return form(rows.features, rows.labels, rows.groups.codes)


@pytest.mark.parametrize(
    ("width", "dtype", "double"),
    [
        (64, np.float32, True),
        (65, np.float32, False),
        (65, np.float16, False),
        (65, np.int16, False),
        (65, np.int32, True),
        (65, np.float64, True),
    ],
)
def test_float32_computes_only_wide_features_that_it_holds(width, dtype, double):
    scale = 2.0**28 if dtype == np.int32 else 100.0
    rows, form = made(50, width, dtype=dtype, scale=scale)
    found, exact = summed(rows, form).rows, summed(in_double(rows), form).rows
    np.testing.assert_allclose(found, exact, rtol=1e-4)
    assert (found == exact).all() == double


@pytest.mark.parametrize("diagonal", [False, True])
def test_one_square_beyond_float32_is_computed_in_float64(diagonal):
    rows, form = made(40, 100, dtype=np.float32, diagonal=diagonal)
    rows.features[:, 7], form.weight[7] = 1e25, 0
    found, exact = summed(rows, form), summed(in_double(rows), form)
    assert np.isfinite(found.rows).all()
    np.testing.assert_array_equal(found.rows, exact.rows)
    np.testing.assert_array_equal(found.diagonal, exact.diagonal)


def test_a_logit_beyond_float32_is_computed_in_float64():
    rows, form = made(40, 100, dtype=np.float32)
    rows.features[5, 7], form.weight[7, 1] = 1e18, 1e30
    found, exact = summed(rows, form).rows, summed(in_double(rows), form).rows
    np.testing.assert_array_equal(found, exact)
    beyond = in_double(rows)
    beyond.features[5, 7], form.weight[7, 1] = 1e200, 1e200
    with pytest.raises(InputError, match=r"in rows 0 to 40 overflow float64; scale"):
        summed(beyond, form)


@pytest.mark.parametrize("diagonal", [False, True])
def test_rows_all_but_certain_of_several_classes_keep_their_digits(diagonal):
    rows, form = made(3, 100, groups=1, dtype=np.float32, expected=True, diagonal=diagonal)
    rows.features[:] = 30 * np.eye(3, 100)
    form.weight[:], form.bias[:] = np.eye(100, 3), 0
    rows = Rows(rows.features, np.array([0, 0, 2]), Groups(np.zeros(3, int), ("a",)), rows.classes)
    sums = summed(rows, form)
    other = np.exp(-30.0) / (1 + 2 * np.exp(-30.0))
    sure = 2 * other * (1 - 2 * other)
    np.testing.assert_allclose(sums.rows[0, :3], 900 * (sure + 2 * other), rtol=1e-5)
    if diagonal:
        classes = np.where(np.eye(3, dtype=bool), sure, other)
        np.testing.assert_allclose(sums.diagonal[0, :3], 900 * classes, rtol=1e-5)


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("kronecker", [False, True])
def test_a_chunk_holds_what_was_asked_for_in_the_dtype_of_the_computation(diagonal, kronecker):
    rows, form = made(20, 4, diagonal=diagonal, kronecker=kronecker)
    narrow = form.in_dtype(np.float32)
    assert narrow.weight.dtype == narrow.bias.dtype == np.float32
    for one in (form, narrow):
        sums = of_chunk(rows, one)
        assert (sums.diagonal is not None, sums.kronecker is not None) == (diagonal, kronecker)
        found = [sums.rows, *(sums.kronecker or ())] + [sums.diagonal] * diagonal
        assert {array.dtype for array in found} == {one.weight.dtype}


def test_a_form_that_threads_share_cannot_change_and_is_compared_as_an_object():
    _, form = made(1, 2)
    with pytest.raises(FrozenInstanceError):
        form.groups = 4
    assert form != replace(form)
    assert {form: 1}[form] == 1


def test_how_the_groups_are_interleaved_changes_no_bit_of_the_diagonal():
    rows, form = made(500, 4, diagonal=True)
    order = np.argsort(rows.groups.codes, kind="stable")
    apart, mixed = summed(rows[order], form), summed(rows, form)
    np.testing.assert_array_equal(apart.diagonal, mixed.diagonal)
    np.testing.assert_array_equal(apart.rows, mixed.rows)


def test_a_chunk_takes_no_more_than_its_size_is_reckoned_from():
    n, d, k = 1000, 200, 200
    rows, form = made(n, d, k)
    of_chunk(rows, form)
    tracemalloc.start()
    try:
        of_chunk(rows, form)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < n * (d + d + k) * rows.features.itemsize


@pytest.fixture
def lengths(monkeypatch):
    """The rows of every chunk, which is not computed."""
    found = []

    def note(form, features, labels, codes):
        found.append(len(features))
        return form.zeros()

    monkeypatch.setattr(ClosedForm, "__call__", note)
    return found


def empty(n, d, k):
    """Rows and a form whose numbers do not matter: memory that nobody touches."""
    none = Groups(np.zeros(n, int), ("a",))
    rows = Rows(np.zeros((n, d), np.float32), np.zeros(n, int), none, tuple(map(str, range(k))))
    return rows, ClosedForm(np.zeros((d, k)), np.zeros(k), 1, False, False, False)


@pytest.mark.parametrize(
    ("d", "k", "mebibytes"), [(100, 10, 1), (200, 100, 1.95), (512, 2, 4), (2048, 512, 4)]
)
def test_chunks_are_equal_and_of_the_size_of_a_cache(lengths, d, k, mebibytes):
    each = (2 * d + k) * 4
    n = 40 * int(mebibytes * 2**20 / each)
    summed(*empty(n, d, k))
    assert sum(lengths) == n
    assert max(lengths) - min(lengths) <= 1
    assert 0.9 < max(lengths) * each / (mebibytes * 2**20) < 1.1


@pytest.mark.parametrize(
    ("full", "number"),
    [(0, 0), (0.5, 1), (1.5, 2), (2.5, 3), (3.9, 4), (4.5, 8), (8.5, 8), (13.2, 16), (20.6, 24)],
)
def test_four_chunks_or_as_many_for_two_four_and_eight_threads(lengths, full, number):
    summed(*empty(int(full * 1024), 100, 100))
    assert len(lengths) == number


class Blas:
    """Libraries with so many threads each, in the place of threadpoolctl's view of the process."""

    def __init__(self, *threads):
        self.threads = threads

    def __call__(self):
        return self

    def select(self, user_api):
        assert user_api == "blas"
        return self

    def info(self):
        return [{"num_threads": number} for number in self.threads]

    def limit(self, limits):
        assert limits == 1
        return contextlib.nullcontext()


@pytest.fixture
def run(monkeypatch):
    """Sum 64 rows in chunks, and for each of them call ``seen`` with its features first."""
    whole = ClosedForm.__call__

    def sums(seen, blas, chunks, small=0):
        rows, form = made(64, 5, k=3)
        rows.features[:, 0] = np.arange(64)

        def called(form, features, labels, codes):
            seen(features)
            return whole(form, features, labels, codes)

        monkeypatch.setattr(module, "SMALL", small)
        monkeypatch.setattr(module, "CHUNK_ROWS", 0)
        monkeypatch.setattr(module, "CHUNK_BYTES", -(-64 * 13 * 8 // chunks))
        monkeypatch.setattr(module, "ThreadpoolController", blas)
        monkeypatch.setattr(ClosedForm, "__call__", called)
        return summed(rows, form)

    return sums


@pytest.mark.parametrize(
    ("threads", "chunks", "small", "own"),
    [
        ((2,), 16, 64 * 5 * 3, False),
        ((2,), 2, 64 * 5 * 3, False),
        ((2,), 16, 64 * 5 * 3 + 1, True),
        ((2,), 1, 0, True),
        ((1,), 16, 0, True),
        ((), 16, 0, True),
    ],
)
def test_threads_start_where_there_is_work_for_them(run, threads, chunks, small, own):
    callers = []
    run(lambda _: callers.append(threading.get_ident()), Blas(*threads), chunks, small)
    assert len(callers) == chunks
    assert {one == threading.get_ident() for one in callers} == {own}


def test_as_many_chunks_at_once_as_the_largest_blas_has_threads(run):
    together = threading.Barrier(3, timeout=30)
    run(lambda _: together.wait(), Blas(1, 3), 3)


def test_a_slow_chunk_leaves_no_thread_idle_and_few_results_waiting(run):
    started, third, fifth = [], threading.Event(), threading.Event()

    def seen(features):
        started.append(features[0, 0])
        if len(started) >= 3:
            third.set()
        if len(started) >= 5:
            fifth.set()
        if features[0, 0] == 0:
            assert third.wait(30), "the other thread was idle"
            assert not fifth.wait(0.2), "all chunks were computed before the first was added"

    run(seen, Blas(2), 32)
    assert len(started) == 32


def test_blas_has_one_thread_inside_a_chunk_and_openmp_keeps_its_own(run):
    controller, seen = ThreadpoolController(), set()

    def note(_):
        seen.update((one["user_api"], one["num_threads"]) for one in controller.info())

    with controller.limit(limits={"blas": 2, "openmp": 3}):
        run(note, ThreadpoolController, 1)
    assert ("openmp", 3) in seen
    assert {number for api, number in seen if api == "openmp"} == {3}
    assert {number for api, number in seen if api == "blas"} <= {1}
