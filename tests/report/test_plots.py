import sys

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from simulated_run import make_run

from evenhand.errors import InputError
from evenhand.fisher.sums import GroupFisher
from evenhand.groups import Groups
from evenhand.report import plots

HOSTILE = ("<script>$x$</script>", "_hidden", "عربي", "x" * 300)


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    groups = Groups(rng.integers(0, 4, 800), HOSTILE)
    labels = rng.integers(0, 2, 800)
    scores = 1 / (1 + np.exp(-(labels * 2 - 1 + rng.normal(size=800))))
    return groups, labels, scores, rng.normal(size=(800, 5))


def fisher(d):
    rng = np.random.default_rng(0)
    return GroupFisher(rng.random((4, d)), np.full(4, 3), HOSTILE)


def drawings(arrays):
    groups, labels, scores, features = arrays
    sweep = pd.DataFrame({"alpha": [0.5, 0.5, 0.7, 0.7], "error": [16, 16.2, 16.1, 16.3]})
    sweep = sweep.assign(delta_eo=[0.2, 0.21, 0.19, 0.2], delta_dp=0.18)
    run = make_run(groups=HOSTILE, classes=("$a$", "_b"))
    return {
        "frontier": lambda ax=None: plots.frontier(run, ax),
        "before_after": lambda ax=None: plots.before_after(run, ax),
        "importance": lambda ax=None: plots.importance(fisher(6), ax, feature_names="$a_cde"),
        "many": lambda ax=None: plots.importance(fisher(60), ax),
        "pca": lambda ax=None: plots.representation_pca(features, groups, ax),
        "alpha": lambda ax=None: plots.alpha_sweep(sweep, ax),
        "scores": lambda ax=None: plots.score_distributions(scores, groups, ax),
        "calibration": lambda ax=None: plots.calibration(scores, labels, groups, ax),
    }


NAMES = ["frontier", "before_after", "importance", "many", "pca", "alpha", "scores", "calibration"]


@pytest.mark.parametrize("name", NAMES)
def test_plots_draw_on_given_axes_or_their_own_and_save(tmp_path, arrays, name):
    draw = drawings(arrays)[name]
    mine = Figure().add_subplot()
    assert draw(mine) is mine
    ax = draw()
    path = plots.save(ax, tmp_path / f"{name}.svg")
    assert path.read_bytes() == plots.save(draw(), tmp_path / "again.svg").read_bytes()
    assert b"<script" not in path.read_bytes()
    assert plots.save(ax, tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_plots_leave_the_backend_alone(arrays):
    before = mpl.rcParams.get("backend")
    had = "matplotlib.pyplot" in sys.modules
    drawings(arrays)["frontier"]()
    assert ("matplotlib.pyplot" in sys.modules) == had
    assert mpl.rcParams["backend"] == before


def test_every_group_is_in_the_legend_and_none_relies_on_colour(arrays):
    ax = drawings(arrays)["calibration"]()
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert len(texts) == 1 + len(HOSTILE)
    assert len({line.get_marker() for line in ax.lines if line.get_marker() != "None"}) >= 4


def test_the_frontier_marks_the_chosen_and_the_bound():
    run = make_run()
    labels = [text.get_text() for text in plots.frontier(run).get_legend().get_texts()]
    assert labels.count("gap") == 1
    assert {"chosen", "bound", "the path the bound chooses from"} <= set(labels)
    compared = plots.frontier(make_run(seeds=2, frontier=()))
    assert not any("path" in text.get_text() for text in compared.get_legend().get_texts())


def test_calibration_has_the_shares_of_each_bin():
    scores = np.repeat([0.25, 0.75], 100)
    labels = np.r_[np.arange(100) < 30, np.arange(100) < 80].astype(int)
    ax = plots.calibration(scores, labels, ["a"] * 200)
    (_, drawn) = ax.lines[:2]
    assert np.allclose(drawn.get_xydata(), [[0.25, 0.3], [0.75, 0.8]])


def test_wrong_inputs_are_named(tmp_path, arrays):
    groups, labels, scores, features = arrays
    with pytest.raises(InputError, match=r"probabilities in \[0, 1\]"):
        plots.calibration(scores * 3, labels, groups)
    with pytest.raises(InputError, match="differ in length"):
        plots.score_distributions(scores[:5], groups)
    with pytest.raises(InputError, match="components"):
        plots.representation_pca(features[:, :1], groups)
    with pytest.raises(InputError, match="columns alpha and error"):
        plots.alpha_sweep(pd.DataFrame({"alpha": [1]}))
    with pytest.raises(InputError, match="must end in"):
        plots.save(Figure().add_subplot(), tmp_path / "a.gif")
