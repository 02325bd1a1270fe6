"""The changed rows of each scenario, and what the default does on one of them."""

import numpy as np
import pytest

from evenhand.experiments.studies import safeguards as study


@pytest.mark.parametrize("name", list(study.SCENARIOS))
def test_a_scenario_keeps_rows_whole(make_rows, name):
    rows = make_rows(3000, 4)
    changed = study.SCENARIOS[name](rows, np.random.default_rng(0))
    assert len(changed) == len(changed.groups) == len(changed.features) <= len(rows)
    assert changed.groups.number >= 2


def test_groups_by_lot_leave_the_model_alone():
    found = study._one("groups drawn by lot", 0)
    assert found["left_alone"]
    assert "already fair" in found["reason"]


def test_few_positives_are_two_percent(make_rows):
    changed = study.SCENARIOS["2 % positives"](make_rows(5000, 4), np.random.default_rng(0))
    assert abs((changed.labels == 1).mean() - 0.02) < 0.005
