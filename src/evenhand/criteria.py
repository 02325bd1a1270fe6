"""The fairness criteria: what is asked of the decisions about groups, and by what name."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from evenhand.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt

Rate = Literal[
    "selection_rate",
    "true_positive_rate",
    "false_positive_rate",
]
Measure: TypeAlias = "Callable[[npt.NDArray[Any]], npt.ArrayLike]"
"""(..., G, K, K) counts [group, label, decision] to (...,) figures; NaN where undefined."""


@dataclass(frozen=True)
class Comparison:
    """Which rates of the groups are compared, and how.

    Attributes:
        rates: by name; each is a share of rows that the counts of one group give.
        combined: what several rates' differences come to.
    """

    rates: tuple[Rate, ...]
    combined: Literal["sum"] = "sum"


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
        penalty: the criterion whose soft gap fits heads for it; None where there is none.

    Example:
        >>> eh.Criterion.parse("eo")
        <Criterion 'equalized_odds'>
        >>> eh.Criterion.EQUALIZED_ODDS == "equalized_odds"
        True
    """

    symbol: str
    abbreviation: str
    kind: Literal["gap", "level"]
    highest: float
    meaning: str
    comparison: Comparison
    penalty: Criterion | None

    DEMOGRAPHIC_PARITY: ClassVar[Criterion]
    EQUALIZED_ODDS: ClassVar[Criterion]
    EQUAL_OPPORTUNITY: ClassVar[Criterion]

    def __new__(cls, name: str, **described: Any) -> Criterion:
        """A criterion called ``name`` with the attributes ``described``; see :meth:`parse`."""
        made = super().__new__(cls, name)
        made.__dict__.update({"penalty": made, "kind": "gap", "highest": 1.0} | described)
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
    def by_label(self) -> bool:
        """Whether it looks at the rows of each label apart."""
        return "selection_rate" not in self.comparison.rates

    @classmethod
    def parse(cls, name: str | Criterion) -> Criterion:
        """The criterion called ``name`` (its full name, or its abbreviation: dp, eo, eopp).

        Raises:
            InputError: no such criterion; the message lists them and the nearest.
        """
        if isinstance(name, Criterion):
            return name
        text = str(name).strip().lower().replace("-", "_").replace(" ", "_")
        for criterion in BUILT_IN:
            if text in (criterion.value, criterion.abbreviation):
                return criterion
        near = difflib.get_close_matches(text, BUILT_IN, n=1)
        hint = f" Did you mean {str(near[0])!r}?" if near else ""
        known = ", ".join(f"{c} ({c.abbreviation})" for c in BUILT_IN)
        raise InputError(f"unknown criterion {str(name)!r}; the criteria are {known}.{hint}")


Criterion.DEMOGRAPHIC_PARITY = Criterion(
    "demographic_parity",
    symbol="ΔDP",
    abbreviation="dp",
    meaning="demographic parity asks for the same share of positive decisions in every group; "
    "the gap ΔDP is the largest difference between two groups (0 to 1)",
    comparison=Comparison(("selection_rate",)),
)
Criterion.EQUALIZED_ODDS = Criterion(
    "equalized_odds",
    symbol="ΔEO",
    abbreviation="eo",
    highest=2.0,
    meaning="equalized odds asks for the same true- and false-positive rates in every group; "
    "the gap ΔEO is |ΔTPR| + |ΔFPR|, the largest over pairs of groups (0 to 2)",
    comparison=Comparison(("true_positive_rate", "false_positive_rate")),
)
Criterion.EQUAL_OPPORTUNITY = Criterion(
    "equal_opportunity",
    symbol="ΔEOpp",
    abbreviation="eopp",
    meaning="equal opportunity asks for the same true-positive rate in every group; "
    "the gap ΔEOpp is the largest difference between two groups (0 to 1)",
    comparison=Comparison(("true_positive_rate",)),
)

STANDARD = (
    Criterion.DEMOGRAPHIC_PARITY,
    Criterion.EQUALIZED_ODDS,
    Criterion.EQUAL_OPPORTUNITY,
)
"""What every report and audit tells, asked or not."""

BUILT_IN = STANDARD


def parse_limit(text: str) -> tuple[Criterion, float]:
    """``"equalized_odds=0.10"`` as a criterion and a number.

    Raises:
        InputError: it is not written ``criterion=number``, or there is no such criterion.
    """
    name, number = named_number(text, "a limit is written criterion=number, as equalized_odds=0.1")
    return Criterion.parse(name), number


def named_number(text: str, form: str) -> tuple[str, float]:
    """``"name=0.10"`` as a name and a number; ``form`` tells how it is written.

    Raises:
        InputError: it is written otherwise.
    """
    name, _, number = text.partition("=")
    try:
        found = float(number)
    except ValueError:
        found = math.nan
    if math.isnan(found):
        raise InputError(f"{form}, not {text[:80]!r}")
    return name, found
