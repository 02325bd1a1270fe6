"""What a method is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from evenhand.finetuning.problem import Fitted, Problem


class Method(Protocol):
    """A way to fine-tune. Called with a problem, it yields (setting, fitted) pairs.

    One call may give several settings (a path of strengths costs little more than one point);
    ``setting`` is the text of the results' column: the rank, the strength or the constraint.
    """

    def __call__(self, problem: Problem) -> Sequence[tuple[str, Fitted]]:
        """Fit every setting of the method on ``problem``."""
        ...
