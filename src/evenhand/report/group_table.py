"""The group table: what is known of every group, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from evenhand.criteria import Criterion
from evenhand.groups import UNKNOWN
from evenhand.metrics.counts import Counts
from evenhand.metrics.intervals import rate_interval
from evenhand.metrics.rates import criterion_rates
from evenhand.report.record import Record, Run

if TYPE_CHECKING:
    import pandas as pd

WITHOUT_LABELS = ("group", "class", "rows", "selection_rate")
RATES = ("base_rate", "selection_rate", "tpr", "fpr", "precision", "accuracy")


def group_table(counts: Counts, values: dict[str, npt.NDArray[Any]] | None = None) -> pd.DataFrame:
    """The columns of :func:`group_columns` as a table."""
    import pandas as pd

    return pd.DataFrame(group_columns(counts, values))


def group_columns(
    counts: Counts, values: dict[str, npt.NDArray[Any]] | None = None
) -> dict[str, Any]:
    """One row a group (and class, if there are more than two) of every rate and its 95 % interval.

    Args:
        counts: G groups, K classes.
        values: further columns by name, (G,) each, such as the AUC; repeated for every class.

    Returns:
        Columns ``group``, ``class``, ``rows``, ``positives`` (rows with the label), and for each of
        base_rate, selection_rate, tpr, fpr, precision and accuracy the rate, ``_low`` and
        ``_high``. A rate without rows is NaN. Of weighted rows, those counted are the effective
        ones. Without labels there are ``group``, ``class``,
        ``rows`` and the selection rate alone.
    """
    table = np.asarray(counts.effective(Criterion.DEMOGRAPHIC_PARITY), dtype=np.float64)
    by_label = np.asarray(counts.effective(Criterion.EQUALIZED_ODDS), dtype=np.float64)
    classes = _classes(counts)
    parts = []
    for k in classes:
        rows, positives, chosen = table.sum((1, 2)), table[:, k].sum(1), table[:, :, k].sum(1)
        hits, inside = by_label[:, k, k], by_label[:, k].sum(1)
        outside = by_label.sum((1, 2)) - inside
        of = {
            "base_rate": (positives, rows),
            "selection_rate": (chosen, rows),
            "tpr": (hits, inside),
            "fpr": (by_label[:, :, k].sum(1) - hits, outside),
            "precision": (table[:, k, k], chosen),
            "accuracy": (np.trace(table, axis1=1, axis2=2), rows),
        }
        columns: dict[str, Any] = {
            "group": list(counts.group_names),
            "class": [counts.class_names[k]] * len(rows),
            "rows": _whole(rows),
            "positives": _whole(positives),
        }
        for name in RATES:
            above, below = of[name]
            low, high = rate_interval(above, below)
            columns[name] = np.divide(above, below, out=np.full(len(rows), np.nan), where=below > 0)
            columns[f"{name}_low"], columns[f"{name}_high"] = low, high
        if not counts.labelled:
            columns = {k: v for k, v in columns.items() if k.startswith(WITHOUT_LABELS)}
        columns |= values or {}
        parts.append(columns)
    return {name: _joined([part[name] for part in parts]) for name in parts[0]}


def _joined(columns: Sequence[Any]) -> Any:
    """One column after the other."""
    if isinstance(columns[0], list):
        return [value for column in columns for value in column]
    return np.concatenate(columns)


def _whole(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    return np.round(rows).astype(np.int64)


def _classes(counts: Counts) -> list[int]:
    k = len(counts.class_names)
    return [1] if k == 2 else list(range(k))


def widest_class(counts: Counts, criterion: Criterion) -> int:
    """The class whose gap is the largest; the positive one of two."""
    classes = _classes(counts)
    if len(classes) == 1:
        return classes[0]
    rates = criterion_rates(counts.table, criterion)
    with np.errstate(invalid="ignore"):
        spread = np.nan_to_num(_nan_range(rates)).sum(axis=0)
    return int(spread.argmax())


def _nan_range(rates: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    high = np.where(np.isnan(rates), -np.inf, rates).max(axis=1)
    low = np.where(np.isnan(rates), np.inf, rates).min(axis=1)
    spread: npt.NDArray[np.float64] = np.where(np.isfinite(high - low), high - low, np.nan)
    return spread


def score_columns(record: Record, run: Run) -> dict[str, npt.NDArray[np.float64]]:
    """The AUC and the calibration of each group, (G,), where the run kept scores and test rows.

    Calibration is the mean score minus the share of positives: above 0, the group is scored too
    high.
    """
    if record.group_values:
        return {name: np.asarray(column) for name, column in record.group_values.items()}
    if record.scores is None or run.test is None or len(record.counts.class_names) != 2:
        return {}
    from sklearn.metrics import roc_auc_score

    labels, codes = np.asarray(run.test.labels), run.test.groups.codes
    auc = np.full(len(record.counts.group_names), np.nan)
    calibration = auc.copy()
    for g in range(len(auc)):
        mine = (codes == g) & (codes != UNKNOWN)
        if mine.any():
            calibration[g] = record.scores[mine].mean() - labels[mine].mean()
            if 0 < labels[mine].sum() < mine.sum():
                auc[g] = roc_auc_score(labels[mine], record.scores[mine])
    return {"auc": auc, "calibration": calibration}
