"""The frozen lower part of a model, run once and remembered.

Training the last blocks of a model needs the first ones only for what they hand on. A *cut* is a
module whose input is remembered for every batch; the modules that ran before it then hand that
input on instead of computing anything. Whether a cut gives the model's own outputs is tried on a
batch, never assumed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn

from evenhand._base.torch_calls import call, logits_of
from evenhand.errors import ModelError

TOLERANCE = 1e-4
"""Largest difference of the logits, as a share of the largest, at which a cut is taken."""


@dataclass(frozen=True)
class Cut:
    """Where a model is cut.

    Attributes:
        path: the module whose input is remembered.
        below: the modules that ran before it, outermost ones only, and for each how it returns a
            tensor (bare, in a tuple, in a transformers output).
    """

    path: str
    below: dict[str, Callable[[Tensor], Any]]


class Feed:
    """What the modules below the cut hand on: set before each forward pass."""

    current: Tensor | None = None
    whole = False
    """They compute as they do without a feed."""

    @contextmanager
    def left_out(self) -> Iterator[None]:
        """Inside the block the whole model runs, on inputs of any rows."""
        before, self.whole = self.whole, True
        try:
            yield
        finally:
            self.whole = before


def find_cut(model: nn.Module, targets: Sequence[str], batch: Any) -> Cut | None:
    """The latest cut before all ``targets`` that gives the model's own outputs on ``batch``.

    Args:
        model: in eval mode.
        targets: paths of the modules that will train.
        batch: prepared inputs of a few rows.

    Returns:
        None where there is none, so that the whole model must run.

    Raises:
        ModelError: a target does not run.
    """
    seen = _trace(model, batch)
    idle = [path for path in targets if path not in seen.started]
    if idle:
        raise ModelError(f"module {idle[0]!r} does not run in the forward pass")
    first = min(targets, key=lambda path: seen.started[path][0])
    parts = first.split(".")
    with torch.no_grad():
        expected = logits_of(call(model, batch))
        for depth in range(len(parts), 0, -1):
            path = ".".join(parts[:depth])
            if len(seen.started.get(path, ())) != 1:
                continue
            cut = Cut(path, seen.below(path))
            if cut.below and _holds(model, cut, batch, expected):
                return cut
    return None


@contextmanager
def watching(model: nn.Module, cut: Cut | None) -> Iterator[list[Tensor]]:
    """Inside the block, every forward pass appends the cut's input to the list given."""
    seen: list[Tensor] = []

    def catch(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        found = next((a for a in (*args, *kwargs.values()) if isinstance(a, Tensor)), None)
        if found is not None:
            seen.append(found.detach().clone())  # the model may write over it

    if cut is None:
        yield seen
        return
    handle = model.get_submodule(cut.path).register_forward_pre_hook(catch, with_kwargs=True)
    try:
        yield seen
    finally:
        handle.remove()


def compact(seen: Sequence[Tensor]) -> Tensor:
    """What a pass left in :func:`watching`'s list, in half precision where that holds it.

    Raises:
        ModelError: a pass left another number of tensors than one.
    """
    if len(seen) != 1:
        raise ModelError(f"the cut reads {len(seen)} tensors in a pass, not one")
    found = seen[0]
    half = found.to(torch.float16)
    return (half if bool(torch.isfinite(half).all()) else found).cpu()


@contextmanager
def fed(model: nn.Module, cut: Cut | None) -> Iterator[Feed]:
    """Inside the block the modules below the cut hand on the feed and compute nothing."""
    feed = Feed()
    own: dict[nn.Module, Any] = {}
    try:
        for path, returned in (cut.below if cut else {}).items():
            module = model.get_submodule(path)
            own[module] = module.__dict__.get("forward")
            # An instance's own forward comes before its class's, and all else stays as it is.
            module.forward = _hand_on(feed, returned, module.forward)
        yield feed
    finally:
        for module, before in own.items():
            del module.forward
            if before is not None:
                module.forward = before


def _hand_on(
    feed: Feed, returned: Callable[[Tensor], Any], own: Callable[..., Any]
) -> Callable[..., Any]:
    def forward(*args: Any, **kwargs: Any) -> Any:
        if feed.whole:
            return own(*args, **kwargs)
        if feed.current is None:
            raise ModelError("the feed is empty: set it before the forward pass")
        return returned(feed.current)

    return forward


def hollow(batch: Any) -> Any:
    """A batch of images as zeros that take no room: below a cut nothing reads them."""
    if isinstance(batch, Tensor) and batch.is_floating_point():
        return torch.zeros((), dtype=batch.dtype, device=batch.device).expand(batch.shape)
    return batch


@dataclass
class _Pass:
    """When each module started and ended in a pass, as ticks of one clock, and what it returned."""

    started: dict[str, list[int]] = field(default_factory=dict)
    ended: dict[str, list[int]] = field(default_factory=dict)
    returned: dict[str, Callable[[Tensor], Any]] = field(default_factory=dict)

    def below(self, path: str) -> dict[str, Callable[[Tensor], Any]]:
        """The modules beside ``path`` or its ancestors that were done before it started."""
        parts = path.split(".")
        parents = {".".join(parts[:depth]) for depth in range(len(parts))}
        return {
            other: self.returned[other]
            for other, times in self.ended.items()
            if other and other.rpartition(".")[0] in parents and max(times) < self.started[path][0]
        }


def _trace(model: nn.Module, batch: Any) -> _Pass:
    seen, ticks, handles = _Pass(), count(), []
    for path, module in model.named_modules():

        def start(_: nn.Module, __: Any, path: str = path) -> None:
            seen.started.setdefault(path, []).append(next(ticks))

        def end(_: nn.Module, __: Any, output: Any, path: str = path) -> None:
            seen.ended.setdefault(path, []).append(next(ticks))
            seen.returned[path] = _wrapper(output)

        handles += [module.register_forward_pre_hook(start), module.register_forward_hook(end)]
    try:
        with torch.no_grad():
            call(model, batch)
    finally:
        for handle in handles:
            handle.remove()
    return seen


def _wrapper(output: Any) -> Callable[[Tensor], Any]:
    """How to return a tensor in the form of ``output``."""
    if isinstance(output, Mapping) and output:
        kind, name = type(output), next(iter(output))
        return lambda tensor: kind(**{name: tensor})
    if isinstance(output, tuple):
        rest = (None,) * (len(output) - 1)
        return lambda tensor: (tensor, *rest)
    return lambda tensor: tensor


def _holds(model: nn.Module, cut: Cut, batch: Any, expected: Tensor) -> bool:
    try:
        with watching(model, cut) as seen:
            call(model, batch)
        with fed(model, cut) as feed:
            (feed.current,) = seen
            found = logits_of(call(model, hollow(batch)))
    except (ModelError, RuntimeError, TypeError, ValueError, AttributeError, IndexError):
        return False  # the lower part is more than a chain: try an earlier cut
    limit = TOLERANCE * float(expected.abs().max())
    return found.shape == expected.shape and bool((found - expected).abs().max() <= limit)
