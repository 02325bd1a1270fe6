"""Counts, the rates and gaps they give, and how sure one can be of them."""

from __future__ import annotations

from evenhand.metrics.counts import Counts

__all__ = ["Counts"]
