"""What a person reads of an audit."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from evenhand.auditing import audit
from evenhand.auditing.page.people import headline, left_out, words_of
from evenhand.auditing.page.render import fragment, render
from evenhand.cli.main import app
from evenhand.errors import InputError
from evenhand.report.about import About, read_about
from evenhand.report.people import sentences

WORDS = """
title: Loans, spring
author: A. Auditor
purpose: a yearly look
period: 2025
model: credit-v3
date: 2025-07-02
version: 2
decided: were approved
positive: who repaid
negative: who did not repay
groups: {F: women, M: men, N: others}
"""
ASKED = {"label": "y", "prediction": "p", "groups": "g"}
TERMS = ("TPR", "FPR", "rate", "gap", "odds", "parity", "interval", "Δ", "positive", "confidence")


def decisions(shares, people=1000):
    """``people`` with and as many without the label in each group, decided exactly so often."""
    rows = []
    for group, (found, wrong) in shares.items():
        for label, share in ((1, found), (0, wrong)):
            chosen = round(share * people)
            rows += [(label, 1, group)] * chosen + [(label, 0, group)] * (people - chosen)
    return pd.DataFrame(rows, columns=["y", "p", "g"])


@pytest.fixture
def about(tmp_path):
    path = tmp_path / "about.yaml"
    path.write_text(WORDS)
    return str(path)


def told(found):
    return sentences(headline(found), words_of(found))


def test_people_are_counted_in_the_words_of_the_owner(about):
    table = decisions({"F": (0.8, 0.1), "M": (0.91, 0.1)})
    first, second = told(audit(table, **ASKED, about=about))
    assert first.startswith(
        "Of 100 women who repaid, 80 were approved; of 100 men who repaid, 91. Chance alone does "
        "not explain it: among many more people, the difference would most likely be "
    )
    low, high = map(int, re.search(r"be (\d+) to (\d+) of 100", first).groups())
    assert low < 11 < high
    assert second.startswith("Of 100 women who did not repay, 10 were approved; of 100 men")
    assert "Chance alone could explain it: the difference may be anything from 0 to" in second


def test_without_words_of_the_owner_the_columns_speak():
    table = decisions({"F": (0.8, 0.1), "M": (0.91, 0.1)})
    first, _ = told(audit(table, **ASKED))
    assert first.startswith("Of 100 people with g F whose y is 1, 80 were decided 1; of 100 people")
    (only,) = told(audit(table.drop(columns="y"), prediction="p", groups="g"))
    assert only.startswith("Of 100 people with g F, 45 were decided 1; of 100 people with g M, 50.")
    (only,) = told(audit(table, **ASKED, criterion="equal_opportunity"))
    assert only.startswith("Of 100 people with g F whose y is 1, 80 were")


def test_rare_decisions_are_counted_of_a_thousand():
    table = decisions({"F": (0.004, 0.5), "M": (0.001, 0.5)}, people=2000)
    (said,) = told(audit(table, **ASKED, criterion="equal_opportunity"))
    assert said.startswith("Of 1,000 people with g M whose y is 1, 1 were decided 1; of 1,000")


def test_the_headline_is_over_groups_with_enough_rows():
    few = decisions({"N": (0.0, 1.0)}, people=20)
    table = pd.concat([decisions({"F": (0.8, 0.1), "M": (0.91, 0.1)}), few], ignore_index=True)
    found = audit(table, **ASKED)
    assert headline(found).pair in ((0, 1), (1, 0))
    assert left_out(found, headline(found)) == [
        "1 group with fewer than 100 people in what is compared is not part of this: N."
    ]
    assert told(audit(few, **ASKED)) == ["No two groups have enough people to be compared."]


def test_the_more_pairs_a_difference_is_found_among_the_less_it_is_sure_of():
    shares = {name: (0.5, 0.1) for name in "ABCDEFG"}
    two = headline(audit(decisions({"A": (0.5, 0.1), "Z": (0.56, 0.1)}, 600), **ASKED))
    eight = headline(audit(decisions({**shares, "Z": (0.56, 0.1)}, 600), **ASKED))
    assert two.differences[0].low > 0
    assert eight.differences[0].low == 0
    assert eight.differences[0].estimate == pytest.approx(two.differences[0].estimate)


def test_more_than_two_classes_speak_of_the_one_furthest_apart():
    draw = np.random.default_rng(0)
    y = draw.integers(0, 3, 3000)
    g = draw.integers(0, 2, 3000)
    p = np.where((y == 2) & (g == 0) & (draw.random(3000) < 0.5), 0, y)
    table = pd.DataFrame({"y": y, "p": p, "g": g})
    first, _ = told(audit(table, **ASKED))
    assert re.match(r"Of 100 people with g 0 whose y is 2, \d+ were decided 2; of 100", first)


def test_page_one_has_no_technical_term(about):
    table = decisions({"F": (0.8, 0.1), "M": (0.91, 0.1)})
    page = render(audit(table, **ASKED, about=about))
    first = page[page.index("<header>") : page.index('aria-labelledby="h-part-1"')]
    text = re.sub(r"<[^>]+>", " ", first)
    for term in TERMS:
        assert term not in text, term
    assert "Loans, spring" in text
    assert "credit-v3" in text
    assert "women" in text


def test_there_is_no_empty_section():
    table = decisions({"F": (0.8, 0.1), "M": (0.91, 0.1)})
    page = render(audit(table, **ASKED))
    for absent in ("Local Law", "What is uncertain", "<ul></ul>", "None", "nan"):
        assert absent not in page
    assert "None" not in fragment(audit(table, **ASKED))


def test_names_of_any_kind_are_shown_as_they_are():
    hostile = "<img src=x onerror=alert(1)>\u202e"
    table = decisions({hostile: (0.8, 0.1), "M": (0.9, 0.1)})
    found = audit(table.rename(columns={"g": "<b>g"}), label="y", prediction="p", groups="<b>g")
    for page in (render(found), fragment(found), found._repr_html_()):
        assert "<img" not in page
        assert "<b>g" not in page
        assert "\u202e" not in page


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("titel: x", "no key 'titel'; did you mean 'title'"),
        ("- a", "must hold names with values"),
        ("title: [a]", "title: expected a text"),
        ("groups: [a]", "groups: expected names such as F: women"),
        ("a: b: c", "is no YAML"),
        ("title: " + "x" * 3000, "at most 2000 letters"),
    ],
)
def test_what_is_wrong_with_about_is_named(tmp_path, text, message):
    (tmp_path / "about.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        read_about(tmp_path / "about.yaml")
    assert read_about(None) == About()


def call(tmp_path, table, *options):
    table.to_csv(tmp_path / "t.csv", index=False)
    return CliRunner().invoke(app, ["audit", str(tmp_path / "t.csv"), *options])


def test_the_tables_of_local_law_144(tmp_path):
    table = decisions({"F": (0.8, 0.1), "M": (0.91, 0.1)})
    few = decisions({"N": (0.5, 0.5)}, people=10)
    table = pd.concat([table, few], ignore_index=True)
    table.loc[:4, "g"] = None
    options = ("--prediction", "p", "--group", "g", "--view", "ll144", "-o", str(tmp_path / "out"))
    assert call(tmp_path, table, *options).exit_code == 0
    rows = pd.read_csv(tmp_path / "out" / "ll144-1.csv").set_index("Category")
    rates = table.groupby("g")["p"].mean()
    assert rows.loc["F", "Selection rate"] == pytest.approx(rates["F"])
    assert float(rows.loc["F", "Impact ratio"]) == pytest.approx(rates["F"] / rates["M"])
    assert rows.loc["N", "Impact ratio"] == "under 2 %: not computed"
    assert rows["Applicants"].sum() == len(table) - 5
    page = (tmp_path / "out" / "report.html").read_text()
    assert "5 applicants of unknown category are in no row" in page
    assert "Source of the data: <bdi>t.csv</bdi>" in page


def test_a_line_of_the_user_gates_impact_ratios(tmp_path):
    table = decisions({"F": (0.8, 0.1), "M": (0.91, 0.3)})
    options = ("--prediction", "p", "--group", "g", "--fail-below")
    assert call(tmp_path, table, *options, "impact_ratio=0.7").exit_code == 0
    done = call(tmp_path, table, *options, "impact_ratio=0.8")
    assert done.exit_code == 1
    assert "impact ratio by g: .744 (" in done.output
    assert "of F is below 0.8" in done.output
    assert call(tmp_path, table, *options, "ratio=0.8").exit_code == 2
    done = call(tmp_path, table, "--label", "y", *options, "worst_group_accuracy=0.85")
    assert done.exit_code == 1
    assert "worst_group_accuracy by g: .805 (" in done.output
    assert "is below 0.85" in done.output
    assert call(tmp_path, table, *options, "impact_ratio=8").exit_code == 2


def test_excel(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    table = decisions({"=1+1": (0.8, 0.1), "M": (0.91, 0.1)})
    options = ("--label", "y", "--prediction", "p", "--group", "g", "--xlsx")
    assert call(tmp_path, table, *options, "-o", str(tmp_path / "out")).exit_code == 0
    book = openpyxl.load_workbook(tmp_path / "out" / "audit.xlsx")
    assert book.sheetnames == ["Summary", "Groups", "Gaps", "Ratios"]
    groups = list(book["Groups"].values)
    assert [row[1] for row in groups[1:]] == ["'=1+1", "M"]
    tpr = groups[0].index("tpr")
    assert [row[tpr] for row in groups[1:]] == pytest.approx([0.8, 0.91])
    assert call(tmp_path, table, *options).exit_code == 2


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium on the path")
def test_pdf(tmp_path):
    table = decisions({"F": (0.8, 0.1), "M": (0.91, 0.1)})
    options = ("--label", "y", "--prediction", "p", "--group", "g", "--pdf")
    assert call(tmp_path, table, *options, "-o", str(tmp_path / "out")).exit_code == 0
    assert (tmp_path / "out" / "report.pdf").read_bytes().startswith(b"%PDF-")


def test_without_a_browser_a_pdf_says_what_to_install(tmp_path, monkeypatch):
    table = decisions({"F": (0.8, 0.1), "M": (0.91, 0.1)})
    monkeypatch.setenv("PATH", str(tmp_path))
    options = ("--label", "y", "--prediction", "p", "--group", "g", "--pdf")
    done = call(tmp_path, table, *options, "-o", str(tmp_path / "out"))
    assert done.exit_code == 2
    assert "apt-get install chromium" in done.output


def test_gaps_that_are_partly_defined_are_at_least_so_much():
    table = decisions({"F": (0.8, 0.1), "M": (0.91, 0.1)})
    table = pd.concat([table, table[table["y"] == 0].assign(g="N", p=1)], ignore_index=True)
    found = audit(table, **ASKED)
    assert "at least .900" in render(found)
    assert json.loads(json.dumps(found.warnings()))[0].startswith("By g: group 'N' has 0 rows")
