"""A GPU that is pretended: tensors that say they are on it, and refuse those that are not.

Numbers are computed by the processor, so that the very tests of a GPU run on a machine without
one, and find what was left on the processor, or is read from a GPU without being fetched. What is
a GPU's own (its kernels, its memory, its streams) is not found here.
"""

from __future__ import annotations

import importlib
import math
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map_only

GPU = torch.device("cuda", 0)
"""The one there is; Apple's, which has no double precision, where that is pretended."""
_aten = torch.ops.aten
MEMORY = 1 << 26
"""Bytes that one tensor may take there."""
ACROSS = (
    *(_aten.index.Tensor, _aten.index_put.default, _aten.index_put_.default),
    _aten.copy_.default,
)
"""May be given tensors of both: positions, and what is copied."""
WAITING = (_aten._local_scalar_dense.default, _aten.nonzero.default, _aten.bincount.default)
WAITED: list[str] = []
"""For what the processor would have waited for the GPU."""


class OnGpu(Tensor):
    """A tensor of the pretended GPU; ``held`` are its numbers."""

    held: Tensor
    is_cpu = False

    @staticmethod
    def __new__(cls, held: Tensor) -> OnGpu:
        self: OnGpu = Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=held.device,
        )
        self.held = held
        return self

    def __init__(self, held: Tensor) -> None:
        super().__init__()

    __torch_function__ = torch._C._disabled_torch_function_impl

    @property
    def device(self) -> torch.device:
        return GPU

    @property
    def is_cuda(self) -> bool:
        return GPU.type == "cuda"

    def __repr__(self) -> str:
        return f"OnGpu({self.held!r})"

    def tolist(self) -> Any:
        return self.held.tolist()

    def numpy(self, **_: Any) -> Any:
        raise TypeError("can't convert a tensor on a GPU to numpy: copy it to the host")

    def __array__(self, *_: Any, **__: Any) -> Any:
        return self.numpy()

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            copied = OnGpu(self.held.detach().clone())
            is_parameter = isinstance(self, nn.Parameter)
            memo[id(self)] = nn.Parameter(copied, self.requires_grad) if is_parameter else copied
        return memo[id(self)]

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        for one in tree_flatten((args, kwargs))[0]:
            strange = isinstance(one, Tensor) and not isinstance(one, OnGpu) and one.ndim
            if strange and func not in ACROSS:
                raise RuntimeError(f"tensors on {GPU} and on cpu meet in {func}")
        if func in WAITING:
            WAITED.append(str(func))
        args, kwargs = tree_map_only(OnGpu, lambda tensor: tensor.held, (args, kwargs))
        found = func(*args, **kwargs)
        return tree_map_only(Tensor, _on_gpu, found)


def _on_gpu(tensor: Tensor) -> OnGpu:
    if GPU.type == "mps" and tensor.dtype == torch.float64:
        raise TypeError("Cannot convert a MPS Tensor to float64, which MPS does not support")
    return OnGpu(tensor)


class _Put(torch.autograd.Function):
    """From the processor to the GPU."""

    @staticmethod
    def forward(_: Any, tensor: Tensor) -> Tensor:
        return _on_gpu(tensor.detach().clone())

    @staticmethod
    def backward(_: Any, slope: Tensor) -> Tensor:
        return slope.held if isinstance(slope, OnGpu) else slope


class _Fetch(torch.autograd.Function):
    """From the GPU to the processor."""

    @staticmethod
    def forward(_: Any, tensor: Tensor) -> Tensor:
        return tensor.held.detach().clone()

    @staticmethod
    def backward(_: Any, slope: Tensor) -> Tensor:
        return slope if isinstance(slope, OnGpu) else OnGpu(slope)


