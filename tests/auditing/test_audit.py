import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import typer
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from typer.testing import CliRunner

from evenhand._base.text import columns, csv_safe
from evenhand.auditing import audit
from evenhand.auditing import counting as tallying
from evenhand.auditing.page.render import render
from evenhand.auditing.terminal_table import as_text
from evenhand.cli.audit import audit as command
from evenhand.errors import InputError

HOSTILE = (
    "<script>alert(1)</script>",
    "\"&'",
    "👩🏽‍💻",
    "x" * 300,
    "عربي",
    "=1+1",
    "a\nb",
    "100%|*_[x](y)",
)


def frame_of(rows, seed=0, groups=("F", "M"), classes=("no", "yes")):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, len(groups), rows)
    y = rng.integers(0, len(classes), rows)
    p = np.where(rng.random(rows) < 0.6, y, rng.integers(0, len(classes), rows))
    score = np.round(np.clip(0.3 * (y > 0) + rng.random(rows) * 0.7, 0, 1), 2)
    names = np.array(classes, dtype=object)
    return pd.DataFrame(
        {
            "y": names[y],
            "yhat": names[p],
            "score": score,
            "sex": np.array(groups, dtype=object)[codes],
            "race": np.array(["a", "b", "c"], dtype=object)[rng.integers(0, 3, rows)],
        }
    )


def agrees(fairness, table, with_score):
    """The audit's numbers are fairlearn's and scikit-learn's, for every group defined there."""
    result = audit(
        table,
        label="y",
        prediction="yhat",
        groups=["sex", "race"],
        score="score" if with_score else None,
    )
    y, p = (table[c] == "yes" for c in ("y", "yhat"))
    for attribute, features in (("sex", "sex"), ("race", "race"), ("sex × race", ["sex", "race"])):
        oracle = fairness.MetricFrame(
            metrics={
                "selection_rate": fairness.selection_rate,
                "tpr": fairness.true_positive_rate,
                "fpr": fairness.false_positive_rate,
                "accuracy": sk.accuracy_score,
                "rows": fairness.count,
                "positives": lambda true, _: true.sum(),
            },
            y_true=y,
            y_pred=p,
            sensitive_features=table[features],
        ).by_group.dropna(how="all")
        ours = result.group_frame()
        ours = ours[ours["attribute"] == attribute].set_index("group")
        oracle.index = [" × ".join(i) if isinstance(i, tuple) else i for i in oracle.index]
        assert set(ours.index) == set(oracle.index)
        ours = ours.loc[oracle.index]
        for name in ("selection_rate", "accuracy", "rows", "positives"):
            assert np.allclose(ours[name], oracle[name])
        has, lacks = oracle["positives"] > 0, oracle["positives"] < oracle["rows"]
        assert np.allclose(ours["tpr"][has], oracle["tpr"][has])
        assert np.allclose(ours["fpr"][lacks], oracle["fpr"][lacks])
        assert ours["tpr"][~has].isna().all()
        assert ours["fpr"][~lacks].isna().all()
        for group, row in ours.iterrows():
            if not with_score:
                continue
            key = table["sex"] if attribute == "sex" else table["race"]
            if attribute == "sex × race":
                key = table["sex"] + " × " + table["race"]
            mine = key == group
            assert row["calibration"] == pytest.approx(
                table["score"][mine].mean() - y[mine].mean(), abs=1e-9
            )
            if y[mine].nunique() == 2:
                assert row["auc"] == pytest.approx(sk.roc_auc_score(y[mine], table["score"][mine]))
    gaps = result.gaps()["sex"]
    if table["sex"].nunique() == 2:
        dp = fairness.demographic_parity_difference(y, p, sensitive_features=table["sex"])
        assert gaps["demographic_parity"].estimate == pytest.approx(dp)
        if table.groupby("sex")["y"].nunique().min() == 2:
            eo = fairness.equalized_odds_difference(
                y, p, sensitive_features=table["sex"], agg="mean"
            )
            assert gaps["equalized_odds"].estimate == pytest.approx(2 * eo)


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 60), st.integers(0, 10_000), st.booleans())
def test_agrees_with_fairlearn_and_sklearn(fairness, rows, seed, with_score):
    table = frame_of(rows, seed)
    if len(set(table["y"]) | set(table["yhat"])) == 2:
        agrees(fairness, table, with_score)


