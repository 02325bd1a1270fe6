"""Arrays nobody should have: every public function answers rightly or refuses by name."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from fuzzing import amounts, attempt, fuzz
from hypothesis import strategies as st
from scipy.special import softmax

import evenhand as eh
from evenhand.fisher.factorize import NoSavingWarning
from evenhand.groups import Groups
from evenhand.head import Head
from evenhand.heads.gaps import Softness
from evenhand.heads.selection.candidates import CandidateGrid
from evenhand.heads.selection.crossfit import crossfit
from evenhand.heads.selection.fair_head import fit_fair_head
from evenhand.heads.selection.rule import Rule
from evenhand.heads.spec import FitControl, HeadSpec
from evenhand.integrations.sklearn import FairLinearHead
from evenhand.metrics.bounds import may_be_noise, upper_bound
from evenhand.metrics.gap_intervals import gap_interval
from evenhand.metrics.intervals import error_interval
from evenhand.metrics.rates import ERRORS, gap
from evenhand.rows import Rows

CRITERIA = ("demographic_parity", "equalized_odds", "equal_opportunity")
numbers = st.sampled_from([0.0, 1.0, -1.0, 0.5, 1e-30, 1e30, 1e-300, 1e300, np.nan, np.inf, -2.0])
scales = st.sampled_from([1.0, 1.0, 1.0, 0.0, 1e-30, 1e30, 1e14, 1e-200, 1e200])
KINDS = ("plain", "plain", "constant", "twice", "separable", "group is label", "one class", "bad")


@dataclass
class Case:
    """Rows, a head and settings, any of which may be impossible."""

    rows: Rows
    head: Head
    criterion: str
    number: float
    seed: int


@st.composite
def cases(draw: Any, least: int = 0, kinds: tuple[str, ...] = KINDS) -> Case:
    n, d = draw(st.integers(least, 60)), draw(st.sampled_from([1, 2, 3, 0, 5, 70]))
    k, g = draw(st.integers(2, 4)), draw(st.integers(1, 4))
    seed, kind = draw(st.integers(0, 10_000)), draw(st.sampled_from(kinds))
    rng = np.random.default_rng(seed)
    codes = rng.integers(-1 if draw(st.booleans()) else 0, g, n)
    labels = rng.integers(0, k, n)
    x = rng.normal(size=(n, d)) + (codes[:, None] if draw(st.booleans()) else 0)
    if kind == "constant" and d:
        x[:, 0] = draw(st.sampled_from([0.0, 1.0, 1e9]))
    elif kind == "twice" and d:
        x[:, -1] = x[:, 0]
    elif kind == "separable" and d:
        x[:, 0] = 100.0 * labels
    elif kind == "group is label":
        labels = np.clip(codes, 0, k - 1)
    elif kind == "one class":
        labels = np.zeros(n, dtype=int)
    elif kind == "bad" and x.size:
        x.ravel()[rng.integers(x.size)] = draw(numbers)
    with np.errstate(over="ignore", invalid="ignore"):
        x = x * draw(scales)
        x = x.astype(draw(st.sampled_from([np.float64, np.float64, np.float32, np.float16])))
    rows = Rows(x, labels, Groups(codes, tuple(f"g{i}" for i in range(g))), tuple("abcd"[:k]))
    weight = rng.normal(size=(d, k)) * draw(st.sampled_from([1.0, 0.0, 1e-30, 1e30]))
    return Case(
        rows, Head(weight, np.zeros(k)), draw(st.sampled_from(CRITERIA)), draw(numbers), seed
    )


def finite(*values: Any) -> None:
    for value in values:
        assert np.isfinite(np.asarray(value, dtype=np.float64)).all()


def in_range(value: float, criterion: str) -> None:
    assert np.isnan(value) or 0 <= value <= (2 if criterion == "equalized_odds" else 1)


def importance_and_factors(case: Case) -> None:
    fisher = eh.head_fisher(case.rows, case.head, kronecker=True, diagonal=True)
    finite(fisher.row_sums, fisher.diagonal_sums)
    assert (fisher.row_sums >= 0).all()
    assert fisher.counts.sum() + fisher.unknown == len(case.rows)
    if fisher.row_sums.size:
        assert np.array_equal(np.isnan(fisher.importance).any(axis=1), fisher.counts == 0)
    for weights in ("mean", "group-agnostic", {"g0": case.number, "g1": 1 - case.number}):
        try:
            made = eh.neutralize(fisher, weights)
        except eh.errors.EvenhandError:
            continue
        finite(made)
        assert (made > 0).all()
        factors(case, made)
    factors(case, None)
    with quiet():
        kept = eh.fisher.compress(case.head, fisher.kronecker)
    finite(kept.down, kept.up, kept.bias, kept.kept)


def factors(case: Case, weights: Any) -> None:
    with quiet():
        full = eh.factorize(case.head, weights, rank=min(case.head.weight.shape))
        low = eh.factorize(case.head, weights, mean=np.zeros(case.head.in_features))
    size = np.abs(case.head.weight).max(initial=0)
    assert np.allclose(full.head.weight, case.head.weight, rtol=0, atol=1e-9 * size)
    finite(low.down, low.up, low.bias)
    assert 0 <= low.kept <= 1


@contextmanager
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoSavingWarning)
        yield


@amounts(60, 2_500)
def test_importance_and_factors(examples):
    fuzz("rows to importance and factors", examples, cases(), importance_and_factors)


def soft_gap(case: Case) -> None:
    rows = case.rows
    with np.errstate(all="ignore"):
        logits = rows.features.astype(np.float64) @ case.head.weight
    z = torch.as_tensor(logits).requires_grad_()
    labels, codes = torch.as_tensor(rows.labels), torch.as_tensor(rows.groups.codes)
    loss = eh.soft_gap_loss(z, labels, codes, case.criterion)
    loss.backward()
    finite(loss.detach(), z.grad)
    assert loss >= 0
    running = eh.GapLoss(
        rows.labels, rows.groups, rows.classes, case.criterion, softness=Softness(min_cell=1)
    )
    finite(running(z.detach(), labels, codes))
    mix = {case.criterion: case.number}
    attempt(lambda: eh.heads.gap_terms(rows.labels, rows.groups, rows.classes, mix))


@amounts(40, 1_500)
def test_soft_gaps(examples):
    fuzz("logits to soft gaps", examples, cases(), soft_gap)


def fitted(case: Case) -> None:
    terms = eh.heads.gap_terms(
        case.rows.labels, case.rows.groups, case.rows.classes, case.criterion
    )
    ridge = case.number if case.seed % 3 == 0 else 1e-3
    start = case.head if case.seed % 4 == 0 else None
    for fit in eh.heads.fit_path(
        case.rows, HeadSpec(ridge=ridge), (0.0, 3.0), terms, control=FitControl(start=start)
    ):
        finite(fit.value, fit.head.weight, fit.head.bias)
        p = softmax(fit.logits(case.rows.features), axis=1)
        finite(p)
        assert np.allclose(p.sum(axis=1), 1)
        assert isinstance(fit.converged, bool)


@amounts(40, 1_500)
def test_fits(examples):
    fuzz("rows to fitted heads", examples, cases(), fitted)


def evened(case: Case) -> None:
    bounds = (eh.Bound(case.criterion, 0.3),) if case.seed % 2 else ()
    criterion = eh.Criterion.parse(case.criterion)
    rule = Rule(bounds, criterion, min_rows=2 if case.seed % 4 < 2 else 100)
    old = case.head if case.seed % 3 == 0 else None
    found = fit_fair_head(
        case.rows,
        rule,
        HeadSpec(ridge=0.01),
        old=old,
        grid=CandidateGrid(strengths=(0.0, 3.0), offsets=(-0.5, 0.0, 0.5)),
    )
    choice = found.choice
    finite(choice.error, found.head.weight)
    assert 0 <= choice.error <= 100
    for criterion, value in choice.gaps.items():
        if choice.counted[criterion].sum() < 2:  # no two groups have the rows to be compared
            assert np.isnan(value)
            continue
        finite(value, choice.uppers[criterion])
        in_range(value, str(criterion))
        assert choice.uppers[criterion] >= value
    if rule.bounds and choice.promised:
        assert choice.uppers[rule.criterion if not rule.bounds else rule.criteria[0]] <= 0.3
    for family in found.families:
        assert (family.totals.sum(axis=(-1, -2)) == len(case.rows)).all()
    if case.seed % 5 == 0:
        crossfit(
            case.rows,
            HeadSpec(ridge=case.number),
            case.criterion,
            grid=CandidateGrid(strengths=(0.0,), offsets=(0.0,)),
        )


@amounts(12, 500)
def test_the_default_algorithm(examples):
    kinds = tuple(kind for kind in KINDS if kind != "bad")
    fuzz("rows to the default algorithm", examples, cases(8, kinds), evened)


def estimated(case: Case) -> None:
    rows = case.rows
    bound = None if case.seed % 2 else case.number
    names = np.array([*rows.groups.names, None], dtype=object)[rows.groups.codes]
    model = FairLinearHead(case.criterion, bound=bound, strength=1.0, ridge=0.1)
    try:
        with np.errstate(invalid="ignore"), unpromised():  # scikit-learn sums X for infinities
            model.fit(rows.features.astype(np.float64), rows.labels, sensitive_features=names)
    except ValueError as error:
        # scikit-learn's conventions ask for its own words where X cannot be read.
        if not str(error).startswith(("Found array with", "Input X contains")):
            raise
        return
    p = model.predict_proba(rows.features.astype(np.float64))
    finite(p, model.coef_, model.intercept_)
    assert np.allclose(p.sum(axis=1), 1)
    assert set(model.predict(rows.features.astype(np.float64))) <= set(rows.labels.tolist())


@contextmanager
def unpromised() -> Iterator[None]:
    """A bound that cannot be promised is warned of; any other warning is still an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", eh.errors.UnpromisedWarning)
        yield


