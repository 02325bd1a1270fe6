"""What is said of a choice: every sentence is true of its counts, and no two contradict.

Thousands of made-up choices: paths of heads whose counts are drawn, with and without an old head,
by every kind of rule. Each figure in a sentence is computed anew from the counts.
"""

import re
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from evenhand.criteria import Criterion
from evenhand.finetuning.sentences import counted_names, decided, floor_notes
from evenhand.groups import Groups
from evenhand.head import Head
from evenhand.heads.head_fit import HeadFit
from evenhand.heads.selection.candidates import Candidates
from evenhand.heads.selection.fair_head import FairHead
from evenhand.heads.selection.rule import Bound, Rule
from evenhand.heads.selection.select import Selection
from evenhand.heads.selection.warnings import choice_warnings, row_warnings
from evenhand.metrics.bounds import may_be_noise, upper_bound
from evenhand.metrics.counts import Counts
from evenhand.metrics.rates import accuracy, error_metric, f1_error, gap
from evenhand.report.record import Record
from evenhand.report.setting import Setting
from evenhand.rows import Rows

EO, DP, EOPP = Criterion.EQUALIZED_ODDS, Criterion.DEMOGRAPHIC_PARITY, Criterion.EQUAL_OPPORTUNITY
CLASSES = ("no", "yes")
HEAD = Head(np.zeros((5, 2)), np.zeros(2))
FEATURES = 5
TELLING = 0.005
"""Points of accuracy that show at two decimals."""


@dataclass
class Drawn:
    """A problem: its cells, its path and its old head, all as counts."""

    cells: np.ndarray
    family: Candidates
    old: Counts | None
    test: tuple[Record, Record]

    @property
    def names(self):
        return tuple("abcd"[: len(self.cells)])

    @property
    def selection(self):
        return Selection((self.family,), FEATURES, self.old)

    @property
    def rows(self):
        cells = [(g, y) for g in range(len(self.cells)) for y in (0, 1)]
        codes = np.repeat([g for g, _ in cells], self.cells.ravel())
        labels = np.repeat([y for _, y in cells], self.cells.ravel())
        features = np.broadcast_to(np.zeros(1), (len(labels), FEATURES))
        return Rows(features, labels, Groups(codes, self.names, "team"), CLASSES)


def counts_at(rng, cells, tpr, fpr):
    tpr, fpr = (np.clip(np.array(rate), 0, 1) for rate in (tpr, fpr))
    chosen = np.stack([rng.binomial(cells[:, 0], fpr), rng.binomial(cells[:, 1], tpr)], axis=1)
    return np.stack([cells - chosen, chosen], axis=-1)


