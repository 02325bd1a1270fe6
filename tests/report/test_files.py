import json

import numpy as np
import pandas as pd
import pytest
from simulated_run import make_run

from evenhand._base.text import columns, number
from evenhand.metrics import Counts
from evenhand.report import files
from evenhand.report import terminal_table as table
from evenhand.report.markup import markdown
from evenhand.report.record import RESULT_COLUMNS, Record
from evenhand.report.setting import Setting


def test_a_run_leaves_its_files(run, tmp_path):
    paths = files.write_run(run, tmp_path)
    assert set(paths) == {"results.csv", "result.json", "report.html"}
    frame = pd.read_csv(paths["results.csv"])
    assert tuple(frame.columns) == RESULT_COLUMNS
    assert frame["error"].tolist() == pytest.approx([r.error for r in run.records])


def test_json_gives_the_counts_back_and_writes_undefined_numbers_as_null(run):
    document = json.loads(files.to_json(run))
    assert np.array_equal(document["after"]["counts"]["table"], run.after.counts.table)
    assert document["after"]["intervals"]["equalized_odds"]["low"] > 0
    counts = Counts(np.ones((1, 2, 2), int), np.zeros((2, 2), int), ("F",), ("a", "b"))
    record = Record("t", "m", Setting(), 0, counts, 0, float("nan"))
    document = json.loads(files.to_json(make_run(records=(record,), before=record, frontier=())))
    assert document["before"]["delta_eo"] is None
    assert document["records"][0]["seconds"] is None


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_comparison_fits_80_columns_and_is_aligned(seeds):
    run = make_run(seeds=seeds)
    lines = table.comparison(run.records, ("eo", "dp")).splitlines()
    # a header, a line for the method with two settings, and the settings
    assert len(lines) == 2 + 6 * (2 if seeds == 1 else 1)
    assert max(map(columns, lines)) <= 80
    with_seconds = [line for line in lines if line.endswith(("sec", "0.13"))]
    assert len(with_seconds) == 7
    assert len({columns(line) for line in with_seconds}) == 1
    assert "gap" in lines
    assert "\x1b" not in "".join(lines)
    assert ("±" in lines[1]) == (seeds > 1)


def test_long_and_wide_names_still_fit():
    counts = Counts(np.full((2, 2, 2), 30), np.zeros((2, 2), int), ("F", "M"), ("a", "b"))
    names = ["方法" * 40, "\x1b[31mred", "a" * 99, "x"]
    records = [Record("t", n, Setting(n), 0, counts, 10**7, 1e5) for n in names]
    text = table.comparison(records)
    assert all(columns(line) <= 80 for line in text.splitlines())
    assert "\x1b" not in text


def test_colour_only_where_asked(run):
    assert "\x1b[" in table.comparison(run.records, color=True)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.05, ".050"), (-0.05, "-.050"), (1.5, "1.500"), (-0.0001, ".000"), (np.nan, "n/a")],
)
def test_numbers(value, text):
    assert number(value) == text


def test_markdown_shows_names_literally():
    assert markdown("a|b<c>") == "a\\|b&lt;c\\>"
