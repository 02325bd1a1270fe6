"""Which rows are fitted on and which judged, stratified by group and label."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import KFold, StratifiedKFold

from evenhand._base.arrays import IntArray
from evenhand._base.distributed import World
from evenhand.errors import InputError
from evenhand.groups import Groups
from evenhand.rows import Rows

FOLDS = 5


def folds(rows: Rows, *, number: int = FOLDS, seed: int = 0) -> list[tuple[IntArray, IntArray]]:
    """(train, judged) row numbers of each fold, stratified by group × label where cells allow.

    Raises:
        InputError: there are fewer than two rows a fold.
    """
    if len(rows) < 2 * number:
        raise InputError(f"{number}-fold cross-fitting needs {2 * number} rows, found {len(rows)}")
    cell = (rows.groups.codes + 1) * len(rows.classes) + rows.labels
    rare = np.bincount(cell)[cell] < number
    splitter = KFold if rare.all() else StratifiedKFold
    strata = np.where(rare, cell.max() + 1 + rows.labels, cell)
    strata = np.where(np.bincount(strata)[strata] < number, -1, strata)
    if (strata == -1).any() and (strata == -1).sum() < number:
        strata = rows.labels
        if np.bincount(strata)[strata].min() < number:
            splitter = KFold
    split = splitter(n_splits=number, shuffle=True, random_state=seed)
    return [
        (train_rows.astype(np.int64), judged_rows.astype(np.int64))
        for train_rows, judged_rows in split.split(strata, strata)
    ]


def fold_numbers(rows: Rows, *, number: int = FOLDS, seed: int = 0) -> npt.NDArray[np.int16]:
    """(N,) the fold that holds each of this process's rows, whatever the processes.

    Rows shared out by ``World.share`` are in the folds they would be in were there one process.
    """
    world = rows.world
    labels, codes, places = gathered(rows.labels, rows.groups.codes, world)
    whole = rows
    if world.size > 1:
        groups = Groups(codes, rows.groups.names, rows.groups.attribute)
        whole = Rows(np.zeros((len(labels), 0)), labels, groups, rows.classes)
    numbers = np.empty(len(whole), dtype=np.int16)
    for index, (_, judged_rows) in enumerate(folds(whole, number=number, seed=seed)):
        numbers[judged_rows] = index
    return numbers[places]


def gathered(
    labels: IntArray, codes: IntArray, world: World
) -> tuple[IntArray, IntArray, IntArray]:
    """The labels and group codes of the rows of all processes, and the places of this one's.

    Rows shared out by ``World.share`` have the places they had before; otherwise the processes'
    rows follow each other.
    """
    if world.size == 1:
        return labels, codes, np.arange(len(labels))
    every_labels, every_codes = world.gather(labels), world.gather(codes)
    lengths = [len(part) for part in every_labels]
    total = sum(lengths)
    strides = [np.arange(total)[r :: world.size] for r in range(world.size)]
    ends = np.cumsum([0, *lengths])
    places = [np.arange(first, last) for first, last in pairwise(ends)]
    if [len(stride) for stride in strides] == lengths:
        places = strides
    label, code = np.empty(total, dtype=np.int64), np.empty(total, dtype=np.int64)
    for place, own_labels, own_codes in zip(places, every_labels, every_codes, strict=True):
        label[place], code[place] = own_labels, own_codes
    return label, code, places[world.rank]
