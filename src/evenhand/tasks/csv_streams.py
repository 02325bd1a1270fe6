"""The streams a CSV is read through, by Arrow's threads."""

from __future__ import annotations

import codecs
import csv
import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from evenhand.tasks.table_file import HEAD, Content

LAST = 1 << 16
"""Bytes kept of what was read last, in which the last line is looked for."""


LETTING_GO = 2000
"""Milliseconds to wait at most until Arrow has let a file go."""


@dataclass(frozen=True)
class Dialect:
    """How a CSV is written.

    Attributes:
        encoding: of its characters.
        delimiter: between its fields.
        lead: lines before the header (``sep=;``, empty ones).
        header: the column names; one without is "Unnamed: 0", "Unnamed: 1", … by its position.
        spaced: quotes follow spaces, as in ``1, "a, b"``.
    """

    encoding: str
    delimiter: str
    lead: int
    header: tuple[str, ...]
    spaced: bool


def let_go(held: Callable[[], Any]) -> None:
    """Wait until Arrow's own thread has let a stream go: one that does while Python ends aborts."""
    for _ in range(LETTING_GO):
        if held() is None:
            return
        time.sleep(0.001)


class Remembering(io.RawIOBase):
    """A stream that keeps the last bytes read from it."""

    def __init__(self, stream: BinaryIO | io.RawIOBase) -> None:
        self._file, self.last = stream, b""

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer`` with what comes next, and say how much that is; 0 at the end."""
        count = self._file.readinto(buffer) or 0  # type: ignore[union-attr]
        if count:
            part = bytes(memoryview(buffer)[max(0, count - LAST) : count])
            self.last = (self.last + part)[-LAST:]
        return count

    def close(self) -> None:
        """Close the file beneath, too."""
        if not self.closed:
            self._file.close()
        super().close()


class Readable(io.RawIOBase):
    """UTF-8 in which U+FFFD stands for the bytes that are none, so that Arrow can parse around it.

    Args:
        stream: of bytes.
        look: is shown all of them.

    Attributes:
        replaced: there were such bytes in what was read so far.
    """

    def __init__(self, stream: io.RawIOBase, look: Callable[[bytes], None]) -> None:
        self._file, self._look, self.replaced = stream, look, False
        self._left = self._begun = b""

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer`` with what comes next, and say how much that is; 0 at the end."""
        while not self._left:
            count = self._file.readinto(buffer) or 0
            part = bytes(memoryview(buffer)[:count])
            self._look(part)
            if not self._begun and part.isascii():  # as most are: quicker than decoding them
                return count
            self._left = self._whole(self._begun + part, final=not part)
        count = min(len(buffer), len(self._left))
        buffer[:count], self._left = self._left[:count], self._left[count:]
        return count

    def _whole(self, data: bytes, *, final: bool) -> bytes:
        """``data`` up to a character that only begins in it, which is kept for the next."""
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            decoder.decode(data, final)
        except UnicodeDecodeError:
            self.replaced = True
            decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
            data = decoder.decode(data, final).encode()
            self._begun = decoder.getstate()[0]
            return data
        self._begun = decoder.getstate()[0]
        return data[: len(data) - len(self._begun)]

    def close(self) -> None:
        """Close the file beneath, too."""
        if not self.closed:
            self._file.close()
        super().close()


class Respaced(io.RawIOBase):
    """A CSV whose quotes follow spaces, written anew without them, in UTF-8 and with commas."""

    def __init__(self, content: Content, dialect: Dialect) -> None:
        self._file = io.TextIOWrapper(content.open(), encoding=dialect.encoding, newline="")
        for _ in range(dialect.lead):
            self._file.readline()
        self._parts = self._lines(dialect.delimiter)
        self._left = b""

    def _lines(self, delimiter: str) -> Iterator[bytes]:
        rows = csv.reader(self._file, delimiter=delimiter, skipinitialspace=True)
        written = io.StringIO()
        writer = csv.writer(written)
        for row in rows:
            if row:
                writer.writerow(row)
            if written.tell() > HEAD:
                yield written.getvalue().encode()
                written.seek(0)
                written.truncate()
        yield written.getvalue().encode()

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer`` with what comes next, and say how much that is; 0 at the end."""
        while not self._left:
            part = next(self._parts, None)
            if part is None:
                return 0
            self._left = part.removeprefix(codecs.BOM_UTF8)
        count = min(len(buffer), len(self._left))
        buffer[:count], self._left = self._left[:count], self._left[count:]
        return count

    def close(self) -> None:
        """Close the file beneath, too."""
        if not self.closed:
            self._file.close()
        super().close()
