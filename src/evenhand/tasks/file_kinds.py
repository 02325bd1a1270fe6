"""What a file is, by its first bytes: a table that can be read, or something else with a name."""

from __future__ import annotations

import io
import lzma
import zipfile
import zlib
from enum import Enum

from evenhand.errors import InputError

DAMAGED_ZIP = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError),
    *(ValueError, NotImplementedError, RuntimeError),
)
"""What reading a damaged, or a locked, member of a zip file raises."""


class Kind(Enum):
    """The kinds of file a table is read from."""

    CSV = "CSV"
    PARQUET = "Parquet"
    ARROW = "Arrow (Feather)"
    ARROW_STREAM = "Arrow stream"
    JSON_LINES = "JSON lines"
    XLSX = "Excel workbook"
    GZIP = "gzip file"
    ZIP = "zip file"


STARTS: tuple[tuple[bytes, Kind], ...] = (
    (b"PAR1", Kind.PARQUET),
    (b"ARROW1", Kind.ARROW),
    (b"\xff\xff\xff\xff", Kind.ARROW_STREAM),
    (b"\x1f\x8b", Kind.GZIP),
)


UNREADABLE: tuple[tuple[bytes, str, str], ...] = (
    (b"FEA1", "a Feather file of version 1", "save it as Parquet, or as Feather of version 2"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook of the old kind (.xls)", "save it as .xlsx or CSV"),
    (b"SQLite format 3", "an SQLite database", "export the table as CSV or Parquet"),
    (b"\x89HDF", "an HDF5 file", "save the table as Parquet"),
    (b"\x93NUMPY", "a NumPy array", "save it with column names, as CSV or Parquet"),
    (b"BZh", "a bzip2 file", "unpack it, or pack it with gzip"),
    (b"\xfd7zXZ", "an xz file", "unpack it, or pack it with gzip"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file", "unpack it, or pack it with gzip"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it, or pack it with gzip"),
    (b"Rar!", "a RAR archive", "unpack it, or pack it with gzip"),
    (b"ORC", "an ORC file", "save it as Parquet"),
    (b"Obj\x01", "an Avro file", "save it as Parquet"),
    (b"$FL2", "an SPSS file", "save it as CSV or Parquet"),
    (b"<stata_dta>", "a Stata file", "save it as CSV or Parquet"),
    (b"%PDF", "a PDF", "save the table as CSV"),
    (b"\x89PNG", "a picture", "save the table as CSV"),
    (b"\xff\xd8\xff", "a picture", "save the table as CSV"),
    (b"{\\rtf", "a text document (RTF)", "save the table as CSV"),
)


def kind_of(start: bytes, label: str) -> Kind:
    """The kind of a file that begins with ``start``.

    Args:
        start: its first bytes, some hundreds at least where the file is that long.
        label: what errors call it.

    Raises:
        InputError: it is something else; the message says what, and what to save it as.
    """
    for magic, kind in STARTS:
        if start.startswith(magic):
            return kind
    for magic, what, advice in UNREADABLE:
        if start.startswith(magic):
            raise InputError(f"{label} is {what}: {advice}")
    if start[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return Kind.ZIP
    if start[:1] == b"\x80" and start[1:2] in b"\x02\x03\x04\x05":
        raise InputError(f"{label} is a Python pickle, which is never opened: save it as Parquet")
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    low = text[:200].lower()
    if low.startswith((b"<!doctype html", b"<html", b"<table")):
        raise InputError(f"{label} is a web page (HTML): save the table as CSV")
    if low.startswith(b"<?xml"):
        raise InputError(f"{label} is XML: save the table as CSV or Parquet")
    if text[:1] == b"{":
        return Kind.JSON_LINES
    if text[:1] == b"[" and text[1:].lstrip()[:1] in (b"{", b"[", b"]"):
        raise InputError(f"{label} is a JSON array: save it as JSON lines (one object a line)")
    return Kind.CSV


def inside_zip(content: bytes, label: str, most: int) -> tuple[Kind, str, bytes]:
    """What a zip file holds: a workbook, or the only file in it, unpacked.

    Args:
        content: of the zip file.
        label: what errors call it.
        most: bytes it may unpack to.

    Returns:
        The kind (``ZIP`` for a plain file that is yet to be looked at), its name and its content.

    Raises:
        InputError: damaged, locked by a password, too large, several files, or another document.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            names = [entry.filename for entry in entries]
            size = sum(entry.file_size for entry in entries)
            if size > most:
                raise InputError(
                    f"{label} unpacks to {size:,} bytes from {len(content):,}: unpack it yourself "
                    "if it is to be trusted"
                )
            if "xl/workbook.xml" in names:
                return Kind.XLSX, label, content
            if "xl/workbook.bin" in names:
                raise InputError(f"{label} is a binary Excel workbook: save it as .xlsx or CSV")
            if "word/document.xml" in names:
                raise InputError(f"{label} is a Word document: save the table as CSV")
            if "mimetype" in names and b"opendocument" in archive.read("mimetype"):
                raise InputError(f"{label} is an OpenDocument file: save it as .xlsx or CSV")
            plain = [e for e in entries if not e.filename.startswith(("__MACOSX/", "."))]
            if len(plain) != 1:
                shown = ", ".join(entry.filename for entry in plain[:3]) or "none"
                raise InputError(
                    f"{label} is a zip of {len(plain)} files ({shown}): give the table alone"
                )
            with archive.open(plain[0]) as file:
                inner = file.read(most + 1)
            if len(inner) > most:
                raise InputError(f"{label} unpacks to more than it says: it is damaged")
            return Kind.ZIP, plain[0].filename, inner
    except DAMAGED_ZIP as error:
        if isinstance(error, InputError):
            raise
        if isinstance(error, RuntimeError) and not isinstance(error, NotImplementedError):
            raise InputError(f"{label} is locked by a password: unpack it first") from error
        raise InputError(f"{label} is neither CSV nor Parquet but a damaged zip file") from error
