"""Fine-tune a pre-trained model so that its decisions fall evenly on demographic groups.

Names are imported when first used: ``import evenhand`` alone loads nothing heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evenhand.auditing import audit
    from evenhand.bounds import Bound
    from evenhand.criteria import Criterion
    from evenhand.factorization import Factors, compress, factorize
    from evenhand.finetuning import Result, finetune
    from evenhand.fisher import GroupFisher, head_fisher
    from evenhand.gaps import gap_terms
    from evenhand.groups import Groups
    from evenhand.head import Head
    from evenhand.hooks import group_fisher
    from evenhand.inmodel.adaptation import adapt
    from evenhand.inmodel.loss import GapLoss, soft_gap_loss
    from evenhand.lowrank import LowRankLinear, factorize_, merge_, trainable_parameters
    from evenhand.metrics.counts import Counts
    from evenhand.neutralization import alpha_weights, neutralize
    from evenhand.rows import Rows
    from evenhand.saving import load
    from evenhand.select import Rule
    from evenhand.solver import fit_path

__version__ = "0.1.0"

_HOMES = {
    "Bound": "bounds",
    "Counts": "metrics.counts",
    "Criterion": "criteria",
    "Factors": "factorization",
    "GapLoss": "inmodel.loss",
    "GroupFisher": "fisher",
    "Groups": "groups",
    "Head": "head",
    "LowRankLinear": "lowrank",
    "Result": "finetuning",
    "Rows": "rows",
    "Rule": "select",
    "adapt": "inmodel.adaptation",
    "alpha_weights": "neutralization",
    "audit": "auditing",
    "compress": "factorization",
    "factorize": "factorization",
    "factorize_": "lowrank",
    "finetune": "finetuning",
    "fit_path": "solver",
    "gap_terms": "gaps",
    "group_fisher": "hooks",
    "head_fisher": "fisher",
    "load": "saving",
    "merge_": "lowrank",
    "neutralize": "neutralization",
    "soft_gap_loss": "inmodel.loss",
    "trainable_parameters": "lowrank",
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
