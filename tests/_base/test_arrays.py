"""What numpy masks is not there: every door refuses it by name instead of reading beneath."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import evenhand as eh
from evenhand._base.columns import rows
from evenhand.errors import InputError
from evenhand.integrations.sklearn import FairLinearHead
from evenhand.rows import Rows

N = 40
X = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32)
Y, G = np.arange(N) % 2, np.arange(N) // 2 % 2
GROUPS = eh.Groups(G, ("u", "v"))


def hidden(values):
    made = np.ma.array(values)
    made[3] = np.ma.masked
    return made


def model():
    return nn.Sequential(nn.Identity(), nn.Linear(3, 2))


DOORS = {
    "finetune's inputs": lambda: eh.finetune(model(), *[(hidden(X), Y, G)] * 3),
    "Rows' features": lambda: Rows(hidden(X), Y, GROUPS, ("a", "b")),
    "Rows' labels": lambda: Rows(X, hidden(Y), GROUPS, ("a", "b")),
    "Groups' codes": lambda: eh.Groups(hidden(G), ("u", "v")),
    "Counts' labels": lambda: eh.Counts.of(hidden(Y), Y, GROUPS, ("a", "b")),
    "Counts' decisions": lambda: eh.Counts.of(Y, hidden(Y), GROUPS, ("a", "b")),
    "FairLinearHead's X": lambda: FairLinearHead(ridge=0.1).fit(hidden(X), Y),
    "FairLinearHead's y": lambda: FairLinearHead(ridge=0.1).fit(X, hidden(Y)),
    "its predictions": lambda: FairLinearHead(ridge=0.1).fit(X, Y).predict(hidden(X)),
}


@pytest.mark.parametrize("door", DOORS)
def test_masked_values_are_refused(door):
    with pytest.raises(InputError, match=r"masked in 1 of 40 rows: fill them"):
        DOORS[door]()


def test_masked_labels_of_finetune_are_missing():
    with pytest.raises(InputError, match="1 of 40 labels of train are missing"):
        eh.finetune(model(), *[(X, hidden(Y), G)] * 3)


def test_a_masked_group_is_unknown():
    codes = eh.Groups.from_values(hidden(G), "g").codes
    assert codes.tolist() == [*G[:3], -1, *G[4:]]


@given(st.lists(st.lists(st.booleans(), min_size=2, max_size=2), min_size=1, max_size=6))
def test_the_rows_with_something_masked_are_counted(mask):
    values = np.ma.array(np.ones((len(mask), 2)), mask=mask)
    bad = sum(map(any, mask))
    if not bad:
        assert type(rows(values, "inputs")) is np.ndarray
        return
    with pytest.raises(InputError, match=f"inputs are masked in {bad} of {len(mask)} rows"):
        rows(values, "inputs")
