"""Columns and rows that a caller holds in any library, as numpy arrays read by position.

numpy, pandas, polars, Arrow, torch and plain lists: an index of a pandas object says nothing about
the order of rows, so it is never looked up. What is not one value a row is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set
from typing import Any

import numpy as np

from evenhand._base.arrays import Table, require_unmasked
from evenhand.errors import InputError

MOST_DENSE = 2**28
"""How many numbers a sparse matrix may hold as a dense one (2 GiB in float64)."""

_ARROWS_INDEX = re.compile(r"__index_level_\d+__")
"""Where Arrow keeps the index of a pandas frame: no data."""


def columns(values: Any, what: str) -> dict[str, Table]:
    """The columns of ``values``: name (``""`` for one without) to an (N,) array.

    Args:
        values: a frame or table of pandas, polars or Arrow; or (N,), (N, 1) or (N, A) values as an
            array, a tensor, a series or a list.
        what: they are, for errors.

    Returns:
        Arrays of numbers or booleans as they are; anything else as objects, None where missing.

    Raises:
        InputError: no such form, or cells that hold lists, mappings or bytes.
    """
    named = _frame(values, what)
    if named is not None:
        return {name: _column(part, f"column {name!r} of {what}") for name, part in named.items()}
    array = _column(values, what)
    if array.ndim == 1:
        return {"": array}
    if array.ndim == 2 and array.shape[1]:
        number = array.shape[1]
        return {str(i + 1) if number > 1 else "": _column(array[:, i], what) for i in range(number)}
    raise InputError(f"{what} must have shape (N,), found {array.shape}")


def column(values: Any, what: str) -> Table:
    """``values`` as one (N,) column; see :func:`columns`.

    Raises:
        InputError: several columns, or what :func:`columns` refuses.
    """
    found = columns(values, what)
    if len(found) != 1:
        raise InputError(
            f"{what} must be one column, found {len(found)}: {', '.join(list(found)[:8])}"
        )
    return next(iter(found.values()))


def rows(values: Any, what: str) -> Any:
    """Inputs that can be taken by row number: frames as (N, d) numbers, series as lists or arrays.

    Anything else, such as a sequence of images, is given back as it is.

    Raises:
        InputError: a frame with a column that is not of numbers, a sparse matrix too large, or an
            array of which some is masked.
    """
    named = _frame(values, what)
    if named is not None:
        parts = [_numbers(part, f"column {name!r} of {what}") for name, part in named.items()]
        if not parts:
            raise InputError(f"{what} have no column")
        return np.column_stack(parts)
    if hasattr(values, "toarray") and hasattr(values, "nnz"):
        return dense(values, what)
    if isinstance(values, np.ma.MaskedArray):
        require_unmasked(values, what)
        return np.asarray(values.data)
    if _library(values) in ("pandas", "polars", "pyarrow"):
        array = _plain_array(values)
        return array if array.dtype.kind in "biuf" else array.tolist()
    return values


def names_of(values: Any) -> tuple[str, ...] | None:
    """The column names of a frame or table; None for anything else."""
    named = _frame(values, "inputs")
    return None if named is None else tuple(named)


def dense(matrix: Any, what: str) -> Table:
    """A scipy sparse matrix as an array.

    Raises:
        InputError: it would hold more than :data:`MOST_DENSE` numbers.
    """
    size = int(np.prod([int(side) for side in matrix.shape], dtype=object))
    if size > MOST_DENSE:
        raise InputError(
            f"{what} are a sparse matrix of {matrix.shape}, {size:,} numbers where it is dense: "
            "more than fit; reduce its columns first, as sklearn's TruncatedSVD does"
        )
    return np.asarray(matrix.toarray())


def _library(values: Any) -> str:
    return type(values).__module__.partition(".")[0]


def _frame(values: Any, what: str) -> dict[str, Any] | None:
    """A frame's columns by name; None where ``values`` is no frame."""
    import pandas as pd

    library = _library(values)
    if isinstance(values, pd.DataFrame):
        names = [str(name) for name in values.columns]
        parts = [values.iloc[:, i] for i in range(len(names))]
    elif library == "polars" and hasattr(values, "get_columns"):
        names, parts = list(values.columns), list(values.get_columns())
    elif library == "polars" and hasattr(values, "collect"):
        raise InputError(f"{what} are a polars {type(values).__name__}: collect() it first")
    elif library == "pyarrow" and hasattr(values, "column_names"):
        table = zip(values.column_names, values.columns, strict=True)
        kept = [(name, part) for name, part in table if not _ARROWS_INDEX.fullmatch(name)]
        names, parts = [name for name, _ in kept], [part for _, part in kept]
    else:
        return None
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(f"{what} have several columns named {twice[0]!r}: rename them")
    return dict(zip(names, parts, strict=True))