@amounts(8, 300)
def test_the_estimator(examples):
    fuzz("arrays to FairLinearHead", examples, cases(1), estimated)


@st.composite
def tables(draw: Any) -> tuple[np.ndarray, str, float]:
    g, k = draw(st.integers(0, 4)), draw(st.integers(1, 4))
    cells = st.integers(0, draw(st.sampled_from([0, 1, 5, 60, 10**6])))
    flat = draw(st.lists(cells, min_size=g * k * k, max_size=g * k * k))
    table = np.array(flat, dtype=np.float64).reshape(g, k, k)
    if draw(st.booleans()):
        table = table * draw(st.sampled_from([0.5, 1e-3, 1.0, -1.0, np.nan, 1e300]))
    return table, draw(st.sampled_from(CRITERIA)), draw(numbers)


def measured(value: tuple[np.ndarray, str, float]) -> None:
    table, criterion, number = value
    with np.errstate(over="ignore"):
        found = gap_interval(table, criterion, replicates=50)
    in_range(found.estimate, criterion)
    if np.isfinite(found.low):
        assert found.low <= found.estimate <= found.high
        in_range(found.low, criterion)
        in_range(found.high, criterion)
    for name in ERRORS:
        error = error_interval(table, name, replicates=50)
        assert np.isnan(error.estimate) or 0 <= error.estimate <= 100
        assert np.isnan(error.low) or -1e-9 <= error.low <= error.high <= 100 + 1e-9
    upper = upper_bound(table, criterion, 1.28)
    assert np.isnan(upper) == np.isnan(found.estimate)
    assert np.isnan(upper) or upper >= found.estimate
    may_be_noise(table, criterion)
    # names, order and repetition change nothing
    for other in (table[::-1], table * 3):
        assert gap(other, criterion) == pytest.approx(found.estimate, nan_ok=True)
    attempt(lambda: gap_interval(table, criterion, level=number, replicates=20))


