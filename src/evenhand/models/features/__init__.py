"""Features: the frozen backbone run once, its head's inputs cached."""

from __future__ import annotations

from evenhand._base.cache_folder import cache_root
from evenhand.models.features.cache import clear, entries
from evenhand.models.features.extract import Extraction, extract
from evenhand.models.features.task_features import TaskFeatures, extract_task, pretrained_head

__all__ = [
    "Extraction",
    "TaskFeatures",
    "cache_root",
    "clear",
    "entries",
    "extract",
    "extract_task",
    "pretrained_head",
]
