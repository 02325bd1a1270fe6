"""A fairness criterion: what is asked of the decisions about groups, and by what name."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from evenhand.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt

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

Measure: TypeAlias = "Callable[[npt.NDArray[Any]], npt.ArrayLike]"
"""(..., G, K, K) counts [group, label, decision] to (...,) figures, or to (..., M) of which the
worst counts; NaN where undefined."""

NOT_DESCRIBED = {"kind": "gap", "highest": 1.0, "penalty": None, "function": None}
"""What a criterion is where its description says nothing else."""


@dataclass(frozen=True)
class Comparison:
    """Which rates of the groups are compared, and how.

    Attributes:
        rates: by name.
        across: ``"difference"`` of two groups' rates, the largest; ``"ratio"`` of the lower to the
            higher, the smallest; or the ``"worst"`` of all groups. A ``"function"`` of all counts
            compares nothing by itself: the rates are those whose rows it needs.
        combined: what the differences of several rates come to.
        every_class: each class's rate counts also where there are two; otherwise the positive's.
    """

    rates: tuple[Rate, ...]
    across: Literal["difference", "ratio", "worst", "function"] = "difference"
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
        function: what gives the figure of a criterion of one's own; None of a built-in one.

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
    function: Measure | None

    DEMOGRAPHIC_PARITY: ClassVar[Criterion]
    EQUALIZED_ODDS: ClassVar[Criterion]
    EQUAL_OPPORTUNITY: ClassVar[Criterion]
    KNOWN: ClassVar[tuple[Criterion, ...]]
    """Those that :meth:`parse` finds by name."""

    def __new__(cls, name: str, **described: Any) -> Criterion:
        """A criterion called ``name`` with the attributes ``described``; see :meth:`parse`."""
        made = super().__new__(cls, name)
        made.__dict__.update(NOT_DESCRIBED | described)
        return made

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a criterion does not change: {name} of {self} cannot be set")

    def __repr__(self) -> str:
        return f"<Criterion {str(self)!r}>"

    def __eq__(self, other: object) -> bool:
        same = not isinstance(other, Criterion) or self.function == other.function
        return same and str.__eq__(self, other) is True

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return str.__hash__(self)

    def __reduce__(self) -> tuple[Any, ...]:
        if self.function is None:
            return Criterion.parse, (str(self),)
        return _of_own, (str(self), dict(self.__dict__))

    @classmethod
    def of(
        cls,
        function: Measure,
        *,
        name: str | None = None,
        kind: Kind = "gap",
        highest: float = 1.0,
        symbol: str | None = None,
        meaning: str | None = None,
    ) -> Criterion:
        """A criterion of one's own: a function of the counts.

        It is chosen and promised by as the built-in ones are: candidates that were fitted for
        others are searched by their counts, with the standard error that the delta method gives by
        numeric differentiation. A largest or smallest of several figures is better given as those
        figures, (..., M), of which the worst counts: each has a standard error then.

        Args:
            function: from counts (..., G, K, K), [group, label, decision], to figures (...,) or
                (..., M) between 0 and ``highest``; NaN where undefined. Axes are counted from the
                end, since thousands of tables are given at once. It must not depend on how many
                rows there are, only on their shares.
            name: of letters, digits and underscores; the function's own by default.
            kind: ``"gap"``, bounded from above, or ``"level"``, bounded from below.
            highest: the largest the figure can be.
            symbol: the short sign in tables; the name by default.
            meaning: what it asks for, in a sentence.

        Raises:
            InputError: a name that is none or is taken, or another kind.

        Example:
            >>> def missed(counts):  # the largest share of positives that a group's members miss
            ...     return counts[..., 1, 0] / counts[..., 1, :].sum(axis=-1)
            >>> worst_miss = eh.Criterion.of(missed, name="worst_miss")
            >>> table = np.array([[[90, 10], [40, 60]], [[80, 20], [20, 80]]])
            >>> float(eh.metrics.gap(table, worst_miss))
            0.4
        """
        name = str(name or getattr(function, "__name__", ""))
        if not name.replace(":", "_").replace(".", "_").isidentifier():
            raise InputError(f"a criterion's name is of letters, digits and _, found {name[:80]!r}")
        if any(name.lower() in (one.value, one.abbreviation) for one in cls.KNOWN):
            raise InputError(f"{name!r} is a built-in criterion; give yours another name")
        if kind not in ("gap", "level") or not highest > 0:
            raise InputError(
                "a criterion is a 'gap' or a 'level', with a highest value above 0, "
                f"found {kind!r} and {highest}"
            )
        said = (function.__doc__ or "").strip().partition("\n")[0].rstrip(".")
        return cls(
            name,
            symbol=symbol or name.rpartition(":")[2],
            abbreviation=name,
            kind=kind,
            highest=float(highest),
            meaning=meaning or f"{name} is a measure of your own{said and ': '}{said}",
            comparison=Comparison(("true_positive_rate", "false_positive_rate"), across="function"),
            function=function,
        )

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

    @property
    def evens(self) -> bool:
        """Whether it is at its best where all groups' rates are equal."""
        return self.comparison.across in ("difference", "ratio")

    @classmethod
    def load(cls, name: str | Criterion) -> Criterion:
        """The criterion called ``name``, which may be one of your own: ``package.module:name``.

        That module is imported, and what is in it runs: give it no name from a file that you would
        not run. There ``name`` is a criterion that :meth:`of` made, or a function of counts, which
        is then a gap.

        Raises:
            InputError: no such criterion, module or name in it.

        Example:
            >>> eh.Criterion.load("worst_group_accuracy")
            <Criterion 'worst_group_accuracy'>
        """
        module, _, attribute = str(name).partition(":")
        if isinstance(name, Criterion) or not attribute:
            return cls.parse(name)
        try:
            found = getattr(import_module(module), attribute)
        except (ImportError, AttributeError, ValueError) as error:
            raise InputError(f"criterion {name!r}: {error}") from error
        if isinstance(found, Criterion):
            return cls(name, **found.__dict__)
        if not callable(found):
            raise InputError(
                f"criterion {name!r} is a {type(found).__name__}, no function of counts"
            )
        return cls.of(found, name=name)

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
        if ":" in text:
            hint = " One of your own is given as eh.Criterion.load('package.module:name')."
        known = ", ".join(f"{c} ({c.abbreviation})" for c in cls.KNOWN)
        raise InputError(f"unknown criterion {str(name)!r}; the criteria are {known}.{hint}")


def _of_own(name: str, described: dict[str, Any]) -> Criterion:
    """A criterion of one's own in another process."""
    return Criterion(name, **described)


OF_ALL_ROWS = frozenset(("selection_rate", "precision", "accuracy", "error_rate"))
"""The rates that need rows of a group, of whatever label."""
