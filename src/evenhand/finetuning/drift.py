"""What new rows look like beside the run's own: missing values, unseen ones, decisions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evenhand.finetuning.fair_model import Decisions, FairModel
from evenhand.tasks.encoded_columns import CategoryColumn
from evenhand.tasks.table_encoder import TableEncoder

NOTABLE = 0.02
"""A share is said in words where it is so far from the run's own."""


@dataclass
class Drift:
    """Counts of what was seen, and the shares of the run's own rows.

    Attributes:
        classes: the class names.
        decided_then: class to its share of the decisions on the run's test rows.
        missing_then: column to its share of missing values among the run's training rows.
        categories: the columns of categories.
        rows, decided: how many were seen, and have a decision.
        decisions: how many were decided so, by class.
        missing, unseen: column to how many values were.
        unusable: column to how many of the missing values are there, but no number (or date).
        unusable_is: column to what such values are, in words.
    """

    classes: tuple[str, ...]
    decided_then: dict[str, float]
    missing_then: dict[str, float]
    categories: tuple[str, ...]
    rows: int = 0
    decided: int = 0
    decisions: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    unseen: Counter[str] = field(default_factory=Counter)
    unusable: Counter[str] = field(default_factory=Counter)
    unusable_is: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, model: FairModel) -> Drift:
        """Nothing seen yet, beside what the model's run saw."""
        columns = model.raw.columns if isinstance(model.raw, TableEncoder) else ()
        return cls(
            model.classes,
            model.decided,
            {column.name: column.missing_share for column in columns},
            tuple(column.name for column in columns if isinstance(column, CategoryColumn)),
            unusable_is={column.name: column.unusable for column in columns},
        )

    def add(self, rows: int, found: Decisions) -> None:
        """Count ``rows`` more rows, and what was decided of those that could be read."""
        self.rows += rows
        counts = np.bincount(found.codes[found.codes >= 0], minlength=len(self.classes))
        self.decided += int(counts.sum())
        self.decisions.update(dict(zip(self.classes, counts.tolist(), strict=True)))
        self.missing.update(found.missing)
        self.unseen.update(found.unseen)
        self.unusable.update(found.unusable)

    def share(self, count: int) -> float:
        """A count as a share of the rows seen."""
        return count / max(self.rows, 1)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "rows": self.rows,
            "decided": self.decided,
            "decisions": {
                name: {
                    "share": self.decisions[name] / max(self.decided, 1),
                    "share in the run's test rows": self.decided_then.get(name),
                }
                for name in self.classes
            },
            "columns": {name: self._column(name) for name in self.missing_then},
        }

    def _column(self, name: str) -> dict[str, float]:
        shares = {
            "missing": self.share(self.missing[name]),
            "missing in the run's training rows": self.missing_then[name],
        }
        if name in self.categories:
            shares["unseen"] = self.share(self.unseen[name])
        if self.unusable[name]:
            shares["missing as unusable"] = self.share(self.unusable[name])
        return shares

    def sentences(self) -> list[str]:
        """What differs from the run, a sentence each; the share decided positive always."""
        name = self.classes[-1]
        share, then = self.decisions[name] / max(self.decided, 1), self.decided_then.get(name, 0)
        said = [f"decided {name}: {share:.1%} of the rows, {then:.1%} in the run's test rows"]
        for column, before in self.missing_then.items():
            now = self.share(self.missing[column])
            if abs(now - before) > NOTABLE:
                said.append(f"{column}: {now:.1%} missing, {before:.1%} in the run's training rows")
        for column, count in self.unusable.items():
            verb = "value is" if count == 1 else "values are"
            said.append(
                f"{column}: {count:,} {verb} {self.unusable_is[column]} and count as missing"
            )
        for column in self.categories:
            unseen = self.share(self.unseen[column])
            if self.unseen[column]:
                said.append(f"{column}: {unseen:.1%} are values that the run never saw")
        return said
