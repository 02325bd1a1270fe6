"""Read the few columns an audit needs, a bounded number of rows at a time."""

from __future__ import annotations

import codecs
import csv
import difflib
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evenhand._base.text import listed, visible
from evenhand.errors import InputError, MissingExtraError

CHUNK_ROWS = 500_000


MISSING_TEXTS = ("", "NA", "N/A", "NaN", "nan", "NULL", "null", "<NA>")
"""How a CSV says that a value is missing."""


Chunk = dict[str, tuple[np.ndarray[Any, Any], list[Any]]]
"""Column name to (codes (n,), values): -1 is missing. Scores: (floats (n,), [])."""


def chunks(
    source: str | Path | pd.DataFrame,
    columns: Sequence[str],
    score: str | None,
    chunk_rows: int = CHUNK_ROWS,
) -> Iterator[Chunk]:
    """The columns of a CSV file, a Parquet file or a DataFrame, ``chunk_rows`` rows at a time.

    Raises:
        InputError: the file is missing, empty or damaged, or a column is; the message lists the
            columns there are and the nearest.
    """
    if isinstance(source, pd.DataFrame):
        check_columns([str(c) for c in source.columns], columns, "the table")
        return _from_frame(source, columns, score, chunk_rows)
    path = Path(source)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"{visible(path)} {what}; give a CSV or Parquet file")
    if path.stat().st_size == 0:
        raise InputError(f"{visible(path)} is empty (0 bytes)")
    with path.open("rb") as file:
        start = file.read(65536)
    if start[:4] == b"PAR1":
        return _from_parquet(path, columns, score, chunk_rows)
    return _from_csv(path, start, columns, score, chunk_rows)


def check_columns(present: Sequence[str], wanted: Sequence[str], where: str) -> None:
    """Refuse columns that are not there, or are there twice.

    Raises:
        InputError: one of them is missing or there twice.
    """
    for name in wanted:
        times = list(present).count(name)
        if times > 1:
            raise InputError(
                f"{where} has {times} columns named {visible(name)!r}: rename or drop all but one"
            )
        if times == 0:
            near = difflib.get_close_matches(name, present, n=3, cutoff=0.5)
            folded = [c for c in present if c.strip().casefold() == name.strip().casefold()]
            hints = [visible(c) for c in dict.fromkeys(folded + near)]
            hint = f" Nearest: {', '.join(map(repr, hints))}." if hints else ""
            raise InputError(
                f"{where} has no column {visible(name)!r}; it has {len(present)}: "
                f"{listed([visible(c) for c in present], 20)}.{hint}"
            )


def _coded(values: Any) -> tuple[np.ndarray[Any, Any], list[Any]]:
    codes, found = pd.factorize(values)
    return np.asarray(codes, dtype=np.int64), list(found)


def _floats(values: pd.Series[Any], name: str, where: str) -> np.ndarray[Any, Any]:
    numbers = pd.to_numeric(values, errors="coerce")
    wrong = numbers.isna() & values.notna()
    if wrong.any():
        raise InputError(
            f"score column {visible(name)!r} of {where} holds {visible(values[wrong].iloc[0])!r}, "
            "which is not a number (write decimals with a point)"
        )
    return numbers.to_numpy(dtype=np.float64, na_value=np.nan)


def _from_frame(
    frame: pd.DataFrame, columns: Sequence[str], score: str | None, chunk_rows: int
) -> Iterator[Chunk]:
    if frame.empty:
        raise InputError("the table has no rows")
    for start in range(0, len(frame), chunk_rows):
        yield _chunk(frame.iloc[start : start + chunk_rows], columns, score, "the table")


def _chunk(part: pd.DataFrame, columns: Sequence[str], score: str | None, where: str) -> Chunk:
    chunk: Chunk = {}
    for name in columns:
        column = part[name]
        if name == score:
            chunk[name] = (_floats(column, name, where), [])
        else:
            chunk[name] = _coded(column)
    return chunk


