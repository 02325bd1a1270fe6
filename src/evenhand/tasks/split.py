"""Splitting rows into train, valid and test: a column of the user's, or seeded fractions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from operator import index
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from evenhand._base.arrays import IntArray
from evenhand.errors import InputError

DEFAULT = {"train": 0.6, "valid": 0.15, "test": 0.25}


PARTS = ("pretrain", "train", "valid", "test")


ALIASES = {
    "training": "train",
    "val": "valid",
    "validation": "valid",
    "dev": "valid",
    "testing": "test",
    "eval": "test",
}


VALID_SHARE = 0.2
"""Of the train rows, where a split column has no valid rows."""


Split = str | Mapping[str, float] | None
"""A column of part names, a mapping of part to fraction, or None for the default fractions."""


SEEDS = 2**32
"""Seeds are whole numbers below it."""


def seed_of(given: Any) -> int:
    """A seed, as numpy and scikit-learn take one.

    Raises:
        InputError: no whole number, or one that no seed can be.
    """
    if isinstance(given, bool | np.bool_) or not hasattr(type(given), "__index__"):
        raise InputError(f"a seed is a whole number, found a {type(given).__name__}")
    seed = index(given)
    if not 0 <= seed < SEEDS:
        raise InputError(f"a seed is a whole number from 0 to {SEEDS - 1:,}")
    return seed


def split_rows(
    number: int,
    split: Split,
    *,
    seed: int,
    column: pd.Series[Any] | None = None,
    strata: IntArray | None = None,
    by: Any = None,
) -> dict[str, IntArray]:
    """Which rows each part holds.

    Args:
        number: rows, N.
        split: the name of a column, fractions that sum to 1, or None for .6 / .15 / .25.
        seed: of every random choice.
        column: the values of that column, where ``split`` is one.
        strata: (N,) cells that every part should hold in proportion, where each has rows enough.
        by: (N,) values that must not be torn apart, such as a person; it replaces ``strata``.

    Returns:
        Part (train, valid, test, pretrain if asked for) to the sorted rows in it.

    Raises:
        InputError: no seed, fractions that do not sum to 1, an unknown part, or one without rows.
    """
    seed = seed_of(seed)
    if column is not None:
        parts = _by_column(column, str(split), seed)
    else:
        shares = fractions(split if isinstance(split, Mapping) else DEFAULT)
        if by is not None:
            parts = _by_block(np.asarray(by), shares, seed)
        else:
            parts = _by_chance(number, shares, seed, strata)
    for part in ("train", "valid", "test"):
        if not len(parts.get(part, ())):
            sizes = {name: len(rows) for name, rows in parts.items()}
            raise InputError(f"the split leaves {part} without rows: {sizes} of {number}")
    return {name: np.sort(parts[name]) for name in PARTS if name in parts}


def fractions(shares: Mapping[str, float]) -> dict[str, float]:
    """``shares`` by the parts' own names, checked.

    Raises:
        InputError: an unknown part, or shares that do not sum to 1.
    """
    named = {part_of(name): float(share) for name, share in shares.items()}
    if any(share < 0 for share in named.values()) or abs(sum(named.values()) - 1) > 1e-6:
        raise InputError(f"the fractions of a split must sum to 1, found {dict(shares)}")
    return {name: named[name] for name in PARTS if name in named}


def part_of(name: Any) -> str:
    """The part that ``name`` calls, by any of its usual names.

    Raises:
        InputError: none is called so.
    """
    text = str(name).strip().lower()
    text = ALIASES.get(text, text)
    if text not in PARTS:
        raise InputError(f"unknown part {str(name)!r} of a split; the parts are {', '.join(PARTS)}")
    return text


def part_in(path: Path) -> str | None:
    """The part that one word of a file's name tells, or else the whole name of its folder.

    None where neither does, or words tell several.
    """
    for words in (re.findall("[a-z]+", path.name.lower()), [path.parent.name.lower()]):
        found = {ALIASES.get(word, word) for word in words} & set(PARTS)
        if found:
            return found.pop() if len(found) == 1 else None
    return None


def _by_column(column: pd.Series[Any], name: str, seed: int) -> dict[str, IntArray]:
    if column.isna().any():
        raise InputError(f"split column {name!r} is empty in {int(column.isna().sum())} rows")
    try:
        renamed = {value: part_of(value) for value in column.unique()}
    except InputError as error:
        raise InputError(f"split column {name!r}: {error}") from error
    parts = column.map(renamed).to_numpy()
    rows = {part: np.flatnonzero(parts == part) for part in PARTS if (parts == part).any()}
    if "valid" not in rows and "train" in rows:
        order = np.random.default_rng(seed).permutation(rows["train"])
        valid = round(VALID_SHARE * len(order))
        rows["valid"], rows["train"] = order[:valid], order[valid:]
    return rows


def _by_chance(
    number: int, shares: dict[str, float], seed: int, strata: IntArray | None
) -> dict[str, IntArray]:
    rest = np.arange(number)
    parts, left = {}, 1.0
    for place, (name, share) in enumerate(reversed(shares.items())):
        if place == len(shares) - 1:
            parts[name] = rest
            break
        size = round(len(rest) * share / left)
        cells = None if strata is None else _stratifiable(strata[rest], min(size, len(rest) - size))
        if size == 0 or size == len(rest):
            parts[name], rest = rest[:size], rest[size:]
        else:
            rest, parts[name] = train_test_split(
                rest, test_size=size, random_state=(seed + place) % SEEDS, stratify=cells
            )
        left -= share
    return parts


def _stratifiable(cells: IntArray, smaller: int) -> IntArray | None:
    """The cells with those too small to be split joined into one; None where it cannot be done."""
    _, codes, counts = np.unique(cells, return_inverse=True, return_counts=True)
    joined = np.where(counts[codes] < 10, -1, codes)
    kinds, sizes = np.unique(joined, return_counts=True)
    if sizes.min() < 2 or len(kinds) > smaller:
        return None
    return joined.astype(np.int64)


def _by_block(by: Any, shares: dict[str, float], seed: int) -> dict[str, IntArray]:
    """Whole blocks, in a random order, fill the parts to their sizes; the last takes the rest."""
    codes, blocks = pd.factorize(by)
    sizes = np.bincount(codes, minlength=len(blocks))
    order = np.random.default_rng(seed).permutation(len(blocks))
    reached = (np.cumsum(sizes[order]) - sizes[order] / 2) / len(codes)
    edges = np.cumsum(list(shares.values()))[:-1]
    part_of_block = np.empty(len(blocks), dtype=np.int64)
    part_of_block[order] = np.searchsorted(edges, reached, side="right")
    part = part_of_block[codes]
    return {name: np.flatnonzero(part == index) for index, name in enumerate(shares)}
