"""Dates are read right in the order of the country they come from, or not at all."""

import datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenhand.tasks.column_kinds import CATEGORY, DAYS, tell
from evenhand.tasks.column_values import days_of
from evenhand.tasks.dates import DAY_FIRST, ISO, MONTH_FIRST, order_of
from evenhand.tasks.missing import Missing
from evenhand.tasks.table_task import table

WRITTEN = {
    "%d/%m/%Y": DAY_FIRST, "%d.%m.%Y": DAY_FIRST, "%d-%m-%Y": DAY_FIRST,
    "%d/%m/%Y %H:%M": DAY_FIRST, "%m/%d/%Y": MONTH_FIRST, "%m-%d-%Y %I:%M:%S %p": MONTH_FIRST,
    "%Y-%m-%d": ISO, "%Y/%m/%d": ISO, "%Y-%m-%dT%H:%M:%S": ISO,
}  # fmt: skip
DATES = st.lists(st.dates(datetime.date(1900, 1, 1), datetime.date(2200, 1, 1)), min_size=5)


def column(values):
    return pd.Series(values, name="v", dtype=object)


@pytest.mark.parametrize("form", WRITTEN)
@given(dates=DATES)
def test_days_are_the_same_however_a_country_writes_them(form, dates):
    dates = [*dates, datetime.date(2024, 12, 31)]
    written = column([datetime.datetime.combine(d, datetime.time(13, 5)).strftime(form)
                      for d in dates])  # fmt: skip
    order = order_of(written)
    assert order == WRITTEN[form]
    found, bad = days_of(written, Missing(), order)
    assert found.tolist() == [(d - datetime.date(1970, 1, 1)).days for d in dates]
    assert not bad.any()
    if len(set(dates)) > 1:
        told = tell(written, Missing())
        assert told.kind == DAYS
        said = (f"feature 'v' was read as dates, the {order}",)
        assert told.notes == (said if order else ())


def test_dates_that_may_be_either_are_no_dates_and_the_owner_is_told_so():
    told = tell(column([f"{d:02}/{m:02}/2024" for d in range(1, 13) for m in (1, 2)]), Missing())
    assert told.kind == CATEGORY
    assert "whether the day or the month comes first: write them as 2024-12-31" in told.notes[0]
    both = tell(column(["31/12/2024", "12/31/2024"] * 5), Missing())
    assert both.kind == CATEGORY
    assert both.notes == (told.notes[0].replace("24 texts", "2 texts"),)


def test_dates_with_points_have_the_day_first():
    assert order_of(["01.02.2024", "03.04.2024"]) == DAY_FIRST


@pytest.mark.parametrize("text", ["1/2", "1/2/24", "1-2/2024", "31/12/2024 noon", "٣/1/2024"])
def test_what_is_no_such_date_says_nothing_of_the_order(text):
    assert order_of([text]) == ISO


def test_a_day_that_the_calendar_lacks_is_no_date():
    found, bad = days_of(column(["31/02/2024", "28/02/2024"]), Missing(), DAY_FIRST)
    assert np.isnan(found).tolist() == bad.tolist() == [True, False]


def test_new_rows_are_read_in_the_order_of_the_old_ones(tmp_path):
    rng = np.random.default_rng(0)
    days = rng.integers(0, 4000, 300)
    dates = pd.Series(np.datetime64("2010-01-01") + days)
    frame = pd.DataFrame({"d": dates.dt.strftime("%d/%m/%Y"), "y": rng.integers(0, 2, 300),
                          "g": rng.choice(["u", "v"], 300)})  # fmt: skip
    frame.to_csv(tmp_path / "t.csv", index=False)
    task = table(tmp_path / "t.csv", label="y", groups="g")
    assert task.feature_names == ("d",)
    early = task.encode(pd.DataFrame({"d": ["02/01/2015"], "y": [0], "g": ["u"]}))
    late = task.encode(pd.DataFrame({"d": ["01/02/2015"], "y": [0], "g": ["u"]}))
    scale = task.encoder.columns[0].scale
    assert (late - early).item() * scale == pytest.approx(30, abs=1e-2)
