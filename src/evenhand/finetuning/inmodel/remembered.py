"""Several models that share what lies below their last block, which runs once.

Every model is trained on some blocks of the rows and read on all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add

import numpy as np

from evenhand._base.arrays import FloatArray, IntArray
from evenhand._base.torch_calls import evaluating
from evenhand.criteria import Criterion
from evenhand.finetuning.inmodel.batches import FixedBatches
from evenhand.finetuning.inmodel.evened import evened_head, gap_loss_of
from evenhand.finetuning.inmodel.frozen import Cut, fed
from evenhand.finetuning.inmodel.moving import moving
from evenhand.finetuning.inmodel.passes import copied, features_of, first_pass
from evenhand.finetuning.inmodel.training import Step, Training, head_rate, train_parts
from evenhand.heads.selection.requirements import require_groups
from evenhand.models.backbone import Backbone
from evenhand.rows import Rows
from evenhand.tasks.task import Examples

MOST_BYTES = 4 << 30
"""More than this of what the cut reads is not remembered."""


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
        targets: Sequence[str],
        blocks: Sequence[Examples],
        classes: tuple[str, ...],
        *,
        size: int,
        seed: int,
    ) -> Remembered | None:
        """The rows of some blocks; None where the model cannot be cut, or the rows are too many.

        Args:
            own: the model; its head is the one to begin from.
            targets: the modules that will train.
            blocks: of the rows.
            classes: K class names.
            size: rows a batch.
            seed: of the order of rows.
        """
        found: list[Block] = []
        with evaluating(own.model):
            for block in blocks:
                batches = FixedBatches(block, own.prepare, size, seed)
                if not found and _bytes(own, targets, batches, blocks) > MOST_BYTES:
                    return None
                passed = first_pass(own, batches, targets, cache=True, exact=True)
                source = passed.again(batches, block.groups.names)
                if passed.cut is None or not isinstance(source, list):
                    return None
                order = np.concatenate(batches.parts)
                rows = Rows(passed.features, block.labels[order], block.groups[order], classes)
                found.append(Block(rows, source, order))
                cut = passed.cut
        return cls(own, targets, cut, found)

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


def _bytes(
    own: Backbone, targets: Sequence[str], batches: FixedBatches, blocks: Sequence[Examples]
) -> float:
    """About how much is remembered, by the first batch."""
    few = FixedBatches(batches.examples, own.prepare, 1, 0)
    few.parts, few.totals = batches.parts[:1], batches.totals[:1]
    passed = first_pass(own, few, targets, cache=True, exact=True)
    if passed.remembered is None:
        return 0
    read = passed.remembered[0][1]
    return read.nbytes / len(read) * sum(len(block) for block in blocks)
