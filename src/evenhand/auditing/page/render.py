"""report.html of an audit: page 1 in sentences, one picture, then the tables; nothing is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from evenhand._base.text import listed
from evenhand.auditing.against import sentence
from evenhand.auditing.page.people import headline, left_out, words_of
from evenhand.auditing.sentences import small, warnings
from evenhand.metrics.gap_intervals import gap_interval
from evenhand.metrics.undefined import partial_gap, why_undefined
from evenhand.report.environment import environment
from evenhand.report.group_table import group_table
from evenhand.report.people import Headline, Words, enough_rows, sentences
from evenhand.report.uncertainty import LIMITS

if TYPE_CHECKING:
    from evenhand.auditing.grouping import Grouping
    from evenhand.auditing.result import Audit

MOST_ROWS, MOST_DRAWN = 150, 16
TITLE = "How decisions fall on groups"
RATES = {
    "selection_rate": ("Selection rate", "Share decided {positive}"),
    "base_rate": ("Base rate", "Share with {label} {positive}"),
    "tpr": ("True-positive rate", "Decided {positive} among those with {label} {positive}"),
    "fpr": ("False-positive rate", "Decided {positive} among the others"),
    "precision": ("Precision", "With {label} {positive} among those decided so"),
    "accuracy": ("Accuracy", "Decisions that are right"),
}


def render(audit: Audit) -> str:
    """The report as one HTML page: no network, no fonts, no scripts.

    Every text that comes from data is escaped, and control characters are written out.
    """
    found, words = headline(audit), words_of(audit)
    page = environment("evenhand.auditing.page").get_template("audit.html.j2")
    return page.render(
        audit=audit,
        about=audit.about,
        title=audit.about.title or TITLE,
        sentences=sentences(found, words),
        left_out=left_out(audit, found),
        pictures=_pictures(found, words),
        undrawn=found is not None and len(found.counts.group_names) > MOST_DRAWN,
        parts=[_part(audit, part) for part in audit.shown],
        ll144=audit.view(),
        comparisons=[
            {
                "title": title,
                "note": note,
                "rows": _plain(frame.head(MOST_ROWS)),
                "left": max(0, len(frame) - MOST_ROWS),
            }
            for title, note, frame in audit.comparisons()
        ],
        sentence=sentence,
        doubts=[*warnings(audit), *small(audit)],
        limits=LIMITS,
        provenance=_flat(audit.provenance | {"made": audit.made}),
        asked=_flat({k: v for k, v in audit.request.to_config().items() if k != "file"}),
    )


def fragment(audit: Audit) -> str:
    """The headline and the first table, for a notebook."""
    found = headline(audit)
    page = environment("evenhand.auditing.page").get_template("audit_fragment.html.j2")
    return page.render(
        sentences=sentences(found, words_of(audit)),
        parts=[_part(audit, part) for part in audit.shown[:1]],
        audit=audit,
    )


def _pictures(found: Headline | None, words: Words) -> list[dict[str, Any]]:
    """One block of bars for each rate of the headline: how many of 100 in each group."""
    if found is None:
        return []
    names = found.counts.group_names
    drawn = []
    for comparison in found.comparisons:
        shares = sorted(
            (share for share in comparison.shares if share.people), key=lambda s: s.share
        )
        if len(shares) > MOST_DRAWN:
            largest = sorted(shares, key=lambda s: -s.people)[:MOST_DRAWN]
            kept = {share.group for share in largest} | set(found.pair)
            shares = [share for share in shares if share.group in kept]
        drawn.append(
            {
                "title": f"Of 100 people{words.whose(comparison.kind, found.label)}, "
                f"how many {words.decided(found.label)}",
                "bars": [
                    {
                        "name": words.short(names[share.group]),
                        "people": share.people,
                        "of": 100 * share.share,
                        "low": 100 * share.interval.low,
                        "high": 100 * share.interval.high,
                        "few": names[share.group] in found.few,
                        "named": share.group in found.pair,
                    }
                    for share in shares
                ],
            }
        )
    return drawn


def _part(audit: Audit, part: Grouping) -> dict[str, Any]:
    """One grouping: its rates, its ratios and its gaps."""
    counts, two = part.counts, len(audit.classes) == 2
    frame = group_table(counts, part.values)
    ratios = audit.ratios(part) if two else None
    rates = [name for name in RATES if name in frame]
    positive = audit.classes[1] if two else "so"
    heads = [
        (RATES[name][0], RATES[name][1].format(positive=positive, label=audit.request.label))
        for name in rates
    ]
    enough = enough_rows(counts, audit.request.shown, audit.request.min_count)
    few = {name for name, big in zip(counts.group_names, enough, strict=True) if not big}
    rows = []
    for at, entry in enumerate(frame.head(MOST_ROWS).to_dict(orient="records")):
        ratio = None if ratios is None else ratios.iloc[at]
        rows.append(
            {
                "group": entry["group"],
                "few": entry["group"] in few,
                "class": None if two else entry["class"],
                "rows": int(entry["rows"]),
                "rates": [_rate(entry, name) for name in rates],
                "ratio": None
                if ratio is None
                else (ratio["impact_ratio"], ratio["ratio_low"], ratio["ratio_high"]),
                "values": [entry[name] for name in part.values],
            }
        )
    return {
        "attribute": counts.attribute,
        "heads": heads,
        "rows": rows,
        "left": len(frame) - len(rows),
        "two": two,
        "over": audit.over(counts) if two else "",
        "values": [{"auc": "AUC"}.get(name, name.capitalize()) for name in part.values],
        "gaps": gaps(audit, part).to_dict(orient="records"),
        "scoring": _plain(audit.scoring_of(part)) if part.above is not None else None,
        "undefined": listed(why_undefined(counts, audit.request.shown)),
    }


def _rate(entry: Mapping[Any, Any], name: str) -> tuple[float, float, float]:
    return entry[name], entry[f"{name}_low"], entry[f"{name}_high"]


def gaps(audit: Audit, part: Grouping) -> pd.DataFrame:
    """Every gap of a grouping with its interval; ``at_least`` where it is only partly defined."""
    rows = []
    for criterion in audit.criteria:
        gap = gap_interval(part.counts, criterion)
        partly = bool(why_undefined(part.counts, criterion))
        least = float(partial_gap(part.counts.table, criterion)) if partly else np.nan
        rows.append(
            {
                "attribute": part.counts.attribute,
                "criterion": str(criterion),
                "words": criterion.words,
                "symbol": criterion.symbol,
                "gap": np.nan if partly else gap.estimate,
                "low": np.nan if partly else gap.low,
                "high": np.nan if partly else gap.high,
                "at_least": least,
            }
        )
    return pd.DataFrame(rows)


def _plain(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [dict(zip(frame.columns, row, strict=True)) for row in frame.head(MOST_ROWS).values]


def _flat(mapping: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for key, value in mapping.items():
        if isinstance(value, dict):
            pairs += _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple):
            pairs.append((f"{prefix}{key}", listed(map(str, value), 20)))
        else:
            pairs.append((f"{prefix}{key}", "" if value is None else str(value)))
    return pairs
