"""A PEFT method: linear layers as two thin ones, chosen by the neutralised group Fisher.

Importing this module registers the method, so that ``peft.get_peft_model`` and
``PeftModel.from_pretrained`` know it. In each target layer ``W x + b`` becomes ``B (A x) + b``
(Eq. 4 of the paper), and A, B and b train: unlike LoRA's, the low-rank product stands for W, it is
not added to it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from evenhand.errors import InputError, MissingExtraError, ModelError
from evenhand.fisher.factorize import factorize
from evenhand.fisher.hooks import group_fisher
from evenhand.fisher.neutralize import Weights, neutralize
from evenhand.head import head_of

try:
    from peft import PeftConfig, PeftModel
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
    from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer, check_adapters_to_merge
    from peft.utils import PeftType, register_peft_method
    from peft.utils.other import get_pattern_key
except ImportError as error:
    raise MissingExtraError("peft", "peft", "FisherSVDConfig") from error


NAME = "FISHER_SVD"


HEADS = frozenset({"classifier", "score"})
"""The layers that PEFT takes out of a method's reach when it is given a task type."""


def _register_type() -> Any:
    """The member of PEFT's enumeration of methods, which has no way in for other people's."""
    if NAME not in PeftType.__members__:
        member = str.__new__(PeftType, NAME)
        member._name_, member._value_ = NAME, NAME
        member.__objclass__ = PeftType
        member._sort_order_ = len(PeftType._member_names_)
        PeftType._member_names_.append(NAME)
        PeftType._member_map_[NAME] = member
        PeftType._value2member_map_[NAME] = member
        # From Python 3.12 on members are found as attributes of the class, not in its map.
        type.__setattr__(PeftType, NAME, member)
    return PeftType(NAME)


FISHER_SVD = _register_type()


