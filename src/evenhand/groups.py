"""Who belongs to which group: integer codes with names, and the cells group × label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evenhand._base.arrays import IntArray, require_unmasked
from evenhand._base.columns import columns
from evenhand._base.distributed import World
from evenhand._base.names import name_of
from evenhand.errors import InputError

UNKNOWN = -1
"""The code of a row whose group is not known; such a row trains the task but enters no gap."""


@dataclass(frozen=True, eq=False)
class Groups:
    """The group of every row.

    Attributes:
        codes: (N,) integers in [0, G), or -1 where the group is unknown.
        names: the G group names, in the order of the codes.
        attribute: what the groups are groups of, such as ``"sex"`` or ``"sex × race"``.

    Example:
        >>> groups = eh.Groups.from_values(["F", "M", None, "F"], "sex")
        >>> groups.names, groups.codes
        (('F', 'M'), array([ 0,  1, -1,  0]))
    """

    codes: IntArray
    names: tuple[str, ...]
    attribute: str = "group"

    def __post_init__(self) -> None:
        require_unmasked(self.codes, "group codes")
        codes = np.asarray(self.codes)
        if codes.ndim != 1:
            raise InputError(f"group codes must have shape (N,), found {codes.shape}")
        if codes.size and not np.issubdtype(codes.dtype, np.integer):
            raise InputError(
                f"group codes must be integers, found dtype {codes.dtype}: "
                "use Groups.from_values for labels of another type"
            )
        codes = codes.astype(np.int64)
        if codes.size and (codes.min() < UNKNOWN or codes.max() >= len(self.names)):
            raise InputError(
                f"group codes must lie in [-1, {len(self.names)}) for {len(self.names)} names, "
                f"found {codes.min()} to {codes.max()}"
            )
        object.__setattr__(self, "codes", codes)
        object.__setattr__(self, "names", tuple(str(name) for name in self.names))

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: Any) -> Groups:
        return Groups(self.codes[rows], self.names, self.attribute)

    @property
    def number(self) -> int:
        """How many groups there are, G."""
        return len(self.names)

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """(N,) True where the group is known."""
        return self.codes != UNKNOWN

    @property
    def sizes(self) -> IntArray:
        """(G,) rows of each group."""
        return np.bincount(self.codes[self.known], minlength=self.number).astype(np.int64)

    def without(self, numbers: Sequence[int]) -> Groups:
        """These groups with the rows of some, by number, in no group; the names stay."""
        if not len(numbers):
            return self
        codes = np.where(np.isin(self.codes, numbers), UNKNOWN, self.codes)
        return Groups(codes, self.names, self.attribute)

    def across(self, world: World) -> Groups:
        """These groups coded by the names found in any process of ``world``, in order of name."""
        if world.size == 1:
            return self
        own = "\0".join(self.names).encode()
        found: set[str] = set()
        for text in world.gather(np.frombuffer(own, dtype=np.uint8)):
            found |= set(text.tobytes().decode().split("\0")) if text.size else set()
        names = tuple(sorted(found))
        code: IntArray = np.array([*(names.index(name) for name in self.names), UNKNOWN])
        return Groups(code[self.codes], names, self.attribute)

    @classmethod
    def from_values(cls, values: Iterable[Any], attribute: str = "group") -> Groups:
        """Code one column of any hashable labels; missing values become unknown.

        Args:
            values: (N,) labels; ``None``, NaN and ``pandas.NA`` mean unknown.
            attribute: the name of what is grouped by.
        """
        import pandas as pd

        column = pd.Series(values).reset_index(drop=True)
        codes, found = pd.factorize(column, sort=False)
        texts = [name_of(value) for value in found]
        names = sorted(set(texts))
        place = {name: code for code, name in enumerate(names)}
        ranks = np.array([*(place[text] for text in texts), UNKNOWN], dtype=np.int64)
        return cls(ranks[codes], tuple(names), attribute)

    @classmethod
    def crossed(cls, columns: Mapping[str, Iterable[Any]]) -> Groups:
        """Cross several attributes into intersectional groups; only crossings that occur count.

        Args:
            columns: attribute name to its (N,) labels; a row with any of them missing is unknown.

        Raises:
            InputError: no column, or columns of different lengths.
        """
        if not columns:
            raise InputError("groups need at least one column, found none")
        import pandas as pd

        frame = {name: pd.Series(values).reset_index(drop=True) for name, values in columns.items()}
        lengths = {name: len(column) for name, column in frame.items()}
        if len(set(lengths.values())) > 1:
            raise InputError(f"group columns differ in length: {lengths}")
        attribute = " × ".join(columns)
        if len(frame) == 1:
            return cls.from_values(next(iter(frame.values())), attribute)
        parts = [cls.from_values(column) for column in frame.values()]
        texts = [np.array((*part.names, ""), dtype=object)[part.codes] for part in parts]
        joined = np.array([" × ".join(row) for row in zip(*texts, strict=True)], dtype=object)
        joined[~np.logical_and.reduce([part.known for part in parts])] = None
        return cls.from_values(joined, attribute)


def as_groups(values: Any, attribute: str = "group") -> Groups:
    """Groups as they are; anything else coded by position, several columns crossed.

    Args:
        values: (N,) or (N, 1) labels of any library, or (N, A) columns to cross. None, NaN and -1
            are unknown; of labels that are all -1 or 1, -1 is a group like the other.
        attribute: the name of what is grouped by, where the columns bring none of their own.

    Raises:
        InputError: cells that hold lists, mappings or bytes.
    """  # noqa: DOC502
    if isinstance(values, Groups):
        return values
    return coded_columns(columns(values, "groups"), attribute)


def coded_columns(named: Mapping[str, npt.NDArray[Any]], attribute: str) -> Groups:
    """Columns as :func:`evenhand._base.columns.columns` gives them, coded, or crossed."""
    known = {name or attribute: _without_unknown(part) for name, part in named.items()}
    if len(known) > 1:
        named_well = {n if not n.isdecimal() else f"{attribute} {n}": v for n, v in known.items()}
        return Groups.crossed(named_well)
    return Groups.from_values(next(iter(known.values())), attribute)


def _without_unknown(labels: npt.NDArray[Any]) -> list[Any]:
    """Labels with None for -1, where -1 is a code beside others and not one of a pair -1, 1."""
    listed = labels.tolist()
    coded = [isinstance(v, int | float) and not isinstance(v, bool) for v in listed]
    numbers = {v for v, number in zip(listed, coded, strict=True) if number and v == v}
    if numbers == {-1, 1}:
        return listed
    return [None if number and v == UNKNOWN else v for v, number in zip(listed, coded, strict=True)]


def known_groups(groups: Groups) -> str:
    """The groups and their sizes in a few words."""
    sizes = zip(groups.names, groups.sizes, strict=True)
    from evenhand._base.text import listed

    return listed(f"{name} {size:,}" for name, size in sizes)
