"""Passes on a device: the processor's sums and heads, with the features copied there once."""

import gc
import logging
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from evenhand.errors import InputError
from evenhand.fisher.factorize import factorize
from evenhand.groups import Groups
from evenhand.heads import head_fit
from evenhand.heads.fit import fit_path
from evenhand.heads.gaps import gap_terms
from evenhand.heads.selection.candidates import CandidateGrid
from evenhand.heads.selection.crossfit import crossfit
from evenhand.heads.selection.ridge import choose_ridge
from evenhand.heads.spec import FitControl, HeadSpec
from evenhand.heads.streaming import device_chunk, device_copy, on_device, placing
from evenhand.heads.streaming.device_copy import copied
from evenhand.heads.streaming.on_device import OnDevice, exact_products
from evenhand.heads.streaming.processor import Processor
from evenhand.heads.streaming.row_arrays import RowArrays
from evenhand.models.features.disk_array import Stored
from evenhand.rows import Rows
from evenhand.weights import Weights

pytestmark = pytest.mark.filterwarnings("ignore::evenhand.fisher.factorize.NoSavingWarning")
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]
PATH = (0.0, 0.3, 3.0, 30.0)
DOUBLE, SINGLE = np.dtype(np.float64), np.dtype(np.float32)


def engines(arrays, device):
    features = copied(arrays.features, arrays.dtype, torch.device(device))
    return Processor(arrays), OnDevice(arrays, features)


def drawn(seed, *, n=40, d=5, classes=2, heads=3, atoms=4, betas=(1.0, 4.0), dtype=DOUBLE, more=()):
    """Rows, heads and the slopes at their soft sums; rows are in no cell too, some cells empty."""
    rng = np.random.default_rng(seed)
    m = 1 if classes == 2 else classes
    given = {
        "folds": rng.integers(0, 3, n).astype(np.int16),
        "weights": rng.uniform(0.2, 2.0, n),
        "masses": rng.uniform(0.0, 3.0, n),
    }
    arrays = RowArrays(
        rng.normal(size=(n, d)).astype(dtype),
        rng.integers(0, classes, n),
        rng.choice([*range(0, atoms, 2), atoms], n),
        atoms,
        dtype,
        **{name: given[name] for name in more},
    )
    folds = [-1, *rng.integers(-1, 3, heads - 1)]
    slopes = {beta: rng.normal(size=(atoms, heads, m)) for beta in betas}
    return arrays, rng.normal(size=(heads, m, d + 1)), folds, slopes


def require_alike(arrays, heads, folds, slopes, device, near):
    one, other = engines(arrays, device)
    betas = list(slopes)
    wholes = [False, True] if heads.shape[1] == 1 or not betas else [False]
    for whole in wholes:
        mine, theirs = (engine.sums(heads, folds, betas, whole=whole) for engine in (one, other))
        assert list(mine.soft) == list(theirs.soft)
        assert list(mine.lean) == list(theirs.lean)
        for expected, found in zip(mine.arrays(), theirs.arrays(), strict=True):
            assert found.shape == expected.shape
            assert found.dtype == np.float64
            scale = max(1.0, np.abs(expected).max(initial=0))
            np.testing.assert_allclose(found, expected, rtol=0, atol=near * scale)
        share = np.linspace(0.5, 2, len(heads))
        expected, found = (engine.gradient(share, slopes) for engine in (one, other))
        scale = max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(found, expected, rtol=0, atol=near * scale)


@pytest.mark.parametrize("device", DEVICES)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 60),
    classes=st.integers(2, 4),
    heads=st.integers(1, 5),
    atoms=st.integers(1, 6),
    betas=st.sampled_from([(), (1.0,), (1.0, 4.0)]),
    more=st.sets(st.sampled_from(["folds", "weights", "masses"])),
    double=st.booleans(),
)
def test_any_heads_have_the_processors_sums(
    device, seed, n, classes, heads, atoms, betas, more, double
):
    dtype = DOUBLE if double else SINGLE
    asked = drawn(
        seed,
        n=n,
        classes=classes,
        heads=heads,
        atoms=atoms,
        betas=betas,
        dtype=dtype,
        more=sorted(more),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(on_device, "MIN_CHUNK", 7)
        patch.setattr(on_device, "MAX_CHUNK", 13)
        require_alike(*asked, device, 1e-11 if double else 1e-5)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("classes", [2, 3])
def test_many_cells_and_logits_that_are_not_kept(monkeypatch, device, classes):
    """Cells summed row by row, and logits computed twice."""
    monkeypatch.setattr(device_chunk, "FEW_ATOMS", 3)
    monkeypatch.setattr(on_device, "KEPT_BYTES", 0)
    monkeypatch.setattr(on_device, "TEMPORARY_BYTES", 1)
    monkeypatch.setattr(on_device, "MIN_CHUNK", 64)
    asked = drawn(1, n=300, classes=classes, atoms=40, more=["folds", "masses"])
    require_alike(*asked, device, 1e-11)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [DOUBLE, SINGLE])
