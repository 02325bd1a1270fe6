"""Names of any kind as text: nothing acts on a terminal, in a spreadsheet or in a file."""

import csv
import io
import json
import unicodedata

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenhand._base.text import (
    as_json,
    columns,
    csv_safe,
    fitted,
    frame_to_csv,
    listed,
    visible,
    visible_lines,
)

HOSTILE = (
    "\x1b]0;title\x07",
    "\x1b[2J",
    "\x9b31m",
    "a\u202eb",
    "\u2066x\u2069",
    "a\u2028b",
    "\ufeffx",
    "\x7f",
    "\r\n",
    "\U000e0041",
)
texts = st.text(max_size=20) | st.sampled_from(HOSTILE)


def acting(text: str) -> list[str]:
    """The letters that could act, but those that join two letters into one."""
    kinds = ("Cc", "Cf", "Co", "Cs", "Zl", "Zp")
    return [c for c in text if unicodedata.category(c) in kinds and c not in "\u200c\u200d"]


@given(texts)
def test_what_is_shown_of_any_name_cannot_act(name):
    assert acting(visible(name)) == []
    assert set(acting(visible_lines(name))) <= {"\n"}


@given(st.dictionaries(texts, texts | st.integers() | st.none() | st.lists(texts)))
def test_json_of_any_names_reads_back_and_cannot_act(document):
    text = as_json(document)
    assert json.loads(text) == document
    assert set(acting(text)) <= {"\n"}
    text.encode("utf-8")


@given(st.lists(texts, min_size=1, max_size=5), texts)
def test_csv_of_any_names_reads_back_and_cannot_act(names, column):
    text = frame_to_csv(pd.DataFrame({column: pd.Series(names, dtype=object)}))
    assert set(acting(text)) <= {"\n"}
    (head,), *cells = csv.reader(io.StringIO(text))
    assert head == csv_safe(column)
    assert [cell[0] if cell else "" for cell in cells] == [csv_safe(name) for name in names]


@pytest.mark.parametrize("start", ["", " ", "\t", "\r", "\u3000", "\xa0"])
@pytest.mark.parametrize("sign", list("=+-@\uff1d\uff0b\uff0d\uff20\ufe62\ufe63\ufe66\ufe6b"))
def test_formulas_of_any_width_cannot_act_in_a_spreadsheet(start, sign):
    assert csv_safe(f"{start}{sign}cmd|' /C calc'!A0").startswith("'")


def test_numbers_stay_numbers_in_csv():
    assert csv_safe("-1.5") == "-1.5"
    assert csv_safe(-1.5) == -1.5


def test_letters_of_any_script_and_emoji_stay():
    assert visible("a\u202eb\x1b[0m\u0000") == "a\\u202eb\\u001b[0m\\u0000"
    assert visible("👩🏽‍💻 عربي") == "👩🏽‍💻 عربي"
    assert as_json("👩🏽‍💻 عربي") == '"👩🏽‍💻 عربي"'
    assert columns(fitted("日本語テキスト", 7)) == 7


@given(st.lists(st.text(min_size=1, max_size=5), max_size=30))
def test_a_list_in_an_error_names_eight_at_most(names):
    shown = listed(names, between="|")
    assert shown.startswith("|".join(names[:8]))
    assert shown.endswith(f" and {len(names) - 8} more") == (len(names) > 8)
