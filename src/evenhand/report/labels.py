"""Runs of several labels as one: a line a label, what is promised of all, and their own reports."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evenhand._base.files import write_atomically
from evenhand._base.run_folder import LABELS
from evenhand._base.text import (
    as_json,
    columns,
    fitted,
    frame_to_csv,
    listed,
    number,
    plural,
    visible,
)
from evenhand.criteria import Criterion, in_words
from evenhand.metrics.gap_intervals import gap_interval
from evenhand.metrics.intervals import error_interval
from evenhand.metrics.together import each_confidence, holm, kept_p_value
from evenhand.report.about import About
from evenhand.report.environment import environment
from evenhand.report.files import plain, to_json
from evenhand.report.record import Run, now

SCHEMA = "evenhand.labels/1"
"""What result.json of several labels is written by; see docs/reference/labels.schema.json."""

WIDEST = 28
"""Letters of a label that a terminal shows."""


@dataclass(frozen=True, eq=False)
class LabelRuns:
    """One run a label, of the same rows, groups and bounds.

    Attributes:
        runs: label to its run.
        confidence: at which all promises hold together.
        config: what was asked of all.
        made: when, in UTC.
    """

    runs: Mapping[str, Run]
    confidence: float
    config: Mapping[str, Any] = field(default_factory=dict)
    made: str = field(default_factory=now)

    @property
    def folders(self) -> dict[str, str]:
        """Label to the folder of its run, in the folder of all."""
        return label_folders(list(self.runs))

    @property
    def first(self) -> Run:
        """The run of the first label."""
        return next(iter(self.runs.values()))

    @property
    def criterion(self) -> Criterion:
        """What was bounded first, or to be lessened."""
        return self.first.criterion

    @property
    def promised(self) -> bool | None:
        """Whether every bound is promised for every label; None where none was asked."""
        kept = [run.promised for run in self.runs.values()]
        return None if None in kept else all(kept)

    @property
    def each(self) -> float:
        """The confidence of each label's promise."""
        return each_confidence(self.confidence, len(self.runs))

    @property
    def shown_by_test_rows(self) -> dict[str, float]:
        """Label to the p-value, by Holm, that its promise is kept; of labels with a promise.

        The test rows had no part in the choice: for them the models stand still.
        """
        promised = [label for label, run in self.runs.items() if run.promised]
        found = holm([_kept(self.runs[label]) for label in promised])
        return dict(zip(promised, found.tolist(), strict=True))

    def frame(self) -> pd.DataFrame:
        """A row a label: what was promised, error, accuracy and gaps before and after."""
        shown = self.shown_by_test_rows
        return pd.DataFrame([self._row(label, shown) for label in self.runs])

    def _row(self, label: str, shown: Mapping[str, float]) -> dict[str, Any]:
        run = self.runs[label]
        after = run.after or run.before
        told: dict[str, Any] = {
            "label": label,
            "promised": run.promised,
            "error_before": run.before.error,
            "error": after.error,
            "accuracy_before": run.before.accuracy,
            "accuracy": after.accuracy,
        }
        for criterion in run.criteria:
            told |= {
                f"{criterion}_before": run.before.gap(criterion),
                str(criterion): after.gap(criterion),
            }
        p_value = {"test_p": shown.get(label, float("nan"))} if run.bounds else {}
        return told | p_value | {"folder": self.folders[label]}

    @property
    def asked(self) -> str:
        """What was asked, in a sentence."""
        several = f"A model for each of {plural(len(self.runs), 'label')}"
        if not self.first.bounds:
            best = f"the {self.criterion.best} {self.criterion.symbol}"
            return f"{several}, each with {best} at the cost allowed."
        limits = " and ".join(in_words(c, limit) for c, limit in self.first.bounds.items())
        return (
            f"{several}, each with {limits} on new rows; all promises together at confidence "
            f"{self.confidence:g}, so that each is made at {self.each:.6g}."
        )

    @property
    def decided(self) -> str:
        """What is promised, and what the test rows say of it."""
        kept = [label for label, run in self.runs.items() if run.promised]
        left = [label for label, run in self.runs.items() if run.promised is False]
        if not kept and not left:
            return f"{plural(len(self.runs), 'label')} fine-tuned; no bound was asked for."
        shown = [p <= 1 - self.confidence for p in self.shown_by_test_rows.values()]
        said = f"Promised for {len(kept)} of {plural(len(self.runs), 'label')}"
        said += f"; NOT promised for {listed(left)}." if left else "."
        if kept:
            said += (
                f" The test rows alone show {sum(shown)} of the {len(kept)} kept, all of them at "
                f"once at confidence {self.confidence:g} (Holm)."
            )
        return said

    @property
    def provenance(self) -> dict[str, Any]:
        """How the runs were made: what they share, and each one's task and time."""
        made = {label: run.provenance for label, run in self.runs.items()}
        tasks = {f"task of {label}": one["fingerprints"]["task"] for label, one in made.items()}
        first = self.first.provenance
        return first | {
            "fingerprints": {"model": first["fingerprints"]["model"], **tasks},
            "seconds": {
                label: round(sum(one["seconds"].values()), 2) for label, one in made.items()
            },
        }

    def __str__(self) -> str:
        return _as_text(self)

    def to_json(self) -> str:
        """What is told of all, and each label's own result.json."""
        document = {
            "schema": SCHEMA,
            "time": self.made,
            "command": self.config.get("command"),
            "asked": self.asked,
            "decided": self.decided,
            "promised": self.promised,
            "confidence": self.confidence,
            "confidence_of_each": self.each,
            "labels": self.frame().to_dict(orient="records"),
            "results": {label: json.loads(to_json(run)) for label, run in self.runs.items()},
            "provenance": self.provenance,
            "config": self.config,
        }
        return as_json(plain(document)) + "\n"

    def to_html(self, path: str | Path) -> Path:
        """Write the page of all labels; each has a link to its own report.

        Raises:
            InputError: the folder cannot be written.
        """  # noqa: DOC502
        return write_atomically(path, _page(self))

    def write(self, folder: Path) -> list[str]:
        """Write results.csv, result.json and report.html, and give their names.

        Raises:
            InputError: the folder cannot be written.
        """  # noqa: DOC502
        content = {
            "results.csv": frame_to_csv(self.frame()),
            "result.json": self.to_json(),
            "report.html": _page(self),
        }
        for name, text in content.items():
            write_atomically(folder / name, text)
        return list(content)


