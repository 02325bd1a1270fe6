"""Two thin linear layers in the place of a wide one, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy.typing as npt
import torch
from torch import Tensor, nn

from evenhand.errors import InputError, ModelError
from evenhand.fisher.factorize import Factors, factorize
from evenhand.fisher.sums import KroneckerSums
from evenhand.fisher.targets import find_targets
from evenhand.head import head_of


class LowRankLinear(nn.Module):
    """x -> up(down(x)): ``nn.Linear`` of rank r, r (in + out) + out parameters (Eq. 4).

    Args:
        in_features, out_features: as ``nn.Linear``'s.
        rank: the width between.
        bias: whether ``up`` has a bias.

    Example:
        >>> layer = eh.LowRankLinear(64, 10, rank=3)
        >>> layer.merged()
        Linear(in_features=64, out_features=10, bias=True)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        rank: int,
        *,
        bias: bool = True,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in_features, self.out_features, self.rank = in_features, out_features, rank
        self.down = nn.Linear(in_features, rank, bias=False, device=device, dtype=dtype)
        self.up = nn.Linear(rank, out_features, bias=bias, device=device, dtype=dtype)

    @classmethod
    def from_factors(cls, factors: Factors, like: nn.Linear) -> LowRankLinear:
        """The layer that holds ``factors``, of the device and dtype of ``like``."""
        weight = like.weight
        layer = cls(
            like.in_features,
            like.out_features,
            factors.rank,
            device=weight.device,
            dtype=weight.dtype,
        )
        with torch.no_grad():
            layer.down.weight.copy_(torch.as_tensor(factors.down.T.copy()))
            layer.up.weight.copy_(torch.as_tensor(factors.up.T.copy()))
            layer.up.bias.copy_(torch.as_tensor(factors.bias))
        layer.train(like.training)
        return layer

    def forward(self, inputs: Tensor) -> Tensor:
        """(..., in_features) to (..., out_features)."""
        outputs: Tensor = self.up(self.down(inputs))
        return outputs

    def merged(self) -> nn.Linear:
        """The dense layer of the same function, its product taken in float64."""
        weight = self.up.weight
        dense = nn.Linear(
            self.in_features,
            self.out_features,
            bias=self.up.bias is not None,
            device=weight.device,
            dtype=weight.dtype,
        )
        with torch.no_grad():
            up, down = (part.cpu().double() for part in (weight, self.down.weight))
            dense.weight.copy_(up @ down)  # not every GPU computes in float64
            if self.up.bias is not None:
                dense.bias.copy_(self.up.bias)
        dense.train(self.training)
        return dense

    def extra_repr(self) -> str:
        """Shown by ``print(model)``."""
        return f"in_features={self.in_features}, out_features={self.out_features}, rank={self.rank}"


def factorize_(
    model: nn.Module,
    weights: Mapping[str, npt.ArrayLike | KroneckerSums] | npt.ArrayLike | None = None,
    *,
    rank: int | float | Mapping[str, int | float] | None = None,
    target_modules: str | Sequence[str] | None = None,
    centre: bool = False,
    means: Mapping[str, npt.ArrayLike] | None = None,
) -> nn.Module:
    """Replace linear layers by low-rank ones, in place; all of them or, on an error, none.

    Args:
        model: changed in place.
        weights: row weights by module path (as :func:`evenhand.neutralize` gives for the sums of
            :func:`evenhand.group_fisher`), or Kronecker factors
            (:func:`evenhand.fisher.kronecker_factors`), which refit the bias too; one array for
            one target; None for the plain SVD.
        rank: see :func:`evenhand.factorize`; a mapping sets it layer by layer (by path
            or its last parts).
        target_modules: the layers; the keys of ``weights`` by default.
        centre: subtract the classes' mean first; only right for a layer whose output goes into a
            softmax.
        means: E[x] by module path; given, the layer's bias is refitted.

    Returns:
        The same model.

    Raises:
        ModelError: no such layer, or the model itself is the linear layer.
        InputError: weights or ranks for layers that are not there.

    Example:
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> eh.factorize_(model, rank=2, target_modules=["0"])[0]
        LowRankLinear(
          in_features=8, out_features=8, rank=2
          (down): Linear(in_features=8, out_features=2, bias=False)
          (up): Linear(in_features=2, out_features=8, bias=True)
        )
    """
    if target_modules is None and isinstance(weights, Mapping):
        named = find_targets(model, list(weights))
        targets = {name: layer for name, layer in named.items() if name in weights}
    else:
        targets = find_targets(model, target_modules)
    if "" in targets:
        raise ModelError("the model itself is the linear layer: wrap it in a module to replace it")
    if weights is not None and not isinstance(weights, Mapping):
        if len(targets) > 1:
            raise InputError(f"{len(targets)} layers need weights by path, found one array")
        weights = {next(iter(targets)): weights}
    means = means or {}
    for name in [*(weights or {}), *means]:
        if name not in targets:
            raise InputError(f"weights are given for {name!r}, which is not a target")
    layers = {}
    for name, layer in targets.items():
        weight = None if weights is None else weights.get(name)
        kronecker, rows = (weight, None) if isinstance(weight, KroneckerSums) else (None, weight)
        factors = factorize(
            head_of(layer),
            rows,
            rank=_layer_rank(rank, name, targets),
            centre=centre,
            mean=means.get(name, kronecker.mean if kronecker else None),
            kronecker=kronecker,
        )
        layers[name] = LowRankLinear.from_factors(factors, layer)
    for name, low in layers.items():
        model.set_submodule(name, low)
    return model


def _layer_rank(
    rank: int | float | Mapping[str, int | float] | None,
    name: str,
    targets: Mapping[str, nn.Linear],
) -> int | float | None:
    if not isinstance(rank, Mapping):
        return rank
    for pattern, value in rank.items():
        if name == pattern or name.endswith(f".{pattern}"):
            return value
    raise InputError(
        f"no rank is given for {name!r}; ranks are given for {', '.join(rank)}, "
        f"targets are {', '.join(targets)}"
    )


def merge_(model: nn.Module) -> nn.Module:
    """Replace every :class:`LowRankLinear` by its dense layer, in place; returns the same model.

    Example:
        >>> from torch import nn
        >>> model = nn.Sequential(eh.LowRankLinear(8, 8, rank=2), nn.Linear(8, 2))
        >>> eh.merge_(model)
        Sequential(
          (0): Linear(in_features=8, out_features=8, bias=True)
          (1): Linear(in_features=8, out_features=2, bias=True)
        )
    """
    low = [name for name, module in model.named_modules() if isinstance(module, LowRankLinear)]
    for name in low:
        module = model.get_submodule(name)
        if isinstance(module, LowRankLinear):
            model.set_submodule(name, module.merged())
    return model


def trainable_parameters(model: nn.Module) -> int:
    """How many numbers of a model train: those that require a gradient.

    Example:
        >>> eh.fisher.trainable_parameters(eh.LowRankLinear(64, 10, rank=3))  # 3 (64 + 10) + 10
        232
    """
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
