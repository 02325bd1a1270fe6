"""The study of a year of daily looks, short."""

import numpy as np

from evenhand.auditing.watching.judge import BROKEN, judge
from evenhand.criteria import Criterion
from evenhand.experiments.studies.watching import (
    BOUND,
    DRIFT,
    LABELLED,
    PARITY,
    _broken,
    page,
    watching,
)


def test_a_watch_cries_wolf_seldom_a_fixed_interval_often_and_what_is_broken_is_found():
    every = watching(200, seed=1)
    for kind in (PARITY, LABELLED):
        table = every[every["kind"] == kind].set_index("true_gap")
        assert (table.loc[[0.05, 0.10], "watch_alarms"] <= 0.05).all()
        assert table.loc[0.10, "fixed_alarms"] > 0.15
        assert table.loc[0.10, "daily_alarms"] > 0.9
        assert table.loc[0.15, "watch_alarms"] == 1
        assert table.loc[0.15, "watch_rows"] <= 4000
        assert np.isnan(table.loc[0.05, "watch_rows"])
    drift = every[every["kind"] == DRIFT].iloc[0]
    assert drift["watch_alarms"] > 0.9
    assert drift["watch_rows"] <= 7000
    assert drift["watch_early"] <= 0.05
    text = page(every, "a command", "a machine")
    assert "| selection rates | 0.15 | 100.0% |" in text


def test_a_look_is_judged_as_the_watch_judges_it():
    """The study's rule says broken exactly where ``judge`` does, in all looks and in a window."""
    draw, prior = np.random.default_rng(0), np.array([[[120, 0], [0, 0]]] * 2)
    prior[:, 0] = [[600, 400], [700, 300]]
    for _ in range(20):
        rows = draw.integers(200, 2000)
        hits = draw.binomial(rows, [0.45, 0.3])
        decided = np.stack([rows - hits, hits], axis=1)
        (verdict,) = judge(
            decided, np.zeros((2, 2, 2)), {Criterion.DEMOGRAPHIC_PARITY: BOUND}, prior, 0.025
        )
        weight = 100 / prior.sum(axis=(1, 2))
        old = prior.sum(axis=1)
        priors = [(0.5 + w * o[1], 0.5 + w * o[0]) for w, o in zip(weight, old, strict=True)]
        found = _broken([np.array([[float(h)]]) for h in hits], np.array([float(rows)]), priors)
        assert (found[0, 0] >= -np.log(0.025)) == (verdict.state == BROKEN)
