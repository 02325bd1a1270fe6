"""Transformers' ``Trainer`` with groups: the gap loss, group metrics, low-rank layers merged."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from evenhand._base.distributed import ALONE, world
from evenhand._base.out_of_scope import refuse_model
from evenhand.criteria import Criterion
from evenhand.errors import InputError, MissingExtraError
from evenhand.fisher.lowrank import merge_
from evenhand.groups import Groups
from evenhand.heads.gap_loss import BATCH_SOFTNESS, MEMORY, GapLoss, soft_gap_loss
from evenhand.heads.gaps import Softness
from evenhand.integrations.trainer_codes import GroupCollator, group_codes
from evenhand.integrations.trainer_factors import (
    FACTORS,
    low_rank_paths,
    low_rank_tensors,
    read_factors,
)
from evenhand.integrations.trainer_gap import RemembersGap, without_weights
from evenhand.integrations.trainer_groups import GroupNames, require_both, training_rows
from evenhand.integrations.trainer_metrics import as_array, group_metrics, padded
from evenhand.metrics.counts import Counts

try:
    import accelerate  # noqa: F401  (Trainer's own words for a missing one name no extra)
    from transformers import EvalPrediction, Trainer
except ImportError as error:
    raise MissingExtraError("transformers with accelerate", "trainer", "FairTrainer") from error


class FairTrainer(RemembersGap, Trainer):  # type: ignore[misc]
    """``transformers.Trainer`` whose model comes to decide evenly on groups.

    Every example carries a group beside its label: an integer (-1: unknown), a ClassLabel's code,
    or a name (None: unknown), which becomes a code. The group is taken off before the model is
    called, and used in three ways: the soft-gap penalty is added to the training loss, and logged
    as ``gap``; every evaluation reports group metrics; and layers made low-rank by
    :func:`evenhand.factorize_` are saved merged, so that ``from_pretrained`` loads a plain model
    of the same logits (their factors and the penalty's means lie beside, for resuming). In several
    processes the penalty is of all their batches; an evaluation counts each row once.

    Args:
        *args: as ``Trainer``'s; an evaluation reports ``err`` (100 - weighted F1, in %),
            ``accuracy``, ``delta_eo`` and ``delta_dp``, and for each group its ``rows``,
            ``selection_rate``, ``tpr`` and ``fpr`` (of the second of two classes), as
            ``eval_tpr_NAME``; NaN where there are no rows for a rate.
        groups: the key of the group in examples.
        group_names: the names of codes 0, 1, …; by default those of a ClassLabel feature or of
            groups given by name, else the codes themselves.
        criterion: what is to be even.
        strength: of the penalty; 0 only measures.
        beta: steepness of the soft decision; the criterion's own by default.
        memory: how many batches the penalty's running means reach back.
        **kwargs: as ``Trainer``'s; ``compute_metrics`` and ``preprocess_logits_for_metrics`` see
            labels without groups.

    Raises:
        InputError, ModelError: a strength below 0, weights, a model that generates or estimates.
        MissingExtraError: (on import) transformers or accelerate is not installed.
    """

    if TYPE_CHECKING:  # what Trainer brings
        train_dataset: Any
        eval_dataset: Any

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
        super().__init__(*args, **without_weights(kwargs))
        refuse_model(self.model)
        self.group_key, self._names = groups, GroupNames(groups, group_names)
        if groups == getattr(self.model, "main_input_name", None):
            raise InputError(f"groups={groups!r} is what the model reads: name the groups' own key")
        self.data_collator: Any = GroupCollator(self.data_collator, groups, self._names.code_of)
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
        self._users_preprocess: Any = self.preprocess_logits_for_metrics
        if self._users_preprocess is not None:
            self.preprocess_logits_for_metrics: Any = self._with_decisions

    @property
    def group_names(self) -> tuple[str, ...] | None:
        """The names of codes 0, 1, …, given or learnt; None where codes are all there is."""
        return self._names.names

    def get_train_dataloader(self) -> Any:
        """As ``Trainer``'s, groups' names as codes."""
        self.train_dataset = self._names.coded(self.train_dataset)
        return super().get_train_dataloader()

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """As ``Trainer``'s, groups' names as codes."""
        self.eval_dataset = self._names.coded(self.eval_dataset)
        return super().get_eval_dataloader(self._names.coded(eval_dataset))

    def get_test_dataloader(self, test_dataset: Any) -> Any:
        """As ``Trainer``'s, groups' names as codes."""
        return super().get_test_dataloader(self._names.coded(test_dataset))

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """As ``Trainer``'s; the decisions kept for the group metrics are not handed on."""
        output = super().evaluation_loop(*args, **kwargs)
        if self._users_preprocess is not None and isinstance(output.predictions, tuple):
            output = output._replace(predictions=output.predictions[0])
        return output

    def _with_decisions(self, logits: Any, labels: Any) -> tuple[Any, Tensor]:
        """What the user's ``preprocess_logits_for_metrics`` gives, and the decisions beside it."""
        if isinstance(labels, tuple) and len(labels) == len(self.label_names):
            *others, _ = labels
            labels = others[0] if len(others) == 1 else tuple(others)
        raw = logits[0] if isinstance(logits, tuple) else logits
        self._number_of_classes = int(raw.shape[-1])
        return self._users_preprocess(logits, labels), raw.argmax(dim=-1)

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
        """  # noqa: DOC502
        groups, labels = inputs.get(self.group_key), inputs.get("labels")
        plain = {name: value for name, value in inputs.items() if name != self.group_key}
        if model.training and self.strength:
            require_both(groups, labels, (self.group_key, *inputs))
            if self._gap_of is not self.train_dataset:
                self._gap, self._gap_of = self._resumed(self._gap_loss()), self.train_dataset
        loss, outputs = super().compute_loss(
            model, plain, return_outputs=True, num_items_in_batch=num_items_in_batch
        )
        if model.training and self.strength:
            logits = outputs["logits"] if isinstance(outputs, Mapping) else outputs[1]
            penalty = self._noted(self._penalty(logits, labels, groups))
            loss = loss + self.strength * penalty / self._shares
        return (loss, outputs) if return_outputs else loss

    def _penalty(self, logits: Tensor, labels: Any, groups: Any) -> Tensor:
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
        outputs = getattr(getattr(self.model, "config", None), "num_labels", None)
        labels, groups, classes = training_rows(data, self._names, outputs)
        gap_loss = GapLoss(
            labels,
            groups,
            classes,
            self.criterion,
            softness=Softness(self.beta),
            memory=self.memory,
            world=world() if self.args.world_size > 1 else ALONE,
        )
        gap_loss.require_cells()
        return gap_loss

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
        if self._users_preprocess is not None:
            found.predictions, decisions = found.predictions
            decisions = as_array(decisions)
        else:
            first = found.predictions
            scores = as_array(first[0] if isinstance(first, tuple) else first)
            self._number_of_classes, decisions = scores.shape[-1], scores.argmax(axis=-1)
        metrics: dict[str, Any] = {}
        if groups is not None and not isinstance(labels, tuple):
            metrics = self._group_metrics(decisions, labels, groups, compute_result)
        if self._users_metrics is not None:
            found.label_ids = labels
            found.elements = (found.predictions, labels, *found.elements[2:])
            more = {"compute_result": compute_result} if self.args.batch_eval_metrics else {}
            metrics |= self._users_metrics(found, **more) or {}
        return metrics

    def _group_metrics(
        self, decisions: np.ndarray, labels: Any, groups: Any, finished: bool
    ) -> dict[str, float]:
        truth, codes = as_array(labels), group_codes(as_array(groups), self.group_key)
        names = self._names.of(codes)
        before = self._counts
        if before is not None and len(before.group_names) > len(names):
            names = before.group_names
        classes = tuple(str(k) for k in range(self._number_of_classes))
        counts = Counts.of(truth, decisions, Groups(codes, names, self.group_key), classes)
        if before is not None:
            counts = padded(before, names) + counts
        self._counts = None if finished else counts
        return group_metrics(counts) if finished else {}

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        own = self.accelerator.unwrap_model(self.model, keep_torch_compile=False)
        factors = low_rank_tensors(own)
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
        read_factors(self.model if model is None else model, resume_from_checkpoint)

    def _load_best_model(self) -> None:
        super()._load_best_model()
        read_factors(self.model, self.state.best_model_checkpoint)

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        low = tuple(f"{path}." for path in low_rank_paths(self.model))

        def others(names: list[str]) -> list[str]:
            return [name for name in names if not name.startswith(low)]

        super()._issue_warnings_after_load(
            type(load_result)(others(load_result.missing_keys), others(load_result.unexpected_keys))
        )
