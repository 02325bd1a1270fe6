"""What a method is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from evenhand.finetuning.problem import Fitted, Problem
from evenhand.report.setting import Setting

Settings = Sequence[tuple[Setting | str, Fitted]]
"""What a method gives: each of its settings, fitted."""


class Method(Protocol):
    """A way to fine-tune. Called with a problem, it yields (setting, fitted) pairs.

    One call may give several settings (a path of strengths costs little more than one point);
    ``setting`` tells them apart in the results: the rank, the strength or the constraint.
    """

    def __call__(self, problem: Problem) -> Settings:
        """Fit every setting of the method on ``problem``."""
        ...
