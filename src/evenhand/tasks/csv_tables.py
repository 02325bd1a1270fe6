"""CSV as users have it: any delimiter, encoding and line end, lines that do not fit left out."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Sequence
from typing import Any
from weakref import ref

import numpy as np

from evenhand.errors import InputError
from evenhand.tasks.csv_streams import Dialect, Readable, Remembering, Respaced, let_go
from evenhand.tasks.repeated_header import HeaderLook, header_cells, left_out, repeats
from evenhand.tasks.table_file import HEAD, Batches, Content, TableFile
from evenhand.tasks.total_row import without_total

DELIMITERS = ",;\t|"


MAX_BAD_LINES = 0.05


BLOCK, LONGEST = 1 << 20, 8 << 20
"""Bytes parsed at a time, and those where a line is longer; no line may be longer than them."""
BEYOND_BLOCK = "straddl"
"""Arrow's word for a line that is longer than a block."""


def csv_table(content: Content, delimiter: str | None, encoding: str | None) -> TableFile:
    """A CSV; see ``open_table``.

    Raises:
        InputError: an encoding that is not the file's, zero bytes, no header, no CSV.
    """  # noqa: DOC502
    dialect = _dialect(content, delimiter, encoding)
    made = TableFile(content.label, dialect.header, lambda _: iter(()))

    def read(places: Sequence[int]) -> Batches:
        reader = _Reader(content, dialect, made)
        return without_total(reader.batches(places), reader.last_row, made)

    made.read, made.path, made.layout = read, content.path, dialect
    return made


def _dialect(content: Content, delimiter: str | None, encoding: str | None) -> Dialect:
    label, start = content.label, content.start()
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '\r\n"'):
        raise InputError(f"a delimiter is one character, found {delimiter!r}")
    found = _encoding(start, encoding, label)
    try:
        text = codecs.getincrementaldecoder(found)(errors="replace").decode(start)
    except UnicodeError as error:  # UTF-16 and -32 without their mark, and codecs of no whole text
        raise InputError(
            f"{label} is not {found}: {error}; leave the encoding out, or give the file's own"
        ) from error
    text = text.removeprefix("\ufeff")
    if "\0" in text:
        raise InputError(f"{label} holds zero bytes: it is neither CSV nor Parquet, or not {found}")
    if not text.strip():
        raise InputError(f"{label} is empty (no header line)")
    lines = re.split(r"\r\n|\r|\n", text)
    lead = next(at for at, line in enumerate(lines) if line.strip())
    said = re.fullmatch(r'"?sep=(.)"?', lines[lead].strip("\ufeff "), re.IGNORECASE)
    if said or lines[lead].rstrip().lower() == "sep=":
        delimiter = delimiter or (said[1] if said else "\t")
        lead = next((at for at in range(lead + 1, len(lines)) if lines[at].strip()), len(lines))
    lines = lines[lead:]
    if not lines:
        raise InputError(f"{label} is empty (no header line)")
    try:
        mark = delimiter or sniff_delimiter("\n".join(lines[:20]))
        rest = io.StringIO("\n".join(lines))
        header = next(csv.reader(rest, delimiter=mark, skipinitialspace=True))
    except (csv.Error, ValueError) as error:
        raise InputError(f"{label} cannot be read as CSV: {error}") from error
    if not rest.read(1) and len(start) < HEAD:
        raise InputError(f"{label} has a header and no rows")
    spaced = re.search(rf'(^|{re.escape(mark)})[ \t]+"', text, re.MULTILINE) is not None
    names = tuple(name.strip() or f"Unnamed: {at}" for at, name in enumerate(header))
    return Dialect(found, mark, lead, names, spaced and mark not in " \t")


def sniff_delimiter(text: str) -> str:
    """The delimiter of a CSV: of those in the first line, the one its first rows agree on most."""
    lines = text.splitlines()[:20]
    scores = {}
    for mark in DELIMITERS:
        counts = [len(row) for row in csv.reader(lines, delimiter=mark) if row]
        if counts and counts[0] > 1:
            scores[mark] = (sum(count == counts[0] for count in counts) / len(counts), counts[0])
    return max(scores, key=lambda mark: scores[mark]) if scores else ","


