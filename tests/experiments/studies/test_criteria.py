"""Every criterion's study: the tables drawn, the bounds asked, what is counted as kept."""

import numpy as np
import pandas as pd
import pytest

from evenhand.criteria import BUILT_IN, Criterion
from evenhand.experiments.studies import criteria as study
from evenhand.experiments.studies.criteria_page import page, promises
from evenhand.experiments.studies.populations import Population
from evenhand.groups import Groups
from evenhand.metrics.rates import gap
from evenhand.rows import Rows


def test_tables_are_drawn_from_the_shares_with_a_hundred_rows_a_cell():
    shares = study.cell_shares(study.DECIDED["three groups"])
    assert shares.sum(axis=(1, 2)) == pytest.approx(np.ones(3))
    drawn = sum(study.drawn_table(shares, np.random.default_rng(seed)) for seed in range(500)) / 500
    assert drawn.sum(axis=2) == pytest.approx(np.full((3, 2), 100), abs=2)
    assert drawn[1, 0, 1] / drawn[1, 0].sum() == pytest.approx(0.30, abs=0.01)


@pytest.mark.parametrize("criterion", ["demographic_parity", "worst_cell_accuracy"])
def test_the_truth_is_that_of_the_shares_and_intervals_hold_it(criterion):
    found = study._held(criterion, "two groups, far apart", 300, seed=1)
    expected = {"demographic_parity": 0.025, "worst_cell_accuracy": 0.60}
    if criterion == "worst_cell_accuracy":
        assert found["truth"] == pytest.approx(expected[criterion])
    assert found["truth"] == pytest.approx(
        float(gap(study.cell_shares(study.DECIDED["two groups, far apart"]), criterion))
    )
    assert 0.9 <= found["held"] <= 0.99
    assert found["bound_held"] >= 0.85


@pytest.fixture
def small(monkeypatch):
    """A population of 6,000 rows in place of the study's."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2, 6_000)
    features = rng.normal(size=(6_000, 2)) + 0.7 * codes[:, None]
    labels = (features.sum(axis=1) + rng.normal(size=6_000) > 0.7).astype(np.int64)
    rows = Rows(features, labels, Groups(codes, ("a", "b"), "g"), ("no", "yes"))
    whole = Population(rows, 1e-3, {})
    monkeypatch.setattr(study, "population", lambda _: whole)
    study.limits.cache_clear()
    yield whole
    study.limits.cache_clear()


def test_bounds_are_shares_of_what_transfer_learning_lacks_and_no_less_than_noise(small):
    asked = study.limits("small", 3_000)
    assert set(asked) == set(BUILT_IN)
    dp, dp_ratio = (asked[Criterion.parse(name)] for name in ("dp", "demographic_parity_ratio"))
    assert dp[0] / dp[1] == pytest.approx(0.4 / 0.7, abs=0.01)
    assert dp_ratio[0] > dp_ratio[1]  # a level: the harder bound is the higher
    few = study.limits("small", 100)[Criterion.DEMOGRAPHIC_PARITY]
    assert few[0] > dp[0]


def test_what_is_promised_is_judged_by_the_whole_population(small, monkeypatch, tmp_path):
    monkeypatch.setattr(study, "BUILT_IN", (Criterion.DEMOGRAPHIC_PARITY,))
    monkeypatch.setattr(study, "STANDARD", ())
    found = study.promise_coverage(1, tmp_path, names=["small"], sizes=[1_500])
    assert len(found) == 2
    assert (found["kept"] == (found["true"] <= found["bound"])).all()
    assert found["true"].between(0, 1).all()
    again = study.promise_coverage(1, tmp_path, names=["small"], sizes=[1_500])
    pd.testing.assert_frame_equal(again, found)
    assert len(list((tmp_path / "draws").iterdir())) == 1


def told(kept, promised):
    count = len(kept)
    return pd.DataFrame(
        {
            "population": "p",
            "rows": 3_000,
            "criterion": "equalized_odds",
            "draw": range(count),
            "promised": promised,
            "kept": kept,
        }
    )


def test_the_page_counts_promises_alone_and_names_what_is_outside():
    rows = told([True] * 30 + [False] * 10 + [False] * 5, [True] * 40 + [False] * 5)
    one = promises(rows).iloc[0]
    assert (one["asked"], one["promised"], one["kept"]) == (45, 40, 0.75)
    held = {"decisions": ["near", "far"], "held": [0.95, 0.90], "bound_held": 0.91, "truth": 0.1}
    intervals = pd.DataFrame({"criterion": "equalized_odds", "draws": 1000} | held)
    text = page(intervals, rows, "evenhand study criteria", "here")
    assert "1 of 2 lie in 93% to 97%; outside: equalized_odds (far: 0.900)" in text
    assert "Of all 40 promises 0.750 were kept" in text
    assert "beyond chance: equalized_odds" in text
