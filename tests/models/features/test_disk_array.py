"""Features on disk stand where an array would."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenhand.errors import InputError
from evenhand.groups import Groups
from evenhand.models.features.disk_array import Stored
from evenhand.rows import Rows

PARTS = [np.random.default_rng(i).normal(size=(n, 3)).astype("f4") for i, n in enumerate((4, 7, 2))]
WHOLE = np.concatenate(PARTS)


def stored():
    part = np.repeat([0, 1, 2], [len(p) for p in PARTS])
    row = np.concatenate([np.arange(len(p)) for p in PARTS])
    return Stored(PARTS, part, row)


@given(st.lists(st.integers(-13, 12), max_size=20))
def test_rows_by_position(rows):
    positions = np.array(rows, dtype=np.int64)
    np.testing.assert_array_equal(np.asarray(stored()[positions]), WHOLE[positions])


@given(st.slices(13))
def test_rows_by_slice(rows):
    found = stored()[rows]
    assert isinstance(found, Stored)
    np.testing.assert_array_equal(np.asarray(found), WHOLE[rows])
    assert found.shape == WHOLE[rows].shape


def test_it_stands_where_an_array_would(monkeypatch):
    found, mask = stored(), WHOLE[:, 0] > 0
    np.testing.assert_array_equal(np.asarray(found[mask]), WHOLE[mask])
    assert (found.size, found.nbytes, found.ndim, len(found)) == (39, 156, 2, 13)
    assert np.isfinite(found).all()
    matrix = np.random.default_rng(9).normal(size=(3, 2))
    monkeypatch.setattr("evenhand.models.features.disk_array.CHUNK_BYTES", 40)
    np.testing.assert_allclose(found @ matrix, WHOLE @ matrix)
    assert (found[:0] @ matrix).shape == (0, 2)
    np.testing.assert_array_equal(np.sort(found, axis=0), np.sort(WHOLE, axis=0))
    with pytest.raises(InputError, match="whole rows"):
        found[:, 0]


def test_rows_on_disk_joined_stay_there():
    groups = Groups(np.zeros(13, int), ("a",))
    one = Rows(stored(), np.arange(13) % 2, groups, ("n", "y"))
    both = one[:5] + one[[12, 3]]
    assert isinstance(both.features, Stored)
    np.testing.assert_array_equal(np.asarray(both.features), WHOLE[[0, 1, 2, 3, 4, 12, 3]])
    mixed = np.concatenate([stored(), WHOLE])
    assert isinstance(mixed, np.ndarray)
    assert mixed.shape == (26, 3)
