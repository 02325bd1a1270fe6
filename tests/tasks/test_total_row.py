"""A spreadsheet's last line of totals is no row."""

import io
import json

import pandas as pd
import pytest

from evenhand.tasks.read_table import read_frame
from evenhand.tasks.total_row import TOTALS

ROWS = "y,p,g\n" + "0,1,F\n1,0,M\n" * 20


@pytest.mark.parametrize("word", sorted(TOTALS))
def test_a_total_is_left_out_and_named(word):
    for spelled in (word, word.upper(), f"{word}:"):
        frame, notes, _ = read_frame(f"{ROWS}{spelled},520,\n".encode())
        assert len(frame) == 40
        assert any("the last line is a total" in note for note in notes)


@pytest.mark.parametrize("last", ["1,0,total", "Total,1,F", "1,,F", ",,"])
def test_a_row_that_only_looks_like_one_stays(last):
    frame, notes, _ = read_frame(f"{ROWS}{last}\n".encode())
    assert len(frame) == 41
    assert not any("total" in note for note in notes)


@pytest.mark.parametrize(
    ("encoding", "end", "lead"),
    [
        ("utf-8", "\n", ""),
        ("utf-16", "\r\n", ""),
        ("utf-16-be", "\r", "\ufeff"),
        ("utf-8", "\n\n", ""),
    ],
)
def test_it_is_found_however_the_file_is_written(encoding, end, lead):
    text = lead + end.join([*ROWS.split(), "Total,520,"]) + end
    frame, _, _ = read_frame(text.encode(encoding), columns=["p"])
    assert len(frame) == 40


def test_it_is_found_in_json_lines_and_workbooks():
    pytest.importorskip("openpyxl")
    rows = [{"y": str(i % 2), "p": i % 2, "g": "F"} for i in range(40)]
    total = {"y": "Total", "p": 20, "g": None}
    lines = "\n".join(json.dumps(row) for row in [*rows, total])
    book = io.BytesIO()
    pd.DataFrame([*rows, total]).to_excel(book, index=False)
    for data in (lines.encode(), book.getvalue()):
        frame, notes, _ = read_frame(data, columns=["p"])
        assert len(frame) == 40
        assert any("the last line is a total" in note for note in notes)


def test_it_is_left_out_whichever_columns_are_read():
    for columns in (["p"], ["g"], ["y", "g"], ["p", "y", "g"]):
        frame, _, _ = read_frame(f"{ROWS}Total,520,\n".encode(), columns=columns)
        assert len(frame) == 40
        assert list(frame.columns) == columns
