import dataclasses
import html as escaping
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_run import make_run

from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.metrics import Counts
from evenhand.report import html, views
from evenhand.report.record import PathPoint, Record
from evenhand.report.setting import Setting

HOSTILE = (
    "<script>alert(1)</script>",
    "\"&'></title></svg><b>",
    "👩🏽‍💻 emoji",
    "x" * 300,
    "عربي",
    "{{ 7 * 7 }}",
    "</script><!--",
)
VOID = {"meta", "link", "br", "img", "input"}


class Outline(HTMLParser):
    """Checks that tags close in order, and gathers them with the text."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.text = [], [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_sections_come_in_order_and_say_what_was_decided(run):
    page = html.render(run)
    outline = Outline(page)
    headings = re.findall(r"<h2[^>]*>(.*?)</h2>", page)
    assert headings == [
        "Each group, before and after",
        "The trade-off",
        "The group table",
        "What is uncertain",
        "How it was made",
        "What the metrics cannot tell",
    ]
    text = "".join(outline.text)
    assert run.asked in text
    assert run.decided in text
    assert text.index(run.decided) < text.index("Each group, before and after")


def test_the_page_is_complete_in_itself(run):
    page = html.render(run)
    assert len(page.encode()) < 2_000_000
    assert not re.search(r"(?:src|href|action)\s*=\s*(?![\"']?data:)", page)
    assert "@import" not in page
    assert "url(" not in page
    assert "default-src 'none'" in page


def test_the_page_is_accessible(run):
    outline = Outline(html.render(run))
    tags = [tag for tag, _ in outline.tags]
    assert ("html", {"lang": "en"}) in outline.tags
    assert tags.count("h1") == 1
    for tag, attributes in outline.tags:
        if tag == "th":
            assert attributes["scope"] in ("row", "col")
        if tag == "svg" and attributes.get("role") == "img":
            assert attributes.get("aria-label") or attributes.get("aria-labelledby")
    ids = [a["id"] for _, a in outline.tags if "id" in a]
    assert len(ids) == len(set(ids))
    for _, attributes in outline.tags:
        for key in ("for", "aria-labelledby", "aria-describedby"):
            assert set(attributes.get(key, "").split()) <= set(ids)


def test_hostile_names_are_shown_literally():
    run = make_run(groups=HOSTILE, classes=("<i>", "<u>&"), asked=HOSTILE[0], decided=HOSTILE[1])
    run = dataclasses.replace(
        run,
        provenance={HOSTILE[0]: HOSTILE[1], "command": HOSTILE[6]},
        warnings=HOSTILE,
        tables=((HOSTILE[0], HOSTILE[1], pd.DataFrame({HOSTILE[0]: [HOSTILE[6]]})),),
    )
    page = html.render(run)
    outline = Outline(page)
    assert {tag for tag, _ in outline.tags} & {"b", "i", "u"} == set()
    assert sum(tag == "script" for tag, _ in outline.tags) == 2
    text = "".join(outline.text)
    for name in HOSTILE:
        assert name in text
    assert "49" not in re.findall(r"<bdi>(.*?)</bdi>", page)


@settings(deadline=None, max_examples=15)
@given(st.lists(st.text(min_size=1, max_size=20), min_size=2, max_size=4, unique=True))
def test_any_names_give_a_well_formed_page(names):
    rng = np.random.default_rng(0)
    table = rng.integers(0, 50, (len(names), 2, 2))
    counts = Counts(table, np.zeros((2, 2), dtype=int), tuple(names), ("a", "b"))
    record = Record("t", names[0], Setting(names[1]), 0, counts, 1, 0.1)
    run = make_run(records=(record,), before=record, after=record, frontier=(), test=None)
    Outline(html.render(run))


def test_undefined_rates_are_shown_as_such_and_counted():
    table = np.array([[[50, 3], [0, 0]], [[40, 8], [5, 9]]])
    counts = Counts(table, np.array([[3, 0], [0, 4]]), ("F", "M"), ("no", "yes"))
    record = Record("t", "m", Setting(), 0, counts, 1, 0.1)
    run = make_run(records=(record,), before=record, after=None, frontier=(), test=None)
    text = escaping.unescape(html.render(run))
    assert "n/a" in text
    assert "could not be computed" in text
    assert "7 rows of 122 have no known group" in text
    assert "F with yes (0 rows)" in text
    assert "nan" not in text


def test_many_classes_are_shown_each_against_the_rest():
    rng = np.random.default_rng(0)
    names = ("a", "b", "c")
    counts = Counts(rng.integers(5, 99, (2, 3, 3)), np.zeros((3, 3), int), ("F", "M"), names)
    record = Record("t", "m", Setting(), 0, counts, 1, 0.1)
    run = make_run(records=(record,), before=record, after=record, frontier=(), test=None)
    page = html.render(run)
    assert "Each class against the rest" in page
    Outline(page)


def test_a_frontier_without_counts_says_that_it_is_cross_fitted():
    path = tuple(PathPoint(s, 16 + s, 0.2 - s / 10, 0.25 - s / 10) for s in (0.0, 0.5, 1.0))
    page = html.render(make_run(frontier=path))
    assert "cross-fitted estimates" in page
    assert views.candidates(make_run(frontier=path))[0]["bars"] is None


def test_the_bound_asked_for_is_that_of_the_gap_shown():
    bounds = {Criterion.DEMOGRAPHIC_PARITY: 0.3, Criterion.EQUALIZED_ODDS: 0.1}
    assert views.asked_bound(make_run(bounds=bounds)) == 0.1
    assert views.asked_bound(make_run(bounds={Criterion.DEMOGRAPHIC_PARITY: 0.3})) is None
    assert views.asked_bound(make_run(bounds={})) is None


def test_several_seeds_are_means_and_deviations():
    run = make_run(seeds=3)
    point = next(p for p in views.points(run) if p.chosen)
    errors = [r.error for r in run.records if str(r.setting) == "eo .3"]
    assert point.seeds == 3
    assert point.error.estimate == pytest.approx(np.mean(errors))
    assert point.error.high - point.error.estimate == pytest.approx(np.std(errors, ddof=1))
    assert "3 seeds" in html.render(run)


def test_the_page_is_written_for_its_owner_only(run, tmp_path):
    path = html.write(run, tmp_path / "new" / "report.html")
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_a_folder_that_cannot_be_written_is_named(run, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        html.write(run, tmp_path / "file" / "report.html")
    with pytest.raises(InputError, match="it is a folder"):
        html.write(run, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
