"""The paper's tables and figures as rows: what is printed, and ours beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from evenhand._base.text import number
from evenhand.experiments.compare.statistics import mean_interval
from evenhand.experiments.paper import printed
from evenhand.experiments.paper.claims import (
    CRITERION_METRIC,
    IMAGE_TASKS,
    RANK,
    TASK_NAMES,
    text_of,
)
from evenhand.experiments.paper.measured import METRICS, SYMBOLS, Side, summary
from evenhand.experiments.paper.printed import NOTHING, Printed
from evenhand.experiments.paper.sources import ADULT, DEPTHS, FAIR, MODELS, STRENGTHS
from evenhand.experiments.paper.variants import ALPHAS, OURS

OUR_STRENGTH = "1"
"""The strength of evenhand's fixed row on image tasks, where only a head moves: the middle of the
path .1 to 10."""


CHOSEN = "cost<=0.5"


@dataclass(frozen=True)
class Row:
    """One row of a table: its name, our side, and what is printed for it."""

    name: str
    side: Side
    printed: Printed = NOTHING
    ours: bool = False


def table3() -> list[Row]:
    """Adult: retraining with a regulariser, the method, and evenhand's own."""

    def side(method: str, setting: str) -> Side:
        return Side(ADULT.key, method, setting)

    rows = [
        Row("pre-trained as is", side("pretrained", "as-is"), printed.PRETRAINED),
        Row("transfer learning", side("transfer", "dense"), _bar("adult", "transfer")),
    ]
    for criterion in ("eo", "dp"):
        for strength in STRENGTHS:
            name = f"Retrain+{criterion.upper()} {number(strength, 1)}"
            setting = f"strength={strength:g}"
            said = printed.RETRAIN[criterion, strength]
            rows.append(Row(name, side(f"retrain-{criterion}", setting), said))
    for criterion in ("eo", "dp"):
        for strength in STRENGTHS:
            name = f"Retrain+{criterion.upper()} {number(strength, 1)}, head only"
            rows.append(Row(name, side(f"retrain-head-{criterion}", f"strength={strength:g}")))
    return [
        *rows,
        Row("f+SVD, rank 2", side("svd", RANK)),
        Row("the method, rank 2", side("neutralized-svd", RANK), printed.METHOD),
        Row("the method, rank 1", side("neutralized-svd", "1")),
        Row("control: random row weights, rank 2", side("random-svd", RANK)),
        Row("evenhand: head, gap EO .3", side("gap-eo", "0.3"), ours=True),
        Row(
            "evenhand: adapter, strength by cross-fitting",
            side("adapter-chosen", "cross-fitted"),
            ours=True,
        ),
        Row("evenhand: adapter, gap EO .3", side("adapter", OURS), ours=True),
    ]


def table4(tasks: Sequence[str]) -> list[Row]:
    """The method on deeper MLPs and other image models."""
    rows = []
    if "adult" in tasks:
        for source in DEPTHS:
            name = f"Adult, MLP-{source.layers}"
            rows += [
                Row(f"{name}: TL", Side(source.key, "transfer", "dense")),
                Row(f"{name}: f+SVD", Side(source.key, "svd", RANK)),
                Row(
                    f"{name}: the method",
                    Side(source.key, "neutralized-svd", RANK),
                    printed.DEPTH[source.layers],
                ),
                Row(f"{name}: evenhand, adapter", Side(source.key, "adapter", OURS), ours=True),
                Row(f"{name}: evenhand, chosen", Side(source.key, "evenhand", CHOSEN), ours=True),
            ]
    for task in _images(tasks):
        for model in MODELS:
            said = printed.IMAGES.get((task, model), NOTHING)
            if model == "resnet18":
                said = _bar(task, "neutralized-svd")
            name = f"{TASK_NAMES[task]}, {model}"
            key = f"{task}-{model}"
            rows += [
                Row(f"{name}: TL", Side(key, "transfer", "dense")),
                Row(f"{name}: the method", Side(key, "neutralized-svd", RANK), said),
                Row(f"{name}: evenhand", Side(key, "gap-eo", OUR_STRENGTH), ours=True),
            ]
    return rows


def figure4(tasks: Sequence[str]) -> list[Row]:
    """TL, f+SVD and the method, and evenhand's."""
    rows = []
    if "adult" in tasks:
        rows += [
            Row("Adult: TL", Side(ADULT.key, "transfer", "dense"), _bar("adult", "transfer")),
            Row("Adult: f+SVD", Side(ADULT.key, "svd", RANK)),
            Row("Adult: the method", Side(ADULT.key, "neutralized-svd", RANK), printed.METHOD),
            Row("Adult: evenhand", Side(ADULT.key, "adapter", OURS), ours=True),
        ]
    for task in _images(tasks):
        for model in MODELS:
            rows += _image_rows(task, model)
    return rows


