"""Names of array types, and the checks that every array goes through."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np
import numpy.typing as npt

from evenhand.errors import InputError

Float64 = npt.NDArray[np.float64]
FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.int64]
Table = npt.NDArray[Any]


def release(rows: Any) -> None:
    """Give back the memory of memory-mapped rows; they are read anew when they are used again.

    Pages of a map stay with the process that read them until others need the memory, which looks
    as if the whole file had been loaded, and may be refused where memory is rationed.
    """
    mapped = getattr(rows, "_mmap", None)
    if mapped is None or getattr(rows, "mode", "c") == "c" or not hasattr(mmap, "MADV_DONTNEED"):
        return
    if not rows.size or not rows.flags.c_contiguous:
        return
    begin = rows.ctypes.data - np.frombuffer(mapped, dtype=np.uint8).ctypes.data
    first = begin // mmap.PAGESIZE * mmap.PAGESIZE
    mapped.madvise(mmap.MADV_DONTNEED, first, begin + rows.nbytes - first)


def require_unmasked(values: Any, what: str) -> None:
    """Refuse a masked array of numpy with something masked, whose mask nobody would see.

    Raises:
        InputError: what is masked, in how many rows.
    """
    if not isinstance(values, np.ma.MaskedArray) or not values.size:
        return
    hidden = np.ma.getmaskarray(values)
    if hidden.any():
        within = int(hidden.reshape(len(hidden), -1).any(axis=1).sum())
        raise InputError(
            f"{what} are masked in {within} of {len(hidden)} rows: fill them with .filled(…), "
            "impute them or leave those rows out"
        )


def integers_below(values: npt.ArrayLike, number: int, what: str) -> IntArray:
    """``values`` as (N,) integers in [0, number).

    Raises:
        InputError: another shape, type or range; the message calls them ``what``.
    """
    require_unmasked(values, what)
    found = np.asarray(values)
    if found.ndim != 1:
        raise InputError(f"{what} must have shape (N,), found {found.shape}")
    if not found.size:
        return found.astype(np.int64)
    if not np.issubdtype(found.dtype, np.integer):
        raise InputError(f"{what} must be integers in [0, {number}), found dtype {found.dtype}")
    if found.min() < 0 or found.max() >= number:
        raise InputError(f"{what} must lie in [0, {number}), found {found.min()} to {found.max()}")
    return found.astype(np.int64)


def require_finite(features: FloatArray, *, largest: float = np.inf) -> None:
    """Refuse features (N, d) that no arithmetic can be done with, without a copy of them.

    Raises:
        InputError: NaN or infinity, or a magnitude above ``largest``; the message counts the rows.
    """
    if not features.size:
        return
    ends = float(features.min()), float(features.max())
    if not np.isfinite(ends).all():
        bad = int((~np.isfinite(features)).any(axis=1).sum())
        raise InputError(
            f"features hold NaN or infinity in {bad} rows of {len(features)}; remove or impute them"
        )
    if max(-ends[0], ends[1]) > largest:
        bad = int((np.abs(features) > largest).any(axis=1).sum())
        raise InputError(
            f"features reach from {ends[0]:.3g} to {ends[1]:.3g}, in {bad} rows of {len(features)} "
            f"beyond {largest:g}: their squares overflow; standardise them"
        )


def real_number(value: Any, what: str) -> float:
    """``value`` as a float.

    Raises:
        InputError: it is no real number, or beyond every float; the message calls it ``what``.
    """
    if isinstance(value, (bool, str, bytes)) or value is None:
        raise InputError(f"{what} must be a number, found {value!r}")
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{what} must be a number: {error}") from error
