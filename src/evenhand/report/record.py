"""What a run measured: one record a method × setting × seed, and the run as a whole.

A report, a table, a plot, results.csv and a model card are all views of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from evenhand.criteria import Criterion
from evenhand.metrics.counts import Counts
from evenhand.metrics.rates import accuracy, f1_error, gap
from evenhand.report.setting import Setting

if TYPE_CHECKING:
    import pandas as pd

RESULT_COLUMNS = (
    "task",
    "method",
    "setting",
    "seed",
    "error",
    "delta_eo",
    "delta_dp",
    "accuracy",
    "trainable_parameters",
    "seconds",
    "notes",
)
"""The columns of results.csv: error is 100 - weighted F1 in %, accuracy in %, gaps in [0, 2]."""


UNCONVERGED = "the solver did not converge"
"""The note of a record whose figures are not final."""


@dataclass(frozen=True, eq=False)
class Record:
    """One fitted method, scored on the test rows.

    Attributes:
        task, method, setting, seed: what was run.
        counts: its test decisions. For a randomised method the table holds expected counts
            (floats).
        trainable_parameters: how many numbers the fit was free to move.
        seconds: the time of the fit.
        scores: (N,) test scores of the positive class in [0, 1], where kept (two classes).
        notes: what a reader should know, such as ``"needs the group at prediction"``.
        group_values: further columns of the group table, (G,) each, such as ``"auc"``.
    """

    task: str
    method: str
    setting: Setting
    seed: int
    counts: Counts
    trainable_parameters: int
    seconds: float
    scores: npt.NDArray[np.floating[Any]] | None = None
    notes: tuple[str, ...] = ()
    group_values: dict[str, npt.NDArray[np.floating[Any]]] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """The method and its setting, by which seeds go together."""
        return self.method, str(self.setting)

    @property
    def error(self) -> float:
        """100 - weighted F1, in %; NaN without labels."""
        if not self.counts.labelled:
            return float("nan")
        return float(f1_error(self.counts.total))

    @property
    def converged(self) -> bool:
        """Whether no solver said that it stopped before its end."""
        return UNCONVERGED not in self.notes

    @property
    def accuracy(self) -> float:
        """Accuracy in %; NaN without labels."""
        if not self.counts.labelled:
            return float("nan")
        return 100 * float(accuracy(self.counts.total))

    def gap(self, criterion: str | Criterion) -> float:
        """The largest gap over group pairs, NaN where undefined."""
        if Criterion.parse(criterion).needs_labels and not self.counts.labelled:
            return float("nan")
        return float(gap(self.counts.table, criterion))

    def row(self) -> dict[str, Any]:
        """This record as a row of results.csv."""
        return {
            "task": self.task,
            "method": self.method,
            "setting": str(self.setting),
            "seed": self.seed,
            "error": self.error,
            "delta_eo": self.gap(Criterion.EQUALIZED_ODDS),
            "delta_dp": self.gap(Criterion.DEMOGRAPHIC_PARITY),
            "accuracy": self.accuracy,
            "trainable_parameters": self.trainable_parameters,
            "seconds": self.seconds,
            "notes": "; ".join(self.notes),
        }


@dataclass(frozen=True, eq=False)
class PathPoint:
    """One candidate of the path, as the choice saw it.

    Attributes:
        strength: of the penalty.
        error, gap, upper: cross-fitted: the error in %, the gap, and its upper bound.
        chosen: it is the one that was taken.
        counts: its decisions on the test rows; they let the report move the bars of each group.
        family: how it was made, such as ``"head"``.
        offset: added to the log-odds.
    """

    strength: float
    error: float
    gap: float
    upper: float
    chosen: bool = False
    counts: Counts | None = None
    family: str = "head"
    offset: float = 0.0


def now() -> str:
    """The time in UTC, as documents for machines have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, eq=False)
class Run:
    """Everything a report shows.

    Attributes:
        command: ``"finetune"``, ``"compare"`` or ``"audit"``.
        asked: one sentence of what was asked, in plain words.
        decided: one sentence of what was decided and why.
        records: every method and setting measured.
        before: the record of the model before (transfer learning, or the model audited).
        after: the record of the model chosen; None for an audit.
        test: labels (N,) and groups of the test rows, where per-row plots are wanted.
        warnings: what is uncertain or could not be done, a sentence each.
        provenance: how it was made: hashes, versions, seeds, split sizes, command, seconds.
        config: the resolved configuration.
        bounds: the limits asked for, by criterion.
        promised: whether each bound holds with the confidence asked; None where none was asked.
        counted: the groups with the rows to count by the criterion; None where nobody asked.
        frontier: the points of the path that the choice was made from.
        tables: further tables of the report: ``(title, what it says, DataFrame)``.
        made: when, in UTC.
    """

    command: str
    asked: str
    decided: str
    records: tuple[Record, ...]
    before: Record
    after: Record | None = None
    criterion: Criterion = Criterion.EQUALIZED_ODDS
    test: Any = None
    warnings: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    bounds: Mapping[Criterion, float] = field(default_factory=dict)
    promised: bool | None = None
    counted: tuple[str, ...] | None = None
    frontier: tuple[PathPoint, ...] = ()
    tables: tuple[tuple[str, str, pd.DataFrame], ...] = ()
    made: str = field(default_factory=now)

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """What was asked for first, then the two that every table has."""
        usual = (Criterion.EQUALIZED_ODDS, Criterion.DEMOGRAPHIC_PARITY)
        return tuple(dict.fromkeys((*(self.bounds or (self.criterion,)), *usual)))


def results_frame(records: Iterable[Record]) -> pd.DataFrame:
    """The records as the table of results.csv."""
    import pandas as pd

    return pd.DataFrame([record.row() for record in records], columns=list(RESULT_COLUMNS))
