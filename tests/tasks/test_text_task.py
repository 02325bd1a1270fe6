"""A column of texts as a task."""

import pandas as pd
import pytest

from evenhand.errors import InputError
from evenhand.tasks.inputs import View
from evenhand.tasks.text_task import text


@pytest.fixture
def posts(tmp_path):
    frame = pd.DataFrame(
        {
            "text": [f"post number {i}" for i in range(100)],
            "class": [i % 3 for i in range(100)],
            "dialect": ["x" if i % 2 else "z" for i in range(100)],
        }
    )
    frame.loc[3, "text"] = "null"
    frame.loc[5, "text"] = ""
    frame.loc[7, "text"] = "long " * 300
    frame.loc[9, "text"] = 'two\nlines, "quoted"'
    path = tmp_path / "posts.csv"
    frame.to_csv(path, index=False)
    return path


def test_texts_are_kept_to_the_letter_and_shared_by_the_splits(posts):
    task = text(posts, label="class", groups="dialect", positive=[0, 1])
    assert task.classes == ("2", "0 or 1")
    views = [part.inputs for part in task.splits.values()]
    assert all(isinstance(view, View) and view.parent is views[0].parent for view in views)
    parent = views[0].parent
    assert len(parent) == 100
    assert parent[3] == "null"
    assert parent[5] == ""
    assert parent[9] == 'two\nlines, "quoted"'
    assert any("1 of 100 texts are empty" in note for note in task.notes)


def test_seeds_and_labels_share_one_parent_fingerprint(posts):
    one = text(posts, label="class", groups="dialect", seed=0)
    two = text(posts, label="class", groups="dialect", positive=2, seed=1)
    assert one.train.inputs.parent.fingerprint == two.train.inputs.parent.fingerprint
    assert one.fingerprint != two.fingerprint


def test_no_text_column_is_named(posts):
    with pytest.raises(InputError, match="no text column 'tweet'; the columns are text, class"):
        text(posts, label="class", groups="dialect", text="tweet")