class Pretending(TorchFunctionMode):
    """What names the GPU is done by the processor, and its results are on the GPU."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is Tensor.to:
            return _to(*args, **kwargs)
        if func in (Tensor.cpu, Tensor.cuda):
            return _to(args[0], "cpu" if func is Tensor.cpu else GPU)
        asked = kwargs.get("device")
        device = None if asked is None else torch.device(asked)
        if device is None or device.type not in ("cpu", GPU.type):
            return func(*args, **kwargs)
        kwargs["device"] = "cpu"
        if func is torch.empty and device.type == GPU.type:
            _require_room(*args, kwargs.get("dtype") or torch.get_default_dtype())
        if func is torch.as_tensor and isinstance(args[0], Tensor):
            return _to(args[0], device, kwargs.get("dtype"))
        if func in (torch.as_tensor, torch.tensor) and device.type == GPU.type:
            WAITED.append("copy")
        found = func(*args, **kwargs)
        asks = kwargs.get("requires_grad", False)
        return _placed(found.detach(), device).requires_grad_(asks)


def _to(tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    copy = kwargs.pop("copy", False)
    if args and isinstance(args[0], Tensor):
        device, dtype = args[0].device, args[0].dtype
        keep = torch.preserve_format
    else:
        device, dtype, lets_go, keep = torch._C._nn._parse_to(*args, **kwargs)
        keep = keep or torch.preserve_format
        if not lets_go and device is not None and device.type != tensor.device.type:
            WAITED.append("copy")
    with torch._C.DisableTorchFunction():
        if dtype is not None and dtype != tensor.dtype:
            tensor = tensor.to(dtype, memory_format=keep)
        elif copy:
            tensor = tensor.clone(memory_format=keep)
    return _placed(tensor, device or tensor.device)


def _require_room(*shape_and_dtype: Any) -> None:
    *shape, dtype = shape_and_dtype
    if math.prod(shape[0] if isinstance(shape[0], tuple) else shape) * dtype.itemsize > MEMORY:
        raise torch.OutOfMemoryError("CUDA out of memory")


def _placed(tensor: Tensor, device: torch.device) -> Tensor:
    there = isinstance(tensor, OnGpu)
    if device.type == GPU.type:
        return tensor if there else _Put.apply(tensor)
    return _Fetch.apply(tensor) if there else tensor


class _NoGradient(torch.no_grad):
    def __init__(self, mode: bool = True) -> None:
        super().__init__()


class _Event:
    """Everything is done at once."""

    def record(self, _: Any = None) -> None: ...

    def synchronize(self) -> None: ...


@contextmanager
def waits() -> Iterator[Callable[[], int]]:
    """How often the processor has waited for the GPU in the block; a real one is asked itself."""
    if torch.cuda.Event is _Event:
        before = len(WAITED)
        yield lambda: len(WAITED) - before
        return
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield lambda: sum("synchronizing CUDA" in str(one.message) for one in told)
        finally:
            torch.cuda.set_sync_debug_mode("default")


def pretend(patch: pytest.MonkeyPatch, kind: str = "cuda") -> TorchFunctionMode:
    """A mode inside which there is a GPU of a kind, ``"cuda"`` or ``"mps"``, and torch says so."""
    importlib.import_module("torch._dynamo")  # which looks at torch as it is, and optimizers need
    patch.setattr(sys.modules[__name__], "GPU", torch.device(kind, 0))
    _patch_torch(patch)
    if kind == "mps":
        patch.setattr(torch.backends.mps, "is_available", lambda: True)
    else:
        _patch_cuda(patch)
    return Pretending()


def _patch_cuda(patch: pytest.MonkeyPatch) -> None:
    told = {
        "is_available": True,
        "device_count": 1,
        "current_device": 0,
        "is_bf16_supported": True,
        "is_current_stream_capturing": False,
        "mem_get_info": (MEMORY, MEMORY),
        "current_stream": None,
        "synchronize": None,
        "empty_cache": None,
        "manual_seed_all": None,
        "get_rng_state": torch.empty(0),
        "set_rng_state": None,
    }
    for name, value in told.items():
        patch.setattr(torch.cuda, name, lambda *_, value=value, **__: value)
    patch.setattr(torch.cuda, "Event", _Event)
    patch.setattr(torch.cuda, "device", lambda _: nullcontext())
    patch.setattr(Tensor, "pin_memory", lambda self: self)


def _patch_torch(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(torch.__future__, "get_swap_module_params_on_conversion", lambda: True)
    for name in ("_accelerator_graph_capture_health_check", "_cuda_graph_capture_health_check"):
        patch.setattr(torch.optim.Optimizer, name, lambda self: None, raising=False)
    patch.setattr(torch, "inference_mode", _NoGradient)  # made there, ours could not be views
    mixed = torch.autocast  # of what computes
    patch.setattr(torch, "autocast", lambda _, *args, **kwargs: mixed("cpu", *args, **kwargs))
