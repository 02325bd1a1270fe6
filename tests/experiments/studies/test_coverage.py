"""The coverage study on a small population: the truth is the population's own gap."""

import numpy as np
import pandas as pd
import pytest

from evenhand._base.processes import spread
from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.experiments.studies import coverage as study
from evenhand.experiments.studies import populations
from evenhand.groups import Groups
from evenhand.rows import Rows


@pytest.fixture
def small(monkeypatch):
    draw = np.random.default_rng(0)
    codes = draw.integers(0, 2, 8000)
    x = draw.normal(size=(8000, 3)) + 0.8 * codes[:, None]
    labels = (x.sum(axis=1) + draw.logistic(size=8000) > 1).astype(int)
    rows = Rows(x, labels, Groups(codes, ("a", "b")), ("no", "yes"))
    monkeypatch.setattr(populations, "_MAKERS", {"small": lambda: rows})
    populations.population.cache_clear()
    yield rows
    populations.population.cache_clear()


def test_every_draw_tells_the_promise_and_the_truth(small):
    draws = study.coverage(replicates=1, sizes=(600,), confidences=(0.9,))
    assert len(draws) == len(populations.CRITERIA) * len(populations.SHARES)
    assert draws["true_gap"].between(0, 2).all()
    assert (draws["kept"] == (draws["true_gap"] <= draws["bound"])).all()
    again = study.coverage(replicates=1, sizes=(600,), confidences=(0.9,))
    pd.testing.assert_frame_equal(draws, again)


def test_the_summary_counts_promises_only():
    draws = pd.DataFrame(
        {
            "population": "p",
            "rows": 100,
            "criterion": str(Criterion.EQUALIZED_ODDS),
            "bound": 0.1,
            "confidence": 0.9,
            "draw": range(4),
            "promised": [True, True, True, False],
            "true_gap": [0.05, 0.2, 0.09, 0.5],
            "kept": [True, False, True, False],
            "floor": 0.02,
        }
    )
    (row,) = study.summary(draws).to_dict(orient="records")
    assert row["coverage"] == pytest.approx(2 / 3)
    assert row["refused"] == 0.25
    assert row["above_floor"]
    assert "2" in study.page(study.summary(draws), "the command", "a machine")


def test_a_population_that_is_not_there_is_named():
    with pytest.raises(InputError, match="no population 'mars'"):
        study.population("mars")


def test_results_come_in_order_from_several_processes():
    assert spread(divmod, [(7, 2), (9, 4), (5, 5)], jobs=2) == [(3, 1), (2, 1), (1, 0)]
