"""The kinds of columns of an encoded table, each as data: how its values become numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from evenhand._base.arrays import FloatArray
from evenhand.tasks.column_values import (
    categories_of,
    days_of,
    numbers_and_infinities_of,
)
from evenhand.tasks.dates import ISO
from evenhand.tasks.missing import Missing

MISSING_NAME = "(missing)"
"""The category of a missing value, where the training rows had some."""

RARE_NAME = "(rare)"


@dataclass(frozen=True)
class Block:
    """What a column's values were: (n,) True where one cannot be held, and three counts.

    Attributes:
        bad: where a value cannot be held, so that the row is refused.
        missing: how many were missing, or count as such.
        unseen: how many no training row had.
        unusable: how many of the missing ones are there, but no number (or date) to work with.
    """

    bad: npt.NDArray[np.bool_]
    missing: int
    unseen: int = 0
    unusable: int = 0


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: of the column.
        missing_share: of the training rows' values.
        missing: words that mean "no value", beside the usual ones.
    """

    name: str
    missing_share: float
    missing: tuple[str, ...] = field(default=(), kw_only=True)

    @cached_property
    def words(self) -> Missing:
        """All words that mean "no value"."""
        return Missing(self.missing)

    @property
    def width(self) -> int:
        """How many numbers a value becomes."""
        return len(self.feature_names)

    @property
    def holds(self) -> str:
        """What a value of the column is called."""
        return "number"

    @property
    def unusable(self) -> str:
        """What values count as missing although something is there."""
        return "infinite (or beyond 3.4e38)"

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of those numbers."""
        raise NotImplementedError

    def encode(self, values: pd.Series[Any], into: FloatArray) -> Block:
        """Write the numbers of n values to ``into`` (n, width)."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """The column as plain values."""
        return {"kind": _KINDS_BY_CLASS[type(self)], **asdict(self)}


@dataclass(frozen=True)
class NumberColumn(Column):
    """A number or a date (days since 1970), standardised.

    Attributes:
        median: what a missing value becomes.
        mean, scale: what is taken off, and then divided by.
        flag: mean and scale of the number that says whether a value was missing; None without.
        date: values are dates.
        order: of the parts of dates written as texts; see ``evenhand.tasks.dates``.
        log: the logarithm of one more than the value is taken first.
        decimal: the decimal mark of numbers written as texts.
        grouped: the other mark parted thousands; where it did not, "1,579" is no number, since it
            may be 1.579 as well as 1579.
        lenient: a value that is no number counts as missing, as some of the training rows did.
    """

    median: float
    mean: float
    scale: float
    flag: tuple[float, float] | None = None
    date: bool = False
    log: bool = False
    lenient: bool = False
    decimal: str = "."
    grouped: bool = False
    order: str = ISO

    @property
    def holds(self) -> str:
        """What a value of the column is called."""
        return "date" if self.date else "number"

    @property
    def unusable(self) -> str:
        """What values count as missing although something is there."""
        if self.date:
            return "no date"
        return "no number, or infinite (beyond 3.4e38)" if self.lenient else super().unusable

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The column itself, and the missing flag."""
        return (self.name, f"missingindicator_{self.name}") if self.flag else (self.name,)

    def encode(self, values: pd.Series[Any], into: FloatArray) -> Block:
        """Write the numbers of n values to ``into`` (n, width)."""
        if self.date:
            found, bad = days_of(values, self.words, self.order)
            infinite = np.zeros(len(bad), dtype=bool)
        else:
            found, bad, infinite = numbers_and_infinities_of(
                values, self.words, self.decimal, grouped=self.grouped
            )
        absent = np.isnan(found)
        filled = np.where(absent, self.median, found)
        if self.log:
            below = ~bad & (filled <= -1)
            bad, filled = bad | below, np.log1p(np.where(filled <= -1, 0, filled))
        with np.errstate(over="ignore"):
            into[:, 0] = (filled - self.mean) / self.scale
        if self.flag:
            into[:, 1] = (absent - self.flag[0]) / self.flag[1]
        beyond = ~np.isfinite(into[:, 0])
        refused = beyond if self.lenient else bad | beyond
        unusable = (bad | infinite) & ~refused
        return Block(refused, int((absent & ~refused).sum()), unusable=int(unusable.sum()))


@dataclass(frozen=True)
class BinColumn(Column):
    """A number as one of the bins between ``edges``, one-hot; a missing one as the median."""

    median: float
    edges: tuple[float, ...]

    @property
    def feature_names(self) -> tuple[str, ...]:
        """One a bin."""
        return tuple(f"{self.name}_bin{index}" for index in range(len(self.edges) + 1))

    def encode(self, values: pd.Series[Any], into: FloatArray) -> Block:
        """Write the numbers of n values to ``into`` (n, width)."""
        found, bad, infinite = numbers_and_infinities_of(values, self.words)
        absent = np.isnan(found)
        filled = np.where(absent, self.median, found)
        place = np.searchsorted(np.asarray(self.edges), filled, side="right")
        into[np.arange(len(place)), place] = 1
        return Block(bad, int((absent & ~bad).sum()), unusable=int(infinite.sum()))


@dataclass(frozen=True)
class CategoryColumn(Column):
    """A text, one-hot.

    Attributes:
        categories: those with a number of their own; ``(missing)`` is one, if some were.
        rare: those that share a number, the last; a value never seen before shares it too. Where
            there are none, a value never seen before is a row of zeros.
    """

    categories: tuple[str, ...]
    rare: tuple[str, ...] = field(default=())

    @property
    def holds(self) -> str:
        """What a value of the column is called."""
        return "text"

    @property
    def feature_names(self) -> tuple[str, ...]:
        """One a category, and one for the rare ones."""
        named = self.categories + ((RARE_NAME,) if self.rare else ())
        return tuple(f"{self.name}_{category}" for category in named)

    @cached_property
    def places(self) -> dict[str, int]:
        """Category to the position of its number."""
        own = {category: index for index, category in enumerate(self.categories)}
        return own | dict.fromkeys(self.rare, len(self.categories))

    @property
    def elsewhere(self) -> int:
        """The position of a value never seen before; -1 where it has none."""
        return len(self.categories) if self.rare else -1

    def encode(self, values: pd.Series[Any], into: FloatArray) -> Block:
        """Write the numbers of n values to ``into`` (n, width)."""
        codes, names = categories_of(values, self.words)
        known = [MISSING_NAME if name is None else name for name in names]
        place = np.array([self.places.get(name, self.elsewhere) for name in known])
        new = np.array([n is not None and n not in self.places for n in names])
        absent = np.array([name is None for name in names])
        where = place[codes]
        rows = np.flatnonzero(where >= 0)
        into[rows, where[rows]] = 1
        nothing = np.zeros(len(codes), dtype=bool)
        return Block(nothing, int(absent[codes].sum()), int(new[codes].sum()))


_KINDS: dict[str, type[Column]] = {
    "number": NumberColumn,
    "bins": BinColumn,
    "category": CategoryColumn,
}
_KINDS_BY_CLASS = {kind: name for name, kind in _KINDS.items()}


def column_from_dict(document: dict[str, Any]) -> Column:
    """What :meth:`Column.to_dict` gave."""
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in document.items()
    }
    return _KINDS[values.pop("kind")](**values)
