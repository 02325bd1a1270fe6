import numpy as np
import pytest

from evenhand.errors import InputError
from evenhand.groups import Groups
from evenhand.rows import Rows

PAIR = Groups(np.array([0, 1]), ("a", "b"))


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        (np.zeros(2), np.array([0, 1]), r"shape \(N, d\), found \(2,\)"),
        (np.zeros((3, 1)), np.array([0, 1]), "'features': 3, 'labels': 2, 'groups': 2"),
        (np.zeros((2, 1)), np.array([0.0, 1.0]), "integers in .*found dtype float64"),
        (np.zeros((2, 1)), np.array([0, 2]), r"labels must lie in \[0, 2\), found 0 to 2"),
        (np.zeros((2, 1)), np.array([-1, 1]), "found -1 to 1"),
    ],
)
def test_rows_that_do_not_fit_together_are_refused(features, labels, message):
    with pytest.raises(InputError, match=message):
        Rows(features, labels, PAIR, ("no", "yes"))


def test_rows_are_selected_and_joined(make_rows):
    rows = make_rows(n=20, unknown=0.2)
    joined = rows[:7] + rows[7:]
    assert np.array_equal(joined.features, rows.features)
    assert np.array_equal(joined.labels, rows.labels)
    assert np.array_equal(joined.groups.codes, rows.groups.codes)
    other = rows.with_features(np.ones((20, 2)))
    assert other.features.shape == (20, 2)
    assert np.array_equal(other.labels, rows.labels)


def test_rows_of_other_groups_or_classes_are_not_joined():
    rows = Rows(np.zeros((2, 1)), np.array([0, 1]), PAIR, ("no", "yes"))
    renamed = Rows(
        np.zeros((2, 1)), np.array([0, 1]), Groups(PAIR.codes, ("b", "a")), ("no", "yes")
    )
    with pytest.raises(InputError, match=r"groups or classes"):
        rows + renamed
    with pytest.raises(InputError, match=r"groups or classes"):
        rows + Rows(np.zeros((2, 1)), np.array([0, 1]), PAIR, ("yes", "no"))
