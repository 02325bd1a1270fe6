"""What can be asked of ``evenhand audit``: every option once, for flags, files and Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

from evenhand._base import option_checks as check
from evenhand._base.requests import Options, option, plain
from evenhand._base.text import listed, visible
from evenhand._base.weight_kinds import KINDS
from evenhand.auditing.limits import IMPACT_RATIO, as_criterion, gap_limits, level_limits
from evenhand.auditing.place import join_option, on_option, query_option, table_option
from evenhand.criteria import STANDARD, Criterion
from evenhand.errors import InputError

MOST_GROUP_COLUMNS = 4
MOST_ROWS = 1_000_000_000
DEFAULT_THRESHOLD = 0.5


def without_password(source: str) -> str:
    """The address of a database as it can be shown and kept; a path as it is."""
    if "://" not in source:
        return source
    parts = urlsplit(source)
    if parts.password is None:
        return source
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}@{host}"))


@dataclass(frozen=True)
class AuditRequest:
    """What is asked of an audit, checked.

    Every field is described by its ``help``, shown by ``evenhand audit --help``.

    Example:
        >>> from evenhand.auditing import AuditRequest
        >>> asked = AuditRequest.of(label="repaid", prediction="approved", groups="sex")
        >>> AuditRequest.from_config(asked.to_config()) == asked
        True
    """

    file: str | None = option(None, check.text, "What is audited.")
    table: str | None = table_option()
    query: str | None = query_option()
    join: tuple[str, ...] = join_option()
    on: tuple[str, ...] = on_option()
    label: str | None = option(None, check.text, "Column of what was true.")
    groups: tuple[str, ...] = option(
        (), check.words, "Group column; repeat for several.", flag="--group", many=True
    )
    prediction: str | None = option(None, check.text, "Column of what was decided.")
    score: str | None = option(None, check.text, "Column of scores (two classes).")
    weight: str | None = option(
        None, check.text, "Column of the rows' weights, in every rate and interval."
    )
    weight_kind: str = option(
        "survey",
        check.one_of(KINDS),
        "survey (a row stands for others not seen; default) or frequency (for others seen).",
    )
    cross: bool = option(
        True, check.yes, "Audit the crossings of the groups too.", flag="--cross/--no-cross"
    )
    depth: int | None = option(
        None,
        check.whole(2, MOST_GROUP_COLUMNS),
        "Cross at most so many group columns: 2 for pairs; default: all of them.",
    )
    threshold: float = option(
        DEFAULT_THRESHOLD,
        check.number(-1e300, 1e300),
        "Score from which on it is positive; default 0.5.",
    )
    positive: str | None = option(None, check.text, "The positive class.")
    criterion: str | None = option(
        None,
        as_criterion,
        "What the report shows: equalized_odds (default; without labels demographic_parity), …",
    )
    reference: tuple[str, ...] = option(
        (),
        check.words,
        "Group that all others are set beside, and impact ratios are over (default: the highest); "
        "repeatable, one for each group column.",
        many=True,
    )
    min_count: int = option(
        100, check.whole(0, MOST_ROWS), "Flag cells with fewer rows; default 100."
    )
    suppress_below: int = option(
        0, check.whole(0, MOST_ROWS), "Do not show groups with fewer rows."
    )
    missing: tuple[str, ...] = option(
        (), check.words, "Further word for a missing value; repeatable.", many=True
    )
    delimiter: str | None = option(None, check.text, "Between columns; found by default.")
    encoding: str | None = option(None, check.text, "Of the file; UTF-8 by default.")
    fail_above: Mapping[str, float] | None = option(
        None,
        gap_limits,
        "Exit with 1 if a gap is above, as equalized_odds=0.1; repeatable.",
        many=True,
    )
    fail_below: Mapping[str, float] | None = option(
        None,
        level_limits,
        "Exit with 1 if a group's ratio, or a level, is below, as impact_ratio=0.8; repeatable.",
        many=True,
    )
    against: str | None = option(
        None, check.text, "Decisions to compare with: another period's, or another model's."
    )
    against_prediction: str | None = option(
        None, check.text, "Their column of decisions, where it has another name."
    )
    fail_worse: Mapping[str, float] | None = option(
        None,
        gap_limits,
        "Exit with 1 if a gap is worse than --against's by more, as eo=0.02; repeatable.",
        many=True,
    )
    by_upper: bool = option(
        False,
        check.yes,
        "Judge a gate by the doubtful end of the 95 % interval, not by the estimate.",
    )

    about: str | None = option(
        None, check.text, "A file of what the report tells of itself: about.yaml."
    )
    view: str | None = option(
        None, check.one_of(("ll144",)), "Add the tables of New York City's Local Law 144: ll144."
    )
    xlsx: bool = option(False, check.yes, "Write audit.xlsx too.")
    pdf: bool = option(False, check.yes, "Print the report as report.pdf too, by Chromium.")

    @classmethod
    def of(cls, **given: Any) -> Self:
        """A request of what is ``given``; None and empty lists ask for nothing.

        Raises:
            InputError: no such option, a value that cannot be, or columns that cannot be audited
                together.
        """  # noqa: DOC502
        named = {
            key: value
            for key, value in given.items()
            if value is not None and not (isinstance(value, list | tuple) and not value)
        }
        asked = cls(**{key: OPTIONS.checked(key, value) for key, value in named.items()})
        asked._check_columns()
        asked._check_labels()
        return asked

    @property
    def shown(self) -> Criterion:
        """The criterion that the report shows."""
        by_default = Criterion.EQUALIZED_ODDS if self.label else Criterion.DEMOGRAPHIC_PARITY
        return Criterion.parse(self.criterion or by_default)

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """The criteria whose figures are told: the standard ones, and those asked for."""
        levels = [name for name in self.levels if name != IMPACT_RATIO]
        asked = (self.shown, *map(Criterion.parse, (*self.limits, *levels)))
        return tuple(dict.fromkeys((*STANDARD, *asked)))

    @property
    def other(self) -> AuditRequest | None:
        """What is asked of the decisions to compare with; None where there are none."""
        if self.against is None and self.against_prediction is None:
            return None
        return replace(
            self,
            file=self.against or self.file,
            prediction=self.against_prediction or self.prediction,
            against=None,
            against_prediction=None,
            fail_above=None,
            fail_below=None,
            fail_worse=None,
            about=None,
            view=None,
        )

    @property
    def limits(self) -> Mapping[str, float]:
        """Criterion to the largest gap that passes the gate."""
        return self.fail_above or {}

    @property
    def levels(self) -> Mapping[str, float]:
        """``impact_ratio`` or a level to the smallest that passes the gate."""
        return self.fail_below or {}

    @property
    def spans(self) -> list[tuple[str, ...]]:
        """What is grouped by: every column, and the crossings of them that are asked for."""
        most = min(self.depth or len(self.groups), len(self.groups)) if self.cross else 1
        return [span for n in range(1, most + 1) for span in combinations(self.groups, n)]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns to read, each once."""
        every = (self.label, *self.groups, self.prediction, self.score, self.weight)
        return tuple(dict.fromkeys(column for column in every if column is not None))

    def _check_columns(self) -> None:
        if self.table is not None and self.query is not None:
            raise InputError("give a table (--table) or a query (--query), not both")
        if bool(self.join) != bool(self.on):
            raise InputError("to join tables, give both: the others (--join) and the key (--on)")
        names = list(self.groups)
        if not names:
            raise InputError("an audit needs at least one group column")
        if len(set(names)) < len(names):
            raise InputError(f"a group column is named twice: {listed(names)}")
        if len(names) > MOST_GROUP_COLUMNS:
            raise InputError(f"at most {MOST_GROUP_COLUMNS} group columns, found {len(names)}")
        if self.depth is not None and not self.cross:
            raise InputError("--depth is how many columns are crossed: leave out --no-cross")
        if self.fail_worse and self.other is None:
            raise InputError("--fail-worse needs decisions to compare with: --against")
        if self.prediction is None and self.score is None:
            raise InputError("an audit needs a prediction column, a score column or both")
        named = (self.label, self.prediction, self.score, self.weight)
        given = [c for c in named if c is not None]
        if len(set(given)) < len(given):
            last = "score" if self.weight is None else "score and weight"
            raise InputError(
                f"label, prediction and {last} must be different columns: {listed(given)}"
            )
        if self.weight in names:
            raise InputError(f"{visible(self.weight or '')!r} cannot be both a group and a weight")
        both = [name for name in names if name in (self.label, self.prediction)]
        if both:
            raise InputError(
                f"{visible(both[0])!r} cannot be both a group and a label or prediction column"
            )
        if self.prediction is not None and self.threshold != DEFAULT_THRESHOLD:
            raise InputError(
                "the threshold decides by the score, and there is a prediction column: give "
                "--threshold or --prediction, not both"
            )
        if self.by_upper and not (self.limits or self.levels or self.fail_worse):
            raise InputError(
                "--by-upper is for a gate: give --fail-above, --fail-below or --fail-worse as well"
            )
        if self.score in names:
            raise InputError(f"{visible(self.score)!r} cannot be both a score and a group column")

    def _check_labels(self) -> None:
        """Refuse to judge by labels where there are none."""
        levels = [name for name in self.levels if name != IMPACT_RATIO]
        named = (self.criterion, *self.limits, *(self.fail_worse or {}), *levels)
        wanted = [Criterion.parse(name) for name in named if name]
        for criterion in wanted:
            if criterion.needs_labels and self.label is None:
                raise InputError(
                    f"{criterion} compares rows of the same label: give the column of what was "
                    "true as label (--label), or ask for demographic_parity"
                )

    def to_config(self) -> dict[str, Any]:
        """Everything that was asked, as plain values for config.yaml; defaults are written out."""
        asked = {key: plain(getattr(self, key)) for key in OPTIONS}
        for key in ("file", "against"):
            if asked[key] is not None:
                asked[key] = without_password(asked[key])
        asked["join"] = [without_password(other) for other in asked["join"]]
        return {key: value for key, value in asked.items() if value not in (None, [], {})}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The request that :meth:`to_config` wrote.

        Raises:
            InputError: a key that is none of its own, or a value that cannot be; it is named.
        """  # noqa: DOC502
        return cls.of(**{key: value for key, value in config.items() if key != "command"})


OPTIONS = Options(AuditRequest)
"""Every option by its name."""
FLAGS = OPTIONS.flags
