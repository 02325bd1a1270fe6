"""A fine-tuned model as its user meets it: raw rows in, decisions out, no group needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from evenhand._base.arrays import FloatArray, IntArray, require_unmasked
from evenhand._base.devices import computing
from evenhand.errors import InputError, ModelError
from evenhand.finetuning.frames import as_frame, column_of, has_columns
from evenhand.finetuning.image_features import image_features
from evenhand.finetuning.promise import Promise
from evenhand.head import Head
from evenhand.models.backbone import Backbone
from evenhand.tasks.image_task import ImageFiles, ImagePaths
from evenhand.tasks.images_at_hand import ImagesAtHand
from evenhand.tasks.inputs import View
from evenhand.tasks.raw import Raw, TextColumn
from evenhand.tasks.table_encoder import TableEncoder

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

BATCH, TABLE_BATCH = 64, 65_536
"""Rows of images or texts, and of numbers, that go through the model together."""


@dataclass(frozen=True, eq=False)
class Decisions:
    """What a model decided of n rows.

    Attributes:
        codes: (n,) positions in the classes; -1 where a row could not be read.
        probabilities: (n, k), NaN where a row could not be read.
        reasons: row to why it could not be read.
        missing: column to how many of its values were missing.
        unseen: column to how many of its values no training row had.
        unusable: column to how many of its missing values are there, but infinite or no number.
    """

    codes: IntArray
    probabilities: FloatArray
    reasons: dict[int, str]
    missing: dict[str, int] = field(default_factory=dict)
    unseen: dict[str, int] = field(default_factory=dict)
    unusable: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class FairModel:
    """A fine-tuned model with all that leads from a raw row to a decision; it needs no group.

    Attributes:
        backbone: the model with its chosen head.
        classes: the k class names; the second of two is the positive one.
        label: what is decided.
        raw: what makes an input of a raw row; None where inputs are given as the model reads them.
        promise: what was promised of it, on what rows.
        threshold: from which probability on a row is of the positive class, for two classes.
        decided: class to its share of the decisions on the run's test rows.
        made_by: packages and their versions.

    Example:
        >>> task = eh.tasks.table("people.csv", label="income", groups="sex")
        >>> eh.finetune(None, task, strength=1.0).fair_model.classes
        ('<=50K', '>50K')
    """

    backbone: Backbone
    classes: tuple[str, ...]
    label: str
    raw: Raw | None
    promise: Promise
    threshold: float | None
    decided: dict[str, float]
    made_by: dict[str, str] = field(default_factory=dict)

    needs_group = False
    """The model decides without knowing anybody's group."""

    @property
    def needs(self) -> tuple[str, ...]:
        """The columns that rows must have; none where inputs are given as the model reads them."""
        return () if self.raw is None else self.raw.needs

    @property
    def module(self) -> Any:
        """The ``torch.nn.Module`` itself."""
        return self.backbone.model

    @cached_property
    def head(self) -> Head:
        """Its head as arrays."""
        return self.backbone.linear_head()

    def predict(self, rows: Any) -> npt.NDArray[np.object_]:
        """(n,) the class name decided for each row.

        Args:
            rows: a DataFrame with the columns that :attr:`needs` names (others may be there, in
                any order), or a mapping of them; texts; images or their paths; for a model of
                arrays, (n, …) numbers.

        Raises:
            InputError: a column is missing, or a row cannot be read; see
                :meth:`explain_input_errors` for all of them.
        """  # noqa: DOC502
        found = self._readable(rows)
        return np.array(self.classes, dtype=object)[found.codes]

    def predict_proba(self, rows: Any) -> FloatArray:
        """(n, k) the probability of each class, in the order of :attr:`classes`.

        Raises:
            InputError: as for :meth:`predict`.
        """  # noqa: DOC502
        return self._readable(rows).probabilities

    def explain_input_errors(self, rows: Any) -> pd.DataFrame:
        """The rows that cannot be read, with the reason: columns ``row`` (from 1) and ``reason``.

        Raises:
            InputError: a column is missing, or nothing can be read of such data.
        """  # noqa: DOC502
        reasons = self.decide(rows).reasons
        return pd.DataFrame(
            {"row": [row + 1 for row in reasons], "reason": list(reasons.values())},
        ).astype({"row": "int64", "reason": object})

    def decide(self, rows: Any) -> Decisions:
        """What :meth:`predict` and :meth:`predict_proba` give, unreadable rows left empty.

        Raises:
            InputError: a column is missing, or nothing can be read of such data.
        """  # noqa: DOC502
        if isinstance(self.raw, TableEncoder):
            return self._decide_table(as_frame(rows), self.raw)
        items, reasons = self.items(rows)
        good = [row for row in range(len(items)) if row not in reasons]
        logits = np.full((len(items), len(self.classes)), np.nan)
        lazily = isinstance(items, ImagePaths | ImageFiles | ImagesAtHand)
        if lazily and hasattr(self.backbone.prepare, "each"):
            features, bad = image_features(self.backbone, items, good, BATCH)
            logits[good] = self.head.logits(features)
            logits[list(bad)] = np.nan
            return self._decided(logits, dict(sorted((reasons | bad).items())))
        size = TABLE_BATCH if self.raw is None and _is_table(items) else BATCH
        for start in range(0, len(good), size):
            some = good[start : start + size]
            part = View(items, some) if lazily else [items[row] for row in some]
            kept, found, bad = self._logits(part)
            logits[[some[place] for place in kept]] = found
            reasons |= {some[place]: why for place, why in bad.items()}
        return self._decided(logits, dict(sorted(reasons.items())))

    def _readable(self, rows: Any) -> Decisions:
        found = self.decide(rows)
        for row, reason in found.reasons.items():
            more = len(found.reasons) - 1
            others = f", and {more} more" if more else ""
            raise InputError(
                f"row {row + 1} cannot be read{others}: {reason}; explain_input_errors(rows) lists "
                "them all"
            )
        return found

    def _decide_table(self, frame: pd.DataFrame, encoder: TableEncoder) -> Decisions:
        encoded = encoder.encode(frame)
        logits = np.full((len(frame), len(self.classes)), np.nan)
        for start in range(0, len(frame), TABLE_BATCH):
            inputs = encoded.inputs[start : start + TABLE_BATCH]
            logits[start : start + TABLE_BATCH] = self.head.logits(self._features(inputs))
        logits[list(encoded.refused)] = np.nan
        found = self._decided(logits, encoded.refused)
        return replace(
            found,
            missing=encoded.missing,
            unseen=encoded.unseen,
            unusable=encoded.unusable,
        )

    def _features(self, inputs: Any) -> FloatArray:
        with computing(self.backbone.device, "float32"):
            features: FloatArray = self.backbone.features(inputs).float().cpu().numpy()
        return features

    def _logits(self, items: Sequence[Any]) -> tuple[list[int], FloatArray, dict[int, str]]:
        """Positions read, their (n, k) logits, and the positions that could not be."""
        try:
            return list(range(len(items))), self.head.logits(self._features(items)), {}
        except (InputError, OSError, ValueError, SyntaxError) as error:
            if isinstance(error, ModelError):
                raise
            if len(items) == 1:
                why = str(error).splitlines()[0] if str(error) else type(error).__name__
                return [], np.empty((0, len(self.classes))), {0: why}
        middle = len(items) // 2
        kept, logits, bad = self._logits(items[:middle])
        kept_after, logits_after, bad_after = self._logits(items[middle:])
        return (
            [*kept, *(place + middle for place in kept_after)],
            np.concatenate([logits, logits_after]),
            bad | {place + middle: why for place, why in bad_after.items()},
        )

    def items(self, rows: Any) -> tuple[Sequence[Any], dict[int, str]]:
        """What the model's preparation takes of raw rows, and row to why it has none.

        Raises:
            InputError: the column of texts or files is missing.
        """  # noqa: DOC502
        if self.raw is None or isinstance(rows, ImageFiles | ImagesAtHand):
            require_unmasked(rows, "rows to predict")
            return rows, {}
        if has_columns(rows):
            name = "" if isinstance(self.raw, TableEncoder) else self.raw.name
            rows = column_of(rows, name, images=not isinstance(self.raw, TextColumn))
            if isinstance(rows, ImagesAtHand):
                return rows, {}
        if isinstance(rows, (str, Path)):
            rows = [rows]
        if isinstance(self.raw, TextColumn):
            return ["" if _absent(text) else text for text in rows], {}
        return _images(rows)

    def _decided(self, logits: FloatArray, reasons: dict[int, str]) -> Decisions:
        read = ~np.isnan(logits).any(axis=1)
        codes = np.full(len(logits), -1, dtype=np.int64)
        if len(self.classes) == 2 and self.threshold is not None:
            edge = np.log(self.threshold) - np.log1p(-self.threshold)
            codes[read] = logits[read, 1] - logits[read, 0] > edge
        else:
            codes[read] = logits[read].argmax(axis=1)
        return Decisions(codes, softmax(logits), reasons)

    def to_sklearn(self) -> Pipeline:
        """The model as a scikit-learn ``Pipeline`` that decides raw rows as it does.

        Raises:
            InputError: it is not linear on a table.
        """  # noqa: DOC502
        from evenhand.finetuning.export.sklearn_pipeline import to_sklearn

        return to_sklearn(self)

    def save(self, folder: str | Path) -> Path:
        """Write the model to a folder of its own, which :func:`evenhand.load` reads.

        Raises:
            InputError: the folder cannot be written.
        """  # noqa: DOC502
        from evenhand.finetuning.save_artefact import save

        return save(self, folder)

    def __repr__(self) -> str:
        reads = ", ".join(self.needs) or "arrays"
        return (
            f"FairModel({self.backbone.name}, decides {self.label}: {' or '.join(self.classes)}; "
            f"reads {reads}; needs no group)"
        )


def softmax(logits: FloatArray) -> FloatArray:
    """(n, k) probabilities of (n, k) logits."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    probabilities: FloatArray = shifted / shifted.sum(axis=1, keepdims=True)
    return probabilities


def _images(rows: Any) -> tuple[Sequence[Any], dict[int, str]]:
    """Images of paths, read as a run reads them; other items as they are."""
    items = list(rows)
    reasons: dict[int, str] = {}
    for row, item in enumerate(items):
        if isinstance(item, (str, Path)):
            try:
                Path(item).stat()
            except (OSError, ValueError) as error:
                reasons[row] = f"{item}: {getattr(error, 'strerror', None) or error}"
        elif _absent(item):
            reasons[row] = "no file is named"
    return ImagePaths(items), reasons


def _absent(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value))


def _is_table(items: Any) -> bool:
    return isinstance(items, np.ndarray) and items.ndim == 2
