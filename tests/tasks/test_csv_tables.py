"""A CSV gives the same rows however it is written."""

import csv
import gzip
import io
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenhand.errors import InputError
from evenhand.tasks.read_table import read_frame

CELL = st.text("abzé ñ12'-_/", max_size=6).map(str.strip)
TABLES = st.lists(st.tuples(CELL, CELL, CELL), min_size=2, max_size=12)


def written(rows, delimiter=",", end="\n", encoding="utf-8", lead="", space=""):
    """A CSV with every cell quoted, as bytes."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\0", quoting=csv.QUOTE_ALL)
    writer.writerows([("y", "p", "g"), *rows])
    lines = [line.replace(delimiter, delimiter + space) for line in text.getvalue().split("\0")]
    return (lead + end.join(lines)).encode(encoding)


def cells(data, **options):
    frame = read_frame(data, texts=("y", "p", "g"), **options)[0]
    return [[cell.strip() for cell in row] for row in frame.to_numpy().tolist()]


@given(
    TABLES,
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"]),
    st.booleans(),
)
def test_delimiter_line_end_encoding_and_sep_change_nothing(rows, mark, end, encoding, said):
    data = written(rows, mark, end, encoding, lead=f"sep={mark}{end}" if said else "")
    assert cells(data) == [list(row) for row in rows]


@given(TABLES, st.sampled_from(",;|"), st.sampled_from([" ", "  "]))
def test_spaces_after_delimiters_are_no_part_of_a_cell(rows, mark, space):
    assert cells(written(rows, mark, space=space)) == [list(row) for row in rows]


@given(TABLES)
def test_gzip_and_zip_change_nothing(rows):
    data = written(rows)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rows.csv", data)
    assert cells(gzip.compress(data)) == cells(packed.getvalue()) == cells(data)


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "mac-roman"])
def test_another_encoding_is_asked_for_and_then_read(encoding):
    data = "y,p,g\n0,1,München\n1,1,Orléans\n".encode(encoding)
    with pytest.raises(InputError, match=r"is not utf-8: byte \d+ \(line 2\)"):
        read_frame(data)
    assert read_frame(data, encoding=encoding)[0]["g"].tolist() == ["München", "Orléans"]


@pytest.mark.parametrize("cut", ["0,1\n", "0,1,F,a name,55\n"])
def test_a_line_that_does_not_fit_is_left_out_without_a_word_of_it(cut):
    data = ("y,p,g\n" + "0,1,F\n" * 60 + cut + "1,0,M\n" * 60).encode()
    frame, notes, _ = read_frame(data)
    assert len(frame) == 120
    assert len(notes) == 1
    assert "1 lines with" in notes[0]
    assert "name" not in notes[0]


def test_columns_without_a_name_are_named_by_their_place():
    frame, _, _ = read_frame(b",y,\n1,0,a\n2,1,b\n")
    assert list(frame.columns) == ["Unnamed: 0", "y", "Unnamed: 2"]


@given(st.integers(0, 9))
def test_numbers_come_as_numpy_reads_them(seed):
    numbers = np.random.default_rng(seed).normal(size=50) * 10.0 ** np.arange(-25, 25)
    frame = read_frame(pd.DataFrame({"v": numbers}).to_csv(index=False).encode())[0]
    np.testing.assert_array_equal(frame["v"].to_numpy(), numbers)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "idna", "undefined"])
def test_an_encoding_that_is_not_the_files_is_refused(encoding):
    with pytest.raises(InputError, match=encoding):
        read_frame(b"y,p\n1,2\n3,4\n", encoding=encoding)


ENDING = """
import os, sys
from evenhand.tasks.open_table import open_table
wrong = 0
for _ in range(40):
    child = os.fork()
    if not child:
        list(open_table(b"y,p\\n" + b"1,2\\n" * 600).read([0, 1]))
        sys.exit(0)
    wrong += os.waitpid(child, 0)[1] != 0
sys.exit(wrong)
"""


def test_a_program_may_end_right_after_it_read_a_table():
    """Arrow's threads must hold nothing of Python's then: the process would be aborted."""
    done = subprocess.run([sys.executable, "-c", ENDING], check=False, timeout=120)
    assert done.returncode == 0


@pytest.mark.parametrize("line", [b"1,0,\xff,u", b"1,\xff", b"\xc3,1", b"1,0,u,\xe2\x82"])
def test_a_line_that_does_not_fit_is_left_out_whatever_its_bytes(line):
    rows = [(str(i % 2), "1", "é") for i in range(40)]
    lines = written(rows).split(b"\n")
    frame, notes, _ = read_frame(
        b"\n".join([*lines[:9], line, *lines[9:]]), name="t", texts=("y", "p", "g")
    )
    assert frame.to_numpy().tolist() == [list(row) for row in rows]
    than = "more" if line.count(b",") > 2 else "fewer"
    assert notes == (f"t: 1 lines with {than} fields than the 3 columns left out",)


@given(st.integers(0, 39), st.sampled_from([b"\xff", b"\xc3", b"\xe2\x82"]))
def test_bytes_that_are_no_characters_are_found_where_they_are_read(row, bad):
    lines = written([("a", "b", "é")] * 40).split(b"\n")
    lines[row + 1] = lines[row + 1].replace(b'"b"', b'"' + bad + b'"')
    data = b"\n".join(lines)
    with pytest.raises(InputError, match=rf"not utf-8: byte \d+ \(line {row + 2}\)"):
        read_frame(data, columns=["p"])
    assert read_frame(data, columns=["g"])[0]["g"].tolist() == ["é"] * 40


@pytest.mark.parametrize("quoted", [False, True])
def test_a_line_longer_than_a_block_is_a_row_as_any_other(quoted):
    lines = ["y,p,g", *["1,0,u"] * 400_000]
    cell = "x\n" * 1_500_000 if quoted else "x" * 3_000_000
    lines[7], lines[300_000] = "1,0", f'0,"{cell}",v'
    frame, notes, _ = read_frame("\n".join(lines).encode(), name="t", texts=("y", "p", "g"))
    assert notes == ("t: 1 lines with fewer fields than the 3 columns left out",)
    assert len(frame) == 399_999
    assert frame.index[frame["g"] == "v"].tolist() == [299_998]
    assert frame["p"].str.len().max() == 3_000_000
    lines[300_000] = f'0,"{cell * 7}",v'
    with pytest.raises(InputError, match="longer than 8 MB"):
        read_frame("\n".join(lines).encode(), name="t")
