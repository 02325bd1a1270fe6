"""The classes of an audit: what labels and predictions are, and whether they speak of the same."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evenhand._base.names import in_order, is_fractional, name_of
from evenhand._base.out_of_scope import RANKING, REGRESSION
from evenhand._base.text import listed, visible
from evenhand.auditing.counting import Ints
from evenhand.errors import InputError

MOST_NUMBERS = 20
"""More different values than this, most of them fractions, are no classes."""
NEGATIVE = frozenset(("0", "-1", "no", "n", "false", "f", "negative", "neg"))
PAIRS = (
    *({"0", "1"}, {"-1", "1"}, {"no", "yes"}, {"n", "y"}),
    *({"false", "true"}, {"f", "t"}),
)
"""Two words that are plainly the two classes, though a column may hold one of them alone."""
OF_A_SCORE = ("below the threshold", "at the threshold or above")
"""The classes where only a score decides, and no column names them."""
POSITIVE = frozenset(("1", "yes", "y", "true", "t", "positive", "pos"))


@dataclass(frozen=True, eq=False)
class Classes:
    """The classes, and what they were read from.

    Attributes:
        names: in order; for two classes the second is the positive one.
        of_codes: column to (codes,) the class of every code.
        notes: what was read as the same.
        apart: sentences on classes that only labels or only predictions have, while each has some
            the other lacks, or that one column writes in two ways: no gap of them can be believed.
    """

    names: tuple[str, ...]
    of_codes: dict[str, Ints]
    notes: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()


def classes_of(
    named: Mapping[str, Sequence[str]], *, positive: str | None, scored: bool
) -> Classes:
    """The classes of a label column and, where there is one, a prediction column.

    Values that differ only in case or a last dot are the same, and so are two ways of saying no
    and yes (0/1, -1/1, no/yes, false/true), where that is unambiguous; it is noted.

    Args:
        named: column to the names of its values, by code; the label's column first. Empty where a
            score decides and there is no label.
        positive: the positive class, where it was named.
        scored: decisions come from a score.

    Raises:
        InputError: numbers in place of classes, no value in common, one class only, no class of
            that name, or more than two where two are needed.
    """
    if not named:
        return Classes(OF_A_SCORE if positive is None else (f"not {positive}", positive), {})
    _refuse_scores(named)
    alike, notes, apart = _alike(named)
    apart = (*apart, *_written_twice(alike), *_more_than_two(alike))
    every = {name for names in alike.values() for name in names}
    positive = None if positive is None else name_of(positive)
    if positive is not None and positive not in every:
        positive = _same_word(positive, every) or positive
    if len(every) == 1 and every <= {"0", "1"}:
        every = {"0", "1"}
    if positive is not None and positive not in every and len(every) > 1:
        near = difflib.get_close_matches(positive, every, n=1)
        hint = f" Did you mean {visible(near[0])!r}?" if near else ""
        raise InputError(
            f"there is no class {visible(positive)!r}; the classes are "
            f"{listed([visible(n) for n in in_order(every)])}.{hint}"
        )
    if positive is not None:
        every |= {positive}
    if len(every) == 1:
        raise InputError(
            f"column {visible(next(iter(named)))!r} holds one class only, {visible(*every)!r}: "
            "name the other with positive (--positive)"
        )
    order = in_order(every)
    if len(order) > 2 and (scored or positive is not None):
        what = "a score column" if scored else "a positive class"
        raise InputError(
            f"{what} is for two classes, found {len(order)}: {listed([visible(n) for n in order])}"
        )
    if positive is not None:
        order.sort(key=lambda name: name == positive)
    place = {name: i for i, name in enumerate(order)}
    codes = {c: np.array([place[n] for n in v], dtype=np.int64) for c, v in alike.items()}
    return Classes(tuple(order), codes, notes, apart)


def _refuse_scores(named: Mapping[str, Sequence[str]]) -> None:
    """Refuse a column of many fractions, or decisions that are fractions where no label is one.

    Raises:
        InputError: one is so.
    """
    for column, names in named.items():
        fractions = sum(map(is_fractional, names))
        if len(names) > MOST_NUMBERS and fractions > len(names) / 2:
            raise InputError(
                f"column {visible(column)!r} holds {len(names):,} different numbers, most of them "
                "fractions: those are no classes; give it as --score (score=), or cut it first "
                f"({REGRESSION}; {RANKING})"
            )
    label, *rest = named
    for column in rest:
        only = [name for name in named[column] if is_fractional(name)]
        if only and not any(map(is_fractional, named[label])):
            raise InputError(
                f"column {visible(column)!r} holds {listed([visible(n) for n in in_order(only)])}, "
                f"and column {visible(label)!r} no such number: those are no classes; give it as "
                "--score (score=), or cut it first"
            )


def _written_twice(named: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """A sentence for every column with two ways of writing what seems one class."""
    said = []
    for column, names in named.items():
        for read in (_folded, _yes_or_no):
            ways: dict[str, list[str]] = {}
            for name in names:
                word = read(name)
                if word is not None:
                    ways.setdefault(word, []).append(name)
            twice = next((each for each in ways.values() if len(each) > 1), None)
            if twice and (read is _folded or len(names) > 2):
                shown = listed([repr(visible(name)) for name in in_order(twice)])
                said.append(
                    f"column {visible(column)!r} holds {shown}: if those are the same class, write "
                    "it one way"
                )
                break
    return tuple(dict.fromkeys(said))


def _more_than_two(named: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """A sentence where labels are two classes at most and decisions more."""
    if len(named) < 2:
        return ()
    (label, labels), (prediction, decided) = named.items()
    if len(labels) > 2 or len(decided) <= 2:
        return ()
    return (
        f"column {visible(label)!r} holds {len(labels)} classes and column "
        f"{visible(prediction)!r} {len(decided)}: {listed(_shown(decided, labels))} is never true",
    )


def _alike(
    named: Mapping[str, Sequence[str]],
) -> tuple[dict[str, list[str]], tuple[str, ...], tuple[str, ...]]:
    """The names, one word a class; what was read as the same; what stands in one column only."""
    alike = {column: list(names) for column, names in named.items()}
    if len(alike) < 2:
        return alike, (), ()
    (label, labels), (prediction, decided) = alike.items()
    plainly_two = len({*labels, *decided}) == 2 and {*map(_folded, (*labels, *decided))} in PAIRS
    if plainly_two or _nested(labels, decided):
        return alike, (), ()
    for read in (_folded, _yes_or_no):
        ours, theirs = ([read(name) for name in names] for names in (labels, decided))
        whole = None not in (*ours, *theirs)
        injective = len(set(ours)) == len(ours) and len(set(theirs)) == len(theirs)
        if whole and injective and _nested(ours, theirs):
            known = dict(zip(ours, labels, strict=True))
            same = [known.get(word, name) for word, name in zip(theirs, decided, strict=True)]
            changed = [
                f"{visible(was)!r} as {visible(now)!r}"
                for was, now in sorted(zip(decided, same, strict=True))
                if was != now
            ]
            note = (
                f"column {visible(prediction)!r} and column {visible(label)!r} are written "
                f"differently: {listed(changed)} was read in {visible(prediction)!r}"
            )
            return {label: labels, prediction: same}, (note,), ()
    shown = {c: listed([visible(n) for n in in_order(names)]) for c, names in alike.items()}
    if not set(labels) & set(decided):
        raise InputError(
            f"columns {visible(label)!r} ({shown[label]}) and {visible(prediction)!r} "
            f"({shown[prediction]}) have no value in common: write both the same way"
        )
    only = (
        f"only column {visible(label)!r} holds {listed(_shown(labels, decided))}, only column "
        f"{visible(prediction)!r} holds {listed(_shown(decided, labels))}: if those are the same "
        "classes, write both the same way"
    )
    return alike, (), (only,)


def _shown(names: Sequence[str], others: Sequence[str]) -> list[str]:
    return [repr(visible(name)) for name in in_order(set(names) - set(others))]


def _nested(some: Sequence[str | None], others: Sequence[str | None]) -> bool:
    return set(some) <= set(others) or set(others) <= set(some)


def _folded(name: str) -> str | None:
    return name.casefold().rstrip(". ")


def _yes_or_no(name: str) -> str | None:
    word = name.casefold().rstrip(". ")
    return "0" if word in NEGATIVE else "1" if word in POSITIVE else None


def _same_word(name: str, among: set[str]) -> str | None:
    """The one class that is written like ``name`` but for case, or says the same yes or no."""
    for read in (_folded, _yes_or_no):
        found = [each for each in among if read(name) is not None and read(each) == read(name)]
        if len(found) == 1:
            return found[0]
    return None
