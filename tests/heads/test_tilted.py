"""Heads tilted from the mean of the cells to the worst of them."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from evenhand.errors import InputError
from evenhand.groups import Groups
from evenhand.heads.fit import fit_path
from evenhand.heads.selection.candidates import OFFSETS
from evenhand.heads.selection.folds import folds
from evenhand.heads.selection.menu import head_families
from evenhand.heads.selection.rule import Bound, Rule
from evenhand.heads.selection.worst_cells import FOLDS_OF_CELLS, tilted_family
from evenhand.heads.spec import HeadSpec
from evenhand.heads.tilted import TILTS, _Objective, cells_of, fit_tilted
from evenhand.metrics.rates import gap
from evenhand.rows import Rows

RIDGE = 1e-2


def made(n=1_500, classes=2, seed=0):
    """A small group whose labels follow another feature."""
    rng = np.random.default_rng(seed)
    codes = (rng.random(n) < 0.15).astype(np.int64)
    features = rng.normal(size=(n, 4)) + 0.3
    score = np.where(codes == 0, features[:, 0], features[:, 1]) + 0.5 * rng.normal(size=n)
    labels = np.digitize(score, np.quantile(score, np.arange(1, classes) / classes))
    names = tuple(f"c{k}" for k in range(classes))
    return Rows(features, labels.astype(np.int64), Groups(codes, ("many", "few")), names)


def losses(head, rows, cell):
    """The mean log-loss of each cell."""
    log_share = log_softmax(head.logits(rows.features), axis=1)
    loss = -log_share[np.arange(len(rows)), rows.labels]
    return np.array([loss[cell == one].mean() for one in np.unique(cell)])


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("tilt", [0.0, 3.0, 30.0])
def test_it_is_the_fit_of_rows_weighted_as_the_tilt_weighs_their_cells(classes, tilt):
    """At the end the gradient is a weighted log-loss's: the other solver finds the same head."""
    rows = made(classes=classes)
    cell = cells_of(rows)
    fit = fit_tilted(rows, cell, ridge=RIDGE, tilts=(0.0, tilt))[-1]
    assert fit.converged
    of_cells, sizes = losses(fit.head, rows, cell), np.bincount(cell)
    share = softmax(tilt * of_cells)
    weights = (share / sizes)[cell] * len(rows)
    same = fit_path(rows, HeadSpec(ridge=RIDGE), weights=weights)[0].head
    logits, others = (head.logits(rows.features) for head in (fit.head, same))
    assert logits - logits.mean(1, keepdims=True) == pytest.approx(
        others - others.mean(1, keepdims=True), abs=2e-3
    )


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("tilt", [0.0, 7.0])
def test_value_and_gradient_are_autograds(classes, tilt):
    rows = made(200, classes)
    cell = cells_of(rows)
    objective = _Objective(rows, cell, RIDGE)
    at = np.random.default_rng(0).normal(size=objective.size)
    value, gradient = objective(at, tilt)
    point = torch.tensor(at, requires_grad=True)
    shaped = point.reshape(objective.shape)
    weight = torch.linalg.solve(torch.tensor(objective.factor), shaped[:-1])
    scores = torch.tensor(objective.features) @ weight + shaped[-1]
    if classes == 2:
        scores = torch.hstack([torch.zeros(len(scores), 1), scores])
    loss = torch.nn.functional.cross_entropy(scores, torch.tensor(rows.labels), reduction="none")
    of_cells = torch.stack([loss[torch.tensor(cell == one)].mean() for one in np.unique(cell)])
    tilted = of_cells.mean()
    if tilt:
        tilted = (torch.logsumexp(tilt * of_cells, 0) - np.log(len(of_cells))) / tilt
    expected = tilted + RIDGE / 2 * (weight**2).sum()
    expected.backward()
    assert value == pytest.approx(float(expected.detach()), abs=1e-12)
    assert gradient == pytest.approx(point.grad.numpy(), abs=1e-12)


def test_the_worst_cell_loses_less_the_more_it_is_tilted():
    rows = made()
    cell = cells_of(rows)
    worst = [losses(fit.head, rows, cell).max() for fit in fit_tilted(rows, cell, ridge=RIDGE)]
    assert worst == sorted(worst, reverse=True)
    plain = losses(fit_path(rows, HeadSpec(ridge=RIDGE))[0].head, rows, cell).max()
    assert worst[-1] < worst[0] < plain


