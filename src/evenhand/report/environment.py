"""Where the templates of pages are, and what they may call: one rule for every page."""

from __future__ import annotations

from functools import cache

import jinja2

from evenhand._base.text import number, seconds, visible
from evenhand.report.markup import bounds, percent


@cache
def environment(package: str | None = None) -> jinja2.Environment:
    """The templates of a package of one's own, and the report's, whose style they take.

    Every text that comes from data is escaped, and control characters are written out.

    Args:
        package: has a folder ``templates``; None: the report's alone.
    """
    packages = (*([package] if package else []), "evenhand.report")
    made = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(one, "templates") for one in packages]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    made.filters |= {
        "number": number,
        "percent": percent,
        "bounds": bounds,
        "seconds": seconds,
        "visible": visible,
    }
    return made
