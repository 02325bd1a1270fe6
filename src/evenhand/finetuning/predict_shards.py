"""Decide the images of WebDataset shards, read where they lie in the tars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evenhand.finetuning.fair_model import Decisions, FairModel
from evenhand.tasks.images_at_hand import ImagesAtHand, column_of_images
from evenhand.tasks.options import FILE_OPTIONS
from evenhand.tasks.raw_batches import RawBatch, plain_or_text
from evenhand.tasks.rows_at_hand import RowsAtHand, opened_rows
from evenhand.tasks.shard_samples import KEY

TOGETHER = 256
"""Images decided together."""


def opened_shards(source: Path) -> RowsAtHand:
    """The samples of shards.

    Raises:
        InputError: a tar or a sample is not whole.
    """  # noqa: DOC502
    return opened_rows(source, FILE_OPTIONS)


def image_parts(
    model: FairModel, found: RowsAtHand, file: str, columns: Sequence[str]
) -> Iterator[tuple[RawBatch, Decisions]]:
    """The samples of shards in order, and what is decided of their images.

    Args:
        model: which decides.
        found: the samples.
        file: what the model calls its image.
        columns: to carry through.

    Raises:
        InputError: there is no such image or column.
    """  # noqa: DOC502
    import pyarrow as arrow

    table = found.table
    names = [column_of_images(found, file), KEY, *columns]
    start = 0
    for batch in table.read([table.place(name) for name in names]):
        for at in range(0, batch.num_rows, TOGETHER):
            some = batch.slice(at, TOGETHER)
            count = some.num_rows
            keys = pd.DataFrame({file: some.column(1).to_pylist()})
            carried = [plain_or_text(column) for column in some.columns[2:]]
            images = ImagesAtHand(arrow.chunked_array([some.column(0)]), start=start)
            places = np.arange(count, dtype=np.int64)
            yield RawBatch(start, count, places, keys, carried, {}), model.decide(images)
            start += count


def first_images(found: RowsAtHand, file: str, most: int) -> ImagesAtHand:
    """The images of the first samples.

    Raises:
        InputError: there are none.
    """  # noqa: DOC502
    import pyarrow as arrow

    batches: list[Any] = list(found.table.read([found.table.place(column_of_images(found, file))]))
    return ImagesAtHand(arrow.chunked_array([batch.column(0) for batch in batches]).slice(0, most))
