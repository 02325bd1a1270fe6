"""The paper's claims, each with its lines of evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from evenhand._base.text import number
from evenhand.experiments.paper import printed
from evenhand.experiments.paper.measured import METRICS, SYMBOLS, Side, differences, summary
from evenhand.experiments.paper.printed import Printed, Value
from evenhand.experiments.paper.sources import ADULT, FAIR, MODELS, STRENGTHS
from evenhand.experiments.paper.variants import ALPHAS, OURS
from evenhand.experiments.paper.verdicts import MARGINS, Array, Evidence, Kind, welch_interval
from evenhand.fisher.sums import GroupFisher

RANK = "2"
"""The method's rank: 46 parameters on Adult (section 4) are rank 2's 26 and the 20 of W."""


TASK_NAMES = {"adult": "Adult", "lfwa": "LFW+a", "celeba": "CelebA"}


IMAGE_TASKS = ("lfwa", "celeba")


CRITERION_METRIC = {"eo": "delta_eo", "dp": "delta_dp"}


OVER_TL = "The method is fairer and errs less than transfer learning"


OVER_SVD = "The method is fairer and errs less than f+SVD"


OVER_RETRAIN = "The method errs less than retraining with a regulariser"


KEPT = "Fine-tuned by the method, a fair model stays fair"


BIAS_BACK = "Fine-tuning brings bias back into a fair model"


ALPHA = "Weighing one group's importance more (alpha) changes error and gaps"


IMAGES_MORE = "Images gain more than tables"


FEWER = "93.8 % fewer parameters train than the network has"


FEWER_THAN_HEAD = "Fewer parameters train than in transfer learning's head"


DIFFER = "The groups' importances differ in size"


DIFFER_IN_SHAPE = "The groups' importances differ in shape, which is what a weighting uses"


OURS_BETTER = "evenhand: the adapter at strength .3 is fairer than transfer learning"


OURS_PRINTED = "evenhand: the adapter at strength .3 is better than the method's printed row"


OURS_KEPT = "evenhand: fine-tuned with the guard, a fair model stays fair"


OURS_KEPT_ERROR = "evenhand: fine-tuned with the guard, a fair model errs no more"


@dataclass(frozen=True, eq=False)
class Measured:
    """What the claims are judged on.

    Attributes:
        frame: all results.
        fishers: Adult's group Fisher by seed.
        reasons: source key (or source and method) to why it was not run.
    """

    frame: pd.DataFrame
    fishers: Mapping[int, GroupFisher] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)

    def why_not(self, source: str) -> str:
        """Why a source has no results; empty where it was not asked for."""
        return self.reasons.get(source, "")


def claims(measured: Measured) -> list[Evidence]:
    """Every line of evidence for the paper's claims, in the order of the page."""
    return [
        *_over(measured, OVER_TL, "transfer", "dense", METRICS),
        *_over(measured, OVER_SVD, "svd", RANK, METRICS),
        *_over_retrain(measured),
        *_kept(measured, KEPT, "neutralized-svd", RANK),
        *_bias_back(measured),
        *_alpha(measured),
        *_images_more(measured),
        *_fewer(measured),
        *_differ(measured),
    ]


def own_claims(measured: Measured) -> list[Evidence]:
    """The same questions asked of evenhand."""
    ours = Side(ADULT.key, "adapter", OURS)
    frame = measured.frame
    lines = [
        _line(measured, OURS_BETTER, "Adult", metric, (ours, _transfer(ADULT.key)), "", kind)
        for metric, kind in zip(METRICS, (Kind.KEPT, Kind.LOWER, Kind.LOWER), strict=True)
    ]
    for metric in METRICS:
        target = printed.METHOD.get(metric)
        values = ours.values(frame, metric)
        if target is not None:
            lines.append(
                Evidence(
                    OURS_PRINTED,
                    f"Adult, {SYMBOLS[metric]}: adapter - printed",
                    metric,
                    text_of(target, metric),
                    summary(values, metric),
                    list(values - target.mean),
                    Kind.BELOW,
                    0.0,
                )
            )
    for source in FAIR:
        criterion = str(source.criterion)
        guard = Side(source.key, f"guard-{criterion}", "guarded")
        before = Side(source.key, "pretrained", "as-is")
        name = f"{criterion.upper()} {number(source.strength, 1)}"
        for claim, metric in (
            (OURS_KEPT, CRITERION_METRIC[criterion]),
            (OURS_KEPT_ERROR, "error"),
        ):
            lines.append(
                _line(measured, claim, f"Adult, {name}", metric, (guard, before), "", Kind.KEPT)
            )
    return lines


