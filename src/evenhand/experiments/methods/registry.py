"""Everything a comparison runs, by name."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from evenhand.criteria import Criterion
from evenhand.errors import InputError

NARROW = 256
"""The most features that the peers with hundreds of plain fits are run on without being named."""


@dataclass(frozen=True)
class Entry:
    """A registered method.

    Attributes:
        name: what the results call it.
        summary: one line of what it is.
        target: ``"module:function"``; relative to this package.
        arguments: given, the function is a factory called with them; None, it is the method.
        extra: the optional dependencies it needs.
        binary: it knows two classes only.
        network: it needs the whole network, not only its features.
        slow: a fit takes seconds, so a comparison chooses its setting on the valid rows instead of
            by cross-fitting.
        widest: the most features it is run on without being named; above, it takes minutes.
        evens: the one criterion that a method of evenhand's own evens out and is cross-fitted for.
        knob: it has a knob for fairness, so that a bound can choose among its settings.
        by_rule: ``"module:function"`` from a problem and a rule to what it chooses by itself.
    """

    name: str
    summary: str
    target: str
    arguments: dict[str, Any] | None = None
    extra: str | None = None
    binary: bool = False
    network: bool = False
    slow: bool = False
    widest: int | None = None
    evens: Criterion | None = None
    knob: bool = True
    by_rule: str | None = None

    def too_wide(self, features: int) -> str | None:
        """Why a comparison of everything leaves it out at so many features; None: it does not."""
        if self.widest is None or features <= self.widest:
            return None
        return (
            f"d = {features}: above {self.widest} features it takes minutes; "
            "name it with --methods to run it"
        )

    def load(self) -> Any:
        """The method (:class:`~evenhand.experiments.methods.method.Method`), imported now."""
        found = _imported(self.target)
        return found if self.arguments is None else found(**self.arguments)

    def choose(self, problem: Any, rule: Any) -> Any:
        """What a method that chooses by itself fits by a rule with bounds; None for the others."""
        return None if self.by_rule is None else _imported(self.by_rule)(problem, rule)


def _imported(target: str) -> Any:
    module, _, function = target.partition(":")
    return getattr(importlib.import_module(module, __package__), function)


_ENTRIES = (
    Entry(
        "pretrained",
        "the pre-trained model as it is",
        "...finetuning.baselines:pretrained",
        knob=False,
    ),
    Entry(
        "transfer",
        "transfer learning: the head fine-tuned",
        "...finetuning.baselines:transfer",
        knob=False,
    ),
    Entry(
        "transfer-tuned",
        "transfer learning with the threshold of the lowest cross-fitted error",
        "...finetuning.baselines:transfer_tuned",
        knob=False,
    ),
    Entry(
        "svd",
        "f+SVD: plain SVD, factors fine-tuned",
        ".linear_heads:factorised",
        {"weights": None},
        knob=False,
    ),
    Entry(
        "fisher-svd",
        "FWSVD: weighted by the Fisher over all rows, blind to groups",
        ".linear_heads:factorised",
        {"weights": "group-agnostic"},
        knob=False,
    ),
    Entry(
        "neutralized-svd",
        "the paper's method: weighted by the groups' mean root Fisher",
        ".linear_heads:factorised",
        {"weights": "mean"},
        knob=False,
    ),
    Entry(
        "random-svd",
        "control: SVD with random row weights",
        ".linear_heads:factorised",
        {"weights": "random"},
        knob=False,
    ),
    Entry(
        "compressed",
        "low rank, centred, bias refitted, Kronecker-weighted, then fine-tuned",
        ".linear_heads:compressed",
        {},
        knob=False,
    ),
    Entry(
        "compressed-gap-dp",
        "the same with the demographic-parity soft-gap penalty",
        ".linear_heads:compressed",
        {"criterion": "demographic_parity", "strengths": (0.3, 1.0, 3.0)},
        knob=False,
    ),
    Entry(
        "untrained",
        "compressions of the pre-trained head as they are",
        ".linear_heads:untrained",
        knob=False,
    ),
    Entry(
        "gap-eo",
        "head with the equalized-odds soft-gap penalty",
        ".linear_heads:evened",
        {"criterion": "equalized_odds"},
        evens=Criterion.EQUALIZED_ODDS,
    ),
    Entry(
        "gap-dp",
        "head with the demographic-parity soft-gap penalty",
        ".linear_heads:evened",
        {"criterion": "demographic_parity"},
        evens=Criterion.DEMOGRAPHIC_PARITY,
    ),
    Entry(
        "gap-eopp",
        "head with the equal-opportunity soft-gap penalty",
        ".linear_heads:evened",
        {"criterion": "equal_opportunity"},
        evens=Criterion.EQUAL_OPPORTUNITY,
    ),
    Entry(
        "adapter-eo",
        "rank-1 adapter on the last hidden layer and head, equalized-odds penalty",
        ".adapters:adapted",
        {"criterion": "equalized_odds"},
        network=True,
        evens=Criterion.EQUALIZED_ODDS,
    ),
    Entry(
        "adapter-dp",
        "rank-1 adapter on the last hidden layer and head, demographic-parity penalty",
        ".adapters:adapted",
        {"criterion": "demographic_parity"},
        network=True,
        evens=Criterion.DEMOGRAPHIC_PARITY,
    ),
    Entry(
        "retrain-eo",
        "Retrain+EO: the whole network with a soft-gap regulariser",
        ".retrain:retrain",
        {"criterion": "equalized_odds"},
        network=True,
        slow=True,
    ),
    Entry(
        "retrain-dp",
        "Retrain+DP: the whole network with a soft-gap regulariser",
        ".retrain:retrain",
        {"criterion": "demographic_parity"},
        network=True,
        slow=True,
    ),
    Entry(
        "retrain-head-eo",
        "the same regulariser on the head alone",
        ".retrain:retrain_head",
        {"criterion": "equalized_odds"},
        slow=True,
    ),
    Entry(
        "retrain-head-dp",
        "the same regulariser on the head alone",
        ".retrain:retrain_head",
        {"criterion": "demographic_parity"},
        slow=True,
    ),
    Entry(
        "fairlora",
        "FairLoRA: low-rank factors on every layer, groups' losses alike",
        ".fairlora:fairlora",
        {},
        extra="peft",
        network=True,
        slow=True,
    ),
    Entry("reweighing", "Kamiran & Calders' weights", ".reweighing:reweighing", {}),
    Entry("dfr", "deep feature reweighting: balanced cells", ".worst_cells:dfr", {}),
    Entry("group-dro", "group DRO on the head, solved", ".worst_cells:group_dro", {}),
    Entry(
        "exponentiated-gradient",
        "Fairlearn's ExponentiatedGradient, scored by expectation",
        ".fairlearn_reductions:exponentiated_gradient",
        {},
        extra="baselines",
        binary=True,
        slow=True,
        widest=NARROW,
    ),
    Entry(
        "grid-search",
        "Fairlearn's GridSearch",
        ".fairlearn_reductions:grid_search",
        {},
        extra="baselines",
        binary=True,
        slow=True,
        widest=NARROW,
    ),
    Entry(
        "threshold-optimizer",
        "Fairlearn's ThresholdOptimizer; needs the group at prediction",
        ".fairlearn_threshold:threshold_optimizer",
        {},
        extra="baselines",
        binary=True,
    ),
    Entry(
        "oxonfair",
        "OxonFair, attribute-blind (two heads merged)",
        ".oxonfair:oxonfair",
        {},
        extra="baselines",
        binary=True,
        slow=True,
    ),
    Entry(
        "oxonfair-inferred",
        "OxonFair, attribute-blind (a threshold for every inferred group)",
        ".oxonfair:oxonfair_inferred",
        {},
        extra="baselines",
        binary=True,
        slow=True,
    ),
    Entry(
        "fairret",
        "fairret's norm penalty on the head",
        ".fairret:fairret",
        {},
        extra="baselines",
        binary=True,
        widest=NARROW,
    ),
    Entry("leace", "LEACE, then a head", ".leace:leace", extra="baselines"),
    Entry(
        "evenhand",
        "the default algorithm: the smallest ΔEO at a cost of at most half a point",
        ".evenhand:chosen",
        {"criterion": "equalized_odds"},
        knob=False,
        by_rule=".evenhand:fitted_by",
    ),
)


METHODS: dict[str, Entry] = {entry.name: entry for entry in _ENTRIES}
"""Every method by its name in the results."""


def resolve(names: list[str] | None = None) -> list[Entry]:
    """The entries called ``names``, in the registry's order; all of them by default.

    Raises:
        InputError: an unknown name.
    """
    for name in names or ():
        if name not in METHODS:
            raise InputError(f"unknown method {name!r}; the methods are {', '.join(METHODS)}")
    return [entry for entry in _ENTRIES if names is None or entry.name in names]
