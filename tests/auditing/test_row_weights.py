"""An audit of weighted rows is that of the rows repeated; how sure it is, the kind says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import evenhand as eh
from evenhand.auditing.scores import above_median
from evenhand.errors import InputError


@pytest.fixture(scope="module")
def decisions():
    draw = np.random.default_rng(1)
    n = 1500
    sex = draw.choice(["F", "M", "X"], n, p=[0.5, 0.4, 0.1])
    y = draw.integers(0, 2, n)
    made = (draw.random(n) < 0.3 + 0.4 * y + 0.1 * (sex == "M")).astype(int)
    score = np.round(np.clip(0.5 * made + 0.4 * draw.random(n), 0, 1), 2)
    return pd.DataFrame(
        {"sex": sex, "y": y, "made": made, "score": score, "w": draw.integers(1, 5, n)}
    )


ASKED = {"label": "y", "prediction": "made", "score": "score", "groups": "sex"}


@pytest.mark.parametrize("kept", ["csv", "parquet", "jsonl", "memory"])
def test_frequencies_are_repetitions_to_the_digit(decisions, tmp_path, kept):
    source = decisions
    path = tmp_path / f"decisions.{kept}"
    if kept == "csv":
        decisions.to_csv(source := path, index=False)
    elif kept == "parquet":
        decisions.to_parquet(source := path)
    elif kept == "jsonl":
        decisions.to_json(source := path, orient="records", lines=True)
    found = eh.audit(source, **ASKED, weight="w", weight_kind="frequency")
    repeated = eh.audit(decisions.loc[np.repeat(decisions.index, decisions.w)], **ASKED)
    alike = {"check_dtype": False}
    pd.testing.assert_frame_equal(found.group_frame(), repeated.group_frame(), **alike)
    pd.testing.assert_frame_equal(found.selection()[0][2], repeated.selection()[0][2], **alike)
    pd.testing.assert_frame_equal(found.scoring()[0][2], repeated.scoring()[0][2], **alike)
    assert found.gaps() == repeated.gaps()
    assert (found.used, repeated.used) == (1500, decisions.w.sum())


def test_survey_weights_estimate_the_same_and_are_less_sure(decisions):
    found = eh.audit(decisions, **ASKED, weight="w").gaps()["sex"]["equalized_odds"]
    copies = eh.audit(decisions, **ASKED, weight="w", weight_kind="frequency")
    sure = copies.gaps()["sex"]["equalized_odds"]
    assert found.estimate == pytest.approx(sure.estimate)
    assert found.high - found.estimate > 1.5 * (sure.high - sure.estimate)
    twice = eh.audit(decisions.assign(w=decisions.w * 7.5), **ASKED, weight="w")
    assert twice.gaps()["sex"]["equalized_odds"].high == pytest.approx(found.high, abs=1e-3)


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (-1.0, "'w'.* is negative in 1 of 1,500 rows"),
        (np.inf, "is infinite in 1 of 1,500 rows"),
        (np.nan, "is missing or no number in 1 of 1,500 rows"),
    ],
)
def test_a_weight_that_is_none_is_refused_by_name(decisions, weight, words):
    wrong = decisions.assign(w=decisions.w.astype(float))
    wrong.loc[7, "w"] = weight
    with pytest.raises(InputError, match=words):
        eh.audit(wrong, **ASKED, weight="w")


def test_weights_that_are_all_zero_or_another_column_are_refused(decisions):
    with pytest.raises(InputError, match="is zero in all 1,500 rows"):
        eh.audit(decisions.assign(w=0), **ASKED, weight="w")
    with pytest.raises(InputError, match="must be different columns"):
        eh.audit(decisions, **ASKED, weight="score")
    with pytest.raises(InputError, match="cannot be both a group and a weight"):
        eh.audit(decisions, **ASKED, weight="sex")


def test_few_people_are_not_shown_however_much_they_weigh(decisions):
    heavy = decisions.assign(w=np.where(decisions.sex == "X", 50.0, 1.0))
    few = int((decisions.sex == "X").sum())
    found = eh.audit(heavy, **ASKED, weight="w", suppress_below=few + 1)
    assert "X" not in found.counts["sex"].group_names


def test_the_weighted_median_is_where_half_the_weight_is_reached():
    key, weights = np.array([1.0, 2.0, 3.0]), np.array([0.2, 0.2, 1.5])
    assert above_median(key, weights).tolist() == [False, False, False]
    assert above_median(key, weights[::-1]).tolist() == [False, True, True]


def test_groups_stand_beside_a_reference_in_every_view(decisions, tmp_path):
    found = eh.audit(decisions, **ASKED, weight="w", reference="M")
    beside, pairs = found.comparisons()
    assert beside[0] == "Groups of sex beside M"
    assert set(beside[2].reference) == {"M"}
    assert len(pairs[2]) == 15
    written = found.write(tmp_path / "out")
    kept = pd.read_csv(written["comparisons.csv"])
    assert len(kept) == len(beside[2]) + len(pairs[2])
    assert "Groups of sex beside M" in written["report.html"].read_text("utf-8")
    assert "simultaneous" in written["result.json"].read_text("utf-8")
    assert not eh.audit(decisions, **ASKED).comparisons()


@pytest.mark.parametrize("kind", ["survey", "frequency"])
def test_postgresql_counts_weights_as_a_file_does_to_the_digit(postgres, decisions, tmp_path, kind):
    import psycopg

    halves = decisions.assign(w=decisions.w / 2 if kind == "survey" else decisions.w)
    halves.to_parquet(tmp_path / "decisions.parquet")
    with psycopg.connect(postgres) as connection:
        connection.execute(f"drop table if exists weighted_{kind}")
        connection.execute(
            f"create table weighted_{kind} "
            "(sex text, y smallint, made smallint, score double precision, w numeric)"
        )
        with connection.cursor() as cursor:
            cursor.executemany(
                f"insert into weighted_{kind} values (%s, %s, %s, %s, %s)", halves.values.tolist()
            )
    asked = {**ASKED, "weight": "w", "weight_kind": kind}
    found = eh.audit(postgres, table=f"weighted_{kind}", **asked)
    of_file = eh.audit(tmp_path / "decisions.parquet", **asked)
    exact = {"check_exact": True, "check_dtype": False}
    pd.testing.assert_frame_equal(found.group_frame(), of_file.group_frame(), **exact)
    assert found.gaps() == of_file.gaps()
    assert found.used == of_file.used == 1500
    for name, counts in of_file.counts.items():
        np.testing.assert_array_equal(found.counts[name].table, counts.table)
        np.testing.assert_array_equal(found.counts[name].squares, counts.squares)
