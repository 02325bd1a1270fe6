"""What the cost model is fitted to, and what it says."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.cost_extraction import Extraction


@dataclass(frozen=True)
class Step:
    """One step at one size: what it reads and computes, and how long it took.

    Attributes:
        name: of the step.
        size: in words.
        bytes, flops: in all.
        calls: evaluations of the objective, or batches; 1 for a single pass.
        seconds: measured, the median of its turns.
        spread: their lowest and highest.
    """

    name: str
    size: str
    bytes: float
    flops: float
    calls: int
    seconds: float
    spread: tuple[float, float]


@dataclass(frozen=True)
class Model:
    """The fitted rates, and the best of a plain read and of a plain product beside them."""

    bytes_per_second: float
    flops_per_second: float
    seconds_per_call: float
    read: float
    product: float

    def seconds(self, step: Step) -> float:
        """What the model says of a step."""
        traffic = step.bytes / self.bytes_per_second + step.flops / self.flops_per_second
        return traffic + step.calls * self.seconds_per_call


@dataclass(frozen=True)
class Measured:
    """Everything the page shows."""

    model: Model
    steps: list[Step]
    path_passes: int
    path_evaluations: int
    extraction: Extraction | None
