"""The study of weightings in hidden layers, on one split of real Adult and on made-up rows."""

import pandas as pd
import pytest

from evenhand.experiments.studies.below_head import (
    RANKS,
    WEIGHTINGS,
    WHOLE,
    below_head,
    differences,
    page,
)


@pytest.fixture(scope="module")
def rows():
    return below_head([0], tuned=False)


def test_every_weighting_at_every_rank_and_the_whole_network_beside(rows):
    assert len(rows) == 1 + len(RANKS) * len(WEIGHTINGS)
    assert (rows["tuned"] == "before").all()
    by = rows.set_index(["rank", "weighting"])["error"]
    for rank in RANKS:  # compression costs, and the Kronecker factors cost least
        assert by[rank, "Kronecker, pooled"] <= by[rank, "SVD"] + 0.5
    assert by[0, WHOLE] <= by[2, "SVD"]


def made(shift, noise=0.01):
    return pd.DataFrame(
        {
            "seed": seed,
            "rank": 2,
            "weighting": weighting,
            "tuned": "before",
            "error": 16.0 + seed + shift * (weighting == "random") + noise * (seed % 2),
            "delta_eo": 0.1,
        }
        for seed in range(6)
        for weighting in WEIGHTINGS
    )


@pytest.mark.parametrize(
    ("shift", "said"), [(0.0, "equivalent"), (2.0, "higher"), (-2.0, "lower"), (0.4, "equivalent")]
)
def test_what_is_said_of_a_difference(shift, said):
    found = differences(made(shift)).set_index("weighting")
    assert found.loc["random", "error_said"] == said
    assert found.loc["Kronecker, cells", "error_said"] == "equivalent"
    assert found.loc["random", "error"] == pytest.approx(shift)


def test_the_page_shows_every_figure():
    text = page(made(2.0), "evenhand study below-head", "a machine")
    assert "| before | 2 | random | +2.00 [+2.00, +2.00], higher |" in text
    assert "6 seeds" in text
