"""What is given as a place: a path, or an error that says what was found instead."""

from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenhand._base.paths import path_of
from evenhand.errors import InputError

NO_PATHS = [None, b"runs/one", 3, 1.5, ["runs/one"], {"folder": "runs"}, np.arange(3), object()]


@pytest.mark.parametrize("odd", NO_PATHS, ids=lambda odd: type(odd).__name__)
def test_what_is_no_place_is_named_by_its_type(odd):
    with pytest.raises(InputError, match=f"^the run is given .* found a {type(odd).__name__}$"):
        path_of(odd, "the run")


@pytest.mark.parametrize("odd", ["", "a" * 300, "a/" * 3000, "a\0b", "\0"])
def test_names_that_no_file_can_have_are_refused(odd):
    with pytest.raises(InputError, match=r"^the run\b") as refused:
        path_of(odd, "the run")
    assert len(str(refused.value)) < 200
    assert "\0" not in str(refused.value)


@given(st.text(max_size=400) | st.builds(PurePosixPath, st.text(st.characters(), max_size=80)))
def test_any_text_is_a_path_or_refused(text):
    try:
        found = path_of(text, "the run")
    except InputError as error:
        found = str(error)
    assert found == Path(text) or str(found).startswith("the run")


def test_places_that_are_not_there_yet_are_paths(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path, tmp_path / "new", tmp_path / "file" / "below", "."):
        assert path_of(str(place), "the run") == Path(place)
