"""Choices on resampled rows, against resampling the rows themselves."""

from dataclasses import replace

import numpy as np
import pytest

from evenhand.criteria import Criterion
from evenhand.heads.selection.candidates import CandidateGrid
from evenhand.heads.selection.menu import head_families
from evenhand.heads.selection.promising import CHOSEN
from evenhand.heads.selection.resampling import ZS
from evenhand.heads.selection.rule import Bound, Rule
from evenhand.heads.selection.select import Selection, select
from evenhand.heads.spec import HeadSpec
from evenhand.metrics.bounds import critical_value, upper_bound
from evenhand.metrics.counts import Counts
from evenhand.metrics.rates import f1_error, gap

EO = Criterion.EQUALIZED_ODDS
GRID = CandidateGrid((0.0, 1.0, 10.0), (-0.5, 0.0, 0.5))
SPEC = HeadSpec(ridge=1e-2)


def pool_of(rows, rule, grid=GRID):
    families = head_families(rows, rule, SPEC, grid=grid)
    return families, Selection(tuple(families), 5).pool(rule)


@pytest.mark.parametrize(("groups", "classes", "unknown"), [(2, 2, 0.1), (3, 2, 0.0), (2, 3, 0.0)])
def test_resampled_counts_are_those_of_the_resampled_rows(make_rows, groups, classes, unknown):
    rows = make_rows(n=900, groups=groups, classes=classes, unknown=unknown)
    rule = Rule((Bound("eo", 0.9),), guard=False, min_rows=1, critical="resampled")
    families, pool = pool_of(rows, rule)
    found = pool.resampling
    tables, expected = found.resampled
    assert tables.shape[:2] == (found.draws, len(pool.scored.where))
    weights = found.weights
    cell = rows.groups.codes * classes + rows.labels
    for number in np.unique(cell):  # stratified: each cell keeps its size
        assert (weights[:, cell == number].sum(axis=1) == (cell == number).sum()).all()
    for draw in (0, 5):
        drawn = np.repeat(np.arange(900), weights[draw])
        for at in range(0, len(pool.scored.where), 7):
            family, index = pool.scored.where[at]
            decided = families[family].decisions.at(index)[drawn]
            part = rows[drawn]
            counts = Counts.of(part.labels, decided, part.groups, part.classes)
            np.testing.assert_array_equal(tables[draw, at, :-1], counts.table)
            np.testing.assert_array_equal(tables[draw, at, -1], counts.unknown)
            if classes == 2:
                p = found.probability[drawn]
                for label, chance in enumerate((1 - p, p)):
                    sums = [chance[decided == to].sum() for to in (0, 1)]
                    np.testing.assert_allclose(expected[draw, at, label], sums, rtol=1e-4)
    assert (expected is None) == (classes > 2)


def test_the_critical_value_is_that_of_a_loop(make_rows):
    """At a bound that the most accurate candidate is just above, which luck may bring within."""
    rows = make_rows(n=1500)
    rule = Rule((Bound("eo", 1.0),), guard=False, assisted=False, critical="resampled")
    families, pool = pool_of(rows, rule)
    best = np.where(pool.able_to_promise, pool.scored.error, np.inf).argmin()
    limit = float(pool.scored.gap[EO][best]) - 0.005
    pool = Selection(tuple(families), 5).pool(replace(rule, bounds=(Bound("eo", limit),)))
    every = np.flatnonzero(pool.able_to_promise)
    weights = pool.resampling.weights
    decided = np.stack([families[f].decisions.at(i) for f, i in pool.scored.where])[every]
    originals = np.array([float(g) for g in pool.scored.gap[EO]])[every]
    kept_at = {z: [] for z in ZS}
    for weight in weights:
        part = rows[np.repeat(np.arange(1500), weight)]
        tables = np.stack(
            [
                Counts.of(part.labels, np.repeat(d, weight), part.groups, part.classes).table
                for d in decided
            ]
        )
        error = f1_error(tables.sum(axis=1))
        for z in ZS:
            within = upper_bound(tables, EO, z, rule.min_rows) <= limit
            if within.any():
                chosen = np.where(within, error, np.inf).argmin()
                kept_at[z].append(originals[chosen] <= limit)
    expected = next(z for z, kept in kept_at.items() if len(kept) >= 24 and np.mean(kept) >= 0.9)
    assert ZS[0] < expected < ZS[-1]
    assert pool.calibrated().scored.z == expected


def test_a_bound_that_could_be_promised_is_when_it_is_asked_for(make_rows):
    rows = make_rows(n=1500)
    rule = Rule((Bound("eo", 0.02),), guard=False, critical="resampled")
    families = head_families(rows, rule, SPEC, grid=GRID)
    refused = select(families, rule, features=5)
    assert refused.promised is False
    smallest = refused.attainable[EO]
    assert round(smallest, 3) == smallest
    assert f"{smallest:.3f}" in refused.reason
    told = select(families, replace(rule, bounds=(Bound("eo", smallest),)), features=5)
    assert told.promised is True
    assert told.uppers[EO] <= smallest


def test_where_only_counts_are_known_the_normal_quantile_holds(make_rows):
    rows = make_rows(n=1500)
    rule = Rule((Bound("eo", 0.3),), guard=False, critical="resampled")
    families = head_families(rows, rule, SPEC, grid=GRID)
    assert select(families, rule, features=5).z in ZS
    counted = [replace(family, decisions=None) for family in families]
    normal = critical_value(0.9, 1500, 5)
    assert select(counted, rule, features=5).z == normal
    chosen = select(families, replace(rule, critical="quantile"), features=5)
    assert chosen.z == pytest.approx(normal + CHOSEN)
    assert select(families, replace(rule, critical="small cells"), features=5).z == pytest.approx(
        1.6449, abs=1e-4
    )
    assert select(families, replace(rule, bounds=()), features=5).z == normal
    assert gap(families[0].tables[0, 1], "eo") > 0
