"""Parquet, Arrow, JSON lines and Excel workbooks, by the libraries that read them."""

from __future__ import annotations

import codecs
import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from evenhand.errors import InputError, MissingExtraError
from evenhand.tasks.arrow_batches import BATCH_ROWS, batches_of, without_views
from evenhand.tasks.file_kinds import DAMAGED_ZIP
from evenhand.tasks.memory_tables import frame_table
from evenhand.tasks.repeated_header import left_out
from evenhand.tasks.table_file import HEAD, Batches, Content, TableFile
from evenhand.tasks.total_row import without_total

if TYPE_CHECKING:
    pass

PANDAS_INDEX = re.compile(r"__index_level_\d+__")
"""What pandas calls the row numbers that it stores as a column."""
FORMULA, LONGEST_TAG = re.compile(rb"<(?:\w{1,40}:)?f[\s/>]"), 60
"""A cell's formula in the letters of a sheet."""
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
"""How a sheet begins whose letters are not of one byte."""


def _memory(content: Content) -> Any:
    """All bytes in Arrow's own memory: its threads then hold no object of a Python that may end."""
    import pyarrow as arrow

    sink = arrow.BufferOutputStream()
    with content.open() as file:
        while part := file.read(HEAD):
            sink.write(part)
    return sink.getvalue()


def parquet_table(content: Content) -> TableFile:
    """A Parquet file.

    Raises:
        InputError: it is damaged.
    """
    import pyarrow as arrow
    from pyarrow import parquet

    damaged = f"{content.label} is not a whole Parquet file"
    held = content.held
    source = (
        arrow.BufferReader(_memory(content)) if content.packed or isinstance(held, bytes) else held
    )
    try:
        schema = parquet.ParquetFile(source).schema_arrow
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{damaged}: {_line(error)}") from error
    columns = tuple(name for name in schema.names if not PANDAS_INDEX.fullmatch(name))
    texts = [f.name for f in schema if arrow.types.is_string(f.type)]

    def read(places: Sequence[int]) -> Batches:
        wanted = [columns[at] for at in places]
        rows = 0
        try:
            with parquet.ParquetFile(
                source, read_dictionary=[name for name in texts if name in wanted]
            ) as file:
                for batch in file.iter_batches(BATCH_ROWS, columns=list(dict.fromkeys(wanted))):
                    rows += batch.num_rows
                    batch.validate(full=True)  # texts that are none are found here, not where used
                    if batch.num_rows:
                        yield _selected(batch, wanted)
        except (arrow.ArrowException, OSError, ValueError) as error:
            raise InputError(f"{damaged}: {_line(error)}") from error
        if not rows:
            raise InputError(f"{content.label} has no rows")

    return TableFile(content.label, columns, read, path=content.path, layout=schema)


def _selected(batch: Any, wanted: Sequence[str]) -> Any:
    import pyarrow as arrow

    columns = [batch.column(batch.schema.get_field_index(name)) for name in wanted]
    return without_views(
        arrow.RecordBatch.from_arrays(columns, [str(at) for at in range(len(columns))])
    )


def arrow_table(content: Content) -> TableFile:
    """An Arrow file (Feather), or an Arrow stream.

    Raises:
        InputError: it is damaged.
    """
    import pyarrow as arrow
    from pyarrow import ipc

    try:
        buffer = _memory(content)
        whole = content.start(6) == b"ARROW1"
        reader = ipc.open_file(buffer) if whole else ipc.open_stream(buffer)
        table = reader.read_all()
        table.validate(full=True)
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{content.label} is not a whole Arrow file: {_line(error)}") from error
    return _held(table, content.label)


def _held(table: Any, label: str) -> TableFile:
    columns = tuple(name for name in table.column_names if not PANDAS_INDEX.fullmatch(name))
    if not table.num_rows:
        raise InputError(f"{label} has no rows")
    return TableFile(label, columns, lambda places: batches_of(table, places))


def json_lines(content: Content) -> TableFile:
    """A file with one JSON object a line.

    Raises:
        InputError: a line is something else, or not in UTF-8.
    """
    import pyarrow as arrow
    from pyarrow import json as arrow_json

    _require_utf8(content)
    try:
        lines = _memory(content)
        lines = lines[3:] if lines[:3].to_pybytes() == codecs.BOM_UTF8 else lines
        table = arrow_json.read_json(
            arrow.BufferReader(lines), arrow_json.ReadOptions(block_size=64 << 20)
        )
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise InputError(
            f"{content.label} cannot be read as JSON lines (one object of plain values a line, a "
            "key always of one type): save it as CSV or Parquet"
        ) from error
    return _without_total(_held(table, content.label))


