"""The total that a spreadsheet's last line holds is no row of the table."""

from __future__ import annotations

from collections.abc import Sequence

from evenhand._base.text import visible
from evenhand.tasks.missing import Missing
from evenhand.tasks.table_file import Batches, TableFile

_WORDS = """
total, totals, grand total, grand totals, sum, subtotal, sub-total, totale, totaal, totalt, gesamt,
summe, somme, suma, total general, всего, итого, 合計, 总计
"""
TOTALS = frozenset(word.strip() for word in _WORDS.split(","))


def without_total(batches: Batches, names: Sequence[str], asked: int, table: TableFile) -> Batches:
    """The batches without a last row that says it is a total, which is noted.

    Such a row has one of the words for it in a cell and nothing in another.

    Args:
        batches: of the columns asked for, and the first column of the table if it is not one.
        names: of those columns.
        asked: how many of them, from the first, go on.
        table: is told of the row left out.
    """
    held = None
    for batch in batches:
        if held is not None:
            yield held.select(range(asked))
        if batch.num_rows > 1:
            yield batch.slice(0, batch.num_rows - 1).select(range(asked))
        held = batch.slice(batch.num_rows - 1)
    if held is None:
        return
    missing = Missing()
    cells = [missing.name(column[0].as_py()) for column in held.columns]
    said = [at for at, cell in enumerate(cells) if cell and cell.casefold().strip(":* ") in TOTALS]
    if said and None in cells:
        table.notes.append(
            f"{table.label}: the last line is a total ({cells[said[0]]!r} in column "
            f"{visible(names[said[0]])!r}) and was left out"
        )
    else:
        yield held.select(range(asked))
