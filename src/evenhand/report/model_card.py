"""The model card: a Hugging Face README.md with metadata, updated and never overwritten."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from evenhand._base.files import write_atomically
from evenhand._base.markdown import markdown_table
from evenhand._base.text import number
from evenhand.errors import ArtefactError
from evenhand.metrics.gap_intervals import gap_interval
from evenhand.metrics.intervals import error_interval
from evenhand.report.card_metadata import CardFacts, merged
from evenhand.report.group_table import RATES, group_table
from evenhand.report.markup import bounds, markdown
from evenhand.report.record import UNCONVERGED, Record, Run
from evenhand.report.uncertainty import LIMITS, doubts

BEGIN = "<!-- evenhand:begin (what stands between these marks is replaced at the next run) -->"


END = "<!-- evenhand:end -->"


_BLOCK = re.compile(r"<!-- evenhand:begin\b.*?-->.*?<!-- evenhand:end -->", re.DOTALL)


_FRONT = re.compile(
    r"\A---[ \t]*\r?\n(.*?)(?:\r?\n)?^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE
)


MOST_GROUPS = 200


NOTHING_MORE = CardFacts()


def write(
    run: Run, folder: str | Path, *, name: str | None = None, facts: CardFacts = NOTHING_MORE
) -> Path:
    """Write or update README.md in ``folder``, beside a saved model.

    Args:
        run: the run that made the model.
        folder: the model's folder; an existing README.md keeps all that is not evenhand's.
        name: of the model, for the title and the model-index; the folder's name without.
        facts: what it says beside what the run measured.

    Raises:
        ArtefactError: an existing card has metadata that the hub does not read, or half of the
            marks.
        InputError: the folder cannot be written.
    """  # noqa: DOC502
    path = Path(folder) / "README.md"
    existing = path.read_text(encoding="utf-8") if path.is_file() else ""
    name = name or Path(folder).resolve().name
    return write_atomically(path, render(run, existing, name=name, facts=facts))


def render(
    run: Run, existing: str = "", *, name: str = "model", facts: CardFacts = NOTHING_MORE
) -> str:
    """The card of ``run``, keeping everything of an ``existing`` one that is not evenhand's.

    The block between evenhand's marks is replaced (added at the end where there is none); the
    metadata are merged: tags are joined, and of the model-index only evenhand's own results are
    replaced.

    Raises:
        ArtefactError: the existing card has evenhand's marks, but not one pair of them.
    """
    metadata, body = _split(existing)
    head = yaml.safe_dump(
        merged(metadata, run, name, facts), sort_keys=False, allow_unicode=True, width=100
    )
    block = f"{BEGIN}\n{_body(run, facts)}\n{END}"
    marks = len(re.findall("<!-- evenhand:(?:begin|end)", body))
    if marks not in (0, 2) or (marks == 2 and not _BLOCK.search(body)):
        raise ArtefactError(
            "the model card has evenhand's marks, but not one pair of them: "
            f"restore {BEGIN!r} and {END!r} around the old block, or delete both"
        )
    if marks:
        body = _BLOCK.sub(lambda _: block, body)
    elif body.strip():
        body = f"{body.rstrip()}\n\n{block}\n"
    else:
        body = f"# {markdown(name)}\n\n{block}\n"
    return f"---\n{head}---\n{body if body.startswith(chr(10)) else chr(10) + body}"


def _split(existing: str) -> tuple[dict[str, Any], str]:
    existing = existing.removeprefix("\ufeff")
    front = _FRONT.match(existing)
    if not front:
        return {}, existing
    try:
        metadata = yaml.safe_load(front[1]) or {}
    except yaml.YAMLError as error:
        raise ArtefactError(f"the model card's metadata are not YAML: {error}") from error
    if not isinstance(metadata, dict):
        raise ArtefactError("the model card's metadata are not a mapping of names to values")
    return metadata, existing[front.end() :]


def _body(run: Run, facts: CardFacts) -> str:
    record = run.after or run.before
    parts = [markdown(facts.decides)] if facts.decides else []
    if facts.usage:
        parts.append("## How to use")
        parts += [f"{markdown(said)}\n\n{_fenced(code)}" for said, code in facts.usage]
    if facts.promise:
        parts += ["## What is promised", *map(markdown, facts.promise)]
    parts += [
        "## Fairness on demographic groups",
        f"{markdown(run.asked)} {markdown(run.decided)}",
        _main_table(run),
        f"In plain words: {run.criterion.meaning.replace('|', chr(92) + '|')}. "
        "Figures are on the test rows, with 95 % intervals.",
        f"### Groups ({markdown(record.counts.attribute)})",
        _group_rows(record),
        "### Intended use",
        markdown(facts.intended)
        or f"The task it was fine-tuned on ({markdown(record.task)}), on rows like the test rows, "
        "where someone answers for each decision. Measure again before any other use or "
        "population: nothing here carries over by itself.",
        "### Limits",
        "The metrics cannot tell:",
        "\n".join(f"- {sentence}" for sentence in LIMITS),
        "What is uncertain:",
        "\n".join(f"- {markdown(sentence)}" for sentence in doubts(run)),
    ]
    if run.provenance:
        parts += ["### How it was made", "\n".join(_provenance(run.provenance))]
    return "\n\n".join(parts)


def _fenced(code: str) -> str:
    """Python in a fence that no name within can close."""
    longest = max(map(len, re.findall("`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}python\n{code}{fence}"


def _main_table(run: Run) -> str:
    symbol = run.criterion.symbol
    rows = []
    for when, record in (("before", run.before), ("after", run.after)):
        if record is None:
            continue
        error, gap = error_interval(record.counts), gap_interval(record.counts, run.criterion)
        name = markdown(f"{record.method} {record.setting}".strip())
        name += "" if record.converged else f" ({UNCONVERGED})"
        rows.append(
            (
                when,
                name,
                f"{number(error.estimate, 2)} ({bounds(error, 2)})",
                f"{number(gap.estimate)} ({bounds(gap)})",
                number(record.accuracy, 2),
            )
        )
    heads = ("", "method", "error (100 − weighted F1), %", symbol, "accuracy, %")
    return markdown_table(heads, rows)


def _group_rows(record: Record) -> str:
    frame = group_table(record.counts)
    many = frame["class"].nunique() > 1
    heads = ["group", *(["class"] if many else []), "rows"]
    heads += ["base rate", "selection rate", "TPR", "FPR", "precision", "accuracy"]
    rows = []
    for row in frame.head(MOST_GROUPS).to_dict(orient="records"):
        names = [row["group"], *([row["class"]] if many else [])]
        cells = [markdown(name) for name in names] + [f"{row['rows']:,}"]
        for rate in RATES:
            ends = (row[rate], row[f"{rate}_low"], row[f"{rate}_high"])
            cells.append(
                f"{number(row[rate])} ({bounds(ends, 2)})" if ends[0] == ends[0] else "n/a"
            )
        rows.append(cells)
    table = markdown_table(heads, rows)
    if len(frame) > MOST_GROUPS:
        table += f"\n\n{len(frame) - MOST_GROUPS} more rows are in result.json."
    return table


def _provenance(made: dict[str, Any], prefix: str = "") -> list[str]:
    lines = []
    for key, value in made.items():
        if isinstance(value, dict):
            lines += _provenance(value, f"{prefix}{key}.")
        else:
            lines.append(f"- {markdown(prefix + str(key))}: {markdown(value)}")
    return lines
