"""What an audit takes from the columns of a batch: texts or names, keys, and scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from evenhand._base.text import visible
from evenhand.errors import InputError
from evenhand.tasks.missing import Missing
from evenhand.tasks.read_table import plain_values
from evenhand.tasks.table_file import TableFile


def _plain(column: Any, name: str, table: TableFile) -> Any:
    import pyarrow as arrow

    if arrow.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    values = plain_values(column)
    if values is None:
        raise InputError(
            f"column {visible(name)!r} of {table.label} holds {column.type}, not plain values: "
            "take one value a row"
        )
    return values


def texts_of(column: Any, name: str, table: TableFile, missing: Missing) -> Any:
    """Texts as they are, which are named once they are counted; else the names of the values."""
    import pyarrow as arrow

    if arrow.types.is_string(column.type):
        return column
    return _names(column, name, table, missing)


def _names(column: Any, name: str, table: TableFile, missing: Missing) -> Any:
    """The names of the values, null where they are missing."""
    import pyarrow as arrow

    coded = _plain(column, name, table).dictionary_encode()
    named = [missing.name(value) for value in coded.dictionary.to_pylist()]
    words = list(dict.fromkeys(one for one in named if one is not None))
    place = {one: at for at, one in enumerate(words)}
    known = arrow.array([None if one is None else place[one] for one in named], arrow.int32())
    codes = known.take(coded.indices)
    return arrow.array(words, arrow.string()).take(codes)


def keys_of(column: Any, name: str, table: TableFile, missing: Missing) -> Any:
    """The names of keys, of which there may be as many as rows: whole numbers at once."""
    import pyarrow as arrow

    values = _plain(column, name, table)
    if arrow.types.is_integer(values.type) and not missing.more:
        return values.cast(arrow.string())
    return _names(column, name, table, missing)


def numbers_of(column: Any, name: str, table: TableFile, missing: Missing) -> Any:
    """Scores in the column's own precision, so that they are compared as they are kept."""
    import pyarrow as arrow

    values = _plain(column, name, table)
    if arrow.types.is_floating(values.type):
        return values
    try:
        return _without(missing, values).cast(arrow.float64())
    except arrow.ArrowException:  # what is a number in other words, and what is none
        return _numbers_by_pandas(values, name, table, missing)


def _without(missing: Missing, values: Any) -> Any:
    """Null in place of the words for no value."""
    import pyarrow as arrow
    from pyarrow import compute

    if not arrow.types.is_string(values.type):
        return values
    absent = compute.is_in(values, arrow.array(sorted(missing.words), arrow.string()))
    return compute.if_else(absent, None, values) if compute.any(absent).as_py() else values


def _numbers_by_pandas(values: Any, name: str, table: TableFile, missing: Missing) -> Any:
    import pandas as pd
    import pyarrow as arrow

    held = values.to_pandas()
    numbers = pd.to_numeric(held, errors="coerce")
    wrong = numbers.isna() & held.map(lambda value: missing.name(value) is not None)
    if wrong.any():
        raise not_a_number(held[wrong].iloc[0], name, table.label)
    return arrow.array(numbers.to_numpy(dtype=np.float64, na_value=np.nan))


def not_a_number(value: Any, name: str, label: str) -> InputError:
    """The refusal of a score that is none."""
    return InputError(
        f"score column {visible(name)!r} of {label} holds {visible(value)!r}, "
        "which is not a number (write decimals with a point)"
    )
