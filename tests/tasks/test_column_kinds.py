"""What a column holds is told from its values, however they are written."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenhand.tasks.column_kinds import CATEGORY, DAYS, MAX_CATEGORIES, NUMBER, tell
from evenhand.tasks.column_values import numbers_of
from evenhand.tasks.missing import Missing
from evenhand.tasks.table_task import table

PLAIN = Missing()


def column(values, name="v"):
    return pd.Series(values, name=name, dtype=object)


def amounts(seed, rows=200):
    return np.random.default_rng(seed).gamma(2, 20000, rows).round(2)


WRITTEN = {
    "point": lambda v: f"{v:.2f}",
    "decimal comma": lambda v: f"{v:.2f}".replace(".", ","),
    "thousands": lambda v: f"{v:,.2f}",
    "spaces": lambda v: f"{v:,.2f}".replace(",", " ").replace(".", ","),
    "apostrophes": lambda v: f"{v:,.2f}".replace(",", "'"),
    "currency": lambda v: f"${v:,.2f}",
    "euros": lambda v: f"{v:,.2f} €".translate(str.maketrans(",.", ".,")),
    "percent": lambda v: f"{v:.2f} %",
}


@pytest.mark.parametrize("way", WRITTEN)
@given(seed=st.integers(0, 20))
def test_numbers_are_numbers_however_they_are_written(way, seed):
    values = amounts(seed)
    told = tell(column([WRITTEN[way](value) for value in values]), PLAIN)
    assert told.kind == NUMBER
    found, bad = numbers_of(column([WRITTEN[way](v) for v in values]), PLAIN, told.decimal)
    np.testing.assert_allclose(found, values / (100 if way == "percent" else 1))
    assert not bad.any()
    assert ("point" in way or way == "apostrophes" or way == "thousands") == (not told.notes)


@pytest.mark.parametrize("garbage", [0, 5, 9])
def test_some_garbage_among_numbers_is_missing_and_counted(garbage):
    values = [*amounts(0).astype(str)[garbage:], *["unknown"] * garbage]
    told = tell(column(values), PLAIN)
    assert told.kind == NUMBER
    said = f"feature 'v': {garbage} values are not numbers and count as missing"
    assert told.notes == ((said,) if garbage else ())


def test_more_garbage_makes_texts_and_the_count_is_said():
    told = tell(column([*amounts(0).astype(str)[50:], *["unknown"] * 50]), PLAIN)
    assert told.kind == CATEGORY
    assert "150 of 200 values are numbers, fewer than 95%" in told.notes[0]


def test_two_currencies_are_no_single_amount():
    values = [f"${v}" if i % 2 else f"€{v}" for i, v in enumerate(amounts(0))]
    assert tell(column([*values[:100], *values[:100]]), PLAIN).kind == CATEGORY


@given(st.sampled_from(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S+02:00"]))
def test_dates_are_days_however_precise(form):
    moments = pd.Timestamp("2015-01-01") + pd.to_timedelta(np.arange(0, 3000, 7), unit="D")
    assert tell(column(moments.strftime(form).tolist()), PLAIN).kind == DAYS


def test_codes_are_categories_where_the_owner_says_so():
    codes = column([1121, 1131, 2110] * 50)
    assert tell(codes, PLAIN).kind == NUMBER
    assert tell(codes, PLAIN, categorical=True).kind == CATEGORY


def test_the_owners_words_for_a_missing_value_are_no_garbage():
    values = column([*amounts(0).astype(str)[60:], *["-9"] * 30, *["not asked"] * 30])
    assert tell(values, Missing(["-9", "not asked"])).notes == ()
    assert tell(values, PLAIN).kind == CATEGORY


def test_columns_that_teach_nothing_are_left_out_and_named():
    for values, why in (
        (["a"] * 50, "one value only"),
        ([f"n{i}" for i in range(MAX_CATEGORIES + 50)], "an identifier"),
        (["7"] * 50, "one value only"),
        ([None] * 50, ""),
    ):
        told = tell(column(values), PLAIN)
        assert told.kind is None
        assert why in told.notes[0]


def test_many_texts_are_kept_and_the_rare_ones_counted():
    values = [f"n{i % 150}" for i in range(600)]
    told = tell(column(values), PLAIN)
    assert told.kind == CATEGORY
    assert "150 different texts" in told.notes[0]


@given(st.lists(st.integers(0, 99_999), min_size=2, max_size=60, unique=True))
def test_numbers_with_a_zero_before_them_are_codes(numbers):
    told = tell(column([f"{number:05}" for number in numbers]), PLAIN)
    assert told.kind == (CATEGORY if min(numbers) < 10_000 else NUMBER)
    said = "feature 'v' was read as codes, not numbers: some begin with a zero"
    assert (told.notes[:1] == (said,)) == (min(numbers) < 10_000)


@pytest.mark.parametrize("other", ["-7", "1.5", "+3", "0.5"])
def test_zeros_before_numbers_that_are_no_codes_change_nothing(other):
    assert tell(column(["007", "08", other]), PLAIN).kind == NUMBER


@pytest.mark.parametrize("typed", [True, False])
@given(bad=st.lists(st.sampled_from(["inf", "-inf", "Infinity", "1e39", "-1e300"]), max_size=8))
def test_infinities_are_missing_and_counted(typed, bad):
    values = [*amounts(0).astype(str), *bad]
    told = tell(pd.Series(values, name="v", dtype=float if typed else object), PLAIN)
    said = f"feature 'v': {len(bad)} values are not finite (or beyond 3.4e38) and count as missing"
    assert told.kind == NUMBER
    assert told.notes == ((said,) if bad else ())


def test_a_file_keeps_the_zeros_of_its_codes(tmp_path):
    rng = np.random.default_rng(0)
    codes = ["02139", "10001", "94103"]
    frame = pd.DataFrame({"zip": rng.choice(codes, 200), "x": rng.normal(size=200)})
    frame = frame.assign(y=rng.integers(0, 2, 200), g=rng.choice(["u", "v"], 200))
    frame.to_csv(tmp_path / "t.csv", index=False)
    task = table(tmp_path / "t.csv", label="y", groups="g")
    assert task.feature_names == ("x", "zip_02139", "zip_10001", "zip_94103")
    new = pd.DataFrame({"zip": [94103, "02139"], "x": [0.0, 0.0]})
    assert task.encode(new)[:, 1:].tolist() == [[0, 0, 1], [1, 0, 0]]