@settings(deadline=None, max_examples=10)
@given(st.integers(9, 80), st.integers(0, 10_000))
def test_many_classes_agree_with_sklearn(rows, seed):
    table = frame_of(rows, seed, classes=("a", "b", "c"))
    assume(len(set(table["y"]) | set(table["yhat"])) == 3)
    result = audit(table, label="y", prediction="yhat", groups="sex")
    counts = result.counts["sex"]
    for g, group in enumerate(counts.group_names):
        mine = table["sex"] == group
        expected = sk.confusion_matrix(
            table["y"][mine], table["yhat"][mine], labels=list(counts.class_names)
        )
        assert np.array_equal(counts.table[g], expected)
    assert result.to_run().tables == ()


@pytest.mark.parametrize("kind", ["frame", "csv", "parquet"])
def test_every_source_gives_the_same(tmp_path, kind):
    table = frame_of(200)
    table.loc[5, "sex"] = None
    table.loc[6, "y"] = None
    table.loc[7, "score"] = np.nan
    keywords = {"label": "y", "prediction": "yhat", "score": "score", "groups": ["sex", "race"]}
    expected = audit(table, **keywords)
    source = table
    if kind == "parquet":
        source = tmp_path / "t.parquet"
        table.to_parquet(source)
    elif kind != "frame":
        source = tmp_path / "t.csv"
        table.to_csv(source, index=False)
    found = audit(source, **keywords)
    pd.testing.assert_frame_equal(found.group_frame(), expected.group_frame())
    assert found.missing == expected.missing == {"y": 1, "score": 1, "sex": 1}
    assert found.used == 198


def test_a_score_alone_is_decided_by_the_threshold():
    table = frame_of(300)
    table["expected"] = np.where(table["score"] >= 0.4, "yes", "no")
    by_score = audit(table, label="y", score="score", threshold=0.4, groups="sex")
    by_decision = audit(table, label="y", prediction="expected", groups="sex")
    assert np.array_equal(by_score.counts["sex"].table, by_decision.counts["sex"].table)


def test_scoring_rates_are_the_share_above_the_median():
    table = frame_of(501)
    result = audit(table, label="y", score="score", groups="sex")
    ((_, _, rates),) = result.scoring()
    above = table["score"] > table["score"].median()
    expected = above.groupby(table["sex"]).mean()
    assert np.allclose(rates["rate"], expected)
    assert np.allclose(rates["impact_ratio"], expected / expected.max())


def test_impact_ratios_are_over_the_highest_selection_rate():
    table = frame_of(400)
    ((_, _, ratios),) = audit(table, label="y", prediction="yhat", groups="sex").selection()
    expected = (table["yhat"] == "yes").groupby(table["sex"]).mean()
    assert np.allclose(ratios["impact_ratio"], expected / expected.max())


def test_scores_are_rounded_only_when_there_are_too_many(monkeypatch):
    rng = np.random.default_rng(0)
    table = frame_of(4000)
    table["score"] = rng.normal(size=4000) + (table["y"] == "yes")
    exact = audit(table, label="y", score="score", groups="sex")
    monkeypatch.setattr(tallying, "MOST_SCORES", 3000)
    rough = audit(table, label="y", score="score", groups="sex")
    assert exact.scores_exact
    assert not rough.scores_exact
    assert any("rounded" in warning for warning in rough.warnings())
    assert np.allclose(exact.parts[0].values["auc"], rough.parts[0].values["auc"], atol=0.002)
    assert np.allclose(exact.parts[0].above, rough.parts[0].above, atol=8)