def _from_parquet(
    path: Path, columns: Sequence[str], score: str | None, chunk_rows: int
) -> Iterator[Chunk]:
    if not has_pyarrow():
        raise MissingExtraError("pyarrow", "parquet", f"reading {visible(path.name)}")
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    where = visible(path)
    try:
        with parquet.ParquetFile(path) as file:
            check_columns(file.schema_arrow.names, columns, where)
            if file.metadata.num_rows == 0:
                raise InputError(f"{where} has no rows")
            for batch in file.iter_batches(
                batch_size=chunk_rows, columns=list(dict.fromkeys(columns))
            ):
                yield _arrow_chunk(batch, columns, score, where)
    except (arrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{where} cannot be read as Parquet: {visible(error)}") from error


def _arrow_chunk(batch: Any, columns: Sequence[str], score: str | None, where: str) -> Chunk:
    chunk: Chunk = {}
    for name in columns:
        column = batch.column(name)
        if name == score:
            chunk[name] = (_floats(column.to_pandas(), name, where), [])
            continue
        if not hasattr(column, "dictionary"):
            column = column.dictionary_encode()
        codes = column.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        values = column.dictionary.to_pylist()
        absent = [i for i, value in enumerate(values) if value is None or value != value]
        if absent:
            codes[np.isin(codes, absent)] = -1
        chunk[name] = (codes, values)
    return chunk


def _from_csv(
    path: Path, start: bytes, columns: Sequence[str], score: str | None, chunk_rows: int
) -> Iterator[Chunk]:
    where = visible(path)
    header, delimiter = csv_header(start, where)
    check_columns(header, columns, where)
    read = _by_arrow if has_pyarrow() else _by_pandas
    return read(path, delimiter, columns, score, chunk_rows)


def has_pyarrow() -> bool:
    """Whether the fast reader is installed."""
    return find_spec("pyarrow") is not None


def csv_header(start: bytes, where: str) -> tuple[list[str], str]:
    """The column names and the delimiter (comma, semicolon, tab or bar) of a CSV's first bytes.

    Raises:
        InputError: it is UTF-16, not text, or empty.
    """
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError(f"{where} is UTF-16; save it as UTF-8 CSV")
    if b"\0" in start:
        raise InputError(f"{where} is neither CSV nor Parquet (it holds zero bytes)")
    text = start.decode("utf-8-sig", errors="replace")
    line = next((line for line in text.splitlines() if line.strip()), "")
    if not line:
        raise InputError(f"{where} is empty (no header line)")
    delimiter = max(",;\t|", key=lambda d: len(next(csv.reader([line], delimiter=d))))
    return next(csv.reader([line], delimiter=delimiter)), delimiter


def _by_arrow(
    path: Path, delimiter: str, columns: Sequence[str], score: str | None, chunk_rows: int
) -> Iterator[Chunk]:
    import pyarrow as arrow
    from pyarrow import csv as arrow_csv

    where = visible(path)
    texts = {name: arrow.string() for name in columns}
    if score:
        texts[score] = arrow.float64()
    try:
        reader = arrow_csv.open_csv(
            path,
            read_options=arrow_csv.ReadOptions(block_size=8 << 20),
            parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=list(dict.fromkeys(columns)),
                column_types=texts,
                null_values=list(MISSING_TEXTS),
                strings_can_be_null=True,
            ),
        )
        rows = 0
        for batch in reader:
            rows += batch.num_rows
            if batch.num_rows:
                yield _arrow_chunk(batch, columns, score, where)
    except arrow.ArrowException as error:
        message = str(error).splitlines()[0]
        hint = " (write decimals with a point)" if "conversion error" in message else ""
        hint = hint or (" (save it as UTF-8)" if "UTF8" in message.upper() else "")
        raise InputError(f"{where} cannot be read as CSV: {visible(message)}{hint}") from error
    if not rows:
        raise InputError(f"{where} has a header and no rows")


def _by_pandas(
    path: Path, delimiter: str, columns: Sequence[str], score: str | None, chunk_rows: int
) -> Iterator[Chunk]:
    where = visible(path)
    rows = 0
    try:
        _check_fields(path, delimiter, where)
        with pd.read_csv(
            path,
            sep=delimiter,
            usecols=list(dict.fromkeys(columns)),
            dtype=str,
            keep_default_na=False,
            na_values=list(MISSING_TEXTS),
            encoding="utf-8-sig",
            chunksize=chunk_rows,
        ) as reader:
            for part in reader:
                rows += len(part)
                yield _chunk(part, columns, score, where)
    except UnicodeDecodeError as error:
        raise InputError(f"{where} is not UTF-8 (byte {error.start}); save it as UTF-8") from error
    except (pd.errors.ParserError, csv.Error) as error:
        raise InputError(f"{where} cannot be read as CSV: {visible(error)}") from error
    if not rows:
        raise InputError(f"{where} has a header and no rows")


def _check_fields(path: Path, delimiter: str, where: str) -> None:
    """Refuse what pandas fills, cuts or shifts: rows of another number of fields than the header's.

    pyarrow refuses them too.

    Raises:
        InputError: a line has another number of fields than the header.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter)
        named = 0
        for row in reader:
            named = named or len(row)
            if row and len(row) != named:
                raise InputError(
                    f"{where} cannot be read as CSV: line {reader.line_num} has {len(row)} fields, "
                    f"its header {named}"
                )