def text_of(value: Value | None, metric: str) -> str:
    """A printed value as text: ``15.829±.340``, ``~16.5`` where it was read off."""
    if value is None:
        return ""
    if value.read_off:
        digits = 1 if metric == "error" else 2
        return f"~{number(value.mean, digits)}"
    text = number(value.mean, 3)
    return text if value.std is None else f"{text}±{number(value.std, 3)}"


def _transfer(source: str) -> Side:
    return Side(source, "transfer", "dense")


def _line(
    measured: Measured,
    claim: str,
    what: str,
    metric: str,
    sides: tuple[Side, Side],
    said: str,
    kind: Kind,
    names: tuple[str, str] | None = None,
) -> Evidence:
    ours, against = sides
    frame = measured.frame
    first, second = names or (ours.method, against.method)
    apart = differences(frame, ours, against, metric)
    values = [summary(side.values(frame, metric), metric) for side in (ours, against)]
    shown = " vs ".join(values) if len(apart) else ""
    return Evidence(
        claim,
        f"{what}, {SYMBOLS[metric]}: {first} - {second}",
        metric,
        said,
        shown,
        list(apart),
        kind,
        MARGINS[metric],
        measured.why_not(ours.source),
    )


def _said(ours: Printed | None, against: Printed | None, metric: str) -> str:
    """``15.829±.340 vs ~16.5``."""
    values = [text_of(side.get(metric), metric) if side else "" for side in (ours, against)]
    return " vs ".join(values) if all(values) else ""


def _over(
    measured: Measured, claim: str, method: str, setting: str, metrics: tuple[str, ...]
) -> Iterator[Evidence]:
    bars = printed.FIGURE4
    places = [("adult", ADULT.key, "Adult")]
    places += [
        (task, f"{task}-{model}", f"{TASK_NAMES[task]}, {model}")
        for task in IMAGE_TASKS
        for model in MODELS
    ]
    for task, source, what in places:
        own = model_is_papers(source)
        ours = bars.get((task, "neutralized-svd")) if own else None
        against = bars.get((task, method)) if own else None
        for metric in metrics:
            yield _line(
                measured,
                claim,
                what,
                metric,
                (Side(source, "neutralized-svd", RANK), Side(source, method, setting)),
                _said(ours, against, metric),
                Kind.LOWER,
                ("method", "TL" if method == "transfer" else "f+SVD"),
            )


def model_is_papers(source: str) -> bool:
    """Whether Fig. 4 prints bars for this source: Adult's MLP-2 and ResNet-18."""
    return source == ADULT.key or source.endswith("resnet18")


def _over_retrain(measured: Measured) -> Iterator[Evidence]:
    ours = Side(ADULT.key, "neutralized-svd", RANK)
    for criterion in ("eo", "dp"):
        for strength in STRENGTHS:
            against = Side(ADULT.key, f"retrain-{criterion}", f"strength={strength:g}")
            said = _said(printed.METHOD, printed.RETRAIN[criterion, strength], "error")
            name = f"Retrain+{criterion.upper()} {number(strength, 1)}"
            yield _line(
                measured,
                OVER_RETRAIN,
                "Adult",
                "error",
                (ours, against),
                said,
                Kind.LOWER,
                ("method", name),
            )


def _kept(measured: Measured, claim: str, method: str, setting: str) -> Iterator[Evidence]:
    for source in FAIR:
        criterion = str(source.criterion)
        yield _line(
            measured,
            claim,
            f"Adult, pre-trained with {criterion.upper()} {number(source.strength, 1)}",
            CRITERION_METRIC[criterion],
            (Side(source.key, method, setting), Side(source.key, "pretrained", "as-is")),
            "",
            Kind.KEPT,
            ("method", "before"),
        )


def _bias_back(measured: Measured) -> Iterator[Evidence]:
    for method, setting, name in (
        ("transfer", "dense", "TL"),
        ("whole", "whole network", "TL of the whole network"),
    ):
        for source in FAIR:
            criterion = str(source.criterion)
            metric = CRITERION_METRIC[criterion]
            _, before, _, after = printed.FAIR[criterion, source.strength]
            yield _line(
                measured,
                BIAS_BACK,
                f"Adult, pre-trained with {criterion.upper()} {number(source.strength, 1)}",
                metric,
                (Side(source.key, method, setting), Side(source.key, "pretrained", "as-is")),
                f"{text_of(after, metric)} vs {text_of(before, metric)}",
                Kind.HIGHER,
                (name, "before"),
            )


def _alpha(measured: Measured) -> Iterator[Evidence]:
    for metric in METRICS:
        series = [
            Side(ADULT.key, "alpha", f"{alpha:g}").values(measured.frame, metric)
            for alpha in ALPHAS
        ]
        table = pd.concat(series, axis=1).dropna().to_numpy(dtype=np.float64)
        changes: list[float] = []
        shown = ""
        if len(table):
            slopes = np.polyfit(np.array(ALPHAS), table.T, 1)[0]
            changes = list(slopes * (ALPHAS[-1] - ALPHAS[0]))
            shown = f"{summary(table[:, 0], metric)} to {summary(table[:, -1], metric)}"
        yield Evidence(
            ALPHA,
            f"Adult, {SYMBOLS[metric]}: change from alpha .5 to .9 (line fitted)",
            metric,
            "a trend (Fig. 5)",
            shown,
            changes,
            Kind.CHANGES,
            MARGINS[metric],
        )


