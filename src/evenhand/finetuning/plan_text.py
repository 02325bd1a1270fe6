"""A plan in words and tables: the same for a terminal and for a page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evenhand._base.text import MISSING, columns, fitted, plain_number, visible
from evenhand.criteria import Criterion
from evenhand.heads.selection.price import MOST_TIMES, Price, PriceCurve
from evenhand.metrics.bounds import shortfall

if TYPE_CHECKING:
    from evenhand.finetuning.plan import GroupRows, Plan

WIDEST = 28
"""No column of a terminal's table is wider."""


NAMES = {
    "f1": "error (100 − weighted F1)",
    "accuracy": "error (100 − accuracy)",
    "balanced": "error (100 − balanced accuracy)",
    "log_loss": "error (100 × log-loss)",
}


@dataclass(frozen=True)
class Table:
    """A table of a plan.

    Attributes:
        title: over it.
        header: a name a column.
        rows: a text a cell.
        notes: under it, a sentence each.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def lead(plan: Plan) -> str:
    """What there is to fit and choose on."""
    return f"{plan.rows:,} rows to fit and choose on: {plan.known}"


def verdict(plan: Plan) -> str:
    """What comes of the bounds that were asked for."""
    return f"Asked for: {plan.asked}."


def tables(plan: Plan) -> tuple[Table, ...]:
    """The price of each criterion, then who is too small to judge."""
    prices = (_prices(curve, plan) for curve in plan.curves.values())
    return (*prices, _groups(plan))


def text(plan: Plan) -> str:
    """The plan as lines of text; names from data are shown so that they cannot act."""
    lines = [visible(lead(plan))]
    for table in tables(plan):
        lines += ["", table.title, *_aligned(table), *(visible(note) for note in table.notes)]
    if plan.asked is not None:
        lines += ["", visible(verdict(plan))]
    lines += ["", *(visible(f"note: {warning}") for warning in plan.warnings)]
    return "\n".join(lines).rstrip()


def as_dict(plan: Plan) -> dict[str, Any]:
    """The plan as plain values, for JSON; what is undefined is None."""
    return {
        "task": plan.task,
        "rows": plan.rows,
        "confidence": plan.confidence,
        "error": plan.error,
        "min_rows": plan.min_rows,
        "floors": {str(criterion): floor for criterion, floor in plan.floors.items()},
        "asked": plan.asked,
        "curves": {
            str(criterion): {
                "smallest": curve.smallest if math.isfinite(curve.smallest) else None,
                "floor": curve.floor if math.isfinite(curve.floor) else None,
                "constant_accuracy": curve.constant_accuracy,
                "transfer": vars(curve.transfer),
                "prices": [vars(price) for price in curve.prices],
            }
            for criterion, curve in plan.curves.items()
        },
        "groups": [
            {
                "name": group.name,
                "cells": dict(zip(plan.classes, group.cells, strict=True)),
                "judged": {str(criterion): yes for criterion, yes in group.judged.items()},
                "rows": group.rows,
            }
            for group in plan.groups
        ],
        "warnings": list(plan.warnings),
    }


def _prices(curve: PriceCurve, plan: Plan) -> Table:
    symbol, parity = curve.criterion.symbol, curve.criterion is Criterion.DEMOGRAPHIC_PARITY
    header = ["bound", "error", "cost", "right %", f"expected {symbol}", "rows"]
    if parity:
        header.insert(-1, "any classifier errs %")
    rows = []
    for price in curve.prices:
        figures = [MISSING] * 4
        if price.promised:
            figures = [
                f"{price.error:.2f}",
                f"{price.cost:+.2f}",
                f"{price.accuracy:.2f}",
                plain_number(price.gap),
            ]
        least = [f"{price.least_error:.2f}"] if parity else []
        rows.append((f"{price.bound:g}", *figures, *least, _rows_told(price)))
    return Table(
        f"What a bound on {symbol} costs, at confidence {curve.confidence:g}",
        tuple(header),
        tuple(rows),
        tuple(_sentences(curve, plan)),
    )


def _rows_told(price: Price) -> str:
    if price.promised:
        return "" if price.rows is None else f"{price.rows:,} halve the cost"
    return "not promised" if price.rows is None else f"not promised; {price.rows:,} would"


def _sentences(curve: PriceCurve, plan: Plan) -> Iterator[str]:
    symbol, transfer = curve.criterion.symbol, curve.transfer
    yield (
        f"{NAMES.get(plan.error, plan.error)} in %, cross-fitted; the cost is in points over "
        "transfer learning with its threshold tuned: "
        f"{transfer.error:.2f}, {transfer.accuracy:.2f} % right, {symbol} "
        f"{plain_number(transfer.gap)}. Always deciding the most frequent label: "
        f"{curve.constant_accuracy:.2f} % right."
    )
    yield (
        "Rows: how many in all would promise the bound, or promise it at half its cost; blank "
        f"where that is more than {MOST_TIMES} times these, or never."
    )
    if not curve.promised:
        yield f"No bound on {symbol} can be promised on these rows{_why_none(curve, plan)}."
    else:
        first, last = curve.promised[0], curve.promised[-1]
        yield (
            f"The {curve.criterion.best} bound that can be promised is {first.bound:g}: it costs "
            f"{first.cost:+.2f} points; {last.bound:g} costs {last.cost:+.2f}."
        )
        price = _an_example(curve)
        if price is not None and price.rows is not None:
            yield (
                f"A bound of {price.bound:g} is answered with {symbol} of about "
                f"{plain_number(price.gap)}, since these rows leave a margin of "
                f"{plain_number(abs(price.upper - price.gap))}, and costs {price.cost:.2f} points; "
                f"about {price.rows:,} rows ({price.rows / curve.rows:.1f} times these) would "
                "halve that."
            )
    half = curve.half
    if half is not None and half.least_error > 0:
        yield (
            f"Base rates differ by group, so half of transfer learning's {symbol} "
            f"({half.bound:g}) costs any classifier, whatever it reads, at least "
            f"{half.least_error:.1f} % of wrong decisions."
        )


def _why_none(curve: PriceCurve, plan: Plan) -> str:
    judged = [group for group in plan.groups if group.judged[curve.criterion]]
    if len(judged) < 2:
        return f": fewer than two groups have {plan.min_rows:,} rows for each of its rates"
    return ""


def _an_example(curve: PriceCurve) -> Price | None:
    """The dearest bound that more rows would cheapen, if it can be not below half of today's gap.

    Below half of that gap the path runs into its end, where more rows help least.
    """
    able = [price for price in curve.promised if price.rows is not None]
    far = [
        price
        for price in able
        if shortfall(price.bound, curve.criterion)
        >= shortfall(curve.transfer.gap, curve.criterion) / 2
    ]
    return max(far or able, key=lambda price: price.cost, default=None)


def _groups(plan: Plan) -> Table:
    rows, criteria = [], list(plan.curves)
    for group in plan.groups:
        judged = [group.judged[criterion] for criterion in criteria]
        cells = (f"{size:,}" for size in group.cells)
        rows.append((group.name, *cells, *("yes" if yes else "no" for yes in judged)))
    small = [group for group in plan.groups if not all(group.judged.values())]
    return Table(
        f"Rows of each group of {visible(plan.attribute)}, by label",
        ("group", *plan.classes, *(f"judged by {criterion.symbol}" for criterion in criteria)),
        tuple(rows),
        tuple(_too_small(group, plan.min_rows) for group in small),
    )


def _too_small(group: GroupRows, min_rows: int) -> str:
    needs = "" if group.rows is None else f"; about {group.rows:,} rows in all would hold them"
    return f"{group.name!r} is too small to judge: {min_rows:,} rows a rate are asked for{needs}."


def _aligned(table: Table) -> list[str]:
    every = [table.header, *table.rows]
    widths = [
        min(WIDEST, max(columns(visible(row[place])) for row in every))
        for place in range(len(table.header))
    ]
    return [_line(row, widths) for row in every]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [
        fitted(cell, width, right=0 < place < len(row) - 1)
        for place, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  " + "  ".join(cells).rstrip()
