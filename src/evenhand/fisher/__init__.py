"""The paper's verbs: group Fisher, neutralize, factorize, low-rank layers.

The verbs themselves are names of ``evenhand``; here is what goes with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evenhand._base.lazy import lazy_names

if TYPE_CHECKING:
    from evenhand.fisher.factorize import Factors, compress
    from evenhand.fisher.kronecker import kronecker_factors
    from evenhand.fisher.lowrank import trainable_parameters
    from evenhand.fisher.neutralize import alpha_weights

_HOMES = {
    "Factors": "evenhand.fisher.factorize",
    "compress": "evenhand.fisher.factorize",
    "kronecker_factors": "evenhand.fisher.kronecker",
    "alpha_weights": "evenhand.fisher.neutralize",
    "trainable_parameters": "evenhand.fisher.lowrank",
}

__all__ = ["Factors", "alpha_weights", "compress", "kronecker_factors", "trainable_parameters"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
