"""What an exported graph is fed: columns of numbers and texts, pixels or token ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn

from evenhand._base.torch_calls import call, model_logits
from evenhand.errors import InputError
from evenhand.finetuning.frames import as_frame
from evenhand.tasks.column_values import categories_of, days_of, numbers_of
from evenhand.tasks.encoded_columns import MISSING_NAME, CategoryColumn, NumberColumn
from evenhand.tasks.table_encoder import TableEncoder

if TYPE_CHECKING:
    from evenhand.finetuning.fair_model import FairModel


Feeds = dict[str, npt.NDArray[Any]]


def table_feeds(encoder: TableEncoder, rows: Any) -> Feeds:
    """Column to its (n,) values as a graph of a table takes them.

    Numbers are float64, NaN where missing; dates are days since 1970; texts are their names,
    ``(missing)`` where there is none.
    """
    frame = as_frame(rows)
    encoder.require(list(frame.columns))
    return {column.name: _values(column, frame[column.name]) for column in encoder.columns}


def _values(column: Any, values: pd.Series[Any]) -> npt.NDArray[Any]:
    if isinstance(column, CategoryColumn):
        codes, names = categories_of(values, column.words)
        known = np.array([MISSING_NAME if n is None else n for n in names], dtype=object)
        return known[codes]
    if isinstance(column, NumberColumn) and column.date:
        return days_of(values, column.words, column.order)[0]
    if isinstance(column, NumberColumn):
        return numbers_of(values, column.words, column.decimal, grouped=column.grouped)[0]
    return numbers_of(values, column.words)[0]


def tensor_feeds(model: FairModel, rows: Any) -> Feeds:
    """Pixels, token ids or numbers of raw rows, as the model's preparation makes them.

    Raises:
        InputError: a row cannot be read.
    """
    items, reasons = model.items(rows)
    for row, why in reasons.items():
        raise InputError(f"row {row + 1} cannot be read: {why}")
    batch = model.backbone.prepare([items[row] for row in range(len(items))])
    named = batch if isinstance(batch, dict) else {"inputs": batch}
    return {name: tensor.numpy() for name, tensor in named.items()}


class Scores(nn.Module):
    """A model whose outputs are probabilities (n, k), fed by name in a fixed order.

    Args:
        model: returns logits.
        names: of its inputs; one called ``inputs`` is given by position.
    """

    def __init__(self, model: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *tensors: Tensor) -> Tensor:
        """Tensors in the order of the names to probabilities."""
        batch: Any = dict(zip(self.names, tensors, strict=True))
        output = call(self.model, tensors[0] if self.names == ("inputs",) else batch)
        logits = model_logits(output)
        if logits is None:
            raise InputError("the model gives no logits, so there is nothing to export")
        return torch.softmax(logits.flatten(1), dim=1)
