"""Groups as a user wants them: some left out, some put together, the rare ones dealt with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from evenhand._base.arrays import IntArray
from evenhand._base.text import listed
from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.finetuning.stage import Stage
from evenhand.groups import UNKNOWN, Groups
from evenhand.heads.selection.requirements import counts_of
from evenhand.metrics.bounds import counted_groups
from evenhand.rows import Rows

OTHER = "other"


@dataclass(frozen=True)
class Regrouping:
    """What is made of a task's groups, in this order.

    Attributes:
        merge: new group to the groups it is made of.
        exclude: groups whose rows train the task and enter no gap.
        rare: what becomes of groups with fewer than ``min_rows`` rows in a rate: ``"other"`` puts
            them together, ``"exclude"`` leaves them out of every gap, ``"error"`` refuses them;
            None leaves them as they are, reported.
        min_rows: rows a rate needs.
        criteria: whose rates they are.
    """

    merge: Mapping[str, Sequence[str]] = field(default_factory=dict)
    exclude: tuple[str, ...] = ()
    rare: str | None = None
    min_rows: int = 100
    criteria: tuple[Criterion, ...] = (Criterion.EQUALIZED_ODDS,)

    @property
    def asked(self) -> bool:
        """Whether anything is to be changed."""
        return bool(self.merge or self.exclude or self.rare)

    @property
    def leaves_out(self) -> bool:
        """Whether groups may be left out of every gap."""
        return bool(self.exclude or self.rare == "exclude")


def regrouped(stage: Stage, wanted: Regrouping) -> Stage:
    """The stage with its groups as wanted; which are rare is judged on train and valid rows.

    Raises:
        InputError: a group that is not there, or in two of those put together; fewer than two
            groups left; a rare one, where they are refused.
    """
    if not wanted.asked:
        return stage
    names = stage.problem.train.groups.names
    renamed = _renamed(names, wanted)
    made = _Relabelling.of(names, renamed)
    notes = []
    if wanted.exclude:
        notes.append(f"left out of every gap: {listed(wanted.exclude)}")
    for new, old in wanted.merge.items():
        notes.append(f"group {new!r} is {listed(old)}")
    if wanted.rare:
        rare = _rare(made.rows(stage.problem.development), wanted)
        if rare and wanted.rare == "error":
            raise InputError(
                f"groups with fewer than {wanted.min_rows:,} rows for a rate: {listed(rare)}; put "
                "some together (merge_groups), leave them out (exclude_groups), or rare: other"
            )
        to = OTHER if wanted.rare == OTHER else None
        renamed = {old: to if new in rare else new for old, new in renamed.items()}
        made = _Relabelling.of(names, renamed)
        if rare:
            what = f"put together as {OTHER!r}" if to else "left out of every gap"
            notes.append(
                f"with fewer than {wanted.min_rows:,} rows for a rate, {what}: {listed(rare)}"
            )
    if len(made.names) < 2:
        raise InputError(f"{listed(made.names) or 'no group'} is left: a gap needs two groups")
    problem = stage.problem
    asked = json.dumps([dict(wanted.merge), wanted.exclude, wanted.rare, wanted.min_rows])
    task = hashlib.sha256(f"{stage.fingerprints['task']} {asked}".encode()).hexdigest()
    return replace(
        stage,
        problem=replace(problem, train=made.rows(problem.train), valid=made.rows(problem.valid)),
        test=made.rows(stage.test),
        fingerprints=stage.fingerprints | {"task": task},
        notes=(*stage.notes, *notes),
    )


@dataclass(frozen=True)
class _Relabelling:
    """New names, and the new code of each old one."""

    names: tuple[str, ...]
    code_of: IntArray

    @classmethod
    def of(cls, names: Sequence[str], renamed: Mapping[str, str | None]) -> _Relabelling:
        kept = tuple(sorted({new for new in renamed.values() if new is not None}))
        codes = [UNKNOWN if (new := renamed[name]) is None else kept.index(new) for name in names]
        return cls(kept, np.array([*codes, UNKNOWN], dtype=np.int64))

    def rows(self, rows: Rows) -> Rows:
        codes = self.code_of[rows.groups.codes]
        return replace(rows, groups=Groups(codes, self.names, rows.groups.attribute))


def _renamed(names: Sequence[str], wanted: Regrouping) -> dict[str, str | None]:
    """Old group to new one, None where it is left out."""
    renamed: dict[str, str | None] = {name: name for name in names}
    for new, old in wanted.merge.items():
        for name in old:
            _require(name, names)
            if renamed[name] != name:
                raise InputError(f"merge_groups: {name!r} is in {renamed[name]!r} and in {new!r}")
            renamed[name] = str(new)
    for name in wanted.exclude:
        if name not in renamed.values():
            _require(name, names)
        renamed = {old: None if new == name or old == name else new for old, new in renamed.items()}
    return renamed


def _require(name: str, names: Sequence[str]) -> None:
    if name not in names:
        raise InputError(f"no group {name!r}; the groups are {listed(names)}")


def _rare(rows: Rows, wanted: Regrouping) -> list[str]:
    counts = counts_of(rows)
    enough = np.logical_and.reduce(
        [
            counted_groups(counts.effective_cells(criterion), criterion, wanted.min_rows)
            for criterion in wanted.criteria
        ]
    )
    return [name for name, yes in zip(rows.groups.names, enough, strict=True) if not yes]
