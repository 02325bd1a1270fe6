"""paper.html and paper.md: sections of text, tables and figures, written the same way twice."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
import pandas as pd

from evenhand._base.files import write_atomically
from evenhand._base.markdown import markdown_table
from evenhand._base.text import columns, fitted, visible

TITLE = "Zhang & Zhou (2024), run again"


@dataclass(frozen=True, eq=False)
class Section:
    """A part of the page.

    Attributes:
        name: for links.
        title: its heading.
        text: paragraphs.
        tables: (caption, table of texts).
        figures: (file of the figure, what it shows in words).
    """

    name: str
    title: str
    text: Sequence[str] = ()
    tables: Sequence[tuple[str, pd.DataFrame]] = ()
    figures: Sequence[tuple[Path, str]] = ()


@dataclass(frozen=True, eq=False)
class Page:
    """The whole page."""

    lead: Sequence[str]
    sections: Sequence[Section]
    footer: str
    title: str = field(default=TITLE)


def write_page(page: Page, folder: Path, name: str = "paper") -> None:
    """Write ``name``.html, self-contained, and ``name``.md, which shows the SVG files beside it."""
    write_atomically(folder / f"{name}.html", as_html(page))
    write_atomically(folder / f"{name}.md", as_markdown(page))


def as_html(page: Page) -> str:
    """The page as one HTML file: no network, no scripts, every text escaped."""
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [
                jinja2.PackageLoader("evenhand.experiments.paper", "templates"),
                jinja2.PackageLoader("evenhand.report", "templates"),
            ]
        ),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    sections = [
        {
            "name": section.name,
            "title": section.title,
            "text": section.text,
            "tables": [_plain(caption, table) for caption, table in section.tables],
            "figures": [{"address": _address(p), "alt": alt} for p, alt in section.figures],
        }
        for section in page.sections
    ]
    return environment.get_template("paper.html.j2").render(
        title=page.title, lead=page.lead, sections=sections, footer=page.footer
    )


def as_markdown(page: Page) -> str:
    """The page as Markdown."""
    lines = [f"# {page.title}", ""]
    for paragraph in page.lead:
        lines += [paragraph, ""]
    for section in page.sections:
        lines += [f"## {section.title}", ""]
        for paragraph in section.text:
            lines += [paragraph, ""]
        for path, alt in section.figures:
            lines += [f"![{alt}]({path.name})", ""]
        for caption, table in section.tables:
            lines += [f"*{caption}*", "", _markdown_table(table), ""]
    return "\n".join([*lines, page.footer, ""])


def _plain(caption: str, table: pd.DataFrame) -> dict[str, object]:
    rows = [[visible(value) for value in row] for row in table.itertuples(index=False)]
    return {"caption": caption, "columns": [str(c) for c in table.columns], "rows": rows}


def _address(path: Path) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def _markdown_table(table: pd.DataFrame) -> str:
    rows = ([visible(value) for value in row] for row in table.itertuples(index=False))
    return markdown_table([visible(name) for name in table.columns], rows)


def as_text(table: pd.DataFrame) -> str:
    """A table for a terminal: columns aligned, numbers as they are."""
    cells = [[visible(value) for value in row] for row in table.itertuples(index=False)]
    heads = [str(name) for name in table.columns]
    widths = [max(columns(row[i]) for row in [heads, *cells]) for i in range(len(heads))]
    lines = [
        "  ".join(fitted(value, width) for value, width in zip(row, widths, strict=True)).rstrip()
        for row in [heads, ["-" * width for width in widths], *cells]
    ]
    return "\n".join(lines)
