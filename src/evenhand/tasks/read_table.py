"""A user's table as a pandas frame of typed columns: numbers, days, truth values and texts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np

from evenhand._base.text import listed, visible
from evenhand.errors import InputError
from evenhand.tasks.missing import Missing
from evenhand.tasks.open_table import open_table
from evenhand.tasks.table_file import TableFile

if TYPE_CHECKING:
    import pandas as pd

NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?[iI]nf(inity)?$"
WHOLE = r"^[+-]?\d+$"
CODE = r"^0\d+$"


class Columns(TypedDict, total=False):
    """How the columns of a table are read; see :func:`read_frame`."""

    texts: Sequence[str]
    names: Sequence[str]
    columns: Sequence[str] | None
    decimal: str | None
    missing: Iterable[Any]


def read_frame(
    data: str | Path | bytes,
    *,
    name: str | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    **columns: Unpack[Columns],
) -> tuple[pd.DataFrame, tuple[str, ...], str]:
    """A file as a frame with columns of unique names.

    Args:
        data: the file, or the bytes of one; see ``open_table`` for what is read.
        name: what errors call it.
        delimiter: of a CSV; None: the one of comma, semicolon, tab and bar that the first lines
            agree on.
        encoding: of a CSV; None: UTF-8, or UTF-16 where its byte-order mark says so.
        columns: ``texts``: columns whose values are kept to the letter: "null" is a word there.
            ``names``: columns of classes or groups, whose values become names (see ``name_of``).
            ``columns``: the columns to read, those that are there; None: all.
            ``decimal``: ``","`` where that is the decimal mark: texts such as 1.234,5 are then left
            to whoever reads numbers from texts (see ``Features``); None or ``"."``: plain numbers.
            ``missing``: words that mean "no value" beside the usual ones.

    Returns:
        The frame, notes (lines and columns left out), and the sha256 of the file (and of the
        words that count as missing, where there are more).

    Raises:
        InputError: no such file, not that encoding, no rows, a column twice, more than 5 % of the
            lines with another number of fields than the header.
        MissingExtraError: an Excel workbook without openpyxl.
    """  # noqa: DOC502
    table = open_table(data, label=name, delimiter=delimiter, encoding=encoding)
    return frame_of(table, **columns)


def frame_of(
    table: TableFile,
    *,
    texts: Sequence[str] = (),
    names: Sequence[str] = (),
    columns: Sequence[str] | None = None,
    decimal: str | None = None,
    missing: Iterable[Any] = (),
) -> tuple[pd.DataFrame, tuple[str, ...], str]:
    """An open table as a frame; see ``read_frame``."""
    import pandas as pd
    import pyarrow as arrow

    if columns is None:
        table.refuse_doubles()
        chosen = list(table.columns)
    else:
        chosen = [column for column in dict.fromkeys(columns) if column in table.columns]
    batches = list(table.read([table.place(column) for column in chosen]))
    if not batches:
        raise InputError(f"{table.label} has no rows")
    whole = arrow.Table.from_batches(_alike(batches))
    words = Missing(missing)
    made: dict[str, Any] = {}
    nested = []
    for at, column in enumerate(chosen):
        values = plain_values(whole.column(at))
        if values is None:
            if column in (*names, *texts):
                raise InputError(
                    f"column {visible(column)!r} of {table.label} holds {whole.column(at).type}, "
                    "not plain values: take one value a row"
                )
            nested.append(column)
        elif column in texts:
            made[column] = values.to_pandas().astype(object)
        elif column in names:
            made[column] = named(values.to_pandas(date_as_object=True), words)
        else:
            made[column] = _typed(values, words, column, table.label, decimal == ",")
    notes = [*table.notes]
    if nested:
        notes.append(f"columns of lists or other nested values left out: {listed(nested)}")
    digest = table.digest or ""
    if words.more:
        digest = hashlib.sha256(f"{digest} {words.more}".encode()).hexdigest()
    return pd.DataFrame(made, columns=list(made)), tuple(notes), digest


def named(column: pd.Series[Any], missing: Missing) -> pd.Series[Any]:
    """A column as the names of its values, None where missing."""
    import pandas as pd

    codes, values = pd.factorize(column.astype(object))
    known = np.array([*(missing.name(value) for value in values), None], dtype=object)
    return pd.Series(known[codes], index=column.index, name=column.name, dtype=object)


def _alike(batches: list[Any]) -> list[Any]:
    """Batches of one schema: a dictionary's own values may differ from batch to batch."""
    import pyarrow as arrow

    made = []
    for batch in batches:
        columns = [
            c.dictionary_decode() if arrow.types.is_dictionary(c.type) else c for c in batch.columns
        ]
        made.append(arrow.RecordBatch.from_arrays(columns, batch.schema.names))
    return made


