"""Audit predictions made anywhere: a file or a table in, counts and evidence out."""

from evenhand.auditing.audit import audit
from evenhand.auditing.result import Audit

__all__ = ["Audit", "audit"]
