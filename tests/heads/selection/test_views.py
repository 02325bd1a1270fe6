"""Heads on features that were learnt on the rows: each judged where the learning did not look."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from evenhand.heads.fit import fit_path
from evenhand.heads.gaps import gap_terms
from evenhand.heads.selection.blocks import log_losses
from evenhand.heads.selection.candidates import CandidateGrid
from evenhand.heads.selection.crossfit import as_trained, crossfit_seen
from evenhand.heads.selection.folds import fold_numbers
from evenhand.heads.selection.menu import fits_needed, head_families
from evenhand.heads.selection.merges import RIDGE, group_directions, merged, transfer_merges
from evenhand.heads.selection.ridge import choose_ridge
from evenhand.heads.selection.rule import Bound, Rule
from evenhand.heads.selection.views import Views
from evenhand.heads.spec import FitControl, HeadSpec
from evenhand.metrics.counts import Counts

GRID = CandidateGrid((0.0, 1.0), (-0.5, 0.0, 0.5))
FOLDS = 3


@pytest.fixture
def views(make_rows):
    """Each model turns the features in its own way; its heads have nothing to do with them."""
    rows = make_rows(n=500)
    draw = np.random.default_rng(0)
    d = rows.features.shape[1]

    def seen():
        turned = np.eye(d) + 0.3 * draw.normal(size=(d, d))
        return rows.with_features(rows.features @ turned + 0.1 * draw.normal(size=(500, d)))

    each = [seen() for _ in range(FOLDS + 1)]
    numbers = fold_numbers(rows, number=FOLDS)
    heads = [
        fit_path(one, HeadSpec(ridge=1e-2), (0.0,))[0].head.shifted(0.1 * at)
        for at, one in enumerate(each)
    ]
    return Views(each[-1], numbers, each[:-1], heads, 0.5)


def parts_of(views):
    """Of each fold the rows its heads are fitted on, and those they are judged on."""
    for fold, rows in enumerate(views.without):
        yield fold, rows[views.folds != fold], rows[views.folds == fold]


def tables_of(views, log_odds):
    """(O, G, K, K) counts by a loop; ``log_odds`` is of a fold and its rows."""
    found = np.zeros((len(GRID.offsets), 2, 2, 2), dtype=int)
    for fold, _, judged in parts_of(views):
        for o, offset in enumerate(GRID.offsets):
            decided = (log_odds(fold, judged.features) + offset > 0).astype(int)
            found[o] += Counts.of(judged.labels, decided, judged.groups, judged.classes).table
    return found


def odds_of(head, features):
    logits = head.logits(features)
    return logits[:, 1] - logits[:, 0]


def near(views, fold, rows, ridge, strengths=(0.0,)):
    """Heads that a ridge draws to the one that came with the fold's features."""
    terms = gap_terms(rows.labels, rows.groups, rows.classes, "eo")
    spec = HeadSpec(ridge=ridge, anchor=views.heads[fold])
    return fit_path(rows, spec, strengths, terms)


def test_heads_keep_near_to_the_one_that_came_with_their_features(views):
    found = crossfit_seen(views, HeadSpec(ridge=0.1), "eo", grid=GRID, min_rows=1)
    for fold, rows in enumerate(views.fitted_on):
        for fit, other in zip(
            found.parts[fold], near(views, fold, rows, 0.1, (0.0, 1.0)), strict=True
        ):
            np.testing.assert_allclose(fit.head.weight, other.head.weight, atol=1e-5)
    free = crossfit_seen(replace(views, heads=()), HeadSpec(ridge=0.1), "eo", grid=GRID)
    alone = fit_path(views.whole, HeadSpec(ridge=0.1), (0.0,))[0].head
    np.testing.assert_allclose(free.fits[0].head.weight, alone.weight, atol=1e-5)


def test_directions_are_those_of_each_models_own_features(views):
    found = group_directions(views.whole, views=views)
    kept = [fitted for _, fitted, _ in parts_of(views)] + [views.whole]
    assert len(found) == len(kept) == FOLDS + 1
    for rows, one in zip(kept, found, strict=True):
        x, (group,) = rows.features, one.groups
        ridge = RIDGE * x.var(axis=0).mean() * len(x)
        score = Ridge(alpha=ridge).fit(x, rows.groups.codes == group).predict(x)
        score = (score - score.mean()) / score.std()
        np.testing.assert_allclose(x @ one.weight[:, 0] + one.bias[0], score, atol=1e-6)


def test_merges_are_judged_by_models_that_did_not_see_the_rows(views):
    path = crossfit_seen(views, HeadSpec(ridge=1e-2), "eo", grid=GRID)
    directions = group_directions(views.whole, views=views)
    wanted = transfer_merges(path, directions[-1])
    found = merged(views.whole, path, directions, wanted, views=views)
    for number in (0, len(wanted) - 1):
        t = found.merges[number]

        def log_odds(fold, features, t=t):
            score = features @ directions[fold].weight[:, 0] + directions[fold].bias[0]
            return odds_of(path.parts[fold][0].head, features) + t * score

        np.testing.assert_array_equal(found.tables[number], tables_of(views, log_odds))
        whole = views.whole.features
        score = whole @ directions[-1].weight[:, 0] + directions[-1].bias[0]
        expected = odds_of(path.fits[0].head, whole) + t * score
        shipped = odds_of(found.fit((number, 1)).head, whole)
        np.testing.assert_allclose(shipped, expected, atol=1e-9)
        given = [(expected + offset > 0).sum() for offset in GRID.offsets]
        np.testing.assert_array_equal(found.given[number][:, 1], given)


def test_heads_as_they_were_trained_are_a_family(views):
    found = as_trained(views, HeadSpec(name="head"), "eo", GRID)
    assert found.family == "head as trained"
    assert found.strengths == (0.5,)
    assert found.fits[0].head is views.heads[-1]
    expected = tables_of(views, lambda fold, x: odds_of(views.heads[fold], x))
    np.testing.assert_array_equal(found.tables[0], expected)


def test_the_ridge_is_chosen_by_the_rows_that_no_model_learnt(views):
    ridges = (1e-4, 1e-2, 1.0, 100.0)
    losses = [
        sum(
            float(
                log_losses(
                    near(views, fold, fitted, ridge)[0].logits(judged.features),
                    judged.labels,
                ).sum()
            )
            for fold, fitted, judged in parts_of(views)
        )
        for ridge in ridges
    ]
    best = ridges[int(np.argmin(losses))]
    assert choose_ridge(views.whole, ridges=ridges, views=views) == best


def test_the_menu_counts_its_fits_and_merges_what_came_trained(views):
    fits = []
    rule = Rule((Bound("eo", 0.01),), min_rows=10)
    control = FitControl(on_fit=lambda: fits.append(1))
    spec = HeadSpec(ridge=1e-2, name="trained head")
    found = head_families(views.whole, rule, spec, grid=GRID, control=control, views=views)
    assert len(fits) == fits_needed(rule, GRID, FOLDS + 1)
    names = [one.family for one in found]
    assert names.count("trained head") == 4  # three criteria, and a heavier ridge
    assert names.count("trained head as trained") == 1
    (path,) = [one for one in found if one.family == "trained head as trained"]
    assert len(path.parts) == FOLDS + 1
    assert names.count("trained head, merged") == 2  # so few rows: of transfer learning alone
    free = head_families(views.whole, Rule(min_rows=10), spec, grid=GRID, views=views)
    assert "trained head as trained, merged" in [one.family for one in free]