def draw_problem(seed):
    """Two or three groups, one of them often small; a path that evens out, better or worse."""
    rng = np.random.default_rng(seed)
    groups = rng.integers(2, 4)
    size = rng.choice([150, 600, 4000])
    cells = rng.integers(size // 2, size, (groups, 2))
    cells[:, 1] = np.maximum(cells[:, 1] * rng.choice([0.1, 0.5, 1.0]), 2).astype(int)
    if rng.random() < 0.4:
        cells[rng.integers(groups), rng.integers(2)] = rng.integers(3, 110)
    skill, spread = rng.uniform(0.3, 0.9), rng.choice([0.0, 0.05, 0.3])
    base = rng.uniform(0.02, 0.3)
    off_t, off_f = (spread * rng.normal(size=groups) * share for share in (1.0, 0.5))
    tables = []
    for s in range(4):
        left = 1 - s / 3
        lower = s / 3 * rng.choice([0.0, 0.1, 0.5])
        for shift in (0.0, 0.08):
            tables.append(
                counts_at(
                    rng,
                    cells,
                    skill - lower + shift + left * off_t,
                    base + shift / 2 + left * off_f - lower * base,
                )
            )
    shaped = np.array(tables).reshape(4, 2, groups, 2, 2)
    fits = tuple(HeadFit(HEAD, float(s), 0.0, 1, True) for s in range(4))
    family = Candidates(
        (0.0, 1.0, 2.0, 3.0), (0.0, 0.5), shaped, np.zeros((4, 2, 2, 2), int), fits, "eo", "head",
        np.full(4, 0.5),
    )  # fmt: skip
    names = tuple("abcd"[:groups])
    old = None
    if rng.random() < 0.6:
        worse = rng.choice([0.0, 0.1, 0.5])
        table = counts_at(rng, cells, skill - worse + rng.choice([0, 0.5]) * off_t,
                          base + worse * rng.random() + 0.0 * off_f)  # fmt: skip
        old = Counts(table, np.zeros((2, 2), int), names, CLASSES)

    def record(method):
        table = counts_at(rng, cells, skill + off_t, base + off_f)
        counts = Counts(table, np.zeros((2, 2), int), names, CLASSES)
        return Record("task", method, Setting("x"), 0, counts, 1, 0.1)

    return Drawn(cells, family, old, (record("transfer-tuned"), record("evenhand")))


@st.composite
def rules(draw):
    criteria = draw(st.sampled_from([(EO,), (DP,), (EOPP,), (DP, EO)]))
    limits = st.sampled_from([0.02, 0.05, 0.1, 0.2, 0.4, 0.8])
    bounds = tuple(Bound(c, draw(limits)) for c in criteria) if draw(st.booleans()) else ()
    return Rule(
        bounds,
        criteria[0],
        draw(st.sampled_from([0.9, 0.95])),
        draw(st.sampled_from([0.0, 0.5, 5.0])),
        draw(st.sampled_from(["f1", "accuracy", "balanced"])),
        guard=draw(st.booleans()),
        at_any_cost=draw(st.booleans()),
        min_rows=draw(st.sampled_from([30, 100])),
    )


def chosen_by(problem, rule):
    return problem.selection.choose(rule)


def number(pattern, text):
    """The number in the one place of ``text`` that fits, None where nothing does."""
    found = re.findall(pattern, text)
    assert len(found) <= 1, (pattern, text)
    return float(found[0]) if found else None


@settings(max_examples=600, phases=(Phase.generate,))
@given(st.integers(0, 2**32 - 1), rules())
def test_no_sentence_is_untrue_and_no_two_contradict(seed, rule):
    problem = draw_problem(seed)
    choice = chosen_by(problem, rule)
    fit = None if choice.kept_old else problem.family.fit(choice.index)
    fair = FairHead(choice, fit, HEAD, problem.selection)
    before, after = problem.test
    said = decided(fair, before, after, rule)
    notes = [
        *row_warnings(problem.rows, rule.criteria, rule.min_rows),
        *choice_warnings([problem.family], choice, rule),
        *floor_notes(fair, rule),
    ]
    assert len(notes) == len(set(notes))
    told = " | ".join(notes)
    promise_is_one(choice, rule, said)
    figures_are_those_of_the_counts(problem, choice, rule, said, told)
    reason_and_notes_agree(problem, choice, rule, told)
    groups_are_told_as_they_counted(problem, choice, rule, said, told)
    the_smallest_bound_is_one(problem, choice, rule)


def promise_is_one(choice, rule, said):
    assert ("The bound is promised" in said) is (choice.promised is True)
    assert ("NOT promised" in said) is (choice.promised is False)
    assert ("is not promised: " in choice.reason) is (choice.promised is False)
    assert (choice.promised is None) is (not rule.bounds)
    if choice.promised:
        assert all(choice.uppers[b.criterion] <= b.limit for b in rule.bounds)


def table_of(problem, choice):
    return problem.old.table if choice.kept_old else problem.family.tables[choice.index]


def figures_are_those_of_the_counts(problem, choice, rule, said, told):
    table = table_of(problem, choice)
    total, metric = table.sum(axis=0), error_metric(rule.error)
    tuned = problem.family.totals[choice.tuned]
    cost = float(metric(total)) - float(metric(tuned))
    right = 100 * float(accuracy(total))
    constant = 100 * total.sum(axis=1).max() / total.sum()
    assert choice.cost == pytest.approx(cost)
    for criterion, counted in choice.counted.items():
        assert choice.uppers[criterion] == pytest.approx(
            float(upper_bound(table, criterion, choice.z, rule.min_rows)), nan_ok=True
        )
        if counted.sum() > 1 and all(problem.cells[counted].ravel() >= rule.min_rows):
            own = float(gap(table[counted], criterion))
            assert choice.gaps[criterion] == pytest.approx(own)
    shown = number(r"model costs (-?[\d.]+) points", told)
    assert (shown is not None) is bool(cost > rule.max_cost)
    assert shown is None or shown == pytest.approx(cost, abs=0.006)
    shown = number(r"right more often \(([\d.]+) %\)", told)
    assert (shown is not None) is bool(constant - right >= TELLING)
    assert shown is None or shown == pytest.approx(constant, abs=0.006)
    shown = number(r"decides the same for ([\d.]+)%", told)
    assert shown is None or shown == pytest.approx(
        100 * total.sum(axis=0).max() / total.sum(), abs=0.06
    )
    before, after = problem.test
    assert f"the error {after.error:.2f} against {before.error:.2f}" in said
    assert float(f1_error(after.counts.total)) == after.error


def reason_and_notes_agree(problem, choice, rule, told):
    reason, table = choice.reason, table_of(problem, choice)
    paid = "points of error over transfer learning with its threshold tuned (cross" in told
    if "costs at most" in reason and "no candidate as fair" not in reason:
        assert not paid
        assert not choice.levels_down
    if "a cost of at most" in reason:
        assert not paid
        assert not choice.levels_down
    if "does no harm" in reason and "this is transfer learning" in reason:
        assert choice.index == choice.tuned
    if "this is transfer learning" in reason:
        assert choice.index[0] == 0
        assert not choice.levels_down
    if "may be noise" in reason:
        for criterion in rule.criteria:
            assert may_be_noise(table, criterion, min_rows=rule.min_rows)
        assert choice.promised in (True, None)
    if "old head's gap may be noise" in reason or "old head is left" in reason:
        assert choice.kept_old
    if "nothing is evened" in reason:
        assert choice.index[0] == 0
    if "at any cost" in reason:
        assert rule.at_any_cost
    if choice.old_ignored is not None:
        assert not choice.kept_old
        assert "old head" not in reason
        assert problem.old is not None
    if "no candidate as fair as the old head" in reason:
        assert choice.old_ignored is None
        assert choice.kept_old or all(
            choice.uppers[c]
            <= float(upper_bound(problem.old.table, c, choice.z, rule.min_rows)) + 1e-12
            or (rule.bounds and choice.uppers[c] <= dict(limits(rule))[c])
            for c in rule.criteria
        )
    floor = number(r"noise floor of a model like transfer learning is ([\d.]+)", reason)
    if floor is not None:
        assert any(round(f, 3) == floor for f in choice.floors.values())
        assert f"is {floor:.3f} on these rows" in told
        assert any(limit < choice.floors[c] for c, limit in limits(rule))


def limits(rule):
    return [(bound.criterion, bound.limit) for bound in rule.bounds]


def groups_are_told_as_they_counted(problem, choice, rule, said, told):
    for place, name in enumerate(problem.names):
        counts_by = [bool(choice.counted[c][place]) for c in rule.criteria]
        steers_nothing = re.search(rf"group '{name}' has [^|]*steers neither the penalty", told)
        assert (steers_nothing is not None) is (not any(counts_by))
        by_some = re.search(rf"group '{name}' has [^|]*: by ([a-z_, ]+) it is reported", told)
        if by_some:
            named = set(by_some[1].split(", "))
            assert named == {
                str(c) for c, yes in zip(rule.criteria, counts_by, strict=True) if not yes
            }
    after = problem.test[1]
    fair = FairHead(choice, None, HEAD, problem.selection)
    for criterion in rule.criteria:
        counted = counted_names(fair, after, criterion)
        pattern = rf"{criterion.symbol} over groups of at least [\d,]+ rows a cell is ([\d.]+|n/a),"
        headline = number(pattern, said)
        if headline is not None:
            those = [problem.names.index(name) for name in counted]
            own = float(gap(after.counts.table[those], criterion))
            assert headline == pytest.approx(own, abs=6e-4)
            assert f"over all {len(problem.names)} groups" in said
        else:
            assert len(counted) == len(problem.names) or len(counted) < 2
        if len(counted) < 2:
            assert choice.promised in (False, None)
            assert "none of which count" in said or len(problem.names) == len(counted)


def the_smallest_bound_is_one(problem, choice, rule):
    """A bound that the reason says could be promised is promised, and none below it is."""
    found = re.findall(r"(\w+)<=([\d.]+)(?=[,; ]|$)", choice.reason.partition("could be ")[2])
    for name, value in found:
        criterion, smallest = Criterion.parse(name), float(value)
        alone = len(rule.bounds) == 1
        assert smallest == pytest.approx(choice.attainable[criterion], abs=0.0011)
        if alone:
            assert rule.bounds[0].limit < smallest
        if smallest < criterion.highest:
            at = replace(rule, bounds=(Bound(criterion, smallest),), criterion=criterion)
            assert chosen_by(problem, at).promised is True
        if smallest > 0.002:
            below = replace(rule, bounds=(Bound(criterion, smallest - 0.002),), criterion=criterion)
            assert chosen_by(problem, below).promised is False
