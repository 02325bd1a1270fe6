"""The options that say where decisions are, which an audit and a watch take alike."""

from __future__ import annotations

from typing import Any

from evenhand._base import option_checks as check
from evenhand._base.requests import option


def table_option() -> Any:
    """The table of a database."""
    return option(None, check.text, "Of a database: the table, or SCHEMA.TABLE.")


def query_option() -> Any:
    """A query of a database."""
    return option(None, check.text, "Of a database: one SELECT in place of a table.")


def join_option() -> Any:
    """Further tables."""
    words = (
        "Another file, or table of the database or of another (URL#TABLE), that holds groups or "
        "labels; repeatable."
    )
    return option((), check.words, words, many=True)


def on_option() -> Any:
    """The columns by which they are joined."""
    return option((), check.words, "Column by which tables are joined; repeatable.", many=True)
