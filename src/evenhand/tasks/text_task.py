"""A column of texts with labels and groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from evenhand._base.options import with_defaults
from evenhand.tasks.inputs import Texts, View
from evenhand.tasks.labelled import label_frame
from evenhand.tasks.labels import column_of, group_columns
from evenhand.tasks.options import FILE_OPTIONS, LABELLING, FileOptions
from evenhand.tasks.raw import TextColumn
from evenhand.tasks.read_table import frame_of
from evenhand.tasks.rows_at_hand import opened_rows
from evenhand.tasks.task import Task


def text(
    data: Any,
    *,
    label: str,
    groups: str | Sequence[str],
    text: str = "text",
    **options: Unpack[FileOptions],
) -> Task:
    """A file (see ``table``) with a text column as a task.

    Args:
        data: the file, or rows in memory as ``table`` takes them; or WebDataset shards as
            ``images`` takes them, whose texts are ``txt``, or a key of their ``.json``.
        text: the column of texts; a missing one becomes an empty text, counted in the notes.
        label, groups, options: as for ``table``.

    Raises:
        InputError: a column that is not there, a label that is not one, a part without rows, …

    Example:
        >>> task = eh.tasks.text("posts.csv", text="post", label="rude", groups="dialect")
        >>> task.train.inputs[0]
        'post number 0'
    """  # noqa: DOC502
    how = with_defaults(FILE_OPTIONS, options, "tasks.text")
    found = opened_rows(data, how)
    opened, how = found.table, how | {"split": found.split}
    listed = group_columns(groups, opened.columns)
    frame, notes, digest = frame_of(
        opened, texts=[text], names=[label, *listed], missing=how["missing"]
    )
    made = label_frame(
        frame,
        digest,
        label=label,
        groups=listed,
        **{name: how[name] for name in LABELLING},
    )
    column = column_of(frame, text, "text")
    parent = Texts(
        ["" if absent else str(value) for value, absent in zip(column, column.isna(), strict=True)],
        how["name"] or found.name,
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
