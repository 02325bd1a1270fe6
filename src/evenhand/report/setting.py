"""At which setting a method was measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evenhand.criteria import Criterion

Kind = Literal["own", "level", "bound"]


@dataclass(frozen=True)
class Setting:
    """At which setting a method was measured.

    Attributes:
        text: how the method calls it, for one of its own (a rank, a strength) or a bound.
        kind: ``"own"``; ``"level"``, the lowest error at a share of transfer learning's gap; or
            ``"bound"``, what a rule with bounds chose.
        criterion: whose gap is evened out, where the setting is about one.
        level, metric: of a level: the share, and which error was lowest.
        parts: what ``text`` is made of, for those who group by it.
    """

    text: str = ""
    kind: Kind = "own"
    criterion: Criterion | None = None
    level: float | None = None
    metric: str | None = None
    parts: tuple[str, ...] = ()

    @classmethod
    def evening(cls, criterion: Criterion, knob: str = "") -> Setting:
        """One of a method's own, which evens out ``criterion``; ``knob`` follows its short name."""
        return cls(criterion.abbreviation + knob, criterion=criterion)

    @classmethod
    def of_parts(cls, *parts: str) -> Setting:
        """One of a method's own, told by several parts."""
        return cls(" | ".join(parts), parts=parts)

    @classmethod
    def at_level(cls, criterion: Criterion, level: float, metric: str) -> Setting:
        """The lowest ``metric`` at a share of transfer learning's gap."""
        return cls("", "level", criterion, level, metric)

    @classmethod
    def at_bound(cls, bounds: str) -> Setting:
        """What a rule with ``bounds``, in words, chose."""
        return cls(bounds, "bound")

    def __str__(self) -> str:
        if self.kind == "level" and self.criterion is not None:
            return f"level:{self.criterion.abbreviation}={self.level:g}:{self.metric}"
        return f"bound:{self.text}" if self.kind == "bound" else self.text
