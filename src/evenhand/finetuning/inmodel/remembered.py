"""Several models that share what lies below their last block, which runs once.

Every model is trained on some blocks of the rows and read on all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add

import numpy as np
import torch

from evenhand._base.arrays import FloatArray, IntArray
from evenhand._base.torch_calls import evaluating
from evenhand.criteria import Criterion
from evenhand.finetuning.inmodel.batches import FixedBatches
from evenhand.finetuning.inmodel.cut_rows import CutRows
from evenhand.finetuning.inmodel.evened import evened_head, gap_loss_of
from evenhand.finetuning.inmodel.frozen import TOLERANCE, Cut, fed
from evenhand.finetuning.inmodel.moving import moving
from evenhand.finetuning.inmodel.passes import copied, features_of
from evenhand.finetuning.inmodel.steps import Step, ready
from evenhand.finetuning.inmodel.training import Training, head_rate, train_parts
from evenhand.heads.selection.requirements import require_groups
from evenhand.models.backbone import Backbone
from evenhand.rows import Rows
from evenhand.tasks.inputs import View
from evenhand.tasks.task import Examples


@dataclass(frozen=True, eq=False)
class Block:
    """Rows that are trained on together or not at all.

    Attributes:
        rows: as the untrained model reads them, in the order of the batches.
        steps: the batches, with what the cut reads.
        order: (N,) the place of each among the rows that were given.
    """

    rows: Rows
    steps: list[Step]
    order: IntArray

    def as_given(self, features: FloatArray) -> FloatArray:
        """Features in the order in which the rows were given."""
        found = np.empty_like(features)
        found[self.order] = features
        return found


@dataclass(frozen=True, eq=False)
class Remembered:
    """What lies below the layers that train, run once over all rows.

    Attributes:
        own: the untrained model.
        targets: the modules that train.
        cut: whose input is remembered.
        blocks: of the rows.
    """

    own: Backbone
    targets: Sequence[str]
    cut: Cut
    blocks: list[Block]

    @classmethod
    def of(
        cls,
        own: Backbone,
        caught: CutRows,
        blocks: Sequence[tuple[View, Rows]],
        *,
        size: int,
        seed: int,
    ) -> Remembered | None:
        """The rows of some blocks; None where the cut's input is not at hand for all of them.

        Args:
            own: the model; its head is the one to begin from.
            caught: what the cut reads of each row.
            blocks: inputs, and the rows as the untrained model reads them.
            size: rows a batch.
            seed: of the order of rows.
        """
        cut = caught.cut
        if cut is None or not all(caught.holds(inputs) for inputs, _ in blocks):
            return None
        found: list[Block] = []
        with evaluating(own.model):
            for inputs, rows in blocks:
                batches = FixedBatches(
                    Examples(inputs, rows.labels, rows.groups), own.prepare, size, seed
                )
                steps = [_step(caught, inputs, rows, part) for part in batches.parts]
                steps = ready(steps, own.device)
                if not found and not _reproduces(own, cut, inputs[batches.parts[0]], steps[0]):
                    return None
                order = np.concatenate(batches.parts)
                found.append(Block(rows[order], steps, order))
        return cls(own, caught.targets, cut, found)

    def trained(
        self, kept: Sequence[int], criterion: Criterion, how: Training
    ) -> tuple[Backbone, list[FloatArray]]:
        """A model trained on the blocks ``kept``, and how it sees every block's rows as given.

        Args:
            kept: numbers of blocks.
            criterion: what the penalty evens out.
            how: to train; the head's rate is found here.

        Raises:
            InputError: nothing can be evened out there, or the loss stopped being finite.
        """  # noqa: DOC502
        rows: Rows = reduce(add, (self.blocks[block].rows for block in kept))
        require_groups(rows, "train")
        penalty = gap_loss_of(rows, criterion)
        penalty.require_cells()
        start = self.own.linear_head()
        first = evened_head(rows, criterion, how.strength, ridge=how.ridge, start=start)
        model = copied(self.own, first, self.own.device)
        how = replace(how, head_rate=head_rate(how.learning_rate, rows.features))
        steps = [step for block in kept for step in self.blocks[block].steps]
        with evaluating(model.model), fed(model.model, self.cut) as feed:
            with moving(model.model, self.targets):
                train_parts(model, steps, feed, penalty, how)
            seen = [
                block.as_given(features_of(model, block.steps, feed)[0]) for block in self.blocks
            ]
        return model, seen


def _step(caught: CutRows, inputs: View, rows: Rows, part: IntArray) -> Step:
    batch, read = caught.batch(inputs[part])
    labels, codes = (torch.as_tensor(each[part]) for each in (rows.labels, rows.groups.codes))
    return Step(batch, labels, codes, read, len(part))


def _reproduces(own: Backbone, cut: Cut, inputs: View, step: Step) -> bool:
    """Whether rows put together from other batches give what the model gives for them."""
    with torch.no_grad():
        expected = own.read(own.prepare(list(inputs)))
        with fed(own.model, cut) as feed:
            feed.current = step.current(own.device, own.dtype)
            found = own.read(own.placed(step.inputs))
    limit = TOLERANCE * float(expected.abs().max())
    return found.shape == expected.shape and bool((found - expected).abs().max() <= limit)
