"""What an audit found, in numbers of people; see ``report.people``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evenhand._base.text import listed, plural
from evenhand.report.people import Headline, Words, headline_of

if TYPE_CHECKING:
    from evenhand.auditing.result import Audit


def headline(audit: Audit) -> Headline | None:
    """The largest gap over groups with enough rows; None where no two can be compared."""
    counts = [part.counts for part in audit.shown]
    return headline_of(counts, audit.request.shown, audit.request.min_count)


def words_of(audit: Audit) -> Words:
    """How an audit's people, labels and decisions are called."""
    request, about = audit.request, audit.about
    return Words(
        request.label,
        audit.classes,
        about.groups,
        about.decided,
        about.positive,
        about.negative,
        "" if request.prediction else f"scored {request.threshold:g} or more",
    )


def left_out(audit: Audit, found: Headline | None) -> list[str]:
    """Whom the headline leaves out, in sentences."""
    said = []
    if found is not None and found.few:
        said.append(
            f"{plural(len(found.few), 'group')} with fewer than {audit.request.min_count:,} people "
            f"in what is compared {'is' if len(found.few) == 1 else 'are'} not part of this: "
            f"{listed(map(words_of(audit).short, found.few))}."
        )
    gone = audit.rows - audit.used
    if gone:
        said.append(f"{gone:,} of {plural(audit.rows, 'row')} lack a value and are left out.")
    return said
