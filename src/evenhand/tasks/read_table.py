"""Reading a table as users have them: any delimiter, a byte-order mark, gzip, Parquet."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import warnings
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from evenhand.errors import InputError, MissingExtraError

DELIMITERS = ",;\t|"


PARQUET = (".parquet", ".pq")


MISSING = (
    *("", "?", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "-NaN", "-nan"),
    *("null", "NULL", "None", "none", "NONE"),
)
"""What reads as missing, except in a column of texts."""


MAX_BAD_LINES = 0.05


MAX_UNPACKED, MAX_RATIO = 256 * 1024**2, 200
"""A gzip file may unpack to so many bytes, or to so many times its own; tables seldom reach 50."""


def read_frame(
    data: str | Path | bytes,
    *,
    name: str | None = None,
    delimiter: str | None = None,
    encoding: str = "utf-8",
    texts: Sequence[str] = (),
) -> tuple[pd.DataFrame, tuple[str, ...], str]:
    """A CSV or Parquet file as a frame with columns of unique names.

    Args:
        data: the file (``.gz`` is unpacked), or the bytes of a CSV.
        name: what errors call it.
        delimiter: of a CSV; None: the one of comma, semicolon, tab and bar that the first lines
            agree on.
        encoding: of a CSV; a byte-order mark is dropped.
        texts: columns whose values are kept to the letter: "null" is a word there.

    Returns:
        The frame, notes (lines left out), and the sha256 of the file.

    Raises:
        InputError: no such file, not that encoding, no rows, a column twice, more than 5 % of the
            lines with too many fields.
        MissingExtraError: Parquet without pyarrow.
    """
    label = name or ("data" if isinstance(data, bytes) else Path(data).name)
    if not isinstance(data, bytes):
        path = Path(data)
        if not path.is_file():
            raise InputError(f"no file at {path}")
        data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    notes: tuple[str, ...] = ()
    if label.lower().endswith(PARQUET):
        frame = _parquet(data, label)
    else:
        frame, notes = _csv(data, label, delimiter, encoding, texts)
    if frame.empty:
        raise InputError(f"{label} has no rows")
    return frame, notes, digest


def _parquet(data: bytes, label: str) -> pd.DataFrame:
    try:
        return pd.read_parquet(io.BytesIO(data))
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet", f"reading {label}") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{label} is not a whole Parquet file: {error}") from error


def _csv(
    data: bytes, label: str, delimiter: str | None, encoding: str, texts: Sequence[str]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    if data[:2] == b"\x1f\x8b":
        data = _unpacked(data, label)
    try:
        text = data.decode("utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{label} is not {encoding}: byte {error.start} (line {line}) cannot be read; "
            "give its encoding, such as encoding='latin-1'"
        ) from error
    except LookupError as error:
        raise InputError(f"unknown encoding {encoding!r}") from error
    if not text.strip():
        raise InputError(f"{label} is empty")
    if "\0" in text:
        raise InputError(f"{label} holds zero bytes: it is no CSV, or not {encoding}")
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '\r\n"'):
        raise InputError(f"a delimiter is one character, found {delimiter!r}")
    try:
        mark = delimiter or sniff_delimiter(text)
        header = next(csv.reader(io.StringIO(text), delimiter=mark, skipinitialspace=True))
    except (csv.Error, ValueError) as error:
        raise InputError(f"{label} cannot be read as CSV: {error}") from error
    _refuse_doubles([column.strip() for column in header], label)
    columns = [column for column in header if column.strip() not in texts]
    options: dict[str, Any] = {
        "sep": mark,
        "skipinitialspace": True,
        "keep_default_na": False,
        "na_values": {column: list(MISSING) for column in columns},
        "dtype": {column: str for column in header if column.strip() in texts},
    }

    def read(content: io.StringIO) -> pd.DataFrame:
        with warnings.catch_warnings():
            # pandas would cut the rows to the header's width, and only warn of it
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(content, low_memory=False, index_col=False, **options)

    notes: tuple[str, ...] = ()
    try:
        frame = read(io.StringIO(text))
    except (pd.errors.ParserError, pd.errors.ParserWarning):
        try:
            narrow, kept, bad = _without_wide_lines(text, mark, len(header))
            frame = read(narrow)
        except (pd.errors.ParserError, pd.errors.ParserWarning, csv.Error) as error:
            raise InputError(
                f"{label} cannot be read as CSV: {error}; its header has {len(header)} columns "
                f"parted by {mark!r}"
            ) from error
        if bad > MAX_BAD_LINES * (kept + bad):
            raise InputError(
                f"{label}: {bad} lines of {kept + bad} have more fields than its "
                f"{len(header)} columns; is {mark!r} the delimiter?"
            ) from None
        notes = (f"{label}: {bad} lines with more fields than the {len(header)} columns left out",)
    frame.columns = [str(column).strip() for column in frame.columns]
    return frame, notes


def _without_wide_lines(text: str, mark: str, width: int) -> tuple[io.StringIO, int, int]:
    """The CSV without the lines of more than ``width`` fields; how many it has, and had of those.

    pandas's own ``on_bad_lines`` counts otherwise from one version to the next.
    """
    narrow, kept, bad = io.StringIO(), -1, 0
    writer = csv.writer(narrow, delimiter=mark)
    for fields in csv.reader(io.StringIO(text), delimiter=mark, skipinitialspace=True):
        if len(fields) > width:
            bad += 1
        elif fields:
            writer.writerow(fields)
            kept += 1
    narrow.seek(0)
    return narrow, kept, bad


def _unpacked(data: bytes, label: str) -> bytes:
    """The content of a gzip file; one that unpacks beyond reason is refused while it does."""
    most = max(MAX_UNPACKED, MAX_RATIO * len(data))
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            content = file.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{label} is not a whole gzip file: {error}") from error
    if len(content) > most:
        raise InputError(
            f"{label} unpacks to more than {most} bytes from {len(data)}: unpack it yourself if it "
            "is to be trusted"
        )
    return content


def sniff_delimiter(text: str) -> str:
    """The delimiter of a CSV: of those in the first line, the one its first rows agree on most."""
    lines = text.splitlines()[:20]
    scores = {}
    for mark in DELIMITERS:
        counts = [len(row) for row in csv.reader(lines, delimiter=mark) if row]
        if counts and counts[0] > 1:
            scores[mark] = (sum(count == counts[0] for count in counts) / len(counts), counts[0])
    return max(scores, key=lambda mark: scores[mark]) if scores else ","


def _refuse_doubles(header: list[str], label: str) -> None:
    twice = [column for column, times in Counter(header).items() if times > 1]
    if twice:
        column = twice[0]
        places = [str(place) for place, found in enumerate(header, 1) if found == column]
        raise InputError(
            f"{label} has column {column!r} {len(places)} times (columns {', '.join(places)}): "
            "rename or remove one, so that it is clear which is meant"
        )
