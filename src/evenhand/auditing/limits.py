"""Lines that a user draws, as they are written: for gaps from above, for levels from below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evenhand._base import option_checks as check
from evenhand._base.option_checks import SHORT
from evenhand.criteria import Criterion, parse_limit
from evenhand.errors import InputError

IMPACT_RATIO = "impact_ratio"
LARGEST_GAP = 2.0


def as_criterion(value: Any) -> Criterion:
    """A criterion by its name; one's own is imported, and may be given itself."""
    return value if isinstance(value, Criterion) else Criterion.load(check.text(value))


def gap_limits(value: Any) -> dict[str, float]:
    """Criterion to the largest gap allowed: a mapping, or a list of ``criterion=number``.

    Raises:
        InputError: another form, a level, a criterion given twice, or a limit that is no gap.
    """
    if isinstance(value, Mapping):
        pairs = [(as_criterion(name), limit) for name, limit in value.items()]
    else:
        pairs = [parse_limit(one) for one in check.words(value)]
    limits: dict[str, float] = {}
    for criterion, limit in pairs:
        if criterion.kind != "gap":
            raise InputError(f"{criterion} is a level, bounded from below: give it to --fail-below")
        if criterion in limits:
            raise InputError(f"{criterion.value} is given twice; give it once")
        if isinstance(limit, bool) or not isinstance(limit, int | float):
            raise InputError(f"expected a number, found {SHORT.repr(limit)}")
        if not 0 <= limit <= LARGEST_GAP:
            raise InputError(f"a gap lies between 0 and 2, found {limit}")
        limits[criterion] = float(limit)
    return limits


def level_limits(value: Any) -> dict[str, float]:
    """What must not be below which number: ``impact_ratio``, or criteria that are levels."""
    if isinstance(value, Mapping):
        pairs = [(check.text(name), limit) for name, limit in value.items()]
    else:
        pairs = [_named_number(one) for one in check.words(value)]
    limits: dict[str, float] = {}
    for name, limit in pairs:
        criterion = name if name == IMPACT_RATIO else as_criterion(name)
        if isinstance(criterion, Criterion) and criterion.kind != "level":
            raise InputError(f"{criterion} is a gap, bounded from above: give it to --fail-above")
        if str(criterion) in limits:
            raise InputError(f"{criterion} is given twice; give it once")
        limits[criterion] = check.number(0, 1)(limit)
    return limits


def _named_number(text: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    try:
        return name.rstrip(">").strip(), float(number)
    except ValueError:
        raise InputError(
            f"a limit is written {IMPACT_RATIO}=0.8 or worst_group_accuracy=0.8, not {text[:80]!r}"
        ) from None
