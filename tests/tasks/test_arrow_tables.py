"""One table, whatever file, library or type it is kept in."""

import io
import zipfile
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import polars
import pyarrow as arrow
import pytest
from pyarrow import feather, parquet

from evenhand.errors import InputError
from evenhand.tasks.arrow_tables import _has_formulas
from evenhand.tasks.column_values import days_of, numbers_of
from evenhand.tasks.missing import Missing
from evenhand.tasks.open_table import open_table
from evenhand.tasks.read_table import frame_of, read_frame
from evenhand.tasks.table_file import HEAD, Content


@pytest.fixture
def people():
    draw = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "y": draw.integers(0, 2, 60),
            "g": draw.choice(["F", "M"], 60),
            "v": draw.normal(size=60).round(3),
        }
    )


def as_file(frame, kind):
    buffer, table = io.BytesIO(), arrow.Table.from_pandas(frame, preserve_index=False)
    if kind == "parquet":
        parquet.write_table(table, buffer)
    elif kind == "feather":
        feather.write_feather(table, buffer)
    elif kind == "stream":
        with arrow.ipc.new_stream(buffer, table.schema) as writer:
            writer.write_table(table)
    elif kind == "json":
        frame.to_json(buffer, orient="records", lines=True)
    elif kind == "xlsx":
        pytest.importorskip("openpyxl")
        frame.to_excel(buffer, index=False)
    else:
        frame.to_csv(buffer, index=False)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["csv", "parquet", "feather", "stream", "json", "xlsx"])
def test_every_file_gives_the_same_frame(people, kind):
    frame = read_frame(as_file(people, kind))[0]
    pd.testing.assert_frame_equal(frame, people, check_dtype=False)


