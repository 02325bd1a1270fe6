"""The group Fisher of linear layers anywhere inside a model, in one pass of mixed batches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from evenhand.errors import InputError, ModelError
from evenhand.fisher import Float64, GroupFisher, Kind, _check_kind
from evenhand.groups import UNKNOWN
from evenhand.targets import find_targets

Batch = Mapping[str, Any] | Sequence[Any]


def group_fisher(
    model: nn.Module,
    batches: Iterable[Batch],
    *,
    groups: str = "group",
    target_modules: str | Sequence[str] | None = None,
    kind: Kind = "empirical",
    diagonal: bool = False,
    on_batch: Callable[[], None] | None = None,
) -> dict[str, GroupFisher]:
    """Per-group Fisher sums of linear layers, each sample's gradient squared on its own.

    With inputs x (T, in) and loss gradients g (T, out) at one layer and sample (T = 1 for a 2-d
    input), the sample's gradient is sum over t of x_t g_tᵀ; the sum over t is inside the square.
    The model must treat the samples of a batch apart: it is run in eval mode, and left as found.

    Args:
        model: called with a batch's inputs; returns logits (B, K), or an object that has
            ``logits``.
        batches: tuples ``(inputs, labels, groups)``, or mappings with ``labels``, the column named
            ``groups`` and the model's keyword arguments. A group is an integer (-1: unknown) or a
            string (None: unknown).
        groups: the groups' key in mappings.
        target_modules: see :func:`evenhand.targets.find_targets`; the last linear layer by default.
        kind: ``"empirical"``, or ``"true"``: the expectation over labels drawn from the model
            (K backward passes a batch).
        diagonal: collect the full in × out diagonal too.
        on_batch: called after each batch, for a progress bar.

    Returns:
        Module path to its sums, groups in the order of their names.

    Raises:
        ModelError: no such layer, or one that runs more or less than once a forward pass.
        InputError: batches of another form, or none, or values that are not finite.
    """
    _check_kind(kind)
    targets = find_targets(model, target_modules)
    sums = {name: _Sums(module, diagonal) for name, module in targets.items()}
    training = {module: module.training for module in model.modules()}
    seen = 0
    try:
        model.eval()
        for batch in batches:
            inputs, labels, codes = _unpack(batch, groups)
            _accumulate(model, targets, sums, inputs, labels, codes, kind)
            seen += len(labels)
            if on_batch:
                on_batch()
    finally:
        for module, mode in training.items():
            module.training = mode
    if not seen:
        raise InputError("the batches hold 0 samples")
    return {name: one.finish(kind) for name, one in sums.items()}


class _Sums:
    """One layer's sums, by group as they turn up."""

    def __init__(self, module: nn.Linear, diagonal: bool) -> None:
        self.shape = (module.in_features, module.out_features)
        self.diagonal = diagonal
        self.rows: defaultdict[Any, Tensor] = defaultdict(self._zeros)
        self.full: defaultdict[Any, Tensor] = defaultdict(lambda: self._zeros(self.shape))
        self.counts: defaultdict[Any, int] = defaultdict(int)
        self.unknown = 0

    def _zeros(self, shape: tuple[int, ...] | None = None) -> Tensor:
        return torch.zeros(shape or self.shape[:1], dtype=torch.float64)

    def count(self, codes: Sequence[Any]) -> None:
        for code in codes:
            if _is_unknown(code):
                self.unknown += 1
            else:
                self.counts[code] += 1

    def add(self, x: Tensor, g: Tensor, codes: Sequence[Any], weight: Tensor) -> None:
        """x (B, in) or (B, T, in), g likewise with out, weight (B,)."""
        x, g = x.double(), g.double()
        if x.ndim == 2:
            squares_x, squares_g = x * x, g * g * weight[:, None]
            rows = squares_x * squares_g.sum(dim=1, keepdim=True)
        else:
            x, g = x.flatten(1, -2), g.flatten(1, -2)
            mixed = torch.einsum("bto,bso,bsi->bti", g, g, x)
            rows = (x * mixed).sum(dim=1) * weight[:, None]
        if not torch.isfinite(rows).all():
            bad = int((~torch.isfinite(rows)).any(dim=1).sum())
            raise InputError(
                f"{bad} of {len(rows)} samples of a batch have NaN or infinity in a layer's input "
                "or gradient; remove or impute them"
            )
        for code in set(codes):
            if _is_unknown(code):
                continue
            of = torch.tensor([c == code for c in codes])
            self.rows[code] += rows[of].sum(dim=0).cpu()
            if self.diagonal and x.ndim == 2:
                self.full[code] += (squares_x[of].T @ squares_g[of]).cpu()
            elif self.diagonal:
                for one_x, one_g, w in zip(x[of], g[of], weight[of], strict=True):
                    self.full[code] += (w * (one_x.T @ one_g) ** 2).cpu()

    def finish(self, kind: Kind) -> GroupFisher:
        codes = sorted(self.counts, key=lambda code: (not isinstance(code, int), code))

        def stack(sums: Mapping[Any, Tensor], width: tuple[int, ...]) -> Float64:
            if not codes:
                return np.zeros((0, *width))
            return torch.stack([sums[code] for code in codes]).numpy()

        return GroupFisher(
            stack(self.rows, self.shape[:1]),
            np.array([self.counts[code] for code in codes], dtype=np.int64),
            tuple(str(code) for code in codes),
            self.unknown,
            kind,
            stack(self.full, self.shape) if self.diagonal else None,
        )


