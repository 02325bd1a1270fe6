"""The example of every public name, run as it stands, in a folder with a user's files."""

import doctest
import io
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import evenhand as eh

DOORS = {
    "eh": "evenhand",
    "eh.tasks": "evenhand.tasks",
    "eh.models": "evenhand.models",
    "eh.heads": "evenhand.heads",
    "eh.metrics": "evenhand.metrics",
    "eh.fisher": "evenhand.fisher",
}
NETWORK = """
from collections import OrderedDict
from torch import nn

def build():
    layers = {"hidden": nn.Linear(4, 16), "act": nn.ReLU(), "classifier": nn.Linear(16, 2)}
    return nn.Sequential(OrderedDict(layers))
"""


def public_names():
    """What the doors give that can be called or made, by the name a user writes."""
    for door, module in DOORS.items():
        for name in import_module(module).__all__:
            found = getattr(import_module(module), name)
            if callable(found):
                yield f"{door}.{name}", found


@pytest.fixture(scope="module")
def users_folder(tmp_path_factory):
    """people.csv, decisions.csv, posts.csv, photos, CelebA's and LFWA's layouts, a network."""
    folder = tmp_path_factory.mktemp("user")
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


def made_up_rows():
    """2,000 rows of which one group has more of the positive class."""
    rng = np.random.default_rng(0)
    groups = eh.Groups(rng.integers(0, 2, 2_000), ("F", "M"), "sex")
    features = rng.normal(size=(2_000, 3)) + 0.5 * groups.codes[:, None]
    labels = (features.sum(axis=1) + rng.normal(size=2_000) > 1).astype(int)
    return eh.heads.Rows(features, labels, groups, ("no", "yes"))


ROWS = made_up_rows()
"""What examples of fits call ``rows``."""
PUBLIC = dict(public_names())


@pytest.mark.parametrize("name", PUBLIC)
def test_the_example_runs(name, users_folder, monkeypatch, capsys):
    monkeypatch.chdir(users_folder)
    monkeypatch.syspath_prepend(users_folder)
    finder = doctest.DocTestFinder(recurse=False)
    (test,) = finder.find(PUBLIC[name], name, globs={"eh": eh, "np": np, "rows": ROWS})
    assert test.examples, f"{name} has no example"
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    outcome = doctest.DocTestRunner(optionflags=flags).run(test)
    assert not outcome.failed, capsys.readouterr().out