def _plain_array(values: Any) -> Table:
    """One column, or an array, of any library as numpy's; missing values are not looked at."""
    import pandas as pd

    library = _library(values)
    if library == "torch" and hasattr(values, "detach"):
        tensor = values.detach().cpu()
        short = str(tensor.dtype) == "torch.bfloat16"
        return np.asarray(tensor.float().numpy() if short else tensor.numpy())
    if isinstance(values, np.ma.MaskedArray):
        plain = np.asarray(values.data).astype(object)
        plain[np.ma.getmaskarray(values)] = None
        return plain
    if library == "polars" or library == "pyarrow":
        listed = values.to_list() if hasattr(values, "to_list") else values.to_pylist()
        return _of_list(listed)
    if isinstance(values, np.ndarray):
        return values.view(np.ndarray)
    if library == "pandas":
        series = pd.Series(values)
        if isinstance(series.dtype, (pd.SparseDtype, np.dtype)):
            return np.asarray(series)
        return _of_list(series.tolist())
    return _of_list(list(values))


def _of_list(values: list[Any]) -> Table:
    """A list as an array of numbers, where it holds nothing else, or of objects."""
    kinds = {type(value) for value in values}
    if kinds and kinds <= {bool, int, float, np.bool_} and (bool not in kinds or kinds == {bool}):
        try:
            return np.asarray(values)
        except (OverflowError, ValueError):
            pass
    found = np.empty(len(values), dtype=object)
    found[:] = [_scalar(value) for value in values]
    return found


def _scalar(value: Any) -> Any:
    """An array or tensor of one number as that number."""
    single = getattr(value, "ndim", None) == 0 and hasattr(value, "item")
    return value.item() if single else value


def _column(values: Any, what: str) -> Table:
    """An array of ``values``, None where objects are missing, without nested cells."""
    import pandas as pd

    if isinstance(values, (str, bytes, Mapping, Set)) or not isinstance(values, Iterable):
        raise InputError(f"{what} must be one value for each row, found a {type(values).__name__}")
    if hasattr(values, "toarray") and hasattr(values, "nnz"):
        values = dense(values, what)
    if getattr(values, "ndim", 1) == 0:
        raise InputError(f"{what} must have shape (N,), found ()")
    listed = isinstance(values, (list, tuple))
    array = _plain_array(values)
    if listed and array.dtype == object:
        array = _stacked(array)
    if array.dtype.kind in "SV":
        raise InputError(f"{what} hold bytes or records, not one value a row: decode them first")
    if array.dtype.kind in "biuf":
        return array
    if array.dtype.kind in "mM":
        array = np.asarray(pd.Series(array).astype(object)) if array.ndim == 1 else array
    array = array.astype(object)
    for place, cell in enumerate(array.ravel()):
        if isinstance(cell, (list, dict, set, bytes, bytearray, np.ndarray, np.void)):
            kind = "bytes" if isinstance(cell, (bytes, bytearray)) else type(cell).__name__
            raise InputError(
                f"{what} hold a {kind} in row {place // max(1, array[:1].size)}: "
                "one text or number a row is needed"
            )
    array[pd.isna(array)] = None
    return array


def _stacked(array: Table) -> Table:
    """A list of rows of one length as (N, A); any other list as it is."""
    rows_ = array.tolist()
    if not rows_ or not all(isinstance(row, (list, tuple, np.ndarray)) for row in rows_):
        return array
    lengths = {len(row) for row in rows_}
    if len(lengths) != 1 or 0 in lengths:
        return array
    stacked = np.empty((len(rows_), lengths.pop()), dtype=object)
    for place, row in enumerate(rows_):
        stacked[place] = [_scalar(value) for value in row]
    return stacked


def _numbers(values: Any, what: str) -> Table:
    array = _column(values, what)
    if array.dtype.kind in "biuf":
        return array
    try:
        return np.array([np.nan if v is None else _number(v) for v in array], dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"{what} is not of numbers ({error}): encode it first, or give the table to "
            "evenhand.tasks.table"
        ) from error


def _number(value: Any) -> float:
    if isinstance(value, str):
        raise ValueError("it holds texts")
    return float(value)
