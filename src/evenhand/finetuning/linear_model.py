"""What is fine-tuned where no model is given: a linear one on the task's own numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evenhand.models.backbone import Backbone

FINGERPRINT = "682a91f12a9f45eb30a2ff7dc8a3564e37d6d854535676b778db60ffc25e703b"
"""That of every such backbone: the head is left out of it, and there is nothing else."""


@dataclass(frozen=True, eq=False)
class LinearModel:
    """A linear model that has learnt nothing yet; a module of torch only once it is asked for.

    Attributes:
        inputs: how many numbers a row has.
        classes: how many classes it tells apart.
    """

    inputs: int
    classes: int

    @cached_property
    def backbone(self) -> Backbone:
        """The model as a backbone, whose features are the inputs themselves."""
        from evenhand.models import wrap
        from evenhand.models.mlp import MLP

        plain = MLP(self.inputs, self.classes, layers=1)
        return replace(wrap(plain, "head", name="linear"), pretrained_head=False)
