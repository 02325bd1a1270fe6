"""Writing the folder that holds a fine-tuned model whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenhand._base.seals import sealed
from evenhand.models import saving
from evenhand.models.preparation import preparation_to_dict

if TYPE_CHECKING:
    from evenhand.finetuning.fair_model import FairModel

RAW = "rows.json"
"""How raw rows are read: columns, categories, medians, scales; sealed by itself."""


def save(model: FairModel, folder: str | Path, *, made_from: dict[str, str] | None = None) -> Path:
    """Write a model whole; see :func:`load`. Nothing is pickled.

    Args:
        model: what to write.
        folder: made where it is not there; what else lay in an older one is carried over.
        made_from: fingerprints of the task and the model it was made from.

    Raises:
        InputError: the folder cannot be written.

    Example:
        >>> task = eh.tasks.table("people.csv", label="income", groups="sex")
        >>> result = eh.finetune(None, task, strength=1.0)
        >>> eh.save(result.fair_model, "people-model").name
        'people-model'
    """  # noqa: DOC502
    backbone = model.backbone
    about: dict[str, Any] = {
        "classes": list(model.classes),
        "label": model.label,
        "threshold": model.threshold,
        "decided": model.decided,
        "promise": model.promise.to_dict(),
        "name": backbone.name,
        "head": backbone.head,
        "source": backbone.source,
        "preparation": preparation_to_dict(backbone.prepare),
        "made_by": model.made_by,
        "made_from": made_from or {},
    }
    more = {} if model.raw is None else {RAW: sealed(model.raw.to_dict(), indent=1) + "\n"}
    prepare = backbone.prepare
    processor = getattr(prepare, "tokenizer", None) or getattr(prepare, "processor", None)
    return saving.save(backbone.model, folder, about=about, processor=processor, more=more)
