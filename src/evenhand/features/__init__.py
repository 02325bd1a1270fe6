"""Features: the frozen backbone run once, its head's inputs cached."""

from evenhand.features.extract import Extraction, extract
from evenhand.features.files import cache_root
from evenhand.features.manage import clear, entries
from evenhand.features.task import TaskFeatures, extract_task

__all__ = [
    "Extraction",
    "TaskFeatures",
    "cache_root",
    "clear",
    "entries",
    "extract",
    "extract_task",
]