def plain_values(column: Any) -> Any:
    """An Arrow column of a plain type, or None: it holds lists, structs or bytes of no text."""
    import pyarrow as arrow
    from pyarrow import compute

    kind = arrow.types
    if isinstance(column.type, arrow.BaseExtensionType):
        return _plain_extension(column)
    if kind.is_run_end_encoded(column.type):
        return plain_values(compute.run_end_decode(column))
    if kind.is_nested(column.type) or kind.is_interval(column.type):
        return None
    if kind.is_binary(column.type) or kind.is_large_binary(column.type):
        try:
            return column.cast(arrow.string())
        except arrow.ArrowInvalid:
            return None
    if kind.is_float16(column.type):
        return column.cast(arrow.float32())
    if kind.is_decimal(column.type):
        return column.cast(arrow.float64())
    if kind.is_duration(column.type):
        return column.cast(arrow.duration("s"), safe=False).cast(arrow.int64())
    if kind.is_time(column.type):
        return column.cast(arrow.string())
    return column


def _plain_extension(column: Any) -> Any:
    """A column of a type that Arrow only knows the storage of, or None where that says nothing."""
    import pyarrow as arrow

    name = column.type.extension_name
    if name == "arrow.bool8":
        return column.cast(arrow.bool_())
    if name == "arrow.uuid":
        texts = [None if value is None else str(value) for value in column.to_pylist()]
        return arrow.array(texts, arrow.string())
    if name in ("arrow.json", "arrow.opaque") or name.startswith("pandas."):
        return None
    storage = column.cast(column.type.storage_type)
    return plain_values(storage)


def _typed(column: Any, missing: Missing, name: str, label: str, comma: bool) -> pd.Series[Any]:
    """A column as numbers where all its values are, else as it is; texts are trimmed."""
    import pandas as pd
    import pyarrow as arrow
    from pyarrow import compute

    kind = arrow.types
    text = kind.is_string(column.type) or kind.is_large_string(column.type)
    if not text:
        values = column.to_pandas(date_as_object=False)
        if missing.more and kind.is_primitive(column.type) and not kind.is_temporal(column.type):
            numbers = pd.to_numeric(pd.Series(missing.more), errors="coerce").dropna()
            values = values.mask(values.isin(numbers.tolist()))
        return values
    trimmed = compute.utf8_trim_whitespace(column)
    if compute.any(compute.match_substring(trimmed, "\0")).as_py():
        raise InputError(
            f"column {visible(name)!r} of {label} holds zero bytes: it is no CSV, or not UTF-8"
        )
    words = compute.is_in(trimmed, value_set=arrow.array(sorted(missing.words)))
    present = compute.if_else(words, None, trimmed)
    texts = present.to_pandas().astype(object).where(present.is_valid().to_pandas(), None)
    if not compute.all(compute.match_substring_regex(present, WHOLE if comma else NUMBER)).as_py():
        return texts if texts.notna().any() else texts.astype(float)
    if compute.any(compute.match_substring_regex(present, CODE)).as_py():
        return texts  # 02139 may be a code, whose zeros a number loses: see ``tell``
    numbers = pd.to_numeric(texts, errors="coerce")
    if numbers.dtype == object:
        return numbers.astype(float)
    if numbers.dtype == float:
        with suppress(arrow.ArrowInvalid):  # of "+1"
            # pandas below 3 reads the last digits of very small and large numbers wrong
            return present.cast(arrow.float64()).to_pandas().rename(texts.name)
    return numbers
