"""Audit predictions made anywhere: a file or a table in, counts and evidence out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evenhand._base.lazy import lazy_names

if TYPE_CHECKING:
    from evenhand.auditing.request import AuditRequest
    from evenhand.auditing.result import Audit
    from evenhand.auditing.run import audit, audit_of

_HOMES = {
    "Audit": "evenhand.auditing.result",
    "AuditRequest": "evenhand.auditing.request",
    "audit": "evenhand.auditing.run",
    "audit_of": "evenhand.auditing.run",
}

__all__ = ["Audit", "AuditRequest", "audit", "audit_of"]

if not TYPE_CHECKING:  # a type checker shall miss what is not here
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