@pytest.mark.parametrize(
    ("labels", "predictions"),
    [([0, 1, 1, 0], [1.0, 1.0, 0.0, 0.0]), ([True, False, True, False], ["1", "0", "1", "1"])],
)
def test_equal_values_of_other_types_are_one_class(labels, predictions):
    table = pd.DataFrame({"y": labels, "p": predictions, "g": list("abab")})
    classes = audit(table, label="y", prediction="p", groups="g").classes
    assert classes in (("0", "1"), ("False", "True"))


def test_the_positive_class_can_be_chosen():
    table = frame_of(100)
    assert audit(table, label="y", prediction="yhat", groups="sex").classes == ("no", "yes")
    chosen = audit(table, label="y", prediction="yhat", groups="sex", positive="no")
    assert chosen.classes == ("yes", "no")
    with pytest.raises(InputError, match=r"no class 'yess'.*Did you mean 'yes'"):
        audit(table, label="y", prediction="yhat", groups="sex", positive="yess")


def test_small_groups_are_suppressed_and_cannot_be_had_by_subtraction():
    table = frame_of(400)
    table.loc[:5, "race"] = "rare"
    result = audit(table, label="y", prediction="yhat", groups="race", suppress_below=20)
    assert "rare" not in result.counts["race"].group_names
    assert result.suppressed == {"race": 2}
    assert result.counts["race"].unknown.sum() >= 20
    assert "rare" not in render(result)
    assert "rare" not in as_text(result)


def test_hostile_names_are_shown_literally(tmp_path):
    table = frame_of(2000, groups=HOSTILE).rename(columns={"sex": HOSTILE[0], "y": "=y"})
    path = tmp_path / "t.csv"
    table.to_csv(path, index=False)
    result = audit(path, label="=y", prediction="yhat", groups=[HOSTILE[0], "race"])
    page = render(result)
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert(1)") > 3
    assert "عربي" in page
    assert "👩🏽‍💻" in page
    assert "x" * 300 in page
    assert all(columns(line) <= 80 for line in as_text(result).splitlines())
    result.write(tmp_path / "out")
    text = (tmp_path / "out" / "groups.csv").read_text(encoding="utf-8")
    back = pd.read_csv(tmp_path / "out" / "groups.csv", keep_default_na=False)
    assert "'=1+1" in set(back["group"])
    assert not any(line.startswith("=") for line in text.splitlines())
    assert csv_safe("-1.5") == "-1.5"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"y,yhat,sex\n", "no rows"),
        (b"PK\x03\x04\0\0", "neither CSV nor Parquet"),
        (b"PAR1 and then nothing", "Parquet"),
        (b"y,yhat,Sex\n1,0,F\n", r"no column 'sex'.*Nearest: 'Sex'"),
        (b"y,yhat,sex,sex\n1,0,F,F\n", "2 columns named 'sex'"),
        (b"y,yhat,sex\n1,0,F\n1,0\n", "CSV"),
        (b"y,yhat,sex\n1,0,\xff\xfe\n0,1,b\n", "utf-8"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path, content, message):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        audit(path, label="y", prediction="yhat", groups="sex")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_found_and_byte_order_marks_skipped(tmp_path, delimiter):
    path = tmp_path / "t.csv"
    frame_of(50).to_csv(path, index=False, sep=delimiter, encoding="utf-8-sig")
    assert audit(path, label="y", prediction="yhat", groups="sex").used == 50


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"prediction": None}, "prediction column, a score column"),
        ({"prediction": "y"}, "different columns"),
        ({"groups": []}, "at least one"),
        ({"groups": ["sex", "sex"]}, "twice"),
        ({"prediction": None, "score": "race"}, "not a number"),
        ({"prediction": "id"}, "give it as the score"),
    ],
)
def test_unfit_columns_are_refused(keywords, message):
    table = frame_of(2500).assign(id=np.arange(2500) / 7)
    with pytest.raises(InputError, match=message):
        audit(table, **({"label": "y", "prediction": "yhat", "groups": "sex"} | keywords))


def test_one_class_needs_the_other_named():
    table = frame_of(20).assign(y="no", yhat="no")
    with pytest.raises(InputError, match="one class only"):
        audit(table, label="y", prediction="yhat", groups="sex")
    found = audit(table, label="y", prediction="yhat", groups="sex", positive="yes")
    assert found.classes == ("no", "yes")


