"""What is asked of a comparison, as it is kept in config.yaml and run again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from evenhand.experiments.compare.comparison import REFERENCE
from evenhand.experiments.methods.registry import resolve
from evenhand.finetuning.request import FinetuneRequest
from evenhand.heads.selection.rule import MAX_COST, Rule, make_rule

OF_ONE_RUN = (
    "criterion",
    "confidence",
    "max_cost",
    "strength",
    "rank",
    "alpha",
    "adapter",
    "plain",
    "seed",
    "output",
    "bounds",
)
"""Options of one run that a comparison asks for in its own words, or not at all."""
FREE = ("seeds", "methods", "all_methods", "reference", "device", "batch_size")
"""What a second call in the same folder may ask otherwise: a cell does not depend on it."""


@dataclass(frozen=True)
class CompareRequest:
    """What is asked of a comparison.

    Attributes:
        asked: the task, its data and model.
        seeds: each with its own split and pre-training.
        methods: their names; None for all but those that take minutes on features this wide.
        rules: rules with bounds, each a further row of every method that has a knob.
        reference: (method, setting) of the paired differences.
        all_deep: every method reads the features of several depths, not ``evenhand`` alone.
    """

    asked: FinetuneRequest
    seeds: tuple[int, ...]
    methods: tuple[str, ...] | None = None
    rules: tuple[Rule, ...] = ()
    reference: tuple[str, str] = REFERENCE
    all_deep: bool = False

    @property
    def names(self) -> list[str]:
        """The methods to run, in the registry's order.

        Raises:
            InputError: an unknown method.
        """  # noqa: DOC502
        return [entry.name for entry in resolve(list(self.methods) if self.methods else None)]

    def to_config(self) -> dict[str, Any]:
        """Everything that was asked, as plain values for config.yaml."""
        of_the_task = {k: v for k, v in self.asked.to_config().items() if k not in OF_ONE_RUN}
        return of_the_task | {
            "bounds": [{str(b.criterion): b.limit for b in rule.bounds} for rule in self.rules],
            "confidence": [rule.confidence for rule in self.rules],
            "error": str(self.rules[0].error) if self.rules else self.asked.error,
            "seeds": list(self.seeds),
            "methods": self.names,
            "all_methods": self.methods is None,
            "reference": list(self.reference),
            "all_deep": self.all_deep,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> CompareRequest:
        """The request that :meth:`to_config` wrote.

        Raises:
            InputError: a value that cannot be.
            LookupError, TypeError, ValueError: a key is missing or of another form.
        """  # noqa: DOC502
        of_the_task = {k: v for k, v in config.items() if k not in ("bounds", "confidence")}
        rules = []
        for bounds, confidence in zip(config["bounds"], config["confidence"], strict=True):
            one = FinetuneRequest.from_config({"bounds": bounds, "confidence": confidence}).rule()
            rules.append(
                make_rule(
                    list(one.bounds), one.bounds[0].criterion, confidence, MAX_COST, config["error"]
                )
            )
        method, setting = map(str, config["reference"])
        return cls(
            replace(FinetuneRequest.from_config(of_the_task), output=None),
            tuple(map(int, config["seeds"])),
            None if config["all_methods"] else tuple(map(str, config["methods"])),
            tuple(rules),
            (method, setting),
            bool(config.get("all_deep", False)),
        )