def _images_more(measured: Measured) -> Iterator[Evidence]:
    def gains(source: str, metric: str) -> Array:
        method = Side(source, "neutralized-svd", RANK)
        return differences(measured.frame, method, _transfer(source), metric)

    for task in IMAGE_TASKS:
        for model in MODELS:
            source = f"{task}-{model}"
            for metric in METRICS:
                image, table = gains(source, metric), gains(ADULT.key, metric)
                said = shown = ""
                interval = (float("nan"),) * 3
                if len(image) and len(table):
                    interval = welch_interval(image, table)
                    shown = f"{summary(image, metric)} vs {summary(table, metric)}"
                if model_is_papers(source):
                    said = " vs ".join(_gain(name, metric) for name in (task, "adult"))
                yield Unpaired(
                    IMAGES_MORE,
                    f"{TASK_NAMES[task]}, {model}, {SYMBOLS[metric]}: gain over TL - Adult's",
                    metric,
                    said,
                    shown,
                    [],
                    Kind.LOWER,
                    MARGINS[metric],
                    measured.why_not(source),
                    unpaired=interval,
                )


@dataclass(frozen=True, eq=False)
class Unpaired(Evidence):
    """Evidence from two tasks, whose seeds are no pairs: the interval is Welch's."""

    unpaired: tuple[float, float, float] = (float("nan"),) * 3

    @property
    def interval(self) -> tuple[float, float, float]:
        """Mean difference, low and high end of its 95 % interval."""
        return self.unpaired


def _gain(task: str, metric: str) -> str:
    ours = printed.FIGURE4[task, "neutralized-svd"].get(metric)
    base = printed.FIGURE4[task, "transfer"].get(metric)
    if ours is None or base is None:
        return ""
    return f"~{number(ours.mean - base.mean, 1 if metric == 'error' else 2)}"


def _fewer(measured: Measured) -> Iterator[Evidence]:
    frame = measured.frame
    method = Side(ADULT.key, "neutralized-svd", RANK)
    seeds = method.values(frame, "trainable_parameters")
    head = _transfer(ADULT.key).parameters(frame)
    replaced = head - 2
    counted = seeds + replaced
    share = 100 * (1 - counted / printed.NETWORK_PARAMETERS)
    target = 100 * (1 - printed.TRAINED_PARAMETERS / printed.NETWORK_PARAMETERS)
    shown = f"{share.iloc[0]:.1f} % (A, B, b and W)" if len(share) else ""
    yield Evidence(
        FEWER,
        "Adult, share of the network's 742 that does not train, counted as the paper",
        "%",
        "93.8 %",
        shown,
        list(share - target),
        Kind.SAME,
        0.1,
    )
    against = f"{seeds.iloc[0]:.0f} vs {head:.0f}" if len(seeds) else ""
    yield Evidence(
        FEWER_THAN_HEAD,
        "Adult, parameters that train: method (A, B, b) - transfer learning's head",
        "parameters",
        "",
        against,
        list(seeds - head),
        Kind.LOWER,
        0.5,
    )


def _differ(measured: Measured) -> Iterator[Evidence]:
    sizes, shapes, cosines = [], [], []
    names: tuple[str, ...] = ("group 1", "group 2")
    for fisher in measured.fishers.values():
        scores = fisher.importance
        names = fisher.group_names
        sizes.append(float(np.log(scores[0].sum() / scores[1].sum())))
        roots = np.sqrt(scores)
        cosine = float(roots[0] @ roots[1] / np.prod(np.linalg.norm(roots, axis=1)))
        cosines.append(cosine)
        shapes.append(1 - cosine)
    ratio = f"{names[0]} / {names[1]} = {np.exp(np.mean(sizes)):.2f}" if sizes else ""
    yield Evidence(
        DIFFER,
        f"Adult, size: log of the total importance of {names[0]} over {names[1]}",
        "log ratio",
        "they differ (Fig. 3)",
        ratio,
        sizes,
        Kind.CHANGES,
        float(np.log(1.1)),
    )
    yield Evidence(
        DIFFER_IN_SHAPE,
        "Adult, shape: 1 - cosine of the groups' root importances (margin .02)",
        "1 - cosine",
        "they differ (Fig. 3)",
        f"cosine {np.mean(cosines):.3f}" if cosines else "",
        shapes,
        Kind.HIGHER,
        0.02,
    )