def _image_rows(task: str, model: str) -> list[Row]:
    """A pre-fitted head, a fresh one and the pre-trained head's own rank: the paper says not."""
    key, name = f"{task}-{model}", f"{TASK_NAMES[task]}, {model}"
    own = model == "resnet18"

    def bar(method: str) -> Printed:
        return _bar(task, method) if own else NOTHING

    return [
        Row(f"{name}: TL", Side(key, "transfer", "dense"), bar("transfer")),
        Row(f"{name}: f+SVD, pre-fitted head", Side(key, "svd", RANK), bar("svd")),
        Row(
            f"{name}: the method, pre-fitted head",
            Side(key, "neutralized-svd", RANK),
            bar("neutralized-svd"),
        ),
        Row(f"{name}: f+SVD, fresh head", Side(key, "fresh-head", "svd")),
        Row(f"{name}: the method, fresh head", Side(key, "fresh-head", "neutralized-svd")),
        Row(f"{name}: f+SVD, pre-trained head's own rank", Side(key, "own-rank", "svd")),
        Row(
            f"{name}: the method, pre-trained head's own rank",
            Side(key, "own-rank", "neutralized-svd"),
        ),
        Row(f"{name}: control, random row weights", Side(key, "random-svd", RANK)),
        Row(f"{name}: evenhand, gap EO 1", Side(key, "gap-eo", OUR_STRENGTH), ours=True),
        Row(f"{name}: evenhand, chosen", Side(key, "evenhand", CHOSEN), ours=True),
    ]


def figure5() -> list[Row]:
    """The method over alpha on Adult."""
    return [
        Row(f"alpha {number(alpha, 1)}", Side(ADULT.key, "alpha", f"{alpha:g}")) for alpha in ALPHAS
    ]


def _images(tasks: Iterable[str]) -> list[str]:
    return [task for task in IMAGE_TASKS if task in tasks]


def _bar(task: str, method: str) -> Printed:
    return printed.FIGURE4.get((task, method), NOTHING)


def as_table(rows: Sequence[Row], frame: pd.DataFrame) -> pd.DataFrame:
    """Rows as text, the printed values beside ours: mean±std and the mean's 95 % interval."""
    shown = []
    for row in rows:
        line = {"row": row.name}
        for metric in METRICS:
            values = row.side.values(frame, metric)
            line[f"{SYMBOLS[metric]} printed"] = text_of(row.printed.get(metric), metric)
            line[f"{SYMBOLS[metric]} ours"] = summary(values, metric, interval=True)
        line["trains"] = number(row.side.parameters(frame), 0)
        shown.append(line)
    return pd.DataFrame(shown)


def as_numbers(rows: Sequence[Row], frame: pd.DataFrame) -> pd.DataFrame:
    """The same rows as numbers, for a CSV."""
    lines = []
    for row in rows:
        line: dict[str, object] = {"row": row.name, "source": row.side.source}
        line |= {"method": row.side.method, "setting": row.side.setting}
        for metric in METRICS:
            values = row.side.values(frame, metric)
            said = row.printed.get(metric)
            mean, low, high = mean_interval(values.to_numpy())
            line |= {
                f"{metric}_printed": said.mean if said else np.nan,
                f"{metric}_printed_std": said.std if said and said.std else np.nan,
                metric: mean,
                f"{metric}_std": values.std(ddof=1),
                f"{metric}_low": low,
                f"{metric}_high": high,
            }
        line["seeds"] = len(row.side.values(frame, "error"))
        line["trainable_parameters"] = row.side.parameters(frame)
        lines.append(line)
    return pd.DataFrame(lines)


def table2(frame: pd.DataFrame) -> pd.DataFrame:
    """Fair pre-trained models, fine-tuned: Err and the constrained gap, before and after."""
    shown = []
    for source in FAIR:
        criterion = str(source.criterion)
        metric = CRITERION_METRIC[criterion]
        said = printed.FAIR[criterion, source.strength]
        steps = [
            ("pre-trained", Side(source.key, "pretrained", "as-is"), said[:2]),
            ("then TL", Side(source.key, "transfer", "dense"), said[2:]),
            ("then TL, whole network", Side(source.key, "whole", "whole network"), (None, None)),
            ("then f+SVD", Side(source.key, "svd", RANK), (None, None)),
            ("then the method", Side(source.key, "neutralized-svd", RANK), (None, None)),
            (
                "then evenhand's guard",
                Side(source.key, f"guard-{criterion}", "guarded"),
                (None, None),
            ),
        ]
        for step, side, (error, bias) in steps:
            shown.append(
                {
                    "constraint": f"{criterion.upper()} {number(source.strength, 1)}",
                    "step": step,
                    "Err printed": text_of(error, "error"),
                    "Err ours": summary(side.values(frame, "error"), "error", interval=True),
                    "gap": SYMBOLS[metric],
                    "gap printed": text_of(bias, metric),
                    "gap ours": summary(side.values(frame, metric), metric, interval=True),
                }
            )
    return pd.DataFrame(shown)


def table2_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Table 2's rows as numbers."""
    rows = []
    for source in FAIR:
        criterion = str(source.criterion)
        before, after = (
            printed.FAIR[criterion, source.strength][:2],
            printed.FAIR[criterion, source.strength][2:],
        )
        metric = CRITERION_METRIC[criterion]
        name = f"{criterion.upper()} {number(source.strength, 1)}"
        for method, setting, values in (
            ("pretrained", "as-is", before),
            ("transfer", "dense", after),
            ("whole", "whole network", None),
            ("svd", RANK, None),
            ("neutralized-svd", RANK, None),
            (f"guard-{criterion}", "guarded", None),
        ):
            said = Printed(values[0], **{metric: values[1]}) if values else NOTHING
            rows.append(Row(f"{name}: {method}", Side(source.key, method, setting), said))
    return as_numbers(rows, frame)
