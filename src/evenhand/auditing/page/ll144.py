"""The tables that New York City's Local Law 144 asks of tools for hiring, as a view.

Rules of the City of New York, title 6, chapter 5, subchapter T: selection or scoring rates and
impact ratios by sex, by race or ethnicity and by both, with the number of applicants in each; a
category of less than 2 % of the data may be left out of the ratios; people of unknown category are
counted. No line is drawn: the law has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evenhand._base.text import plural
from evenhand.auditing.ratios import ratios

if TYPE_CHECKING:
    from evenhand.auditing.grouping import Grouping
    from evenhand.auditing.result import Audit

SMALL = 0.02
LEFT_OUT = "under 2 %: not computed"


def tables(audit: Audit) -> list[dict[str, Any]]:
    """One table of every grouping: a title, a note, its columns and rows."""
    return [_table(audit, part) for part in audit.shown if len(audit.classes) == 2]


def _table(audit: Audit, part: Grouping) -> dict[str, Any]:
    counts, by_score = part.counts, part.above is not None and audit.request.prediction is None
    hits = part.above if by_score and part.above is not None else counts.table[..., 1].sum(axis=1)
    every = max(1, audit.used)
    small = counts.sizes < SMALL * every
    kept = np.flatnonzero(~small)
    frame = ratios(counts, hits, "selected", None)
    highest = frame["rate"].iloc[kept].max() if len(kept) else np.nan
    rows = []
    for at, row in enumerate(frame.to_dict(orient="records")):
        ratio = row["rate"] / highest if highest > 0 else np.nan
        rows.append(
            {
                "group": row["group"],
                "rows": int(row["rows"]),
                "selected": int(row["selected"]),
                "rate": row["rate"],
                "impact_ratio": LEFT_OUT if small[at] else float(ratio),
            }
        )
    unknown = int(counts.unknown.sum())
    counted, rate = (
        ("Scored above the median", "Scoring rate")
        if by_score
        else (
            "Selected",
            "Selection rate",
        )
    )
    return {
        "title": f"{rate}s and impact ratios by {counts.attribute}",
        "attribute": counts.attribute,
        "note": f"Impact ratio: over the highest rate of a category of at least 2 % of the data. "
        f"{plural(unknown, 'applicant')} of unknown category {'is' if unknown == 1 else 'are'} "
        "in no row.",
        "columns": [
            ("Category", "group", False),
            ("Applicants", "rows", True),
            (counted, "selected", True),
            (rate, "rate", True),
            ("Impact ratio", "impact_ratio", True),
        ],
        "rows": rows,
    }