def test_what_preconditions_a_fit_is_multiplied_there_too(device, dtype):
    arrays, *_ = drawn(0, n=500, dtype=dtype)
    x = arrays.features
    for engine in engines(arrays, device):
        for beside in (x, x[:, :2] * 3):
            found = engine.product(x[::2], beside[::2])
            assert found.dtype == dtype
            expected = x[::2].T.astype(np.float64) @ beside[::2]
            near = (1e-5 if dtype == SINGLE else 1e-13) * np.abs(expected).max()
            np.testing.assert_allclose(found, expected, rtol=0, atol=near)


@pytest.mark.parametrize("kept", [True, False])
def test_logits_are_kept_for_the_gradient_where_there_is_room(monkeypatch, kept):
    arrays, heads, folds, slopes = drawn(0)
    size = len(arrays) * len(heads) * arrays.dtype.itemsize
    monkeypatch.setattr(on_device, "KEPT_BYTES", size if kept else size - 1)
    _, engine = engines(arrays, "cpu")
    engine.sums(heads, folds, list(slopes), whole=False)
    products, own = [], torch.addmm
    monkeypatch.setattr(torch, "addmm", lambda *given: products.append(1) or own(*given))
    engine.gradient(np.ones(len(heads)), slopes)
    assert len(products) == (0 if kept else 1)


@pytest.mark.parametrize("dtype", [DOUBLE, SINGLE])
@pytest.mark.parametrize("columns", [1, 60, 1000])
@pytest.mark.parametrize("leaning", [True, False])
def test_chunks_of_any_width_stay_within_their_bytes(monkeypatch, dtype, columns, leaning):
    monkeypatch.setattr(on_device, "MIN_CHUNK", 1)
    arrays, *_ = drawn(0, n=200_000, d=2, dtype=dtype)
    _, engine = engines(arrays, "cpu")
    spans = list(engine._spans(columns, leaning))
    assert [span.start for span in spans] == [0, *(span.stop for span in spans[:-1])]
    assert spans[-1].stop == 200_000
    longest = max(span.stop - span.start for span in spans)
    widest = columns * (arrays.number + 1) if leaning else columns
    assert longest * widest * dtype.itemsize <= on_device.TEMPORARY_BYTES
    assert longest <= on_device.MAX_CHUNK


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("classes", [2, 3])
def test_logits_far_out_overflow_nowhere(device, classes):
    arrays, heads, folds, slopes = drawn(2, classes=classes, dtype=SINGLE)
    require_alike(arrays, 1e4 * heads, folds, slopes, device, 1e-5)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("own", "products", "kept"),
    [
        (np.float16, SINGLE, torch.float16),
        (np.float32, SINGLE, torch.float32),
        (np.float64, SINGLE, torch.float32),
        (np.float32, DOUBLE, torch.float32),
        (np.int16, SINGLE, torch.float32),
    ],
)
def test_features_are_copied_as_they_are_or_as_the_products_need_them(
    tmp_path, monkeypatch, device, own, products, kept
):
    monkeypatch.setattr(device_copy, "STAGED_BYTES", 100)
    x = (10 * np.random.default_rng(0).normal(size=(53, 4))).astype(own)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    stored = Stored([mapped], np.zeros(53, np.int32), np.arange(53), own)
    for features in (x, mapped, stored, x[::2]):
        found = copied(features, products, torch.device(device))
        assert found.dtype == kept
        assert found.device.type == device
        np.testing.assert_array_equal(found.cpu().numpy(), np.asarray(features[:]).astype(products))
    assert copied(x[:0], products, torch.device(device)).shape == (0, 4)


