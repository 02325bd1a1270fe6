"""Files glued together repeat their header; such lines are no rows, wherever a table is read."""

import csv
import io
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenhand.auditing import audit
from evenhand.tasks.encoded_columns import CategoryColumn
from evenhand.tasks.open_table import open_table
from evenhand.tasks.raw_batches import raw_batches
from evenhand.tasks.read_table import read_frame
from evenhand.tasks.repeated_header import HeaderLook
from evenhand.tasks.table_encoder import TableEncoder

HEADER = ("y", "p", "g")
CELL = st.sampled_from(["y", "p", "g", "a", "b"])
ROWS = st.lists(st.tuples(CELL, CELL, CELL).filter(lambda row: row != HEADER), max_size=6)


def glued(parts, mark=",", end="\n", encoding="utf-8", quoting=csv.QUOTE_MINIMAL):
    """Tables of one header one after the other, as bytes."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=mark, lineterminator=end, quoting=quoting)
    for part in parts:
        writer.writerows([HEADER, *part])
    return text.getvalue().encode(encoding)


@given(
    st.lists(ROWS, min_size=1, max_size=4).filter(lambda parts: any(map(len, parts))),
    st.sampled_from(",;\t"),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sets(st.sampled_from(HEADER), min_size=1),
)
def test_the_rows_of_all_parts_are_there_and_no_header(parts, mark, end, encoding, quoting, asked):
    columns = sorted(asked)
    data = glued(parts, mark, end, encoding, quoting)
    frame, notes, _ = read_frame(data, name="t", texts=HEADER, columns=columns)
    wanted = pd.DataFrame([row for part in parts for row in part], columns=list(HEADER))
    assert frame.to_numpy().tolist() == wanted[columns].to_numpy().tolist()
    again = len(parts) - 1
    lines = f"t: {again} line{'s' * (again > 1)} with the header again left out"
    assert notes == ((lines,) if again else ())


@settings(max_examples=30)
@given(st.lists(ROWS, min_size=2, max_size=4), st.lists(st.integers(0, 20), max_size=2))
def test_each_line_of_new_rows_keeps_its_place(parts, ragged):
    lines = glued(parts).decode().splitlines()
    for at in ragged:
        if 0 < at < len(lines):
            lines[at] = "a,b"
    table = open_table("\n".join(lines).encode(), label="t")
    encoder = TableEncoder((CategoryColumn("g", 0.0, ("a", "b")),))
    found = {}
    for batch in raw_batches(table, encoder, ["y"]):
        found |= {batch.start + place: why for place, why in batch.misfits.items()}
        good = [batch.start + int(place) for place in batch.places]
        if good:
            found |= dict(zip(good, batch.carried[0].to_pylist(), strict=True))
    wanted = {
        at: "the line repeats the header"
        if line == ",".join(HEADER)
        else "the line has 2 fields, the header 3"
        if line == "a,b"
        else line.split(",")[0]
        for at, line in enumerate(lines[1:])
    }
    assert found == wanted


@pytest.mark.parametrize("lead", ["", "sep=,\n"])
def test_an_audit_counts_no_header_and_says_so(tmp_path, lead):
    rows = [("1", "0", "u"), ("0", "0", "v"), ("1", "1", "u"), ("0", "1", "v")] * 30
    path = tmp_path / "glued.csv"
    path.write_bytes(lead.encode() + glued([rows, rows]))
    found = audit(path, label="y", prediction="p", groups="g")
    once = audit(
        pd.DataFrame(rows * 2, columns=list(HEADER)), label="y", prediction="p", groups="g"
    )
    assert found.parts[0].counts.table.tolist() == once.parts[0].counts.table.tolist()
    assert any("1 line with the header again left out" in note for note in found.notes)


def test_a_sheet_repeats_its_header_too():
    pytest.importorskip("openpyxl")
    rows = [("1", "0", "u"), HEADER, ("0", "0", "v")]
    book = io.BytesIO()
    pd.DataFrame(rows, columns=list(HEADER)).to_excel(book, index=False)
    frame, notes, _ = read_frame(book.getvalue(), name="t", texts=HEADER)
    assert frame["g"].tolist() == ["u", "v"]
    assert notes == ("t: 1 line with the header again left out",)


def test_a_file_of_headers_has_no_rows(tmp_path):
    Path(tmp_path / "only.csv").write_bytes(glued([[], []]))
    with pytest.raises(ValueError, match="a header and no rows"):
        read_frame(tmp_path / "only.csv")


@given(
    st.lists(st.sampled_from(["age,sex", "sex", "3,F", ' "age" ,sex', "age", "", "x,age,sex"])),
    st.integers(0, 2),
    st.integers(1, 30),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_a_header_that_comes_again_is_seen_whatever_parts_are_read(lines, lead, size, end):
    text = end.join([*["about"] * lead, "age,sex", *lines]).encode()
    look = HeaderLook(("age", "sex"), ",", lead)
    first = text.index(b"sex") + 3  # the lines before the rows come in one part
    look.at(text[:first])
    for at in range(first, len(text), size):
        look.at(text[at : at + size])
    again = {line.replace('"', "").replace(" ", "") for line in lines} & {"age,sex"}
    assert look.seen or not again
    if end != "\r" and not any("age,sex" in line.replace('"', "") for line in lines):
        assert look.seen == bool(again)
