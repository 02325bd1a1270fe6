"""Columns of an engine's answer as numpy arrays.

Arrow's own ways to numpy import pandas where it is installed, which takes longer than counting a
million rows; a column's memory is read here as it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def floats(column: Any) -> npt.NDArray[np.float64]:
    """(n,) the numbers of a column, NaN where there is none.

    Args:
        column: of an Arrow table: numbers, decimals or truth values.

    Example:
        >>> import pyarrow
        >>> from evenhand.auditing.tables.answers import floats
        >>> floats(pyarrow.chunked_array([[1, None], [3]]))
        array([ 1., nan,  3.])
    """
    whole = column.combine_chunks().cast("float64", safe=False)
    values = _memory(whole).copy()
    values[_absent(whole)] = np.nan
    return values


def encoded(column: Any, absent: int) -> tuple[npt.NDArray[np.int64], Any]:
    """(n,) codes of the values of a column, and the values they stand for, of Arrow.

    Args:
        column: of an Arrow table.
        absent: the code of what is null.

    Example:
        >>> import pyarrow
        >>> from evenhand.auditing.tables.answers import encoded
        >>> codes, values = encoded(pyarrow.chunked_array([["F", None, "M", "F"]]), -1)
        >>> codes, values.to_pylist()
        (array([ 0, -1,  1,  0]), ['F', 'M'])
    """
    coded = column.combine_chunks().dictionary_encode()
    codes = _memory(coded.indices).astype(np.int64)
    codes[_absent(coded.indices)] = absent
    return codes, coded.dictionary


def _memory(values: Any) -> npt.NDArray[Any]:
    """What an Arrow array of doubles or whole numbers lies in."""
    held, kind = values.buffers()[1], np.dtype(str(values.type))
    if not len(values) or held is None:
        return np.zeros(len(values), dtype=kind)
    return np.frombuffer(held, dtype=kind)[values.offset : values.offset + len(values)]


def _absent(values: Any) -> npt.NDArray[np.bool_]:
    """(n,) True where an Arrow array is null."""
    if not values.null_count:
        return np.zeros(len(values), dtype=bool)
    return _memory(values.is_null().cast("int8")).astype(bool)
