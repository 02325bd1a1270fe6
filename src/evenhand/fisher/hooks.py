"""The group Fisher of linear layers anywhere inside a model, in one pass of mixed batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypedDict, Unpack

import torch
from torch import Tensor, nn

from evenhand._base.columns import column
from evenhand._base.devices import device_of
from evenhand._base.options import with_defaults
from evenhand._base.torch_calls import class_logits, label_tensor, placed, to_device
from evenhand.errors import InputError, ModelError
from evenhand.fisher.layer_sums import LayerSums, Members
from evenhand.fisher.sums import GroupFisher, Kind, check_kind
from evenhand.fisher.targets import find_targets

Batch = Mapping[str, Any] | Sequence[Any]


class Passing(TypedDict, total=False):
    """How the pass over the batches is made; see :func:`group_fisher`."""

    device: str | torch.device | None
    on_batch: Callable[[], None] | None


PASSING: dict[str, Any] = {"device": None, "on_batch": None}


def group_fisher(
    model: nn.Module,
    batches: Iterable[Batch],
    *,
    groups: str = "group",
    target_modules: str | Sequence[str] | None = None,
    kind: Kind = "empirical",
    diagonal: bool = False,
    kronecker: bool = False,
    **options: Unpack[Passing],
) -> dict[str, GroupFisher]:
    """Per-group Fisher sums of linear layers: each sample's gradient is squared before it is added.

    With inputs x (T, in) and loss gradients g (T, out) at one layer and sample (T = 1 for a 2-d
    input), the sample's gradient is sum over t of x_t g_tᵀ; the sum over t is inside the square.
    The model must treat the samples of a batch apart: it is run in eval mode, and left as found.

    Args:
        model: called with a batch's inputs; returns logits (B, K), a tuple that starts with them,
            or an object that has ``logits``; one logit a sample is the log-odds of class 1.
        batches: tuples ``(inputs, labels, groups)``, or mappings with ``labels``, the column named
            ``groups`` and the model's keyword arguments. A group is an integer (-1: unknown) or a
            string (None: unknown).
        groups: the groups' key in mappings.
        target_modules: see :func:`evenhand.fisher.targets.find_targets`; by default the last
            linear layer.
        kind: ``"empirical"``, or ``"true"``: the expectation over labels drawn from the model
            (K backward passes a batch).
        diagonal: collect the full in × out diagonal too.
        kronecker: collect the Kronecker factors of each group × label too, x xᵀ and g gᵀ; see
            :func:`evenhand.fisher.kronecker_factors`.
        options: ``device``: where the model runs, ``"auto"`` for the GPU where there is one, by
            default where it is; it is put back afterwards, and batches are sent there.
            ``on_batch``: called after each batch, for a progress bar.

    Returns:
        Module path to its sums, groups in the order of their names.

    Raises:
        ModelError: no such layer, or one that runs more or less than once a forward pass, or a
            model without logits.
        InputError: batches of another form, or none, or values that are not finite.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> batch = torch.randn(32, 4), torch.randint(0, 2, (32,)), torch.tensor([0, 1] * 16)
        >>> fisher = eh.group_fisher(model, [batch], target_modules=["0", "2"])
        >>> fisher["2"].importance.shape  # (groups, inputs of the layer)
        (2, 8)
    """  # noqa: DOC502
    check_kind(kind)
    targets = find_targets(model, target_modules)
    sums = {name: LayerSums(module, diagonal, kronecker) for name, module in targets.items()}
    how, seen = with_defaults(PASSING, options, "group_fisher"), 0
    with placed(model, device_of(how["device"])):
        device = next(model.parameters()).device
        for batch in batches:
            inputs, labels, codes = _unpack(batch, groups)
            _accumulate(model, targets, sums, to_device(inputs, device), labels, codes, kind)
            seen += len(labels)
            if how["on_batch"]:
                how["on_batch"]()
    if not seen:
        raise InputError("the batches hold 0 samples")
    return {name: one.finish(kind) for name, one in sums.items()}


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
    listed = column(codes, "the groups of a batch").tolist()
    target = label_tensor(labels)
    if len(target) != len(listed):
        raise InputError(f"a batch has {len(target)} labels and {len(listed)} groups")
    return inputs, target, listed


def _accumulate(
    model: nn.Module,
    targets: Mapping[str, nn.Linear],
    sums: Mapping[str, LayerSums],
    inputs: Any,
    labels: Tensor,
    codes: Sequence[Any],
    kind: Kind,
) -> None:
    caught: dict[str, tuple[Tensor, Tensor]] = {}

    def catch(name: str) -> Callable[..., Tensor]:
        def hook(
            module: nn.Module,
            args: tuple[Tensor, ...],
            named: Mapping[str, Tensor],
            output: Tensor,
        ) -> Tensor:
            if name in caught:
                raise ModelError(
                    f"module {name!r} runs more than once a forward pass: its samples' gradients "
                    "cannot be told apart"
                )
            if not output.requires_grad:
                output.requires_grad_()
            # Copies: what follows may work in place, and would change what is kept here.
            read = args[0] if args else named["input"]
            caught[name] = (read.detach().clone(), output)
            return output.clone()

        return hook

    handles = [
        module.register_forward_hook(catch(name), with_kwargs=True)
        for name, module in targets.items()
    ]
    try:
        with torch.enable_grad():
            output = model(**inputs) if isinstance(inputs, Mapping) else model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    logits = class_logits(output)
    idle = [name for name in targets if name not in caught]
    if idle:
        raise ModelError(f"module {idle[0]!r} did not run in the forward pass")
    if logits.ndim != 2 or len(logits) != len(labels):
        raise InputError(
            f"the model gives logits of shape {tuple(logits.shape)} for a batch of {len(labels)} "
            f"labels: they must be ({len(labels)}, K)"
        )
    members = Members(codes, labels)
    for one in sums.values():
        one.count(members)
    p = torch.softmax(logits.detach().to(torch.promote_types(logits.dtype, torch.float32)), dim=1)
    outputs = [caught[name][1] for name in targets]
    given = labels.to(p.device)
    classes = (
        [given] if kind == "empirical" else [torch.full_like(given, j) for j in range(p.shape[1])]
    )
    for number, label in enumerate(classes):
        weight = torch.ones_like(p[:, 0]) if kind == "empirical" else p[:, number]
        slopes = torch.autograd.grad(
            logits,
            outputs,
            _delta(p, label).to(logits.dtype),
            retain_graph=number < len(classes) - 1,
        )
        for name, slope in zip(targets, slopes, strict=True):
            sums[name].add(caught[name][0], slope, members, weight)


def _delta(p: Tensor, labels: Tensor) -> Tensor:
    """(B, K) p - onehot(labels); p_y - 1 is minus the sum of the others, which is exact near 1."""
    delta = p.scatter(1, labels[:, None], 0)
    return delta.scatter(1, labels[:, None], -delta.sum(dim=1, keepdim=True))