def test_cells_are_groups_or_groups_and_labels_and_rows_of_none_are_left_out():
    rows = made(300)
    assert set(cells_of(rows, by_label=False)) == {0, 1}
    assert set(cells_of(rows)) == {0, 1, 2, 3}
    codes = rows.groups.codes.copy()
    codes[:50] = -1
    unknown = Rows(rows.features, rows.labels, Groups(codes, rows.groups.names), rows.classes)
    assert (cells_of(unknown)[:50] == -1).all()
    one, other = (
        fit_tilted(part, cells_of(part), ridge=RIDGE, tilts=(0.0,))[0].head
        for part in (unknown, rows[np.arange(50, 300)])
    )
    assert one.weight == pytest.approx(other.weight)
    with pytest.raises(InputError, match="no row is in a cell"):
        fit_tilted(rows, np.full(len(rows), -1), ridge=RIDGE)
    with pytest.raises(InputError, match="at least 0, found -1"):
        fit_tilted(rows, cells_of(rows), ridge=RIDGE, tilts=(-1.0,))


@pytest.mark.parametrize("name", ["worst_group_accuracy", "worst_cell_accuracy"])
def test_the_family_serves_the_worst_better_than_transfer_learning(name):
    rows = made(2_000)
    criterion = Bound(name, 0.5).criterion
    family = tilted_family(rows, HeadSpec(ridge=RIDGE), criterion, OFFSETS)
    assert family.strengths == TILTS
    assert len(family.parts) == FOLDS_OF_CELLS + 1
    assert family.tables.sum(axis=(2, 3, 4)).tolist() == [[2_000] * len(OFFSETS)] * len(TILTS)
    plain = fit_path(rows, HeadSpec(ridge=RIDGE))[0].head.predict(rows.features)
    table = np.zeros((2, 2, 2), dtype=int)
    np.add.at(table, (rows.groups.codes, rows.labels, plain), 1)
    assert gap(family.tables, criterion).max() > gap(table, criterion) + 0.03


def test_it_is_judged_as_the_heads_without_a_twentieth_of_the_rows_decide():
    rows, criterion = made(400), Bound("worst_cell_accuracy", 0.5).criterion
    family = tilted_family(rows, HeadSpec(ridge=RIDGE), criterion, (0.0,), seed=3)
    table = np.zeros((2, 2, 2), dtype=int)
    for train, judged in folds(rows, number=FOLDS_OF_CELLS, seed=3):
        part, others = rows[train], rows[judged]
        fit = fit_tilted(part, cells_of(part), ridge=RIDGE, tilts=TILTS)[-1]
        decided = fit.head.predict(others.features)
        np.add.at(table, (others.groups.codes, others.labels, decided), 1)
    np.testing.assert_array_equal(family.tables[-1, 0], table)


def test_rows_that_are_fitted_in_passes_have_it_too_until_they_no_longer_fit(monkeypatch):
    rows, spec = made(300), HeadSpec(ridge=RIDGE)
    criterion = Bound("worst_cell_accuracy", 0.5).criterion
    monkeypatch.setattr("evenhand.heads.head_fit.IN_PASSES", rows.features.size - 1)
    assert tilted_family(rows, spec, criterion, OFFSETS) is not None
    monkeypatch.setattr("evenhand.heads.selection.worst_cells.MOST", rows.features.size - 1)
    assert tilted_family(rows, spec, criterion, OFFSETS) is None


def test_the_menu_has_it_for_criteria_that_look_at_the_worst(make_rows):
    from evenhand.heads.selection.candidates import CandidateGrid

    grid = CandidateGrid((0.0, 1.0), (-0.2, 0.0, 0.2))
    rows, spec = make_rows(n=800), HeadSpec(ridge=RIDGE)

    def names(name):
        rule = Rule((Bound(name, 0.5),))
        return [family.family for family in head_families(rows, rule, spec, grid=grid)]

    assert names("worst_cell_accuracy")[-1] == "head, tilted to the worst of cells"
    assert names("worst_group_error")[-1] == "head, tilted to the worst of groups"
    assert not any("tilted" in name for name in names("equalized_odds"))
