"""Several processes or machines as one: who this one is, and sums over all of them.

Everything evenhand needs of a data set is a sum over its rows (Fisher sums, counts, a fit's value
and gradient), so that processes share a job by each taking its part of the rows. They find one
another by ``torch.distributed``, as ``torchrun`` and ``accelerate launch`` set it up.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from evenhand.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt


Sums = TypeVar("Sums")


@dataclass(frozen=True)
class World:
    """The processes that share a job; alone by default.

    Attributes:
        rank: of this process, from 0.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes files and shows progress for all."""
        return self.rank == 0

    def share(self, rows: int) -> slice:
        """Which of ``rows`` rows this process takes: every ``size``-th, from ``rank`` on."""
        return slice(self.rank, rows, self.size)

    def sum(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The sum over all processes of arrays of one shape, the same bits in each."""
        if self.size == 1:
            return values
        import numpy as np
        import torch.distributed as group

        floating = np.issubdtype(values.dtype, np.floating)
        tensor = _tensor(values.astype(np.float64 if floating else np.int64))
        group.all_reduce(tensor)
        return _array(tensor).astype(values.dtype, copy=False)

    def any(self, here: bool) -> bool:
        """Whether ``here`` is true in any process."""
        if self.size == 1:
            return here
        import numpy as np

        return bool(self.sum(np.array([int(here)]))[0])

    def broadcast(self, values: npt.NDArray[Any] | None, source: int = 0) -> npt.NDArray[Any]:
        """The array of process ``source``; the others need not know its shape (give None)."""
        import numpy as np

        if self.size == 1:
            return np.asarray(values)
        import torch.distributed as group

        header = np.zeros(10, dtype=np.int64)
        if self.rank == source:
            values = np.ascontiguousarray(values)
            header[0], header[1] = _KINDS.index(values.dtype.str[1:]), values.ndim
            header[2 : 2 + values.ndim] = values.shape
        tensor = _tensor(header)
        group.broadcast(tensor, source)
        header = _array(tensor)
        kind, shape = np.dtype(_KINDS[header[0]]), tuple(header[2 : 2 + header[1]].tolist())
        if values is None or self.rank != source:
            values = np.empty(shape, dtype=kind)
        tensor = _tensor(values.reshape(-1).view(np.uint8))
        group.broadcast(tensor, source)
        return _array(tensor).view(kind).reshape(shape)

    def gather(self, values: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Every process's array, of any lengths, in the order of ranks, in every process."""
        return [
            self.broadcast(values if self.rank == source else None, source)
            for source in range(self.size)
        ]

    def merge(self, sums: Sums) -> Sums:
        """Everything that adds up (``GroupFisher``, ``Counts``, arrays), added over processes.

        The fields that are arrays are summed, dataclasses inside likewise; all else (names, kinds)
        must be alike in all processes and stays.
        """
        return self._merged(sums)

    def _merged(self, value: Any) -> Any:
        if self.size == 1:
            return value
        from dataclasses import fields, is_dataclass, replace

        import numpy as np

        if isinstance(value, np.ndarray):
            return self.sum(value)
        if is_dataclass(value) and not isinstance(value, type):
            changed = {
                one.name: self._merged(getattr(value, one.name))
                for one in fields(value)
                if one.init
            }
            return replace(value, **changed)
        if isinstance(value, int) and not isinstance(value, bool):
            return int(self.sum(np.array([value]))[0])
        return value

    def wait(self) -> None:
        """Wait until every process has made this call."""
        self.any(False)


_KINDS = ("b1", "i1", "u1", "i2", "i4", "i8", "f2", "f4", "f8")
"""What processes send each other."""


ALONE = World()


def world() -> World:
    """The processes that torch.distributed has brought together; alone where it has not."""
    import torch.distributed as group

    if group.is_available() and group.is_initialized():
        return World(group.get_rank(), group.get_world_size())
    return ALONE


@contextmanager
def together() -> Iterator[World]:
    """Join the processes a launcher (torchrun, accelerate, SLURM's srun through torchrun) started.

    Without one, alone. Processes meet on the CPU (gloo): what is summed is small; gradients of a
    model on a GPU are summed there (nccl), where each process has one of its own. A group made
    before is used, and left as it was; one made here is closed at the end.

    Example:
        >>> with eh.heads.together() as world:  # without a launcher: this process alone
        ...     world.rank, world.size
        (0, 1)
    """
    launched = int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ
    found = world() if launched or "torch.distributed" in sys.modules else ALONE
    if found.size > 1 or not launched:
        yield found
        return
    import torch.distributed as group

    group.init_process_group(_backends())
    try:
        yield world()
    finally:
        group.destroy_process_group()


def _backends() -> str:
    """How processes meet: on the processor, and where each has a GPU of its own, there too."""
    import torch

    there = torch.cuda.device_count() if torch.distributed.is_nccl_available() else 0
    here = int(os.environ.get("LOCAL_WORLD_SIZE") or os.environ.get("WORLD_SIZE", "1"))
    return "cpu:gloo,cuda:nccl" if there >= here else "gloo"


def texts_of_all(text: str, world: World) -> list[str]:
    """Every process's text, in every process."""
    import numpy as np

    parts = world.gather(np.frombuffer(text.encode(), dtype=np.uint8))
    return [part.tobytes().decode() for part in parts]


def raise_together(failure: str, world: World) -> None:
    """Raise in every process the error that any of them had; ``failure`` is empty without one.

    Raises:
        InputError: there was one.
    """
    if world.any(bool(failure)):
        failures = [text for text in texts_of_all(failure, world) if text]
        raise InputError(failures[0])


def _tensor(values: npt.NDArray[Any]) -> Any:
    import numpy as np
    import torch
    import torch.distributed as group

    tensor = torch.as_tensor(np.array(values))
    return tensor.cuda() if group.get_backend() == "nccl" else tensor


def _array(tensor: Any) -> npt.NDArray[Any]:
    found: npt.NDArray[Any] = tensor.cpu().numpy()
    return found
