"""Small inputs that went wrong, through the command, each with the right value.

The decisions are simulated: of women who should be found 40 % are, of men 90 %.
"""

import gzip
import json

import numpy as np
import pandas as pd
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
from typer.testing import CliRunner

from evenhand.cli.main import app

GATE = ("--fail-above", "equalized_odds=0.1")
COLUMNS = ("--label", "y", "--prediction", "p", "--group", "g")


@pytest.fixture(scope="module")
def base():
    draw, rows = np.random.default_rng(0), 1200
    group = draw.choice(["F", "M"], rows)
    label = draw.integers(0, 2, rows)
    found = draw.random(rows) < np.where(group == "F", 0.4, 0.9)
    decided = np.where(label == 1, found, draw.random(rows) < 0.1).astype(int)
    return pd.DataFrame({"y": label, "p": decided, "g": group})


def truth(frame):
    """|ΔTPR| + |ΔFPR| by hand."""
    rate = frame.groupby(["g", "y"])["p"].mean()
    return sum(abs(rate["F", label] - rate["M", label]) for label in (0, 1))


def call(path, *options):
    done = CliRunner().invoke(app, ["audit", str(path), *options])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def measured(path, *options):
    """The gap by equalized odds, and the warnings."""
    document = json.loads(call(path, *options, "--json").stdout)
    interval = document["before"]["intervals"]["equalized_odds"]
    return interval["estimate"], document["warnings"]


SPELLED = {
    "yes and no": lambda t: t.assign(y=np.where(t["y"] == 1, "yes", "no")),
    "a last dot": lambda t: t.assign(
        y=np.where(t["y"] == 1, ">50K.", "<=50K."), p=np.where(t["p"] == 1, ">50K", "<=50K")
    ),
    "case": lambda t: t.assign(
        y=np.where(t["y"] == 1, "Yes", "No"), p=np.where(t["p"] == 1, "yes", "no")
    ),
    "minus one": lambda t: t.assign(p=2 * t["p"] - 1),
}


@pytest.mark.parametrize("spelling", SPELLED)
def test_classes_written_in_two_ways_are_mapped_and_it_is_said(base, tmp_path, spelling):
    SPELLED[spelling](base).to_csv(tmp_path / "t.csv", index=False)
    gap, warnings = measured(tmp_path / "t.csv", *COLUMNS)
    assert gap == pytest.approx(truth(base), abs=1e-12)
    assert any("are written differently" in warning for warning in warnings)
    assert call(tmp_path / "t.csv", *COLUMNS, *GATE).exit_code == 1


def text(table):
    return table.to_csv(index=False)


WRITTEN = {
    "plain": lambda t: text(t).encode(),
    "gzip": lambda t: gzip.compress(text(t).encode()),
    "spaces": lambda t: text(t).replace(",", ", ").encode(),
    "UTF-16": lambda t: text(t).encode("utf-16"),
    "sep": lambda t: b"sep=;\n" + t.to_csv(index=False, sep=";").encode(),
    "total": lambda t: text(t).encode() + b"Total,520,\n",
    "ragged": lambda t: text(t).encode() + b"1,0,F,a name,a number\n",
}


@pytest.mark.parametrize("written", WRITTEN)
def test_every_way_of_writing_gives_the_same(base, tmp_path, written):
    (tmp_path / "t.csv").write_bytes(WRITTEN[written](base))
    gap, warnings = measured(tmp_path / "t.csv", *COLUMNS)
    assert gap == pytest.approx(truth(base), abs=1e-12)
    assert len(warnings) == (written in ("total", "ragged"))
    assert not any("a name" in warning or "520" in warning for warning in warnings)
    assert call(tmp_path / "t.csv", *COLUMNS, *GATE).exit_code == 1


def test_probabilities_in_place_of_decisions_are_refused(base, tmp_path):
    draw = np.random.default_rng(1).random(len(base))
    base.assign(p=np.round(base["p"] / 2 + draw / 2, 3)).to_csv(tmp_path / "t.csv", index=False)
    done = call(tmp_path / "t.csv", *COLUMNS, *GATE)
    assert done.exit_code == 2
    assert "give it as --score" in done.output


def test_a_group_without_positives_is_named_and_the_defined_part_is_told(tmp_path):
    rows = ["y,p,g", *["0,1,A"] * 60, *["0,0,B", "1,1,B", "0,0,C", "1,1,C"] * 60]
    (tmp_path / "t.csv").write_text("\n".join(rows) + "\n")
    done = call(tmp_path / "t.csv", *COLUMNS, *GATE)
    assert done.exit_code == 1
    assert "ΔEO   equalized odds      at least 1.000" in done.output
    assert "group 'A' has 0 rows with label '1'" in done.output
    assert call(tmp_path / "t.csv", *COLUMNS, "--fail-above", "eo=1.5").exit_code == 1


def test_a_score_at_the_threshold_is_positive_in_parquet_as_in_csv(base, tmp_path):
    draw = np.random.default_rng(2).random(len(base))
    scores = np.round(np.clip(0.55 * base["p"] + 0.45 * draw, 0, 1), 1).astype("float32")
    table = base.drop(columns="p").assign(s=scores)
    table.to_parquet(tmp_path / "t.parquet")
    table.to_csv(tmp_path / "t.csv", index=False)
    asked = ("--label", "y", "--score", "s", "--threshold", "0.7", "--group", "g")
    assert (scores == np.float32(0.7)).any()
    expected = truth(base.assign(p=(scores >= np.float32(0.7)).astype(int)))
    for name in ("t.csv", "t.parquet"):
        assert measured(tmp_path / name, *asked)[0] == pytest.approx(expected, abs=1e-12)


