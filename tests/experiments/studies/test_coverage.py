"""The coverage study on a small population: the truth is the population's own gap."""

import numpy as np
import pandas as pd
import pytest

from evenhand._base.processes import spread
from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.experiments.studies import coverage as study
from evenhand.experiments.studies import coverage_page, populations
from evenhand.groups import Groups
from evenhand.heads.selection.promising import CHOSEN
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


def test_every_draw_tells_the_promise_and_the_truth_by_every_way(small, tmp_path):
    asked = {"sizes": (600,), "confidences": (0.9,)}
    draws = study.coverage(replicates=1, folder=tmp_path, **asked)
    cells = len(populations.CRITERIA) * len(populations.SHARES)
    assert draws.groupby("way").size().to_dict() == dict.fromkeys(study.WAYS, cells)
    assert draws["true_gap"].between(0, 2).all()
    assert (draws["kept"] == (draws["true_gap"] <= draws["bound"])).all()
    assert draws["true_error"].between(0, 100).all()
    normal = draws[draws["way"] == study.DEFAULT_WAY]
    assert normal["z"].to_numpy() == pytest.approx(1.2816 + CHOSEN, abs=1e-4)
    assert draws["even_refused"].between(0, 1).all()
    first = draws[draws["way"] == study.FIRST_WAY]  # every rate has fewer than 500 rows
    assert first["z"].to_numpy() == pytest.approx(1.6449, abs=1e-4)
    pd.testing.assert_frame_equal(draws, study.coverage(replicates=1, **asked))


def test_finished_draws_are_kept_and_more_are_added(small, tmp_path, monkeypatch):
    asked = {"sizes": (600,), "confidences": (0.9,), "folder": tmp_path}
    one = study.coverage(replicates=1, **asked)
    fitted = []
    monkeypatch.setattr(study, "crossfit", lambda *_, **__: fitted.append(1) or 1 / 0)
    pd.testing.assert_frame_equal(one, study.coverage(replicates=1, **asked))
    assert not fitted
    with pytest.raises(ZeroDivisionError):
        study.coverage(replicates=2, **asked)
    with pytest.raises(InputError, match="made from something else"):
        study.coverage(replicates=1, seed=1, **asked)
    monkeypatch.setattr(study, "NEAR_NOISE", 3.0)
    with pytest.raises(InputError, match="rule was"):  # draws decided by another rule
        study.coverage(replicates=1, **asked)


def drawn(way, promised, true_gap, true_error):
    return pd.DataFrame(
        {
            "way": way,
            "population": "p",
            "rows": 100,
            "criterion": str(Criterion.EQUALIZED_ODDS),
            "bound": 0.1,
            "confidence": 0.9,
            "draw": range(4),
            "promised": promised,
            "true_gap": true_gap,
            "true_error": true_error,
            "kept": np.array(true_gap) <= 0.1,
            "floor": 0.02,
            "even_refused": [0.0, 0.25, 0.0, 0.25],
            "z": 1.5,
        }
    )


def test_the_summary_counts_promises_only_and_pairs_errors():
    ours = drawn("evenhand", [True, True, True, False], [0.05, 0.2, 0.09, 0.5], [15, 16, 17, 9])
    first = drawn("first version", [True, False, True, True], [0.01] * 4, [16, 10, 17.5, 12])
    cells = coverage_page.summary(pd.concat([ours, first]))
    row, other = cells.to_dict(orient="records")
    assert row["coverage"] == pytest.approx(2 / 3)
    assert row["refused"] == 0.25
    assert row["above_floor"]
    assert row["even_refused"] == 0.125
    assert (row["cheaper"], row["both"]) == (pytest.approx(0.75), 2)
    assert other["cheaper"] == 0
    page = coverage_page.page(cells, "the command", "a machine")
    assert (
        "| 0.900 | evenhand | 1 | 0.667 | 0.667 | 0.250 | 0.125 | 0.250 | 0.750 | 1.500 |" in page
    )
    assert "4 samples a cell" in page
    short = "p, 100 rows, equalized_odds<=0.1 at 0.9: 0.667 of 3 promises"
    assert short in page
    dark = coverage_page.overall(cells.assign(even_refused=0.6))
    assert dark["refused where it is promised"].isna().all()
    assert (dark["refused above the floor"] == 0.25).all()
    kept = coverage_page.page(cells.assign(coverage=0.86), "the command", "a machine")
    assert "No cell of the default falls short" in kept


def test_a_population_that_is_not_there_is_named():
    with pytest.raises(InputError, match="no population 'mars'"):
        study.population("mars")


def test_results_come_in_order_from_several_processes():
    assert spread(divmod, [(7, 2), (9, 4), (5, 5)], jobs=2) == [(3, 1), (2, 1), (1, 0)]
