"""Counts, the rates and gaps they give, and how sure one can be of them."""

from evenhand.metrics.counts import Counts

__all__ = ["Counts"]
