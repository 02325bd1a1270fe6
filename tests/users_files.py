"""The files that examples in docstrings and pages speak of, as a user would have them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

NETWORK = """
from collections import OrderedDict
from torch import nn

def build():
    layers = {"hidden": nn.Linear(4, 16), "act": nn.ReLU(), "classifier": nn.Linear(16, 2)}
    return nn.Sequential(OrderedDict(layers))
"""


def write_users_files(folder: Path) -> Path:
    """people.csv, decisions.csv, posts.csv, photos, CelebA's and LFWA's layouts, a network."""
    rng = np.random.default_rng(0)
    n = 1_000
    sex, age = rng.choice(["F", "M"], n), rng.integers(18, 70, n)
    hours = rng.integers(10, 60, n)
    rich = rng.random(n) < 1 / (1 + np.exp(-(age + hours + 8 * (sex == "M") - 90) / 12))
    income = np.where(rich, ">50K", "<=50K")
    people = pd.DataFrame({"age": age, "hours": hours, "sex": sex, "income": income})
    people.to_csv(folder / "people.csv", index=False)
    (folder / "people.yaml").write_text(
        "task: table\ndata: people.csv\nlabel: income\ngroups: [sex]\n"
    )
    approved = np.where(rng.random(n) < 0.8, rich, ~rich)
    pd.DataFrame({"repaid": rich * 1, "approved": approved * 1, "sex": sex}).to_csv(
        folder / "decisions.csv", index=False
    )
    posts = pd.DataFrame(
        {
            "post": [f"post number {i}" for i in range(60)],
            "rude": np.arange(60) // 2 % 2,
            "dialect": ["a", "b"] * 30,
        }
    )
    posts.to_csv(folder / "posts.csv", index=False)
    image = io.BytesIO()
    Image.new("RGB", (24, 20)).save(image, "JPEG")
    names = [f"{i:06}.jpg" for i in range(1, 61)]
    smiling, male = np.arange(60) // 2 % 2, np.arange(60) % 2
    for place in ("photos", "celeba/img_align_celeba", "lfwa/images"):
        (folder / place).mkdir(parents=True)
    for name in names:
        (folder / "photos" / name).write_bytes(image.getvalue())
        (folder / "celeba" / "img_align_celeba" / name).write_bytes(image.getvalue())
    frame = pd.DataFrame({"file": names, "smiling": smiling, "gender": male})
    frame.to_csv(folder / "photos" / "metadata.csv", index=False)
    signs = "\n".join(
        f"{name} {2 * s - 1} {2 * m - 1}" for name, s, m in zip(names, smiling, male, strict=True)
    )
    (folder / "celeba" / "list_attr_celeba.txt").write_text(f"60\nSmiling Male\n{signs}\n")
    people_of = [f"Person_{chr(65 + i // 2)}" for i in range(40)]
    files = [f"{person}/{person}_{i % 2 + 1:04}.jpg" for i, person in enumerate(people_of)]
    for file in files:
        path = folder / "lfwa" / "images" / file
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(image.getvalue())
    frame = pd.DataFrame({"file": files, "Smiling": smiling[:40], "Male": male[:40]})
    frame.to_csv(folder / "lfwa" / "lfwa_attributes.csv", index=False)
    (folder / "my_nets.py").write_text(NETWORK)
    return folder
