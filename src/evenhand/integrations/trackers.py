"""Runs in the trackers people use: MLflow, Weights & Biases, TensorBoard.

Each is a listener for ``on_event`` of :func:`evenhand.finetune`, :func:`evenhand.compare` and
:func:`evenhand.adapt`. What was asked becomes parameters; what was measured, chosen and trained
becomes metrics, named ``METHOD/MEASURE`` and ``chosen/MEASURE``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evenhand._base.events import Event
from evenhand.errors import MissingExtraError

MEASURES = ("error", "accuracy", "delta_eo", "delta_dp", "seconds", "trainable_parameters")


class MlflowTracker:
    """Logs to the active run of MLflow, or to one of its own.

    Args:
        run_name: of the run it starts, where none is active.

    Raises:
        MissingExtraError: MLflow is not installed.
    """

    def __init__(self, run_name: str | None = None) -> None:
        try:
            import mlflow
        except ImportError as error:
            raise MissingExtraError("mlflow-skinny", "mlflow", "tracking in MLflow") from error
        self._mlflow: Any = mlflow
        self._name = run_name
        self._own = False

    def __call__(self, event: Event) -> None:
        """Log an event."""
        if event.name == "started" and self._mlflow.active_run() is None:
            self._mlflow.start_run(run_name=self._name)
            self._own = True
        for key, asked in parameters(event):
            self._mlflow.log_param(key, asked)
        for key, measured, step in metrics(event):
            self._mlflow.log_metric(key, measured, step=step)
        if event.name == "chosen":
            self._mlflow.set_tag("evenhand.decided", str(event.values.get("decided", ""))[:5000])
        if event.name == "finished" and self._own:
            self._mlflow.end_run()
            self._own = False


class WandbTracker:
    """Logs to a run of Weights & Biases.

    Args:
        run: what ``wandb.init`` gave; started with ``options`` if None.
        options: of ``wandb.init``, such as ``project`` and ``mode``.

    Raises:
        MissingExtraError: wandb is not installed.
    """

    def __init__(self, run: Any = None, **options: Any) -> None:
        if run is None:
            try:
                import wandb
            except ImportError as error:
                raise MissingExtraError("wandb", "wandb", "tracking in W&B") from error
            run = wandb.init(**options)
        self.run = run

    def __call__(self, event: Event) -> None:
        """Log an event."""
        asked = dict(parameters(event))
        if asked:
            self.run.config.update(asked, allow_val_change=True)
        found = {key: value for key, value, _ in metrics(event)}
        if found:
            self.run.log(found)
        if event.name == "chosen":
            self.run.summary["decided"] = event.values.get("decided")


class TensorBoardTracker:
    """Writes scalars and texts that TensorBoard shows.

    Args:
        folder: where TensorBoard looks.

    Raises:
        MissingExtraError: tensorboard is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingExtraError("tensorboard", "tensorboard", "TensorBoard") from error
        make: Any = SummaryWriter
        self._writer = make(str(folder))

    def __call__(self, event: Event) -> None:
        """Write an event."""
        asked = dict(parameters(event))
        if asked:
            lines = "\n".join(f"    {key}: {value}" for key, value in asked.items())
            self._writer.add_text(event.work, lines)
        for key, value, step in metrics(event):
            self._writer.add_scalar(key, value, step)
        if event.name == "chosen":
            self._writer.add_text(f"{event.work}/decided", str(event.values.get("decided")))
        if event.name == "finished":
            self._writer.flush()


def parameters(event: Event) -> Iterator[tuple[str, str]]:
    """What was asked, by name; nothing for other events."""
    if event.name == "started":
        for key, value in _flat(event.values):
            yield key, str(value)[:500]


def metrics(event: Event) -> Iterator[tuple[str, float, int]]:
    """The numbers of an event: name, value, and the step they are of."""
    values = event.values
    if event.name == "measured":
        method = _name(f"{values['method']} {values['setting']}")
        for key in MEASURES:
            if _is_number(values.get(key)):
                yield f"{method}/{key}", float(values[key]), int(values.get("seed", 0))
    elif event.name == "epoch":
        for key in ("log_loss", "gap"):
            yield f"{event.work}/{key}", float(values[key]), int(values["number"])
        for key, value in values["valid"].items():
            yield _name(f"{event.work}/valid/{key}"), float(value), int(values["number"])
    elif event.name in ("chosen", "progress", "finished"):
        for key, value in _flat(values):
            if _is_number(value):
                yield _name(f"{event.name}/{key}"), float(value), int(values.get("done", 0))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}", value


def _is_number(value: Any) -> bool:
    return isinstance(value, bool | int | float) and math.isfinite(value)


def _name(text: str) -> str:
    """A name that all trackers take."""
    return re.sub(r"[^\w./ -]", "_", text).strip()
