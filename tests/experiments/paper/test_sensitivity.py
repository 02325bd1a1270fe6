import numpy as np
import pandas as pd
import pytest

from evenhand.experiments.paper.readings import CHOICES, DEFAULT, Reading, importance, readings
from evenhand.experiments.paper.sensitivity import by_budget, judge_readings, that_change
from evenhand.fisher.neutralize import neutralize
from evenhand.fisher.sums import GroupFisher


@pytest.fixture
def fisher():
    sums = np.array([[4.0, 9.0, 1e-9], [16.0, 1.0, 1e-9]])
    return GroupFisher(sums, np.array([2, 4]), ("a", "b"))


def test_the_default_reading_is_the_librarys_neutralize(fisher):
    np.testing.assert_allclose(importance(fisher, DEFAULT), neutralize(fisher))


def test_each_reading_says_what_it_says(fisher):
    summed = importance(fisher, Reading(over="sum", root="after"))
    np.testing.assert_allclose(summed[:2], np.sqrt([10.0, 5.0]))
    floored = importance(fisher, Reading(floor=0.1))
    assert floored[2] == pytest.approx(0.1 * floored.max())


def test_all_combinations_are_there_once():
    every = [str(reading) for reading in readings()]
    assert len(every) == len(set(every)) == np.prod([len(v) for v in CHOICES.values()])
    assert str(DEFAULT) in every


def made(shift_of, budgets=("stopped at 3", "converged")):
    """Results in which ``shift_of(reading, budget)`` is the method's difference to f+SVD."""
    rows = []
    for seed in range(4):
        for budget in budgets:
            base = {"source": "s", "rank": "1", "budget": budget, "seed": seed}
            level = {"error": 15.0 + seed, "delta_eo": 0.2, "delta_dp": 0.2}
            heads = CHOICES["head"]
            rows += [base | {"who": f"TL: {h}", "rank": "dense"} | level for h in heads]
            controls = {reading.control for reading in readings()}
            rows += [base | {"who": f"f+SVD: {control}"} | level for control in controls]
            for reading in readings():
                gap = 0.2 + shift_of(reading, budget) + 1e-4 * seed
                rows.append(base | {"who": str(reading)} | level | {"delta_eo": gap})
    return pd.DataFrame(rows)


def test_a_reading_that_changes_the_verdict_is_named():
    def shift_of(reading, budget):
        return -0.1 if reading.floor == 0.1 and budget == "converged" else 0.0

    judged = judge_readings(made(shift_of))
    changing = that_change(judged)
    assert set(changing["metric"]) == {"ΔEO"}
    assert set(changing["budget"]) == {"converged"}
    assert set(changing["what they share"]) == {"floor 0.1"}
    assert set(changing["verdict"]) == {"reproduces"}
    summary = by_budget(judged)
    half = len(list(readings())) // 2
    row = summary[(summary["metric"] == "ΔEO") & (summary["budget"] == "converged")].iloc[0]
    assert (row["reproduces"], row["equivalent"]) == (half, half)


def test_nothing_changes_where_all_readings_are_alike():
    judged = judge_readings(made(lambda reading, budget: 0.0))
    assert that_change(judged).empty
    assert set(judged["verdict"]) == {"equivalent"}
