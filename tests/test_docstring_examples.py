"""The example of every public name, run as it stands, in a folder with a user's files."""

import doctest
from importlib import import_module

import numpy as np
import pytest
from users_files import write_users_files

import evenhand as eh

DOORS = {
    "eh": "evenhand",
    "eh.tasks": "evenhand.tasks",
    "eh.models": "evenhand.models",
    "eh.heads": "evenhand.heads",
    "eh.metrics": "evenhand.metrics",
    "eh.fisher": "evenhand.fisher",
}


def public_names():
    """What the doors give that can be called or made, by the name a user writes."""
    for door, module in DOORS.items():
        for name in import_module(module).__all__:
            found = getattr(import_module(module), name)
            if callable(found):
                yield f"{door}.{name}", found


@pytest.fixture(scope="module")
def users_folder(tmp_path_factory):
    return write_users_files(tmp_path_factory.mktemp("user"))


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
    shown = capsys.readouterr().out
    if outcome.failed and "MissingExtraError" in shown:
        pytest.skip("an extra that the example needs is not installed")
    assert not outcome.failed, shown
