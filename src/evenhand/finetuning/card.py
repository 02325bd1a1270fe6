"""What the card of a run's model says beside what the run measured: use, promise, metadata."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pprint import pformat
from typing import TYPE_CHECKING, Any

from evenhand._base.text import listed, plain_number, visible
from evenhand.criteria import Criterion, in_words
from evenhand.report.card_metadata import CardFacts
from evenhand.tasks.example_row import example_row
from evenhand.tasks.raw import ImageColumn, TextColumn
from evenhand.tasks.table_encoder import TableEncoder

if TYPE_CHECKING:
    from evenhand.finetuning.fair_model import FairModel
    from evenhand.finetuning.result import Result
    from evenhand.report.record import Run

WIDEST = 30
"""Columns up to which a card shows an example of each."""

DOES = {
    "table": "tabular-classification",
    "text": "text-classification",
    "images": "image-classification",
}


def card_facts(result: Result, model: FairModel) -> CardFacts:
    """The facts of a result's card.

    Args:
        result: what fine-tuning gave.
        model: its model.
    """
    source = model.backbone.source
    kind = "table" if model.raw is None else model.raw.kind
    found = CardFacts(
        license=source.get("license", "unknown"),
        language=tuple(part for part in source.get("language", "").split(",") if part),
        base_model=source.get("base_model", ""),
        datasets=(result.stage.task,),
        pipeline_tag=DOES[kind],
        library_name=_library(model),
        decides=_decides(model),
        usage=tuple(_usage(model)),
        promise=tuple(_promised(result.run, model)),
    )
    given: Mapping[str, Any] = result.run.config.get("card") or {}
    return replace(found, **{key: _as_asked(key, value) for key, value in given.items()})


def _as_asked(key: str, value: Any) -> Any:
    return tuple(value) if key in ("language", "datasets") else value


def _library(model: FairModel) -> str:
    if _is_pooled(model):
        return "sentence-transformers"
    if hasattr(model.module, "save_pretrained"):
        return "transformers"
    return "evenhand"


def _is_pooled(model: FairModel) -> bool:
    return type(model.module).__name__ == "PooledEncoder"


def _decides(model: FairModel) -> str:
    if isinstance(model.raw, TableEncoder):
        reads = f"{len(model.needs)} columns ({listed(model.needs)})"
    else:
        reads = {"text": "a text", "images": "an image"}.get(
            "" if model.raw is None else model.raw.kind, "numbers as the network takes them"
        )
    return (
        f"Decides {model.label}: {' or '.join(model.classes)}, from {reads}. It reads no group, "
        "and needs none."
    )


def _usage(model: FairModel) -> list[tuple[str, str]]:
    """How the model is used, with evenhand and with its own library."""
    if model.raw is None:
        return []
    if isinstance(model.raw, TableEncoder):
        rows = f"rows = [{_example(model.raw)}]"
        said = "Rows are a frame of any library or a list of mappings; None is a missing value."
    elif isinstance(model.raw, TextColumn):
        rows, said = 'rows = ["one text", "and another one"]', "Rows are texts."
    else:
        rows, said = 'rows = ["photo.jpg"]', "Rows are images, or the paths of their files."
    order = visible(", ".join(model.classes))
    code = (
        "import evenhand as eh\n\n"
        'model = eh.load(".")  # this folder, all of it\n'
        f"{rows}\n"
        "decisions = model.predict(rows)\n"
        f"probabilities = model.predict_proba(rows)  # in the order {order}\n"
    )
    own = _own_library(model, rows)
    return [(f"{said} A whole file: evenhand predict . FILE -o scored.csv", code), *own]


def _own_library(model: FairModel, rows: str) -> list[tuple[str, str]]:
    """The same without evenhand, where a library of its own gives the same decisions."""
    length = getattr(model.backbone.prepare, "max_length", 0)
    if _is_pooled(model):
        said = "Without evenhand, in sentence-transformers; the embeddings are the model's logits:"
        code = (
            "from sentence_transformers import SentenceTransformer\n\n"
            f"{rows}\n"
            'logits = SentenceTransformer(".").encode(rows)\n'
            f"decisions = [{list(model.classes)!r}[row.argmax()] for row in logits]\n"
        )
        return [(said, code)]
    if not hasattr(model.module, "save_pretrained"):
        return []
    task = "image-classification" if isinstance(model.raw, ImageColumn) else "text-classification"
    more = "" if task.startswith("image") else f", truncation=True, max_length={length}"
    code = (
        "from transformers import pipeline\n\n"
        f'classify = pipeline("{task}", "."{more})\n'
        f"{rows}\n"
        "decisions = classify(rows)\n"
    )
    return [("Without evenhand, in transformers:", code)]


def _example(encoder: TableEncoder) -> str:
    """One row that the encoder reads: middles and categories of the training rows."""
    if len(encoder.columns) > WIDEST:
        return "dict.fromkeys(model.needs)"
    return pformat(example_row(encoder), sort_dicts=False, width=88).replace("\n", "\n       ")


def _promised(run: Run, model: FairModel) -> list[str]:
    promise = model.promise
    groups = f"the groups of {promise.attribute} ({listed(promise.groups)})"
    rows = f"{promise.rows['train'] + promise.rows['valid']:,}"
    measured = [
        _judged(criterion, promise.gaps[criterion], _confidence(run))
        for criterion in run.criteria
        if criterion in promise.gaps
    ]
    asked = " and ".join(in_words(c, limit) for c, limit in run.bounds.items())
    head = {
        True: f"Promised: {asked} between {groups}.",
        False: f"Not promised: {asked} between {groups}, which was asked for.",
        None: "Nothing is promised: no bound was asked for.",
    }[promise.kept]
    judged = f"On new rows drawn as the {rows} it was fitted and chosen on: {'; '.join(measured)}."
    ends = (
        "That says nothing of other groups, of single people, or of rows from another place or "
        "time; count again what it decides."
    )
    return [head, judged, ends]


def _judged(criterion: Criterion, gap: Mapping[str, float], confidence: str) -> str:
    bound = gap[criterion.bounded_by]
    if not math.isfinite(bound):
        return f"{criterion.symbol} could not be judged, for want of rows"
    return (
        f"{criterion.symbol} is estimated as {plain_number(gap['estimate'])}, and is "
        f"{criterion.side} {plain_number(bound)} with {confidence} confidence"
    )


def _confidence(run: Run) -> str:
    return f"{100 * float(run.config.get('confidence', 0.9)):g} %"