def test_a_gradient_follows_sums():
    arrays, heads, _, slopes = drawn(0)
    for engine in engines(arrays, "cpu"):
        with pytest.raises(RuntimeError, match="gradient follows sums"):
            engine.gradient(np.ones(len(heads)), slopes)


def test_memory_that_others_took_is_told_with_what_to_do(monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    arrays, heads, folds, slopes = drawn(0)
    _, engine = engines(arrays, "cpu")
    engine.sums(heads, folds, list(slopes), whole=False)
    monkeypatch.setattr(torch, "sigmoid", full)
    for asked in (
        lambda: engine.sums(heads, folds, list(slopes), whole=False),
        lambda: engine.gradient(np.ones(len(heads)), slopes),
    ):
        with pytest.raises(InputError, match="cpu has no memory left for a pass over 40 rows"):
            asked()


def test_nothing_is_computed_elsewhere_than_where_the_features_lie():
    """On a GPU that torch pretends to have: a tensor of the processor among its own fails."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    for classes, few in ((2, True), (3, False)):
        arrays, heads, folds, slopes = drawn(
            3, classes=classes, dtype=SINGLE, more=["folds", "weights", "masses"]
        )
        with FakeTensorMode(), pytest.MonkeyPatch.context() as patch:
            patch.setattr(device_chunk, "FEW_ATOMS", 64 if few else 0)
            features = torch.empty(arrays.features.shape, dtype=torch.float16, device="cuda")
            engine = OnDevice(arrays, features)
            for whole in (False, True) if classes == 2 else (False,):
                found = engine.totals(heads, folds, list(slopes), whole=whole)
                assert {one.device.type for one in found} == {"cuda"}
            assert engine.pulled(np.ones(len(heads)), slopes).device.type == "cuda"


@pytest.mark.parametrize("loose", ["new", "old"])
def test_products_are_exact_whatever_is_set_and_that_is_set_again(loose):
    """In a process of its own: torch does not go back to a setting that is mixed."""
    asked = {
        "new": "matmul.fp32_precision = 'tf32'",
        "old": "torch.set_float32_matmul_precision('high')",
    }[loose]
    code = f"""
import torch
from evenhand.heads.streaming.on_device import exact_products
matmul = torch.backends.cuda.matmul
new = hasattr(matmul, "fp32_precision")
if {loose == "new"} and not new:
    raise SystemExit
{asked}
read = lambda: matmul.fp32_precision if new else matmul.allow_tf32
before = read()
with exact_products(torch.device("cpu")):
    assert read() in ("ieee", "none", False), read()
    assert not torch.is_grad_enabled()
assert read() == before, (read(), before)
if {loose == "old"}:
    assert torch.get_float32_matmul_precision() == "high"
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_autocast_outside_does_not_reach_the_products():
    arrays, heads, folds, slopes = drawn(0, n=200, dtype=SINGLE)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        require_alike(arrays, heads, folds, slopes, "cpu", 1e-5)
    with torch.autocast("cpu", dtype=torch.bfloat16), exact_products(torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


@pytest.fixture(params=DEVICES)
def on(request, monkeypatch):
    """Whatever asks for a device is fitted there, however few its rows are."""
    device = torch.device(request.param)
    if device.type == "cuda":
        device = torch.device("cuda", torch.cuda.current_device())
    found = lambda rows: None if rows.device == "cpu" else device  # noqa: E731
    monkeypatch.setattr(placing, "device_for", found)
    monkeypatch.setattr(head_fit, "IN_PASSES", 0)
    monkeypatch.setattr(on_device, "MAX_CHUNK", 2000)
    return str(device)


def asking(rows, device="auto"):
    return replace(rows, device=device)


def terms_of(rows, criteria="eo"):
    return gap_terms(rows.labels, rows.groups, rows.classes, criteria, rows=rows.weights)


def require_the_same(held, found, rows, near):
    for one, other in zip(held, found, strict=True):
        assert other.converged
        assert other.value == pytest.approx(one.value, rel=near, abs=near)
        ours, theirs = (softmax(fit.logits(rows.features), axis=1) for fit in (one, other))
        assert np.abs(ours - theirs).max() < near


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("criteria", ["eo", {"eo": 1.0, "dp": 2.0}, "eopp"])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_path_is_the_processors(on, make_rows, classes, criteria, weighted):
    rows = make_rows(n=1500, classes=classes, groups=3, unknown=0.1)
    rng, more = np.random.default_rng(0), {}
    if weighted:
        own = Weights.of(rng.uniform(0.2, 2.0, 1500))
        rows = Rows(rows.features, rows.labels, rows.groups, rows.classes, weights=own)
        more["weights"] = rng.uniform(0.5, 1.5, 1500)
    asked = HeadSpec(1e-2), PATH[: 5 - classes], terms_of(rows, criteria)
    expected = fit_path(rows, *asked, **more)
    found = fit_path(asking(rows), *asked, **more)
    assert {fit.where for fit in expected} == {""}
    assert {fit.where for fit in found} == {on}
    require_the_same(expected, found, rows, 1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_wide_features_in_single_precision(on, make_rows, dtype):
    rows = make_rows(n=3000, d=80, dtype=dtype)
    asked = HeadSpec(1e-2), PATH, terms_of(rows)
    expected, found = fit_path(rows, *asked), fit_path(asking(rows), *asked)
    require_the_same(expected, found, rows, 1e-4)  # as far as the solver's own tolerance goes
    for one, other in zip(expected, found, strict=True):
        assert other.value == pytest.approx(one.value, rel=1e-5)


def test_low_ranks_and_no_intercept_too(on, make_rows):
    rows = make_rows(n=900, d=6, classes=4)
    start = factorize(fit_path(rows, HeadSpec(ridge=0.1))[0].head, rank=3).head
    for spec, control in (
        (HeadSpec(1e-2, 3), FitControl(start)),
        (HeadSpec(0.1, intercept=False), FitControl()),
    ):
        asked = spec, [1.0], terms_of(rows)
        expected = fit_path(rows, *asked, control=control)
        found = fit_path(asking(rows), *asked, control=control)
        assert found[0].value == pytest.approx(expected[0].value, abs=1e-6)
        require_the_same(expected, found, rows, 1e-4)


def test_folds_are_left_out_there(on, make_rows):
    rows = make_rows(n=600, groups=3, unknown=0.1)
    grid = CandidateGrid((0.0, 0.5, 2.0))
    held, found = (crossfit(one, HeadSpec(1e-2), "eo", grid=grid) for one in (rows, asking(rows)))
    assert {fit.where for fit in found.fits} == {on}
    np.testing.assert_array_equal(found.tables, held.tables)
    np.testing.assert_allclose(found.log_loss, held.log_loss, atol=1e-7)
    require_the_same(held.fits, found.fits, rows, 1e-6)
    assert choose_ridge(asking(rows)) == choose_ridge(rows)


def test_features_that_are_not_finite_are_counted(on, make_rows, monkeypatch):
    monkeypatch.setattr("evenhand.heads.streaming.sample.SAMPLE_ROWS", 50)
    rows = make_rows(n=1000)
    bad = rows.features.copy()
    bad[501, 2] = np.inf
    with pytest.raises(InputError, match="NaN or infinity in 1 rows of 1000"):
        fit_path(asking(rows.with_features(bad)), HeadSpec(ridge=0.1))


def test_the_fits_of_some_rows_share_one_copy(on, make_rows, monkeypatch):
    made = []

    def counted(features, *where):
        assert device_copy._HELD.held is None  # never two
        made.append(features)
        return copied(features, *where)

    monkeypatch.setattr(device_copy, "copied", counted)
    rows = asking(make_rows(n=400))
    ridge = choose_ridge(rows)
    fit_path(rows, HeadSpec(ridge=ridge))
    fit_path(rows, HeadSpec(ridge=ridge), PATH, terms_of(rows))
    assert [len(one) for one in made] == [400]
    other = asking(make_rows(n=300))
    fit_path(other, HeadSpec(ridge=ridge))
    fit_path(rows, HeadSpec(ridge=ridge))
    assert [len(one) for one in made] == [400, 300, 400]  # one copy at a time
    assert device_copy._HELD.held is not None
    del rows
    made.clear()
    gc.collect()
    assert device_copy._HELD.held is None


@pytest.mark.parametrize("why", ["no room", "refused"])
def test_where_features_do_not_fit_the_processor_fits_and_it_is_said(
    on, make_rows, monkeypatch, caplog, why
):
    def refuse(*_):
        raise torch.OutOfMemoryError("no")

    if why == "refused":
        monkeypatch.setattr(device_copy, "copied", refuse)
        monkeypatch.setattr(device_copy, "free_bytes", lambda device: 10**12)
    else:
        monkeypatch.setattr(device_copy, "free_bytes", lambda device: 10**9)
    rows = make_rows(n=400)
    expected = fit_path(rows, HeadSpec(ridge=0.1))[0]
    with caplog.at_level(logging.WARNING, "evenhand"):
        found = fit_path(asking(rows), HeadSpec(ridge=0.1))[0]
    np.testing.assert_array_equal(found.head.weight, expected.head.weight)
    free = "1000.0 GB" if why == "refused" else "1.0 GB"
    said = f"features of 0.0 GB do not fit on {on}, where {free} are free"
    assert found.where == f"the processor: {said}"
    assert f"heads are fitted on the processor: {said}" in caplog.text


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_the_way_to_a_gpu_and_back(gpu, make_rows, monkeypatch, dtype):
    monkeypatch.setattr(placing, "ON_DEVICE", 0)
    monkeypatch.setattr(head_fit, "IN_PASSES", 0)
    monkeypatch.setattr(on_device, "BESIDE_BYTES", 0)
    rows = make_rows(n=900, classes=3, groups=3, unknown=0.1, dtype=dtype)
    grid = CandidateGrid((0.0, 1.0))
    held, found = (
        crossfit(one, HeadSpec(1e-2), "eo", grid=grid) for one in (rows, asking(rows, gpu))
    )
    assert {fit.where for fit in held.fits} == {""}
    assert {fit.where for fit in found.fits} == {"cuda:0"}
    require_the_same(held.fits, found.fits, rows, 1e-6 if dtype is np.float64 else 1e-4)
    monkeypatch.setattr(on_device, "BESIDE_BYTES", 10**15)
    tight = fit_path(asking(rows, "auto").with_features(rows.features), HeadSpec(ridge=0.1))[0]
    assert tight.where.startswith("the processor: features of 0.0 GB do not fit on cuda:0, where ")


def test_few_rows_stay_on_the_processor_and_wait_for_no_torch():
    code = """
import sys
import numpy as np
import evenhand as eh
rows = eh.heads.Rows(np.eye(8), np.arange(8) % 2, eh.Groups(np.arange(8) % 2, ("a", "b")),
                     ("no", "yes"), device="auto")
assert eh.heads.fit_path(rows, eh.heads.HeadSpec(ridge=0.1))[0].where == ""
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_many_rows_are_fitted_where_it_is_asked(make_rows, monkeypatch):
    monkeypatch.setattr(placing, "ON_DEVICE", 600 * 5)
    rows = make_rows()
    asked = []
    gpu = torch.device("cuda", 0)
    monkeypatch.setattr(
        "evenhand._base.devices.device_of", lambda device: asked.append(device) or gpu
    )
    assert placing.device_for(rows) is None  # the processor, by default
    assert placing.device_for(asking(rows)[:599]) is None
    assert asked == []
    assert placing.device_for(asking(rows, "cuda")) == gpu
    assert asked == ["cuda"]
    assert (asking(rows) + asking(rows)).device == "auto"
    gpu = torch.device("mps")
    assert placing.device_for(asking(rows)) is None


def test_a_device_that_is_not_here_is_refused_by_name(make_rows, monkeypatch):
    monkeypatch.setattr(placing, "ON_DEVICE", 0)
    monkeypatch.setattr(head_fit, "IN_PASSES", 0)
    with pytest.raises(InputError, match="no device 'gpu'"):
        fit_path(asking(make_rows(), "gpu"), HeadSpec(ridge=0.1))


def test_fits_are_preconditioned_there(on, make_rows, monkeypatch):
    made, own = [], OnDevice.product
    monkeypatch.setattr(
        OnDevice, "product", lambda self, *given: made.append(len(given[0])) or own(self, *given)
    )
    rows = asking(make_rows(n=400))
    fit_path(rows, HeadSpec(ridge=0.1))
    assert made == [40, 400]  # a few rows for the first fit of the sample, and then all of it


def test_groups_of_none_are_summed_nowhere(on, make_rows):
    rows = make_rows(n=300)
    nobody = Rows(rows.features, rows.labels, Groups(np.full(300, -1), ("a", "b")), rows.classes)
    expected, found = (
        fit_path(one, HeadSpec(ridge=0.01), [5.0], terms_of(one))
        for one in (nobody, asking(nobody))
    )
    require_the_same(expected, found, rows, 1e-6)
