"""One look at new decisions, after any number before it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evenhand._base.paths import path_of
from evenhand._base.text import visible
from evenhand.auditing.watching import log as logs
from evenhand.auditing.watching.judge import (
    BROKEN,
    KEPT,
    OPEN,
    Verdict,
    broken,
    judge,
    share_of,
)
from evenhand.auditing.watching.promised import Promised, read_promised
from evenhand.auditing.watching.request import WatchRequest
from evenhand.auditing.watching.seen import Seen, see
from evenhand.criteria import Criterion
from evenhand.errors import InputError

SCHEMA = "evenhand.watch/1"


@dataclass(frozen=True, eq=False)
class Watch:
    """What all looks so far say.

    Attributes:
        promised: what is watched.
        looks: one entry of the log each, the newest last.
        notes: of this look: what was read as the same, or left out.
        cut: the log's last line was torn by a kill, and was written over.

    Example:
        >>> from evenhand.auditing.watching.judge import BROKEN
        >>> BROKEN
        'broken'
    """

    promised: Promised
    looks: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...] = ()
    cut: bool = False

    @property
    def last(self) -> Mapping[str, Any]:
        """The newest look."""
        return self.looks[-1]

    @property
    def broken(self) -> bool:
        """Whether any bound was ever found broken."""
        return any(each["state"] == BROKEN for each in self.last["bounds"].values())

    @property
    def state(self) -> str:
        """The worst of the bounds."""
        states = [each["state"] for each in self.last["bounds"].values()]
        return next(state for state in (BROKEN, OPEN, KEPT) if state in states)


def watch(run: str | Path, source: Any, *, log: Path | None = None, **options: Any) -> Watch:
    """Count new decisions, judge the promise by all looks so far, and keep this one in the log.

    A look may be taken as often as one likes and stopped whenever one likes: over all looks
    together, a promise that is kept is called broken in at most a share ``alarms`` of series.

    Args:
        run: the folder of a fine-tuning run, or of an audit.
        source: the new decisions alone, as ``audit`` takes them; each row once.
        log: the file of the looks; default: ``watch.jsonl`` in the run's folder.
        options: the fields of ``WatchRequest``.

    Raises:
        InputError: no such run or table, columns or classes that are not the run's, decisions that
            were counted before, or a log of another promise.
        ArtefactError: the run or the log was changed.

    Example:
        >>> asked = {"label": "repaid", "prediction": "approved", "groups": "sex"}
        >>> files = eh.audit("decisions.csv", **asked).write("audited")
        >>> found = eh.watch("audited", "decisions.csv", bound={"equalized_odds": 0.5}, **asked)
        >>> found.broken
        False
    """  # noqa: DOC502
    asked, run = WatchRequest.of(**options), path_of(run, "the folder of a run")
    promised = read_promised(run, asked)
    with logs.opened(log or run / logs.NAME) as kept:
        mark = _mark(promised, asked)
        if kept.looks and kept.looks[0].get("promise") != mark:
            raise InputError(
                f"{kept.path} was kept for other bounds, groups, windows or alarms: give a log of "
                "its own (--log)"
            )
        seen = see(source, promised, asked)
        _refuse_again(seen, kept.looks)
        look = _look(seen, promised, asked, kept.looks, mark)
        kept.append(look)
        return Watch(promised, tuple(kept.looks), seen.notes, kept.cut)


def _mark(promised: Promised, asked: WatchRequest) -> str:
    told = [
        sorted((str(criterion), limit) for criterion, limit in promised.bounds.items()),
        promised.groups,
        promised.classes,
        asked.alarms,
        asked.window,
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _refuse_again(seen: Seen, looks: Sequence[Mapping[str, Any]]) -> None:
    digest = seen.source.get("sha256")
    for look in looks if digest is not None else ():
        if look["source"].get("sha256") == digest:
            raise InputError(
                f"{visible(seen.source.get('file', 'these files'))} was counted at look "
                f"{look['look']} ({look['time']}): each decision is counted once"
            )


def _look(
    seen: Seen,
    promised: Promised,
    asked: WatchRequest,
    looks: Sequence[Mapping[str, Any]],
    mark: str,
) -> dict[str, Any]:
    """The entry of the log for what was seen now."""
    decided = np.zeros_like(seen.decided) if asked.labelled_later else seen.decided
    window = _window(looks, asked.window)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    series = _series(looks, window, decided, seen.labelled)
    whole, recent = series[0][1:], series[-1][1:]
    running = judge(*whole, promised.bounds, promised.table, asked.alarms * share_of(1))
    latest = judge(*recent, promised.bounds, promised.table, asked.alarms * share_of(window))
    found = broken(series, promised.bounds, promised.table, asked.alarms)
    return {
        "schema": SCHEMA,
        "promise": mark,
        "look": len(looks) + 1,
        "time": now,
        "source": seen.source,
        "rows": seen.rows,
        "left_out": seen.left_out,
        "window": window,
        "decided": decided.tolist(),
        "labelled": seen.labelled.tolist(),
        "bounds": {
            str(one.criterion): _entry(one, other, found[one.criterion], looks, now)
            for one, other in zip(running, latest, strict=True)
        },
        "shifts": _shifts(*whole, promised) | seen.by_predict,
    }


def _entry(
    running: Verdict, latest: Verdict, found: bool, looks: Sequence[Mapping[str, Any]], now: str
) -> dict[str, Any]:
    """What is said of one bound: once found broken, by whichever series, it stays so."""
    before = looks[-1]["bounds"][str(running.criterion)] if looks else {"since": None}
    since = before["since"] or (now if found else None)
    state = BROKEN if since else running.state
    return running.to_dict() | {"state": state, "since": since, "window": latest.to_dict()}


def _window(looks: Sequence[Mapping[str, Any]], rows: int) -> int:
    """The number of the window that the next look falls in."""
    if not looks:
        return 1
    number = int(looks[-1]["window"])
    held = sum(_rows(look) for look in looks if look["window"] == number)
    return number + (held >= rows)


def _rows(look: Mapping[str, Any]) -> int:
    return max(int(np.sum(look["decided"])), int(np.sum(look["labelled"])))


MOST_SERIES = 60
"""Series judged at a look: the one of all looks, and those that began at the newest windows."""


def _series(
    looks: Sequence[Mapping[str, Any]],
    window: int,
    decided: npt.NDArray[Any],
    labelled: npt.NDArray[Any],
) -> list[tuple[int, npt.NDArray[Any], npt.NDArray[Any]]]:
    """What was seen since each window began, until now: the oldest first."""
    sums = {window: (decided, labelled)}
    for look in looks:
        own = int(look["window"])
        before = sums.get(own, (np.zeros_like(decided), np.zeros_like(labelled)))
        sums[own] = (
            before[0] + np.asarray(look["decided"], dtype=np.int64),
            before[1] + np.asarray(look["labelled"], dtype=np.int64),
        )
    series: list[tuple[int, npt.NDArray[Any], npt.NDArray[Any]]] = []
    since = np.zeros_like(decided), np.zeros_like(labelled)
    for number in sorted(sums, reverse=True):
        since = since[0] + sums[number][0], since[1] + sums[number][1]
        series.append((number, *since))
    return [series[-1], *series[-2::-1][-MOST_SERIES:]] if len(series) > 1 else series


def _shifts(
    decided: npt.NDArray[Any], labelled: npt.NDArray[Any], promised: Promised
) -> dict[str, Any]:
    """Shares now, beside those of the run's test rows; nothing is concluded from them."""
    before = promised.table
    shifts = {
        "group": _shares(promised.groups, decided.sum(axis=1), before.sum(axis=(1, 2))),
        "decision": _shares(promised.classes, decided.sum(axis=0), before.sum(axis=(0, 1))),
    }
    if labelled.any():
        shifts["label"] = _shares(
            promised.classes, labelled.sum(axis=(0, 2)), before.sum(axis=(0, 2))
        )
    return shifts


def _shares(
    names: Sequence[str], now: npt.NDArray[Any], then: npt.NDArray[Any]
) -> dict[str, dict[str, float]]:
    return {
        name: {
            "now": round(float(now[at] / max(1, now.sum())), 6),
            "then": round(float(then[at] / max(1, then.sum())), 6),
        }
        for at, name in enumerate(names)
    }


def criteria_of(look: Mapping[str, Any]) -> list[Criterion]:
    """The criteria that a look judged."""
    return [Criterion.parse(name) for name in look["bounds"]]
