"""Page 1 of a fine-tuning run: counts of people, told against a plain loop over the rows."""

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from evenhand.criteria import Criterion
from evenhand.groups import as_groups
from evenhand.metrics.counts import Counts
from evenhand.report import changed, html
from evenhand.report.record import PathPoint, Record, Run
from evenhand.report.setting import Setting

CLASSES = ("no", "yes")


def run_of(label, group, old, new, **more):
    groups = as_groups(group, "sex")
    test = SimpleNamespace(labels=label, groups=groups, classes=CLASSES)

    def record(name, scores):
        counts = Counts.of(label, (scores > 0.5).astype(int), groups, CLASSES)
        return Record("loans", name, Setting(""), 0, counts, 1, 0.0, scores=scores)

    before, after = record("transfer-tuned", old), record("evenhand", new)
    given = {"test": test, "config": {"label": "repaid"}} | more
    return Run("finetune", "asked", "decided", (before, after), before, after, **given)


@pytest.fixture(scope="module")
def rows():
    draw, n = np.random.default_rng(0), 2000
    group = draw.choice(["F", "M"], n)
    label = draw.integers(0, 2, n)
    old = np.where(draw.random(n) < np.where(group == "F", 0.5, 0.9), label, 1 - label)
    new = np.where(draw.random(n) < 0.2, label, old)
    return label, group, old.astype(float), new.astype(float)


def test_who_is_decided_otherwise_is_counted_row_by_row(rows):
    label, group, old, new = rows
    gained = sum(a == 0 and b == 1 for a, b in zip(old, new, strict=True))
    lost = sum(a == 1 and b == 0 for a, b in zip(old, new, strict=True))
    moved = {
        g: sum(a != b for a, b, c in zip(old, new, group, strict=True) if c == g) for g in "FM"
    }
    of = {g: int((group == g).sum()) for g in "FM"}
    said = changed.sentences(run_of(*rows))
    assert (
        f"Of the 2,000 people in the test, {gained + lost} are decided otherwise than before: "
        f"{gained} are now decided yes, {lost} no longer (F {moved['F']} of {of['F']:,}; "
        f"M {moved['M']} of {of['M']:,})."
    ) in said
    share = {
        (g, when): round(100 * decided[(group == g) & (label == 1)].mean())
        for g in "FM"
        for when, decided in (("before", old), ("now", new))
    }
    assert said[0] == (
        f"Of 100 people with sex F whose repaid is yes, {share['F', 'before']} were decided yes "
        f"before, and {share['F', 'now']} now; of 100 people with sex M whose repaid is yes, "
        f"{share['M', 'before']} before, and {share['M', 'now']} now."
    )
    assert said[-1].endswith("No group is decided worse by more than chance explains.")


def test_without_scores_the_counts_say_the_least_that_can_have_changed(rows):
    run = run_of(*rows)
    bare = replace(run, after=replace(run.after, scores=None))
    assert changed.paired(bare) is None
    least = int(np.abs(run.after.counts.table - run.before.counts.table).sum() / 2)
    told = [line for line in changed.sentences(bare) if "at least" in line]
    assert told == [
        f"Of the 2,000 people in the test, at least {least} are decided otherwise than before."
    ]
    assert least <= int((rows[2] != rows[3]).sum())
    other = replace(run, after=replace(run.after, scores=1 - run.after.scores))
    assert changed.paired(other) is None  # scores that are not those of the decisions


def test_levelling_down_is_called_so(rows):
    label, group, old, _ = rows
    worse = np.where((group == "M") & (np.arange(len(label)) % 2 == 0), 1 - label, old)
    said = changed.sentences(run_of(label, group, old, worse))[-1]
    assert "Levelling down: no group is decided better than before, and M worse" in said
    better = np.where(group == "F", label, worse).astype(float)
    assert "M pay for it" in changed.sentences(run_of(label, group, old, better))[-1]


def test_a_share_of_right_decisions_moves_by_chance_as_mcnemar_says(rows):
    label, group, old, new = rows
    both = changed.paired(run_of(*rows))
    own = group == "F"
    change = (new == label)[own].astype(float) - (old == label)[own].astype(float)
    spread = changed._spread(both, 0, (0.0, 0.0), own.sum())
    assert spread == pytest.approx(1.959964 * change.std() / np.sqrt(own.sum()), rel=1e-6)


def test_other_runs_say_nothing(rows):
    run = run_of(*rows)
    assert changed.sentences(replace(run, command="compare")) == []
    assert changed.sentences(replace(run, after=None)) == []


def test_the_frontier_is_the_least_cross_fitted_error_at_each_gap_with_its_band(rows):
    path = tuple(
        PathPoint(s, error, gap, gap + 0.05, counts=run_of(*rows).before.counts)
        for s, error, gap in ((0, 15, 0.3), (1, 16, 0.2), (2, 17, 0.25), (3, 18, 0.1))
    )
    run = run_of(*rows, frontier=path, criterion=Criterion.EQUALIZED_ODDS)
    drawn = html._frontier(run)
    line = [tuple(map(float, place.split(","))) for place in drawn["curve"].split()]
    assert line == sorted(line)
    assert len(line) == 3  # 17 % at .25 is beaten by 16 % at .2
    band = [tuple(map(float, place.split(","))) for place in drawn["band"].split()]
    assert band[:3] == line
    assert all(a[0] > b[0] and a[1] == b[1] for a, b in zip(band[:2:-1], line, strict=True))
    assert '<polyline class="curve"' in html.render(run)


def test_the_first_page_tells_what_its_owner_tells_in_its_readers_words(rows):
    about = {
        "title": "Loans <b>2025</b>",
        "author": "Lending",
        "period": "2025",
        "decided": "got a loan",
        "positive": "who repaid",
        "groups": {"F": "women", "M": "men"},
    }
    page = html.render(run_of(*rows, config={"label": "repaid", "about": about}))
    head = page.partition("<header>")[2].partition("</header>")[0]
    assert "<h1><bdi>Loans &lt;b&gt;2025&lt;/b&gt;</bdi></h1>" in head
    assert "Fine-tuning report · <bdi>loans</bdi>" in head
    facts = dict(re.findall(r"<dt>(.*?)</dt><dd><bdi>(.*?)</bdi>", head))
    assert facts == {"Author": "Lending", "Period": "2025"}
    assert re.search(r"Of 100 women who repaid, \d+ got a loan before, and \d+ now", head)
    assert re.search(r"\(women [\d,]+ of [\d,]+; men", head)
    assert "about" not in page.partition("</header>")[2].partition("<dl>")[2]
    plain = html.render(run_of(*rows))
    assert "<h1><bdi>loans</bdi></h1>" in plain
    assert 'class="facts"' not in plain
