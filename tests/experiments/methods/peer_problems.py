"""Small problems on which a peer can be judged: groups differ, labels follow the features."""

import numpy as np
import torch

from evenhand.experiments.methods.logistic import fit_head
from evenhand.finetuning.problem import Fitted, Network, Problem, Queries, decide
from evenhand.groups import Groups
from evenhand.metrics.counts import Counts
from evenhand.metrics.rates import accuracy_error, gap
from evenhand.models.mlp import MLP, mlp_features, mlp_head
from evenhand.rows import Rows


def make_rows(n=1200, *, d=5, groups=2, classes=2, unknown=0.0, seed=0):
    random = np.random.default_rng(seed)
    codes = random.integers(0, groups, n)
    features = random.normal(size=(n, d))
    group = codes / (groups - 1)
    features[:, 1] += 2.5 * group  # a proxy of the group: it carries nothing else of the label
    weight = np.random.default_rng(99).normal(scale=0.3, size=(d, classes))
    weight[0], weight[1] = np.linspace(-1, 1, classes), 0
    logits = features @ weight
    logits[:, -1] += 2.5 * group - 1.5
    labels = (logits + random.gumbel(size=(n, classes))).argmax(1)
    codes = np.where(random.random(n) < unknown, -1, codes)
    names = tuple("ABCDEF"[:groups])
    return Rows(features, labels, Groups(codes, names, "team"), tuple("klmnop"[:classes]))


def make_problem(**more):
    rows = make_rows(**more)
    third = len(rows) // 3
    train, valid, test = rows[: 2 * third], rows[2 * third :], make_rows(**{**more, "seed": 1})
    return Problem(train, valid, fit_head(train, 0.01)), test


def make_network_problem() -> tuple[Problem, Rows, Rows]:
    """A problem with a whole MLP; the test rows as it reads them, and with its features."""
    problem, test = make_problem(n=1500)
    torch.manual_seed(0)
    model = MLP(5, 2, hidden=6)
    network = Network(
        model, problem.train.features.astype("f4"), problem.valid.features.astype("f4")
    )
    train, valid, test_rows = (
        rows.with_features(mlp_features(model, rows.features))
        for rows in (problem.train, problem.valid, test)
    )
    return Problem(train, valid, mlp_head(model), 0, network), test, test_rows


def queries(rows: Rows) -> Queries:
    return Queries(rows.features, rows.features, rows.groups)


def measured(fitted: Fitted, rows: Rows, criterion: str) -> tuple[float, float]:
    counts = Counts.of(
        rows.labels, decide(fitted.predict(queries(rows))), rows.groups, rows.classes
    )
    return float(accuracy_error(counts.total)), float(gap(counts.table, criterion))


def expected_gap(fitted: Fitted, rows: Rows, criterion: str) -> float:
    """The gap of expected counts."""
    scores = fitted.predict(queries(rows))
    table = np.zeros((rows.groups.number, 2, 2))
    np.add.at(table, (rows.groups.codes, rows.labels), scores)
    return float(gap(table, criterion))
