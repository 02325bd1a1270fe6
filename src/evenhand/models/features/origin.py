"""What the features of a cache entry depend on, and so its name."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import Any

FORMAT = 2
NAME = re.compile(r"features-[0-9a-f]{16}")
"""What the folder of an entry is called."""


@dataclass(frozen=True)
class Origin:
    """Everything the features of an entry depend on; a change in any of it is another entry.

    Attributes:
        model, model_fingerprint: the backbone's name and sha256.
        layer: the path of the head, whose inputs are stored; or all places that a deep one reads.
        inputs, inputs_fingerprint: the name and sha256 (content and row order) of the raw inputs.
        rows: how many inputs, N.
        width: features a row, d.
        dtype: what is stored, float32 or float16.
        precision: what the model computed in.
        preparation: how raw inputs were made into the model's (size, mean, tokens).
    """

    model: str
    model_fingerprint: str
    layer: str
    inputs: str
    inputs_fingerprint: str
    rows: int
    width: int
    dtype: str = "float32"
    precision: str = "float32"
    preparation: str = ""

    @property
    def content(self) -> dict[str, Any]:
        """All but what people call the model and the inputs: the features depend on no name."""
        return {k: v for k, v in asdict(self).items() if k not in ("model", "inputs")}

    @property
    def name(self) -> str:
        """The entry's folder: sixteen digits of all that matters, see :data:`NAME`."""
        everything = {"format": FORMAT, **self.content}
        digest = hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()
        return f"features-{digest[:16]}"