def test_nan_in_parquet_is_missing_and_counted(base, tmp_path):
    labels = base["y"].to_numpy(float, copy=True)
    labels[::50] = np.nan
    table = {"y": arrow.array(labels, from_pandas=False), "p": base["p"], "g": base["g"]}
    parquet.write_table(arrow.table(table), tmp_path / "t.parquet")
    gap, warnings = measured(tmp_path / "t.parquet", *COLUMNS)
    assert gap == pytest.approx(truth(base[~np.isnan(labels)]), abs=1e-12)
    assert warnings[0] == "24 rows have no y: left out of everything."


def test_without_labels_there_are_rates_and_ratios_and_nothing_of_labels(base, tmp_path):
    base.drop(columns="y").to_csv(tmp_path / "t.csv", index=False)
    asked = ("--prediction", "p", "--group", "g")
    document = json.loads(call(tmp_path / "t.csv", *asked, "--json").stdout)
    rates = base.groupby("g")["p"].mean()
    (table,) = document["tables"]
    for row in table["rows"]:
        assert row["rate"] == pytest.approx(rates[row["group"]])
        assert row["impact_ratio"] == pytest.approx(rates[row["group"]] / rates.max())
    intervals = document["before"]["intervals"]
    assert intervals["demographic_parity"]["estimate"] == pytest.approx(abs(rates.diff().iloc[-1]))
    for absent in ("equalized_odds", "equal_opportunity", "error"):
        assert intervals[absent] == {"estimate": None, "low": None, "high": None}
    assert [document["before"][name] for name in ("error", "accuracy", "delta_eo")] == [None] * 3
    shown = call(tmp_path / "t.csv", *asked, "-o", str(tmp_path / "out"))
    assert shown.exit_code == 0
    groups = pd.read_csv(tmp_path / "out" / "groups.csv")
    for said in ("TPR", "FPR", "acc", "equalized", "positives"):
        assert said not in shown.output
    assert not [c for c in groups.columns if c.startswith(("tpr", "fpr", "base", "acc", "posi"))]
    done = call(tmp_path / "t.csv", *asked, *GATE)
    assert done.exit_code == 2
    assert "give the column of what was true as label (--label)" in done.output
    assert call(tmp_path / "t.csv", *asked, "--fail-above", "dp=0.1").exit_code == 1


def test_a_score_alone_without_labels_decides_and_ranks(base, tmp_path):
    draw = np.random.default_rng(3)
    table = pd.DataFrame({"s": draw.normal(size=len(base)), "g": base["g"]})
    table.to_csv(tmp_path / "t.csv", index=False)
    document = json.loads(call(tmp_path / "t.csv", "--score", "s", "--group", "g", "--json").stdout)
    selected, scored = (
        {row["group"]: row["rate"] for row in each["rows"]} for each in document["tables"]
    )
    for group, part in table.groupby("g")["s"]:
        assert selected[group] == pytest.approx((part >= 0.5).mean())
        assert scored[group] == pytest.approx((part > table["s"].median()).mean())
    assert document["before"]["group_values"] == {}


def test_ratios_are_over_the_group_that_is_named(base, tmp_path):
    table = base.assign(h=np.where(np.arange(len(base)) % 3, "x", "y"))
    table.to_csv(tmp_path / "t.csv", index=False)
    asked = ("--prediction", "p", "--group", "g", "--group", "h")
    named = ("--reference", "F", "--reference", "x")
    document = json.loads(call(tmp_path / "t.csv", *asked, *named, "--json").stdout)
    tables = document["tables"][:3]  # the pairs of groups come after them
    by_g, by_h, crossed = ({row["group"]: row for row in one["rows"]} for one in tables)
    rates = table.groupby("g")["p"].mean()
    assert by_g["M"]["impact_ratio"] == pytest.approx(rates["M"] / rates["F"])
    assert by_g["M"]["ratio_low"] < by_g["M"]["impact_ratio"] < by_g["M"]["ratio_high"]
    assert by_h["x"]["impact_ratio"] == crossed["F × x"]["impact_ratio"] == 1
    done = call(tmp_path / "t.csv", *asked, "--reference", "f")
    assert done.exit_code == 2
    assert "--reference: there is no group 'f'" in done.output
    done = call(tmp_path / "t.csv", *asked, "--reference", "F", "--reference", "M")
    assert "several groups of g are named: F, M" in done.output


def test_scores_of_the_other_class_are_noticed(base, tmp_path):
    draw = np.random.default_rng(4).random(len(base))
    table = base.assign(s=1 - (0.3 * base["y"] + 0.7 * draw))
    table.to_csv(tmp_path / "t.csv", index=False)
    asked = ("--label", "y", "--score", "s", "--group", "g")
    assert "the AUC is below .5 in every group" in call(tmp_path / "t.csv", *asked).output.replace(
        "\n  ", " "
    )
    assert "below .5" not in call(tmp_path / "t.csv", *asked, "--positive", "0").output


def test_a_table_with_missing_words_has_the_groups_that_a_task_sees(base, tmp_path):
    groups = base["g"].astype(object).to_numpy(copy=True)
    groups[::10], groups[1::10], groups[2::10], groups[3::10] = "?", " F ", "n/a", "none"
    base.assign(g=groups).to_csv(tmp_path / "t.csv", index=False)
    document = json.loads(call(tmp_path / "t.csv", *COLUMNS, "--json").stdout)
    assert document["before"]["counts"]["groups"] == ["F", "M", "none"]
    assert "240 rows have no g: left out of its groups." in document["warnings"]
    asked = (*COLUMNS, "--missing", "none", "--json")
    document = json.loads(call(tmp_path / "t.csv", *asked).stdout)
    assert document["before"]["counts"]["groups"] == ["F", "M"]
    assert "360 rows have no g: left out of its groups." in document["warnings"]