def _is_unknown(code: Any) -> bool:
    return code is None or code == UNKNOWN or code != code


def _unpack(batch: Batch, key: str) -> tuple[Any, Tensor, list[Any]]:
    if isinstance(batch, Mapping):
        missing = [name for name in ("labels", key) if name not in batch]
        if missing:
            raise InputError(
                f"a batch has no {missing[0]!r}; its keys are {', '.join(map(str, batch))}"
            )
        labels, codes = batch["labels"], batch[key]
        inputs: Any = {n: v for n, v in batch.items() if n not in ("labels", key)}
    elif len(batch) == 3:
        inputs, labels, codes = batch
    else:
        raise InputError(f"a batch is (inputs, labels, groups), found {len(batch)} parts")
    listed = codes.tolist() if hasattr(codes, "tolist") else list(codes)
    target = torch.as_tensor(labels)
    if len(target) != len(listed):
        raise InputError(f"a batch has {len(target)} labels and {len(listed)} groups")
    return inputs, target, listed


def _accumulate(
    model: nn.Module,
    targets: Mapping[str, nn.Linear],
    sums: Mapping[str, _Sums],
    inputs: Any,
    labels: Tensor,
    codes: Sequence[Any],
    kind: Kind,
) -> None:
    caught: dict[str, tuple[Tensor, Tensor]] = {}

    def catch(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
        def hook(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
            if name in caught:
                raise ModelError(
                    f"module {name!r} runs more than once a forward pass: its samples' gradients "
                    "cannot be told apart"
                )
            if not output.requires_grad:
                output.requires_grad_()
            # Copies: what follows may work in place, and would change what is kept here.
            caught[name] = (args[0].detach().clone(), output)
            return output.clone()

        return hook

    handles = [module.register_forward_hook(catch(name)) for name, module in targets.items()]
    try:
        with torch.enable_grad():
            output = model(**inputs) if isinstance(inputs, Mapping) else model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    logits = output if isinstance(output, Tensor) else output.logits
    idle = [name for name in targets if name not in caught]
    if idle:
        raise ModelError(f"module {idle[0]!r} did not run in the forward pass")
    if logits.ndim != 2 or len(logits) != len(labels):
        raise InputError(
            f"the model gives logits of shape {tuple(logits.shape)} for a batch of {len(labels)} "
            f"labels: they must be ({len(labels)}, K)"
        )
    log_p = torch.log_softmax(logits.double(), dim=-1)
    outputs = [caught[name][1] for name in targets]
    for one in sums.values():
        one.count(codes)
    classes = range(log_p.shape[1]) if kind == "true" else (None,)
    for number, label in enumerate(classes):
        if label is None:
            losses = -log_p.gather(1, labels.to(log_p.device)[:, None]).squeeze(1)
            weight = torch.ones_like(losses.detach())
        else:
            losses = -log_p[:, label]
            weight = log_p[:, label].detach().exp()
        last = number == len(classes) - 1
        slopes = torch.autograd.grad(losses.sum(), outputs, retain_graph=not last)
        for (name, (x, _)), slope in zip(
            caught.items(), _ordered(caught, targets, slopes), strict=True
        ):
            sums[name].add(x, slope, codes, weight)


def _ordered(
    caught: Mapping[str, Any], targets: Mapping[str, Any], slopes: Sequence[Tensor]
) -> list[Tensor]:
    """The slopes, given in the targets' order, in the order the layers ran."""
    by_name = dict(zip(targets, slopes, strict=True))
    return [by_name[name] for name in caught]
