"""Transformers' ``Trainer`` with groups: the gap loss, group metrics, low-rank layers merged."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evenhand._base.distributed import ALONE, world
from evenhand.criteria import Criterion
from evenhand.errors import InputError, MissingExtraError
from evenhand.fisher.lowrank import LowRankLinear, merge_
from evenhand.groups import UNKNOWN, Groups
from evenhand.heads.gap_loss import BATCH_SOFTNESS, MEMORY, GapLoss, soft_gap_loss
from evenhand.heads.gaps import Softness
from evenhand.metrics.counts import Counts
from evenhand.metrics.rates import (
    accuracy,
    f1_error,
    false_positive_rate,
    gap,
    selection_rate,
    true_positive_rate,
)

try:
    import accelerate  # noqa: F401  (Trainer's own words for a missing one name no extra)
    from transformers import EvalPrediction, PreTrainedModel, Trainer
except ImportError as error:
    raise MissingExtraError("transformers with accelerate", "trainer", "FairTrainer") from error


FACTORS = "evenhand_lowrank.safetensors"
"""Beside the merged weights of a checkpoint: the low-rank factors, to resume from."""


class FairTrainer(Trainer):  # type: ignore[misc]
    """``transformers.Trainer`` whose model comes to decide evenly on groups.

    Every example carries an integer group beside its label (-1: unknown). The group is kept by the
    Trainer, taken off before the model is called, and used in three ways: the soft-gap penalty is
    added to the training loss; every evaluation reports group metrics; and layers made low-rank by
    :func:`evenhand.factorize_` are saved merged, so that ``from_pretrained`` loads a plain model
    of the same logits (their factors lie beside, for resuming; the penalty's running means
    start anew then). In several processes (torchrun, ``accelerate launch``) the penalty is that of
    all processes' batches together, and an evaluation counts each row once.

    Args:
        *args: as ``Trainer``'s; an evaluation reports ``err`` (100 - weighted F1, in %),
            ``accuracy``, ``delta_eo`` and ``delta_dp``, and for each group its ``rows``,
            ``selection_rate``, ``tpr`` and ``fpr`` (of the second of two classes), as
            ``eval_tpr_NAME``; NaN where there are no rows for a rate.
        groups: the key of the group in examples.
        group_names: the names of codes 0, 1, …; the codes themselves by default.
        criterion: what is to be even.
        strength: of the penalty; 0 only measures.
        beta: steepness of the soft decision; the criterion's own by default.
        memory: how many batches the penalty's running means reach back.
        **kwargs: as ``Trainer``'s; ``compute_metrics`` sees labels without groups.

    Raises:
        InputError: a strength below 0.
        MissingExtraError: (on import) transformers or accelerate is not installed.
    """

    def __init__(
        self,
        *args: Any,
        groups: str = "group",
        group_names: Sequence[str] | None = None,
        criterion: str | Criterion = Criterion.EQUALIZED_ODDS,
        strength: float = 1.0,
        beta: float | None = None,
        memory: float = MEMORY,
        **kwargs: Any,
    ) -> None:
        if not strength >= 0:
            raise InputError(f"the strength must be at least 0, found {strength}")
        super().__init__(*args, **kwargs)
        self.group_key = groups
        self.group_names = None if group_names is None else tuple(str(n) for n in group_names)
        self.criterion = Criterion.parse(criterion)
        self.strength, self.beta, self.memory = float(strength), beta, memory
        # A classifier's loss is a mean over its batch: Trainer shall divide it by the accumulation
        # steps, which it leaves out for any model that takes keyword arguments, used or not.
        self.model_accepts_loss_kwargs = False
        self.label_names: list[str] = [n for n in self.label_names if n != groups] + [groups]
        self._gap: GapLoss | None = None
        self._gap_of: Any = None
        self._counts: Counts | None = None
        self._users_metrics: Any = self.compute_metrics
        self.compute_metrics: Any = self._measure

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The task's loss; in training, plus strength × the soft-gap penalty.

        Raises:
            InputError: a training batch has no labels or no groups.
        """
        groups, labels = inputs.get(self.group_key), inputs.get("labels")
        plain = {name: value for name, value in inputs.items() if name != self.group_key}
        loss, outputs = super().compute_loss(
            model, plain, return_outputs=True, num_items_in_batch=num_items_in_batch
        )
        if model.training and self.strength:
            if groups is None or labels is None:
                missing = self.group_key if groups is None else "labels"
                raise InputError(
                    f"a training batch has no {missing!r}; its keys are {', '.join(inputs)}. "
                    "Give each example an integer under that key, and a collator that keeps it"
                )
            logits = outputs["logits"] if isinstance(outputs, Mapping) else outputs[1]
            penalty = self._penalty(logits, labels, groups)
            loss = loss + self.strength * penalty / self._shares
        return (loss, outputs) if return_outputs else loss

    def _penalty(self, logits: Tensor, labels: Tensor, groups: Tensor) -> Tensor:
        if self._gap_of is not self.train_dataset:
            self._gap, self._gap_of = self._gap_loss(), self.train_dataset
        if self._gap is None:
            return soft_gap_loss(
                logits,
                labels,
                groups,
                self.criterion,
                softness=replace(BATCH_SOFTNESS, beta=self.beta),
            )
        return self._gap(logits, labels, groups)

    def _gap_loss(self) -> GapLoss | None:
        """The penalty with all training rows' cells; None where the rows cannot be counted."""
        data = self.train_dataset
        if not hasattr(data, "__len__") or not hasattr(data, "__getitem__"):
            return None
        labels = _column(data, ("labels", "label", "label_ids"))
        codes = _column(data, (self.group_key,))
        names = self._names(codes)
        classes = tuple(str(k) for k in range(max(2, int(labels.max(initial=0)) + 1)))
        gap_loss = GapLoss(
            labels,
            Groups(codes, names, self.group_key),
            classes,
            self.criterion,
            softness=Softness(self.beta),
            memory=self.memory,
            world=world() if self.args.world_size > 1 else ALONE,
        )
        gap_loss.require_cells()
        return gap_loss

    def _names(self, codes: np.ndarray) -> tuple[str, ...]:
        """Names of all codes, made up for those that have none."""
        names = self.group_names or ()
        highest = int(codes.max(initial=UNKNOWN))
        return (*names, *(str(code) for code in range(len(names), highest + 1)))

    @property
    def _shares(self) -> int:
        """What the penalty is divided by where a user's loss is already, for accumulation."""
        if self.compute_loss_func is None or getattr(self, "loss_is_scaled_for_ga", None) is False:
            return 1
        steps = getattr(self, "current_gradient_accumulation_steps", None)
        return int(steps or self.args.gradient_accumulation_steps)

    def prediction_step(
        self, model: torch.nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        """As ``Trainer``'s; batches without groups, or without labels, are predicted too."""
        names = self.label_names
        if inputs.get("labels") is None:
            inputs = {name: value for name, value in inputs.items() if name != self.group_key}
        elif inputs.get(self.group_key) is None:
            self.label_names = [name for name in names if name != self.group_key]
        try:
            return super().prediction_step(model, inputs, *args, **kwargs)
        finally:
            self.label_names = names

    def _measure(self, found: EvalPrediction, compute_result: bool = True) -> dict[str, Any]:
        """Group metrics, then the user's own on labels without groups."""
        labels, groups = found.label_ids, None
        if isinstance(labels, tuple):
            *others, groups = labels
            labels = others[0] if len(others) == 1 else tuple(others)
        metrics: dict[str, Any] = {}
        if groups is not None and not isinstance(labels, tuple):
            metrics = self._group_metrics(found.predictions, labels, groups, compute_result)
        if self._users_metrics is not None:
            found.label_ids = labels
            found.elements = (found.predictions, labels, *found.elements[2:])
            more = {"compute_result": compute_result} if self.args.batch_eval_metrics else {}
            metrics |= self._users_metrics(found, **more) or {}
        return metrics

    def _group_metrics(
        self, predictions: Any, labels: Any, groups: Any, finished: bool
    ) -> dict[str, float]:
        logits = predictions[0] if isinstance(predictions, tuple) else predictions
        scores, truth, codes = (_array(part) for part in (logits, labels, groups))
        names = self._names(codes)
        before = self._counts
        if before is not None and len(before.group_names) > len(names):
            names = before.group_names
        classes = tuple(str(k) for k in range(scores.shape[1]))
        counts = Counts.of(
            truth, scores.argmax(axis=1), Groups(codes, names, self.group_key), classes
        )
        if before is not None:
            counts = _padded(before, names) + counts
        self._counts = None if finished else counts
        return group_metrics(counts) if finished else {}

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        own = self.accelerator.unwrap_model(self.model, keep_torch_compile=False)
        factors = _factors(own)
        if not factors:
            super()._save(output_dir, state_dict)
            return
        from safetensors.torch import save

        from evenhand._base.files import write_atomically

        kept: Any = self.model
        self.model: Any = merge_(copy.deepcopy(own))
        try:
            super()._save(output_dir)
        finally:
            self.model = kept
        if self.args.should_save:
            write_atomically(Path(output_dir or self.args.output_dir) / FACTORS, save(factors))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        _read_factors(self.model if model is None else model, resume_from_checkpoint)

    def _load_best_model(self) -> None:
        super()._load_best_model()
        _read_factors(self.model, self.state.best_model_checkpoint)

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        low = tuple(f"{path}." for path in _low_rank(self.model))

        def others(names: list[str]) -> list[str]:
            return [name for name in names if not name.startswith(low)]

        super()._issue_warnings_after_load(
            type(load_result)(others(load_result.missing_keys), others(load_result.unexpected_keys))
        )


def group_metrics(counts: Counts) -> dict[str, float]:
    """Flat metrics of counts, named as :class:`FairTrainer` reports them."""
    table = counts.table
    metrics = {
        "err": float(f1_error(counts.total)),
        "accuracy": float(accuracy(counts.total)),
        "delta_eo": float(gap(table, Criterion.EQUALIZED_ODDS)),
        "delta_dp": float(gap(table, Criterion.DEMOGRAPHIC_PARITY)),
        "rows_unknown_group": float(counts.unknown.sum()),
    }
    rates: dict[str, Callable[[np.ndarray], Any]] = {
        "selection_rate": selection_rate,
        "tpr": true_positive_rate,
        "fpr": false_positive_rate,
    }
    each = {kind: rate(table) for kind, rate in rates.items()}
    for g, group in enumerate(counts.group_names):
        metrics[f"rows_{group}"] = float(counts.sizes[g])
        for kind, values in each.items():
            if len(counts.class_names) == 2:
                metrics[f"{kind}_{group}"] = float(values[g, 1])
                continue
            for k, name in enumerate(counts.class_names):
                metrics[f"{kind}_{group}_{name}"] = float(values[g, k])
    return metrics


def _padded(counts: Counts, names: tuple[str, ...]) -> Counts:
    """The same counts with empty rows for groups that turned up later."""
    k = len(counts.class_names)
    table = np.zeros((len(names), k, k), dtype=counts.table.dtype)
    table[: len(counts.group_names)] = counts.table
    return Counts(table, counts.unknown, names, counts.class_names, counts.attribute)


def _array(values: Any) -> np.ndarray:
    return np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values)


