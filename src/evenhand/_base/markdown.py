"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(headings: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown; a bar within a cell is escaped.

    Args:
        headings: of the columns.
        rows: of as many cells each.
    """
    lines = [headings, ["---"] * len(headings), *rows]
    cells = [[str(cell).replace("\\|", "|").replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
