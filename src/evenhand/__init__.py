"""Fine-tune a pre-trained model so that its decisions fall evenly on demographic groups.

Names are imported when first used: ``import evenhand`` alone loads nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evenhand._base.lazy import lazy_names

if TYPE_CHECKING:
    from evenhand import fisher, heads, integrations, metrics, models, tasks
    from evenhand.auditing.result import Audit
    from evenhand.auditing.run import audit
    from evenhand.auditing.watching.watch import watch
    from evenhand.criteria import Criterion
    from evenhand.experiments.compare.comparison import Comparison
    from evenhand.experiments.compare.run import compare
    from evenhand.experiments.sweep import sweep
    from evenhand.finetuning.artefact import load
    from evenhand.finetuning.fair_model import FairModel
    from evenhand.finetuning.finetune import finetune
    from evenhand.finetuning.inmodel.adapt import adapt
    from evenhand.finetuning.plan import Plan, plan
    from evenhand.finetuning.predict import predict
    from evenhand.finetuning.result import Result
    from evenhand.finetuning.save_artefact import save
    from evenhand.finetuning.several_labels import LabelResults, finetune_labels
    from evenhand.fisher.factorize import factorize
    from evenhand.fisher.head_fisher import head_fisher
    from evenhand.fisher.hooks import group_fisher
    from evenhand.fisher.lowrank import LowRankLinear, factorize_, merge_
    from evenhand.fisher.neutralize import neutralize
    from evenhand.fisher.sums import GroupFisher
    from evenhand.groups import Groups
    from evenhand.heads.gap_loss import GapLoss, soft_gap_loss
    from evenhand.heads.selection.rule import Bound, Rule
    from evenhand.metrics import Counts
    from evenhand.models.deep_readout import DeepReadout
    from evenhand.tasks import Task
    from evenhand.weights import Weights

__version__ = "0.1.0"

_HOMES = {
    # verbs
    "finetune": "evenhand.finetuning.finetune",
    "finetune_labels": "evenhand.finetuning.several_labels",
    "compare": "evenhand.experiments.compare.run",
    "sweep": "evenhand.experiments.sweep",
    "plan": "evenhand.finetuning.plan",
    "audit": "evenhand.auditing.run",
    "watch": "evenhand.auditing.watching.watch",
    "adapt": "evenhand.finetuning.inmodel.adapt",
    "predict": "evenhand.finetuning.predict",
    "load": "evenhand.finetuning.artefact",
    "save": "evenhand.finetuning.save_artefact",
    # what goes in
    "Task": "evenhand.tasks",
    "Groups": "evenhand.groups",
    "Weights": "evenhand.weights",
    # what is asked
    "Bound": "evenhand.heads.selection.rule",
    "Rule": "evenhand.heads.selection.rule",
    "Criterion": "evenhand.criteria",
    # what comes out
    "Result": "evenhand.finetuning.result",
    "LabelResults": "evenhand.finetuning.several_labels",
    "FairModel": "evenhand.finetuning.fair_model",
    "DeepReadout": "evenhand.models.deep_readout",
    "Audit": "evenhand.auditing.result",
    "Plan": "evenhand.finetuning.plan",
    "Comparison": "evenhand.experiments.compare.comparison",
    "Counts": "evenhand.metrics",
    # the paper's verbs
    "head_fisher": "evenhand.fisher.head_fisher",
    "group_fisher": "evenhand.fisher.hooks",
    "GroupFisher": "evenhand.fisher.sums",
    "neutralize": "evenhand.fisher.neutralize",
    "factorize": "evenhand.fisher.factorize",
    "factorize_": "evenhand.fisher.lowrank",
    "merge_": "evenhand.fisher.lowrank",
    "LowRankLinear": "evenhand.fisher.lowrank",
    # training by any loop
    "GapLoss": "evenhand.heads.gap_loss",
    "soft_gap_loss": "evenhand.heads.gap_loss",
    # rooms with a door of their own
    "fisher": "evenhand.fisher",
    "heads": "evenhand.heads",
    "integrations": "evenhand.integrations",
    "metrics": "evenhand.metrics",
    "models": "evenhand.models",
    "tasks": "evenhand.tasks",
}

__all__ = [
    "Audit",
    "Bound",
    "Comparison",
    "Counts",
    "Criterion",
    "DeepReadout",
    "FairModel",
    "GapLoss",
    "GroupFisher",
    "Groups",
    "LabelResults",
    "LowRankLinear",
    "Plan",
    "Result",
    "Rule",
    "Task",
    "Weights",
    "adapt",
    "audit",
    "compare",
    "factorize",
    "factorize_",
    "finetune",
    "finetune_labels",
    "fisher",
    "group_fisher",
    "head_fisher",
    "heads",
    "integrations",
    "load",
    "merge_",
    "metrics",
    "models",
    "neutralize",
    "plan",
    "predict",
    "save",
    "soft_gap_loss",
    "sweep",
    "tasks",
    "watch",
]

if not TYPE_CHECKING:  # a type checker shall miss what is not here
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