@pytest.mark.parametrize("kind", ["parquet", "feather", "stream", "json", "xlsx"])
def test_a_cut_file_is_named_and_never_half_read(people, kind):
    whole = as_file(people, kind)
    with pytest.raises(InputError):
        read_frame(whole[: len(whole) - len(whole) // 3 - 7] + b"\x01")


@pytest.mark.parametrize(
    "made",
    [
        lambda frame: frame,
        lambda frame: frame.set_index(frame.index[::-1] * 7),
        lambda frame: frame.convert_dtypes(),
        lambda frame: frame.astype({"g": "category"}),
        lambda frame: frame.astype({"v": "float32"}),
        lambda frame: polars.from_pandas(frame),
        lambda frame: polars.from_pandas(frame).cast({"g": polars.Categorical}),
        lambda frame: polars.from_pandas(frame).cast({"g": polars.Enum(["M", "F"])}),
        lambda frame: polars.from_pandas(frame).lazy().collect(),
        lambda frame: arrow.Table.from_pandas(frame),
        lambda frame: frame.astype(object),
    ],
)  # fmt: skip
def test_every_librarys_table_gives_the_same_rows_in_the_same_order(people, made):
    frame = frame_of(open_table(made(people)), names=("g",))[0]
    assert frame["g"].tolist() == people["g"].tolist()
    assert frame["y"].tolist() == people["y"].tolist()
    np.testing.assert_allclose(frame["v"].astype(float), people["v"], atol=1e-6)


DAYS = [date(1969, 12, 31), date(1970, 1, 1), date(2015, 6, 1), None, date(2024, 2, 29)]
WANTED = [-1, 0, 16587, np.nan, 19782]
MOMENTS = [None if day is None else datetime(day.year, day.month, day.day, 13) for day in DAYS]


@pytest.mark.parametrize(
    "column",
    [
        arrow.array(DAYS, arrow.date32()),
        arrow.array(DAYS, arrow.date64()),
        *(arrow.array(MOMENTS, arrow.timestamp(unit)) for unit in ("s", "ms", "us", "ns")),
        arrow.array(MOMENTS, arrow.timestamp("us", tz="UTC")),
        arrow.array([None if day is None else day.isoformat() for day in DAYS]),
        arrow.array([None if day is None else f"{day.isoformat()}T13:00:00" for day in DAYS]),
    ],
    ids=lambda column: str(column.type),
)
def test_a_day_is_a_day_in_every_unit_and_a_missing_one_is_missing(column):
    frame = frame_of(open_table(arrow.table({"v": column, "w": arrow.array(range(5))})))[0]
    days, bad = days_of(frame["v"], Missing())
    np.testing.assert_array_equal(days, WANTED)
    assert not bad.any()


@pytest.mark.parametrize(
    ("column", "wanted"),
    [
        (arrow.array([1, None, 3], arrow.int8()), [1, np.nan, 3]),
        (arrow.array([1, None, 3], arrow.uint64()), [1, np.nan, 3]),
        (arrow.array(np.array([1, 2.5, 3], "float16")), [1, 2.5, 3]),
        (arrow.array(["1", "2.5", None]), [1, 2.5, np.nan]),
        (arrow.array([1.0, float("nan"), None]), [1, np.nan, np.nan]),
        (arrow.array([timedelta(seconds=90), None, timedelta(0)]), [90, np.nan, 0]),
        (arrow.array(["1", "2", "1"]).dictionary_encode(), [1, 2, 1]),
        (arrow.array([b"1", b"2", b"3"]), [1, 2, 3]),
        (arrow.RunEndEncodedArray.from_arrays([1, 3], [1, None]), [1, np.nan, np.nan]),
        (
            arrow.ExtensionArray.from_storage(arrow.bool8(), arrow.array([1, 0, 1], arrow.int8())),
            [1, 0, 1],
        ),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_a_number_is_a_number_in_every_type(column, wanted):
    frame = frame_of(open_table(arrow.table({"v": column})))[0]
    np.testing.assert_array_equal(numbers_of(frame["v"], Missing())[0], wanted)


def test_nested_columns_are_left_out_and_named():
    table = arrow.table({"v": [1, 2], "l": [[1], [2, 3]], "s": [{"a": 1}, {"a": 2}]})
    frame, notes, _ = frame_of(open_table(table))
    assert list(frame.columns) == ["v"]
    assert notes == ("columns of lists or other nested values left out: l, s",)
    with pytest.raises(InputError, match="column 'l' of the table holds list<"):
        frame_of(open_table(table), names=("l",))


@pytest.mark.parametrize(
    ("column", "wanted"),
    [
        (pd.cut([1, 5, 9], [0, 4, 10]), ["(0, 4]", "(4, 10]", "(4, 10]"]),
        (pd.cut([1, 5, np.nan], [0, 4, 10]), ["(0, 4]", "(4, 10]", None]),
        (pd.PeriodIndex(["2020", "2021", "2020"], freq="Y"), ["2020", "2021", "2020"]),
        (pd.IntervalIndex.from_breaks([0, 1, 2, 3]), ["(0, 1]", "(1, 2]", "(2, 3]"]),
    ],
)
def test_a_column_of_pandas_own_types_is_named_as_pandas_prints_it(column, wanted):
    frame = frame_of(open_table(pd.DataFrame({"g": column})), names=("g",))[0]
    assert frame["g"].tolist() == wanted


def test_an_identifier_of_arrows_own_type_is_its_text():
    held = arrow.array([bytes(15) + b"\1", None], arrow.binary(16))
    column = arrow.ExtensionArray.from_storage(arrow.uuid(), held)
    frame = frame_of(open_table(arrow.table({"g": column})), names=("g",))[0]
    assert frame["g"].tolist() == ["00000000-0000-0000-0000-000000000001", None]


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (polars.DataFrame({"g": polars.Series([{1}], dtype=polars.Object)}), "Python objects in g"),
        (polars.DataFrame({"g": [1]}).cast(polars.Int128), "Arrow has no type for"),
        (polars.DataFrame({"g": [1]}).lazy(), r"found LazyFrame.*\.collect\(\)"),
        ({"g": [1]}, r"found dict: make a DataFrame"),
        (arrow.table({"g": arrow.array([arrow.MonthDayNano([1, 0, 0])])}), "not plain values"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(made, why):
    with pytest.raises(InputError, match=why):
        frame_of(open_table(made), names=("g",))


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16-le"])
def test_json_lines_in_another_encoding_say_so(encoding):
    with pytest.raises(InputError, match="JSON lines, and not in UTF-8"):
        read_frame('{"g": "\u00e9", "y": 1}\n{"g": "b", "y": 0}\n'.encode(encoding))


@pytest.mark.parametrize("kind", ["parquet", "memory"])
def test_texts_that_are_no_texts_are_refused(kind):
    texts = arrow.array([b"ab", b"\xa1\xa1"]).view(arrow.string())
    made = arrow.table({"g": texts, "y": [0, 1]})
    if kind == "parquet":
        buffer = arrow.BufferOutputStream()
        parquet.write_table(made, buffer)
        made = buffer.getvalue().to_pybytes()
    with pytest.raises(InputError, match="UTF8"):
        frame_of(open_table(made), names=("g",))


def test_a_workbook_with_a_damaged_sheet_is_named():
    whole = _workbook()
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        at = archive.getinfo("xl/worksheets/sheet1.xml").header_offset
    for place in range(at + 60, at + 120):  # the packed sheet, after its header
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        with pytest.raises(InputError):
            read_frame(bytes(damaged))


def _workbook():
    pytest.importorskip("openpyxl")
    buffer = io.BytesIO()
    pd.DataFrame({"g": list("abab") * 9, "y": range(36)}).to_excel(buffer, index=False)
    return buffer.getvalue()


def test_formulas_that_were_never_computed_are_no_missing_values(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (("a", "b"), (1, "=A2*2"), (2, None), (3, "=A4*2")):
        book.active.append(row)
    book.save(tmp_path / "t.xlsx")
    with pytest.raises(InputError, match=r"2 cells hold formulas that .* as B2: open the"):
        read_frame((tmp_path / "t.xlsx").read_bytes(), name="t.xlsx")


@pytest.mark.parametrize(
    ("text", "has"),
    [
        (b"<c><f>SUM(A1)</f></c>", True),
        (b'<x:f t="shared">A1</x:f>', True),
        (b"<c><f/></c>", True),
        (b"<formula1>A</formula1><font/><v>f</v>", False),
        ("<c><f>A1</f></c>".encode("utf-16"), True),
    ],
)
def test_a_formula_is_found_by_the_letters_of_a_sheet_wherever_it_stands(text, has):
    for before in (0, HEAD - 2, HEAD + 5) if not text.startswith(b"\xff") else (0,):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as book:
            book.writestr("xl/worksheets/sheet1.xml", b" " * before + text)
        assert _has_formulas(Content(packed.getvalue(), "t")) == has
