"""The study of a year of daily looks, short."""

import numpy as np

from evenhand.experiments.studies.watching import page, watching


def test_a_watch_cries_wolf_seldom_a_fixed_interval_often_and_what_is_broken_is_found():
    table = watching(200, seed=1).set_index("true_gap")
    assert (table.loc[[0.05, 0.10], "watch_alarms"] <= 0.05).all()
    assert table.loc[0.10, "fixed_alarms"] > 0.15
    assert table.loc[0.15, "watch_alarms"] == 1
    assert table.loc[0.15, "watch_rows"] <= 4000
    assert np.isnan(table.loc[0.05, "watch_rows"])
    text = page(watching(10), "a command", "a machine")
    assert "| 0.15 | 100.0% |" in text
