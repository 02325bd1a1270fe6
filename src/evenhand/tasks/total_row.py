"""The total that a spreadsheet's last line holds is no row of the table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from evenhand._base.text import visible
from evenhand.tasks.missing import Missing
from evenhand.tasks.table_file import Batches, TableFile

_WORDS = """
total, totals, grand total, grand totals, sum, subtotal, sub-total, totale, totaal, totalt, gesamt,
summe, somme, suma, total general, всего, итого, 合計, 总计
"""
TOTALS = frozenset(word.strip() for word in _WORDS.split(","))


def without_total(
    batches: Batches, last_row: Callable[[], Sequence[Any]], table: TableFile
) -> Batches:
    """The batches without a last row that says it is a total, which is noted.

    Such a row has one of the words for it in a cell and nothing in another.

    Args:
        batches: of the columns asked for.
        last_row: the last row's cells of every column of the table, whichever are asked for; asked
            once the batches are exhausted.
        table: is told of the row left out.
    """
    held = None
    for batch in batches:
        if held is not None:
            yield held
        if batch.num_rows > 1:
            yield batch.slice(0, batch.num_rows - 1)
        held = batch.slice(batch.num_rows - 1)
    if held is None:
        return
    total = _total_in(last_row())
    if total is None:
        yield held
        return
    place, word = total
    table.notes.append(
        f"{table.label}: the last line is a total ({word!r} in column "
        f"{visible(table.columns[place])!r}) and was left out"
    )


def _total_in(row: Sequence[Any]) -> tuple[int, str] | None:
    """Where a row says that it is a total, and how."""
    missing = Missing()
    cells = [missing.name(cell) for cell in row]
    said = (
        (place, cell)
        for place, cell in enumerate(cells)
        if cell and cell.casefold().strip(":* ") in TOTALS
    )
    return next(said, None) if None in cells else None
