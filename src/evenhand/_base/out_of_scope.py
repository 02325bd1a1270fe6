"""What evenhand does not do, refused by name, with what to use instead.

It evens out decisions among classes, each a share of rows that can be counted by group.
"""

from __future__ import annotations

from typing import Any

from evenhand.errors import InputError, ModelError

REGRESSION = (
    "estimating a number is regression, which is out of scope here: cut the number into the "
    "classes that are decided by it, or bound each group's loss with fairlearn's "
    "ExponentiatedGradient and its BoundedGroupLoss"
)
RANKING = (
    "putting rows in order is ranking, which is out of scope here: audit the decision made with "
    "the order (shortlisted or not) as a class, or re-rank with FA*IR (package fairsearchcore)"
)
GENERATION = (
    "writing texts or images is generation, which is out of scope here: classify what is written "
    "and audit that by group, or measure the model with Hugging Face's evaluate (its regard, "
    "toxicity and honest)"
)
NAMED = {
    "regression": REGRESSION,
    "ranking": RANKING,
    "learning-to-rank": RANKING,
    "recommendation": RANKING,
    "generation": GENERATION,
    "text-generation": GENERATION,
    "text2text-generation": GENERATION,
    "summarization": GENERATION,
    "translation": GENERATION,
}
"""Kinds of task by the names they go by."""


def refuse_task(name: Any) -> None:
    """Refuse a kind of task that is named and not done here.

    Raises:
        InputError: it is one.
    """
    asked = str(name).strip().lower().replace("_", "-").replace(" ", "-")
    if asked in NAMED:
        raise InputError(f"task {asked}: {NAMED[asked]}")


def refuse_model(model: Any) -> None:
    """Refuse a transformers model that generates, or whose head estimates a number.

    Args:
        model: any module; one without transformers' configuration is let pass.

    Raises:
        ModelError: it is one.
    """
    name, config = type(model).__name__, getattr(model, "config", None)
    generates = getattr(model, "can_generate", None)
    if config is not None and callable(generates) and generates() is True:
        raise ModelError(f"{name} generates: {GENERATION}")
    if getattr(config, "problem_type", None) == "regression":
        raise ModelError(f"{name} has the problem type regression: {REGRESSION}")
    if getattr(config, "num_labels", None) == 1 and name.endswith("ForSequenceClassification"):
        raise ModelError(f"{name} has one output, num_labels=1: {REGRESSION}")
