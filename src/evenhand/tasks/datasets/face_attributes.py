"""Face attributes (1 or not) as a frame of readable labels and groups."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from evenhand._base.text import listed
from evenhand.errors import InputError

NAMED = {"Male": ("Female", "Male"), "Young": ("Old", "Young")}
"""Attributes whose absence has a name of its own."""


def attribute_frame(
    attributes: pd.DataFrame, label: str, group: str | Sequence[str], task: str
) -> pd.DataFrame:
    """The label column and the group columns, in words.

    Args:
        attributes: (N, 40) integers: 1 where it holds, 0 or -1 where not.
        label: the attribute to predict; its classes are "not X" and "X".
        group: one or more other attributes; a comma separates them in a text.
        task: for errors.

    Raises:
        InputError: an unknown attribute, or the label among the groups.
    """
    chosen = [part.strip() for part in group.split(",")] if isinstance(group, str) else list(group)
    for name in (label, *chosen):
        if name not in attributes.columns:
            near = difflib.get_close_matches(name, attributes.columns, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise InputError(
                f"{task} has no attribute {name!r}{hint} "
                f"It has {listed(map(str, attributes.columns))}"
            )
    if label in chosen:
        raise InputError(f"{label} is the label and cannot be the group too")
    frame = {label: np.where(attributes[label].to_numpy() == 1, label, f"not {label}")}
    for name in chosen:
        no, yes = NAMED.get(name, (f"not {name}", name))
        frame[name] = np.where(attributes[name].to_numpy() == 1, yes, no)
    return pd.DataFrame(frame)
