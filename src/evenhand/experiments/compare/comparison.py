"""What a comparison holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from evenhand.report.record import Record

REFERENCE = ("transfer", "dense")


@dataclass(frozen=True, eq=False)
class Comparison:
    """A finished comparison.

    Attributes:
        records: one a method × setting × seed.
        skipped: method to why it was not run.
        paired: mean paired differences to the reference, with intervals and Holm's flags.
        frontier: mean error at levels of each gap.
        hypervolume: area dominated by each method's frontier.
        folder: where it is kept.
        config: what was asked.

    Example:
        >>> found = eh.compare("people.yaml", [0], "runs/two", methods=["transfer", "gap-eo"])
        >>> sorted({record.method for record in found.records})
        ['gap-eo', 'transfer']
    """

    records: tuple[Record, ...]
    skipped: dict[str, str]
    paired: pd.DataFrame
    frontier: pd.DataFrame
    hypervolume: pd.DataFrame
    folder: Path
    config: dict[str, Any]

    @property
    def shown(self) -> list[Record]:
        """The records for a table: levels of the frontier left out."""
        return [record for record in self.records if record.setting.kind != "level"]
