"""An error names what there is, eight of them at most: values may be people's, and are many."""

import re

import numpy as np
import pandas as pd
import pytest

from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.groups import Groups, known_groups
from evenhand.heads.selection.requirements import require_gap
from evenhand.rows import Rows
from evenhand.tasks.labels import code_groups, code_labels, column_of

VALUES = [f"value{i:03d}" for i in range(300)]


def named(text: str) -> int:
    return len(set(re.findall(r"value\d{3}(?!\d|x)", text)))


@pytest.mark.parametrize(
    "call",
    [
        lambda: column_of(pd.DataFrame(columns=VALUES), "x", "label"),
        lambda: code_labels(pd.Series(VALUES, name="y"), "no such"),
        lambda: code_labels(pd.Series(VALUES, name="y"), [f"value{i}x" for i in range(300)]),
        lambda: code_groups(pd.DataFrame({"g": VALUES}), "g"),
        lambda: require_gap(rows_without_labels_in_common(), (Criterion.EQUALIZED_ODDS,)),
    ],
    ids=range(5),
)
def test_no_error_lists_a_column(call):
    with pytest.raises(InputError) as error:
        call()
    assert named(str(error.value)) <= 8
    assert len(str(error.value)) < 1500


def rows_without_labels_in_common() -> Rows:
    codes = np.arange(200)
    return Rows(np.zeros((200, 1)), codes, Groups(codes, VALUES[:200]), tuple(VALUES[:200]))


def test_the_groups_of_a_plan_are_counted_past_eight():
    shown = known_groups(Groups(np.arange(200), tuple(VALUES[:200])))
    assert named(shown) == 8
    assert shown.endswith("and 192 more")