def _require_utf8(content: Content) -> None:
    """Refuse what is not UTF-8: Arrow's reader of JSON does not look."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with content.open() as file:
            while part := file.read(HEAD):
                decoder.decode(part)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{content.label} is JSON lines, and not in UTF-8 as those are: save it in UTF-8"
        ) from error


def workbook(content: Content) -> TableFile:
    """The first sheet of an Excel workbook; its first row that holds something is the header.

    Raises:
        InputError: it is damaged, or has no rows.
        MissingExtraError: openpyxl is not installed.
    """
    import pandas as pd

    try:
        import openpyxl
    except ImportError as error:
        raise MissingExtraError("openpyxl", "excel", f"reading {content.label}") from error
    try:
        book = openpyxl.load_workbook(io.BytesIO(content.whole()), read_only=True, data_only=True)
        sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
        rows = [list(row) for row in sheets[0].iter_rows(values_only=True)] if sheets else []
        book.close()
        empty = _uncomputed(content, sheets[0].title, rows) if sheets else []
    except (*DAMAGED_ZIP, KeyError, TypeError, AttributeError, IndexError, SyntaxError) as error:
        raise InputError(
            f"{content.label} is not a whole Excel workbook: {_line(error)}"
        ) from error
    if empty:
        raise InputError(
            f"{content.label}: {len(empty):,} cells hold formulas that were never computed, as "
            f"{empty[0]}: open the workbook in a spreadsheet, let it compute, and save it"
        )
    filled = [row for row in rows if any(cell not in (None, "") for cell in row)]
    if len(filled) < 2:
        raise InputError(f"{content.label} has no rows in its first sheet")
    header, *cells_below = filled
    body = [row for row in cells_below if row != header]
    width = max((at + 1 for at, name in enumerate(header) if name is not None), default=0)
    wide = sum(any(cell not in (None, "") for cell in row[width:]) for row in body)
    if wide > 0.05 * len(body):
        raise InputError(
            f"{content.label}: {wide} rows of {len(body)} have more cells than its {width} headings"
        )
    cells = [[*row, *[None] * width][:width] for row in body]
    columns = [
        f"Unnamed: {at}" if name in (None, "") else str(name).strip()
        for at, name in enumerate(header[:width])
    ]
    frame = pd.DataFrame(cells, columns=pd.Index(columns), dtype=object)
    made = frame_table(frame, content.label)
    if len(body) < len(cells_below):
        made.notes.append(left_out(content.label, len(cells_below) - len(body)))
    if len(sheets) > 1:
        name = sheets[0].title
        made.notes.append(f"{content.label}: sheet {name!r} was read, the first of {len(sheets)}")
    return _without_total(made)


def _uncomputed(content: Content, title: str, values: list[list[Any]]) -> list[str]:
    """Where a sheet has formulas without a value, as programs write them that do not compute."""
    import openpyxl

    if all(cell is not None for row in values for cell in row) or not _has_formulas(content):
        return []
    book = openpyxl.load_workbook(io.BytesIO(content.whole()), read_only=True)
    found = [
        cell.coordinate
        for row, known in zip(book[title].iter_rows(), values, strict=False)
        for cell, value in zip(row, known, strict=False)
        if value is None and cell.data_type == "f"
    ]
    book.close()
    return found


def _has_formulas(content: Content) -> bool:
    """Whether a sheet may hold formulas, by its letters: parsing it takes ten times as long."""
    with zipfile.ZipFile(io.BytesIO(content.whole())) as packed:
        for name in packed.namelist():
            if name.endswith(".xml"):
                before = b""
                with packed.open(name) as file:
                    while part := file.read(HEAD):
                        found = before + part
                        if FORMULA.search(found) or (not before and found.startswith(UTF16)):
                            return True
                        before = found[-LONGEST_TAG:]
    return False


def _without_total(table: TableFile) -> TableFile:
    read = table.read

    def last_row() -> list[Any]:
        *_, last = read(range(len(table.columns)))
        return [column[-1].as_py() for column in last.columns]

    def fewer(places: Sequence[int]) -> Iterator[Any]:
        return without_total(read(places), last_row, table)

    table.read = fewer
    return table


def _line(error: Exception) -> str:
    """What a library says is wrong, in a line without a value of the file."""
    return (str(error) or type(error).__name__).splitlines()[0][:120]
