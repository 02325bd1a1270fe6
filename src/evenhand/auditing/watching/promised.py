"""What a run promised, and what its own rows were like: what new decisions are held against."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evenhand._base.asked import read_asked
from evenhand._base.run_folder import require_one_label
from evenhand._base.seals import check_sums
from evenhand.auditing.watching.request import WatchRequest
from evenhand.criteria import STANDARD, Criterion
from evenhand.errors import ArtefactError, InputError

RESULT = "result.json"
DECISION = "decision"
"""The column of decisions that ``evenhand predict`` writes."""


@dataclass(frozen=True, eq=False)
class Promised:
    """What is watched.

    Attributes:
        bounds: criterion to the largest gap that was promised.
        attribute: what the groups are groups of.
        groups: their names.
        classes: the class names; of two the second is the positive one.
        table: (G, K, K) the decisions on the run's test rows.
        label, columns, prediction: where new decisions keep them.
        given: what was named by the user and must be there.
    """

    bounds: Mapping[Criterion, float]
    attribute: str
    groups: tuple[str, ...]
    classes: tuple[str, ...]
    table: npt.NDArray[np.float64]
    label: str | None
    columns: tuple[str, ...]
    prediction: str
    given: frozenset[str] = field(default_factory=frozenset)


def read_promised(run: Path, asked: WatchRequest) -> Promised:
    """What the run in a folder promised, and the columns to look at.

    Raises:
        InputError: there is no run, it promised nothing and no bound is given, or its groups are
            of no column.
        ArtefactError: its files are damaged.
    """
    require_one_label(run)
    config = read_asked(run)
    wrong = [line for line in check_sums(run) if RESULT in line or "config.yaml" in line]
    if wrong:
        raise ArtefactError(wrong[0])
    try:
        document = json.loads((run / RESULT).read_text(encoding="utf-8"))
        record = document.get("after") or document["before"]
        counts = record["counts"]
        table = np.asarray(counts["table"], dtype=np.float64)
        attribute, groups = str(counts["attribute"]), tuple(map(str, counts["groups"]))
        classes = tuple(map(str, counts["classes"]))
    except OSError as error:
        raise InputError(f"{run} holds no run that can be watched: it has no {RESULT}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ArtefactError(f"{run / RESULT} is damaged: {error}") from error
    limits = asked.bound or config.get("bounds") or {}
    if not limits:
        raise InputError(
            f"the run in {run} was given no bound to keep: name one, as --bound equalized_odds=0.1"
        )
    bounds = {Criterion.parse(name): float(limit) for name, limit in limits.items()}
    for criterion in bounds:
        if criterion not in STANDARD:
            known = ", ".join(STANDARD)
            raise InputError(f"{criterion} cannot be watched; {known} can")
    named = asked.groups or _texts(config.get("groups")) or tuple(attribute.split(" × "))
    label = asked.label or (str(config["label"]) if config.get("label") else None)
    given = frozenset((*asked.groups, *(c for c in (asked.label, asked.prediction) if c)))
    return Promised(
        bounds,
        attribute,
        groups,
        classes,
        table,
        label,
        named,
        asked.prediction or DECISION,
        given,
    )


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()