def _encoding(start: bytes, asked: str | None, label: str) -> str:
    """The encoding asked for, UTF-8 or, by its mark or its zeros, UTF-16.

    Raises:
        InputError: no such encoding.
    """
    try:
        known = codecs.lookup(asked or "utf-8")
    except (LookupError, ValueError) as error:
        raise InputError(f"unknown encoding {asked!r}") from error
    if not known._is_text_encoding:
        raise InputError(f"{asked!r} is no encoding of text")
    if known.name != "utf-8":
        return known.name
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    pairs = start[: 2 * (len(start[:400]) // 2)]
    for zeros, name in ((pairs[1::2], "utf-16-le"), (pairs[0::2], "utf-16-be")):
        others = pairs[0::2] if name == "utf-16-le" else pairs[1::2]
        if zeros.count(0) > 0.6 * len(zeros) and others.count(0) == 0:
            return name
    return "utf-8"


class _Reader:
    """One pass over a CSV: its columns as texts, and how many lines did not fit."""

    def __init__(self, content: Content, dialect: Dialect, table: TableFile) -> None:
        self.content, self.dialect, self.table = content, dialect, table
        self.headers = 0
        self._unfit_lines: list[int] = []
        self._whole: set[int] | None = None
        self._delimiter = "," if dialect.spaced else dialect.delimiter
        self._encoding = "utf8" if dialect.spaced else dialect.encoding
        self._begin()

    def _begin(self) -> None:
        """Open the file at its start."""
        content, dialect = self.content, self.dialect
        self.wide = self.narrow = 0
        self._stream = Remembering(Respaced(content, dialect) if dialect.spaced else content.open())
        utf8 = codecs.lookup(self._encoding).name == "utf-8"
        self._look = HeaderLook(dialect.header, self._delimiter, dialect.lead)
        self._checked = Readable(self._stream, self._look.at) if utf8 else None
        if not utf8 or dialect.spaced or "\ufffd" in "".join(dialect.header):
            self._look.seen = True  # in the bytes it may be written otherwise

    def last_row(self) -> list[str]:
        """The cells of the file's last line, once it is read; none where they do not fit."""
        encoding = self._encoding
        if encoding == "utf-16" and self.content.start(2) == codecs.BOM_UTF16_BE:
            encoding = "utf-16-be"  # the mark is not among the last bytes
        text = self._stream.last.decode(encoding, errors="replace").rstrip("\r\n")
        line = re.split(r"[\r\n]", text)[-1]
        if line.count('"') % 2:
            return []
        cells = next(csv.reader([line], delimiter=self._delimiter), [])
        return cells if len(cells) == len(self.dialect.header) else []

    def batches(self, places: Sequence[int]) -> Batches:
        """Batches of the columns at ``places``, all texts.

        Raises:
            InputError: the file is not CSV, not of its encoding, has no rows, or more than 5 % of
                its lines have another number of fields than the header.
        """
        import pyarrow as arrow

        rows = 0
        try:
            for batch in self._rows(places):
                first, rows = rows, rows + batch.num_rows
                kept = self._without_headers(batch, places, first)
                if kept.num_rows:
                    yield kept
        except UnicodeDecodeError as error:
            raise self._not_of_its_encoding() from error
        except (arrow.ArrowException, csv.Error) as error:
            if "UTF8" in str(error).upper():
                raise self._not_of_its_encoding() from error
            raise InputError(
                f"{self.content.label} cannot be read as CSV: its quotes do not match, or a line "
                f"is longer than {LONGEST >> 20} MB"
            ) from error
        self._judge(rows - self.headers)

    def _without_headers(self, batch: Any, places: Sequence[int], first: int) -> Any:
        """The rows that do not repeat the header; ``first`` is the number of the batch's first."""
        if not self._look.seen:
            return batch
        cells = header_cells(self.dialect.header)
        found = np.flatnonzero(repeats(batch, [cells[at] for at in places]))
        if len(found) and len(set(places)) < len(cells):
            whole = self._repeated_in_whole()
            found = np.array([row for row in found if first + row in whole], dtype=np.int64)
        if not len(found):
            return batch
        self.headers += len(found)
        if self.table.misfits is not None:
            for row in found:
                self.table.misfits[self._line(first + int(row))] = "the line repeats the header"
        kept = np.ones(batch.num_rows, dtype=bool)
        kept[found] = False
        return batch.take(np.flatnonzero(kept))

    def _repeated_in_whole(self) -> set[int]:
        """The numbers of the rows whose every cell is its column's name, in a pass of its own."""
        if self._whole is None:
            every = range(len(self.dialect.header))
            cells, first, self._whole = header_cells(self.dialect.header), 0, set()
            aside = TableFile(self.content.label, self.dialect.header, lambda _: iter(()))
            for batch in _Reader(self.content, self.dialect, aside)._rows(every):
                self._whole |= {first + int(at) for at in np.flatnonzero(repeats(batch, cells))}
                first += batch.num_rows
        return self._whole

    def _line(self, row: int) -> int:
        """The place in the file of a row that fits, the lines that do not counted."""
        for line in sorted(self._unfit_lines):
            row += line <= row
        return row

    def _rows(self, places: Sequence[int]) -> Batches:
        """Batches of all rows; in larger blocks where a line is longer than one."""
        import pyarrow as arrow

        rows = 0
        if self.table.misfits is None:  # lines that do not fit are told once
            try:
                for batch in self._parsed(places, BLOCK):
                    rows += batch.num_rows
                    yield batch
                return
            except arrow.ArrowInvalid as error:
                if BEYOND_BLOCK not in str(error):
                    raise
            self._begin()
        for batch in self._parsed(places, LONGEST):
            known = min(rows, batch.num_rows)
            rows -= known
            if known < batch.num_rows:
                yield batch.slice(known)

    def _parsed(self, places: Sequence[int], block: int) -> Batches:
        import pyarrow as arrow
        from pyarrow import csv as arrow_csv

        dialect = self.dialect
        names = [f"c{at}" for at in range(len(dialect.header))]
        wanted = [names[at] for at in places]
        renamed = [str(at) for at in range(len(wanted))]
        stream, reader = io.BufferedReader(self._checked or self._stream, 1 << 20), None
        try:
            reader = arrow_csv.open_csv(
                stream,
                arrow_csv.ReadOptions(
                    column_names=names,
                    skip_rows=dialect.lead if not dialect.spaced else 0,
                    skip_rows_after_names=1,
                    block_size=block,
                    encoding=self._encoding,
                    use_threads=self.table.misfits is None,  # else no line has a number
                ),
                arrow_csv.ParseOptions(
                    delimiter=self._delimiter,
                    newlines_in_values=True,
                    invalid_row_handler=self._unfit,
                ),
                arrow_csv.ConvertOptions(
                    include_columns=wanted,
                    column_types={name: arrow.string() for name in wanted},
                    strings_can_be_null=False,
                    check_utf8=self._checked is None,  # else it was seen to be, or made so
                ),
            )
            for batch in reader:
                self._require_characters(batch)
                yield batch.rename_columns(renamed)
        finally:
            stream.close()
            held = ref(stream)
            del reader, stream
            let_go(held)

    def _require_characters(self, batch: Any) -> None:
        """Refuse bytes that are no characters, where they are in a column that is read."""
        if self._checked is None or not self._checked.replaced:
            return
        from pyarrow import compute  # takes a twentieth of a second to load

        for column in batch.columns:
            if compute.any(compute.match_substring(column, "\ufffd")).as_py():
                raise self._not_of_its_encoding()

    def _unfit(self, row: Any) -> str:
        if self.table.misfits is not None:
            before = 2 + (0 if self.dialect.spaced else self.dialect.lead)
            self._unfit_lines.append(row.number - before)
            self.table.misfits[row.number - before] = (
                f"the line has {row.actual_columns} fields, the header {row.expected_columns}"
            )
            return "skip"
        if row.actual_columns > row.expected_columns:
            self.wide += 1
        else:
            self.narrow += 1
        return "skip"

    def _judge(self, rows: int) -> None:
        """Note the lines left out; refuse the file where they are many, or all."""
        label, width, mark = self.content.label, len(self.dialect.header), self.dialect.delimiter
        bad = self.wide + self.narrow
        how = "more" if self.wide >= self.narrow else "fewer"
        if bad > MAX_BAD_LINES * (rows + bad):
            raise InputError(
                f"{label} cannot be read as CSV: {bad} lines of {rows + bad} have {how} fields "
                f"than its {width} columns; is {mark!r} the delimiter?"
            )
        for count, than in ((self.wide, "more"), (self.narrow, "fewer")):
            if count:
                self.table.notes.append(
                    f"{label}: {count} lines with {than} fields than the {width} columns left out"
                )
        if self.headers and self.table.misfits is None:
            self.table.notes.append(left_out(label, self.headers))
        if not rows and not self.table.misfits:
            raise InputError(f"{label} has a header and no rows")

    def _not_of_its_encoding(self) -> InputError:
        """What is wrong with the first bytes that cannot be read."""
        decoder = codecs.getincrementaldecoder(self.dialect.encoding)()
        before, lines = 0, 1
        with self.content.open() as file:
            while part := file.read(HEAD):
                waiting = decoder.getstate()[0]
                try:
                    decoder.decode(part)
                except UnicodeDecodeError as error:
                    at = error.start - len(waiting)
                    before, lines = before + at, lines + part[: max(at, 0)].count(b"\n")
                    break
                before, lines = before + len(part), lines + part.count(b"\n")
        return InputError(
            f"{self.content.label} is not {self.dialect.encoding}: byte {before} (line {lines}) "
            "cannot be read; give its encoding, such as encoding='cp1252'"
        )
