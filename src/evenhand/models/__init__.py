"""Models: a frozen backbone and its head, from any library."""

from __future__ import annotations

from evenhand.models.backbone import Backbone
from evenhand.models.deep_readout import DeepReadout, deepened
from evenhand.models.load import load, wrap

__all__ = ["Backbone", "DeepReadout", "deepened", "load", "wrap"]
