"""One audit compared with another."""

import numpy as np
import pandas as pd
import pytest
from test_page import decisions
from typer.testing import CliRunner

from evenhand.auditing import audit
from evenhand.cli.main import app
from evenhand.errors import InputError

ASKED = {"label": "y", "prediction": "p", "groups": "g"}


@pytest.fixture(scope="module")
def now():
    return decisions({"F": (0.7, 0.1), "M": (0.9, 0.1)})


@pytest.fixture(scope="module")
def before():
    return decisions({"F": (0.85, 0.1), "M": (0.9, 0.1)})


def test_the_change_is_the_difference_of_the_gaps_with_an_interval(now, before):
    found = audit(now, **ASKED, against=before)
    change = {str(each.criterion): each for each in found.against}["equal_opportunity"]
    assert (change.before.estimate, change.now.estimate) == pytest.approx((0.05, 0.2))
    assert change.change.estimate == pytest.approx(0.15)
    assert change.change.low < 0.15 < change.change.high
    spread = np.hypot(change.now.high - 0.2, 0.05 - change.before.low)
    assert change.change.high - 0.15 == pytest.approx(spread)
    assert "Compared with before" in found._repr_html_() or found.changes()


@pytest.mark.whole
def test_the_interval_holds_the_true_change_as_often_as_it_says():
    draw, held = np.random.default_rng(0), []
    for _ in range(150):
        tables = []
        for rates in ((0.5, 0.7), (0.5, 0.6)):
            group = np.repeat(["F", "M"], 400)
            p = draw.random(800) < np.repeat(rates, 400)
            tables.append(pd.DataFrame({"p": p.astype(int), "g": group}))
        (change,) = audit(tables[0], prediction="p", groups="g", against=tables[1]).against
        held.append(change.change.low <= 0.1 <= change.change.high)
    assert np.mean(held) > 0.91


def call(tmp_path, now, before, *options):
    now.to_csv(tmp_path / "now.csv", index=False)
    before.to_csv(tmp_path / "before.csv", index=False)
    columns = ("--label", "y", "--prediction", "p", "--group", "g")
    other = ("--against", str(tmp_path / "before.csv"))
    argv = ["audit", str(tmp_path / "now.csv"), *columns, *other, *options]
    return CliRunner().invoke(app, argv)


def test_a_gate_on_what_became_worse(tmp_path, now, before):
    assert call(tmp_path, now, before, "--fail-worse", "eo=0.16").exit_code == 0
    done = call(tmp_path, now, before, "--fail-worse", "eo=0.1", "-o", str(tmp_path / "out"))
    assert done.exit_code == 1
    assert ".050 before, .200 now, a change of .150 (" in done.output
    assert "more than 0.1 worse is not allowed" in done.output
    assert call(tmp_path, now, before, "--fail-worse", "eo=0.16", "--by-upper").exit_code == 1
    assert call(tmp_path, before, now, "--fail-worse", "eo=0").exit_code == 0
    rows = pd.read_csv(tmp_path / "out" / "changes.csv").set_index("criterion")
    assert rows.loc["equalized_odds", "change"] == pytest.approx(0.15)
    assert "Compared with before" in (tmp_path / "out" / "report.html").read_text()


def test_two_columns_of_one_table(now, before):
    both = now.assign(q=before["p"])
    (one, *_) = audit(both, **ASKED, against_prediction="q").against
    (other, *_) = audit(now, **ASKED, against=before).against
    assert one == other


def test_what_cannot_be_compared_is_named(now, before):
    words = {column: before[column].map({0: "no", 1: "yes"}) for column in "yp"}
    with pytest.raises(InputError, match="other classes: 0, 1 and no, yes"):
        audit(now, **ASKED, against=before.assign(**words))
    with pytest.raises(InputError, match="--fail-worse needs decisions to compare with"):
        audit(now, **ASKED, fail_worse={"eo": 0.1})
    lonely = now[(now["g"] == "M") | (now["y"] == 0)]
    found = audit(now, **ASKED, against=lonely, fail_worse={"eo": 0.1})
    assert found.failures == ["equalized_odds by g: the change is undefined, since a gap is"]
