"""Numbers as people write them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenhand.tasks.numbers import (
    MARKS,
    currencies,
    decimal_mark,
    number_in,
    numbers_in,
    parts_thousands,
)


@pytest.mark.parametrize(
    ("text", "mark", "number"),
    [
        ("1234.56", ".", 1234.56),
        ("1,234.56", ".", 1234.56),
        ("1 234,56", ",", 1234.56),
        ("1.234,56", ",", 1234.56),
        ("1'234.56", ".", 1234.56),
        ("1’234,5", ",", 1234.5),
        ("\u20141", ".", None),
        ("−12", ".", -12),
        ("(1,234)", ".", -1234),
        ("$1,234", ".", 1234),
        ("-$5", ".", -5),
        ("1.234 €", ",", 1234),
        ("CHF 12.50", ".", 12.5),
        ("12 %", ".", 0.12),
        ("12,5%", ",", 0.125),
        ("1e-3", ".", 0.001),
        ("٣", ".", None),
        ("1,23,4", ".", None),
        ("0,123", ".", None),
        ("twelve", ".", None),
        ("", ".", None),
        ("$1 €", ".", None),
        ("inf", ".", math.inf),
    ],
)
def test_a_number_is_what_a_person_reads(text, mark, number):
    found = number_in(text, mark)
    assert found is None if number is None else found == pytest.approx(number)


@given(st.decimals(-(10**9), 10**9, places=2))
def test_every_way_to_write_a_number_gives_it(number):
    point = f"{number:,.2f}"
    comma = point.replace(",", " ").replace(".", ",")
    german = point.translate(str.maketrans(",.", ".,"))
    for text, mark in ((point, "."), (comma, ","), (german, ","), (f"{number:.2f}", ".")):
        assert number_in(text, mark) == pytest.approx(float(number))
    assert number_in(f"{point}%") == pytest.approx(float(number) / 100)


@given(st.text(max_size=12), st.sampled_from([".", ","]))
def test_any_text_is_a_number_or_none(text, mark):
    found = number_in(text, mark)
    assert found is None or isinstance(found, float)


@given(st.lists(st.decimals(0, 10**6, places=2), min_size=3), st.sampled_from([".", ","]))
def test_the_decimal_mark_is_found(numbers, mark):
    texts = [f"{number:.2f}".replace(".", mark) for number in numbers]
    found, doubtful = decimal_mark(texts)
    assert (found, doubtful) == (mark, False)
    assert numbers_in(texts, found) == pytest.approx([float(number) for number in numbers])


def test_a_mark_that_may_be_either_is_said():
    assert decimal_mark(["1,234", "5,678"]) == (".", True)


def test_every_currency_is_told():
    assert currencies(["$1", "2 EUR", "3 kr.", "4"]) == {"$", "EUR", "kr."}


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("text", ["1,579", "-2,345", "$1,234", "(1,234)", "999,000 €"])
def test_one_group_of_three_is_no_number_where_its_mark_may_be_the_decimal_one(text, mark):
    written = text if mark == "." else text.replace(",", ".")
    assert number_in(written, mark) is not None
    assert number_in(written, mark, grouped=False) is None


@given(st.integers(0, 10**12), st.integers(0, 99))
def test_numbers_that_can_be_read_one_way_only_are_read_that_way(whole, cents):
    for text in (f"{whole}", f"{whole}.{cents:02d}", f"{whole:,}.{cents:02d}"):
        assert number_in(text, grouped=False) == number_in(text)
    parted = f"{whole:,}"
    read = number_in(parted, grouped=False)
    assert read == (None if parted.count(",") == 1 else whole)
    assert parts_thousands([parted]) is ("," in parted)