@pytest.fixture
def cli(tmp_path):
    path = tmp_path / "predictions.csv"
    frame_of(600).to_csv(path, index=False)
    app = typer.Typer()
    app.command()(command)

    def call(*options, file=path):
        given = [str(file), "--label", "y", "--prediction", "yhat", "--group", "sex", *options]
        return CliRunner().invoke(app, given)

    return call


def test_the_command_prints_a_table_of_80_columns_and_writes_files(cli, tmp_path):
    result = cli("--group", "race", "--score", "score", "--output", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    assert "By sex × race" in result.stdout
    assert "\x1b" not in result.stdout
    names = {path.name for path in (tmp_path / "out").iterdir()}
    written = {"report.html", "result.json", "results.csv", "groups.csv", "ratios.csv"}
    assert names == written | {"config.yaml", "SHA256SUMS", ".lock"}


def test_the_command_is_a_gate(cli):
    assert cli("--fail-above", "equalized_odds=2").exit_code == 0
    failed = cli("--fail-above", "eo=0.0001", "--quiet")
    assert failed.exit_code == 1
    assert failed.output.count("\n") == 1
    assert "is above 0.0001" in failed.output


@pytest.mark.parametrize(
    "options", [("--fail-above", "eo"), ("--fail-above", "xx=1"), ("--criterion", "x")]
)
def test_bad_usage_exits_with_2(cli, options):
    assert cli(*options).exit_code == 2


def test_a_missing_file_exits_with_2(cli, tmp_path):
    result = cli(file=tmp_path / "none.csv")
    assert result.exit_code == 2
    assert "no file at" in result.output


def test_json_for_machines(cli):
    document = json.loads(cli("--json").stdout)
    assert document["command"] == "audit"
    assert document["before"]["counts"]["groups"] == ["F", "M"]


@pytest.mark.slow
def test_ten_million_rows_take_less_than_a_minute_and_1500_megabytes(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import csv

    path, rng = tmp_path / "big.csv", np.random.default_rng(0)
    with csv.CSVWriter(
        path,
        arrow.schema(
            [("y", arrow.int8()), ("score", arrow.float64())]
            + [(name, arrow.string()) for name in ("sex", "race")]
        ),
    ) as writer:
        for _ in range(10):
            y = rng.integers(0, 2, 1_000_000).astype(np.int8)
            score = np.round(1 / (1 + np.exp(-(2 * y - 1 + rng.normal(size=len(y))))), 6)
            names = [np.array(list("FM")), np.array(list("abcde"))]
            columns = [y, score, *(n[rng.integers(0, len(n), len(y))] for n in names)]
            writer.write(arrow.table(columns, schema=writer.schema))
    code = (
        "import sys, time, resource; from evenhand.auditing import audit; began = time.time()\n"
        "found = audit(sys.argv[1], label='y', score='score', groups=['sex', 'race'])\n"
        "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6\n"
        "print(found.used, time.time() - began, peak)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    rows, seconds, gigabytes = map(float, done.stdout.split())
    assert rows == 10_000_000
    assert seconds < 60
    assert gigabytes < 1.5


def test_the_report_of_many_groups_stays_small():
    rng = np.random.default_rng(0)
    n = 8_000
    columns_ = {f"c{i}": [f"group {g}" for g in rng.integers(0, 40, n)] for i in range(2)}
    y = rng.integers(0, 2, n)
    table = pd.DataFrame({"y": y, "p": rng.integers(0, 2, n), "s": rng.random(n)} | columns_)
    result = audit(table, label="y", prediction="p", score="s", groups=list(columns_))
    page = render(result)
    assert len(page.encode()) < 2_000_000
    assert "more rows are in the data files" in page


def test_a_limit_can_be_judged_by_the_upper_end_of_the_interval(tmp_path):
    table = frame_of(200, 1)
    result = audit(table, label="y", prediction="yhat", groups="sex")
    gap, low, high = result.gaps()["sex"]["demographic_parity"]
    between = (gap + high) / 2
    assert low < gap < between < high
    assert result.above({"dp": between}) == []
    (said,) = result.above({"dp": between}, by_upper=True)
    assert said.startswith("demographic_parity by sex: the upper end of the gap")
    assert result.above({"dp": high + 1e-9}, by_upper=True) == []
    with pytest.raises(InputError, match="at least 0, found nan"):
        result.above({"dp": np.nan})
    path = tmp_path / "p.csv"
    table.to_csv(path, index=False)
    app = typer.Typer()
    app.command()(command)
    asked = [str(path), "--label", "y", "--prediction", "yhat", "--group", "sex"]
    asked += ["--fail-above", f"dp={between}"]
    assert CliRunner().invoke(app, asked).exit_code == 0
    assert CliRunner().invoke(app, [*asked, "--by-upper"]).exit_code == 1
    assert CliRunner().invoke(app, [*asked, "--fail-above", "dp=1"]).exit_code == 2


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"threshold": np.nan}, "--threshold: expected a number .*, found nan"),
        ({"threshold": np.inf}, "--threshold: expected a number .*, found inf"),
        ({"min_count": -1}, "--min-count: expected a whole number from 0 .*, found -1"),
        ({"suppress_below": -2}, "--suppress-below: expected a whole number from 0"),
        ({"chunk_rows": 7}, "no option 'chunk_rows'"),
    ],
)
def test_settings_that_cannot_be_are_named(setting, message):
    with pytest.raises(InputError, match=message):
        audit(frame_of(20), label="y", score="score", groups="sex", **setting)


