"""Audit predictions made anywhere: a file or a table in, counts and evidence out."""

from __future__ import annotations

from evenhand.auditing.audit import audit
from evenhand.auditing.result import Audit

__all__ = ["Audit", "audit"]
