"""Whole numbers that are no measurements."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenhand.tasks.row_numbers import about_whole_numbers


@given(
    st.sampled_from(["Unnamed: 0", "", "index", "level_0", "row_number", "#", "age", "income"]),
    st.integers(20, 200),
    st.sampled_from([0, 1]),
    st.integers(0, 9),
)
def test_numbers_of_the_rows_are_left_out_whatever_their_name_and_order(name, rows, first, seed):
    values = np.random.default_rng(seed).permutation(rows) + float(first)
    dropped, notes = about_whole_numbers(name, values)
    assert dropped
    assert notes == [f"feature {name!r} numbers the rows and was left out"]


@pytest.mark.parametrize("name", ["id", "customer_id", "caseId", "uuid", "case number"])
def test_an_identifier_is_left_out_and_named(name):
    values = np.random.default_rng(0).choice(10**6, 300, replace=False).astype(float)
    dropped, (note,) = about_whole_numbers(name, values)
    assert dropped
    assert "an identifier, and was left out" in note


@pytest.mark.parametrize("name", ["balance", "idle", "paid", "humid"])
def test_whole_numbers_that_all_differ_are_kept_and_noted(name):
    values = np.random.default_rng(0).choice(10**6, 300, replace=False).astype(float)
    dropped, (note,) = about_whole_numbers(name, values)
    assert not dropped
    assert f"leave it out (drop: [{name}])" in note


def test_what_the_owner_named_is_kept():
    assert not about_whole_numbers("Unnamed: 0", np.arange(50.0), keep=True)[0]


def test_codes_of_categories_are_noted():
    values = np.random.default_rng(0).choice([1121.0, 1131.0, 2110.0, 3000.0], 500)
    dropped, (note,) = about_whole_numbers("household_position", values)
    assert not dropped
    assert "categorical: [household_position]" in note


@given(st.lists(st.floats(0.01, 0.99), min_size=20, max_size=60))
def test_fractions_are_measurements(values):
    assert about_whole_numbers("Unnamed: 0", np.array(values)) == (False, [])


@given(st.integers(0, 9))
def test_ages_are_measurements(seed):
    ages = np.random.default_rng(seed).integers(18, 80, 400).astype(float)
    assert about_whole_numbers("age", ages) == (False, [])