@dataclass
class FisherSVDConfig(PeftConfig):  # type: ignore[misc]
    """How to factorise layers; :meth:`from_batches` also computes the weights.

    Attributes:
        r: the rank.
        target_modules: ``nn.Linear`` layers: last parts of paths in a list, or a regular
            expression.
        rank_pattern: other ranks by layer name or regular expression.
        importance: positive row weights (in_features,) by module path or its last parts, such as
            ``neutralize(group_fisher(...))`` gives; None is the plain SVD. Needed when the adapter
            is made, not when it is loaded: it is not saved.
        centre: subtract the classes' mean first; only right for a layer before a softmax.
        exclude_modules, modules_to_save, layers_to_transform, layers_pattern: as LoRA's.
    """

    r: int = field(default=1, metadata={"help": "rank of the factors"})
    target_modules: list[str] | str | None = field(default=None)
    rank_pattern: dict[str, int] = field(default_factory=dict)
    importance: dict[str, Any] | None = field(default=None)
    centre: bool = field(default=False)
    exclude_modules: list[str] | str | None = field(default=None)
    modules_to_save: list[str] | None = field(default=None)
    layers_to_transform: list[int] | int | None = field(default=None)
    layers_pattern: list[str] | str | None = field(default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = FISHER_SVD
        if not isinstance(self.r, int) or self.r < 1:
            raise InputError(f"r must be an integer of at least 1, found {self.r!r}")
        if isinstance(self.target_modules, Iterable) and not isinstance(self.target_modules, str):
            self.target_modules = set(self.target_modules)  # type: ignore[assignment]
        named: set[str] = self.target_modules if isinstance(self.target_modules, set) else set()
        if self.task_type is not None and (taken := HEADS & {n.split(".")[-1] for n in named}):
            raise InputError(
                f"with task_type={str(self.task_type)!r} PEFT keeps {min(taken)!r} out of every "
                "method's reach: give no task_type"
            )
        if self.importance is not None:
            self.importance = {
                name: np.asarray(rows, dtype=np.float64).tolist()
                for name, rows in self.importance.items()
            }

    @classmethod
    def from_batches(
        cls,
        model: nn.Module,
        batches: Iterable[Any],
        *,
        target_modules: str | Sequence[str],
        groups: str = "group",
        weights: Weights = "mean",
        **settings: Any,
    ) -> Self:
        """A configuration whose weights are the layers' neutralised importances.

        Args:
            model: the pre-trained model, before ``get_peft_model``; not changed.
            batches, groups: see :func:`evenhand.group_fisher`; one pass is made.
            target_modules: last parts of paths; the weights are taken at each layer they match.
            weights: see :func:`evenhand.neutralize`.
            **settings: the other attributes.

        Raises:
            InputError: a group without rows, or batches of another form.
            ModelError: no such layer.
        """  # noqa: DOC502
        fisher = group_fisher(model, batches, groups=groups, target_modules=target_modules)
        named = [target_modules] if isinstance(target_modules, str) else list(target_modules)
        rows = neutralize(fisher, weights)
        return cls(target_modules=named, importance=dict(rows), **settings)

    def to_dict(self) -> dict[str, Any]:
        """The configuration as saved, without the importance."""
        saved: dict[str, Any] = super().to_dict()
        return saved | {"importance": None}

    def weights_of(self, path: str) -> np.ndarray | None:
        """The row weights of the layer at ``path``.

        Raises:
            InputError: weights are given, and none for this layer.
        """
        if self.importance is None:
            return None
        for name, rows in self.importance.items():
            if path == name or path.endswith(f".{name}"):
                return np.asarray(rows, dtype=np.float64)
        raise InputError(
            f"importance has no weights for {path!r}; it has {', '.join(self.importance)}"
        )


class FisherSVDLinear(nn.Module, BaseTunerLayer):  # type: ignore[misc]
    """An ``nn.Linear`` whose place the active adapter's factors take.

    With several active adapters their changes to the layer are added up.
    """

    adapter_layer_names = ("fisher_svd_down", "fisher_svd_up", "fisher_svd_bias")
    other_param_names = ("r",)

    if TYPE_CHECKING:  # what BaseTunerLayer brings
        active_adapters: list[str]
        merged: bool
        disable_adapters: bool
        get_base_layer: Any
        set_adapter: Any
        _cast_input_dtype: Any
        _move_adapter_to_device_of_base_layer: Any

    def __init__(
        self, base_layer: nn.Linear, adapter_name: str, config: FisherSVDConfig, path: str
    ) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.in_features, self.out_features = base_layer.in_features, base_layer.out_features
        self.r: dict[str, int] = {}
        self.fisher_svd_down = nn.ParameterDict()
        self.fisher_svd_up = nn.ParameterDict()
        self.fisher_svd_bias = nn.ParameterDict()
        self._disable_adapters = False
        self.merged_adapters: list[str] = []
        self._before: tuple[Tensor, Tensor | None] | None = None
        self._active_adapter = adapter_name
        self.update_layer(adapter_name, config, path)

    def update_layer(self, adapter_name: str, config: FisherSVDConfig, path: str) -> None:
        """Factorise the base layer for one adapter."""
        layer: Any = self.get_base_layer()
        rank = config.rank_pattern.get(get_pattern_key(config.rank_pattern, path), config.r)
        weight = layer.weight
        if weight.is_meta:
            down, up = weight.new_empty(rank, self.in_features), weight.new_empty(len(weight), rank)
        else:
            rows = config.weights_of(path)
            factors = factorize(head_of(layer), rows, rank=rank, centre=config.centre)
            down, up = (
                torch.as_tensor(part.T.copy(), dtype=weight.dtype, device=weight.device)
                for part in (factors.down, factors.up)
            )
        self.r[adapter_name] = rank
        self.fisher_svd_down[adapter_name] = nn.Parameter(down)
        self.fisher_svd_up[adapter_name] = nn.Parameter(up)
        if layer.bias is not None:
            self.fisher_svd_bias[adapter_name] = nn.Parameter(layer.bias.detach().clone())
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """(..., in_features) to (..., out_features)."""
        if self.disable_adapters and self.merged:
            self.unmerge()
        active = [name for name in self.active_adapters if name in self.fisher_svd_down]
        if self.disable_adapters or self.merged or not active:
            plain: Tensor = self.base_layer(x, *args, **kwargs)
            return plain
        outputs = [self._through(x, name) for name in active]
        total = torch.stack(outputs).sum(dim=0) if len(outputs) > 1 else outputs[0]
        if len(outputs) > 1:
            total = total - (len(outputs) - 1) * self.base_layer(x, *args, **kwargs)
        return total.to(x.dtype)

    def _through(self, x: Tensor, name: str) -> Tensor:
        down = self.fisher_svd_down[name]
        bias = self.fisher_svd_bias.get(name)
        inner = nn.functional.linear(self._cast_input_dtype(x, down.dtype), down)
        return nn.functional.linear(inner, self.fisher_svd_up[name], bias)

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Write the adapters' dense layer into the base layer; :meth:`unmerge` takes it back.

        Raises:
            ModelError: with ``safe_merge``, factors that are not finite.
        """
        names = check_adapters_to_merge(self, adapter_names)
        names = [name for name in names if name in self.fisher_svd_down]
        if not names:
            return
        layer: Any = self.get_base_layer()
        if self._before is None:
            bias = layer.bias
            self._before = (
                layer.weight.detach().clone(),
                (None if bias is None else bias.detach().clone()),
            )
        old_weight, old_bias = self._before
        weight = layer.weight.detach().cpu().double()
        bias = None if old_bias is None else layer.bias.detach().cpu().double()
        for name in names:
            up, down = self.fisher_svd_up[name], self.fisher_svd_down[name]
            product = up.cpu().double() @ down.cpu().double()
            weight = weight + product - old_weight.cpu().double()
            if bias is not None and old_bias is not None:
                bias = bias + self.fisher_svd_bias[name].cpu().double() - old_bias.cpu().double()
        if safe_merge and not bool(torch.isfinite(weight).all()):
            raise ModelError(f"adapter {names[-1]!r} has factors that are not finite")
        with torch.no_grad():
            layer.weight.copy_(weight)
            if bias is not None:
                layer.bias.copy_(bias)
        self.merged_adapters.extend(names)

    def unmerge(self) -> None:
        """Give the base layer its own numbers back, exactly."""
        if self._before is None:
            return
        layer: Any = self.get_base_layer()
        weight, bias = self._before
        with torch.no_grad():
            layer.weight.copy_(weight)
            if bias is not None:
                layer.bias.copy_(bias)
        self._before = None
        self.merged_adapters.clear()

    def __repr__(self) -> str:
        return "fisher_svd." + super().__repr__()


class FisherSVDModel(BaseTuner):  # type: ignore[misc]
    """Puts :class:`FisherSVDLinear` layers into a model; made by ``peft.get_peft_model``."""

    prefix = "fisher_svd_"
    tuner_layer_cls = FisherSVDLinear
    target_module_mapping: Mapping[str, Any] = {}

    def _create_and_replace(
        self,
        peft_config: FisherSVDConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        **_: Any,
    ) -> None:
        if isinstance(target, FisherSVDLinear):
            target.update_layer(adapter_name, peft_config, current_key)
            return
        if not isinstance(target, nn.Linear):
            raise ModelError(
                f"module {current_key!r} is a {type(target).__name__}, not an nn.Linear; "
                "name linear layers in target_modules"
            )
        layer = FisherSVDLinear(target, adapter_name, peft_config, current_key)
        if adapter_name not in self.active_adapters:
            layer.requires_grad_(False)
        self._replace_module(parent, target_name, layer, target)


def save_merged(model: PeftModel, folder: str | Path) -> Path:
    """Save the dense model of the same outputs, which its own library loads without PEFT.

    A transformers model is written by its ``save_pretrained``; any other as
    :func:`evenhand.models.saving.save` does. ``model`` itself stays as it is.

    Returns:
        The folder.
    """
    from evenhand.models.saving import save

    return save(copy.deepcopy(model).merge_and_unload(), folder)


if FISHER_SVD not in PEFT_TYPE_TO_CONFIG_MAPPING:
    register_peft_method(name=NAME.lower(), config_cls=FisherSVDConfig, model_cls=FisherSVDModel)