def _column(data: Any, keys: Sequence[str]) -> np.ndarray:
    """(N,) one integer column of a dataset, read without its other columns where it can be."""
    columns = getattr(data, "column_names", None)
    key = next((key for key in keys if key in columns), None) if columns else None
    if key is not None:
        values = list(data[key])
    else:
        values = [_value(data[row], row, keys) for row in range(len(data))]
    found = np.asarray(values)
    if found.ndim != 1 or not np.issubdtype(found.dtype, np.integer):
        raise InputError(
            f"{keys[0]!r} must be one integer for each example (-1: unknown group), found "
            f"{found.dtype} of shape {found.shape}; give codes, and their names as group_names"
        )
    return found.astype(np.int64)


def _value(example: Any, row: int, keys: Sequence[str]) -> Any:
    for key in keys:
        if key in example:
            return example[key]
    raise InputError(
        f"example {row} of the training set has no {keys[0]!r}; its keys are {', '.join(example)}"
    )


def _low_rank(model: torch.nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, LowRankLinear)]


def _factors(model: torch.nn.Module) -> dict[str, Tensor]:
    """The tensors of the low-rank layers of a transformers model, by name."""
    if not isinstance(model, PreTrainedModel):
        return {}
    prefixes = tuple(f"{path}." for path in _low_rank(model))
    return {
        name: value.detach().cpu().contiguous().clone()
        for name, value in model.state_dict().items()
        if prefixes and name.startswith(prefixes)
    }


def _read_factors(model: torch.nn.Module, folder: str | None) -> None:
    from safetensors.torch import load

    path = Path(folder or "") / FACTORS
    if folder and path.is_file() and _low_rank(model):
        model.load_state_dict(load(path.read_bytes()), strict=False)