@pytest.mark.parametrize("stray", [1.5, -0.1, np.inf])
def test_scores_that_are_no_probabilities_have_no_calibration(stray):
    table = frame_of(60)
    table.loc[3, "score"] = stray
    result = audit(table, label="y", score="score", groups="sex")
    frame = result.group_frame()
    assert frame["calibration"].isna().all()
    assert frame["auc"].notna().all()
    assert any(w.startswith("1 score outside 0 to 1") for w in result.warnings())
    clean = audit(frame_of(60), label="y", score="score", groups="sex")
    assert clean.group_frame()["calibration"].notna().all()


def test_an_audit_of_which_no_group_is_known_says_so():
    table = frame_of(20)
    table["sex"] = None
    result = audit(table, label="y", prediction="yhat", groups="sex")
    text = as_text(result)
    assert "20 rows have no sex" in text
    assert "n/a" in text
    assert result.above({"dp": 2})[0].endswith("no two groups can be compared")


def test_crossings_of_every_depth_with_the_rough_groups_marked():
    draw, n = np.random.default_rng(0), 1200
    table = pd.DataFrame({c: draw.choice(list("AB"), n) for c in "abc"})
    table["a"] = np.where(np.arange(n) < 60, "few", table["a"])
    table = table.assign(y=draw.integers(0, 2, n), p=draw.integers(0, 2, n))
    asked = {"label": "y", "prediction": "p", "groups": list("abc")}
    names = ["a", "b", "c", "a × b", "a × c", "b × c", "a × b × c"]
    assert list(audit(table, **asked).counts) == names
    assert list(audit(table, **asked, depth=2).counts) == names[:-1]
    assert list(audit(table, **asked, cross=False).counts) == names[:3]
    with pytest.raises(InputError, match="--depth is how many columns are crossed"):
        audit(table, **asked, depth=2, cross=False)
    found = audit(table, **asked, depth=2)
    frame = found.group_frame()
    for (attribute, group), rough in frame.groupby(["attribute", "group"])["few_rows"]:
        counts = found.counts[attribute]
        cells = counts.cells[counts.group_names.index(group)]
        assert (rough == (cells < 100).any()).all(), (attribute, group)
    text, page = as_text(found), render(found)
    assert "~few" in text
    assert text.count("~ few rows: its rates are rough") == 3
    assert page.count("few people: rough") == frame["few_rows"].sum()
