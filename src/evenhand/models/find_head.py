"""Finding the head inside a module: the last linear layer, or the layer named."""

from __future__ import annotations

import difflib
from typing import Any

from torch import nn

from evenhand.errors import ModelError

USUAL_NAMES = frozenset(
    {"fc", "_fc", "head", "classifier", "score", "out_proj", "logits", "output"}
)


def is_head(module: nn.Module) -> bool:
    """Whether ``module`` is a linear map of its input's features: ``nn.Linear`` or a 1×1 conv."""
    if isinstance(module, nn.Linear):
        return True
    return (
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (1, 1)
        and module.stride == (1, 1)
        and module.groups == 1
        and module.padding in ((0, 0), "valid")
    )


def head_size(module: nn.Module) -> tuple[int, int]:
    """(d, k) of a head: what it reads and how many classes it tells apart."""
    rows, columns = module.weight.shape[:2]  # type: ignore[index]
    return int(columns), int(rows)


def describe(model: nn.Module, paths: list[str]) -> str:
    """The modules at ``paths`` with their shapes, for an error."""
    parts = []
    for path in paths:
        inputs, outputs = head_size(model.get_submodule(path))
        parts.append(f"{path or '(the model itself)'} ({inputs} -> {outputs})")
    return ", ".join(parts)


def candidates(model: nn.Module) -> list[str]:
    """The paths of every module that could be a head, in the order they are registered."""
    return [path for path, module in model.named_modules() if is_head(module)]


def find_head(model: nn.Module, head: str | None = None) -> str:
    """The module path of the head of ``model``.

    Args:
        model: any module.
        head: its path where the user knows it; a container stands for the one linear layer in it.

    Returns:
        ``head`` checked; or else the last ``nn.Linear`` registered, or the last 1×1 convolution
        where there is no linear layer.

    Raises:
        ModelError: no linear layer; the path is not one; or several layers read the same features
            side by side, so that any may be the head. The message lists the candidates.
    """
    found = candidates(model)
    if head is not None and not isinstance(head, str):
        raise ModelError(f"head must be the path of a layer, such as 'fc', found {head!r}")
    if head is not None:
        return _named(model, head, found)
    linear = [path for path in found if isinstance(model.get_submodule(path), nn.Linear)]
    pool = linear or found
    if not pool:
        raise ModelError(
            f"{type(model).__name__} has no nn.Linear and no 1×1 convolution, "
            "so there is no head to fine-tune"
        )
    last = pool[-1]
    rivals = [path for path in pool if path != last and _beside(model, path, last)]
    if not rivals:
        return last
    everyone = [*rivals, last]
    usual = [path for path in everyone if path.rpartition(".")[2] in USUAL_NAMES]
    if len(usual) == 1:
        return usual[0]
    raise ModelError(
        f"{type(model).__name__} has several layers that read the same features side by side: "
        f"{describe(model, everyone)}; name the one to fine-tune with head='{last}'"
    )


def _beside(model: nn.Module, path: str, last: str) -> bool:
    """Whether the layers read the same features next to each other, not one after the other."""
    parent, other = path.rpartition(".")[0], last.rpartition(".")[0]
    if parent != other or isinstance(model.get_submodule(parent), nn.Sequential):
        return False
    (reads, gives), (last_reads, _) = (head_size(model.get_submodule(p)) for p in (path, last))
    return reads == last_reads and gives != last_reads


def _named(model: nn.Module, head: str, found: list[str]) -> str:
    modules: dict[str, Any] = dict(model.named_modules())
    if head not in modules:
        near = difflib.get_close_matches(head, found, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ModelError(
            f"{type(model).__name__} has no module {head!r}{hint} "
            f"Its linear layers end with {describe(model, found[-5:]) or 'none'}"
        )
    if is_head(modules[head]):
        return head
    inside = [path for path in found if path.startswith(f"{head}.")]
    if len(inside) == 1:
        return inside[0]
    kind = type(modules[head]).__name__
    listed = describe(model, inside) if inside else "none"
    raise ModelError(
        f"module {head!r} is a {kind}, not an nn.Linear or 1×1 convolution; "
        f"linear layers inside it: {listed}"
    )
