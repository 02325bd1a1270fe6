"""Fine-tune a pre-trained model so that its decisions fall evenly on demographic groups.

Names are imported when first used: ``import evenhand`` alone loads nothing heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evenhand.auditing import audit
    from evenhand.criteria import Criterion
    from evenhand.finetuning.finetune import finetune
    from evenhand.finetuning.inmodel.adapt import adapt
    from evenhand.finetuning.result import Result
    from evenhand.fisher.factorize import Factors, compress, factorize
    from evenhand.fisher.head_fisher import head_fisher
    from evenhand.fisher.hooks import group_fisher
    from evenhand.fisher.lowrank import LowRankLinear, factorize_, merge_, trainable_parameters
    from evenhand.fisher.neutralize import alpha_weights, neutralize
    from evenhand.fisher.sums import GroupFisher
    from evenhand.groups import Groups
    from evenhand.head import Head
    from evenhand.heads.fit import fit_path
    from evenhand.heads.gap_loss import GapLoss, soft_gap_loss
    from evenhand.heads.gaps import gap_terms
    from evenhand.heads.selection.rule import Bound, Rule
    from evenhand.metrics.counts import Counts
    from evenhand.models.saving import load
    from evenhand.rows import Rows

__version__ = "0.1.0"

_HOMES = {
    "Bound": "heads.selection.rule",
    "Counts": "metrics.counts",
    "Criterion": "criteria",
    "Factors": "fisher.factorize",
    "GapLoss": "heads.gap_loss",
    "GroupFisher": "fisher.sums",
    "Groups": "groups",
    "Head": "head",
    "LowRankLinear": "fisher.lowrank",
    "Result": "finetuning.result",
    "Rows": "rows",
    "Rule": "heads.selection.rule",
    "adapt": "finetuning.inmodel.adapt",
    "alpha_weights": "fisher.neutralize",
    "audit": "auditing",
    "compress": "fisher.factorize",
    "factorize": "fisher.factorize",
    "factorize_": "fisher.lowrank",
    "finetune": "finetuning.finetune",
    "fit_path": "heads.fit",
    "gap_terms": "heads.gaps",
    "group_fisher": "fisher.hooks",
    "head_fisher": "fisher.head_fisher",
    "load": "models.saving",
    "merge_": "fisher.lowrank",
    "neutralize": "fisher.neutralize",
    "soft_gap_loss": "heads.gap_loss",
    "trainable_parameters": "fisher.lowrank",
}

__all__ = [
    "Bound",
    "Counts",
    "Criterion",
    "Factors",
    "GapLoss",
    "GroupFisher",
    "Groups",
    "Head",
    "LowRankLinear",
    "Result",
    "Rows",
    "Rule",
    "adapt",
    "alpha_weights",
    "audit",
    "compress",
    "factorize",
    "factorize_",
    "finetune",
    "fit_path",
    "gap_terms",
    "group_fisher",
    "head_fisher",
    "load",
    "merge_",
    "neutralize",
    "soft_gap_loss",
    "trainable_parameters",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"evenhand.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'evenhand' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
