"""A model card's metadata, as the Hugging Face hub reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from evenhand._base.text import visible
from evenhand.criteria import STANDARD
from evenhand.errors import ArtefactError
from evenhand.report.files import plain
from evenhand.report.record import Run

SOURCE = "evenhand"
PAPER = "https://arxiv.org/abs/2403.00625"


@dataclass(frozen=True)
class CardFacts:
    """What a card says of a model beside what the run measured.

    Attributes:
        license: of the model, as the hub names licences, such as ``"apache-2.0"``.
        language: of its texts, as ISO 639 codes.
        base_model: what it was fine-tuned from, as the hub names it.
        datasets: what it was fine-tuned on.
        pipeline_tag: the hub's name of what it does, such as ``"text-classification"``.
        library_name: the library that loads it.
        intended: what it is for; a general sentence without.
        decides: a sentence: what it decides, from what.
        usage: how it is used: a sentence and its code, for each way.
        promise: what is promised of it, in sentences.
    """

    license: str = ""
    language: tuple[str, ...] = ()
    base_model: str = ""
    datasets: tuple[str, ...] = ()
    pipeline_tag: str = ""
    library_name: str = ""
    intended: str = ""
    decides: str = ""
    usage: tuple[tuple[str, str], ...] = ()
    promise: tuple[str, ...] = ()


def merged(existing: dict[str, Any], run: Run, name: str, facts: CardFacts) -> dict[str, Any]:
    """The metadata of a card: those that are there stay, evenhand's own results are new.

    Args:
        existing: the metadata of a card that is there; {} without.
        run: whose results they hold.
        name: of the model, in the model-index.
        facts: the rest.

    Raises:
        ArtefactError: the existing ones are not what the hub reads.
    """
    from huggingface_hub import ModelCardData

    own = ModelCardData(
        license=facts.license or None,
        language=list(facts.language) or None,
        base_model=facts.base_model or None,
        datasets=list(facts.datasets) or None,
        pipeline_tag=facts.pipeline_tag or None,
        library_name=facts.library_name or None,
    ).to_dict()
    found = {**own, **existing}
    tags = found.get("tags") or []
    tags = [tags] if isinstance(tags, str) else list(tags)
    found["tags"] = tags + [tag for tag in ("evenhand", "fairness") if tag not in tags]
    try:
        index = [dict(entry) for entry in found.get("model-index") or []]
        mine = next((entry for entry in index if entry.get("name") == name), None)
        if mine is None:
            mine = {"name": name, "results": []}
            index.append(mine)
        others = [r for r in mine.get("results") or [] if not _is_own(r)]
        mine["results"] = [*others, *_results(run, name, facts)]
        found["model-index"] = index
        for entry in index:
            ModelCardData(**found | {"model-index": [entry]})  # it reads one model's at a time
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtefactError(
            f"the model card's metadata are not what the hub reads: {error}; mend its model-index, "
            "or remove it"
        ) from error
    return found


def _is_own(result: dict[str, Any]) -> bool:
    return (result.get("source") or {}).get("name") == SOURCE


def _results(run: Run, name: str, facts: CardFacts) -> list[dict[str, Any]]:
    """The measures of the model as the model-index holds them."""
    from huggingface_hub import EvalResult
    from huggingface_hub.repocard_data import eval_results_to_model_index

    record = run.after or run.before
    values = [
        ("accuracy", "Accuracy", record.accuracy / 100),
        ("f1", "Weighted F1", 1 - record.error / 100),
        *((kind.value, f"{kind.symbol} ({kind.words} gap)", record.gap(kind)) for kind in STANDARD),
    ]
    task = visible(record.task)
    measured = [
        EvalResult(
            task_type=facts.pipeline_tag or "tabular-classification",
            dataset_type=task,
            dataset_name=task,
            dataset_split="test",
            metric_type=kind,
            metric_name=title,
            metric_value=round(float(value), 5),
            source_name=SOURCE,
            source_url=PAPER,
        )
        for kind, title, value in values
        if np.isfinite(value)
    ]
    results: list[dict[str, Any]] = plain(
        eval_results_to_model_index(name, measured)[0]["results"] if measured else []
    )
    return results