def label_folders(labels: Sequence[str]) -> dict[str, str]:
    """Label to a folder whose name every system takes; two are never the same."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for place, label in enumerate(labels, start=1):
        plain_name = "".join(c if c.isalnum() or c in "-_" else "-" for c in label)[:60]
        name = plain_name.strip("-") or f"label-{place}"
        name = name if name == label else f"{place}-{name}"
        while name.lower() in taken:
            name = f"{place}-{name}"
        taken.add(name.lower())
        found[label] = f"{LABELS}/{name}"
    return found


def _kept(run: Run) -> float:
    """The p-value of every bound of a run being kept, by its test rows and counted groups."""
    counts = (run.after or run.before).counts
    names = run.counted or counts.group_names
    places = [place for place, name in enumerate(counts.group_names) if name in names]
    return max(
        kept_p_value(counts.effective(criterion)[places], criterion, limit)
        for criterion, limit in run.bounds.items()
    )


def _said(promised: bool | None) -> str:
    return {True: "yes", False: "NO", None: ""}[promised]


def _as_text(all_of: LabelRuns) -> str:
    """A line a label in at most 80 columns."""
    width = min(WIDEST, max(columns(visible(one)) for one in ("label", *all_of.runs)))
    symbol = all_of.criterion.symbol
    heads = [("Err %", 6), ("before", 6), (symbol, 6), ("before", 6), ("acc %", 6), ("promised", 8)]
    lines = [" ".join([fitted("label", width), *(fitted(h, w, right=True) for h, w in heads)])]
    for label, run in all_of.runs.items():
        after, criterion = run.after or run.before, run.criterion
        told = [
            number(after.error, 2),
            number(run.before.error, 2),
            number(after.gap(criterion), 3),
            number(run.before.gap(criterion), 3),
            number(after.accuracy, 2),
            _said(run.promised),
        ]
        cells = [fitted(text, w, right=True) for text, (_, w) in zip(told, heads, strict=True)]
        lines.append(" ".join([fitted(label, width), *cells]).rstrip())
    return "\n".join(lines)


def _page(all_of: LabelRuns) -> str:
    limit = all_of.first.bounds.get(all_of.criterion)
    shown = all_of.shown_by_test_rows
    lines, ends = [], [limit or 0.0]
    for label, run in all_of.runs.items():
        after = run.after or run.before
        before, gap = (gap_interval(one.counts, all_of.criterion) for one in (run.before, after))
        ends += [end for end in (before.high, gap.high) if np.isfinite(end)]
        lines.append(
            {
                "label": label,
                "link": f"{all_of.folders[label]}/report.html",
                "before": before,
                "gap": gap,
                "error_before": error_interval(run.before.counts),
                "error": error_interval(after.counts),
                "accuracy": after.accuracy / 100,
                "promised": _said(run.promised),
                "p_value": shown.get(label),
            }
        )
    page = environment().get_template("labels.html.j2")
    return page.render(
        runs=all_of,
        about=About.of(all_of.first.config.get("about") or {}),
        lines=lines,
        limit=limit,
        most=next((end for end in (0.1, 0.25, 0.5, 1.0) if max(ends) <= end), 2.0),
        symbol=all_of.criterion.symbol,
        meaning=all_of.criterion.meaning,
        name=all_of.first.before.task,
    )
