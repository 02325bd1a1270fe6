"""The fairness criteria and their names."""

from __future__ import annotations

import difflib
import math
from enum import StrEnum

from evenhand.errors import InputError


class Criterion(StrEnum):
    """What is asked to be even between groups.

    ``DEMOGRAPHIC_PARITY``: how often each class is predicted.
    ``EQUALIZED_ODDS``: how often, for each true label (true- and false-positive rates).
    ``EQUAL_OPPORTUNITY``: how often the positive label is recognised (true-positive rate).

    Example:
        >>> eh.Criterion.parse("equalized_odds")
        <Criterion.EQUALIZED_ODDS: 'equalized_odds'>
    """

    DEMOGRAPHIC_PARITY = "demographic_parity"
    EQUALIZED_ODDS = "equalized_odds"
    EQUAL_OPPORTUNITY = "equal_opportunity"

    @property
    def symbol(self) -> str:
        """The short sign used in tables, such as ΔEO."""
        return {"demographic_parity": "ΔDP", "equalized_odds": "ΔEO"}.get(self.value, "ΔEOpp")

    @property
    def abbreviation(self) -> str:
        """The short name used in method names, such as ``eo``."""
        return {"demographic_parity": "dp", "equalized_odds": "eo"}.get(self.value, "eopp")

    @classmethod
    def parse(cls, name: str | Criterion) -> Criterion:
        """The criterion called ``name`` (its full name, or dp, eo, eopp).

        Raises:
            InputError: no such criterion; the message lists them and the nearest.
        """
        text = str(name).strip().lower().replace("-", "_").replace(" ", "_")
        for criterion in cls:
            if text in (criterion.value, criterion.abbreviation):
                return criterion
        near = difflib.get_close_matches(text, [c.value for c in cls], n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        known = ", ".join(f"{c.value} ({c.abbreviation})" for c in cls)
        raise InputError(f"unknown criterion {str(name)!r}; the criteria are {known}.{hint}")


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
