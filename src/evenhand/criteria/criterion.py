"""A fairness criterion: what is asked of the decisions about groups, and by what name."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from evenhand.errors import InputError

Kind = Literal["gap", "level"]
Rate = Literal[
    "selection_rate",
    "true_positive_rate",
    "false_positive_rate",
    "precision",
    "accuracy",
    "error_rate",
    "balanced_error_rate",
]
"""A share of rows that the counts of one group give."""


@dataclass(frozen=True)
class Comparison:
    """Which rates of the groups are compared, and how.

    Attributes:
        rates: by name.
        across: ``"difference"`` of two groups' rates, the largest; ``"ratio"`` of the lower to the
            higher, the smallest; or the ``"worst"`` of all groups.
        combined: what the differences of several rates come to.
        every_class: each class's rate counts also where there are two; otherwise the positive's.
    """

    rates: tuple[Rate, ...]
    across: Literal["difference", "ratio", "worst"] = "difference"
    combined: Literal["sum", "mean", "max"] = "sum"
    every_class: bool = False


class Criterion(str):
    """What is asked of the decisions about groups: a figure of their counts, with a name.

    A criterion *is* its name, a text: it equals it, is looked up by it and is written as it.

    Attributes:
        symbol: the short sign used in tables, such as ΔEO.
        abbreviation: the short name used in method names, such as ``eo``.
        kind: ``"gap"``, a figure to bound from above that is 0 at best, or ``"level"``, one to
            bound from below.
        highest: the largest it can be.
        meaning: what it asks for and what its figure is, in a sentence.
        comparison: which rates of the groups it compares, and how.
        penalty: the name of the criterion whose soft gap fits heads for it; None where none does.

    Example:
        >>> eh.Criterion.parse("eo")
        <Criterion 'equalized_odds'>
        >>> eh.Criterion.EQUALIZED_ODDS == "equalized_odds"
        True
        >>> eh.Criterion.parse("worst_group_accuracy").kind
        'level'
    """

    symbol: str
    abbreviation: str
    kind: Kind
    highest: float
    meaning: str
    comparison: Comparison
    penalty: str | None

    DEMOGRAPHIC_PARITY: ClassVar[Criterion]
    EQUALIZED_ODDS: ClassVar[Criterion]
    EQUAL_OPPORTUNITY: ClassVar[Criterion]
    KNOWN: ClassVar[tuple[Criterion, ...]]
    """Those that :meth:`parse` finds by name."""

    def __new__(cls, name: str, **described: Any) -> Criterion:
        """A criterion called ``name`` with the attributes ``described``; see :meth:`parse`."""
        made = super().__new__(cls, name)
        made.__dict__.update({"kind": "gap", "highest": 1.0, "penalty": None} | described)
        return made

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a criterion does not change: {name} of {self} cannot be set")

    def __repr__(self) -> str:
        return f"<Criterion {str(self)!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return Criterion.parse, (str(self),)

    @property
    def name(self) -> str:
        """The full name, such as ``equalized_odds``."""
        return str(self)

    @property
    def value(self) -> str:
        """The name, as it is written into files."""
        return str(self)

    @property
    def words(self) -> str:
        """The name as it is read in a sentence: ``equalized odds``."""
        return str(self).replace("_", " ")

    @property
    def sign(self) -> str:
        """How a bound on it is written."""
        return "<=" if self.kind == "gap" else ">="

    @property
    def side(self) -> str:
        """On which side of a bound it is to be, in words."""
        return "at most" if self.kind == "gap" else "at least"

    def within(self, figure: float, limit: float) -> bool:
        """Whether a figure of it keeps a limit."""
        return figure <= limit if self.kind == "gap" else figure >= limit

    @property
    def best(self) -> str:
        """Which of its values are the best."""
        return "smallest" if self.kind == "gap" else "highest"

    @property
    def bounded_by(self) -> str:
        """Which confidence bound of it is told: the one on the side to be feared."""
        return "upper" if self.kind == "gap" else "lower"

    @property
    def axis(self) -> str:
        """What is written along an axis of it."""
        return f"gap {self.symbol} (0 = even)" if self.kind == "gap" else f"level {self.symbol}"

    @property
    def by_label(self) -> bool:
        """Whether it looks at the rows of each label apart."""
        return not set(self.comparison.rates) <= OF_ALL_ROWS

    @property
    def needs_labels(self) -> bool:
        """Whether it needs to know what would have been right, and not the decisions alone."""
        return self.comparison.rates != ("selection_rate",)

    @classmethod
    def parse(cls, name: str | Criterion) -> Criterion:
        """The criterion called ``name`` (its full name, or its abbreviation: dp, eo, eopp …).

        Raises:
            InputError: no such criterion; the message lists them and the nearest.
        """
        if isinstance(name, Criterion):
            return name
        text = str(name).strip().lower().replace("-", "_").replace(" ", "_")
        for criterion in cls.KNOWN:
            if text in (criterion.value, criterion.abbreviation):
                return criterion
        near = difflib.get_close_matches(text, cls.KNOWN, n=1)
        hint = f" Did you mean {str(near[0])!r}?" if near else ""
        known = ", ".join(f"{c} ({c.abbreviation})" for c in cls.KNOWN)
        raise InputError(f"unknown criterion {str(name)!r}; the criteria are {known}.{hint}")


OF_ALL_ROWS = frozenset(("selection_rate", "precision", "accuracy", "error_rate"))
"""The rates that need rows of a group, of whatever label."""
