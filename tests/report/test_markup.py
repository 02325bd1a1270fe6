"""Names and sentences in Markdown: shown as they are, and readable in the source."""

import html
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from evenhand._base.text import visible
from evenhand.report.markup import markdown

READER = MarkdownIt("gfm-like", {"linkify": False}).enable(["table", "strikethrough"])
ACTING = st.text("*_`[]()<>&!#+-=.:/@|~$\\1ab ", max_size=12) | st.text(max_size=12)


@given(ACTING)
@example("1. a")
@example("1) a")
@example("- a")
@example("+ a")
@example("---")
@example("===")
@example("# a")
@example("> a")
@example("_a_ __b__ a_b")
@example("<b> &amp; <!-- x -->")
@example("~~a~~ `b` **c** [d](e) ![f](g)")
@example("evenhand:end -->")
def test_any_text_is_shown_as_it_is(text):
    shown = " ".join(visible(text).split())
    found = READER.render(markdown(text))
    if not shown:
        assert not re.sub(r"<[^>]*>", "", found).strip()
        return
    assert found.count("<") == 2  # one paragraph, and nothing in it
    inside = html.unescape(found.strip().removeprefix("<p>").removesuffix("</p>"))
    assert " ".join(inside.split()) == shown


@given(ACTING)
def test_any_text_is_one_cell(text):
    found = READER.render(f"| a | b |\n|---|---|\n| {markdown(text)} | end |\n")
    cells = re.findall(r"<td>(.*?)</td>", found, re.DOTALL)
    assert len(cells) == 2
    assert " ".join(html.unescape(cells[0]).split()) == " ".join(visible(text).split())


@pytest.mark.parametrize("text", ["MLP-2 on adult-sex (0.5, a_b)", "x86_64; 100 - F1!", "-.050"])
def test_what_does_not_act_is_not_escaped(text):
    assert markdown(text) == text
