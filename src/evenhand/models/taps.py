"""Taps: reading what flows through a module at named places, pooled to one row an example."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import get_ident
from typing import Any, Literal

from torch import Tensor, nn

from evenhand.errors import ModelError
from evenhand.models.pooling import pool

Side = Literal["input", "output"]


@dataclass(frozen=True)
class Tap:
    """A place in a module, and how what flows there becomes one row an example.

    Attributes:
        path: of the submodule.
        side: what it reads, or what it gives.
        pooling: see :mod:`evenhand.models.pooling`.
        width: numbers a row.
        raw: they are what the model is given, a row of a table.
    """

    path: str
    side: Side
    pooling: str
    width: int
    raw: bool = False

    def __str__(self) -> str:
        return f"input of {self.path}" if self.side == "input" else self.path


Seen = dict[tuple[str, Side], list[Tensor]]
"""(path, side) to what flowed there, one tensor for each time the submodule ran."""


@contextmanager
def watched(model: nn.Module, places: Sequence[tuple[str, Side]]) -> Iterator[Seen]:
    """Inside the block, what flows through ``model`` at those places is kept.

    Hooks are there inside the block only, so that the module can be copied and saved; what other
    threads send through the same module meanwhile is not looked at.
    """
    seen: Seen = {}
    own = get_ident()

    def keep(place: tuple[str, Side], values: Any) -> None:
        tensor = first_tensor(values)
        if tensor is not None and get_ident() == own:
            seen.setdefault(place, []).append(tensor)

    with ExitStack() as stack:
        for place in places:
            submodule = model.get_submodule(place[0])
            if place[1] == "input":

                def before(_: Any, args: Any, named: Any, place: Any = place) -> None:
                    keep(place, args or tuple(named.values()))

                handle = submodule.register_forward_pre_hook(before, with_kwargs=True)
            else:

                def after(_: Any, args: Any, output: Any, place: Any = place) -> None:
                    keep(place, output)

                handle = submodule.register_forward_hook(after)
            stack.callback(handle.remove)
        yield seen


def first_tensor(values: Any) -> Tensor | None:
    """The tensor, or the first one of a tuple; a layer of transformers gives either."""
    if isinstance(values, Tensor):
        return values
    if isinstance(values, (tuple, list)) and values:
        return first_tensor(values[0])
    return None


def read_taps(seen: Seen, taps: Sequence[Tap], batch: Any) -> list[Tensor]:
    """(B, width) the rows of each tap.

    Args:
        seen: what flowed there in one pass.
        taps: the places.
        batch: what the model was given, for its attention mask.

    Raises:
        ModelError: a place was not passed once, or holds another number of features.
    """
    rows = []
    for tap in taps:
        found = seen.get((tap.path, tap.side), [])
        if len(found) != 1:
            raise ModelError(
                f"{tap.path!r} ran {len(found)} times in one forward pass, so there is no one "
                "activation to read there: use depth 0"
            )
        row = pool(found[0], tap.pooling, batch)
        if row.ndim != 2 or row.shape[1] != tap.width:
            raise ModelError(
                f"the {tap.side} of {tap.path!r} has shape {tuple(found[0].shape)}, which does not "
                f"give {tap.width} features a row: use depth 0"
            )
        rows.append(row)
    return rows
