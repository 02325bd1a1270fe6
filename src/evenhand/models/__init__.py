"""Models: a frozen backbone and its head, from any library."""

from __future__ import annotations

from evenhand.models.backbone import Backbone
from evenhand.models.load import load, wrap

__all__ = ["Backbone", "load", "wrap"]
