"""The gap term of a Trainer: logged beside the loss, its running means kept in checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evenhand.errors import InputError
from evenhand.heads.gap_loss import GapLoss

MEANS = "evenhand_gap.safetensors"
"""In a checkpoint: the penalty's running means, to go on from."""


WEIGHTS = ("weight", "weights", "sample_weight", "sample_weights")
"""How callers name the weights of rows."""


def without_weights(options: dict[str, Any]) -> dict[str, Any]:
    """A Trainer's options as they are.

    Raises:
        InputError: weights of rows are among them.
    """
    named = [name for name in WEIGHTS if name in options]
    if named:
        raise InputError(
            f"FairTrainer knows no weights of rows ({named[0]}): draw the rows by them "
            "(torch.utils.data.WeightedRandomSampler in get_train_dataloader), or fit the trained "
            "model's head with evenhand.finetune(..., weight=…), which knows them"
        )
    return options


class RemembersGap:
    """A part of a Trainer: it stands before ``Trainer`` among the bases.

    Attributes:
        args, state: the Trainer's own.
    """

    args: Any
    state: Any
    _gap: GapLoss | None
    _means_from: str | None = None
    _gap_sum: Tensor | float = 0.0
    _gap_batches: int = 0

    def _noted(self, penalty: Tensor) -> Tensor:
        """The penalty, counted for the next log."""
        self._gap_sum = self._gap_sum + penalty.detach().float()
        self._gap_batches += 1
        return penalty

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """As ``Trainer``'s; with a training loss, ``gap``: the gap term's mean since the last."""
        if "loss" in logs and self._gap_batches:
            logs["gap"] = float(self._gap_sum) / self._gap_batches
            self._gap_sum, self._gap_batches = 0.0, 0
        trainer: Any = super()
        trainer.log(logs, *args, **kwargs)

    def _resumed(self, gap: GapLoss | None) -> GapLoss | None:
        """The penalty as the checkpoint left it that training goes on from."""
        from safetensors.torch import load

        path = Path(self._means_from or "") / MEANS
        if gap is not None and self._means_from and path.is_file():
            gap.resume(load(path.read_bytes()))
        return gap

    def _load_from_checkpoint(self, resume_from_checkpoint: str, *args: Any) -> None:
        trainer: Any = super()
        trainer._load_from_checkpoint(resume_from_checkpoint, *args)
        self._means_from = str(resume_from_checkpoint)
        self._resumed(self._gap)

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        from safetensors.torch import save

        from evenhand._base.files import write_atomically

        trainer: Any = super()
        trainer._save_checkpoint(model, trial)
        state = {} if self._gap is None else self._gap.state()
        if state and self.args.should_save:
            own: Any = self
            name = f"checkpoint-{self.state.global_step}"
            folder = Path(own._get_output_dir(trial=trial)) / name
            write_atomically(folder / MEANS, save(state))
