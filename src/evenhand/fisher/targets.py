"""Which linear layers of a model are meant."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from evenhand.errors import ModelError


def find_targets(
    model: nn.Module, target_modules: str | Sequence[str] | None
) -> dict[str, nn.Linear]:
    """The ``nn.Linear`` layers meant by ``target_modules``, by full path, in the model's order.

    Args:
        model: any module.
        target_modules: paths or their last parts, as PEFT writes them (``"classifier"``,
            ``["q_proj", "v_proj"]``); None is the last linear layer registered.

    Raises:
        ModelError: nothing matches, or what matches is not an ``nn.Linear``.
    """
    linears = {name: m for name, m in model.named_modules() if isinstance(m, nn.Linear)}
    if target_modules is None:
        if not linears:
            raise ModelError(f"{type(model).__name__} has no nn.Linear layer; name its head")
        last = list(linears)[-1]
        return {last: linears[last]}
    wanted = [target_modules] if isinstance(target_modules, str) else list(target_modules)
    found: dict[str, nn.Linear] = {}
    for pattern in wanted:
        hits = {
            name: module
            for name, module in model.named_modules()
            if name == pattern or name.endswith(f".{pattern}")
        }
        if not hits:
            known = ", ".join(linears) or "none"
            raise ModelError(f"no module {pattern!r} in the model; its linear layers are: {known}")
        for name, module in hits.items():
            if not isinstance(module, nn.Linear):
                raise ModelError(
                    f"module {name!r} is a {type(module).__name__}, not an nn.Linear; "
                    "name a linear layer"
                )
            found[name] = module
    return found
