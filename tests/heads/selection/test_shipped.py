"""What is shipped was fitted on all rows: it must decide as its parts were seen to."""

from dataclasses import replace

import numpy as np
import pytest

from evenhand.heads.selection.candidates import CandidateGrid
from evenhand.heads.selection.fair_head import fit_fair_head
from evenhand.heads.selection.rule import Bound, Rule
from evenhand.heads.selection.select import select
from evenhand.heads.spec import HeadSpec

GRID = CandidateGrid((0.0, 1.0, 30.0), (-0.5, 0.0, 0.5))


@pytest.fixture
def fair(make_rows):
    rows = make_rows(800, 4)
    return rows, fit_fair_head(rows, Rule(), HeadSpec(ridge=1e-3), grid=GRID)


def test_how_often_the_refitted_heads_decide_each_class_is_counted(fair):
    """Of paths and of merges alike."""
    rows, found = fair
    assert any(family.merges for family in found.families)
    for family in found.families:
        for index in np.ndindex(*family.given.shape[:2]):
            decided = family.fit(index).head.predict(rows.features)
            assert family.given[index].tolist() == np.bincount(decided, minlength=2).tolist()


def test_what_hardly_decides_once_fitted_on_all_rows_is_neither_promised_nor_chosen(fair):
    _, found = fair
    path = found.families[0]
    rule = Rule((Bound("eo", 0.8),), guard=False)
    chosen = select([path], rule, features=4)
    assert chosen.promised
    given = path.given.copy()
    given[chosen.index] = [800, 0]
    changed = replace(path, given=given)
    other = select([changed], rule, features=4)
    assert other.index != chosen.index
    for place in np.ndindex(*given.shape[:2]):
        given[place] = [800, 0]
    none = select([replace(path, given=given)], rule, features=4)
    assert none.promised is False
    assert "gives a class to fewer than half" in none.reason
