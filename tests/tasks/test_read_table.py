"""Reading tables as users have them."""

import gzip

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenhand.errors import EvenhandError, InputError
from evenhand.tasks.csv_tables import sniff_delimiter
from evenhand.tasks.read_table import read_frame

PLAIN = "age,sex,y\n30,F,0\n41,M,1\n"


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_any_delimiter_is_found(mark):
    frame, notes, _ = read_frame(PLAIN.replace(",", mark).encode())
    assert list(frame.columns) == ["age", "sex", "y"]
    assert frame["age"].tolist() == [30, 41]
    assert notes == ()


def test_a_comma_inside_a_semicolon_table_is_text():
    frame, _, _ = read_frame(b'name;y\n"a, b";1\n"c, d";0\n')
    assert frame["name"].tolist() == ["a, b", "c, d"]


def test_a_byte_order_mark_is_not_part_of_the_first_column():
    frame, _, _ = read_frame(b"\xef\xbb\xbf" + PLAIN.encode())
    assert frame.columns[0] == "age"


def test_gzip_is_unpacked_whatever_the_file_is_called(tmp_path):
    path = tmp_path / "people.csv.gz"
    path.write_bytes(gzip.compress(PLAIN.encode()))
    assert len(read_frame(path)[0]) == 2
    path.write_bytes(gzip.compress(PLAIN.encode())[:-9])
    with pytest.raises(InputError, match=r"people\.csv\.gz is not a whole gzip file"):
        read_frame(path)


def test_parquet_gives_the_same_rows(tmp_path):
    path = tmp_path / "people.parquet"
    pd.DataFrame({"age": [30, 41], "sex": ["F", None]}).to_parquet(path)
    frame, _, _ = read_frame(path)
    assert frame["sex"].isna().tolist() == [False, True]
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError, match="not a whole Parquet file"):
        read_frame(path)


def test_a_column_twice_is_named_with_its_places():
    with pytest.raises(InputError, match=r"column 'age' 2 times \(columns 1, 3\)"):
        read_frame(b"age,y,age\n1,2,3\n")


def test_a_bad_line_far_down_is_left_out_and_counted():
    lines = ["age,y"] + [f"{i},{i % 2}" for i in range(10_000)]
    lines[9_999] = "1,2,3,4"
    frame, notes, _ = read_frame("\n".join(lines).encode())
    assert len(frame) == 9_999
    assert notes == ("data: 1 lines with more fields than the 2 columns left out",)


def test_many_bad_lines_are_refused():
    with pytest.raises(InputError, match="have more fields than its 2 columns"):
        read_frame(("a,b\n" + "1,2\n" * 10 + "1,2,3\n" * 10).encode(), delimiter=",")


def test_missing_marks_and_texts_kept_to_the_letter():
    content = b"t,g\nnull,?\nNA,F\n"
    frame, _, _ = read_frame(content, texts=("t",))
    assert frame["t"].tolist() == ["null", "NA"]
    assert frame["g"].isna().tolist() == [True, False]


def test_the_wrong_encoding_is_named_with_its_line():
    with pytest.raises(InputError, match=r"not utf-8: byte 8 \(line 3\)"):
        read_frame("a,b\n1,2\n\xe9,3\n".encode("latin-1"))
    assert read_frame("a,b\n\xe9,3\n".encode("latin-1"), encoding="latin-1")[0]["a"][0] == "é"
    with pytest.raises(InputError, match="unknown encoding 'klingon'"):
        read_frame(b"a,b\n1,2\n", encoding="klingon")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"a,b\n"])
def test_nothing_to_read_is_said(content):
    with pytest.raises(InputError, match=r"is empty|no rows"):
        read_frame(content)


def test_no_file_is_said(tmp_path):
    with pytest.raises(InputError, match="no file at"):
        read_frame(tmp_path / "absent.csv")


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=300))
def test_any_bytes_give_a_frame_or_an_error_of_our_own(content):
    try:
        frame, _, _ = read_frame(content)
    except EvenhandError:
        return
    assert len(frame)


@settings(deadline=None, max_examples=40)
@given(st.text(max_size=200))
def test_sniffing_never_fails(text):
    assert sniff_delimiter(text) in ",;\t|"


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (b"y\x00,g\n1,a\n", {}, "holds zero bytes"),
        (b"y,g\n1,a\n", {"delimiter": "::"}, "a delimiter is one character, found '::'"),
        (b"y,g\n1,a,3\n2,b,4\n", {}, "more fields|cannot be read as CSV"),
        (b"y,g\n1,a\n", {"delimiter": "\n"}, "a delimiter is one character"),
        (b'"' + b"x" * 200_000 + b'",a\n1,2\n', {"delimiter": ","}, "cannot be read as CSV"),
    ],
)
def test_a_csv_that_would_be_read_wrongly_is_refused(data, options, message):
    with pytest.raises(InputError, match=message):
        read_frame(data, name="t.csv", **options)
