"""UCI Adult, embedded: the paper's encoding (71 inputs) and split.

18,431 rows pre-train, 12,287 are the new task, 5,000 validate and 10,315 test.

Becker & Kohavi (1996), CC BY 4.0, https://doi.org/10.24432/C5XW20.
"""

from __future__ import annotations

import gzip
import hashlib
import io
from dataclasses import replace
from functools import cache
from importlib import resources

import numpy as np
import pandas as pd

from evenhand._base.arrays import IntArray
from evenhand.errors import ArtefactError, InputError
from evenhand.groups import Groups
from evenhand.tasks.encoded_columns import BinColumn, CategoryColumn
from evenhand.tasks.fit_encoder import number_column
from evenhand.tasks.table_encoder import TableEncoder
from evenhand.tasks.task import Examples, Task

SHA256 = "b9e892220ca3f58ef187e9163cfc56e2466d69f71e8d6abeae20e91b78472d6e"


VALID, TEST = 5_000, 10_315


NEW_TASK_SHARE = 0.4


AGE_BINS = 10


NUMBERS_END = 70
"""Inputs up to the last standardised number, hours a week; the 71st is US-born."""


CATEGORICAL = ("workclass", "education", "marital_status", "occupation", "relationship", "race")


NUMBERS = {
    "fnlwgt": False,
    "education_num": False,
    "capital_gain": True,
    "capital_loss": True,
    "hours_per_week": False,
}
"""The standardised columns; True where the logarithm of one more is taken first."""


GROUP_COLUMNS = ("sex", "race")


LABELS = ("income", "occupation")


@cache
def _table() -> pd.DataFrame:
    """The rows with a known workclass and occupation: 46,033 of 48,842 (Table 1 of the paper)."""
    source = resources.files("evenhand.tasks").joinpath("data/adult.csv.gz")
    packed = source.read_bytes()
    found = hashlib.sha256(packed).hexdigest()
    if found != SHA256:
        raise ArtefactError(
            f"the embedded Adult data is damaged: sha256 {found[:12]}…, expected {SHA256[:12]}…; "
            "install evenhand again (pip install --force-reinstall evenhand)"
        )
    table = pd.read_csv(io.BytesIO(gzip.decompress(packed)))
    known = (table["workclass"] != "?") & (table["occupation"] != "?")
    return table[known].reset_index(drop=True)


def _encoder(table: pd.DataFrame, fit: IntArray, categorical: tuple[str, ...]) -> TableEncoder:
    """One-hot categories, age in quantile bins, five standardised numbers and US-born.

    Bins, means and deviations come from the rows ``fit`` alone. Sex is not among the inputs.
    """
    age = table["age"].to_numpy(dtype=float)[fit]
    edges = np.quantile(age, np.linspace(0, 1, AGE_BINS + 1)[1:-1])
    return TableEncoder(
        (
            *(
                CategoryColumn(name, 0.0, tuple(sorted(table[name].unique())))
                for name in categorical
            ),
            BinColumn("age", 0.0, float(np.median(age)), tuple(edges.tolist())),
            *(
                number_column(name, table[name].to_numpy(dtype=float)[fit], log=log)
                for name, log in NUMBERS.items()
            ),
            CategoryColumn("native_country", 0.0, ("United-States",)),
        )
    )


def adult(
    *,
    seed: int = 0,
    group: str = "sex",
    label: str = "income",
    encoder: TableEncoder | None = None,
) -> Task:
    """Adult as the paper uses it (section 4.1, Table 1), with a split drawn from ``seed``.

    Args:
        seed: of the split; 18,431 rows pre-train, 12,287 train, 5,000 validate, 10,315 test.
        group: ``"sex"``, ``"race"`` or ``"sex,race"`` (crossed).
        label: ``"income"`` (two classes, 71 inputs), or ``"occupation"`` (13 classes, the other
            57 inputs; Armed-Forces, 15 rows, is left out of it).
        encoder: that of a run before, so that its model reads the rows; None: fitted on the rows
            that pre-train.

    Raises:
        InputError: an unknown group column or label.
        ArtefactError: the embedded file is damaged.

    Example:
        >>> task = eh.tasks.adult(seed=1)
        >>> task.train.inputs.shape, task.train.groups.names
        ((12287, 71), ('Female', 'Male'))
    """  # noqa: DOC502
    columns = [name.strip() for name in group.split(",")]
    for name in columns:
        if name not in GROUP_COLUMNS:
            raise InputError(
                f"adult has no group column {name!r}; it has {', '.join(GROUP_COLUMNS)}"
            )
    if label not in LABELS:
        raise InputError(f"adult has no label {label!r}; it has {', '.join(LABELS)}")
    table = _table()
    if label == "occupation":
        table = table[table["occupation"] != "Armed-Forces"].reset_index(drop=True)
    order: IntArray = np.random.default_rng(seed).permutation(len(table))
    test, valid, rest = np.split(order, [TEST, TEST + VALID])
    new = round(len(rest) * NEW_TASK_SHARE)
    train, pretrain = np.split(rest, [new])

    if encoder is None:
        encoder = _encoder(table, pretrain, tuple(name for name in CATEGORICAL if name != label))
    elif label in encoder.needs:
        raise InputError(f"the encoder reads {label!r}, which is to be predicted")
    inputs = encoder.encode(table).inputs
    groups = Groups.crossed({name: table[name] for name in columns})
    if label == "income":
        classes: tuple[str, ...] = ("<=50K", ">50K")
        labels: IntArray = np.asarray(table["income"] == ">50K", dtype=np.int64)
    else:
        classes = tuple(sorted(table["occupation"].unique()))
        labels = np.searchsorted(
            np.array(classes), table["occupation"].to_numpy().astype(str)
        ).astype(np.int64)
    parts = {
        name: Examples(inputs[rows], labels[rows], groups[rows])
        for name, rows in {"train": train, "valid": valid, "test": test}.items()
    }
    digest = hashlib.sha256(f"{SHA256} {label} {','.join(columns)} {seed}".encode()).hexdigest()
    task = Task(
        name="adult" if label == "income" else "adult-occupation",
        classes=classes,
        label=label,
        train=parts["train"],
        valid=parts["valid"],
        test=parts["test"],
        fingerprint=digest,
        pretrain=Examples(inputs[pretrain], labels[pretrain], groups[pretrain]),
        raw=encoder,
    )
    return replace(
        task, name=task.name if columns == ["sex"] else f"{task.name}-{'-'.join(columns)}"
    )
