"""A fine-tuned model in other forms: ONNX, a torch program, a scikit-learn pipeline."""

from __future__ import annotations

from evenhand.finetuning.export.export import FORMATS, Exported, export
from evenhand.finetuning.export.sklearn_pipeline import to_sklearn

__all__ = ["FORMATS", "Exported", "export", "to_sklearn"]
