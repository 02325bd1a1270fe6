"""Small runs of every kind of raw rows, for tests of what a run decides."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from evenhand.finetuning.finetune import DEFAULT, finetune_stage
from evenhand.finetuning.stage import task_stage
from evenhand.models import load as load_model
from evenhand.tasks.image_task import images
from evenhand.tasks.table_task import table
from evenhand.tasks.text_task import text

NETWORKS = tuple(pytest.param(kind, marks=pytest.mark.whole) for kind in ("text", "images"))
"""The kinds of rows that a whole network reads, which takes seconds."""

ROWS = 900
WORDS = ("brave", "calm", "dull", "eager", "fond", "glad", "harsh", "idle")


def people(seed: int = 0) -> pd.DataFrame:
    """A table of mixed types: missing values, dates, 40 categories, a split column."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "id": [f"p{i:04d}" for i in range(ROWS)],
            "age": rng.integers(18, 80, ROWS).astype(float),
            "pay": rng.lognormal(7, 1, ROWS).round(2),
            "town": rng.choice([f"town {i:02d}" for i in range(40)], ROWS),
            "since": pd.Timestamp("2015-01-01")
            + pd.to_timedelta(rng.integers(0, 3000, ROWS), unit="D"),
            "member": rng.choice([True, False], ROWS),
            "sex": rng.choice(["F", "M"], ROWS),
            "part": np.repeat(["train", "valid", "test"], [500, 200, 200]),
        }
    )
    drift = (frame["age"] - 50) / 15 + (frame["town"] > "town 20") + (frame["sex"] == "M")
    noisy = drift + rng.normal(size=ROWS)
    frame["repaid"] = np.where(noisy > np.median(noisy), "yes", "no")
    frame.loc[rng.random(ROWS) < 0.1, "age"] = np.nan
    frame.loc[rng.random(ROWS) < 0.1, "town"] = None
    return frame


def table_run(folder, form: str = "csv"):
    """A run on the table written as CSV or Parquet, and the file."""
    frame, data = people(), folder / f"people.{form}"
    if form == "csv":
        frame.to_csv(data, index=False)
    else:
        frame.to_parquet(data, index=False)
    task = table(data, label="repaid", groups="sex", split="part", drop=["id"])
    return finetune_stage(task_stage(task, use_cache=False)), data


def text_run(folder, model="all-MiniLM-L6-v2", request=DEFAULT, **options):
    """A run on a CSV of short texts, and the file."""
    rng = np.random.default_rng(0)
    n = 240
    chosen = rng.integers(0, len(WORDS), (n, 3))
    frame = pd.DataFrame(
        {
            "says": [" ".join(WORDS[i] for i in row) for row in chosen],
            "sex": rng.choice(["F", "M"], n),
            "part": np.repeat(["train", "valid", "test"], [120, 60, 60]),
        }
    )
    frame["kind"] = np.where((chosen < 4).sum(axis=1) + rng.normal(size=n) > 1.5, "good", "bad")
    frame.loc[3, "says"] = None
    data = folder / "says.csv"
    frame.to_csv(data, index=False)
    task = text(data, label="kind", groups="sex", text="says", split="part")
    stage = task_stage(task, load_model(model, max_length=16), use_cache=False, **options)
    return finetune_stage(stage, request), data


def image_run(folder, model="efficientnet-lite0", size=32, request=DEFAULT, **options):
    """A run on a folder of small images, and its CSV."""
    rng = np.random.default_rng(0)
    n = 150
    bright = rng.integers(60, 200, n)
    for index, level in enumerate(bright):
        pixels = np.clip(rng.normal(level, 40, (40, 36, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    frame = pd.DataFrame(
        {
            "file": [f"{i}.png" for i in range(n)],
            "light": np.where(bright + rng.normal(0, 20, n) > 130, "day", "night"),
            "sex": rng.choice(["F", "M"], n),
            "part": np.repeat(["train", "valid", "test"], [80, 35, 35]),
        }
    )
    data = folder / "faces.csv"
    frame.to_csv(data, index=False)
    task = images(data, label="light", groups="sex", split="part")
    backbone = load_model(model, size=size)
    stage = task_stage(task, backbone, use_cache=False, **options)
    return finetune_stage(stage, request), data


def own_decisions(result) -> list[str]:
    """What the run itself decided on its test rows."""
    head = result.stage.backbone.as_stored(result.fair_head.head)
    codes = head.predict(result.stage.test.features)
    return [result.stage.problem.train.classes[code] for code in codes]
