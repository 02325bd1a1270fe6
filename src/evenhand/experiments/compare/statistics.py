"""What a comparison says: paired differences, frontiers over settings, hypervolumes.

Pure functions of a table with the columns of results.csv (``record.RESULT_COLUMNS``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from evenhand._base.text import listed
from evenhand.criteria import Criterion
from evenhand.errors import InputError

METRICS = ("error", "delta_eo", "delta_dp", "accuracy")
"""What is compared, seed by seed."""


KEY = ["task", "method", "setting"]


Array = npt.NDArray[np.float64]


def gap_column(criterion: Criterion | str) -> str:
    """The column of results.csv that holds the gap of ``criterion``.

    Raises:
        InputError: results hold no gap of that criterion.
    """
    parsed = Criterion.parse(criterion)
    column = f"delta_{parsed.abbreviation}"
    if column not in METRICS:
        raise InputError(
            f"results hold delta_eo and delta_dp, not the gap of {parsed.value}: "
            "use equalized_odds or demographic_parity"
        )
    return column


def mean_interval(
    values: Sequence[float] | npt.NDArray[np.floating[Any]],
) -> tuple[float, float, float]:
    """Mean and 95 % t-interval of values; the ends are NaN for fewer than two."""
    kept = np.asarray(values, dtype=np.float64)
    kept = kept[~np.isnan(kept)]
    if not len(kept):
        return (float("nan"),) * 3
    mean = float(kept.mean())
    if len(kept) < 2:
        return mean, float("nan"), float("nan")
    error = float(kept.std(ddof=1)) / np.sqrt(len(kept))
    half = float(stats.t.ppf(0.975, len(kept) - 1)) * error
    return mean, mean - half, mean + half


def paired(frame: pd.DataFrame, reference: tuple[str, str]) -> pd.DataFrame:
    """Mean differences to a reference, seed by seed.

    Two-sided t-tests on the seeds both have; Holm's correction runs over all methods and settings
    of a task, one family a metric.

    Args:
        frame: the results, one row a task × method × setting × seed.
        reference: (method, setting) everything is compared with.

    Returns:
        One row a task × method × setting × metric: ``difference`` (this minus the reference),
        ``half_width`` of the 95 % interval, ``pairs``, ``p``, ``significant`` (after Holm's
        correction at .05) and the ``reference``. With one pair the interval and p are NaN; where
        all differences are equal p is 1 (no difference) or 0.

    Raises:
        InputError: the reference has no rows, or a seed comes twice.
    """
    frame = checked(frame)
    method, setting = reference
    base = frame[(frame["method"] == method) & (frame["setting"] == setting)]
    if base.empty:
        known = sorted(set(frame["method"] + " (" + frame["setting"] + ")"))
        raise InputError(
            f"no results of {method!r} with setting {setting!r} to compare with; "
            f"there are {listed(known)}"
        )
    tables = []
    for metric in METRICS:
        table = _differences(frame, base, metric)
        table["significant"] = False
        for _, rows in table.groupby("task", sort=False).groups.items():
            table.loc[rows, "significant"] = holm(table.loc[rows, "p"].to_numpy(dtype=np.float64))
        tables.append(table)
    result = pd.concat(tables, ignore_index=True)
    result["reference"] = f"{method} {setting}".strip()
    return result


def _differences(frame: pd.DataFrame, base: pd.DataFrame, metric: str) -> pd.DataFrame:
    merged = frame.merge(base[["task", "seed", metric]], on=["task", "seed"], suffixes=("", "_ref"))
    merged["difference"] = merged[metric] - merged[f"{metric}_ref"]
    same = (merged["method"] == base["method"].iloc[0]) & (
        merged["setting"] == base["setting"].iloc[0]
    )
    rows = []
    for key, part in merged[~same].groupby(KEY, sort=False):
        names = dict(zip(KEY, key, strict=True))
        rows.append(names | {"metric": metric} | _t_test(part["difference"].to_numpy()))
    columns = [*KEY, "metric", "difference", "half_width", "pairs", "p"]
    return pd.DataFrame(rows, columns=columns)


def _t_test(differences: npt.NDArray[np.float64]) -> dict[str, float | int]:
    """Mean, 95 % half-width, number and two-sided p of paired differences, NaN ones left out."""
    kept = differences[~np.isnan(differences)]
    n = len(kept)
    mean = float(kept.mean()) if n else float("nan")
    if n < 2:
        return {"difference": mean, "half_width": np.nan, "pairs": n, "p": np.nan}
    error = float(kept.std(ddof=1)) / np.sqrt(n)
    # Identical differences leave no variance to test against: scipy would warn of cancellation.
    if error <= 1e-12 * max(1.0, abs(mean)):
        p = 1.0 if abs(mean) <= 1e-12 else 0.0
    else:
        p = float(2 * stats.t.sf(abs(mean / error), n - 1))
    half = float(stats.t.ppf(0.975, n - 1)) * error
    return {"difference": mean, "half_width": half, "pairs": n, "p": p}


def holm(p: npt.NDArray[np.float64], level: float = 0.05) -> npt.NDArray[np.bool_]:
    """(H,) which of H hypotheses Holm's step-down procedure rejects; NaN ones are not tested."""
    rejected = np.zeros(len(p), dtype=bool)
    tested = np.flatnonzero(~np.isnan(p))
    for rank, index in enumerate(tested[np.argsort(p[tested], kind="stable")]):
        if p[index] > level / (len(tested) - rank):
            break
        rejected[index] = True
    return rejected


def checked(frame: pd.DataFrame) -> pd.DataFrame:
    """The results with settings as text (a CSV reader gives NaN for an empty one).

    Raises:
        InputError: a column is missing, or a result comes twice.
    """
    missing = [name for name in (*KEY, "seed", *METRICS) if name not in frame.columns]
    if missing:
        raise InputError(f"results lack the columns {', '.join(missing)}")
    frame = frame.assign(setting=frame["setting"].fillna("").astype(str)).reset_index(drop=True)
    repeated = frame.duplicated([*KEY, "seed"])
    if repeated.any():
        first = frame[repeated].iloc[0]
        raise InputError(
            f"{int(repeated.sum())} results come twice, the first: {first['method']} "
            f"({first['setting']}) on {first['task']}, seed {first['seed']}"
        )
    return frame
