"""Where training below the head stands after an epoch, to go on from after an interruption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from evenhand._base.files import write_atomically
from evenhand.errors import InputError
from evenhand.heads.gap_loss import GapLoss

EPOCH, MADE_FROM = "epoch", "made_from"
GAP = "gap."


@dataclass(frozen=True)
class Checkpoint:
    """A file that holds the last whole epoch; nothing is pickled.

    Attributes:
        path: the file, there or not.
        made_from: what model, rows and settings it belongs to, in a digest.
    """

    path: Path
    made_from: str

    def write(self, epoch: int, state: dict[str, Tensor]) -> None:
        """Put ``state`` in place of the last."""
        kept = {name: value.detach().cpu().contiguous() for name, value in state.items()}
        about = {EPOCH: str(epoch), MADE_FROM: self.made_from}
        write_atomically(self.path, save(kept, metadata=about))

    def read(self) -> tuple[int, dict[str, Tensor]]:
        """The epochs that are done and the state after them; none where there is no file.

        Raises:
            InputError: the file belongs to other training, or is none.
        """
        if not self.path.exists():
            return 0, {}
        advice = "remove it to begin anew, or give another checkpoint"
        try:
            with safe_open(self.path, framework="pt") as file:
                about = file.metadata() or {}
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                epoch = int(about[EPOCH])
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise InputError(f"{self.path} is no checkpoint: {advice}") from error
        if about.get(MADE_FROM) != self.made_from:
            raise InputError(f"{self.path} is of another model, rows or settings: {advice}")
        return epoch, state

    def remove(self) -> None:
        """Leave nothing behind once training is done."""
        self.path.unlink(missing_ok=True)


def state_of(
    parameters: Sequence[nn.Parameter],
    optimizer: torch.optim.Optimizer,
    draw: torch.Generator,
    gap: GapLoss,
) -> dict[str, Tensor]:
    """All that a further epoch hangs on."""
    state = {f"{at}": parameter for at, parameter in enumerate(parameters)}
    for at, parameter in enumerate(parameters):
        state |= {f"{at}.{name}": value for name, value in optimizer.state[parameter].items()}
    means = {GAP + name: value for name, value in gap.state().items()}
    return {**state, **means, "draw": draw.get_state()}


def restore(
    state: dict[str, Tensor],
    parameters: Sequence[nn.Parameter],
    optimizer: torch.optim.Optimizer,
    draw: torch.Generator,
    gap: GapLoss,
) -> None:
    """Go on from what :func:`state_of` gave."""
    with torch.no_grad():
        for at, parameter in enumerate(parameters):
            parameter.copy_(state[f"{at}"])
            mine = {k.partition(".")[2]: v for k, v in state.items() if k.startswith(f"{at}.")}
            optimizer.state[parameter] = {
                name: value if name == "step" else value.to(parameter)
                for name, value in mine.items()
            }
    means = {k.removeprefix(GAP): v for k, v in state.items() if k.startswith(GAP)}
    if means:
        gap.resume(means)
    draw.set_state(state["draw"])