@amounts(60, 2_500)
def test_counts_to_gaps_and_intervals(examples):
    fuzz("count tables to gaps, errors and intervals", examples, tables(), measured)


def counted(case: Case) -> None:
    rows = case.rows
    decided = np.random.default_rng(case.seed).integers(0, len(rows.classes), len(rows))
    counts = eh.Counts.of(rows.labels, decided, rows.groups, rows.classes)
    assert len(counts) == len(rows) == counts.total.sum()
    wrong: Any = [decided + case.number, decided[:-1], decided + 4, decided.astype(str), None]
    with np.errstate(all="ignore"):
        given = wrong[case.seed % 5]
        attempt(lambda: eh.Counts.of(rows.labels, given, rows.groups, rows.classes))


@amounts(30, 700)
def test_counts(examples):
    fuzz("decisions to counts", examples, cases(), counted)


def finetuned(case: Case) -> None:
    rows = case.rows
    part = (rows.features, rows.labels, rows.groups.codes)
    model = torch.nn.Sequential(
        torch.nn.Linear(max(1, rows.features.shape[1]), 3),
        torch.nn.ReLU(),
        torch.nn.Linear(3, len(rows.classes)),
    )
    bound = {case.criterion: case.number} if case.seed % 2 else None
    result = eh.finetune(model, part, part, part, bound=bound, classes=rows.classes)
    frame = result.run.records
    for record in frame:
        assert 0 <= record.error <= 100
        for criterion in CRITERIA:
            in_range(record.gap(criterion), criterion)
        assert len(record.counts) == len(rows)


@amounts(2, 40)
def test_finetuning(examples):
    fuzz("arrays to finetune", examples, cases(), finetuned)
