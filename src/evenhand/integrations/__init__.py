"""evenhand inside other libraries; nothing in evenhand imports this room.

``evenhand.integrations.sklearn``, ``.trainer`` (transformers), ``.peft``, ``.mlflow`` and
``.trackers`` (MLflow, Weights & Biases, TensorBoard), each imported when first used, so that only
the library it serves is loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evenhand._base.lazy import lazy_names

if TYPE_CHECKING:
    from evenhand.integrations import mlflow, peft, sklearn, trackers, trainer

_HOMES = {
    "mlflow": "evenhand.integrations.mlflow",
    "peft": "evenhand.integrations.peft",
    "sklearn": "evenhand.integrations.sklearn",
    "trackers": "evenhand.integrations.trackers",
    "trainer": "evenhand.integrations.trainer",
}

__all__ = ["mlflow", "peft", "sklearn", "trackers", "trainer"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
