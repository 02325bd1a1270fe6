"""What is asked of the decisions about groups: the criteria, and limits on them."""

from __future__ import annotations

from evenhand.criteria.built_in import BUILT_IN, STANDARD
from evenhand.criteria.criterion import Comparison, Criterion, Rate
from evenhand.criteria.limit import in_words, parse_limit

__all__ = [
    "BUILT_IN",
    "STANDARD",
    "Comparison",
    "Criterion",
    "Rate",
    "in_words",
    "parse_limit",
]
