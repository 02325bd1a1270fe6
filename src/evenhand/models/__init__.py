"""Models: a frozen backbone and its head, from any library."""

from evenhand.models.base import Backbone
from evenhand.models.load import load, wrap

__all__ = ["Backbone", "load", "wrap"]
