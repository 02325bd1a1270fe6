"""What an audit found, and its views: a run for the report, tables, files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evenhand._base.paths import path_of
from evenhand._base.text import plural
from evenhand.auditing import against, gate, sentences
from evenhand.auditing.against import Difference
from evenhand.auditing.grouping import Grouping
from evenhand.auditing.ratios import check_references, ratios, reference_of, selected_columns
from evenhand.auditing.request import AuditRequest
from evenhand.criteria import STANDARD, Criterion
from evenhand.metrics.counts import Counts
from evenhand.metrics.gap_intervals import gap_interval
from evenhand.metrics.intervals import Interval
from evenhand.report import comparisons
from evenhand.report.about import About
from evenhand.report.group_table import group_table
from evenhand.report.people import enough_rows
from evenhand.report.record import Record, Run, now
from evenhand.report.setting import Setting

if TYPE_CHECKING:
    import pandas as pd

METHOD = "audited decisions"


@dataclass(frozen=True, eq=False)
class Audit:
    """Counts of decisions by group, and what follows from them.

    Attributes:
        parts: one of every group column, and of their crossing.
        classes: the class names; for two classes the second is the positive one.
        rows: rows read; ``used``: rows with a label and a decision.
        missing: rows without a value, by column.
        request: what was asked.
        scores_exact: no score was rounded to save memory.
        scores_outside: scores that are not in [0, 1]: they are no probabilities, so that no
            calibration is given.
        provenance: of the file.
        notes: what was left out or read as the same.
        apart: classes that only labels, or only predictions, have.
        about: what its owner tells of it.
        against: how all gaps changed, where there was something to compare with.
        made: when, in UTC.

    Example:
        >>> found = eh.audit("decisions.csv", label="repaid", prediction="approved", groups="sex")
        >>> found.gaps()["sex"]["equalized_odds"].estimate < 0.5
        True
    """

    parts: tuple[Grouping, ...]
    classes: tuple[str, ...]
    rows: int
    missing: dict[str, int]
    used: int
    request: AuditRequest
    scores_exact: bool
    provenance: dict[str, Any]
    scores_outside: int = 0
    notes: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()
    about: About = field(default_factory=About)
    against: tuple[Difference, ...] = ()
    made: str = field(default_factory=now)
    shown: tuple[Grouping, ...] = field(init=False)
    suppressed: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        check_references([part.counts for part in self.parts], self.request.reference)
        pairs = [part.without_small(self.request.suppress_below) for part in self.parts]
        object.__setattr__(self, "shown", tuple(part for part, _ in pairs))
        left_out = {part.counts.attribute: n for part, n in pairs if n}
        object.__setattr__(self, "suppressed", left_out)

    @property
    def counts(self) -> dict[str, Counts]:
        """The counts shown, by what they are grouped by."""
        return {part.counts.attribute: part.counts for part in self.shown}

    def gaps(self, *, level: float = 0.95) -> dict[str, dict[Criterion, Interval]]:
        """Every gap with its interval, by what is grouped by."""
        return {
            name: {c: gap_interval(counts, c, level=level) for c in self.request.criteria}
            for name, counts in self.counts.items()
        }

    @property
    def failures(self) -> list[str]:
        """A sentence for all that fails the gates that were asked for; none where they pass."""
        return gate.failures(self)

    def above(
        self, limits: Mapping[str | Criterion, float], *, by_upper: bool = False
    ) -> list[str]:
        """A sentence for every gap that is above its limit, or undefined.

        Args:
            limits: criterion to the largest gap allowed, in any group column or crossing.
            by_upper: judge by the upper end of the 95 % interval, so that few rows pass nothing;
                otherwise by the estimate, which on few rows is above or below by luck.

        Raises:
            InputError: an unknown criterion, or a limit that is not a number.
        """  # noqa: DOC502
        return gate.above(self, limits, by_upper=by_upper)

    def selection(self) -> list[tuple[str, str, pd.DataFrame]]:
        """Selection rates and impact ratios of every group, as (title, note, table)."""
        if len(self.classes) != 2:
            return []
        return [
            (
                f"Selection rates by {part.counts.attribute}",
                f"Decided {self.classes[1]}. Impact ratio: the selection rate over "
                f"{self.over(part.counts)}, with its 95 % interval. No verdict is meant.",
                self.ratios(part),
            )
            for part in self.shown
        ]

    def ratios(self, part: Grouping) -> pd.DataFrame:
        """How often each group was decided positive, and its ratio to the reference's."""
        import pandas as pd

        return pd.DataFrame(selected_columns(part.counts, self._reference(part.counts)))

    def _reference(self, counts: Counts) -> int | None:
        return reference_of(counts, self.request.reference)

    def scoring_of(self, part: Grouping) -> pd.DataFrame:
        """The scoring rate of each group, where there are scores, and its ratio."""
        above = np.zeros(0, dtype=np.int64) if part.above is None else part.above
        return ratios(part.counts, above, "above_median", self._reference(part.counts))

    def comparisons(self) -> list[tuple[str, str, pd.DataFrame]]:
        """Every group beside the reference, and beside every other, as (title, note, table).

        None where no reference is named (``reference``). Intervals are simultaneous over a table.
        """
        found = []
        for part in self.shown:
            at = self._reference(part.counts)
            if at is None:
                continue
            name = part.counts.attribute
            beside = comparisons.to_reference(part.counts, at)
            every = comparisons.all_pairs(part.counts)
            over = part.counts.group_names[at]
            found += [
                (f"Groups of {name} beside {over}", comparisons.said(beside.number), beside.frame),
                (f"All pairs of groups of {name}", comparisons.said(every.number), every.frame),
            ]
        return found

    def changes(self) -> list[tuple[str, str, pd.DataFrame]]:
        """How the gaps changed, as (title, note, table); none where nothing was compared."""
        note = "Gaps now, before, and their difference with its 95 % interval."
        return [("Changes", note, against.frame(self.against))] if self.against else []

    def view(self) -> list[dict[str, Any]]:
        """The tables of the view that was asked for; none where none was."""
        from evenhand.auditing.page import ll144

        return ll144.tables(self) if self.request.view == "ll144" else []

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """The criteria that can be judged: those by label only where there are labels."""
        judged = {*STANDARD, self.request.shown}
        every = [*STANDARD, *(c for c in judged if c not in STANDARD)]
        return tuple(c for c in every if self.request.label or not c.needs_labels)

    @property
    def source_name(self) -> str:
        """What was audited, in a word."""
        made = self.provenance
        return str(made.get("file") or made.get("database") or f"{plural(self.rows, 'row')}")

    def over(self, counts: Counts) -> str:
        """What impact ratios are over, in words."""
        at = self._reference(counts)
        return "the highest of any group" if at is None else f"that of {counts.group_names[at]}"

    def scoring(self) -> list[tuple[str, str, pd.DataFrame]]:
        """Scoring rates (the share above the median of all rows) and their impact ratios."""
        return [
            (
                f"Scoring rates by {part.counts.attribute}",
                "Scoring rate: the share with a score above the median of all rows audited. Impact "
                f"ratio: that rate over {self.over(part.counts)}. No verdict is meant.",
                self.scoring_of(part),
            )
            for part in self.shown
            if part.above is not None
        ]

    def _repr_html_(self) -> str:
        """For a notebook: what was found, and the first table."""
        from evenhand.auditing.page.render import fragment

        return fragment(self)

    def group_frame(self) -> pd.DataFrame:
        """The group tables of every group column and crossing, one under the other.

        ``few_rows``: a group has too few rows for its rates to be more than rough.
        """
        import pandas as pd

        frames = []
        for part in self.shown:
            frame = group_table(part.counts, part.values)
            enough = enough_rows(part.counts, self.request.shown, self.request.min_count)
            few = dict(zip(part.counts.group_names, ~enough, strict=True))
            frame.insert(0, "attribute", part.counts.attribute)
            frame["few_rows"] = frame["group"].map(few).astype(bool)
            frames.append(frame)
        return pd.concat(frames, ignore_index=True)

    def to_run(self, task: str | None = None) -> Run:
        """The audit as a run, for every view; ``task`` is what it is called."""
        task = task or (Path(self.request.file).stem if self.request.file else "predictions")
        criterion = self.request.shown
        records = tuple(
            Record(
                task,
                METHOD,
                Setting(part.counts.attribute),
                0,
                part.counts,
                0,
                0.0,
                group_values=dict(part.values),
            )
            for part in self.shown
        )
        return Run(
            command="audit",
            asked=sentences.asked(self),
            decided=sentences.found(self, criterion),
            records=records,
            before=records[0],
            criterion=criterion,
            warnings=(*self.warnings(), *sentences.small(self)),
            provenance=self.provenance,
            config={k: v for k, v in self.request.to_config().items() if k != "file"}
            | {"positive": self.classes[1] if len(self.classes) == 2 else None},
            tables=tuple(self.selection() + self.scoring() + self.comparisons() + self.changes()),
            made=self.made,
        )

    def warnings(self) -> list[str]:
        """What was left out or is doubtful, a sentence each."""
        return sentences.warnings(self)

    def write(self, folder: str | Path) -> dict[str, Path]:
        """Write report.html, result.json and tables as CSV into ``folder``, and what was asked.

        Returns:
            The paths by file name; config.yaml and the sums of all stand beside them.
        """
        from evenhand.auditing.page.files import write

        return write(self, path_of(folder, "the folder to write to"))
