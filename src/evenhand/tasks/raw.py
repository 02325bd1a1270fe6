"""What a model reads of a raw row: encoded columns, a text, or an image file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from evenhand.errors import InputError
from evenhand.tasks.table_encoder import FORMAT, TableEncoder


@dataclass(frozen=True)
class TextColumn:
    """A column of texts; a missing one is an empty text."""

    name: str
    kind: str = field(default="text", init=False)

    @property
    def needs(self) -> tuple[str, ...]:
        """The names of the columns that rows must have."""
        return (self.name,)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"format": FORMAT, **asdict(self)}


@dataclass(frozen=True)
class ImageColumn:
    """A column of names of image files."""

    name: str
    kind: str = field(default="images", init=False)

    @property
    def needs(self) -> tuple[str, ...]:
        """The names of the columns that rows must have."""
        return (self.name,)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"format": FORMAT, **asdict(self)}


Raw = TableEncoder | TextColumn | ImageColumn


def raw_from_dict(document: dict[str, Any]) -> Raw:
    """What ``to_dict`` of any of them gave.

    Raises:
        InputError: another format, or none of them.
    """
    kind = document.get("kind")
    if kind == "table":
        return TableEncoder.from_dict(document)
    single: dict[Any, type[TextColumn] | type[ImageColumn]] = {
        "text": TextColumn,
        "images": ImageColumn,
    }
    if kind not in single or document.get("format") != FORMAT:
        raise InputError(f"no reader of raw rows of kind {kind}, format {document.get('format')}")
    return single[kind](str(document["name"]))
