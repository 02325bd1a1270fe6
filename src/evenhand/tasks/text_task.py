"""A column of texts with labels and groups."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evenhand.tasks.inputs import Texts, View
from evenhand.tasks.labelled import label_frame
from evenhand.tasks.labels import column_of, group_columns
from evenhand.tasks.raw import TextColumn
from evenhand.tasks.read_table import frame_of
from evenhand.tasks.split import Split
from evenhand.tasks.table_file import open_table
from evenhand.tasks.task import Task


def text(
    data: str | Path,
    *,
    label: str,
    groups: str | Sequence[str],
    text: str = "text",
    positive: Any = None,
    split: Split = None,
    split_by: str | None = None,
    seed: int = 0,
    delimiter: str | None = None,
    encoding: str | None = None,
    missing: Sequence[Any] = (),
    name: str | None = None,
) -> Task:
    """A file (see ``table``) with a text column as a task.

    Args:
        data: the file.
        text: the column of texts; a missing one becomes an empty text, counted in the notes.
        label, groups, positive, split, split_by, seed, delimiter, encoding, missing, name: as for
            ``table``.

    Raises:
        InputError: a column that is not there, a label that is not one, a part without rows, …

    Example:
        >>> task = eh.tasks.text("posts.csv", text="post", label="rude", groups="dialect")
        >>> task.train.inputs[0]
        'post number 0'
    """
    path = Path(data)
    opened = open_table(path, delimiter=delimiter, encoding=encoding)
    listed = group_columns(groups, opened.columns)
    frame, notes, digest = frame_of(opened, texts=[text], names=[label, *listed], missing=missing)
    made = label_frame(
        frame,
        digest,
        label=label,
        groups=listed,
        positive=positive,
        split=split,
        split_by=split_by,
        seed=seed,
    )
    column = column_of(frame, text, "text")
    parent = Texts(
        ["" if absent else str(value) for value, absent in zip(column, column.isna(), strict=True)],
        name or path.name.split(".")[0],
    )
    empty = sum(not parent[row].strip() for row in made.rows)
    said = (f"{empty} of {len(made.rows)} texts are empty",) if empty else ()
    return Task(
        name=parent.name,
        classes=made.classes,
        label=label,
        fingerprint=made.fingerprint,
        notes=notes + made.notes + said,
        raw=TextColumn(str(column.name)),
        **made.examples(lambda rows: View(parent, made.rows[rows])),
    )
