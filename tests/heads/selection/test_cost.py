"""What a candidate costs at most: a normal margin, wider where errors are counted alone."""

from dataclasses import replace

import numpy as np
import pytest
from made_up import candidates, table

from evenhand.criteria import Criterion
from evenhand.heads.selection.cost import COUNTED_ALONE, upper_cost
from evenhand.heads.selection.rule import Rule
from evenhand.heads.selection.scored import score_candidates

RULE = Rule(criterion=Criterion.EQUALIZED_ODDS, error="accuracy")


@pytest.fixture
def scored():
    """Transfer learning, and a head that decides 300 rows otherwise; a row is 1/13,500 of all."""
    family = candidates([table((0.8, 0.8), (0.1, 0.1)), table((0.75, 0.75), (0.1, 0.1))])
    found = score_candidates([family], RULE, None, None, 1.28)
    differing = np.array([[0.0, 0.0], [75.0, 225.0]])
    return replace(found, tuned=0, error=np.array([15.0, 15.2]), differing=differing)


def test_a_cost_is_surer_where_errors_are_counted_alone(scored):
    row = 100 / 13_500
    margin = np.sqrt(300) * row
    found = {one: upper_cost(replace(scored, assisted=one), RULE) for one in (True, False)}
    assert found[True] == pytest.approx([0, 0.2 + 1.6449 * margin], abs=1e-4)
    assert found[False] == pytest.approx([0, 0.2 + 2.3263 * margin], abs=1e-4)
    assert COUNTED_ALONE == 0.99


def test_each_label_moves_an_error_of_ones_own_by_its_price(scored):
    def missed(confusion):
        return 100.0 * confusion[..., 1, 0] / 4500

    rule = replace(RULE, error=missed)
    found = upper_cost(replace(scored, assisted=True), rule)
    assert found[1] == pytest.approx(0.2 + 1.6449 * np.sqrt(225) * 100 / 4500, abs=1e-4)


def test_of_a_log_loss_no_row_is_counted(scored):
    found = upper_cost(scored, replace(RULE, error="log_loss"))
    np.testing.assert_allclose(found, [0, 0.2])
