"""Where heads are fitted: on the processor, or on a device that the features fit on."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np

from evenhand._base.events import LOGGER
from evenhand.heads.streaming.engine import Engine
from evenhand.heads.streaming.processor import Processor
from evenhand.heads.streaming.row_arrays import RowArrays
from evenhand.rows import PROCESSOR, Rows

if TYPE_CHECKING:
    import torch

ON_DEVICE = 1 << 24
"""Numbers in the features from which heads are fitted on a device. A pass over fewer takes the
processor hundredths of a second, and the device the same launches of some dozen operations as a
long one, after a copy; whole fits take either a second or less."""


def engine_for(rows: Rows, arrays: RowArrays) -> tuple[Engine, str]:
    """What passes over the rows, and where that is, in words; none where it is the processor.

    Args:
        rows: this process's; their ``device`` is looked at where they are many.
        arrays: what is passed over.
    """
    device = device_for(rows)
    if device is None:
        return Processor(arrays), ""
    from evenhand.heads.streaming.device_copy import features_on
    from evenhand.heads.streaming.on_device import BESIDE_BYTES, OnDevice

    found = features_on(rows, arrays.dtype, device, BESIDE_BYTES)
    if isinstance(found, str):
        LOGGER.warning("heads are fitted on the processor: %s", found)
        return Processor(arrays), f"the processor: {found}"
    LOGGER.info("heads are fitted on %s", device)
    return OnDevice(arrays, found), str(device)


def let_go() -> None:
    """Give back the memory that features take on a device; for who is done with fits for a while.

    The next fit copies them anew.
    """
    copies = sys.modules.get("evenhand.heads.streaming.device_copy")
    if copies is not None:
        copies.let_go()


def device_for(rows: Rows) -> torch.device | None:
    """The device that these rows' heads are to be fitted on; None: the processor.

    Few rows stay on the processor, whatever is asked, and so do all where the device has no double
    precision (Apple's).
    """
    if rows.device == PROCESSOR or int(np.prod(rows.features.shape)) < ON_DEVICE:
        return None
    from evenhand._base.devices import device_of

    device = device_of(rows.device)
    return None if device is None or device.type in (PROCESSOR, "mps") else device
